"""Pulls of ready payloads, answered where they arrive: no thread, no routing, the bytes as they are kept.

Everything else, and every pull that is out of the ordinary, goes the way through the application; both give the same
answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from mmap import mmap
from typing import NamedTuple

from waitress.parser import HTTPRequestParser
from waitress.utilities import build_http_date

from mm_core.api.access_log import AccessLog, request_id_of
from mm_core.api.answers import JSON
from mm_core.api.negotiation import SMALLEST_COMPRESSED, chosen_coding, is_not_modified
from mm_core.errors import ModelManagerError
from mm_core.payloads import Coding, entity_tag
from mm_core.registry import OpenBlob, Registry

PAYLOAD_RULE = "/api/models/<model_name>/model/<symbol>"
LONGEST_HEADER = 512
"""Of what a client accepts or has: longer ones are parsed by the application's threads."""

LONGEST_PATH = 256
"""Longer ones name nothing."""

LARGEST_BODY = 4 << 20
"""Larger bodies are sent by a thread, so that reading one keeps no other bot waiting."""


class ReadyAnswer(NamedTuple):
    """Bytes to send, and what the log says of them."""

    head: bytes
    body: bytes | mmap | OpenBlob
    request_id: str
    status: int
    size_bytes: int


class ReadyPulls:
    """Finds the requests that need nothing but bytes which are there already."""

    def __init__(self, registry: Registry, access: AccessLog) -> None:
        self._published = registry.published
        self._payloads = registry.payloads
        self._access = access

    def answer(self, request: HTTPRequestParser) -> ReadyAnswer | None:
        """Return the answer to a request, None where the application has to make it, errors included."""
        try:
            return self._answer(request) if _is_plain(request) else None
        except (ModelManagerError, OSError):
            return None

    def _answer(self, request: HTTPRequestParser) -> ReadyAnswer | None:
        place = _place(request.path)
        if place is None:
            return None
        handle = self._published.find(*place)
        if handle is None or handle.size_bytes > LARGEST_BODY:
            return None
        headers: Mapping[str, str] = request.headers
        coding = Coding.IDENTITY
        if handle.size_bytes >= SMALLEST_COMPRESSED:
            coding = _coding(headers.get("ACCEPT_ENCODING", ""))
        tag = entity_tag(handle.digest, coding)
        request_id = request_id_of(headers.get("X_REQUEST_ID", ""))
        condition = headers.get("IF_NONE_MATCH")
        if condition is not None and (condition == tag or is_not_modified({"HTTP_IF_NONE_MATCH": condition}, tag)):
            return ReadyAnswer(_not_modified(tag, request_id), b"", request_id, 304, 0)
        body = self._payloads.ready_body(handle, coding)
        if body is None:
            return None
        head = _whole(tag, coding, len(body), request_id)
        return ReadyAnswer(head, body if request.command == "GET" else b"", request_id, 200, len(body))

    def note(self, request: HTTPRequestParser, answer: ReadyAnswer, started: float, client: str) -> None:
        """Count and log an answer that was given."""
        self._access.note(
            answer.request_id,
            request.command,
            request.path,
            PAYLOAD_RULE,
            answer.status,
            answer.size_bytes,
            time.perf_counter() - started,
            client,
        )


def _is_plain(request: HTTPRequestParser) -> bool:
    """Return whether a request is the kind that bots send all day: GET or HEAD without a query, body or an odd end."""
    headers = request.headers
    return (
        request.error is None
        and request.command in ("GET", "HEAD")
        and request.version == "1.1"
        and not request.query
        and len(request.path) <= LONGEST_PATH
        and request.body_rcv is None
        and headers.get("CONNECTION", "keep-alive").lower() == "keep-alive"
        and "EXPECT" not in headers
        and len(headers.get("ACCEPT_ENCODING", "")) + len(headers.get("IF_NONE_MATCH", "")) <= LONGEST_HEADER
    )


def _place(path: str) -> tuple[str, str] | None:
    """Return model and symbol of a payload's path, which holds bytes as Latin letters.

    Found anew each time, which takes half a microsecond: clients make paths up, and each would stay in memory.
    """
    parts = path.split("/")
    if len(parts) != 6 or parts[0] or parts[1] != "api" or parts[2] != "models" or parts[4] != "model":
        return None
    model_name, symbol = parts[3], parts[5]
    if not path.isascii():
        try:
            model_name, symbol = (part.encode("latin-1").decode("utf-8") for part in (model_name, symbol))
        except UnicodeError:
            return None
    return (model_name, symbol) if model_name and symbol else None


@lru_cache(1024)
def _coding(accept_encoding: str) -> Coding:
    return chosen_coding(accept_encoding)


def _whole(tag: str, coding: Coding, size_bytes: int, request_id: str) -> bytes:
    encoding = "" if coding is Coding.IDENTITY else f"Content-Encoding: {coding}\r\n"
    return (
        f"HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\n{encoding}Content-Length: {size_bytes}\r\n"
        f"Content-Type: {JSON}\r\nDate: {_date(int(time.time()))}\r\nEtag: {tag}\r\nVary: Accept-Encoding\r\n"
        f"X-Request-Id: {request_id}\r\n\r\n"
    ).encode("ascii")


def _not_modified(tag: str, request_id: str) -> bytes:
    return (
        f"HTTP/1.1 304 Not Modified\r\nCache-Control: no-cache\r\nDate: {_date(int(time.time()))}\r\nEtag: {tag}\r\n"
        f"Vary: Accept-Encoding\r\nX-Request-Id: {request_id}\r\n\r\n"
    ).encode("ascii")


@lru_cache(2)
def _date(second: int) -> str:
    return str(build_http_date(second))
