"""Pulls of ready payloads over real connections: the same answers as the application's, in order, whole, and noted."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import pickle
import random
import re
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from backports import zstd

from mm_core.probe import probe
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.store import NoteDirectory
from mm_core.wiring import open_registry
from tests.api.conftest import RunningServer, save_mean, servers_below
from tests.asking import http
from tests.conftest import write_group_below
from tests.waiting import wait_until

Start = Callable[..., RunningServer]
PAYLOAD = "/api/models/m/model/SOLUSDT"
BY_APPLICATION = f"{PAYLOAD}?group_key=SOLUSDT_mid_chg_1m"
CONFIG = "/api/models/m/symbols/SOLUSDT/factor-config"
ROUTE = "/api/models/<model_name>/model/<symbol>"
CODINGS: list[str | None] = [
    None, "", "gzip", "zstd", "br", "gzip;q=0", "*", "*;q=0", "identity", "identity, gzip;q=0.5", "GZIP", "gzip, zstd",
    "deflate, gzip;q=0.9, zstd;q=0.1", "gzip;q=x", "gzip" + " " * 600,
]  # fmt: skip

PATHS = [
    PAYLOAD, "/api/models/m/model/solusdt", "/api/models/m/model/%53OLUSDT", "/%61pi/models/m/model/SOLUSDT",
    "/api/models/%6D/model/SOLUSDT", f"{PAYLOAD}?", f"{PAYLOAD}?a=b", f"{PAYLOAD}#part", f"http://else.example{PAYLOAD}",
    f"{PAYLOAD}/", f"/{PAYLOAD}", "/api//models/m/model/SOLUSDT", f"{PAYLOAD}%2F", f"{PAYLOAD}%00", f"{PAYLOAD};v=1",
    f"{PAYLOAD}%20", f"{PAYLOAD}+", "/api/models/m/model/%", "/api/models/m/model/%zz", "/api/models/m/model/",
    "/api/models//model/SOLUSDT", "/api/models/m/model", "/api/models/M/model/SOLUSDT", "/api/models/n/model/SOLUSDT",
    "/api/models/m/model/nope", "/api/models/m/model/" + "x" * 5000, "/api/models/m/model/..",
    "/api/models/m%2Fmodel/SOLUSDT", "/API/models/m/model/SOLUSDT",
]  # fmt: skip
PATHS_BEYOND_ASCII = [
    "/api/models/m/model/%C3%84%C3%96_%C3%9F", "/api/models/m/model/%c3%a4%C3%B6_ss",
    "/api/models/m/model/%E6%AF%94", "/api/models/m/model/%FF", "/api/models/m/model/%C3", "/api/models/%C3%84/model/S",
    "/api/models/m/model/%ED%B3%BF",
]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def but(self, *left_out: str) -> tuple[int, dict[str, str], bytes]:
        """Return what can be compared: everything but the time, the request's id and what is named."""
        kept = {name: value for name, value in self.headers.items() if name not in {"date", "x-request-id", *left_out}}
        return self.status, kept, self.body

    def whole(self) -> bytes:
        """Return the body without its coding."""
        coding = self.headers.get("content-encoding", "identity")
        return {"identity": bytes, "gzip": gzip.decompress, "zstd": zstd.decompress}[coding](self.body)


class Wire:
    """A connection on which requests are written as they are."""

    def __init__(self, url: str, receive_buffer: int | None = None) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect((host, int(port)))
        self.received = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *requests: bytes) -> None:
        """Write requests, one right after the other."""
        self.socket.sendall(b"".join(requests))

    def answer(self, method: str = "GET", size: int = 65536) -> Answer | None:
        """Return the next whole answer, None where the connection was closed without a byte of it."""
        found = self._parsed(method)
        while found is None:
            try:
                data = self.socket.recv(size)
            except ConnectionError:
                data = b""
            if not data:
                assert self.received == b"", "an answer was cut"
                return None
            self.received += data
            found = self._parsed(method)
        return found

    def ask(self, path: str, method: str = "GET", version: str = "1.1", **headers: str | None) -> Answer:
        """Send one request and return its answer."""
        self.send(request(path, method, version, **headers))
        found = self.answer(method)
        assert found is not None, "closed without an answer"
        return found

    def is_closed(self) -> bool:
        """Wait for the end of the connection; return whether nothing came before it."""
        return self.received == b"" and self.answer() is None

    def _parsed(self, method: str) -> Answer | None:
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(headers) == len(lines), "a header came twice"
        status = int(first.split(" ")[1])
        has_body = method != "HEAD" and status not in {100, 304}
        size = int(headers["content-length"]) if has_body else 0
        if len(rest) < size:
            return None
        self.received = rest[size:]
        return Answer(status, headers, rest[:size])


def request(path: str, method: str = "GET", version: str = "1.1", **headers: str | None) -> bytes:
    """Return the bytes of a request; header names are written with underscores, None leaves one out."""
    given = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value is not None)
    return f"{method} {path} HTTP/{version}\r\n{lines}\r\n".encode()


@pytest.fixture
def state(settings: Settings) -> Registry:
    """The state of the started servers as another process sees it."""
    return open_registry(settings)


@pytest.fixture
def server(start_server: Start, state: Registry, model_root: Path) -> RunningServer:
    """A server of a test's own, whose model ``m`` is published."""
    return _published(start_server, state, model_root)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, booster_json: bytes) -> Iterator[RunningServer]:
    """A server like that of a test's own, which no test changes or stops."""
    place = tmp_path_factory.mktemp("standing")
    for key in ("BTCUSDT_mid_chg_1m", "SOLUSDT_mid_chg_1m"):
        write_group_below(place / "root", booster_json, key)
    state = open_registry(load_settings({"MODEL_MANAGER_DATA_DIR": str(place / "data")}))
    with servers_below(place) as start:
        yield _published(start, state, place / "root")


def _published(start: Start, state: Registry, root: Path) -> RunningServer:
    state.registrations.register("m", str(root))
    running = start(WATCH_ENABLED="0")
    wait_ready(state, "BTCUSDT", "SOLUSDT")
    http.get(running.url + PAYLOAD, headers={"Accept-Encoding": "identity"})  # what is decoded once is at hand then
    return running


def wait_ready(state: Registry, *symbols: str) -> None:
    """Wait until symbols of model ``m`` are published."""
    deadline = time.monotonic() + 10
    while any(state.published.find("m", symbol) is None for symbol in symbols):
        assert time.monotonic() < deadline, "not published"
        time.sleep(0.005)


def lines_of(server: RunningServer) -> list[dict[str, Any]]:
    """Return what a stopped server logged of its requests."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line for line in lines if line["event"] == "request"]


def conditions_of(tag: str) -> list[str | None]:
    """Return what may stand in If-None-Match, for an identity body's tag."""
    digest = tag.strip('"')
    return [
        None, f'"{digest}"', f'"{digest}-gz"', f'"{digest}-zst"', f'W/"{digest}"', f'W/"{digest}-gz"',
        f'"other", "{digest}", W/"{digest}-gz"', '"other"', "*", digest, "", '"', ",,", '"é"', "W/", f'"{digest}" x',
        '"other", ' * 80 + f'"{digest}"',
    ]  # fmt: skip


def test_the_ready_way_and_the_applications_give_the_same_answers(standing: RunningServer) -> None:
    with Wire(standing.url) as ready, Wire(standing.url) as application:
        conditions = conditions_of(ready.ask(PAYLOAD).headers["etag"])
        seen = set()
        for method, coding, condition in itertools.product(("GET", "HEAD"), CODINGS, conditions):
            headers = {"Accept_Encoding": coding, "If_None_Match": condition}
            mine = ready.ask(PAYLOAD, method, **headers)
            assert mine.but() == application.ask(BY_APPLICATION, method, **headers).but(), (method, headers)
            seen.add((method, mine.status, mine.headers.get("content-encoding")))
    codings = (None, "gzip", "zstd")
    assert seen == {
        *((method, 200, coding) for method in ("GET", "HEAD") for coding in codings),
        *((method, 304, None) for method in ("GET", "HEAD")),
    }


def test_a_payload_is_answered_before_it_is_published_as_after(
    start_server: Start, state: Registry, settings: Settings, model_root: Path
) -> None:
    state.registrations.register("m", str(model_root))
    lock = NoteDirectory(settings.data_dir / "published").take_lock()
    assert lock is not None
    server = start_server(WATCH_ENABLED="0")
    with Wire(server.url) as bot:
        tag = bot.ask(PAYLOAD).headers["etag"]
        asked = list(itertools.product(("GET", "HEAD"), (None, "gzip", "zstd"), (None, tag, '"other"')))
        before = [bot.ask(PAYLOAD, way, Accept_Encoding=coding, If_None_Match=had) for way, coding, had in asked]
        assert state.published.find("m", "SOLUSDT") is None
        lock.release()
        wait_ready(state, "SOLUSDT")
        after = [bot.ask(PAYLOAD, way, Accept_Encoding=coding, If_None_Match=had) for way, coding, had in asked]
    assert [answer.but() for answer in after] == [answer.but() for answer in before]


def test_an_older_protocol_gets_the_same_answer_and_the_end_of_the_connection(standing: RunningServer) -> None:
    for coding in (None, "gzip"):
        with Wire(standing.url) as ready, Wire(standing.url) as old:
            mine = ready.ask(PAYLOAD, Accept_Encoding=coding)
            assert mine.but() == old.ask(PAYLOAD, version="1.0", Accept_Encoding=coding).but("connection")
            assert old.is_closed()


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-9"}, {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"Connection": "keep-alive"}, {"Connection": "Keep-Alive"}, {"Content_Length": "0"}, {"Accept": "text/html"},
        {"Cookie": "a=b", "Origin": "https://evil.example"}, {"TE": "trailers"}, {"Authorization": "Bearer x"},
        {"X_Forwarded_For": "1.2.3.4", "Forwarded": "for=1.2.3.4"}, {"User_Agent": "bot/1 " + "x" * 5000},
    ],
    ids=lambda headers: next(iter(headers)),
)  # fmt: skip
def test_other_headers_change_nothing(standing: RunningServer, headers: dict[str, str]) -> None:
    with Wire(standing.url) as bot:
        plain = bot.ask(PAYLOAD)
        for condition in (None, plain.headers["etag"], '"other"'):
            expected = bot.ask(PAYLOAD, If_None_Match=condition)
            for path in (PAYLOAD, BY_APPLICATION):
                assert bot.ask(path, If_None_Match=condition, **headers).but() == expected.but()


def test_if_match_beside_if_none_match_is_understood_in_one_way(standing: RunningServer) -> None:
    with Wire(standing.url) as bot:
        tag = bot.ask(PAYLOAD).headers["etag"]
        for had, wanted in itertools.product((tag, '"other"', "*", ""), repeat=2):
            ready, application = (
                bot.ask(path, If_None_Match=had, If_Match=wanted) for path in (PAYLOAD, BY_APPLICATION)
            )
            assert ready.but() == application.but(), (had, wanted)


@pytest.fixture
def odd_server(start_server: Start, state: Registry, write_group: Callable[..., Path]) -> RunningServer:
    """A server with a symbol whose name is not all Latin letters."""
    info = pickle.dumps({"symbol": "ÄÖ_ß", "return_name": "r"}, protocol=4)
    write_group("ODD_r", info_pkl=info)
    state.registrations.register("m", str(write_group("SOLUSDT_mid_chg_1m")))
    running = start_server(WATCH_ENABLED="0")
    wait_ready(state, "SOLUSDT", "ÄÖ_ß")
    return running


def test_any_path_leads_to_the_answer_that_an_older_protocol_gets(odd_server: RunningServer) -> None:
    statuses = set()
    for path, method in itertools.product(
        [*PATHS, *PATHS_BEYOND_ASCII, "/api/models/m/model/ÄÖ_ß"], ("GET", "HEAD", "POST")
    ):
        with Wire(odd_server.url) as bot, Wire(odd_server.url) as old:
            ready = bot.ask(path, method, X_Request_Id="same", Accept_Encoding="gzip")
            application = old.ask(path, method, "1.0", X_Request_Id="same", Accept_Encoding="gzip")
        assert ready.but("connection") == application.but("connection"), (method, path)
        statuses.add((ready.status, ready.headers.get("content-type")))
    problem = "application/problem+json"
    refused = (400, problem)  # letters that should have been percent-encoded
    assert statuses == {(200, "application/json"), (404, problem), (405, problem), refused}


def test_a_symbol_may_be_written_in_any_letters(odd_server: RunningServer) -> None:
    with Wire(odd_server.url) as bot:
        for path in PATHS_BEYOND_ASCII[:2]:
            answer = bot.ask(path, Accept_Encoding="gzip")
            assert (answer.status, "ÄÖ_ß" in json.loads(answer.whole())["payload"]["factor_config"]) == (200, True)


def log_differences(server: RunningServer, paths: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Ask for paths in both protocols and return the lines of those that are logged in two ways; stops the server."""
    asked = {}
    for number, path in enumerate(paths):
        for version in ("1.1", "1.0"):
            with Wire(server.url) as bot:
                bot.ask(path, version=version, Accept_Encoding="gzip", X_Request_Id=f"{number}-{version}")
            asked[f"{number}-{version}"] = path
    assert server.stop() == 0
    found: dict[str, list[dict[str, Any]]] = {path: [] for path in paths}
    for line in lines_of(server):
        path = asked.get(line.pop("request_id"))
        if path is not None:
            size = line["bytes"] if line["status"] < 400 else None  # problems name the id, so their length may differ
            kept = {name: value for name, value in line.items() if name not in {"at", "ms"}}
            found[path].append({**kept, "bytes": size})
    assert {len(lines) for lines in found.values()} == {2}
    return {path: lines for path, lines in found.items() if lines[0] != lines[1]}


def test_any_path_is_logged_as_for_an_older_protocol(odd_server: RunningServer) -> None:
    assert log_differences(odd_server, PATHS) == {}


def test_a_path_beyond_ascii_is_logged_as_for_an_older_protocol(odd_server: RunningServer) -> None:
    assert log_differences(odd_server, PATHS_BEYOND_ASCII) == {}


def test_the_request_id_is_taken_over_or_made(standing: RunningServer) -> None:
    with Wire(standing.url) as bot:
        tag = bot.ask(PAYLOAD).headers["etag"]
        for condition in (None, tag):
            for given in ("abc-1.2_3", "x" * 64):
                answer = bot.ask(PAYLOAD, X_Request_Id=given, If_None_Match=condition)
                assert answer.headers["x-request-id"] == given
            for bad in ("", "a b", "x" * 65, "é", "a,b", '"', "<script>", "a\tb"):
                made = bot.ask(PAYLOAD, X_Request_Id=bad, If_None_Match=condition).headers["x-request-id"]
                assert re.fullmatch("[0-9a-f]{32}", made), bad
        ids = {bot.ask(PAYLOAD).headers["x-request-id"] for _ in range(10)}
    assert len(ids) == 10


def test_pulls_from_memory_are_told(server: RunningServer) -> None:
    def told() -> tuple[float, ...]:
        names = ("cache_hits_total", "cache_misses_total", "cache_bytes")
        return tuple(probe(server.url).figures[f"model_manager_{name}"] for name in names)

    with Wire(server.url) as bot:
        plain = len(bot.ask(PAYLOAD).body)
        assert told() == (1.0, 1.0, plain), "it was asked for before"
        zipped = len(bot.ask(PAYLOAD, Accept_Encoding="gzip").body)
        assert told() == (1.0, 2.0, plain + zipped), "the first of a coding is read from disk"
        for _ in range(3):
            tag = bot.ask(PAYLOAD, Accept_Encoding="gzip").headers["etag"]
        bot.ask(PAYLOAD, Accept_Encoding="gzip", If_None_Match=tag)
    assert told() == (4.0, 2.0, plain + zipped), "nothing is read for what a bot has"


def test_every_pull_is_in_the_log_and_in_the_metrics_once(server: RunningServer) -> None:
    def counted() -> dict[str, float]:
        text = http.get(server.url + "/metrics").text
        pattern = r'^model_manager_requests_total\{method="(\w+)",route="([^"]*)",status="(\d+)"\} (\S+)$'
        rows = re.findall(pattern, text, re.MULTILINE)
        return {f"{method} {status}": float(value) for method, route, status, value in rows if route == ROUTE}

    before = counted()
    seconds = f'model_manager_request_seconds_count{{route="{ROUTE}"}} '
    with Wire(server.url) as bot:
        plain, zipped = bot.ask(PAYLOAD), bot.ask(PAYLOAD, Accept_Encoding="gzip")
        sizes = {"plain": len(plain.body), "zipped": len(zipped.body)}
        for path, way in ((PAYLOAD, "ready"), (BY_APPLICATION, "application")):
            bot.ask(path, X_Request_Id=f"plain-{way}")
            bot.ask(path, X_Request_Id=f"zipped-{way}", Accept_Encoding="gzip")
            bot.ask(path, "HEAD", X_Request_Id=f"head-{way}")
            bot.ask(path, X_Request_Id=f"had-{way}", If_None_Match=plain.headers["etag"])
    after = counted()
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)}
    assert grown == {"GET 200": 6.0, "HEAD 200": 2.0, "GET 304": 2.0}
    (count,) = [line for line in http.get(server.url + "/metrics").text.splitlines() if line.startswith(seconds)]
    assert float(count.removeprefix(seconds)) == sum(after.values())
    assert server.stop() == 0
    lines = {line["request_id"]: line for line in lines_of(server)}
    for what, size in (("plain", sizes["plain"]), ("zipped", sizes["zipped"]), ("head", sizes["plain"]), ("had", 0)):
        ready, application = lines[f"{what}-ready"], lines[f"{what}-application"]
        assert (ready["route"], ready["path"], ready["bytes"], ready["client"]) == (ROUTE, PAYLOAD, size, "127.0.0.1")
        left_out = {"at", "ms", "request_id"}
        assert {name: ready[name] for name in ready if name not in left_out} == {
            name: application[name] for name in application if name not in left_out
        }
        assert 0 <= ready["ms"] < 5000
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", ready["at"])


@pytest.mark.parametrize("seed", range(2))
def test_pipelined_requests_are_answered_in_their_order(standing: RunningServer, seed: int) -> None:
    chance = random.Random(seed)
    with Wire(standing.url) as bot:
        kinds: list[tuple[str, str, dict[str, str]]] = [
            ("GET", PAYLOAD, {}),
            ("GET", PAYLOAD, {"Accept_Encoding": "gzip"}),
            ("GET", PAYLOAD, {"If_None_Match": bot.ask(PAYLOAD).headers["etag"]}),
            ("HEAD", PAYLOAD, {"Accept_Encoding": "zstd"}),
            ("GET", "/api/models/m/model/btcusdt", {}),
            ("GET", BY_APPLICATION, {}),
            ("GET", "/api/models", {}),
            ("GET", "/api/models/m/model/nope", {}),
            ("HEAD", "/api/models/m/symbols", {}),
        ]
        alone = [bot.ask(path, method, X_Request_Id="same", **headers).but() for method, path, headers in kinds]
        for round_number in range(15):
            chosen = [chance.randrange(len(kinds)) for _ in range(20)]
            written = [request(kinds[at][1], kinds[at][0], X_Request_Id="same", **kinds[at][2]) for at in chosen]
            whole = b"".join(written)
            cuts = sorted(chance.sample(range(1, len(whole)), round_number % 4))
            for start, end in itertools.pairwise([0, *cuts, len(whole)]):
                bot.send(whole[start:end])
            for at in chosen:
                answer = bot.answer(kinds[at][0])
                assert answer is not None
                assert answer.but() == alone[at]
                assert answer.headers["x-request-id"] == "same"


@pytest.mark.parametrize(
    "before",
    [
        [], [PAYLOAD], ["/api/models"], [PAYLOAD, "/api/models"], ["/api/models", PAYLOAD],
    ],
    ids=len,
)  # fmt: skip
def test_a_body_is_asked_for_behind_any_requests(standing: RunningServer, before: list[str]) -> None:
    body = b"{}"
    put = request(CONFIG, "PUT", Expect="100-continue", Content_Length="2", Content_Type="application/json")
    for _ in range(25):  # threads race for the connection's buffer: what is sent twice is sent so now and then
        with Wire(standing.url) as bot:
            bot.socket.settimeout(3)
            bot.send(*(request(path) for path in before), put)
            statuses = [answer.status for answer in (bot.answer() for _ in before) if answer is not None]
            assert statuses == [200] * len(before)
            go_on = bot.answer()
            assert go_on is not None
            assert go_on.status == 100
            bot.send(body)
            done = bot.answer()
            assert done is not None
            assert done.status == 400


def test_a_connection_is_closed_when_that_is_asked_for(standing: RunningServer) -> None:
    with Wire(standing.url) as bot:
        tag = bot.ask(PAYLOAD).headers["etag"]
        plain = bot.ask(PAYLOAD)
    for method, condition in itertools.product(("GET", "HEAD"), (None, tag)):
        with Wire(standing.url) as bot:
            bot.send(request(PAYLOAD), request(PAYLOAD, method, Connection="close", If_None_Match=condition))
            assert bot.answer() is not None
            last = bot.answer(method)
            assert last is not None
            assert last.headers["connection"] == "close"
            assert last.headers["etag"] == plain.headers["etag"]
            assert bot.is_closed()


def test_a_connection_stays_open_for_as_many_pulls_as_a_bot_likes(standing: RunningServer) -> None:
    with Wire(standing.url) as bot:
        tag = bot.ask(PAYLOAD).headers["etag"]
        answers = [bot.ask(PAYLOAD, If_None_Match=tag if number % 2 else None) for number in range(300)]
    assert [answer.status for answer in answers] == [200, 304] * 150
    assert all("connection" not in answer.headers for answer in answers)


def test_a_request_that_comes_byte_by_byte_is_answered(standing: RunningServer) -> None:
    with Wire(standing.url) as bot:
        expected = bot.ask(PAYLOAD)
        bot.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(PAYLOAD) * 2:
            bot.send(bytes([byte]))
        for _ in range(2):
            answer = bot.answer()
            assert answer is not None
            assert answer.but() == expected.but()


def test_bots_that_go_away_in_the_middle_leave_the_others_served(server: RunningServer) -> None:
    with Wire(server.url) as bot:
        expected = bot.ask(PAYLOAD).but()
        for number in range(60):
            with Wire(server.url) as gone:
                gone.send(*[request(PAYLOAD)] * (number % 5), request(PAYLOAD)[: number % 40])
                if number % 3 == 0:
                    reset = struct.pack("ii", 1, 0)
                    gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            assert bot.ask(PAYLOAD).but() == expected
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(params=["64", "1"], ids=["mapped", "from files"])
def large(
    request: pytest.FixtureRequest,
    start_server: Start,
    state: Registry,
    write_group: Callable[..., Path],
    booster_json: bytes,
) -> RunningServer:
    """A server with a payload of about 3 MB that hardly gets smaller, and a small one; mapped or sent from files."""
    document = json.loads(booster_json)
    document["learner"]["attributes"] = {"padding": random.Random(1).randbytes(3 << 19).hex()}
    write_group("BIG_r", model_json=json.dumps(document).encode())
    state.registrations.register("m", str(write_group("SOLUSDT_mid_chg_1m")))
    running = start_server(WATCH_ENABLED="0", CACHE_MB=request.param)
    wait_ready(state, "BIG", "SOLUSDT")
    return running


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_slow_reader_gets_every_byte_while_others_are_served(large: RunningServer, coding: str) -> None:
    path = "/api/models/m/model/BIG"
    with Wire(large.url) as bot:
        expected = bot.ask(f"{path}?group_key=BIG_r", Accept_Encoding=coding)
        assert bot.ask(path, Accept_Encoding=coding).but() == expected.but()
    kinds = [path, PAYLOAD, path, path, PAYLOAD, "/api/models", path]
    with Wire(large.url, receive_buffer=4096) as slow, Wire(large.url) as other:
        slow.send(*(request(kind, Accept_Encoding=coding) for kind in kinds))
        assert select.select([slow.socket], [], [], 10)[0], "the first bytes come at once"
        small = other.ask(PAYLOAD)
        for kind in kinds:
            assert all(other.ask(PAYLOAD).but() == small.but() for _ in range(20))
            answer = slow.answer(size=1 << 18)
            assert answer is not None
            assert answer.status == 200
            if kind == path:
                assert answer.but() == expected.but()
        assert slow.ask(path, "HEAD", Accept_Encoding=coding).headers == {
            **expected.headers,
            "date": ANY,
            "x-request-id": ANY,
        }


def test_a_payload_that_a_slow_reader_still_gets_is_replaced_for_all_others(
    large: RunningServer, state: Registry
) -> None:
    path, pulls = "/api/models/m/model/BIG", []
    with Wire(large.url) as bot, Wire(large.url, receive_buffer=4096) as slow:
        pulls.append(bot.ask(path, Accept_Encoding="gzip"))
        slow.send(*[request(path, Accept_Encoding="gzip")] * 4)  # more than the system takes at once
        assert select.select([slow.socket], [], [], 10)[0]
        save_mean(large, "BIG", 0.5)
        wait_ready(state, "BIG")
        pulls += [bot.ask(path, Accept_Encoding="gzip") for _ in range(2)]
        begun = slow.answer(size=1 << 18)
        assert begun is not None
        assert begun.but() == pulls[0].but()
    means = [json.loads(pull.whole())["payload"]["factor_config"]["BIG"]["mean_values"][0] for pull in pulls]
    assert means == [0.2, 0.5, 0.5]


def test_many_slow_readers_keep_no_other_bot_waiting(large: RunningServer) -> None:
    readers = [Wire(large.url, receive_buffer=4096) for _ in range(30)]
    with contextlib.ExitStack() as stack, Wire(large.url) as other:
        for reader in readers:
            stack.enter_context(reader)
            reader.send(request("/api/models/m/model/BIG", Accept_Encoding="gzip"))
        assert [other.ask(PAYLOAD).status for _ in range(20)] == [200] * 20
        bodies = set()
        for reader in readers[:3]:
            answer = reader.answer(size=1 << 18)
            assert answer is not None
            bodies.add(answer.body)
        assert len(bodies) == 1
        assert other.ask("/api/models").status == 200


def _open_payloads(server: RunningServer, settings: Settings) -> int:
    found = 0
    for place in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed since it was listed
            found += os.readlink(place).startswith(f"{settings.data_dir}/blobs")
    return found


@pytest.mark.parametrize("large", ["1"], ids=["from files"], indirect=True)
def test_what_is_sent_from_files_is_closed_however_it_ends(large: RunningServer, settings: Settings) -> None:
    path = "/api/models/m/model/BIG"
    with Wire(large.url) as bot:
        for _ in range(5):
            assert bot.ask(path, "HEAD", Accept_Encoding="gzip").status == 200
            assert bot.ask(path, Accept_Encoding="gzip").status == 200
    for _ in range(5):
        with Wire(large.url, receive_buffer=4096) as gone:
            gone.send(request(path, Accept_Encoding="gzip"))
            assert select.select([gone.socket], [], [], 10)[0]
    wait_until(lambda: _open_payloads(large, settings) == 0)


def test_a_pull_after_a_save_gives_the_saved_values_and_another_tag(server: RunningServer) -> None:
    with Wire(server.url) as writer, Wire(server.url) as bot:
        tags = [bot.ask(PAYLOAD, Accept_Encoding="gzip").headers["etag"]]
        for number in range(50):
            body = json.dumps({"SOLUSDT": {"mean_values": [number, 2, 3], "variance_values": [1, 1, 1]}}).encode()
            writer.send(request(CONFIG, "PUT", Content_Length=str(len(body)), Content_Type="application/json"), body)
            done = writer.answer()
            assert done is not None
            assert done.status == 200
            for asking in (bot, writer):
                answer = asking.ask(PAYLOAD, Accept_Encoding="gzip", If_None_Match=tags[-1])
                assert answer.status == 200
                config = json.loads(answer.whole())["payload"]["factor_config"]["SOLUSDT"]
                assert config["mean_values"] == [float(number), 2.0, 3.0]
            tags.append(answer.headers["etag"])
            assert bot.ask(PAYLOAD, Accept_Encoding="gzip", If_None_Match=tags[-1]).status == 304
    assert len(set(tags)) == 51


def test_what_another_process_saved_is_pulled_at_once(server: RunningServer, state: Registry) -> None:
    with Wire(server.url) as bot:
        for number in range(20):
            values = {"mean_values": [number + 0.5, 2, 3], "variance_values": [1, 1, 1]}
            state.configs.save("m", "SOLUSDT", {"SOLUSDT": values}, by="dashboard")
            body = json.loads(bot.ask(PAYLOAD).body)
            assert body["payload"]["factor_config"]["SOLUSDT"]["mean_values"][0] == number + 0.5
            if number % 3 == 0:
                wait_ready(state, "SOLUSDT")
        state.registrations.delete("m")
        assert bot.ask(PAYLOAD).status == 404


def test_damage_to_the_store_is_told_and_not_served_over(server: RunningServer, settings: Settings) -> None:
    path = settings.data_dir / "registry.json"
    aside = path.with_name("aside")
    path.rename(aside)
    with Wire(server.url) as bot:
        assert bot.ask(PAYLOAD).status == 500  # its copy is there: it was lost
        path.write_bytes(b"{")
        answer = bot.ask(PAYLOAD)
        assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
        assert answer.but()[0] == bot.ask(BY_APPLICATION).but()[0]
        aside.replace(path)
        assert bot.ask(PAYLOAD).status == 200


def test_a_store_that_cannot_be_looked_at_is_told_too(server: RunningServer, settings: Settings) -> None:
    path = settings.data_dir / "registry.json"
    aside = path.with_name("aside")
    path.rename(aside)
    path.symlink_to(path)
    with Wire(server.url) as bot:
        expected = bot.ask(BY_APPLICATION, X_Request_Id="same")
        assert (expected.status, expected.headers["content-type"]) == (500, "application/problem+json")
        assert bot.ask(PAYLOAD, X_Request_Id="same").but() == expected.but()
        aside.replace(path)
        assert bot.ask(PAYLOAD).status == 200


def test_bytes_that_cannot_be_read_are_told_too(server: RunningServer, settings: Settings, state: Registry) -> None:
    handle = state.published.find("m", "BTCUSDT")
    assert handle is not None
    blob = settings.data_dir / "blobs" / "payloads" / handle.stored["gzip"][:2] / f"{handle.stored['gzip']}.gzip"
    blob.unlink()
    blob.symlink_to(blob)
    path = "/api/models/m/model/BTCUSDT"
    with Wire(server.url) as bot:
        expected = bot.ask(f"{path}?group_key=BTCUSDT_mid_chg_1m", Accept_Encoding="gzip", X_Request_Id="same")
        assert bot.ask(path, Accept_Encoding="gzip", X_Request_Id="same").but() == expected.but()


@pytest.mark.parametrize("pulled_before", [False, True])
@pytest.mark.parametrize("damage", ["removed", "cut", "changed"])
def test_bytes_that_are_lost_or_damaged_are_served_all_the_same(
    server: RunningServer, settings: Settings, damage: str, pulled_before: bool
) -> None:
    path, codings = "/api/models/m/model/BTCUSDT", ("gzip", "zstd", None) * 2
    with Wire(server.url) as bot:
        if pulled_before:
            for coding in codings:
                bot.ask(path, Accept_Encoding=coding)
        for blob in (settings.data_dir / "blobs" / "payloads").rglob("*.*"):
            if damage == "removed":
                blob.unlink()
            else:
                blob.write_bytes(b"x" * (blob.stat().st_size if damage == "changed" else 1))
        answers = [bot.ask(path, Accept_Encoding=coding).whole() for coding in codings]
    assert set(answers) == {answers[0]}
    assert json.loads(answers[0])["payload"]["metadata"]["symbol"] == "BTCUSDT"


def test_no_answer_is_cut_when_the_server_is_stopped(server: RunningServer) -> None:
    outcomes: list[int] = []
    failures: list[BaseException] = []
    going = threading.Barrier(9)

    def pull(number: int) -> None:
        chance = random.Random(number)
        try:
            with Wire(server.url) as bot:
                kinds = [PAYLOAD, PAYLOAD, "/api/models/m/model/BTCUSDT", BY_APPLICATION]
                whole, open_ = 0, True
                while open_:
                    asked = [chance.choice(kinds) for _ in range(1 + number % 4)]
                    with contextlib.suppress(ConnectionError):
                        bot.send(*(request(path, Accept_Encoding=chance.choice(["gzip", "zstd"])) for path in asked))
                    for _ in asked:
                        answer = bot.answer()
                        if answer is None:
                            open_ = False
                            break
                        assert answer.status == 200
                        assert json.loads(answer.whole())["ok"] is True
                        whole += 1
                    if open_ and whole == len(asked):
                        going.wait(10)
                outcomes.append(whole)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=pull, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    going.wait(10)
    started = time.monotonic()
    assert server.stop() == 0
    for thread in threads:
        thread.join()
    assert (failures, len(outcomes)) == ([], 8)
    assert time.monotonic() - started < 10
    assert len([line for line in lines_of(server) if line["route"] == ROUTE]) >= sum(outcomes)


def test_a_large_answer_that_has_begun_is_finished_when_the_server_is_stopped(large: RunningServer) -> None:
    path = "/api/models/m/model/BIG"
    with Wire(large.url) as bot:
        expected = bot.ask(path, Accept_Encoding="gzip")
    with Wire(large.url, receive_buffer=4096) as slow:
        slow.send(request(path, Accept_Encoding="gzip"))
        assert select.select([slow.socket], [], [], 10)[0]
        large.process.send_signal(signal.SIGTERM)
        answer = slow.answer()
        assert answer is not None
        assert answer.but() == expected.but()
        assert slow.is_closed()
    assert large.process.wait(15) == 0
