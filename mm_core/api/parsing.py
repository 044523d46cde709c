"""Requests as they arrive: waitress's parser, and what it lets through that no honest client sends.

Two readers of one connection, a proxy and this server, must never see different requests in it; and no request may cost
the thread that reads for all connections more than it costs its sender.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Any, NamedTuple

from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from mm_core.api.hosts import AllowedHosts, host_name

LARGEST_HEAD = 64 << 10
"""Bytes of a request line and its headers; waitress looks through all of them at every byte that is added."""

MOST_HEADERS = 100
REMEMBERED_HEADS = 2048
LONGEST_REMEMBERED = 512
"""Bytes of a head that is remembered: bots ask with the same one until what they have is stale."""

LONGEST_CHUNK_LINE = 1024
LONGEST_TRAILER = 8192

_FIRST_BYTES = frozenset(b"\r\nABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")
_PADDED = re.compile(rb"(\r\n[^:\r\n]*:)[ \t]+")
_CODINGS = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*)")

_SENTENCES = {
    400: ("Bad request", "The request is not HTTP/1.1 as RFC 9112 has it. Send it with an HTTP client library."),
    408: ("Request too slow", "The request did not arrive in time. Send it again, whole."),
    413: ("Body too large", "The body is larger than this server takes. Send a smaller one."),
    421: (
        "Not this server",
        "The Host header names another server. Ask by this machine's address or name, or have its operator add the "
        "name to MODEL_MANAGER_ALLOWED_HOSTS.",
    ),
    431: (
        "Headers too large",
        f"Request line and headers have more than {LARGEST_HEAD >> 10} KiB or {MOST_HEADERS} lines. Send fewer.",
    ),
    500: ("Internal Server Error", "The server made a mistake that is now in its log. Try again."),
    501: ("Not implemented", "Of the transfer codings, chunked alone is understood. Send Content-Length, or chunked."),
    505: ("HTTP version not supported", "This server speaks HTTP/1.1 and HTTP/1.0. Ask with one of these."),
}


class Refusal(Error):  # type: ignore[misc]
    """Why a request is not handed to the application; repeats nothing of what was sent."""

    def __init__(self, status: int, detail: str | None = None) -> None:
        self.code = status
        self.reason, usual = _SENTENCES.get(status, _SENTENCES[400])
        super().__init__(detail or usual)


class _Head(NamedTuple):
    """What a head without a body says: the parser's attributes, of which the headers are copied by whoever takes it."""

    attributes: dict[str, Any]
    headers: dict[str, str]


class Heads:
    """Reads heads under the same settings; one that came before is not read again."""

    def __init__(self, adj: Any, hosts: AllowedHosts | None) -> None:
        self.adj = adj
        self.hosts = hosts
        self.read = lru_cache(REMEMBERED_HEADS)(self._read)

    def _read(self, head: bytes) -> _Head | None:
        """Return what a head says, None where a body follows it; raise as `Request.read_head`."""
        request = Request(self)
        request.read_head(head)
        if request.body_rcv is not None:
            return None
        said = {name: value for name, value in vars(request).items() if name not in _OF_ONE_REQUEST}
        return _Head(said, request.headers)


class Request(HTTPRequestParser):  # type: ignore[misc]
    """One request, refused as soon as it is known to be none; without ``hosts`` it comes from a worker."""

    error: Any
    body_rcv: Any

    def __init__(self, heads: Heads) -> None:
        super().__init__(heads.adj)
        self.began = time.monotonic()
        self._heads = heads
        self._refusal: Refusal | None = None

    def received(self, data: bytes) -> int:
        """Take bytes and return how many belong to this request; ``completed`` tells whether it is whole."""
        if self.body_rcv is None and not self.header_plus and data[0] not in _FIRST_BYTES:
            return self._end(Refusal(400), data)
        taken: int = super().received(data)
        if self.error is not None:
            self.error = self._refusal or Refusal(self.error.code)
            self.expect_continue = False  # else waitress asks for the body, and waits for it
        elif not self.headers_finished and _has_bare_newline(data, self.header_plus):
            return self._end(Refusal(400), data)
        return taken

    def end(self, refusal: Refusal) -> None:
        """Refuse what has not arrived whole."""
        self.error = refusal
        self.completed = True

    def _end(self, refusal: Refusal, data: bytes) -> int:
        self.end(refusal)
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        """Take the head; raise an exception that waitress answers for one that this server does not take."""
        if len(header_plus) > LONGEST_REMEMBERED or not header_plus.startswith((b"GET ", b"HEAD ")):
            self.read_head(header_plus)
            return
        try:
            known = self._heads.read(header_plus)
        except (ParsingError, TransferEncodingNotImplemented):
            known = None
        if known is None:
            self.read_head(header_plus)
        else:
            self.__dict__.update(known.attributes)
            self.headers = known.headers.copy()

    def read_head(self, header_plus: bytes) -> None:
        """Read the head, whether or not it is remembered; raise as `parse_header`."""
        if header_plus.count(b"\r\n") > MOST_HEADERS:
            raise self._refused(Refusal(431))
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            raise self._refused(Refusal(400, "A header is folded over lines. Send each on one line."))
        if b":  " in header_plus or b"\t" in header_plus:  # waitress tries every way to share padding out
            header_plus = _PADDED.sub(rb"\1", header_plus)
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length that Python does not convert, an address that urllib does not take
            raise self._refused(Refusal(400)) from error
        if self.version != "1.1" and self.version != "1.0":
            raise self._refused(Refusal(505 if self.version else 400))
        lowered = header_plus.lower()
        if b"\r\ntransfer-encoding:" in lowered:
            self._check_codings(_CODINGS.findall(lowered))
        if not self.request_uri.startswith("/"):
            self._check_target()
        if not self.path.isascii():
            self._check_path()
        if self._heads.hosts is not None:
            self._check_host(self._heads.hosts)

    def _check_codings(self, given: list[bytes]) -> None:
        if self.version != "1.1" or "CONTENT_LENGTH" in self.headers:
            raise self._refused(
                Refusal(400, "The request says twice how long its body is. Send Content-Length, or be chunked.")
            )
        if [value.strip() for value in given] != [b"chunked"]:
            raise self._refused(Refusal(501))
        self.body_rcv = _Chunks(self.body_rcv.getbuf(), self.adj.max_request_body_size)

    def _check_target(self) -> None:
        if self.request_uri == "*":
            return
        if self.proxy_scheme.lower() not in {"http", "https"} or not self.proxy_netloc:
            raise self._refused(Refusal(400, "The request's target is no path. Ask for one that starts with '/'."))
        self.headers["HOST"] = self.proxy_netloc  # RFC 9112, 3.2.2: the Host header does not count then

    def _check_path(self) -> None:
        try:
            self.path.encode("latin-1").decode("utf-8")
        except UnicodeError as error:  # bottle would leave out what it cannot read, and find another path
            raise self._refused(Refusal(400, "The path is no UTF-8 text. Percent-encode it as UTF-8.")) from error

    def _check_host(self, hosts: AllowedHosts) -> None:
        host = self.headers.get("HOST")
        if host is None:
            if self.version == "1.1":
                raise self._refused(Refusal(400, "The request has no Host header. Send one."))
            return
        if host_name(host) is None:
            raise self._refused(Refusal(400, "The Host header is no name or address, or came twice. Send one."))
        if not hosts.allows(host):
            raise self._refused(Refusal(421))

    def _refused(self, refusal: Refusal) -> ParsingError:
        self._refusal = refusal
        return ParsingError(refusal.reason)


_OF_ONE_REQUEST = frozenset({"headers", *vars(Request(Heads(None, None)))})


class _Chunks(ChunkedReceiver):  # type: ignore[misc]
    """A chunked body whose lines between the chunks are bounded: waitress keeps and copies any length of them."""

    def __init__(self, buf: Any, largest_chunk: int) -> None:
        super().__init__(buf)
        self._largest_chunk = largest_chunk

    def received(self, s: bytes) -> int:
        taken: int = super().received(s)
        is_odd = len(self.control_line) > LONGEST_CHUNK_LINE or b"\n" in self.control_line
        if is_odd or (not self.completed and len(self.trailer) > LONGEST_TRAILER):
            self.error = BadRequest("A line between chunks is not one")
        elif self.chunk_remainder > self._largest_chunk:
            self.error = RequestEntityTooLarge("A chunk is too large")
        return taken


def _has_bare_newline(data: bytes, received: bytes) -> bool:
    """Return whether a newline in ``data``, the last of what was received, has no return before it."""
    if b"\n" not in data:
        return False
    recent = received[-len(data) - 1 :]
    return recent.count(b"\n") != recent.count(b"\r\n") + recent.startswith(b"\n")
