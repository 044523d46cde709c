"""What a server tells: no token anywhere, no line in its log that a client wrote, and no more figures than it has."""

from __future__ import annotations

import gc
import hmac
import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from waitress.adjustments import Adjustments
from werkzeug.test import Client

from mm_core.api import create_app, incoming
from mm_core.api.parsing import LONGEST_REMEMBERED, Heads, Request
from mm_core.api.pulls import ReadyAnswer, ReadyPulls
from mm_core.registry import Registry
from mm_core.settings import Settings
from tests.api.conftest import PROJECT
from tests.asking import http
from tests.attacks.conftest import PAYLOAD, Target, target_below
from tests.attacks.raw_http import Answer, answers_in, connect, exchange, request, rest_of
from tests.waiting import wait_until

TOKEN = "a-token-that-nobody-may-see"
WRONG = "a-token-that-was-mistyped"
DOORS = {"one process, plain log": ("1", "plain"), "two workers, JSON log": ("2", "json")}
FORGED = [
    "/%0aforged=line%20request", "/%0d%0a2026-01-01%20[info]%20forged", "/%1b[2J%1b[31mforged", "/%07%08%7fforged",
    "/%00forged", "/%e2%80%a8forged", "/%e2%80%aeforged", "/%c2%9b31mforged", "/%22,%22forged%22:%22", "/forged%09a=b",
    "/%5cu001bforged", "/a%0a%0a%0aforged",
]  # fmt: skip


@pytest.fixture(scope="module", params=DOORS.values(), ids=DOORS.keys())
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, booster_json: bytes
) -> Iterator[Target]:
    """A server with a token."""
    workers, style = request.param
    place = tmp_path_factory.mktemp("told")
    with target_below(place, booster_json, WORKERS=workers, LOG=style, WRITE_TOKEN=TOKEN) as found:
        yield found


def _odd_writes(token: str) -> list[bytes]:
    bearer = f"Bearer {token}"
    body, path = b'{"model_name": "n", "root_path": "/nowhere"}', "/api/models"
    typed = {"Content_Type": "application/json"}
    plain = request(path, "POST", body, Authorization=bearer, **typed)
    return [
        plain,
        request(path, "POST", body, Authorization=f"Basic {token}", **typed),
        request(path, "POST", body, Authorization=token, **typed),
        request(path, "POST", body, Authorization=f"{bearer}, {bearer}", **typed),
        request(path, "POST", b'{"model_name": ', Authorization=bearer, **typed),
        request(path, "POST", body, Authorization=bearer, Origin="http://evil.example", **typed),
        request(path, "POST", body, Authorization=bearer),
        request(path, "TRACE", Authorization=bearer),
        request("/api/models/m", "DELETE", Authorization=f"{bearer}x"),
        request("/nothing", "DELETE", Authorization=bearer),
        request(f"{PAYLOAD}?token={token}&access_token={token}"),
        request(PAYLOAD, Authorization=bearer, Cookie=f"token={token}"),
        request(PAYLOAD, X_Request_Id="id", Authorization=bearer).replace(b"Bearer", b"Bearer\n"),
        plain.replace(b"Authorization:", b"Authorization :"),
        plain.replace(b"Authorization: ", b"Authorization:\r\n "),
        plain.replace(b"Bearer ", b"Bearer \x00"),
        plain.replace(b"Content-Length: ", b"Content-Length: " + token.encode()),
        plain.replace(b"Host: 127.0.0.1", f"Host: {token}".encode()),
        plain.replace(b"HTTP/1.1", token.encode()),
        request(path, "POST", Authorization=bearer, **{f"X_{number}": "a" for number in range(120)}),
        request(path, "POST", Authorization=bearer, Content_Length=str(100 << 20), **typed),
    ]


def _all_of(answer: Answer) -> str:
    return f"{answer.headers} {answer.body.decode('utf-8', 'replace')}"


@pytest.mark.parametrize("token", [TOKEN, WRONG])
def test_a_token_right_or_wrong_is_told_nowhere(target: Target, token: str) -> None:
    for data in _odd_writes(token):
        answers = exchange(target.url, data)
        assert answers, data
        for answer in answers:
            assert token not in _all_of(answer), data
    for path in ("/api/health", "/metrics", "/api/openapi.json", "/api/models"):
        assert token not in http.get(target.url + path).text
    for process in target.processes():
        assert token not in " ".join(process.cmdline())
    assert token not in target.server.log.read_text()
    for path in target.root.parent.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert token.encode() not in path.read_bytes(), path


def test_the_command_that_lists_settings_keeps_the_token_to_itself(tmp_path: Path) -> None:
    environment = {**os.environ, "MODEL_MANAGER_WRITE_TOKEN": TOKEN, "PYTHONPATH": str(PROJECT)}
    for options in (["settings"], ["settings", "--json"]):
        command = [sys.executable, "-m", "mm_core", *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
        assert "MODEL_MANAGER_WRITE_TOKEN" in done.stdout, done.stderr
        assert TOKEN not in done.stdout + done.stderr


def test_every_token_is_compared_whole_and_in_constant_time(
    registry: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    compare = hmac.compare_digest
    monkeypatch.setattr(incoming.hmac, "compare_digest", noted)
    for token in ("secret", "ключ-🔑", "é", "à", "Å"):  # of the last two, bytes are spaces as Latin letters
        client = Client(create_app(registry, replace(settings, write_token=token)))
        wanted = token.encode()
        sent = [
            wanted,
            b"",
            b"s",
            wanted[:-1],
            wanted + b"x",
            b"x" * 10_000,
            b"\xff\xfe",
            token.upper().encode() + b"!",
        ]
        for given in sent:
            compared.clear()
            header = b"Bearer " + given
            answer = client.delete("/api/models/m", headers={"Authorization": header.decode("latin-1")})
            assert compared == [(given, wanted)]
            assert answer.status_code == (404 if given == wanted else 401)
        for header in ("Basic c2VjcmV0", wanted.decode("latin-1"), "Bearer", "bearer\x0b" + wanted.decode("latin-1")):
            compared.clear()
            answer = client.delete("/api/models/m", headers={"Authorization": header})
            assert (answer.status_code, len(compared)) == (401, 1)
    assert client.delete("/api/models/m").status_code == 401


def test_no_client_writes_a_line_or_a_colour_into_the_log(target: Target) -> None:
    before = target.server.log.read_bytes()
    ids = [f"forging-{number}" for number in range(len(FORGED))]
    for identifier, path in zip(ids, FORGED, strict=True):
        exchange(target.url, request(path, X_Request_Id=identifier))
    for bad in ("a b", "a\x1b[31m", "forged=x", 'x", "forged": "y', "a\xe9"):
        exchange(target.url, request(PAYLOAD, X_Request_Id=bad))
        exchange(target.url, request("/forged", "A" * 300 + "forged", X_Request_Id=bad))
    wait_until(lambda: all(identifier.encode() in target.server.log.read_bytes() for identifier in ids))
    added = target.server.log.read_bytes()[len(before) :]
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", added)
    assert b"A" * 33 not in added
    for line in added.decode().splitlines():  # also at what Unicode calls the end of a line
        if line.startswith("{"):
            assert json.loads(line)["event"] == "request"
            assert "forged" not in json.loads(line)
        else:
            assert re.match(r"\[info +\] request +at=\d{4}-", line), line


def test_methods_that_clients_make_up_are_counted_as_one(target: Target) -> None:
    exchange(target.url, b"".join(request("/nothing", f"M{number}") for number in range(300)), seconds=20)
    lines = [line for line in http.get(target.url + "/metrics").text.splitlines() if "requests_total{" in line]
    assert len(lines) < 60
    assert any('method="other"' in line for line in lines)


def test_paths_that_clients_make_up_stay_in_no_memory(target: Target) -> None:
    def ask_for(numbers: range) -> None:
        with connect(target.url, seconds=20) as connection:
            for number in numbers:
                connection.sendall(request(f"/api/models/m/model/{number}" + "x" * 60_000, "HEAD"))
                while not connection.recv(65_536).endswith(b"\r\n\r\n"):
                    pass

    for _ in range(10):  # until the arenas of each process have what so many at once take
        ask_for(range(100))
    before = target.memory_bytes()
    for start in range(1000, 1500, 100):
        ask_for(range(start, start + 100))
    assert target.memory_bytes() - before < 20 << 20, "30 MB were asked for"


def test_names_that_clients_make_up_stay_in_no_memory_of_what_answers_pulls(
    registered: Registry, settings: Settings
) -> None:
    registered.publisher.publish_all()
    pulls = ReadyPulls(registered, create_app(registered, settings))
    heads = Heads(Adjustments(), None)
    long = "x" * LONGEST_REMEMBERED  # what remembers heads is bounded by itself

    def answer_to(symbol: str) -> ReadyAnswer | None:
        pull = Request(heads)
        pull.received(request(f"/api/models/m/model/{symbol}", Accept_Encoding="gzip", X_Padding=long))
        return pulls.answer(pull)

    def ask_for(numbers: range) -> None:
        assert [number for number in numbers if answer_to(f"{number:0200}") is not None] == []

    assert answer_to("SOLUSDT") is not None
    tracemalloc.start()
    try:
        ask_for(range(100))
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        ask_for(range(100, 1100))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 50_000, "200 kB were asked for"
    finally:
        tracemalloc.stop()


def test_an_answer_repeats_no_header_that_was_sent(target: Target) -> None:
    marked = dict.fromkeys(("User_Agent", "Referer", "X_Forwarded_Host", "X_Anything", "Via"), "marked-by-a-client")
    with connect(target.url) as connection:
        connection.sendall(request("/", **marked) + request("/nothing", **marked, Connection="close"))
        start, nothing = answers_in(rest_of(connection))
    for answer in (start, nothing):
        assert "marked-by-a-client" not in _all_of(answer)
    assert "6301" in start.headers["location"]
