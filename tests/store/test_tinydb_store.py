"""Files of the embedded backend: cost, durability, damage, and processes that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mm_core.domain.configs import CellChange, FactorConfigRecord, FactorConfigRevision, Normalization
from mm_core.domain.models import DeletedModel
from mm_core.errors import StoreCorrupt, StoreError, StoreFull, StoreTooNew
from mm_core.store import BlobDirectory, TinyDBStore
from mm_core.store import blobs as blobs_module
from mm_core.store import storage as storage_module
from mm_core.store import tinydb_store as tinydb_store_module
from tests.store.test_contract import MODEL, make_group, make_scan, make_version, record

PROJECT = Path(__file__).parent.parent.parent
GOLDEN = Path(__file__).parent / "golden"

WRITER = """
import sys
from pathlib import Path
from mm_core.domain.configs import FactorConfigRecord, FactorConfigRevision
from mm_core.store import TinyDBStore
store = TinyDBStore(Path(sys.argv[1]), lock_timeout=60)
symbol = sys.argv[2]
for _ in range(int(sys.argv[3])):
    with store.transaction() as transaction:
        known = transaction.configs.record("m", symbol)
        number = known.revision + 1 if known else 1
        transaction.configs.save(
            FactorConfigRecord("m", symbol, number, "", ""), FactorConfigRevision(number, "", "cli", "edit")
        )
    print(number, flush=True)
"""


def _writer(state: Path, symbol: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(state), symbol, str(count)],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _registered(state: Path, groups: int = 3, factors: int = 3) -> TinyDBStore:
    store = TinyDBStore(state)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(groups, factors))
    return store


def _inodes(path: Path) -> dict[str, int]:
    return {str(entry.relative_to(path)): entry.stat().st_ino for entry in path.rglob("*.json")}


def test_writers_in_several_processes_lose_no_update(tmp_path: Path) -> None:
    writers = [_writer(tmp_path, "SHARED", 20) for _ in range(3)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    view = TinyDBStore(tmp_path).view()
    assert (view.revision, view.configs.record("m", "SHARED").revision) == (60, 60)
    assert [one.number for one in view.configs.history("m", "SHARED")] == list(range(1, 61))


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(4)
    acknowledged = {"A": 0, "B": 0}
    for _ in range(8):
        writers = {symbol: _writer(tmp_path, symbol, 10_000) for symbol in acknowledged}
        for writer in writers.values():
            assert writer.stdout is not None
            writer.stdout.readline()
        reader, until = TinyDBStore(tmp_path), time.monotonic() + chance.uniform(0.01, 0.25)
        last = 0
        while time.monotonic() < until:
            view = reader.view()
            assert view.revision >= last
            last = view.revision
            for symbol in acknowledged:
                shown = view.configs.record("m", symbol)
                assert len(view.configs.history("m", symbol)) == (shown.revision if shown else 0)
        for symbol, writer in writers.items():
            writer.send_signal(signal.SIGKILL)
            rest, _ = writer.communicate()
            acknowledged[symbol] = max([acknowledged[symbol], *map(int, rest.split())])
        view = TinyDBStore(tmp_path, lock_timeout=2).view()
        for symbol, number in acknowledged.items():
            assert view.configs.record("m", symbol).revision >= number
    with TinyDBStore(tmp_path, lock_timeout=2).transaction() as transaction:
        transaction.save_model(MODEL)


def test_saving_one_config_rewrites_no_parsed_group(tmp_path: Path) -> None:
    store = _registered(tmp_path, 100)
    before = _inodes(tmp_path / "scans")
    with store.transaction() as transaction:
        transaction.configs.save(*record(1, 2.0))
    assert _inodes(tmp_path / "scans") == before


def _created(state: Path, symbols: int) -> TinyDBStore:
    store = TinyDBStore(state)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        for number in range(symbols):
            symbol = f"A{number:03d}"
            created = FactorConfigRecord("m", symbol, 1, "2024", "2024")
            transaction.configs.save(created, FactorConfigRevision(1, "2024", "scan", "create"))
    return store


def test_what_saving_one_config_writes_does_not_grow_with_the_number_of_groups(tmp_path: Path) -> None:
    written = {}
    for symbols in (500, 5000):
        state = tmp_path / str(symbols)
        store = _created(state, symbols)
        before = _inodes(state)
        with store.transaction() as transaction:
            transaction.configs.save(*record(2, 2.0))
        replaced = [state / "registry.json", state / "copies" / "registry.json"]
        new = [state / name for name in _inodes(state) if name not in before]
        assert sorted(path.parts[-4 if "revisions" in path.parts else -3] for path in new) == ["m"] * 4
        assert sorted(path.stat().st_size for path in new)[::2] == sorted(path.stat().st_size for path in new)[1::2]
        new += replaced
        written[symbols] = sum(path.stat().st_size for path in new)
    assert written[5000] < 1.5 * written[500]


def test_configs_stay_when_a_model_grows_into_more_shards(tmp_path: Path) -> None:
    store = _created(tmp_path, 3)
    with store.transaction() as transaction:
        transaction.configs.save(*record(2, 2.0))
    _created(tmp_path, 2000)
    view = TinyDBStore(tmp_path).view()
    assert len(view.configs.stamps("m")) == 2000
    assert view.configs.history("m", "a000")[1] == record(2, 2.0)[1]
    assert len(list((tmp_path / "configs" / "m" / "shards").iterdir())) > 16


def test_shards_of_configs_that_nothing_names_are_deleted_after_a_while(tmp_path: Path) -> None:
    store = _created(tmp_path, 3)
    for number in range(2, 6):
        for path in (tmp_path / "configs").rglob("*.json"):
            os.utime(path, (1, 1))
        with store.transaction() as transaction:
            transaction.configs.save(*record(number, 2.0))
    for state in (tmp_path, tmp_path / "copies"):
        kept = sorted(path.parent.parent.name for path in (state / "configs").rglob("*.json"))
        assert kept == ["m", "m", *["revisions"] * 4], "the shard, the one that was let go just now, and every revision"
    assert [revision.number for revision in TinyDBStore(tmp_path).view().configs.history("m", "A000")] == [*range(1, 6)]


def test_a_view_reads_what_was_written_long_ago_for_a_while_after_it_was_replaced(tmp_path: Path) -> None:
    store = _created(tmp_path, 3)
    for path in (tmp_path / "configs").rglob("*.json"):
        os.utime(path, (1, 1))
    held = TinyDBStore(tmp_path).view()
    for number in (2, 3):
        with store.transaction() as transaction:
            transaction.configs.save(*record(number, 2.0))
    assert held.configs.stamp("m", "A000") == ("A000", 1, "2024")


def test_a_view_whose_configs_were_removed_reads_the_newest(tmp_path: Path) -> None:
    _created(tmp_path, 3)
    held, gone = TinyDBStore(tmp_path).view(), TinyDBStore(tmp_path).view()
    store = TinyDBStore(tmp_path)
    for number in (1, 2):
        with store.transaction() as transaction:
            transaction.configs.save(*record(number, 2.0))
        for path in (tmp_path / "configs" / "m" / "shards").glob("*.json"):
            os.utime(path, (1, 1))
    with store.transaction() as transaction:
        transaction.save_model(replace(MODEL, updated_at="2026"))
        transaction.configs.save(replace(record(1, 2.0)[0], subject="A001"), record(1, 2.0)[1])
    assert held.configs.stamp("m", "A000") == ("A000", 2, "2025")
    assert held.configs.record("m", "A000") == record(2, 2.0)[0]
    with store.transaction() as transaction:
        transaction.delete_model("m", "2026")
    assert (gone.configs.record("m", "A000"), gone.configs.stamps("m")) == (None, {})


@pytest.mark.parametrize("what", ["shards", "revisions"])
def test_a_file_of_configs_that_is_missing_is_said_and_nothing_else_is_lost(tmp_path: Path, what: str) -> None:
    store = _created(tmp_path, 3)
    with store.transaction() as transaction:
        transaction.configs.save(*record(2, 2.0))
    named = "".join(path.read_text() for path in (tmp_path / "registry.json", *(tmp_path / "configs").rglob("shard-*")))
    (path,) = (path for path in (tmp_path / "configs" / "m" / what).rglob("*.json") if path.name in named)
    aside = path.rename(tmp_path / "aside")
    store = TinyDBStore(tmp_path)
    with pytest.raises(StoreCorrupt, match=f"'{path}' is missing. .*doctor --repair"):
        store.view().configs.record("m", "A000")
    assert any(str(path) in problem for problem in store.problems())
    assert store.view().model("m") is not None
    aside.rename(path)
    assert store.view().configs.record("m", "A000") == record(2, 2.0)[0]
    assert store.problems() == ("The parsed groups of model 'm' are not on disk. Refresh the model.",)


def test_the_figures_of_a_scan_cost_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _registered(tmp_path, 100)
    reads: list[str] = []
    read_file = storage_module.read_file

    def counted(path: Path) -> object:
        reads.append(path.name.split("-")[0])
        return read_file(path)

    monkeypatch.setattr(storage_module, "read_file", counted)
    assert TinyDBStore(tmp_path).view().scan_summary("m").groups == 100
    assert reads == ["index"]


@pytest.mark.parametrize(
    ("form", "versions"), [("format-1", 0), ("format-2", 0), ("format-3", 0), ("format-4", 2), ("format-5", 2)]
)
def test_scans_of_every_format_have_figures(form: str, versions: int) -> None:
    assert TinyDBStore(GOLDEN / form).view().scan_summary("m") == make_scan(2, versions=versions).summary()


def test_a_missing_shard_keeps_a_growing_model_from_being_stored_in_part(tmp_path: Path) -> None:
    store = _created(tmp_path, 3)
    (shard,) = (tmp_path / "configs" / "m" / "shards").iterdir()
    aside = shard.rename(tmp_path / "aside")
    with pytest.raises(StoreCorrupt, match=f"'{shard}' is missing"):
        _created(tmp_path, 2000)
    aside.rename(shard)
    assert TinyDBStore(tmp_path).view().revision == store.view().revision == 1
    assert len(_created(tmp_path, 2000).view().configs.stamps("m")) == 2000


@pytest.mark.parametrize("form", ["format-1", "format-2"])
def test_the_first_commit_moves_configs_of_an_older_format_into_files(tmp_path: Path, form: str) -> None:
    shutil.copytree(GOLDEN / form, tmp_path, dirs_exist_ok=True)
    store = TinyDBStore(tmp_path)
    assert list(store.view().configs.stamps("m")) == ["a000"]
    with store.transaction() as transaction:
        transaction.save_model(replace(MODEL, root_path="/elsewhere"))
    assert "factor_config_revisions" not in (tmp_path / "registry.json").read_text()
    with store.transaction() as transaction:
        transaction.configs.save(*record(2, 8.0))
    view = TinyDBStore(tmp_path).view()
    assert view.configs.record("m", "A000") == record(2, 8.0)[0]
    assert view.configs.history("m", "A000") == (record(1, 0.25)[1], record(2, 8.0)[1])


def test_one_changed_group_costs_one_shard_and_one_index(tmp_path: Path) -> None:
    store = _registered(tmp_path, 500)
    before = _inodes(tmp_path / "scans")
    scan = store.view().scan("m")
    groups = {**scan.groups, "A042_r": make_group("A042_r", read_at="later")}
    with store.transaction() as transaction:
        transaction.save_scan("m", type(scan)("2025", groups))
    new = [name for name in _inodes(tmp_path / "scans") if name not in before]
    assert sorted(Path(name).name.split("-")[0] for name in new) == ["index", "shard"]
    assert len([name for name in before if Path(name).name.startswith("shard")]) == 16


def test_one_changed_version_costs_one_shard_of_versions_and_one_index(tmp_path: Path) -> None:
    store = _registered(tmp_path, 100)
    scan = make_scan(100, versions=500)
    with store.transaction() as transaction:
        transaction.save_scan("m", scan)
    before = _inodes(tmp_path / "scans")
    versions = {**scan.versions, "m/v1.42.0": make_version("m/v1.42.0", read_at="later")}
    with store.transaction() as transaction:
        transaction.save_scan("m", replace(scan, versions=versions))
    new = [name for name in _inodes(tmp_path / "scans") if name not in before]
    assert sorted(Path(name).name.split("-")[0] for name in new) == ["index", "versions"]
    assert len([name for name in before if Path(name).name.startswith("versions")]) == 16
    assert TinyDBStore(tmp_path).view().scan("m").versions == versions


def test_a_missing_shard_of_versions_is_said_and_the_scan_is_made_again(tmp_path: Path) -> None:
    store = _registered(tmp_path)
    with store.transaction() as transaction:
        transaction.save_scan("m", make_scan(3, versions=2))
    for path in (tmp_path / "scans").rglob("versions-*"):
        path.unlink()
    store = TinyDBStore(tmp_path)
    assert (store.view().scan_summary("m"), store.view().scan("m")) == (None, None)
    assert "Refresh the model" in store.problems()[0]


def test_views_of_an_unchanged_store_read_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _registered(tmp_path)
    store.view().scan("m")
    reads: list[Path] = []
    monkeypatch.setattr(tinydb_store_module, "read_file", lambda path: reads.append(path))
    for _ in range(100):
        assert store.view().scan("m") is store.view().scan("m")
    assert reads == []


def test_files_that_no_scan_uses_are_deleted_after_a_while(tmp_path: Path) -> None:
    store = _registered(tmp_path)
    for number in range(4):
        for path in (tmp_path / "scans").rglob("*.json"):
            os.utime(path, (1, 1))
        with store.transaction() as transaction:
            transaction.save_scan("m", replace(make_scan(), scanned_at=f"{number}"))
    names = [path.name.split("-")[0] for path in (tmp_path / "scans").rglob("*.json")]
    assert sorted(names) == ["index", "index", "shard"]


def test_deleted_scan_files_are_said_and_lose_nothing_else(tmp_path: Path) -> None:
    _registered(tmp_path)
    for path in (tmp_path / "scans").rglob("shard*"):
        path.unlink()
    store = TinyDBStore(tmp_path)
    assert store.view().scan_summary("m") is None
    assert store.view().scan("m") is None
    assert store.view().model("m") is not None
    assert "Refresh the model" in store.problems()[0]
    with store.transaction() as transaction:
        transaction.save_scan("m", make_scan())
    assert store.view().scan("m") == make_scan()


def test_a_newer_format_is_refused_with_a_sentence_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    path.write_text('{"format": 6, "tables": {}}')
    store = TinyDBStore(tmp_path)
    with pytest.raises(StoreTooNew, match="format 6, this version reads up to 5"):
        store.view()
    with pytest.raises(StoreTooNew), store.transaction():
        pytest.fail("opened")
    assert path.read_text() == '{"format": 6, "tables": {}}'
    assert "newer version" in store.problems()[0]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "tables": {"models": {'])
def test_a_damaged_file_is_refused_with_a_sentence_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "registry.json"
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="backup"):
        TinyDBStore(tmp_path).view()
    with pytest.raises(StoreCorrupt), TinyDBStore(tmp_path).transaction():
        pytest.fail("opened")
    assert path.read_bytes() == content


def test_a_disk_that_fails_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _registered(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="disk is full"), store.transaction() as transaction:
        transaction.configs.save(*record(1, 2.0))
    monkeypatch.undo()
    assert (store.view().revision, store.view().configs.record("m", "A000")) == (1, None)
    assert list(tmp_path.rglob(".tmp-*")) == []


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    _registered(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.json")} == {0o600}


@pytest.mark.parametrize(
    ("form", "revision", "kept", "versions"),
    [
        ("format-1", 2, [], 0),
        ("format-2", 3, [1], 0),
        ("format-3", 4, [1], 0),
        ("format-4", 6, [1], 2),
        ("format-5", 5, [1], 2),
    ],
)
def test_every_format_so_far_is_read_for_ever(
    tmp_path: Path, form: str, revision: int, kept: list[int], versions: int
) -> None:
    shutil.copytree(GOLDEN / form, tmp_path, dirs_exist_ok=True)
    view = TinyDBStore(tmp_path).view()
    assert (view.revision, [model.name for model in view.models()]) == (revision, ["m"])
    assert view.scan("m") == make_scan(2, versions=versions)
    assert [view.earlier_scan("m", scan.scan_id) for scan in view.models()[0].earlier_scans] == [
        make_scan(count) for count in kept
    ]
    assert view.configs.record("m", "A000") == record(1, 0.25)[0]
    assert view.configs.history("m", "A000") == (record(1, 0.25)[1],)


def test_a_chain_of_revisions_of_format_3_is_read(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "format-3", tmp_path, dirs_exist_ok=True)
    view = TinyDBStore(tmp_path).view()
    assert view.configs.stamps("m") == {"a000": ("A000", 1, "2025"), "b000": ("B000", 2, "2025")}
    created = FactorConfigRevision(1, "2024", "scan", "create")
    assert view.configs.history("m", "b000") == (created, record(2, 0.5)[1])
    assert view.deleted_models() == (DeletedModel("gone", "2026"),)


def test_every_file_is_strict_json_with_a_format_number(tmp_path: Path) -> None:
    _registered(tmp_path)
    for path in tmp_path.rglob("*.json"):
        assert json.loads(path.read_text(), parse_constant=pytest.fail)["format"] == storage_module.FORMAT


numbers = st.builds(Normalization, st.floats(-1e300, 1e300), st.floats(1e-300, 1e300))


@hypothesis_settings(deadline=None)
@given(
    st.text(min_size=1, max_size=8), st.dictionaries(st.text(max_size=20), numbers, max_size=5), st.text(max_size=30)
)
def test_configs_come_back_value_for_value(symbol: str, values: dict[str, Normalization], note: str) -> None:
    created = FactorConfigRecord("m", symbol, 1, "a", "a"), FactorConfigRevision(1, "a", "scan", "create")
    changes = {name: CellChange(None, value) for name, value in values.items()}
    edited = (
        FactorConfigRecord("m", symbol, 2, "a", "b", values),
        FactorConfigRevision(2, "b", "api", "edit", note, changes),
    )
    with tempfile.TemporaryDirectory() as directory:
        for record_, revision in (created, edited):
            with TinyDBStore(Path(directory)).transaction() as transaction:
                transaction.configs.save(record_, revision)
        view = TinyDBStore(Path(directory)).view()
        assert view.configs.record("m", symbol) == edited[0]
        assert view.configs.history("m", symbol) == (created[1], edited[1])


def test_a_file_is_kept_part_by_part_under_its_digest_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = BlobDirectory(tmp_path / "blobs")
    content = random.Random(5).randbytes(100_000)
    source = tmp_path / "model.txt"
    source.write_bytes(content)
    monkeypatch.setattr(blobs_module, "COPIED_BYTES", 4096)
    sha256 = hashlib.sha256(content).hexdigest()
    with source.open("rb") as file:
        assert not blobs.put_file(file, "0" * 64, ".txt")
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    for _ in range(2):
        with source.open("rb") as file:
            assert blobs.put_file(file, sha256, ".txt")
    assert blobs.get(sha256, ".txt") == content
    assert [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [f"{sha256}.txt"]


def test_a_disk_that_is_full_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "model.txt"
    source.write_bytes(b"content")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    sha256 = hashlib.sha256(b"content").hexdigest()
    with source.open("rb") as file, pytest.raises(StoreFull, match="disk is full"):
        BlobDirectory(tmp_path / "blobs").put_file(file, sha256, ".txt")
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_a_blob_is_kept_once_and_damage_is_noticed(tmp_path: Path) -> None:
    blobs = BlobDirectory(tmp_path)
    name = blobs.put(b"content", ".json")
    inode = blobs.location(name, ".json").stat().st_ino
    assert blobs.put(b"content", ".json") == name
    assert blobs.location(name, ".json").stat().st_ino == inode
    assert blobs.get(name, ".json") == b"content"
    blobs.location(name, ".json").write_bytes(b"c0ntent")
    assert blobs.get(name, ".json") is None
    assert list(blobs.entries()) == []
    with pytest.raises(ValueError, match="no SHA-256"):
        blobs.location("../../etc/passwd", "")


def test_a_blob_that_is_not_whole_is_removed_unless_somebody_put_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = BlobDirectory(tmp_path)
    assert not blobs.is_whole(hashlib.sha256(b"content").hexdigest(), ".json")
    name = blobs.put(b"content", ".json")
    location = blobs.location(name, ".json")
    assert blobs.is_whole(name, ".json")
    location.write_bytes(b"c0ntent")
    assert not blobs.is_whole(name, ".json")
    assert list(blobs.entries()) == []
    location.write_bytes(b"c0ntent")
    digest_of = hashlib.file_digest

    def put_meanwhile(*arguments: Any) -> Any:
        digest = digest_of(*arguments)
        location.unlink()
        blobs.put(b"content", ".json")
        os.utime(location, (1, 1))
        return digest

    monkeypatch.setattr(hashlib, "file_digest", put_meanwhile)
    assert not blobs.is_whole(name, ".json")
    assert blobs.get(name, ".json") == b"content"
    location.unlink()
    location.mkdir()
    with pytest.raises(StoreError, match=r"cannot be read or removed.*Check permissions"):
        blobs.is_whole(name, ".json")
