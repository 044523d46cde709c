"""One line a request, with an id that the answer carries too."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from mm_core.api.metrics import Metrics
from mm_core.api.problems import REQUEST_ID

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
log = structlog.get_logger("mm_core.access")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class AccessLog:
    """Wraps a WSGI application: request ids in and out, a log line and the metrics of each request."""

    def __init__(self, application: Application, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        started = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        environ[REQUEST_ID] = request_id
        seen: dict[str, str] = {"status": "500"}

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            seen["status"] = status[:3]
            seen["bytes"] = next((value for name, value in headers if name.lower() == "content-length"), "0")
            return start_response(status, [*headers, ("X-Request-Id", request_id)], *rest)

        try:
            return self._application(environ, start)
        finally:
            seconds = time.perf_counter() - started
            route = environ.get("bottle.route")
            template = route.rule if route is not None else "unmatched"
            status = int(seen["status"])
            self._metrics.count(environ["REQUEST_METHOD"][:16], template, status, seconds)
            log.info(
                "request",
                request_id=request_id,
                method=environ["REQUEST_METHOD"],
                path=environ.get("PATH_INFO", ""),
                route=template,
                status=status,
                bytes=int(seen.get("bytes", "0")),
                ms=round(seconds * 1000, 2),
                client=environ.get("REMOTE_ADDR", ""),
            )
