"""Backups: whole while others write, refused when they are not, put back under a revision that nobody has seen."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from mm_core.errors import BackupRefused, StoreCorrupt, StoreError
from mm_core.registry import Registry
from mm_core.registry import backups as backups_module
from mm_core.settings import Settings, load_settings
from mm_core.store import archives, config_files
from mm_core.store.revisions import LARGEST_REVISION, REVISIONS_UNSEEN, unseen_revision
from mm_core.wiring import open_registry
from tests.api.conftest import RunningServer, start_server, wait_until_published
from tests.asking import http
from tests.conftest import save_config
from tests.waiting import wait_until

__all__ = ["start_server"]

PAYLOAD = "/api/models/m/model/SOLUSDT"


@pytest.fixture
def registered(registered: Registry) -> Registry:
    """Model ``m``, one config of it at revision 2, the state at 2."""
    save_config(registered, 0.5)
    return registered


@pytest.fixture
def backup(registered: Registry, tmp_path: Path) -> Path:
    """A backup of that state."""
    path = tmp_path / "backup.zip"
    registered.backups.create(path)
    return path


def _mean(registry: Registry) -> float:
    return registry.configs.get("m", "SOLUSDT").config.mean_values[0]


def _elsewhere(tmp_path: Path) -> Registry:
    return open_registry(load_settings({"MODEL_MANAGER_DATA_DIR": str(tmp_path / "elsewhere")}))


def _truth(data_dir: Path) -> dict[str, bytes]:
    files = [data_dir / "registry.json", *(data_dir / "configs").rglob("*.json")]
    return {str(path.relative_to(data_dir)): path.read_bytes() for path in files}


def test_a_backup_in_an_empty_directory_is_the_same_state(registered: Registry, backup: Path, tmp_path: Path) -> None:
    other = _elsewhere(tmp_path)
    restored = other.backups.restore(backup)
    assert (restored.before, restored.kept) == (0, None)
    assert restored.revision == other.view().revision >= 2 + REVISIONS_UNSEEN
    old, new = registered.view(), other.view()
    assert new.models() == old.models()
    assert new.scan("m") == old.scan("m")
    assert new.configs.stamps("m") == old.configs.stamps("m")
    assert other.configs.history("m", "SOLUSDT") == registered.configs.history("m", "SOLUSDT")
    assert other.payload("m", "SOLUSDT").digest == registered.payload("m", "SOLUSDT").digest
    assert other.store.problems() == ()
    assert other.store.complete_copies() == 0, "copies were made with the restore"


def test_a_restored_server_serves_the_same_payload_under_the_same_etag(
    start_server: Callable[..., RunningServer], backup: Path, registered: Registry, tmp_path: Path
) -> None:
    first = start_server()
    wait_until_published(first)
    before = http.get(first.url + PAYLOAD)
    assert first.stop() == 0
    done = subprocess.run(
        [sys.executable, "-m", "mm_core", "--data-dir", str(tmp_path / "elsewhere"), "restore", str(backup), "--yes"],
        capture_output=True, text=True, cwd=Path(__file__).parent.parent.parent, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    second = start_server(DATA_DIR=str(tmp_path / "elsewhere"))
    after = http.get(second.url + PAYLOAD)
    assert (after.status_code, after.headers["ETag"], after.content) == (200, before.headers["ETag"], before.content)


def test_servers_that_run_go_on_with_the_restored_state_and_tell_of_it(
    start_server: Callable[..., RunningServer], registered: Registry, backup: Path, settings: Settings
) -> None:
    server = start_server()
    wait_until_published(server)
    save_config(registered, 0.75)
    changes = server.url + "/api/models/m/changes"
    wait_until(lambda: http.get(changes).json()["revision"] == 3)
    restored = registered.backups.restore(backup)
    assert (restored.before, restored.revision) == (3, 4)
    wait_until(lambda: http.get(changes).json()["revision"] == 4)
    assert http.get(changes + "?since=3").json()["symbols"] == ["SOLUSDT"]
    payload = http.get(server.url + PAYLOAD).json()["payload"]
    assert payload["factor_config"]["SOLUSDT"]["mean_values"][0] == 0.5


def test_what_was_there_before_a_restore_is_a_backup_too(registered: Registry, backup: Path) -> None:
    save_config(registered, 0.75)
    registered.registrations.register("n", registered.model("m")[0].root_path)
    first = registered.backups.restore(backup)
    assert (_mean(registered), [model.name for model in registered.view().models()]) == (0.5, ["m"])
    assert first.kept is not None
    second = registered.backups.restore(first.kept)
    assert (_mean(registered), [model.name for model in registered.view().models()]) == (0.75, ["m", "n"])
    assert second.revision == first.revision + 1
    assert save_config(registered, 1.0) == 4


@pytest.mark.parametrize("what", ["registry.json", "configs"])
def test_a_damaged_state_is_replaced_and_kept_as_it_was(
    registered: Registry, backup: Path, settings: Settings, what: str
) -> None:
    place = settings.data_dir / what
    damaged = place if what == "registry.json" else next(place.rglob("00000002-*"))
    damaged.write_bytes(b"{")
    registry = open_registry(settings)
    with pytest.raises(StoreCorrupt):
        registry.backups.create(backup.with_name("other.zip"))
    restored = registry.backups.restore(backup)
    assert (_mean(registry), registry.store.plan_repairs()) == (0.5, ())
    assert restored.kept is not None
    assert [path.read_bytes() for path in restored.kept.rglob(damaged.name) if "copies" not in path.parts] == [b"{"]
    assert restored.revision > 2


def _told_by_the_copy_alone(registry: Path) -> None:
    registry.write_bytes(bytes(registry.stat().st_size))


def _told_by_what_is_damaged_alone(registry: Path) -> None:
    (registry.parent / "copies" / "registry.json").unlink()
    registry.write_bytes(registry.read_bytes()[:-20])


LOSSES: dict[str, Callable[[Path], object]] = {
    "cut, and no copy": _told_by_what_is_damaged_alone,
    "zeros": _told_by_the_copy_alone,
    "gone": Path.unlink,
    "both cut": lambda registry: [
        path.write_bytes(path.read_bytes()[:-20]) for path in (registry, registry.parent / "copies" / "registry.json")
    ],
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_backup_that_is_restored_twice_gives_no_revision_twice(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr(secrets, "randbelow", lambda _: 0)
    first = _elsewhere(tmp_path)
    assert first.backups.restore(backup).revision == 2 + REVISIONS_UNSEEN
    save_config(first, 0.75)
    seen = first.view().revision
    LOSSES[loss](tmp_path / "elsewhere" / "registry.json")
    second = _elsewhere(tmp_path)
    restored = second.backups.restore(backup)
    assert (restored.before, restored.revision) == (None, seen + 1)
    assert (_mean(second), second.store.plan_repairs()) == (0.5, ())


def test_where_nothing_is_known_chance_keeps_two_restores_apart(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chances = iter([7, 4, 9])
    monkeypatch.setattr(secrets, "randbelow", lambda most: next(chances) if most == REVISIONS_UNSEEN else None)
    found = []
    for _ in range(2):
        shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
        found.append(_elsewhere(tmp_path).backups.restore(backup).revision)
    assert found == [2 + REVISIONS_UNSEEN + 7, 2 + REVISIONS_UNSEEN + 4]
    for path in (tmp_path / "elsewhere" / "registry.json", tmp_path / "elsewhere" / "copies" / "registry.json"):
        path.write_bytes(b"{")
    assert _elsewhere(tmp_path).backups.restore(backup).revision == 2 + REVISIONS_UNSEEN + 9


@pytest.mark.parametrize(
    ("restored", "before", "highest", "revision"),
    [
        (10, 10, 10, 11),
        (10, 12, 12, 13),
        (10, 12, 13, 14),  # the copy is ahead of a commit that was refused
        (10, 3, 3, 10 + REVISIONS_UNSEEN + 5),
        (10, 0, 0, 10 + REVISIONS_UNSEEN + 5),
        (10, None, 0, 10 + REVISIONS_UNSEEN + 5),
        (10, None, 12, 10 + REVISIONS_UNSEEN + 5),
        (10, None, 10 + 2 * REVISIONS_UNSEEN, 11 + 2 * REVISIONS_UNSEEN),
    ],
)
def test_a_restored_revision_is_above_all_that_may_have_been_seen(
    monkeypatch: pytest.MonkeyPatch, restored: int, before: int | None, highest: int, revision: int
) -> None:
    monkeypatch.setattr(secrets, "randbelow", lambda _: 5)
    assert unseen_revision(restored, before, highest) == revision


@pytest.mark.parametrize("before", [None, LARGEST_REVISION - 1])
def test_a_revision_that_no_state_has_is_given_to_none(before: int | None) -> None:
    with pytest.raises(StoreCorrupt, match="which no state has"):
        unseen_revision(LARGEST_REVISION - REVISIONS_UNSEEN, before, before or 0)


def test_backups_taken_while_two_writers_work_are_whole(
    registered: Registry, settings: Settings, tmp_path: Path
) -> None:
    stop = threading.Event()

    def write(name: str) -> None:
        writer, number = open_registry(settings), 0
        root = writer.model("m")[0].root_path
        while not stop.is_set():
            number += 1
            save_config(writer, number / 1024)
            if number % 4 == 0:
                writer.registrations.register(name, root)
                writer.registrations.delete(name)

    writers = [threading.Thread(target=write, args=(name,)) for name in ("x", "y")]
    for writer in writers:
        writer.start()
    try:
        manifests = [open_registry(settings).backups.create(tmp_path / f"{number}.zip") for number in range(8)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [manifest.revision for manifest in manifests] == sorted(manifest.revision for manifest in manifests)
    for number, manifest in enumerate(manifests):
        other = open_registry(load_settings({"MODEL_MANAGER_DATA_DIR": str(tmp_path / f"state-{number}")}))
        other.backups.restore(tmp_path / f"{number}.zip")
        history = other.configs.history("m", "SOLUSDT")
        assert [one.number for one in history] == list(range(1, len(history) + 1))
        assert manifest.revision + REVISIONS_UNSEEN <= other.view().revision


def test_a_state_that_moves_on_while_it_is_read_is_read_again_and_at_last_alone(
    registered: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk, asked = config_files.ConfigFiles.walk, []

    def moving(self: Any, name: str, shards: Any, read: Any) -> None:
        asked.append(registered.view().revision)
        if len(asked) <= backups_module.TRIES:
            save_config(registered, len(asked) / 16)
            for file in shards.files.values():
                (tmp_path / "data" / "configs" / name / "shards" / file).unlink(missing_ok=True)
        walk(self, name, shards, read)

    monkeypatch.setattr(config_files.ConfigFiles, "walk", moving)
    manifest = registered.backups.create(tmp_path / "backup.zip")
    assert (len(asked), manifest.revision) == (backups_module.TRIES + 1, 2 + backups_module.TRIES)


def test_a_backup_never_replaces_a_file_unless_it_is_told_to(backup: Path, registered: Registry) -> None:
    before = backup.read_bytes()
    with pytest.raises(BackupRefused, match="--force"):
        registered.backups.create(backup)
    assert backup.read_bytes() == before
    save_config(registered, 0.75)
    assert registered.backups.create(backup, replace=True).revision == 3
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert list(backup.parent.glob(".tmp-*")) == []


def test_there_is_nothing_to_back_up_before_the_first_commit(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="no state"):
        registry.backups.create(tmp_path / "backup.zip")
    assert list(tmp_path.glob("*.zip")) == []


@pytest.mark.parametrize("form", ["format-1", "format-2", "format-3", "format-4", "format-5"])
def test_states_of_every_format_are_backed_up_and_restored(tmp_path: Path, form: str) -> None:
    golden = Path(__file__).parent.parent / "store" / "golden" / form
    shutil.copytree(golden, tmp_path / "old")
    old = open_registry(load_settings({"MODEL_MANAGER_DATA_DIR": str(tmp_path / "old")}))
    old.backups.create(tmp_path / "backup.zip")
    new = _elsewhere(tmp_path)
    new.backups.restore(tmp_path / "backup.zip")
    assert new.view().scan("m") == old.view().scan("m")
    assert new.view().configs.record("m", "A000") == old.view().configs.record("m", "A000")
    before, after = old.view().lifecycle, new.view().lifecycle
    assert after.families() == before.families()
    assert (after.records("m"), after.events("m")) == (before.records("m"), before.events("m"))
    assert bool(after.records("m")) is (form >= "format-4")
    assert bool(new.view().normalizers.names()) is (form == "format-5")


def test_a_backup_is_made_and_restored_whatever_the_clock_says(
    registered: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 86_400.0)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(86_400))
    manifest = registered.backups.create(tmp_path / "backup.zip")
    assert registered.backups.restore(tmp_path / "backup.zip").manifest == manifest


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("MOST_FILES", 3, "3 files"),
        ("LARGEST_TOTAL", 1 << 10, "1,024 bytes"),
        ("LARGEST_FILE", 100, "a file of more than 100 bytes"),
    ],
)
def test_a_state_that_no_restore_would_take_is_not_backed_up(
    registered: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, reason: str
) -> None:
    monkeypatch.setattr(archives, limit, value)
    with pytest.raises(BackupRefused, match=reason):
        registered.backups.create(tmp_path / "backup.zip")
    assert list(tmp_path.glob("*.zip")) == list(tmp_path.glob(".tmp-*")) == []


@pytest.mark.parametrize("reason", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV])
def test_a_backup_needs_no_hard_links(
    registered: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    registered.backups.create(tmp_path / "backup.zip")
    assert registered.backups.restore(tmp_path / "backup.zip").kept is not None


Members = dict[str, bytes]
REVISION = "configs/m/revisions/"


def _rewritten(backup: Path, change: Callable[[Members, dict[str, Any]], None], *, listed: bool = True) -> None:
    """Write a backup again with other members; their manifest follows unless ``listed`` is False."""
    with zipfile.ZipFile(backup) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    if listed:
        manifest["files"] = {
            name: {"sha256": sha256(data).hexdigest(), "size_bytes": len(data)} for name, data in members.items()
        }
    with zipfile.ZipFile(backup, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("manifest.json", json.dumps(manifest))


def _swapped(members: Members, name: str, old: bytes, new: bytes) -> None:
    data = members[name].replace(old, new)
    content = data[data.index(b'"tables":') + 9 : -1]
    members[name] = b'{"format":4,"sha256":"%s","tables":%s}' % (sha256(content).hexdigest().encode(), content)


def _changed(members: Members, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the tables of a file, and its digest with them."""
    tables = json.loads(members[name])["tables"]
    change(tables)
    content = json.dumps(tables, separators=(",", ":")).encode()
    members[name] = b'{"format":3,"sha256":"%s","tables":%s}' % (sha256(content).hexdigest().encode(), content)


def _only(table: dict[str, Any]) -> dict[str, Any]:
    (row,) = table.values()
    return cast(dict[str, Any], row)


def _last(members: Members, prefix: str) -> str:
    return max((name for name in members if name.startswith(prefix)), key=lambda name: name.rpartition("/")[2])


HOSTILE: dict[str, tuple[Callable[[Members, dict[str, Any]], None], bool, str]] = {
    "an absolute path": (lambda members, _: members.update({"/etc/x.json": b"{}"}), True, "no file of a state"),
    "a path that leads out": (lambda members, _: members.update({"configs/../../x.json": b"{}"}), True, "no file of a"),
    "a path that leads up from a model": (lambda m, _: m.update({"scans/../x.json": b"{}"}), True, "no file of a"),
    "a backslash": (lambda members, _: members.update({"scans\\m\\x.json": b"{}"}), True, "no file of a state"),
    "a file of its own": (lambda members, _: members.update({"registry.lock": b""}), True, "no file of a state"),
    "a file that is not listed": (lambda m, _: m.update({"scans/m/x.json": b"{}"}), False, "lists other files"),
    "a listed file that is not there": (lambda m, _: m.pop(_last(m, "scans/")) and None, False, "lists other files"),
    "no state": (lambda members, _: members.pop("registry.json") and None, True, "lists other files"),
    "content that was changed": (
        lambda m, _: m.update({"registry.json": m["registry.json"].replace(b"m", b"n", 1)}), False, "not what the"
    ),
    "a newer backup format": (lambda _, manifest: manifest.update(format=4), True, "backup format 4"),
    "a manifest that is none": (lambda _, manifest: manifest.pop("revision") and None, True, "no whole backup"),
    "another revision": (lambda _, manifest: manifest.update(revision=7), True, "another revision"),
    "a revision that no state has": (
        lambda m, _: _swapped(m, "registry.json", b'"revision":2', b'"revision":9007199254740993'), True, "no state"
    ),
    "a newer store format": (
        lambda m, _: m.update({"registry.json": m["registry.json"].replace(b'"format":5', b'"format":9')}),
        True, "format 9"
    ),
    "a name that leads nowhere": (lambda m, _: m.pop(_last(m, REVISION)) and None, True, "is missing"),
    "a damaged config": (lambda m, _: m.update({_last(m, REVISION): b"{"}), True, "is damaged"),
    "values that are none": (
        lambda m, _: _swapped(m, _last(m, REVISION), b"0.5,1.0", b'"x",1.0'), True, "no whole backup",
    ),
    "a name of files that leads out": (
        lambda m, _: _swapped(m, _last(m, "configs/m/shards/"), b'"standing":"', b'"standing":"../../../../'),
        True, "has no file"
    ),
    "a name of files that leads to others": (
        lambda m, _: _swapped(m, _last(m, "configs/m/shards/"), b'"standing":"', b'"standing":"../revisions/./'),
        True, "no whole backup"
    ),
    "a chain of revisions without an end": (
        lambda m, _: _changed(m, _last(m, REVISION), lambda tables: tables["revisions"]["1"].update(
            previous=_last(m, REVISION).rpartition("/")[2])),
        True, "twice",
    ),
    "shards that are a device": (
        lambda m, _: _changed(m, "registry.json", lambda tables: _only(tables["config_shards"])["files"].update(
            {"0": "../../../../../../../../../../../dev/zero"})),
        True, "no whole backup",
    ),
    "a scan that is a device": (
        lambda m, _: _changed(m, "registry.json", lambda tables: _only(tables["models"]).update(
            scan_id="/../../../../../../../../../../../dev/zero")),
        True, "no whole backup",
    ),
    "configs of a model that leads out": (
        lambda m, _: _changed(m, "registry.json", lambda tables: _only(tables["config_shards"]).update(
            model_name="../..")),
        True, "no whole backup",
    ),
    "a file that nothing names": (lambda m, _: m.update({"scans/m/x.json": b"{}"}), True, "names other files"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_whole_backup_is_refused_before_anything_is_touched(
    registered: Registry, backup: Path, settings: Settings, tmp_path: Path, name: str
) -> None:
    change, listed, reason = HOSTILE[name]
    _rewritten(backup, change, listed=listed)
    before = _truth(settings.data_dir)
    stamp = registered.store.stamp()
    for attempt in (registered.backups.check, registered.backups.restore, _elsewhere(tmp_path).backups.restore):
        with pytest.raises(BackupRefused, match=reason):
            attempt(backup)
    assert (_truth(settings.data_dir), registered.store.stamp()) == (before, stamp)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.zip", "data", "root"]
    assert list(settings.data_dir.glob(".tmp-*")) == []


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", None])
def test_a_file_that_is_no_archive_is_refused(registry: Registry, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "backup.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BackupRefused, match=str(path)):
        registry.backups.restore(path)


def test_every_cut_and_every_flipped_byte_is_refused_or_changes_nothing(registered: Registry, backup: Path) -> None:
    whole = backup.read_bytes()
    manifest = registered.backups.check(backup)
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        backup.write_bytes(whole[:at])
        with pytest.raises(BackupRefused):
            registered.backups.check(backup)
        backup.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            assert registered.backups.check(backup) == manifest, f"byte {at}"
        except BackupRefused:
            continue


def test_a_link_and_an_encrypted_member_are_refused(registry: Registry, backup: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(backup) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    for info, _ in members:
        if info.filename == "registry.json":
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(backup, "w") as archive:
        for info, data in members:
            archive.writestr(info, data)
    with pytest.raises(BackupRefused, match="no plain file"):
        registry.backups.restore(backup)


def test_a_bomb_is_refused_before_it_unfolds(registry: Registry, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _rewritten(backup, lambda members, _: members.update({"scans/m/bomb.json": bytes(8 << 20)}))
    assert backup.stat().st_size < 100_000
    monkeypatch.setattr(archives, "LARGEST_FILE", 4 << 20)
    with pytest.raises(BackupRefused, match="a file of more than 4,194,304 bytes"):
        registry.backups.check(backup)
    monkeypatch.setattr(archives, "LARGEST_TOTAL", 4 << 20)
    with pytest.raises(BackupRefused, match="more than 4,194,304 bytes"):
        registry.backups.check(backup)


def test_a_member_that_lies_about_its_size_is_read_no_further(registry: Registry, backup: Path) -> None:
    _rewritten(backup, lambda members, _: members.update({"scans/m/bomb.json": bytes(8 << 20)}))
    data = bytearray(backup.read_bytes())
    size = (8 << 20).to_bytes(4, "little")
    assert data.count(size) == 2
    backup.write_bytes(data.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(BackupRefused):
        registry.backups.check(backup)


def test_a_restore_that_cannot_be_written_leaves_the_state(
    registered: Registry, backup: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_config(registered, 0.75)
    before = _truth(settings.data_dir)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mm_core.store.snapshots.os.replace", fail)
    with pytest.raises(StoreError, match="disk is full"):
        registered.backups.restore(backup)
    monkeypatch.undo()
    assert _truth(settings.data_dir) == before
    assert _mean(registered) == 0.75
    assert os.listdir(settings.data_dir).count("before-restore") == 1
