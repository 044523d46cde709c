"""Waiting with work that is known to be open: it is tried again soon and ever more rarely, and not slept through."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mm_core.client import BadAnswer, PayloadClient, ServerAway
from tests.client.model_serving import CHANGES, MANIFEST, ModelServer
from tests.client.serving import Answer, copies_in, good, problem

Serve = Callable[..., ModelServer]
ConnectTo = Callable[..., PayloadClient]
AT_FIRST_SECONDS = 2.0 + 1.0
"""The longest first pause, and what may be rounded up: `changes` is held for whole seconds."""


@pytest.fixture
def server(serve_model: Serve) -> ModelServer:
    return serve_model("BTC", "SOL")


@pytest.fixture
def client(server: ModelServer, connect_to: ConnectTo) -> PayloadClient:
    """A client that has everything already."""
    client = connect_to(server)
    client.sync("m")
    server.asked_for()
    return client


def _fail(server: ModelServer, client: PayloadClient, answer: Answer, times: int = 1) -> None:
    server.change("SOL", 2.0)
    server.next_answers["SOL"].extend([answer] * times)
    assert list(client.sync("m").failed) == ["SOL"]
    server.asked_for()


# ── symbols that failed ──


@pytest.mark.parametrize(
    ("answer", "times"), [(Answer(503), 4), (problem(500, "A mistake."), 1), (problem(403, "Not now."), 1)]
)
def test_a_symbol_that_failed_is_pulled_soon_though_nothing_changes_any_more(
    server: ModelServer, client: PayloadClient, waits: list[float], answer: Answer, times: int
) -> None:
    _fail(server, client, answer, times)
    waits.clear()
    assert client.sync("m", wait=600).changed == ("SOL",)
    assert sum(waits) < AT_FIRST_SECONDS
    assert server.asked_for()[-2:] == [MANIFEST, "SOL"]


def test_other_news_is_heard_before_a_symbol_that_failed_is_tried_again(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    _fail(server, client, problem(500, "A mistake."))
    server.always["SOL"] = problem(500, "A mistake.")
    server.change("BTC", 3.0)
    assert client.sync("m", wait=600).changed == ("BTC",)
    assert server.asked_for()[0] == CHANGES
    assert waits == []


def test_a_symbol_that_keeps_failing_is_tried_ever_more_rarely(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    _fail(server, client, problem(500, "A mistake."))
    server.always["SOL"] = problem(500, "A mistake.")
    began = time.monotonic()
    assert list(client.sync("m", wait=25).failed) == ["SOL"]
    assert 4 <= server.asked_for().count("SOL") <= 9
    assert list(client.sync("m", wait=600).failed) == ["SOL"]
    assert 600 / 12 <= server.asked_for().count("SOL") <= 600 / 5
    assert sum(waits) == pytest.approx(625, abs=time.monotonic() - began + 1)


def test_pauses_go_on_growing_from_one_sync_to_the_next(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    server.always["SOL"] = problem(500, "A mistake.")
    server.change("SOL", 2.0)
    for _ in range(8):
        client.sync("m")
    server.asked_for()
    client.sync("m", wait=2.5)  # less than the shortest pause by then, and more than the longest at first
    assert server.asked_for().count("SOL") == 1


def test_a_symbol_that_was_well_meanwhile_is_tried_again_as_soon_as_at_first(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    server.always["SOL"] = problem(500, "A mistake.")
    server.change("SOL", 3.0)
    for _ in range(8):
        client.sync("m")
    server.always.clear()
    assert client.sync("m").changed == ("SOL",)
    _fail(server, client, problem(500, "A mistake."))
    waits.clear()
    assert client.sync("m", wait=600).changed == ("SOL",)
    assert sum(waits) < AT_FIRST_SECONDS


def test_the_patience_that_a_symbols_server_asks_for_is_heeded(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    _fail(server, client, Answer(503, headers={"Retry-After": "40"}), 1)  # more than max_wait: one attempt
    assert client.sync("m", wait=600).changed == ("SOL",)
    assert 39 <= sum(waits) <= 42


def test_a_symbol_that_the_server_does_not_have_is_left_to_news(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    server.not_ready = {"SOL"}
    assert list(client.sync("m").failed) == ["SOL"]
    server.bodies["SOL"] = server.bodies["BTC"]
    server.always["BTC"] = problem(404, "BTC has several groups: a, b.")
    server.unmade = {"BTC"}
    assert sorted(client.sync("m").failed) == ["BTC", "SOL"]
    server.asked_for()
    client.sync("m", wait=60)
    assert server.asked_for().count(MANIFEST) == 1


# ── several callers of one client ──


def test_a_change_that_another_callers_sync_saw_is_not_slept_through(
    server: ModelServer, connect_to: ConnectTo, waits: list[float]
) -> None:
    client = connect_to(server)
    for symbol in ("BTC", "SOL"):
        client.sync("m", symbols=[symbol])
    server.change("SOL", 2.0)
    assert client.sync("m", symbols=["BTC"]).unchanged == ("BTC",)
    assert client.sync("m", symbols=["SOL"], wait=600).changed == ("SOL",)
    assert waits == []


@pytest.mark.parametrize("is_unmade", [False, True])
def test_a_sync_of_all_symbols_hears_of_what_a_sync_of_one_saw(
    server: ModelServer, client: PayloadClient, waits: list[float], is_unmade: bool
) -> None:
    server.unmade = {"SOL"} if is_unmade else set()
    server.change("SOL", 2.0)
    client.sync("m", symbols=["BTC"])
    assert client.sync("m", wait=600).changed == ("SOL",)
    assert waits == []


def test_a_symbol_that_another_callers_sync_withdrew_fails_at_once(
    server: ModelServer, connect_to: ConnectTo, waits: list[float]
) -> None:
    client = connect_to(server)
    for symbol in ("BTC", "SOL"):
        client.sync("m", symbols=[symbol])
    del server.bodies["SOL"]
    server.revision += 1
    assert client.sync("m", symbols=["BTC"]).withdrawn == ("SOL",)
    assert list(client.sync("m", symbols=["SOL"], wait=600).failed) == ["SOL"]
    assert waits == []


def test_an_outage_that_is_over_for_one_caller_is_not_slept_through_by_another(
    server: ModelServer, connect_to: ConnectTo, waits: list[float]
) -> None:
    client = connect_to(server, attempts=1)
    for symbol in ("BTC", "SOL"):
        client.sync("m", symbols=[symbol])
    server.always[MANIFEST] = Answer(503)
    assert client.sync("m", symbols=["SOL"]).stale
    server.always.clear()
    assert not client.sync("m", symbols=["BTC"]).stale
    assert client.local("m", "SOL").stale
    assert not client.sync("m", symbols=["SOL"], wait=600).stale
    assert not client.local("m", "SOL").stale
    assert sum(waits) < AT_FIRST_SECONDS


def test_what_one_caller_looked_at_does_not_wake_another_without_end(
    server: ModelServer, connect_to: ConnectTo, waits: list[float]
) -> None:
    client = connect_to(server)
    for symbol in ("BTC", "SOL"):
        client.sync("m", symbols=[symbol])
    server.change("BTC", 2.0)
    client.sync("m", symbols=["BTC"])
    server.asked_for()
    assert client.sync("m", symbols=["SOL"], wait=30).unchanged == ("SOL",)
    assert server.asked_for().count(MANIFEST) == 2  # one for what was seen by the other, one at the end


# ── a server that was away ──


def _fall_away(server: ModelServer, client: PayloadClient, waits: list[float]) -> None:
    server.always[MANIFEST] = server.always[CHANGES] = Answer(503)
    assert client.sync("m").stale
    server.asked_for()
    waits.clear()


def test_copies_do_not_stay_stale_when_the_server_is_back(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    _fall_away(server, client, waits)
    server.always.clear()
    server.next_answers[MANIFEST].append(Answer(503))
    assert not client.sync("m", wait=600).stale
    assert not client.local("m", "SOL").stale
    assert server.asked_for() == [MANIFEST, MANIFEST]
    assert sum(waits) < 8


def test_a_server_that_is_away_is_asked_ever_more_rarely_and_once_each_time(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    _fall_away(server, client, waits)
    began = time.monotonic()
    assert client.sync("m", wait=25).stale
    assert 3 <= len(server.asked_for()) <= 8
    assert client.sync("m", wait=600).stale
    assert 600 / 12 <= len(server.asked_for()) <= 600 / 5
    assert sum(waits) == pytest.approx(625, abs=time.monotonic() - began + 1)


def test_bots_do_not_ask_in_step(serve_model: Serve, connect_to: ConnectTo, waits: list[float]) -> None:
    pauses = set()
    for _ in range(5):
        server = serve_model("BTC")
        client = connect_to(server)
        client.sync("m")
        _fall_away(server, client, waits)
        server.always.clear()
        client.sync("m", wait=600)
        pauses.add(round(waits[0], 3))
        assert 0.9 <= waits[0] <= 2.0
    assert len(pauses) > 1


def test_the_patience_that_a_server_in_trouble_asks_for_is_heeded(
    server: ModelServer, client: PayloadClient, waits: list[float]
) -> None:
    server.next_answers[MANIFEST].append(Answer(503, headers={"Retry-After": "40"}))
    assert client.sync("m").stale
    assert not client.sync("m", wait=600).stale
    assert sum(waits) == pytest.approx(40, abs=1)


@pytest.mark.parametrize(
    ("answer", "kind"), [(good(b"[]", **{"x-store-revision": "9"}), BadAnswer), (Answer(503), ServerAway)]
)
def test_a_sync_that_raised_is_tried_again_soon_and_its_end_is_news(
    server: ModelServer,
    connect_to: ConnectTo,
    waits: list[float],
    tmp_path: Path,
    answer: Answer,
    kind: type[Exception],
) -> None:
    client = connect_to(server, max_age=timedelta(minutes=30), attempts=1)
    client.sync("m")
    for copy in copies_in(tmp_path):
        os.utime(copy, (1_000_000_000, 1_000_000_000))
    server.next_answers[MANIFEST].append(answer)
    with pytest.raises(kind):
        client.sync("m", wait=0)
    assert client.sync("m", wait=600).unchanged == ("BTC", "SOL")
    assert sum(waits) < AT_FIRST_SECONDS


# ── copies that went ──


def test_a_copy_that_somebody_removed_is_pulled_before_anything_is_waited_for(
    server: ModelServer, client: PayloadClient, waits: list[float], tmp_path: Path
) -> None:
    copies_in(tmp_path)[1].unlink()
    assert client.sync("m", wait=600).changed == ("SOL",)
    assert server.asked_for() == [MANIFEST, "SOL"]
    assert waits == []


def test_the_time_that_looks_take_belongs_to_the_wait(
    server: ModelServer, client: PayloadClient, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = server.respond

    def slowly(path: str, condition: str | None) -> Answer:
        if MANIFEST in path:
            time.sleep(0.5)
        return respond(path, condition)

    _fail(server, client, problem(500, "A mistake."))
    server.always["SOL"] = problem(500, "A mistake.")
    monkeypatch.setattr(server, "respond", slowly)
    client.sync("m", wait=6)
    looks = server.asked_for().count(MANIFEST)
    assert looks >= 2
    assert sum(waits) <= 6 - 0.5 * (looks - 1)
