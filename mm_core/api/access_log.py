"""One line a request, with an id that the answer carries too."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from mm_core.api.metrics import Metrics
from mm_core.api.problems import REQUEST_ID
from mm_core.logs import get_logger

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
ROUTE = "mm.route"
"""Where an application that has no routes of its own says which one answered."""

LONGEST_METHOD = 32
LONGEST_PATH = 1000
"""Characters of a path in the log: a request may have sixty times as many."""

log = get_logger("mm_core.access")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class AccessLog:
    """Wraps a WSGI application: request ids in and out, a log line and the metrics of each request."""

    def __init__(self, application: Application, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        started = time.perf_counter()
        request_id = request_id_of(environ.get("HTTP_X_REQUEST_ID", ""))
        environ[REQUEST_ID] = request_id
        seen: dict[str, str] = {"status": "500"}

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            seen["status"] = status[:3]
            seen["bytes"] = next((value for name, value in headers if name.lower() == "content-length"), "0")
            return start_response(status, [*headers, ("X-Request-Id", request_id)], *rest)

        try:
            return self._application(environ, start)
        finally:
            route = environ.get("bottle.route")
            self.note(
                request_id,
                environ["REQUEST_METHOD"],
                environ.get("PATH_INFO", ""),
                route.rule if route is not None else environ.get(ROUTE, "unmatched"),
                int(seen["status"]),
                int(seen.get("bytes", "0")),
                time.perf_counter() - started,
                environ.get("REMOTE_ADDR", ""),
            )

    def note(
        self,
        request_id: str,
        method: str,
        path: str,
        route: str,
        status: int,
        size_bytes: int,
        seconds: float,
        client: str,
    ) -> None:
        """Count an answered request and write its line."""
        self._metrics.count(method, route, status, seconds)
        log.info(
            "request",
            request_id=request_id,
            method=method[:LONGEST_METHOD],
            path=_as_text(path),
            route=route,
            status=status,
            bytes=size_bytes,
            ms=round(seconds * 1000, 2),
            client=client,
        )


def request_id_of(given: str) -> str:
    """Return the id that a client gave its request, a new one where that could not stand in a log."""
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _as_text(path: str) -> str:
    """Return a path as UTF-8 means it: WSGI has each byte as a Latin letter until a router has read it.

    What a terminal or a reader of lines would act on is written as Python would, and long ones are cut.
    """
    try:
        text = path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        text = path
    if len(text) > LONGEST_PATH:
        text = text[:LONGEST_PATH] + "…"
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
