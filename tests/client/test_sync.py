"""Keeping all symbols of a model current: what is asked, what is pulled, and what is removed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mm_core.client import NoLocalCopy, PayloadClient, PayloadNotFound, ServerAway, Synced
from tests.client.model_serving import CHANGES, MANIFEST, ModelServer
from tests.client.serving import body_of, copies_in

Serve = Callable[..., ModelServer]
ConnectTo = Callable[..., PayloadClient]
MANY = [f"S{number:03}" for number in range(40)]


def test_the_first_sync_pulls_every_symbol_for_local_reading(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("BTC", "ETH", "SOL")
    client = connect_to(server)
    assert client.sync("m") == Synced("m", 7, ("BTC", "ETH", "SOL"), (), (), {})
    asked = server.asked_for()
    assert (asked[0], sorted(asked[1:])) == (MANIFEST, ["BTC", "ETH", "SOL"])
    assert client.local("m", "eth").symbol == "ETH"
    assert not client.local("m", "ETH").stale
    assert client.local("m", "ETH").normalize({"momentum_5": 1.2, "volatility_20": 5, "spread_3": 0}) == [1, 2, 1]
    assert server.asked_for() == []


def test_an_unchanged_model_of_many_symbols_costs_exactly_one_request(
    serve_model: Serve, connect_to: ConnectTo
) -> None:
    server = serve_model(*MANY)
    client = connect_to(server)
    client.sync("m")
    server.asked_for()
    assert client.sync("m") == Synced("m", 7, (), tuple(MANY), (), {})
    [(path, headers)] = server.asked
    assert path == "/api/models/m/manifest"
    assert headers["if-none-match"].endswith('-gz"')


def test_a_restarted_client_asks_on_condition_too(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model(*MANY)
    connect_to(server).sync("m")
    server.asked_for()
    assert connect_to(server).sync("m").unchanged == tuple(MANY)
    assert "if-none-match" in server.asked[0][1]
    assert server.asked_for() == [MANIFEST]


def test_one_changed_symbol_costs_two_requests(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model(*MANY)
    client = connect_to(server)
    client.sync("m")
    server.asked_for()
    server.change("S007", 9.0)
    synced = client.sync("m")
    assert (synced.changed, len(synced.unchanged), synced.revision) == (("S007",), len(MANY) - 1, 8)
    assert server.asked_for() == [MANIFEST, "S007"]
    assert client.local("m", "S007").mean_values[0] == 9.0


def test_copies_that_get_pulled_are_not_pulled_again(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.get("m", "SOL")
    server.asked_for()
    assert client.sync("m").changed == ("BTC",)
    assert server.asked_for() == [MANIFEST, "BTC"]


def _remove(copy: Path) -> None:
    copy.unlink()


def _damage(copy: Path) -> None:
    data = bytearray(copy.read_bytes())
    data[-3] ^= 1
    copy.write_bytes(data)


@pytest.mark.parametrize("spoil", [_remove, _damage])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_copy_that_is_not_whole_is_pulled_though_the_manifest_is_the_same(
    serve_model: Serve, connect_to: ConnectTo, tmp_path: Path, spoil: Callable[[Path], None], is_restarted: bool
) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.sync("m")
    spoil(copies_in(tmp_path)[1])
    server.asked_for()
    client = connect_to(server) if is_restarted else client
    assert client.sync("m").changed == ("SOL",)
    assert server.asked_for() == [MANIFEST, "SOL"]
    assert client.local("m", "SOL").symbol == "SOL"


def test_damage_that_only_reading_finds_is_repaired_by_the_next_sync(
    serve_model: Serve, connect_to: ConnectTo, tmp_path: Path
) -> None:
    client = connect_to(serve_model("SOL"))
    client.sync("m")
    [copy] = copies_in(tmp_path)
    before = copy.stat()
    _damage(copy)
    os.utime(copy, ns=(before.st_mtime_ns, before.st_mtime_ns))
    with pytest.raises(NoLocalCopy, match="no whole copy"):
        client.local("m", "SOL")
    assert client.sync("m").changed == ("SOL",)
    assert client.local("m", "SOL").symbol == "SOL"


def test_a_manifest_that_names_a_copy_makes_it_young_again(
    serve_model: Serve, connect_to: ConnectTo, tmp_path: Path
) -> None:
    server = serve_model("SOL")
    client = connect_to(server, max_age=timedelta(minutes=30))
    client.sync("m")
    os.utime(copies_in(tmp_path)[0], (1_000_000_000, 1_000_000_000))
    with pytest.raises(NoLocalCopy, match="above max_age"):
        client.local("m", "SOL")
    client.sync("m")
    assert client.local("m", "SOL").fetched_at.year > 2001
    server.stop()
    assert client.get("m", "SOL").stale


def test_chosen_symbols_alone_are_pulled_and_compare_without_case(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("BTC", "ETH", "SOL")
    synced = connect_to(server).sync("m", symbols=["sol", "btc", "SOL", "doge"])
    assert (synced.changed, synced.unchanged) == (("SOL", "BTC"), ())
    assert list(synced.failed) == ["doge"]
    assert isinstance(synced.failed["doge"], PayloadNotFound)
    assert sorted(server.asked_for()) == ["BTC", "SOL", MANIFEST]


def test_a_symbol_that_is_still_to_be_made_is_asked_for(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("BTC", "SOL")
    server.unmade = {"SOL"}
    client = connect_to(server)
    assert client.sync("m").changed == ("BTC", "SOL")
    server.asked_for()
    assert client.sync("m").unchanged == ("BTC", "SOL")
    assert server.asked_for() == [MANIFEST, "SOL"]


def test_a_symbol_without_a_payload_fails_without_a_request(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.sync("m")
    server.not_ready = {"SOL"}
    server.asked_for()
    synced = client.sync("m")
    assert (synced.unchanged, synced.withdrawn, list(synced.failed)) == (("BTC",), ("SOL",), ["SOL"])
    assert client.sync("m").withdrawn == ()
    assert list(client.sync("m").failed) == ["SOL"]
    assert server.asked_for() == [MANIFEST] * 3


# ── what the model has no more ──


def _require_gone(client: PayloadClient, symbol: str, **options: str) -> None:
    with pytest.raises(ServerAway):
        client.get("m", symbol, **options)
    with pytest.raises(NoLocalCopy):
        client.local("m", symbol, **options)


def test_a_symbol_that_left_does_not_come_back_in_an_outage(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.sync("m")
    client.get("m", "SOL", group_key="SOL_1m")
    del server.bodies["SOL"]
    assert client.sync("m") == Synced("m", 7, (), ("BTC",), ("SOL",), {})
    server.stop()
    _require_gone(client, "SOL")
    _require_gone(client, "SOL", group_key="SOL_1m")
    assert client.sync("m").unchanged == ("BTC",)


def test_a_symbol_that_get_pulled_between_two_equal_manifests_is_withdrawn_too(
    serve_model: Serve, connect_to: ConnectTo
) -> None:
    server = serve_model("BTC")
    client = connect_to(server)
    client.sync("m")
    server.bodies["SOL"] = body_of(symbol="SOL")
    client.get("m", "SOL")
    del server.bodies["SOL"]
    assert client.sync("m").withdrawn == ("SOL",)
    server.stop()
    _require_gone(client, "SOL")


def test_a_withdrawal_leaves_other_models_and_other_servers_alone(
    serve_model: Serve, connect_to: ConnectTo, tmp_path: Path
) -> None:
    server, other = serve_model("BTC", "SOL"), serve_model("BTC", "SOL")
    client, elsewhere = connect_to(server), connect_to(other)
    client.sync("m")
    elsewhere.sync("m")
    server.bodies["X"] = body_of(symbol="X", model_name="m-S")
    client.get("m-S", "X")
    del server.bodies["SOL"], server.bodies["X"]
    assert client.sync("m").withdrawn == ("SOL",)
    assert client.local("m-S", "X").symbol == "X"
    assert elsewhere.local("m", "SOL").symbol == "SOL"
    assert len(copies_in(tmp_path)) == 4


def test_a_payload_that_turns_out_to_be_gone_is_withdrawn(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("BTC", "SOL")
    client = connect_to(server)
    client.sync("m")
    manifest = server.manifest()
    server.unmade = {"SOL"}
    assert server.manifest() != manifest
    server.always["SOL"] = server.respond("/api/models/m/model/DOGE", None)
    synced = client.sync("m")
    assert (synced.unchanged, synced.withdrawn, list(synced.failed)) == (("BTC",), ("SOL",), ["SOL"])
    assert synced.failed["SOL"].detail == "No symbol DOGE."
    server.stop()
    _require_gone(client, "SOL")


# ── at the same time ──


def test_a_payload_newer_than_the_manifest_is_taken(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("SOL")
    client = connect_to(server)
    client.sync("m")
    server.change("SOL", 2.0)
    older = server.respond("/api/models/m/manifest", None)
    server.change("SOL", 3.0)
    server.always[MANIFEST] = older
    server.asked_for()
    assert client.sync("m").changed == ("SOL",)
    assert client.local("m", "SOL").mean_values[0] == 3.0
    assert client.sync("m").unchanged == ("SOL",)
    assert server.asked_for() == [MANIFEST, "SOL"] * 2
    server.always.clear()
    assert client.sync("m").unchanged == ("SOL",)
    assert server.asked_for() == [MANIFEST]


def test_as_many_pulls_as_workers_are_under_way_at_once(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model(*MANY[:8])
    together = threading.Barrier(4)
    server.holds = lambda: together.wait(20)  # breaks, and so fails, unless four pulls meet, twice
    synced = connect_to(server).sync("m", workers=4)
    assert (synced.changed, server.most_at_once) == (tuple(MANY[:8]), 4)


def test_one_worker_pulls_one_after_another(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model(*MANY[:8])
    connect_to(server).sync("m", workers=1)
    assert server.most_at_once == 1


def test_threads_that_sync_at_once_pull_each_symbol_once(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model(*MANY[:8])
    client = connect_to(server)
    together = threading.Barrier(3)
    found: list[Synced] = []

    def sync() -> None:
        together.wait()
        found.append(client.sync("m"))

    threads = [threading.Thread(target=sync) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(synced.changed) for synced in found) == [0, 0, 8]
    assert sorted(server.asked_for()) == sorted([*MANY[:8], *[MANIFEST] * 3])


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": ""},
        {"model": ".."},
        {"symbols": "SOL"},
        {"symbols": ["SOL", ""]},
        {"workers": 0},
        {"workers": 65},
        {"wait": -1},
        {"wait": float("nan")},
        {"wait": float("inf")},
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_is_asked(
    serve_model: Serve, connect_to: ConnectTo, arguments: dict[str, object]
) -> None:
    server = serve_model("SOL")
    with pytest.raises(ValueError):
        connect_to(server).sync(**{"model": "m", **arguments})
    assert server.asked_for() == []


def test_without_wait_changes_are_not_asked(serve_model: Serve, connect_to: ConnectTo) -> None:
    server = serve_model("SOL")
    client = connect_to(server)
    for _ in range(3):
        client.sync("m")
    assert CHANGES not in server.asked_for()
