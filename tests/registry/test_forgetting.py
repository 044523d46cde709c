"""Models that are deleted leave nothing in memory, whoever deleted them, and nothing that bots could mistake."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_core.domain.groups import Group
from mm_core.errors import ModelNotFound
from mm_core.registry import Registry
from mm_core.registry.manifests import Manifest
from mm_core.registry.prepared_bodies import PayloadHandle
from mm_core.settings import Settings
from mm_core.store.config_files import ConfigRow
from mm_core.wiring import open_registry
from tests.conftest import save_config, write_group_below

Write = Callable[..., Path]


@pytest.fixture
def gone_root(tmp_path: Path, booster_json: bytes) -> Path:
    """A root whose symbol no other one has."""
    return write_group_below(tmp_path / "gone", booster_json, "GONEUSDT_mid_chg_1m")


@pytest.fixture
def server(settings: Settings, model_root: Path) -> Registry:
    """The registry of a process that publishes, with a model that stays."""
    server = open_registry(settings)
    server.registrations.register("stays", str(model_root))
    server.publisher.publish_all()
    return server


def _held(symbol: str) -> list[object]:
    """Return what this process has in memory of a symbol: parsed groups, handles, configs and manifests."""
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, Group | PayloadHandle | ConfigRow)]
    manifests = [each for each in gc.get_objects() if isinstance(each, Manifest)]
    return [
        *(each for each in found if each.symbol == symbol),
        *(each for each in manifests if symbol.encode() in each.data),
    ]


def _ask(server: Registry, worker: Registry, name: str, symbol: str) -> None:
    """Ask as bots of a model do, and as analysts who look at it."""
    server.publisher.publish_all()
    assert worker.published.find(name, symbol) == server.payload(name, symbol)
    assert server.payloads.handle(name, symbol).symbol == symbol
    assert symbol.encode() in server.manifests.get(name).data
    assert server.configs.get(name, symbol).record.revision == 1


@pytest.mark.parametrize("deleted_by", ["the server", "the command line"])
def test_a_deleted_model_leaves_nothing_in_the_memory_of_any_process(
    server: Registry, settings: Settings, gone_root: Path, deleted_by: str
) -> None:
    worker, other = open_registry(settings), open_registry(settings)
    for run in ("run-1", "run-2", "run-3"):
        server.registrations.register(run, str(gone_root))
        _ask(server, worker, run, "GONEUSDT")
    assert _held("GONEUSDT")
    deleter = server if deleted_by == "the server" else other
    for run in ("run-1", "run-2", "run-3"):
        deleter.registrations.delete(run)
    del deleter, other
    _ask(server, worker, "stays", "SOLUSDT")  # bots of other models go on
    assert _held("GONEUSDT") == []
    assert _held("SOLUSDT")


def test_a_symbol_that_left_its_model_leaves_nothing_in_the_memory_of_the_process_that_publishes(
    server: Registry, write_group: Write
) -> None:
    root = write_group("GONEUSDT_mid_chg_1m")
    server.registrations.refresh("stays")
    server.publisher.publish_all()
    assert server.payload("stays", "GONEUSDT").symbol == "GONEUSDT"
    for path in root.glob("GONEUSDT_*"):
        path.unlink()
    server.registrations.refresh("stays")
    server.publisher.publish_all()
    assert server.payloads.handle("stays", "SOLUSDT").symbol == "SOLUSDT"
    assert [each for each in _held("GONEUSDT") if isinstance(each, PayloadHandle)] == []


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "faster than the publisher looks"])
def test_a_model_that_is_registered_again_has_no_tag_and_no_revision_that_was_seen_for_other_content(
    server: Registry, settings: Settings, model_root: Path, gone_root: Path, noticed: bool
) -> None:
    server.registrations.register("m", str(gone_root))
    server.publisher.publish_all()
    before = server.manifests.get("m")
    open_registry(settings).registrations.delete("m")
    if noticed:
        server.publisher.publish_all()
        with pytest.raises(ModelNotFound):
            server.manifests.get("m")
    server.registrations.register("m", str(model_root))
    server.publisher.publish_all()
    after = server.manifests.get("m")
    assert after.revision > before.revision
    assert after.sha256 != before.sha256
    tags = [{item["etag"] for item in json.loads(each.data)["items"]} for each in (before, after)]
    assert tags[0] & tags[1] == set()
    told = server.changes.since("m", before.revision).symbols
    assert told in (None, ("BTCUSDT", "GONEUSDT", "SOLUSDT"))
    assert server.changes.since("m", after.revision).symbols == ()


def test_scans_of_other_models_stay_in_memory_when_one_is_deleted(
    server: Registry, settings: Settings, gone_root: Path
) -> None:
    server.registrations.register("m", str(gone_root))
    first = server.model("stays")[1]
    open_registry(settings).registrations.delete("m")
    assert server.model("stays")[1] is first
    save_config(server, 0.5, "stays")
    assert server.model("stays")[1] is first
