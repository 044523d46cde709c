"""Bytes that are no honest request: each is answered as documented, and none is read as two."""

from __future__ import annotations

import gzip
import json
import posixpath
import time
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

import pytest
from waitress.adjustments import Adjustments

from mm_core.api.hosts import AllowedHosts
from mm_core.api.parsing import Heads, Request
from mm_core.api.refusals import LARGEST_HEAD, MOST_HEADERS
from tests.asking import http
from tests.attacks.conftest import PAYLOAD, Target
from tests.attacks.raw_http import Answer, answers_in, connect, exchange, request, rest_of

HOST = b"Host: 127.0.0.1\r\n"
PULL = PAYLOAD.encode()
CONFIG = "/api/models/m/symbols/SOLUSDT/factor-config"
HIDDEN = b"DELETE /api/models/m HTTP/1.1\r\n" + HOST + b"X-Request-Id: hidden\r\n\r\n"
"""A request that an attacker hides in the body of another: the model would be gone."""


def _get(target: bytes = PULL, *lines: bytes, version: bytes = b" HTTP/1.1", method: bytes = b"GET") -> bytes:
    return method + b" " + target + version + b"\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def _post(body: bytes, *lines: bytes, version: bytes = b" HTTP/1.1") -> bytes:
    return _get(b"/api/models", b"Content-Type: application/json", *lines, version=version, method=b"POST") + body


def _chunked(body: bytes) -> bytes:
    return _post(body, b"Transfer-Encoding: chunked")


CHUNKED = b"Transfer-Encoding: chunked"
LENGTHS: dict[str, tuple[int, bytes]] = {
    "both lengths, chunked first": (400, _post(b"0\r\n\r\n" + HIDDEN, CHUNKED, b"Content-Length: 5")),
    "both lengths, chunked last": (400, _post(b"0\r\n\r\n" + HIDDEN, b"Content-Length: 5", CHUNKED)),
    "both lengths, the body is the rest": (400, _post(b"0\r\n\r\n" + HIDDEN, b"Content-Length: 100", CHUNKED)),
    "both lengths in HTTP/1.0": (400, _post(b"0\r\n\r\n", b"Content-Length: 5", CHUNKED, version=b" HTTP/1.0")),
    "chunked in HTTP/1.0": (400, _post(b"0\r\n\r\n" + HIDDEN, CHUNKED, version=b" HTTP/1.0")),
    "two lengths": (400, _post(b"hello" + HIDDEN, b"Content-Length: 5", b"Content-Length: 6")),
    "one length twice": (400, _post(b"hello", b"Content-Length: 5", b"Content-Length: 5")),
    "two lengths in one line": (400, _post(b"hello", b"Content-Length: 5, 6")),
    "a signed length": (400, _post(b"hello" + HIDDEN, b"Content-Length: +5")),
    "a negative length": (400, _post(HIDDEN, b"Content-Length: -1")),
    "a length in hexadecimal": (400, _post(b"hello", b"Content-Length: 0x5")),
    "a length with a space": (400, _post(b"hello", b"Content-Length: 5 5")),
    "an empty length": (400, _post(b"hello", b"Content-Length: ")),
    "a length with an exponent": (400, _post(b"h", b"Content-Length: 1e0")),
    "a length in other digits": (400, _post(b"h", b"Content-Length: \xb2")),
    "a length that no number holds": (400, _post(b"h", b"Content-Length: " + b"9" * 5000)),
    "a length of 8 EiB": (413, _post(b"h", b"Content-Length: 9223372036854775808")),
    "identity behind chunked": (501, _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity")),
    "chunked twice": (501, _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked")),
    "chunked in two lines": (501, _post(b"0\r\n\r\n", CHUNKED, CHUNKED)),
    "xchunked": (501, _post(b"0\r\n\r\n" + HIDDEN, b"Transfer-Encoding: xchunked")),
    "no coding at all": (501, _post(HIDDEN, b"Transfer-Encoding:")),
    "chunked behind gzip": (501, _post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked")),
    "chunked behind a control character": (400, _post(b"0\r\n\r\n", b"Transfer-Encoding: \x0bchunked")),
    "chunked with a semicolon": (501, _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked;a=b")),
    "a space before the colon": (400, _post(b"0\r\n\r\n" + HIDDEN, b"Transfer-Encoding : chunked")),
    "a negative chunk": (400, _chunked(b"-1\r\n" + HIDDEN)),
    "a chunk with a prefix": (400, _chunked(b"0x5\r\nhello\r\n0\r\n\r\n")),
    "a chunk with a space": (400, _chunked(b" 5\r\nhello\r\n0\r\n\r\n")),
    "a chunk beyond all numbers": (413, _chunked(b"F" * 40 + b"\r\n" + HIDDEN)),
    "a chunk that wraps 64 bits": (413, _chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n")),
    "a chunk without its end": (400, _chunked(b"5\r\nhelloXX0\r\n\r\n")),
    "chunks with bare newlines": (400, _chunked(b"5\nhello\n0\n\n")),
    "a chunk's extension of 70 kB": (400, _chunked(b"5;" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n\r\n")),
    "a chunk's extension of nonsense": (400, _chunked(b"5;\x00\r\nhello\r\n0\r\n\r\n")),
    "a newline behind a chunk's length": (400, _chunked(b"5\n\r\nhello\r\n0\r\n\r\n")),
    "a newline behind a chunk's extension": (400, _chunked(b"5;a\n\r\nhello\r\n0\r\n\r\n")),
    "a newline behind the last chunk": (400, _chunked(b"2\r\n{}\r\n0\n\r\n\r\n")),
    "a return in a chunk's line": (400, _chunked(b"5\r;a\r\nhello\r\n0\r\n\r\n")),
    "an empty line before a chunk": (400, _chunked(b"\r\n2\r\n{}\r\n0\r\n\r\n")),
    "empty lines between chunks": (400, _chunked(b"1\r\n{\r\n\r\n\r\n1\r\n}\r\n0\r\n\r\n")),
    "a trailer with bare newlines": (400, _chunked(b"0\r\nX: y\nY: z\r\n\r\n")),
    "a trailer with NUL": (400, _chunked(b"0\r\nX: \x00\r\n\r\n")),
    "a trailer without a colon": (400, _chunked(b"0\r\nnothing\r\n\r\n")),
    "a folded trailer": (400, _chunked(b"0\r\nX: a\r\n b\r\n\r\n")),
    "a quoted extension without its end": (400, _chunked(b'2;a="b\r\n{}\r\n0\r\n\r\n')),
    "more small chunks than anybody sends": (400, _chunked(b"1\r\n{\r\n" * 1100 + b"0\r\n\r\n")),
    "trailers of 100 kB": (400, _chunked(b"0\r\n" + b"X: y\r\n" * 17_000)),
}  # fmt: skip

HEADS: dict[str, tuple[int, bytes]] = {
    "a folded header": (400, _get(PULL, b"X: a", b" b")),
    "a folded header with a tab": (400, _get(PULL, b"X: a", b"\tContent-Length: 5")),
    "a header before the first": (400, b"GET " + PULL + b" HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n"),
    "bare newlines": (400, _get().replace(b"\r\n", b"\n")),
    "one bare newline": (400, _get(PULL, b"X: a\nY: b")),
    "a bare return": (400, _get(PULL, b"X: a\rY: b")),
    "NUL in a name": (400, _get(PULL, b"X\x00: a")),
    "NUL in a value": (400, _get(PULL, b"X: a\x00b")),
    "a bell in a value": (400, _get(PULL, b"X: \x07")),
    "DEL in a value": (400, _get(PULL, b"X: \x7f")),
    "no name": (400, _get(PULL, b": a")),
    "no colon": (400, _get(PULL, b"nothing")),
    "a name of other letters": (400, _get(PULL, b"X\xff: a")),
    "a value of other letters": (200, _get(PULL, b"User-Agent: \xff\xfe")),
    "no host": (400, b"GET " + PULL + b" HTTP/1.1\r\n\r\n"),
    "two hosts": (400, _get(PULL, b"Host: evil.example")),
    "more headers than honest clients have": (431, _get(PULL, *[b"a: b"] * MOST_HEADERS)),
    "10,000 headers": (431, _get(PULL, *[b"a: b"] * 10_000)),
    "a header of 1 MB": (431, _get(PULL, b"a: " + b"b" * (1 << 20))),
    "a header of 1 MB without an end": (431, _get(PULL, b"a: " + b"b" * (1 << 20))[:-4]),
    "If-None-Match of 100 kB": (431, _get(PULL, b"If-None-Match: " + b'"x", ' * 20_000)),
    "If-None-Match of 60 kB": (200, _get(PULL, b"If-None-Match: " + b'"x", ' * 12_000)),
    "Accept-Encoding of 60 kB": (200, _get(PULL, b"Accept-Encoding: " + b"gzip;q=0," * 6_000)),
    "Accept-Encoding of 30,000 quotes": (200, _get(PULL, b"Accept-Encoding: " + b'a="' * 20_000)),
    "Range of 60 kB": (200, _get(PULL, b"Range: bytes=" + b"0-," * 20_000)),
    "a query of 60 kB": (200, _get(PULL + b"?" + b"a=b&" * 15_000)),
    "a path of 64 KiB": (431, _get(b"/" + b"a" * LARGEST_HEAD)),
    "a path of 60 kB": (404, _get(b"/api/models/m/model/" + b"a" * 60_000)),
    "a lower case method": (400, _get(method=b"get")),
    "an unknown method": (405, _get(method=b"BREW")),
    "TRACE": (405, _get(method=b"TRACE")),
    "a method of 60 kB": (405, _get(method=b"A" * 60_000)),
    "HTTP/0.9": (400, _get(version=b"")),
    "HTTP/0.9 by name": (505, _get(version=b" HTTP/0.9")),
    "HTTP/1.2": (505, _get(version=b" HTTP/1.2")),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP in lower case": (400, _get(version=b" http/1.1")),
    "two spaces": (400, _get(version=b"  HTTP/1.1")),
    "TLS": (400, bytes.fromhex("16030100c8010000c40303") + bytes(190)),
    "all bytes": (400, bytes(range(256)) * 40),
    "a space first": (400, b" " + _get()),
    "a newline first": (400, b"\n" + _get()),
    "an empty line first": (200, b"\r\n" + _get()),
    "a thousand empty lines first": (200, b"\r\n" * 1000 + _get()),
    "an empty line and a control character first": (400, b"\r\n\x0b" + _get()),
    "an empty line and a space first": (400, b"\r\n " + _get()),
    "a space behind the version": (400, _get(version=b" HTTP/1.1 ")),
    "a tab before the version": (400, _get(version=b"\tHTTP/1.1")),
    "a vertical tab behind the version": (400, _get(version=b" HTTP/1.1\x0b")),
    "two hosts, absolute": (400, _get(b"http://127.0.0.1" + PULL, b"Host: evil.example")),
    "no host, absolute": (400, b"GET http://127.0.0.1" + PULL + b" HTTP/1.1\r\n\r\n"),
    "a host that is none, absolute": (400, b"GET http://127.0.0.1" + PULL + b" HTTP/1.1\r\nHost: a b\r\n\r\n"),
}  # fmt: skip

TARGETS: dict[str, tuple[int, bytes]] = {
    "another host, absolute": (200, b"http://evil.example" + PULL),
    "another scheme": (400, b"ftp://127.0.0.1" + PULL),
    "absolute, double encoded": (404, b"http://127.0.0.1/api/models/%256d/symbols"),
    "absolute, a question mark in a name": (404, b"http://127.0.0.1/api/models/m%3fx/symbols"),
    "absolute, a fragment in a name": (404, b"http://127.0.0.1/api/models/m%23x/symbols"),
    "absolute with a name and a password": (400, b"http://a:b@127.0.0.1" + PULL),
    "absolute with half an address": (400, b"http://[::1" + PULL),
    "absolute without a host": (400, b"http://" + PULL),
    "a tab": (400, PULL.replace(b"/model/", b"/mod\tel/")),
    "a tab in a list": (400, b"/api/mod\tels"),
    "a return": (400, PULL + b"\rx"),
    "NUL as it is": (400, PULL + b"\x00"),
    "NUL in a query": (400, PULL + b"?a=\x00"),
    "a unit separator at the end": (400, PULL + b"\x1f"),
    "DEL": (400, PULL + b"\x7f"),
    "a bell, absolute": (400, b"http://127.0.0.1\x07" + PULL),
    "authority": (400, b"127.0.0.1:6300"),
    "asterisk": (404, b"*"),
    "no slash": (400, b"api/models"),
    "a query alone": (400, b"?a=b"),
    "two slashes": (404, b"//api/../etc/passwd"),
    "dots": (404, b"/api/../api/models"),
    "dots behind a model": (404, b"/api/models/m/model/../../m/symbols"),
    "encoded dots": (404, b"/%2e%2e/%2e%2e/etc/passwd"),
    "an encoded slash": (404, b"/api/models/m/model/..%2f..%2fetc"),
    "NUL": (404, b"/api/models/m%00/symbols"),
    "newlines": (404, b"/api/models/m%0d%0aX-Injected:%20y/symbols"),
    "double encoded dots": (404, b"/api/models/%252e%252e%252f%252e%252e%252fm/symbols"),
    "a double encoded name": (404, b"/api/models/%256d/symbols"),
    "overlong UTF-8": (400, b"/api/models/%c0%ae%c0%ae%c0%afm/symbols"),
    "no UTF-8 beside a name": (400, b"/api/models/%ff%fem/symbols"),
    "a surrogate": (400, b"/api/models/%ed%a0%80/symbols"),
    "a fragment": (200, PULL + b"#part"),
    "a backslash": (404, b"/api\\..\\models"),
}  # fmt: skip


def _check(target: Target, status: int, data: bytes) -> Answer:
    answers = exchange(target.url, data)
    assert [answer.status for answer in answers] == [status], answers
    (answer,) = answers
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = json.loads(answer.body)
        assert (problem["status"], problem["request_id"]) == (status, answer.headers["x-request-id"])
        assert problem["detail"].endswith(".")
    return answer


@pytest.mark.parametrize(("status", "data"), LENGTHS.values(), ids=LENGTHS.keys())
def test_a_body_without_one_certain_length_is_refused_and_nothing_behind_it_is_read(
    target: Target, asked_again: Callable[[], None], status: int, data: bytes
) -> None:
    answer = _check(target, status, data)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("status", "data"), HEADS.values(), ids=HEADS.keys())
def test_a_head_that_is_no_head_is_refused(
    target: Target, asked_again: Callable[[], None], status: int, data: bytes
) -> None:
    answer = _check(target, status, data)
    assert answer.body == target.body or status != 200


@pytest.mark.parametrize(("status", "path"), TARGETS.values(), ids=TARGETS.keys())
def test_a_target_leads_where_it_says_once_decoded_or_nowhere(
    target: Target, asked_again: Callable[[], None], status: int, path: bytes
) -> None:
    answer = _check(target, status, _get(path))
    assert answer.body == target.body or status != 200
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize("before", [b"", b"http://127.0.0.1"], ids=["path", "absolute"])
@pytest.mark.parametrize("name", [b"%256d", b"%25256d", b"..%252fm", b"m%2500", b"m%252f..%252fm", b"%256D"])
def test_a_name_that_is_encoded_twice_is_not_the_one_that_is_written_or_deleted(
    target: Target, asked_again: Callable[[], None], before: bytes, name: bytes
) -> None:
    path = before + b"/api/models/" + name
    config = http.get(target.url + CONFIG).json()
    body = json.dumps({"SOLUSDT": {"mean_values": [9.0] * 3, "variance_values": [9.0] * 3}}).encode()
    lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body))
    _check(target, 404, _get(path, method=b"DELETE"))
    _check(target, 404, _get(path + b"/refresh", method=b"POST"))
    for symbol in (b"SOLUSDT", b"%2553OLUSDT"):
        _check(target, 404, _get(path + b"/symbols/" + symbol + b"/factor-config", *lines, method=b"PUT") + body)
    _check(target, 404, _get(b"/api/models/m/symbols/%2553OLUSDT/factor-config", *lines, method=b"PUT") + body)
    assert http.get(target.url + CONFIG).json() == config


def test_a_chunk_of_one_byte_a_line_is_a_body_like_any_other(target: Target) -> None:
    body = b'{"model_name": "../m", "root_path": "/"}'
    chunks = b"".join(b"1;name=value\r\n" + bytes([byte]) + b"\r\n" for byte in body) + b"0\r\nX-Trailer: a\r\n\r\n"
    answers = exchange(target.url, _chunked(chunks) + _get())
    assert [answer.status for answer in answers] == [400, 200]
    assert "model name" in json.loads(answers[0].body)["title"].lower()


ENDLESS: dict[str, bytes] = {
    "a scheme of letters": b"GET a://" + b"a" * 60_000 + b" X\r\n" + HOST + b"\r\n",
    "a scheme and digits": b"GET a://" + b"1" * 60_000 + b" X\r\n" + HOST + b"\r\n",
    "digits, absolute": b"GET http://" + b"1" * 60_000 + b" X\r\n" + HOST + b"\r\n",
    "digits, absolute and whole": _get(b"http://" + b"1" * 60_000),
    "schemes": _get(b"/a://1" * 10_000),
    "colons": _get(b"/" + b":" * 60_000),
    "a line of spaces": b"GET" + b" " * 60_000 + b"/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "brackets": _get(b"http://[" + b"[" * 60_000),
    "digits of a length": _post(b"", b"Content-Length: " + b"1" * 60_000),
    "codings": _post(b"", b"Transfer-Encoding: " + b"chunked," * 7_000),
    "transfer codings in lines": _post(b"", *[b"Transfer-Encoding: " + b" " * 500] * 95),
    "digits of a host": b"GET / HTTP/1.1\r\nHost: " + b"1." * 30_000 + b"\r\n\r\n",
    "extensions of a chunk": _chunked(b"5" + b";a=b" * 16_000),
    "a quoted extension": _chunked(b'5;a="' + b'\\"' * 4_000 + b"\r\n"),
    "a chunk's line in pieces": _chunked(b"5;" + b"a" * 1000 + b"\x00\r\n"),
    "trailers": _chunked(b"0\r\n" + b"a: b\r\n" * 100_000),
    "small chunks": _chunked(b"1\r\na\r\n" * ((4 << 20) // 6) + b"0\r\n\r\n"),
    "spaces before a value": _get(PULL, b"X:" + b" " * 60_000 + b"a"),
    "tabs before a value": _get(PULL, b"X:" + b" \t" * 30_000 + b"a"),
    "spaces and a control character": _get(PULL, b"X:" + b" " * 60_000 + b"\x00"),
    "words and a control character": _get(PULL, b"X: " + b"a  " * 20_000 + b"\x00"),
    "headers of one name": _get(PULL, *[b"a: " + b"b" * 600] * 95),
    "lines folded": _get(PULL, b"a: b", *[b" b"] * 15_000),
    "colons and spaces": _get(PULL, *[b"a:  :" + b":  " * 200] * 95),
    "slashes": _get(b"/" * 60_000),
    "percent signs": _get(b"/" + b"%2" * 30_000),
    "no end of a chunk's line": _chunked(b"a" * (8 << 20)),
    "no end of a trailer": _chunked(b"0\r\n" + b"a" * (8 << 20)),
}  # fmt: skip


def _seconds(data: bytes, step: int = 8192) -> tuple[Request, float]:
    """Return the request in bytes that arrive in pieces, and the processor time that reading it took."""
    parser, position = Request(Heads(Adjustments(max_request_header_size=LARGEST_HEAD), AllowedHosts(None))), 0
    started = time.process_time()
    while not parser.completed and position < len(data):
        position += parser.received(data[position : position + step])
    return parser, time.process_time() - started


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS.keys())
def test_no_bytes_hold_up_the_thread_that_reads_for_all(data: bytes) -> None:
    parser, seconds = _seconds(data)
    assert parser.completed
    assert seconds < 0.05


@pytest.mark.parametrize("data", [_get(PULL, b"a: " + b"b" * 65_000), _get(b"/" + b"%C3%A4" * 10_800)])
def test_a_head_that_comes_byte_by_byte_costs_what_its_bytes_cost(data: bytes) -> None:
    parser, seconds = _seconds(data, 1)
    assert parser.error is None
    assert seconds < 0.5


def test_a_head_without_an_end_that_comes_byte_by_byte_is_refused_at_its_bound() -> None:
    parser, seconds = _seconds(_get(PULL, b"a: " + b"b" * LARGEST_HEAD), 1)
    assert parser.error.code == 431
    assert seconds < 0.5


def test_a_body_in_chunks_costs_little_more_than_its_bytes() -> None:
    chunk = b"40\r\n" + b"a" * 64 + b"\r\n"

    def seconds(count: int) -> float:
        parser, found = _seconds(_chunked(chunk * count + b"0\r\n\r\n"))
        assert (parser.error, len(parser.body_rcv)) == (None, 64 * count)
        parser.close()
        return found

    few, many = (min(seconds(count) for _ in range(3)) for count in (20_000, 100_000))
    assert many < 15 * few, "five times as much, both beyond what stays in memory, with room for noise"
    assert many < 5


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_a_request_in_pieces_is_the_request(step: int) -> None:
    body = b'1\r\n{\r\n01;a;b=c;d="e \\" f"\r\n}\r\n000\r\nX-Trailer: a\r\nY:\r\n\r\n'
    data = b"\r\n\r\n" + _chunked(body) + _get()
    requests, position = [Request(Heads(Adjustments(), AllowedHosts(None)))], 0
    while position < len(data):
        if requests[-1].completed:
            requests.append(Request(Heads(Adjustments(), AllowedHosts(None))))
        position += requests[-1].received(data[position : position + step])
    whole = [each for each in requests if not each.empty]
    assert [each.command for each in whole] == ["POST", "GET"]
    assert whole[0].body_rcv.getfile().read() == b"{}"
    assert [each.completed and each.error is None for each in whole] == [True, True]


def test_a_hundred_requests_at_once_are_answered_in_their_order(target: Target) -> None:
    tag = exchange(target.url, _get())[0].headers["etag"]
    kinds: list[tuple[bytes, str, int]] = [
        (request(PAYLOAD), "GET", 200),
        (request("/api/models/m/symbols"), "GET", 200),
        (request(PAYLOAD, If_None_Match=tag), "GET", 304),
        (request(PAYLOAD, "HEAD"), "HEAD", 200),
        (request("/nothing"), "GET", 404),
        (request("/api/models", "POST", b"{}", Content_Type="application/json"), "POST", 400),
        (request(PAYLOAD + "?group_key=SOLUSDT_mid_chg_1m"), "GET", 200),
    ]
    chosen = [kinds[(number * 5 + number // 7) % 7] for number in range(100)]
    marked = [
        data.replace(b"Host:", f"X-Request-Id: number-{number}\r\nHost:".encode())
        for number, (data, _, _) in enumerate(chosen)
    ]
    answers = exchange(target.url, b"".join(marked), methods=" ".join(method for _, method, _ in chosen), seconds=20)
    assert [answer.headers["x-request-id"] for answer in answers] == [f"number-{number}" for number in range(100)]
    assert [answer.status for answer in answers] == [status for _, _, status in chosen]


def test_a_bad_request_among_good_ones_ends_the_line(target: Target) -> None:
    data = request(PAYLOAD) + _get(PULL, b"X: a", b" b") + HIDDEN + request(PAYLOAD)
    assert [answer.status for answer in exchange(target.url, data)] == [200, 400]


def test_an_answer_does_not_wait_for_the_one_behind_it(target: Target) -> None:
    revision = http.get(target.url + "/api/models/m/changes").json()["revision"]
    changes = f"/api/models/m/changes?since={revision}&wait=4"
    with connect(target.url) as connection:
        started = time.monotonic()
        connection.sendall(request("/api/models/m/symbols") + request(changes))
        first = connection.recv(64)
        assert time.monotonic() - started < 2
        connection.sendall(request("/nothing", Connection="close"))
        statuses = [answer.status for answer in answers_in(first + rest_of(connection, 10))]
        assert time.monotonic() - started > 3.5, "the second one waited"
    assert statuses == [200, 200, 404]


def test_nginx_in_front_and_the_server_read_the_same_requests(front: str, target: Target) -> None:
    behind = request("/api/models/m/symbols", Connection="close", X_Request_Id="behind")
    for name, (_, data) in LENGTHS.items():
        first, *more = exchange(front, data + behind, half_close=False, seconds=1)
        assert first.status in {400, 411, 413, 415, 501}, name
        assert [answer.status for answer in more] in ([], [200]), name
    honest = exchange(front, _post(b"2\r\n{}\r\n0\r\n\r\n", CHUNKED) + behind, half_close=False)
    assert [answer.status for answer in honest] == [400, 200]
    log = target.server.log.read_text()
    assert '"request_id": "behind"' in log
    assert '"request_id": "hidden"' not in log
    assert '"method": "DELETE", "path": "/api/models/m",' not in log


def test_paths_through_nginx_lead_no_further_than_without_it(front: str, target: Target) -> None:
    answered = 0
    for name, (status, path) in TARGETS.items():
        (through,) = exchange(front, _get(path, b"Accept-Encoding: gzip", b"Connection: close"), half_close=False)
        if through.status == 200:  # nginx leaves schemes out, and resolves dots, before it asks
            assert status == 200 or b"/../" in path or not path.startswith(b"/"), name
            resolved = posixpath.normpath(unquote(urlsplit(path.decode()).path))
            direct = http.get(target.url + quote(resolved), headers={"Accept-Encoding": "identity"})
            is_gzip = through.headers.get("content-encoding") == "gzip"
            assert (gzip.decompress(through.body) if is_gzip else through.body) == direct.content, name
            answered += 1
        assert through.status < 500, name
    assert answered >= 3


def test_a_config_as_large_as_the_server_takes_passes_nginx(front: str) -> None:
    body = json.dumps({"SOLUSDT": {"mean_values": [0.5] * 500_000, "variance_values": []}}).encode()
    assert 2 << 20 < len(body) < 8 << 20
    (answer,) = exchange(
        front, request(CONFIG, "PUT", body, Content_Type="application/json", Connection="close"), half_close=False
    )
    assert answer.status == 400, "the server's own answer"
    assert answer.headers["content-type"] == "application/problem+json"
