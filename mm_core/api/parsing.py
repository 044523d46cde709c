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

from mm_core.api.chunks import Chunks
from mm_core.api.hosts import AllowedHosts, host_name
from mm_core.api.refusals import LARGEST_HEAD, MOST_HEADERS, Refusal

REMEMBERED_HEADS = 2048
LONGEST_REMEMBERED = 512
"""Bytes of a head that is remembered: bots ask with the same one until what they have is stale."""

_TOKEN_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")
_SLASH = ord("/")
_EMPTY_LINES = re.compile(rb"(?:\r\n)+")
_REQUEST_LINE = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Z]+ (?P<target>[\x21-\x7e\x80-\xff]+) HTTP/(?P<version>[0-9]\.[0-9])"
)
_WITH_HOST = re.compile(rb"https?://[^/?#]", re.IGNORECASE)
_PADDED = re.compile(rb"(\r\n[^:\r\n]*:)[ \t]+")
_CODINGS = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*)")


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
    expect_continue: bool
    _held: bytes | bytearray = b""
    """Of a head that has not arrived whole."""

    def __init__(self, heads: Heads) -> None:
        super().__init__(heads.adj)
        self.began = time.monotonic()
        self._heads = heads
        self._refusal: Refusal | None = None

    def received(self, data: bytes) -> int:
        """Take bytes and return how many belong to this request; ``completed`` tells whether it is whole.

        Empty lines before it are a request of their own, which is ``empty``.
        """
        taken: int
        if self.body_rcv is not None or (data[0] in _TOKEN_BYTES and not self._held and b"\r\n\r\n" in data):
            taken = super().received(data)
        else:
            taken = self._received_part(data)
        if self.error is not None and not isinstance(self.error, Refusal):
            self.error = self._refusal or Refusal(self.error.code)
        if self.expect_continue and (self.completed or taken < len(data)):
            self.expect_continue = False  # else waitress asks for a body that comes, or is refused, or none
        return taken

    def _received_part(self, data: bytes) -> int:
        held = len(self._held)
        if held < 2:
            begin = bytes(self._held) + data
            empty_lines = _EMPTY_LINES.match(begin)
            if empty_lines is not None:
                self.empty = self.completed = True
                return empty_lines.end() - held
            if begin[0] not in _TOKEN_BYTES and begin != b"\r":
                return self._end(Refusal(400), data)
        if not held:
            self._held = bytearray()
        self._held += data
        end = self._held.find(b"\r\n\r\n", max(held - 3, 0))
        if end >= 0:
            whole, self._held = bytes(self._held), b""
            return int(super().received(whole)) - held
        self.header_bytes_received = held + len(data)
        if self.header_bytes_received >= LARGEST_HEAD:
            return self._end(Refusal(431), data)
        if _has_bare_newline(self._held, max(held - 1, 0)):
            return self._end(Refusal(400), data)
        return len(data)

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
        self._check_line(header_plus[: header_plus.find(b"\r\n")])
        if b":  " in header_plus or b"\t" in header_plus:  # waitress tries every way to share padding out
            header_plus = _PADDED.sub(rb"\1", header_plus)
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length that Python does not convert, an address that urllib does not take
            raise self._refused(Refusal(400)) from error
        lowered = header_plus.lower()
        if b"\r\ntransfer-encoding:" in lowered:
            self._check_codings(_CODINGS.findall(lowered))
        if not self.path.isascii():
            self._check_path()
        if self._heads.hosts is not None:
            self._check_host(self._heads.hosts)

    def _check_line(self, line: bytes) -> None:
        """Check the first line before waitress does, whose time grows with the square of some targets."""
        found = _REQUEST_LINE.fullmatch(line)
        if found is None:
            raise self._refused(Refusal(400))
        if found["version"] not in (b"1.1", b"1.0"):
            raise self._refused(Refusal(505))
        target = found["target"]
        if target[0] != _SLASH and target != b"*" and _WITH_HOST.match(target) is None:
            raise self._refused(Refusal(400, "The request's target is no path. Ask for one that starts with '/'."))

    def _check_codings(self, given: list[bytes]) -> None:
        if self.version != "1.1" or "CONTENT_LENGTH" in self.headers:
            raise self._refused(
                Refusal(400, "The request says twice how long its body is. Send Content-Length, or be chunked.")
            )
        if [value.strip() for value in given] != [b"chunked"]:
            raise self._refused(Refusal(501))
        self.body_rcv = Chunks(self.body_rcv.getbuf(), self.adj.max_request_body_size)

    def _check_path(self) -> None:
        try:
            self.path.encode("latin-1").decode("utf-8")
        except UnicodeError as error:  # bottle would leave out what it cannot read, and find another path
            raise self._refused(Refusal(400, "The path is no UTF-8 text. Percent-encode it as UTF-8.")) from error

    def _check_host(self, hosts: AllowedHosts) -> None:
        given = self.headers.get("HOST")
        if given is None and self.version == "1.1":
            raise self._refused(Refusal(400, "The request has no Host header. Send one."))
        host = given
        if self.proxy_scheme:
            host = self.headers["HOST"] = self.proxy_netloc  # RFC 9112, 3.2.2: what the header names does not count
        for each in (given, host):
            if each is not None and host_name(each) is None:
                raise self._refused(Refusal(400, "The Host header is no name or address, or came twice. Send one."))
        if host is not None and not hosts.allows(host):
            raise self._refused(Refusal(421))

    def _refused(self, refusal: Refusal) -> ParsingError:
        self._refusal = refusal
        return ParsingError(refusal.reason)


_OF_ONE_REQUEST = frozenset({"headers", *vars(Request(Heads(None, None)))})


def _has_bare_newline(received: bytes | bytearray, since: int) -> bool:
    """Return whether a newline from ``since`` on has no return before it."""
    return received.count(b"\n", since) != received.count(b"\r\n", since) + received.startswith(b"\n", since)
