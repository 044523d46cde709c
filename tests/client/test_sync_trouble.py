"""Keeping a model current when symbols fail, the server is away, or answers must not be used."""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mm_core.client import (
    BadAnswer,
    DigestMismatch,
    NoLocalCopy,
    PayloadClient,
    PayloadNotFound,
    RequestRefused,
    ServerAway,
)
from tests.client.model_serving import MANIFEST, ModelServer
from tests.client.serving import Answer, body_of, copies_in, good, problem, tag_of

Serve = Callable[..., ModelServer]
ConnectTo = Callable[..., PayloadClient]
MANY = [f"S{number:03}" for number in range(40)]


# ── symbols that fail ──


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(500, "A mistake."), ServerAway),
        (problem(403, "Not for you."), RequestRefused),
        (good(body_of(symbol="SOL", feature_dim=9)), BadAnswer),
        (good(body_of(symbol="BTC")), BadAnswer),
        (Answer(200, b"other", {"ETag": tag_of(b"one")}), DigestMismatch),
        (Answer(200, body_of(), {"ETag": tag_of(body_of())}, hang_up=100), ServerAway),
        (problem(400, "No."), PayloadNotFound),
    ],
)
def test_one_failing_symbol_keeps_its_copy_and_no_other_back(
    serve_model: Serve, connect_to: ConnectTo, answer: Answer, kind: type[Exception]
) -> None:
    server = serve_model("BTC", "ETH", "SOL")
    client = connect_to(server)
    client.sync("m")
    for symbol in server.bodies:
        server.change(symbol, 2.0)
    server.always["SOL"] = answer
    synced = client.sync("m")
    assert (synced.changed, synced.unchanged, synced.withdrawn) == (("BTC", "ETH"), (), ())
    assert [(symbol, type(error)) for symbol, error in synced.failed.items()] == [("SOL", kind)]
    assert not synced.stale
    old = client.local("m", "SOL")
    assert (old.mean_values[0], old.stale) == (0.2, True)
    assert client.local("m", "BTC").stale is False
    server.always.clear()
    assert client.sync("m").changed == ("SOL",)
    assert not client.local("m", "SOL").stale


def test_many_symbols_that_fail_for_reasons_of_their_own_keep_no_other_back(
    serve_model: Serve, connect_to: ConnectTo
) -> None:
    server = serve_model(*MANY)
    server.always.update(dict.fromkeys(MANY[:30], problem(500, "A mistake.")))
    synced = connect_to(server).sync("m", workers=2)
    assert (synced.changed, list(synced.failed)) == (tuple(MANY[30:]), MANY[:30])


def test_failures_hold_no_bodies_in_memory(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("SOL")
    server.always["SOL"] = good(b"[]")
    error: BaseException | None = connect_to(server).sync("m").failed["SOL"]
    while error is not None:
        assert error.__traceback__ is None
        error = error.__cause__ or error.__context__


def test_a_server_that_is_lost_on_the_way_is_not_asked_for_hundreds_of_symbols(
    serve_model: Serve, connect_to: ConnectTo
) -> None:
    server = serve_model(*MANY)
    client = connect_to(server, attempts=2)
    client.sync("m", symbols=MANY[:2])
    server.always.update(dict.fromkeys(MANY, Answer(503)))
    server.asked_for()
    synced = client.sync("m", workers=3)
    assert synced.unchanged == tuple(MANY[:2])
    assert list(synced.failed) == MANY[2:]
    assert all(isinstance(error, ServerAway) for error in synced.failed.values())
    assert len(server.asked_for()) <= 1 + 2 * (8 + 2)  # the manifest; 8 losses and 2 under way, two attempts each
    server.always.clear()
    assert client.sync("m").changed == tuple(MANY[2:])


def test_symbols_that_look_like_a_lost_server_do_not_keep_the_others_back_for_long(
    serve_model: Serve, connect_to: ConnectTo
) -> None:
    server = serve_model(*MANY)
    client = connect_to(server, attempts=1)
    lost = [*MANY[:20], MANY[30]]
    server.always.update(dict.fromkeys(lost, Answer(503)))
    assert client.sync("m", workers=1).changed == ()  # 8 in a row: the others wait
    assert client.sync("m", workers=1).changed == ()  # those come last, the next 8 in a row do
    synced = client.sync("m", workers=1)
    assert (list(synced.failed), len(synced.changed)) == (lost, 19)


def test_a_disk_that_takes_no_copy_is_a_failure_of_each_symbol(serve_model: Serve, tmp_path: Path) -> None:
    server = serve_model("BTC", "SOL")
    (tmp_path / "file").write_bytes(b"")
    with PayloadClient(server.url, tmp_path / "file" / "cache") as client:
        synced = client.sync("m")
    assert synced.changed == ()
    assert {type(error) for error in synced.failed.values()} == {NoLocalCopy}
    assert "Make room there" in str(synced.failed["SOL"])


def test_a_disk_that_takes_no_newer_copy_leaves_the_old_one_and_says_so(
    serve_model: Serve, connect_to: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve_model("SOL")
    client = connect_to(server)
    client.sync("m")
    server.change("SOL", 2.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert isinstance(client.sync("m").failed["SOL"], NoLocalCopy)
    assert (client.local("m", "SOL").mean_values[0], client.local("m", "SOL").stale) == (0.2, True)
    assert client.sync("m").changed == ("SOL",)


# ── the server is away ──


def test_the_last_good_copies_stand_when_the_server_is_away(
    serve_model: Serve, connect_to: ConnectTo, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.sync("m")
    server.stop()
    with caplog.at_level(logging.WARNING, "mm_core.client"):
        synced = client.sync("m")
    assert (synced.unchanged, synced.changed, synced.failed, synced.revision) == (("BTC", "SOL"), (), {}, 7)
    assert synced.stale
    assert "ConnectError" in str(synced.away)
    [record] = caplog.records
    assert "2 local copies of 'm'" in record.getMessage()
    copy = client.local("m", "SOL").stale_copy
    assert copy is not None
    assert "ConnectError" in copy.reason


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_counts_as_away_and_steps_back_after(
    serve_model: Serve, connect_to: ConnectTo, status: int
) -> None:
    server = serve_model("SOL")
    client = connect_to(server)
    client.sync("m")
    server.always[MANIFEST] = Answer(status)
    assert client.sync("m").stale
    assert client.local("m", "SOL").stale
    server.always.clear()
    assert not client.sync("m").stale
    assert not client.local("m", "SOL").stale


def test_copies_outlive_the_client_and_its_manifest(serve_model: Serve, connect_to: ConnectTo, tmp_path: Path) -> None:
    server = serve_model("BTC", "SOL")
    with connect_to(server) as client:
        client.sync("m", symbols=["SOL"])
        client.get("m", "BTC", group_key="SOL_1m")
    server.stop()
    synced = connect_to(server).sync("m")
    assert (synced.unchanged, list(synced.failed)) == (("SOL",), ["BTC"])
    assert isinstance(synced.failed["BTC"], ServerAway)
    [manifest] = (tmp_path / "cache").glob("*.manifest")
    manifest.unlink()
    assert connect_to(server).sync("m").unchanged == ("SOL",)
    assert connect_to(server).sync("m", symbols=["sol"]).unchanged == ("sol",)


def test_without_copies_an_absent_server_is_an_error(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("SOL")
    server.stop()
    with pytest.raises(ServerAway, match="None of 'm' stands in"):
        connect_to(server).sync("m")
    with pytest.raises(ServerAway, match="no whole local copy"):
        connect_to(server).sync("m", symbols=["SOL"])


def test_copies_older_than_max_age_do_not_stand(serve_model: Serve, connect_to: ConnectTo, tmp_path: Path) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server, max_age=timedelta(minutes=30))
    client.sync("m")
    server.stop()
    btc, sol = copies_in(tmp_path)
    os.utime(btc, (1_000_000_000, 1_000_000_000))
    synced = client.sync("m")
    assert synced.unchanged == ("SOL",)
    assert "above max_age" in str(synced.failed["BTC"])
    os.utime(sol, (1_000_000_000, 1_000_000_000))
    with pytest.raises(ServerAway, match="above max_age"):
        client.sync("m")


# ── what is asked for is not there, or not what it should be ──


def test_an_unknown_model_is_an_error_and_its_copies_are_gone(
    serve_model: Serve, connect_to: ConnectTo, tmp_path: Path
) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.sync("m")
    server.next_answers[MANIFEST].append(problem(404, "No model 'm' among 3. Register it."))
    with pytest.raises(PayloadNotFound, match="Register it"):
        client.sync("m")
    assert list((tmp_path / "cache").iterdir()) == []
    server.asked_for()
    assert client.sync("m").changed == ("BTC", "SOL")


def test_a_404_that_is_not_the_servers_own_leaves_the_copies(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("SOL")
    client = connect_to(server)
    client.sync("m")
    server.next_answers[MANIFEST].append(Answer(404, b"<html>proxy</html>", {"Content-Type": "text/html"}))
    with pytest.raises(PayloadNotFound, match="Check base_url"):
        client.sync("m")
    server.stop()
    assert client.sync("m").unchanged == ("SOL",)


def _manifest(items: Any, model: str = "m") -> bytes:
    return json.dumps({"model_name": model, "items": items}).encode()


def _item(**changes: Any) -> dict[str, Any]:
    return {"symbol": "SOL", "payload_ready": True, "etag": None, **changes}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        _manifest(None),
        _manifest({"SOL": 1}),
        _manifest([None]),
        _manifest([{}]),
        _manifest([_item(symbol=5)]),
        _manifest([_item(symbol="\ud800")]),
        _manifest([_item(payload_ready="yes")]),
        _manifest([_item(etag="abc")]),
        _manifest([_item(etag=7)]),
        _manifest([], model="other"),
    ],
)
def test_a_manifest_that_is_none_is_refused_and_loses_nothing(
    serve_model: Serve, connect_to: ConnectTo, body: bytes
) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.sync("m")
    server.next_answers[MANIFEST].append(good(body, **{"x-store-revision": "9"}))
    with pytest.raises(BadAnswer, match="not a manifest"):
        client.sync("m")
    server.asked_for()
    assert client.sync("m").unchanged == ("BTC", "SOL")
    assert server.asked_for() == [MANIFEST]
    server.stop()
    assert client.sync("m").unchanged == ("BTC", "SOL")


@pytest.mark.parametrize("headers", [{}, {"x-store-revision": "x"}, {"x-store-revision": "9" * 40}])
def test_a_manifest_without_a_revision_is_refused(
    serve_model: Serve, connect_to: ConnectTo, headers: dict[str, str]
) -> None:
    server = serve_model("SOL")
    server.next_answers[MANIFEST].append(good(_manifest([]), **headers))
    with pytest.raises(BadAnswer, match="at revision"):
        connect_to(server).sync("m")


def test_a_manifest_without_end_is_refused(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("SOL")
    client = connect_to(server)
    client.sync("m")
    body = b" " * (65 << 20)
    headers = {"ETag": tag_of(body), "Content-Encoding": "gzip"}
    server.next_answers[MANIFEST].append(Answer(200, gzip.compress(body, 1), headers))
    with pytest.raises(BadAnswer, match="more than"):
        client.sync("m")
    assert client.sync("m").unchanged == ("SOL",)


def test_a_damaged_manifest_is_asked_for_again(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("SOL")
    server.next_answers[MANIFEST].append(Answer(200, _manifest([]), {"ETag": tag_of(b"other")}))
    assert connect_to(server).sync("m").changed == ("SOL",)
    assert server.asked_for() == [MANIFEST, MANIFEST, "SOL"]


@pytest.mark.parametrize("damage", [b"", b"[]\n", b'{"format": 1}\n{}', b"\x00" * 100])
def test_a_damaged_kept_manifest_is_asked_for_anew(
    serve_model: Serve, connect_to: ConnectTo, tmp_path: Path, damage: bytes
) -> None:
    server = serve_model("SOL")
    connect_to(server).sync("m")
    [kept] = (tmp_path / "cache").glob("*.manifest")
    kept.write_bytes(damage)
    server.asked_for()
    assert connect_to(server).sync("m").unchanged == ("SOL",)
    assert server.asked_for() == [MANIFEST]
    assert kept.read_bytes() != damage


def test_a_symbol_with_several_groups_fails_with_the_servers_sentence(
    serve_model: Serve, connect_to: ConnectTo
) -> None:
    server = serve_model("BTC", "SOL")
    manifest = server.manifest()
    manifest["items"].append(dict(manifest["items"][1]))
    server.always[MANIFEST] = good(json.dumps(manifest).encode(), **{"x-store-revision": "7"})
    server.always["SOL"] = problem(404, "SOL has several groups: a, b.")
    synced = connect_to(server).sync("m")
    assert (synced.changed, synced.failed["SOL"].detail) == (("BTC",), "SOL has several groups: a, b.")


@pytest.mark.parametrize("symbol", [".", "..", ""])
def test_a_symbol_that_would_change_the_path_is_not_asked_for(
    serve_model: Serve, connect_to: ConnectTo, symbol: str
) -> None:
    server = serve_model(symbol, "SOL")
    synced = connect_to(server).sync("m")
    assert (synced.changed, list(synced.failed)) == (("SOL",), [symbol])
    assert server.asked_for() == [MANIFEST, "SOL"]
