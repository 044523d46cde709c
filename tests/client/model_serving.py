"""A small HTTP server that has a model of many symbols, as Model Manager would, and can be made to misbehave."""

from __future__ import annotations

import gzip
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.client.serving import Answer, ScriptedServer, body_of, problem, tag_of

MANIFEST, CHANGES = "manifest", "changes"


class ModelServer(ScriptedServer):
    """Model ``m``: bodies by symbol. ``next_answers`` come first, by symbol, or for the manifest or the changes."""

    def __init__(self, *symbols: str) -> None:
        self.bodies = {symbol: body_of(symbol=symbol) for symbol in symbols}
        self.unmade: set[str] = set()
        self.not_ready: set[str] = set()
        self.revision = 7
        self.next_answers: dict[str, deque[Answer]] = defaultdict(deque)
        self.always: dict[str, Answer] = {}
        self.holds: Callable[[], object] = lambda: None
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        super().__init__()

    def change(self, symbol: str, mean: float) -> None:
        """Give a symbol another mean, as a new revision."""
        self.bodies[symbol] = body_of(symbol=symbol, mean_values=[mean, 1.0, 1.0])
        self.revision += 1

    def asked_for(self) -> list[str]:
        """Return what was asked since the last look: symbols, the manifest or the changes."""
        with self._lock:
            paths = [_target(path) for path, _ in self.asked]
            self.asked.clear()
        return paths

    def respond(self, path: str, condition: str | None) -> Answer:
        target = _target(path)
        if self.next_answers[target]:
            return self.next_answers[target].popleft()
        if target in self.always:
            return self.always[target]
        if target == MANIFEST:
            return _on_condition(json.dumps(self.manifest()).encode(), condition, {"x-store-revision": self.revision})
        if target == CHANGES:
            since = int(parse_qs(urlsplit(path).query)["since"][0])
            symbols = [] if since == self.revision else None
            return Answer(200, json.dumps({"revision": self.revision, "symbols": symbols}).encode())
        if target not in self.bodies:
            return problem(404, f"No symbol {target}.")
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.holds()
        with self._lock:
            self._at_once -= 1
        return _on_condition(self.bodies[target], condition, {})

    def manifest(self) -> dict[str, Any]:
        items = []
        for symbol, body in self.bodies.items():
            is_made = symbol not in self.unmade | self.not_ready
            items.append(
                {
                    "symbol": symbol,
                    "payload_ready": symbol not in self.not_ready,
                    "etag": tag_of(body) if is_made else None,
                }
            )
        return {"model_name": "m", "items": items}


def _target(path: str) -> str:
    return unquote(urlsplit(path).path.rpartition("/")[2])


def _on_condition(body: bytes, condition: str | None, headers: dict[str, Any]) -> Answer:
    tag = tag_of(body, "-gz")
    head = {"ETag": tag, **{name: str(value) for name, value in headers.items()}}
    if condition == tag:
        return Answer(304, headers=head)
    return Answer(200, gzip.compress(body), {**head, "Content-Encoding": "gzip"})
