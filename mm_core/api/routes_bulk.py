"""Routes for bots with many symbols: what there is, and what changed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bottle import Bottle, HTTPResponse

from mm_core.api.answers import encoded, prepared_answer, result_answer
from mm_core.api.queries import query_text
from mm_core.errors import BadRequest
from mm_core.payloads import BoundedCache, Coding
from mm_core.registry import Registry
from mm_core.registry.lookups import require_model

LONGEST_WAIT_SECONDS = 25.0
"""Below the 30 seconds after which clients and proxies usually give up."""

BUSY_SECONDS = 5


def add_bulk_routes(
    app: Bottle, registry: Registry, cache: BoundedCache, threads: int, is_draining: Callable[[], bool]
) -> None:
    """Add the routes that tell of all symbols of a model at once; at most half of the ``threads`` wait for changes."""
    waiters = threading.BoundedSemaphore(max(1, threads // 2))

    @app.get("/api/models/<model_name>/manifest")
    def manifest(model_name: str) -> HTTPResponse:
        found = registry.manifests.get(model_name)

        def body(coding: Coding) -> bytes:
            return encoded(found.data, found.sha256, coding, cache)

        return prepared_answer(found.sha256, len(found.data), body, headers={"x-store-revision": str(found.revision)})

    @app.get("/api/models/<model_name>/changes")
    def changes(model_name: str) -> HTTPResponse:
        require_model(registry.view(), model_name)
        since = _number("since", 0)
        wait = min(_number("wait", 0), LONGEST_WAIT_SECONDS)
        may_wait = wait > 0 and waiters.acquire(blocking=False)
        try:
            found = registry.changes.since(model_name, int(since), wait if may_wait else 0, is_draining)
        finally:
            if may_wait:
                waiters.release()
        headers = {"Retry-After": str(BUSY_SECONDS)} if wait and not may_wait else {}
        document = {"model_name": model_name, "revision": found.revision, "symbols": found.symbols}
        return result_answer(document, headers)


def _number(name: str, default: int) -> float:
    text = query_text(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise BadRequest(f"?{name}= must be a whole number that is not negative, such as {name}=0.")
    return float(text)
