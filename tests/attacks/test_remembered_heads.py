"""A head that came before says what it said the first time, and nothing of one request reaches another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments

from mm_core.api.hosts import AllowedHosts
from mm_core.api.parsing import LONGEST_REMEMBERED, REMEMBERED_HEADS, Heads, Request
from mm_core.api.refusals import LARGEST_HEAD
from tests.attacks.test_raw_requests import HEADS, HIDDEN, LENGTHS, TARGETS

HOSTS = AllowedHosts(["models.example"])
PULL = b"GET /api/models/m/model/SOLUSDT HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n"
LINES = (
    b"Host: 127.0.0.1", b"Host: models.example", b"Host: elsewhere.example", b"Host: a b", b"Connection: close",
    b"Connection: keep-alive", b"Expect: 100-continue", b"Content-Length: 5", b"Content-Length: 0",
    b"Content-Length: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"X-Under_score: 1",
    b"X-Pad:   \t a  ",
    b" folded",
    b"X-Latin: \xe9\xff", b"X-Control: \x00", b"X-Request-Id: one", b"If-None-Match: \"a\"", b"If-None-Match: \"b\"",
)  # fmt: skip
FIRST_LINES = (
    b"GET / HTTP/1.1", b"HEAD / HTTP/1.1", b"GET / HTTP/1.0", b"GET /", b"GET  / HTTP/1.1", b"GET * HTTP/1.1",
    b"GET http://models.example/a?b=c#d HTTP/1.1", b"GET http://elsewhere.example/ HTTP/1.1", b"GET //a HTTP/1.1",
    b"GET /%2e%2e/%FF HTTP/1.1", b"GET /a HTTP/2.0", b"GET http://[::1/ HTTP/1.1", b"POST / HTTP/1.1",
    b"get / HTTP/1.1",
)  # fmt: skip


def _heads() -> Heads:
    return Heads(Adjustments(max_request_header_size=LARGEST_HEAD), HOSTS)


def _said(heads: Heads, data: bytes) -> dict[str, Any]:
    """Return all that a request is known by once ``data`` arrived."""
    request = Request(heads)
    taken = request.received(data)
    rest = {"began", "_heads", "adj", "_refusal", "error", "body_rcv"}
    said = {name: value for name, value in vars(request).items() if name not in rest}
    error = request.error
    body = request.body_rcv
    return said | {
        "taken": taken,
        "refused": None if error is None else (error.code, error.reason, error.body),
        "body": None if body is None else (type(body).__name__, len(body), body.completed),
    }


def _check(data: bytes) -> None:
    heads = _heads()
    first = _said(heads, data)
    assert _said(heads, data) == first
    never_remembered = _heads()
    never_remembered.read = lambda head: None  # type: ignore[method-assign, assignment]
    assert _said(never_remembered, data) == first


@pytest.mark.parametrize("data", [each for _, each in [*HEADS.values(), *TARGETS.values(), *LENGTHS.values()]])
def test_an_attack_reads_the_same_when_it_comes_again(data: bytes) -> None:
    _check(data)
    _check(data.replace(b"POST ", b"GET ", 1))


@given(
    st.sampled_from(FIRST_LINES), st.lists(st.sampled_from(LINES), max_size=5), st.sampled_from([b"", b"hello", HIDDEN])
)
def test_any_head_reads_the_same_when_it_comes_again(first: bytes, lines: list[bytes], behind: bytes) -> None:
    _check(b"\r\n".join([first, *lines, b"", b""]) + behind)


def test_what_is_done_to_one_request_is_not_seen_in_the_next() -> None:
    heads = _heads()
    first, second = Request(heads), Request(heads)
    first.received(PULL)
    first.headers["X_FORWARDED_FOR"] = "10.0.0.1"
    first.path = "/elsewhere"
    second.received(PULL)
    assert "X_FORWARDED_FOR" not in second.headers
    assert second.path == "/api/models/m/model/SOLUSDT"
    assert heads.read.cache_info().hits == 1


def test_memory_of_heads_is_bounded_in_number_and_length() -> None:
    heads = _heads()
    for number in range(3 * REMEMBERED_HEADS):
        Request(heads).received(PULL.replace(b"SOLUSDT", b"%d" % number))
    assert heads.read.cache_info().currsize == REMEMBERED_HEADS
    long = PULL.replace(b"SOLUSDT", b"S" * LONGEST_REMEMBERED)
    for _ in range(2):
        Request(heads).received(long)
    assert heads.read.cache_info().hits == 0


def test_requests_that_write_are_read_each_time() -> None:
    heads = _heads()
    data = b"DELETE /api/models/m HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer secret\r\n\r\n"
    for _ in range(2):
        Request(heads).received(data)
    assert heads.read.cache_info().currsize == 0
