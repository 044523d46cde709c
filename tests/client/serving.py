"""A small HTTP server that answers as Model Manager would, or as a script says: late, damaged, cut or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMES = ["momentum_5", "volatility_20", "spread_3"]


def document(**changes: Any) -> dict[str, Any]:
    """Return a payload document; ``changes`` replace parts of it by name, in metadata, config or the payload."""
    metadata = {"model_name": "m", "symbol": "SOL", "group_key": "SOL_1m", "feature_dim": 3}
    config = {"factor_names": list(NAMES), "mean_values": [0.2, 1, -0.5], "variance_values": [1.0, 4.0, 0.25]}
    dims = [{"dim": dim, "factor_name": name, "kendall_tau": None} for dim, name in enumerate(NAMES)]
    dims[1]["kendall_tau"] = 0.25
    payload: dict[str, Any] = {"model_json": '{"learner": {}}' + " " * 2000, "metadata": metadata, "dim_factors": dims}
    for name, value in changes.items():
        place = metadata if name in metadata else config if name in config else payload
        place[name] = value
    payload.setdefault("factor_config", {metadata["symbol"]: config})
    return {"ok": True, "message": "ok", "payload": payload}


def body_of(**changes: Any) -> bytes:
    return json.dumps(document(**changes)).encode()


def tag_of(body: bytes, suffix: str = "") -> str:
    return f'"{hashlib.sha256(body).hexdigest()}{suffix}"'


@dataclass
class Answer:
    """One scripted answer; ``hang_up`` closes the connection after that many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: int | None = None


def problem(status: int, detail: str) -> Answer:
    body = json.dumps({"status": status, "detail": detail}).encode()
    return Answer(status, body, {"Content-Type": "application/problem+json"})


def good(body: bytes, **headers: str) -> Answer:
    return Answer(200, body, {"ETag": tag_of(body), **headers})


class ScriptedServer:
    """Gives the answers of ``script`` in turn, then ``body`` as Model Manager would: gzip, ETag, 304."""

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.body = body_of()
        self.asked: list[tuple[str, dict[str, str]]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = scripted.respond(self.path, self.headers["If-None-Match"])
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                with contextlib.suppress(ConnectionError):  # the client may have gone, as some tests want it to
                    self.end_headers()
                    self.wfile.write(answer.body[: answer.hang_up])

            def log_message(self, *_arguments: object) -> None:
                """Keep the test's output quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def respond(self, path: str, condition: str | None) -> Answer:
        return self.script.popleft() if self.script else self.usual(condition)

    def usual(self, condition: str | None) -> Answer:
        tag = tag_of(self.body, "-gz")
        if condition == tag:
            return Answer(304, headers={"ETag": tag})
        return Answer(200, gzip.compress(self.body), {"ETag": tag, "Content-Encoding": "gzip"})

    def stop(self) -> None:
        """Stop for good: from now on connections are refused."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


def copies_in(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.payload"))
