"""Payloads made when content changes: what is published, when it is true, who publishes, what heals."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mm_core.errors import DuplicateSymbols, ModelManagerError, StoreCorrupt, SymbolNotFound
from mm_core.payloads import CODINGS, Coding
from mm_core.registry import Registry, publishing
from mm_core.registry import payloads as payloads_module
from mm_core.settings import Settings
from mm_core.store import NoteDirectory
from mm_core.wiring import open_registry
from tests.waiting import wait_until

Write = Callable[..., Path]
KEYS = {"BTCUSDT": "BTCUSDT_mid_chg_1m", "ETHUSDT": "ETHUSDT_mid_chg_1m", "SOLUSDT": "SOLUSDT_mid_chg_1m"}


@pytest.fixture
def root(write_group: Write) -> Path:
    """A root with three whole groups."""
    for key in KEYS.values():
        root = write_group(key)
    return root


@pytest.fixture
def published(registry: Registry, root: Path) -> Registry:
    """A registry whose model ``m`` has three published symbols."""
    registry.registrations.register("m", str(root))
    registry.publisher.publish_all()
    assert _ready(registry) == set(KEYS)
    return registry


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Registry], Registry]]:
    """Start publishers with short pauses; they are stopped at the end."""
    monkeypatch.setattr(publishing, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(publishing, "LOCK_PAUSE_SECONDS", 0.05)
    running: list[Registry] = []

    def begin(registry: Registry) -> Registry:
        registry.publisher.start()
        running.append(registry)
        return registry

    yield begin
    for registry in running:
        registry.publisher.stop()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The symbols of all payloads that are built, in their order."""
    symbols: list[str] = []
    build = payloads_module.build_payload

    def noted(parts: Any, model_json: bytes) -> bytes:
        symbols.append(parts.group.symbol)
        return build(parts, model_json)

    monkeypatch.setattr(payloads_module, "build_payload", noted)
    return symbols


def _save(registry: Registry, symbol: str, mean: float, model: str = "m") -> None:
    body = {"mean_values": [mean, 0.5, 0.25], "variance_values": [1.0, 2.0, 3.0]}
    registry.configs.save(model, symbol, {symbol: body}, by="api")


def _ready(registry: Registry, model: str = "m") -> set[str]:
    return {symbol for symbol in KEYS if registry.published.find(model, symbol) is not None}


def _mean(registry: Registry, symbol: str) -> float | None:
    """Return the first mean of what is published, None where nothing is."""
    handle = registry.published.find("m", symbol)
    if handle is None:
        return None
    body = json.loads(registry.payloads.body(handle, Coding.IDENTITY))
    return float(body["payload"]["factor_config"][symbol]["mean_values"][0])


def _ready_body(registry: Registry, handle: Any, coding: Coding) -> bytes | None:
    body = registry.payloads.ready_body(handle, coding)
    return body[:] if body is not None else None


def _info(symbol: str) -> bytes:
    return pickle.dumps({"symbol": symbol, "return_name": "mid_chg_1m"}, protocol=4)


def _handed_out(settings: Settings, model: str = "m") -> dict[str, str]:
    """Return the digest of the body that a web server hands out for each symbol of a model."""
    links = (settings.data_dir / "static" / "models" / model).glob("*")
    return {link.name: link.resolve(strict=True).name for link in links}


def _bodies_handed_out(settings: Settings) -> set[str]:
    return {body.name for body in (settings.data_dir / "static" / "payloads").glob("*")}


def _digests(registry: Registry, model: str = "m") -> dict[str, str]:
    """Return the digest of the payload of each symbol that the store has now, as it is spelled there."""
    if registry.view().model(model) is None:
        return {}
    groups = registry.model(model)[1].groups.values()
    return {group.symbol: registry.payloads.handle(model, group.symbol).digest for group in groups if group.model}


def _notes(settings: Settings) -> list[Path]:
    return sorted(path for path in (settings.data_dir / "published").glob("*/*") if path.is_file())


def _payload_blobs(settings: Settings) -> set[Path]:
    return {path for path in (settings.data_dir / "blobs" / "payloads").rglob("*") if path.is_file()}


def test_every_ready_group_is_published_with_all_its_bytes(published: Registry) -> None:
    for symbol, key in KEYS.items():
        handle = published.published.find("m", symbol)
        assert handle == published.payloads.handle("m", symbol)
        assert (handle.model_name, handle.symbol, handle.group_key) == ("m", symbol, key)
        for coding in (Coding.GZIP, Coding.ZSTD):
            assert _ready_body(published, handle, coding) == published.payloads.body(handle, coding)
    assert published.publisher.waiting == 0


def test_nothing_is_published_before_the_first_time(registry: Registry, root: Path) -> None:
    assert registry.published.find("m", "SOLUSDT") is None
    registry.registrations.register("m", str(root))
    assert (_ready(registry), registry.published.stamp(), list(registry.published.handles())) == (set(), None, [])


def test_an_empty_store_can_be_published(registry: Registry) -> None:
    registry.publisher.publish_all()
    assert registry.published.find("m", "SOLUSDT") is None
    assert registry.published.stamp() == registry.store.stamp()


def test_the_case_of_a_symbol_does_not_matter_and_that_of_a_model_does(published: Registry) -> None:
    handle = published.published.find("m", "SOLUSDT")
    assert handle is not None
    assert published.published.find("m", "solusdt") == published.published.find("m", "SolUsdt") == handle
    assert published.published.find("M", "SOLUSDT") is None


def test_what_does_not_exist_is_not_published(published: Registry) -> None:
    for name, symbol in (("n", "SOLUSDT"), ("m", "XRPUSDT"), ("m", ""), ("", ""), ("m", "../m/SOLUSDT")):
        assert published.published.find(name, symbol) is None


def test_the_state_is_nobodys_payload(published: Registry) -> None:
    assert published.published.find("", "state") is None


@pytest.mark.parametrize("change", ["save", "refresh", "register", "delete", "other model", "other process"])
def test_after_a_commit_nothing_is_published_until_it_is_published_again(
    published: Registry, settings: Settings, root: Path, change: str
) -> None:
    writer = open_registry(settings) if change == "other process" else published
    if change == "refresh":
        (root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("a\nb\nc\n")
        writer.registrations.refresh("m")
    elif change == "register":
        writer.registrations.register("m", str(root))
    elif change == "delete":
        writer.registrations.delete("m")
    elif change == "other model":
        writer.registrations.register("n", str(root))
    else:
        _save(writer, "SOLUSDT", 7.0)
    assert _ready(published) == _ready(open_registry(settings)) == set()
    published.publisher.publish_all()
    ready = _ready(published)
    assert ready == _ready(open_registry(settings)) == (set() if change == "delete" else set(KEYS))
    fresh = open_registry(settings)
    assert [published.published.find("m", symbol) for symbol in ready] == [
        fresh.payloads.handle("m", symbol) for symbol in ready
    ]


def test_symbols_that_did_not_change_keep_their_notes_and_are_not_made_again(
    published: Registry, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {symbol: published.published.note("m", symbol) for symbol in KEYS}
    prepared: list[str] = []
    prepare = published.payloads.prepared

    def noted(view: Any, model: Any, group: Any) -> Any:
        prepared.append(group.symbol)
        assert [published.published.find("m", symbol) for symbol in ("BTCUSDT", "ETHUSDT")] == [
            before["BTCUSDT"],
            before["ETHUSDT"],
        ], "the others are served while one is made"
        assert published.published.find("m", "SOLUSDT") is None
        return prepare(view, model, group)

    monkeypatch.setattr(published.payloads, "prepared", noted)
    _save(published, "SOLUSDT", 7.0)
    assert {symbol: published.published.note("m", symbol) for symbol in KEYS} == before
    published.publisher.publish_all()
    assert built == prepared == ["SOLUSDT"]
    after = {symbol: published.published.find("m", symbol) for symbol in KEYS}
    assert {symbol for symbol in KEYS if after[symbol] != before[symbol]} == {"SOLUSDT"}
    assert _mean(published, "SOLUSDT") == 7.0


def test_a_refresh_makes_only_the_groups_whose_files_changed(published: Registry, root: Path, built: list[str]) -> None:
    (root / "ETHUSDT_mid_chg_1m_factors.txt").write_text("a\nb\nc\n")
    published.registrations.refresh("m")
    published.publisher.publish_all()
    assert (built, _ready(published)) == (["ETHUSDT"], set(KEYS))


def test_a_model_below_another_root_is_made_again(published: Registry, root: Path, tmp_path: Path) -> None:
    before = published.published.find("m", "SOLUSDT")
    moved = root.rename(tmp_path / "elsewhere")
    published.registrations.register("m", str(moved))
    published.publisher.publish_all()
    after = published.published.find("m", "SOLUSDT")
    assert after == published.payloads.handle("m", "SOLUSDT") != before
    assert str(moved) in published.payloads.body(after, Coding.IDENTITY).decode()


def test_a_group_that_lost_its_model_is_withdrawn(published: Registry, root: Path, settings: Settings) -> None:
    (root / "SOLUSDT_mid_chg_1m_model.json").unlink()
    published.registrations.refresh("m")
    published.publisher.publish_all()
    assert _ready(published) == {"BTCUSDT", "ETHUSDT"}
    assert published.published.note("m", "SOLUSDT") is None
    assert len(_notes(settings)) == 3
    with pytest.raises(ModelManagerError):
        published.payloads.handle("m", "SOLUSDT")


def test_a_group_that_gets_its_model_back_is_published_again(
    published: Registry, root: Path, booster_json: bytes
) -> None:
    path = root / "SOLUSDT_mid_chg_1m_model.json"
    for content in (b"{", None, booster_json):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        published.registrations.refresh("m")
        published.publisher.publish_all()
        assert ("SOLUSDT" in _ready(published)) is (content == booster_json)
    assert published.published.find("m", "SOLUSDT") == published.payloads.handle("m", "SOLUSDT")


RENAMINGS: dict[str, dict[str, str]] = {
    "corrected": {"SOLUSDT": "XRPUSDT"},
    "spelled in another case": {"SOLUSDT": "SolUsdt"},
    "exchanged with another group's": {"SOLUSDT": "ETHUSDT", "ETHUSDT": "SOLUSDT"},
    "handed round": {"SOLUSDT": "ETHUSDT", "ETHUSDT": "BTCUSDT", "BTCUSDT": "SOLUSDT"},
    "handed on": {"SOLUSDT": "ETHUSDT", "ETHUSDT": "XRPUSDT"},
}
"""How symbols of groups change, whose files keep their names: after by before."""


@pytest.mark.parametrize("renaming", RENAMINGS.values(), ids=list(RENAMINGS))
def test_a_symbol_that_left_the_model_is_withdrawn_though_its_files_keep_their_names(
    published: Registry, settings: Settings, root: Path, renaming: dict[str, str]
) -> None:
    other, before, revision = open_registry(settings), _digests(published), published.view().revision
    for symbol, after in renaming.items():
        (root / f"{KEYS[symbol]}_info.pkl").write_bytes(_info(after))
    published.registrations.refresh("m")
    published.publisher.publish_all()
    now = _digests(published)
    assert set(now) == {renaming.get(symbol, symbol) for symbol in KEYS}
    for mean in (7.0, 8.0):
        for registry in (published, other, open_registry(settings)):
            assert {symbol: registry.published.find("m", symbol) for symbol in now} == {
                symbol: registry.payloads.handle("m", symbol) for symbol in now
            }
            for symbol in before:
                if symbol.casefold() not in map(str.casefold, now):
                    assert registry.published.note("m", symbol) is None
                    with pytest.raises(SymbolNotFound):
                        registry.payload("m", symbol)
        assert _handed_out(settings) == _digests(published)
        assert _bodies_handed_out(settings) == set(_digests(published).values())
        assert len(_notes(settings)) == len(KEYS) + 1, "those of the symbols, and the state"
        _save(published, "BTCUSDT", mean)  # what was left behind became true again with each commit
        published.publisher.publish_all()
    told = published.changes.since("m", revision).symbols
    assert told == tuple(sorted({*renaming, *renaming.values(), "BTCUSDT"}))


def test_whoever_waits_for_changes_is_told_of_the_symbol_that_went_and_of_the_one_that_came(
    published: Registry, root: Path
) -> None:
    revision, told = published.view().revision, []
    waiter = threading.Thread(target=lambda: told.append(published.changes.since("m", revision, 20).symbols))
    waiter.start()
    (root / f"{KEYS['SOLUSDT']}_info.pkl").write_bytes(_info("XRPUSDT"))
    published.registrations.refresh("m")
    published.publisher.publish_all()
    waiter.join(20)
    assert told == [("SOLUSDT", "XRPUSDT")]


def test_a_manifest_and_its_tag_follow_a_symbol_that_changes(published: Registry, root: Path) -> None:
    before = published.manifests.get("m")
    (root / f"{KEYS['SOLUSDT']}_info.pkl").write_bytes(_info("XRPUSDT"))
    published.registrations.refresh("m")
    published.publisher.publish_all()
    after = published.manifests.get("m")
    assert after.sha256 != before.sha256
    items = {item["symbol"]: item["sha256"] for item in json.loads(after.data)["items"]}
    assert items == _digests(published)


def test_mean_and_variance_belong_to_the_symbol_not_to_the_files(published: Registry, root: Path) -> None:
    _save(published, "SOLUSDT", 7.0)
    _save(published, "ETHUSDT", 8.0)
    info = root / f"{KEYS['SOLUSDT']}_info.pkl"
    (root / f"{KEYS['ETHUSDT']}_info.pkl").write_bytes(_info("SOLUSDT"))
    info.write_bytes(_info("XRPUSDT"))
    published.registrations.refresh("m")
    published.publisher.publish_all()
    assert (_mean(published, "XRPUSDT"), _mean(published, "SOLUSDT")) == (0.2, 7.0)
    assert {handle.symbol: handle.group_key for handle in published.published.handles()}["SOLUSDT"] == KEYS["ETHUSDT"]


def test_a_symbol_that_moves_to_another_group_is_that_groups_alone(
    published: Registry, settings: Settings, root: Path, write_group: Write
) -> None:
    for path in root.glob(f"{KEYS['SOLUSDT']}_*"):
        path.unlink()
    write_group("retrained_sol", info_pkl=_info("SOLUSDT"))
    published.registrations.refresh("m")
    published.publisher.publish_all()
    handle = published.published.find("m", "SOLUSDT")
    assert handle is not None
    assert (handle.group_key, handle) == ("retrained_sol", published.payloads.handle("m", "SOLUSDT"))
    assert _handed_out(settings) == _digests(published)


def test_a_symbol_that_two_groups_claim_stays_that_of_the_last_good_scan_until_one_lets_go(
    published: Registry, settings: Settings, root: Path
) -> None:
    before = _digests(published)
    (root / f"{KEYS['SOLUSDT']}_info.pkl").write_bytes(_info("EthUsdt"))
    with pytest.raises(DuplicateSymbols):
        published.registrations.refresh("m")
    published.publisher.publish_all()
    assert (_digests(published), _handed_out(settings), _ready(published)) == (before, before, set(KEYS))
    (root / f"{KEYS['ETHUSDT']}_info.pkl").write_bytes(_info("XRPUSDT"))
    published.registrations.refresh("m")
    published.publisher.publish_all()
    assert set(_digests(published)) == {"BTCUSDT", "EthUsdt", "XRPUSDT"}
    assert _handed_out(settings) == _digests(published)
    assert published.published.note("m", "SOLUSDT") is None


def test_what_an_older_version_left_behind_goes_when_a_publisher_takes_over(
    published: Registry, settings: Settings, root: Path
) -> None:
    left = published.published.find("m", "SOLUSDT")
    assert left is not None
    (root / f"{KEYS['SOLUSDT']}_info.pkl").write_bytes(_info("XRPUSDT"))
    published.registrations.refresh("m")
    published.publisher.publish_all()
    published.published.publish(left)
    open_registry(settings).publisher.publish_all()
    assert published.published.note("m", "SOLUSDT") is None
    assert _handed_out(settings) == _digests(published)


def test_a_deleted_models_notes_are_removed_and_come_back_with_it(
    published: Registry, root: Path, settings: Settings
) -> None:
    published.registrations.register("n", str(root))
    published.publisher.publish_all()
    assert len(_notes(settings)) == 7
    published.registrations.delete("m")
    published.publisher.publish_all()
    assert (len(_notes(settings)), _ready(published), _ready(published, "n")) == (4, set(), set(KEYS))
    assert {handle.model_name for handle in published.published.handles()} == {"n"}
    published.registrations.register("m", str(root))
    published.publisher.publish_all()
    assert _ready(published) == set(KEYS)
    assert published.published.find("m", "SOLUSDT") == open_registry(settings).payloads.handle("m", "SOLUSDT")


def test_a_model_deleted_and_registered_again_gets_none_of_the_older_values(published: Registry, root: Path) -> None:
    _save(published, "SOLUSDT", 7.0)
    published.publisher.publish_all()
    published.registrations.delete("m")
    published.registrations.register("m", str(root))
    published.publisher.publish_all()
    assert _mean(published, "SOLUSDT") == 0.2


def test_a_new_process_withdraws_nothing_of_what_is_true(
    published: Registry, settings: Settings, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path: path.stat().st_ino for path in _notes(settings)}
    again = open_registry(settings)
    assert _ready(again) == set(KEYS)
    prepare = again.payloads.prepared
    looked: list[str] = []

    def noted(view: Any, model: Any, group: Any) -> Any:
        looked.append(group.symbol)
        assert _ready(published) == set(KEYS)
        return prepare(view, model, group)

    monkeypatch.setattr(again.payloads, "prepared", noted)
    again.publisher.publish_all()
    assert (sorted(looked), built) == (sorted(KEYS), [])
    assert _ready(again) == set(KEYS)
    untouched = {path for path in _notes(settings) if path.stat().st_ino == files[path]}
    assert len(untouched) >= len(KEYS)


def test_a_new_process_publishes_what_changed_while_none_ran(
    published: Registry, settings: Settings, built: list[str]
) -> None:
    _save(published, "ETHUSDT", 7.0)
    again = open_registry(settings)
    assert _ready(again) == set()
    again.publisher.publish_all()
    assert (built, _ready(published), _mean(published, "ETHUSDT")) == (["ETHUSDT"], set(KEYS), 7.0)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"null", b"[]", b"{}", b'{"stamp":"x"}', b"\xff\xfe", b'{"key":1}', b"[" * 100_000]
)
def test_a_damaged_note_counts_as_unpublished_and_is_written_again(
    published: Registry, settings: Settings, damage: bytes
) -> None:
    for path in _notes(settings):
        whole = path.read_bytes()
        path.write_bytes(damage)
        assert len(_ready(published)) in {0, 2}
        assert len(list(published.published.handles())) in {2, 3}
        assert published.housekeeping.diagnose().healthy
        again = open_registry(settings)
        again.publisher.publish_all()
        assert _ready(published) == _ready(again) == set(KEYS)
        assert path.read_bytes() == whole


def test_a_damaged_state_is_written_again_with_the_next_commit(published: Registry, settings: Settings) -> None:
    NoteDirectory(settings.data_dir / "published").write("", "state", b"{")
    assert _ready(published) == set()
    _save(published, "SOLUSDT", 7.0)
    published.publisher.publish_all()
    assert _ready(published) == set(KEYS)


def test_lost_notes_are_written_again_by_the_next_process(published: Registry, settings: Settings) -> None:
    shutil.rmtree(settings.data_dir / "published")
    assert _ready(published) == set()
    assert published.payloads.handle("m", "SOLUSDT").size_bytes > 0
    again = open_registry(settings)
    again.publisher.publish_all()
    assert _ready(published) == _ready(again) == set(KEYS)


def test_lost_bytes_of_what_is_published_are_made_again_when_they_are_asked_for(
    published: Registry, settings: Settings
) -> None:
    handle = published.published.find("m", "SOLUSDT")
    assert handle is not None
    expected = {coding: published.payloads.body(handle, coding) for coding in CODINGS}
    for lost in (lambda path: path.unlink(), lambda path: path.write_bytes(b"\0" * path.stat().st_size)):
        for path in _payload_blobs(settings):
            lost(path)
        again = open_registry(settings)
        ready = again.published.find("m", "SOLUSDT")
        assert ready == handle
        assert [_ready_body(again, ready, coding) for coding in CODINGS] == [None] * len(CODINGS)
        assert {coding: again.payloads.body(ready, coding) for coding in CODINGS} == expected
        assert again.payloads.handle("m", "SOLUSDT") == handle
        assert [_ready_body(again, ready, coding) for coding in CODINGS] == list(expected.values())


def test_a_payload_that_cannot_be_made_holds_up_no_other(published: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for symbol in KEYS:
        _save(published, symbol, 7.0)
    prepare = published.payloads.prepared

    def fail(view: Any, model: Any, group: Any) -> Any:
        if group.symbol == "ETHUSDT":
            raise ModelManagerError("The disk is full.")
        return prepare(view, model, group)

    monkeypatch.setattr(published.payloads, "prepared", fail)
    with pytest.raises(ModelManagerError, match="disk is full"):
        published.publisher.publish_all()
    assert (_ready(published), published.publisher.waiting) == ({"BTCUSDT", "SOLUSDT"}, 1)
    assert published.published.note("m", "ETHUSDT") is None
    assert published.payloads.handle("m", "ETHUSDT").symbol == "ETHUSDT"


def test_a_commit_while_payloads_are_made_is_published_too(
    published: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_registry(settings)
    values = iter([8.0, 9.0])
    prepare = published.payloads.prepared
    turn = threading.Lock()

    def interrupted(view: Any, model: Any, group: Any) -> Any:
        made = prepare(view, model, group)
        with turn:
            value = next(values, None)
            if value is not None:
                _save(writer, "SOLUSDT", value)
        return made

    monkeypatch.setattr(published.payloads, "prepared", interrupted)
    _save(published, "SOLUSDT", 7.0)
    published.publisher.publish_all()
    assert (_mean(published, "SOLUSDT"), _ready(published)) == (9.0, set(KEYS))
    assert published.published.find("m", "SOLUSDT") == open_registry(settings).payloads.handle("m", "SOLUSDT")


def test_the_thread_publishes_every_change_of_any_process(
    published: Registry, settings: Settings, start: Callable[[Registry], Registry]
) -> None:
    start(published)
    writer = open_registry(settings)
    for number in range(5):
        _save(writer, "SOLUSDT", float(number))
        wait_until(lambda: _ready(writer) == set(KEYS))
        assert _mean(writer, "SOLUSDT") == float(number)


def test_what_is_found_is_never_older_than_the_last_commit(
    published: Registry, settings: Settings, start: Callable[[Registry], Registry]
) -> None:
    start(published)
    found = 0
    writer = open_registry(settings)
    for number in range(60):
        _save(writer, "SOLUSDT", float(number))
        for registry in (writer, published):
            for _ in range(number % 5):
                mean = _mean(registry, "SOLUSDT")
                assert mean in {None, float(number)}
                found += mean is not None
        if number % 4 == 0:
            wait_until(lambda: _mean(writer, "SOLUSDT") is not None)
            found += 1
    assert found >= 15


def test_one_of_two_publishers_works_and_the_other_takes_over(
    settings: Settings, root: Path, start: Callable[[Registry], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = open_registry(settings), open_registry(settings)
    first.registrations.register("m", str(root))
    calls: list[str] = []

    def watched(registry: Registry, name: str) -> None:
        prepare = registry.payloads.prepared

        def noted(view: Any, model: Any, group: Any) -> Any:
            calls.append(name)
            return prepare(view, model, group)

        monkeypatch.setattr(registry.payloads, "prepared", noted)

    watched(first, "first")
    watched(second, "second")
    start(first)
    wait_until(lambda: _ready(first) == set(KEYS))
    start(second)
    for number in range(3):
        _save(second, "SOLUSDT", float(number))
        wait_until(lambda: _ready(second) == set(KEYS))
    assert set(calls) == {"first"}
    first.publisher.stop()
    calls.clear()
    _save(first, "SOLUSDT", 9.0)
    wait_until(lambda: _mean(first, "SOLUSDT") == 9.0)
    assert set(calls) == {"second"}


def test_stopping_a_publisher_that_waits_for_another_takes_no_time(
    settings: Settings, start: Callable[[Registry], Registry]
) -> None:
    lock = NoteDirectory(settings.data_dir / "published").take_lock()
    assert lock is not None
    registry = start(open_registry(settings))
    started = time.monotonic()
    registry.publisher.stop()
    assert time.monotonic() - started < 1.0
    lock.release()


def test_the_lock_is_held_while_a_publisher_runs_and_not_longer(
    published: Registry, settings: Settings, start: Callable[[Registry], Registry]
) -> None:
    start(published)
    _save(published, "SOLUSDT", 7.0)
    wait_until(lambda: _ready(published) == set(KEYS))
    notes = NoteDirectory(settings.data_dir / "published")
    assert notes.take_lock() is None
    published.publisher.stop()
    lock = notes.take_lock()
    assert lock is not None
    lock.release()


def _refusals(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set whenever the publisher meets a damaged store."""
    refused = threading.Event()
    publish_all = registry.publisher.publish_all

    def noted() -> None:
        try:
            publish_all()
        except StoreCorrupt:
            refused.set()
            raise

    monkeypatch.setattr(registry.publisher, "publish_all", noted)
    return refused


def test_the_thread_survives_a_damaged_store_and_goes_on_after_it_is_put_back(
    published: Registry, settings: Settings, start: Callable[[Registry], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = settings.data_dir / "registry.json"
    whole = path.read_bytes()
    refused = _refusals(published, monkeypatch)
    start(published)
    for damage in (b"{", b'{"format":2}', b""):
        refused.clear()
        path.write_bytes(damage)
        assert refused.wait(10)
        assert _ready(published) == set()
        path.write_bytes(whole)
        wait_until(lambda: _ready(published) == set(KEYS))
    _save(published, "SOLUSDT", 7.0)
    wait_until(lambda: _mean(published, "SOLUSDT") == 7.0)


def test_payloads_that_wait_while_the_store_is_damaged_are_made_when_the_same_file_is_back(
    registry: Registry,
    settings: Settings,
    write_group: Write,
    start: Callable[[Registry], Registry],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    symbols = [f"S{number}USDT" for number in range(4 * (os.cpu_count() or 1))]
    for symbol in symbols:
        root = write_group(f"{symbol}_r")
    registry.registrations.register("m", str(root))
    path, aside = settings.data_dir / "registry.json", settings.data_dir / "aside"
    prepare, once = registry.payloads.prepared, threading.Lock()

    def damaging(view: Any, model: Any, group: Any) -> Any:
        if once.acquire(blocking=False):
            path.rename(aside)
            path.write_bytes(b"{")
        return prepare(view, model, group)

    monkeypatch.setattr(registry.payloads, "prepared", damaging)
    refused = _refusals(registry, monkeypatch)
    start(registry)
    assert refused.wait(10)
    aside.rename(path)
    wait_until(lambda: all(registry.published.find("m", symbol) for symbol in symbols), 2.0)


def test_a_payload_that_could_not_be_made_is_tried_again(
    published: Registry, start: Callable[[Registry], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, failed = published.published.publish, threading.Event()

    def full_once(handle: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise ModelManagerError("The disk is full.")
        publish(handle)

    monkeypatch.setattr(published.published, "publish", full_once)
    start(published)
    _save(published, "SOLUSDT", 7.0)
    assert failed.wait(10)
    wait_until(lambda: _mean(published, "SOLUSDT") == 7.0, 2.0)


def test_published_blobs_are_kept_however_old_and_withdrawn_ones_are_cleared(
    published: Registry, settings: Settings
) -> None:
    old = _payload_blobs(settings)
    for path in old:
        os.utime(path, (1, 1))
    assert published.housekeeping.plan_cleanup().orphans == ()
    assert published.housekeeping.plan_cleanup(0.0).orphans == ()
    _save(published, "SOLUSDT", 7.0)
    published.publisher.publish_all()
    current = _payload_blobs(settings) - old
    for path in current:
        os.utime(path, (1, 1))
    plan = published.housekeeping.plan_cleanup()
    assert len(plan.orphans) == len(current) == 3
    assert {entry.path for _, entry in plan.orphans} < old
    assert published.housekeeping.diagnose().orphaned_blobs == 3
    assert published.housekeeping.execute(plan) == plan.size_bytes > 0
    fresh = open_registry(settings)
    for symbol in KEYS:
        handle = fresh.published.find("m", symbol)
        assert _ready_body(fresh, handle, Coding.GZIP) is not None
    published.registrations.delete("m")
    published.publisher.publish_all()
    assert {entry.path for directory, entry in published.housekeeping.plan_cleanup().orphans} >= _payload_blobs(
        settings
    )


def test_a_plan_made_before_a_payload_was_published_does_not_take_its_blobs(
    published: Registry, settings: Settings
) -> None:
    handle = published.published.find("m", "SOLUSDT")
    assert handle is not None
    for path in _payload_blobs(settings):
        os.utime(path, (1, 1))
    published.published.withdraw("m", "SOLUSDT")
    plan = published.housekeeping.plan_cleanup()
    assert len(plan.orphans) == 3
    published.published.publish(handle)
    assert published.housekeeping.execute(plan) == 0
    assert _ready_body(published, handle, Coding.GZIP) is not None


@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_what_is_published_is_what_asking_the_store_gives(
    seed: int, settings: Settings, write_group: Write, booster_json: bytes
) -> None:
    chance = random.Random(seed)
    symbols = [*KEYS, "Ünïcode"]
    called = {KEYS.get(symbol, f"{symbol}_r"): symbol for symbol in symbols}
    registries = [open_registry(settings) for _ in range(2)]
    owner = registries[0]
    root = write_group(KEYS["BTCUSDT"])

    def save(registry: Registry) -> None:
        _save(registry, chance.choice(symbols), chance.random(), chance.choice("mn"))

    def rewrite(registry: Registry) -> None:
        model = chance.choice([booster_json, booster_json, b"{", None])
        key = chance.choice(list(called))
        for path in root.glob(f"{key}_*"):
            path.unlink()
        if chance.random() < 0.8:
            factors = "\n".join(chance.sample("abcdef", 3)).encode()
            write_group(key, model_json=model, factors_txt=factors, info_pkl=_info(called[key]))
        registry.registrations.refresh(chance.choice("mn"))

    def rename(registry: Registry) -> None:
        one, other = chance.sample(list(called), 2)
        called[one], called[other] = called[other], chance.choice([called[one], called[one], *symbols])
        called[one] = chance.choice([str, str, str.lower, str.title])(called[one])
        for key in (one, other):
            if (root / f"{key}_info.pkl").exists():
                (root / f"{key}_info.pkl").write_bytes(_info(called[key]))
        registry.registrations.refresh(chance.choice("mn"))

    changes: list[Callable[[Registry], Any]] = [
        save, save, save, rewrite, rewrite, rename, rename,
        lambda registry: registry.registrations.refresh(chance.choice("mn")),
        lambda registry: registry.registrations.register(chance.choice("mn"), str(root)),
        lambda registry: registry.registrations.delete(chance.choice("mn")),
    ]  # fmt: skip
    registries[0].registrations.register("m", str(root))
    known: dict[str, dict[str, str]] = {"m": {}, "n": {}}
    revision = named = 0
    for step in range(40):
        for _ in range(chance.randint(1, 3)):
            try:
                chance.choice(changes)(chance.choice(registries))
            except ModelManagerError:
                continue  # no such model or symbol just now, or two groups of one symbol
            if chance.random() < 0.2:
                owner = open_registry(settings)
            if chance.random() < 0.5:
                _agree(settings, registries, symbols, f"{seed}/{step} before")
        owner.publisher.publish_all()
        assert _agree(settings, registries, symbols, f"{seed}/{step}") == 0
        fresh = open_registry(settings)
        for name, before in known.items():
            now = known[name] = _digests(fresh, name)
            assert _handed_out(settings, name) == now, f"{seed}/{step}"
            told = owner.changes.since(name, revision).symbols
            differing = {symbol for symbol in before.keys() | now.keys() if before.get(symbol) != now.get(symbol)}
            assert told is None or not now or differing <= set(told), f"{seed}/{step}"
            named += told is not None and bool(now) and bool(differing)
        assert _bodies_handed_out(settings) == {digest for of in known.values() for digest in of.values()}
        revision = fresh.view().revision
    assert named >= 5, "hardly a change was told of by its symbols"


def _agree(settings: Settings, registries: list[Registry], symbols: list[str], at: str) -> int:
    """Check that nothing false is published; return how many payloads are there that are not."""
    fresh, missing = open_registry(settings), 0
    for name in "mn":
        for symbol in symbols:
            try:
                expected = fresh.payloads.handle(name, symbol)
            except ModelManagerError:
                expected = None
            for registry in registries:
                found = registry.published.find(name, symbol)
                assert found in (None, expected), (at, name, symbol)
                missing += found != expected
    return missing
