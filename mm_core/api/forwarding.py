"""The way from a worker to the process that owns the state, over a socket that only this user can open."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from mm_core.api.access_log import ROUTE, Application
from mm_core.api.problems import REQUEST_ID, problem_parts

CHUNK_BYTES = 1 << 16
ROUTE_HEADER = "X-Model-Manager-Route"
HOP_BY_HOP = {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

Start = Callable[..., Any]


class _OwnerConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("owner")
        self._path = path

    def connect(self) -> None:
        """Open the socket; a registration may take minutes, so answers have no time limit."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class Forwarding:
    """A WSGI application that lets the owner answer; the client sees no difference."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """Pass a request on and its answer back."""
        connection = _OwnerConnection(self._path)
        try:
            connection.putrequest(
                environ["REQUEST_METHOD"], _target(environ), skip_host=True, skip_accept_encoding=True
            )
            for name, value in _headers(environ):
                connection.putheader(name, value.encode("latin-1"))
            body = environ["wsgi.input"].read()
            if body or environ.get("CONTENT_LENGTH"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            return _owner_away(environ, start_response)
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        environ[ROUTE] = next((value for name, value in headers if name == ROUTE_HEADER), "unmatched")
        start_response(
            f"{answer.status} {answer.reason}", [(name, value) for name, value in headers if name != ROUTE_HEADER]
        )
        return _chunks(connection, answer)


class Owned:
    """A WSGI application behind `Forwarding`: takes the request's id over, and tells which route answered."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """Answer a request that a worker passed on."""
        environ[REQUEST_ID] = environ.get("HTTP_X_REQUEST_ID", "")

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            route = environ.get("bottle.route")
            named = [(ROUTE_HEADER, route.rule)] if route is not None else []
            return start_response(status, [*headers, *named], *rest)

        return self._application(environ, start)


def _target(environ: dict[str, Any]) -> str:
    """Return the request's target as it came, what is no ASCII percent-encoded."""
    target: str = environ["REQUEST_URI"]
    if not target.startswith("/"):  # with scheme and host, or '*'
        parts = urlsplit(target)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return quote(target, safe="".join(map(chr, range(0x21, 0x7F))), encoding="latin-1")


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        name = key[5:].replace("_", "-") if key.startswith("HTTP_") else ""
        if name and name.lower() not in HOP_BY_HOP and name != "X-REQUEST-ID":
            yield name, value
    yield "X-Request-Id", environ[REQUEST_ID]
    yield "Connection", "close"
    if "CONTENT_TYPE" in environ:
        yield "Content-Type", environ["CONTENT_TYPE"]


def _chunks(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := answer.read(CHUNK_BYTES):
            yield chunk
    finally:
        connection.close()


def _owner_away(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    detail = "The process that owns the state does not answer; payloads that are ready are still served. Try again."
    body, headers = problem_parts(503, "Service away", detail, environ.get("PATH_INFO", ""), environ[REQUEST_ID])
    start_response("503 Service Unavailable", [*headers.items(), ("Retry-After", "1")])
    return [body]
