"""A client that writes any bytes it is given, and reads whole answers back."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import time
from dataclasses import dataclass
from http.client import HTTPResponse
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """One answer: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Received(io.BytesIO):
    """Bytes that `http.client` reads as if they came from a socket, and that stay open when it is done."""

    def makefile(self, *_: object) -> io.BytesIO:
        return self

    def close(self) -> None:
        pass


def connect(url: str, receive_buffer: int | None = None, seconds: float = 10.0) -> socket.socket:
    """Return a connection to the server at ``url``; what takes longer than ``seconds`` raises ``TimeoutError``."""
    place = urlsplit(url)
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(seconds)
    try:
        connection.connect((place.hostname, place.port))
    except OSError:
        connection.close()
        raise
    return connection


def request(target: str, method: str = "GET", body: bytes = b"", **headers: str | None) -> bytes:
    """Return the bytes of an honest request; header names are written with underscores, None leaves one out."""
    given = {"Host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body:
        given.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value is not None)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def exchange(
    url: str, data: bytes, methods: str = "GET", seconds: float = 5.0, *, half_close: bool = True
) -> list[Answer]:
    """Send ``data`` on a connection of its own, then the end of it; return every answer that came before its close.

    Without ``half_close`` the end is not sent, and the answers are those of ``seconds``. Raises ``TimeoutError`` where
    the server leaves the connection open all the same, ``ValueError`` where bytes are no answer.
    """
    with connect(url, seconds=seconds) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        return answers_in(rest_of(connection, seconds, must_end=half_close), methods)


def ask(connection: socket.socket, data: bytes, method: str = "GET") -> Answer:
    """Send a request on an open connection and return its answer."""
    connection.sendall(data)
    return next_answer(connection, method)


def next_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Return the next answer of an open connection; raise ``EOFError`` where there is none."""
    answer = HTTPResponse(connection, method=method)
    try:
        answer.begin()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except (ConnectionError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise EOFError("closed without an answer") from error
    finally:
        answer.close()


def rest_of(connection: socket.socket, seconds: float = 5.0, *, must_end: bool = True) -> bytes:
    """Return what comes before the end of a connection, a reset included, or in ``seconds`` unless it ``must_end``."""
    received, deadline = bytearray(), time.monotonic() + seconds
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            connection.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                data = connection.recv(1 << 16)
            except TimeoutError:
                break
            if not data:
                return bytes(received)
            received += data
        if must_end:
            raise TimeoutError("the connection stays open")
    return bytes(received)


def answers_in(data: bytes, methods: str = "GET") -> list[Answer]:
    """Return the answers that bytes consist of; ``methods`` are those of the requests, the last one stands for more."""
    asked, found, stream = methods.split(), [], _Received(data)
    while stream.tell() < len(data):
        method = asked[min(len(found), len(asked) - 1)]
        answer = HTTPResponse(stream, method=method)  # type: ignore[arg-type] # it only asks for makefile()
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        found.append(Answer(answer.status, headers, answer.read()))
    return found


def reset(connection: socket.socket) -> None:
    """Close a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
