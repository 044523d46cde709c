"""Waiting for a change: when it ends, what it asks meanwhile, and that it is never a busy loop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from mm_core.client import BadAnswer, PayloadClient, PayloadNotFound
from tests.client.model_serving import CHANGES, MANIFEST, ModelServer
from tests.client.serving import Answer, problem

Serve = Callable[..., ModelServer]
ConnectTo = Callable[..., PayloadClient]


def _told(symbols: list[str] | None, **headers: str) -> Answer:
    return Answer(200, json.dumps({"revision": 8, "symbols": symbols}).encode(), headers)


@pytest.fixture
def server(serve_model: Serve) -> ModelServer:
    return serve_model("BTC", "SOL")


@pytest.fixture
def synced_client(server: ModelServer, connect_to: ConnectTo) -> PayloadClient:
    """A client that has everything already."""
    client = connect_to(server)
    client.sync("m", wait=25)
    assert sorted(server.asked_for()) == ["BTC", "SOL", MANIFEST]  # the first sync does not wait
    return client


def test_a_change_ends_the_wait(server: ModelServer, synced_client: PayloadClient, waits: list[float]) -> None:
    server.change("SOL", 2.0)
    server.next_answers[CHANGES].append(_told(["SOL"]))
    assert synced_client.sync("m", wait=10).changed == ("SOL",)
    assert server.asked[0][0] == "/api/models/m/changes?since=7&wait=10"
    assert server.asked_for() == [CHANGES, MANIFEST, "SOL"]
    assert waits == []


def test_a_restarted_client_does_not_wait_either(
    server: ModelServer, synced_client: PayloadClient, connect_to: ConnectTo
) -> None:
    assert connect_to(server).sync("m", wait=25).unchanged == ("BTC", "SOL")
    assert server.asked_for() == [MANIFEST]


def test_other_symbols_than_before_are_not_waited_for(server: ModelServer, connect_to: ConnectTo) -> None:
    client = connect_to(server)
    client.sync("m", symbols=["BTC"], wait=25)
    assert client.sync("m", symbols=["SOL"], wait=25).changed == ("SOL",)
    assert server.asked_for() == [MANIFEST, "BTC", MANIFEST, "SOL"]


def test_the_longest_question_is_what_the_server_allows(server: ModelServer, synced_client: PayloadClient) -> None:
    synced_client.sync("m", wait=60)
    assert server.asked[0][0].endswith("wait=25")


def test_a_memory_that_does_not_reach_back_means_the_manifest(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.change("SOL", 2.0)
    server.next_answers[CHANGES].append(_told(None))
    assert synced_client.sync("m", wait=10).changed == ("SOL",)
    assert server.asked_for() == [CHANGES, MANIFEST, "SOL"]
    assert waits == []


def test_nothing_new_is_said_after_the_wait_and_the_manifest_was_asked(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.next_answers[CHANGES].append(_told([], **{"Retry-After": "25"}))
    synced = synced_client.sync("m", wait=10)
    assert (synced.unchanged, synced.changed) == (("BTC", "SOL"), ())
    assert server.asked_for() == [CHANGES, MANIFEST]
    assert waits == pytest.approx([10], abs=1)


def test_retry_after_is_heeded_while_patience_lasts(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.always[CHANGES] = _told([], **{"Retry-After": "5"})
    synced_client.sync("m", wait=12)
    assert server.asked_for() == [CHANGES, CHANGES, CHANGES, MANIFEST]
    assert waits == pytest.approx([5, 5, 2], abs=1)


@pytest.mark.parametrize("symbols", [[], None, ["OTHER"]])
def test_a_server_that_does_not_hold_its_answers_is_asked_once_a_second_at_most(
    server: ModelServer, synced_client: PayloadClient, waits: list[float], symbols: list[str] | None
) -> None:
    server.always[CHANGES] = _told(symbols)
    began = time.monotonic()
    synced_client.sync("m", wait=10)
    assert sum(waits) == pytest.approx(10, abs=time.monotonic() - began + 0.1)
    assert server.asked_for().count(CHANGES) <= 11


def test_a_revision_that_only_a_304_tells_is_the_next_to_ask_from(
    server: ModelServer, synced_client: PayloadClient
) -> None:
    server.revision = 12  # another model changed
    server.next_answers[CHANGES].append(_told(None))
    synced_client.sync("m", wait=2)
    assert [path for path, _ in server.asked if "changes" in path] == [
        "/api/models/m/changes?since=7&wait=2",
        "/api/models/m/changes?since=12&wait=1",
    ]


def test_a_symbol_that_begins_to_fail_is_news_and_one_that_still_fails_is_none(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.change("SOL", 2.0)
    server.always["SOL"] = problem(500, "A mistake.")
    server.next_answers[CHANGES].append(_told(["SOL"]))
    assert list(synced_client.sync("m", wait=10).failed) == ["SOL"]
    assert waits == []
    assert list(synced_client.sync("m", wait=10).failed) == ["SOL"]
    assert sum(waits) == pytest.approx(10, abs=1)


def test_a_server_that_is_away_is_waited_for(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.next_answers[CHANGES].extend([Answer(503), Answer(503, headers={"Retry-After": "7"}), _told(["SOL"])])
    server.change("SOL", 2.0)
    assert synced_client.sync("m", wait=20).changed == ("SOL",)
    assert waits == pytest.approx([5, 7])


def test_an_outage_ends_the_wait_when_patience_does_and_its_end_is_news(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.always.update({CHANGES: Answer(503), MANIFEST: Answer(500)})
    assert synced_client.sync("m", wait=12).stale
    assert waits == pytest.approx([5, 5, 2], abs=1)
    assert server.asked_for() == [CHANGES, CHANGES, CHANGES, MANIFEST]
    server.always.clear()
    assert not synced_client.sync("m", wait=12).stale
    assert server.asked_for() == [MANIFEST]


def test_an_outage_that_lasts_is_no_busy_loop(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.stop()
    synced_client.sync("m")
    waits.clear()
    assert synced_client.sync("m", wait=30).stale
    assert sum(waits) >= 29
    assert len(waits) < 20


def test_a_model_that_is_gone_is_an_error_at_once(
    server: ModelServer, synced_client: PayloadClient, waits: list[float]
) -> None:
    server.always.update({CHANGES: problem(404, "No model."), MANIFEST: problem(404, "No model.")})
    with pytest.raises(PayloadNotFound, match="No model"):
        synced_client.sync("m", wait=10)
    assert waits == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"symbols": 5}', b"\xff", b"[" * 100_000])
def test_an_answer_that_tells_no_changes_is_refused(
    server: ModelServer, synced_client: PayloadClient, body: bytes
) -> None:
    server.next_answers[CHANGES].append(Answer(200, body))
    with pytest.raises(BadAnswer, match="does not tell changes"):
        synced_client.sync("m", wait=10)


def test_an_answer_may_be_held_longer_than_the_timeout_of_other_requests(
    server: ModelServer, connect_to: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect_to(server, timeout=httpx.Timeout(0.3))
    client.sync("m")
    respond = server.respond
    held = threading.Event()

    def slowly(path: str, condition: str | None) -> Answer:
        if CHANGES in path:
            held.wait(0.6)
            return _told(["SOL"])
        return respond(path, condition)

    monkeypatch.setattr(server, "respond", slowly)
    server.change("SOL", 2.0)
    assert client.sync("m", wait=5).changed == ("SOL",)
