"""Backups with versions: whole and read as values, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_core.domain.lifecycle import Status
from mm_core.errors import BackupRefused
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import VersionFilter
from tests.registry.test_backups import Members, _rewritten, _swapped
from tests.registry.test_lifecycle import ANN, FIELDS, NAME

CURRENT = f"lifecycle/{NAME}/current/"


@pytest.fixture
def backup(registry: Registry, tmp_path: Path) -> Path:
    """A backup of a family with two versions."""
    for version in ("v1.0.0", "v1.1.0"):
        registry.lifecycle.register({**FIELDS, "model_version": version, "status": "deployed"}, ANN)
    path = tmp_path / "backup.zip"
    registry.backups.create(path)
    return path


def _name(members: Members, kind: str) -> str:
    return next(name for name in members if name.startswith(CURRENT + kind))


def _lead_back(members: Members) -> None:
    """Let the newest events name older ones that name themselves."""
    newest = _name(members, "events")
    _swapped(members, newest, b'"previous":null', b'"previous":"older.json"')
    members[f"lifecycle/{NAME}/events/older.json"] = members[newest]


HOSTILE: dict[str, tuple[Callable[[Members, dict[str, Any]], object], str]] = {
    "no events": (lambda m, _: m.pop(_name(m, "events")), "is missing"),
    "no records": (lambda m, _: m.pop(_name(m, "shard")), "is missing"),
    "no index": (lambda m, _: m.pop(_name(m, "index")), "is missing"),
    "damaged records": (lambda m, _: m.update({_name(m, "shard"): b"{"}), "is damaged"),
    "a status that is none": (
        lambda m, _: _swapped(m, _name(m, "shard"), b'"status":"shadow"', b'"status":"active"'), "holds no values"
    ),
    "an action that is none": (
        lambda m, _: _swapped(m, _name(m, "events"), b'"action":"register"', b'"action":"execute"'), "holds no values"
    ),
    "an index of another family": (
        lambda m, _: _swapped(m, _name(m, "index"), NAME.encode(), b"../another"), "the index of another family"
    ),
    "records of another family": (
        lambda m, _: _swapped(m, _name(m, "shard"), NAME.encode(), b"another"), "not those that its index tells of"
    ),
    "an index that counts otherwise": (
        lambda m, _: _swapped(m, _name(m, "index"), b'"versions":2', b'"versions":3'), "that its index tells of"
    ),
    "an index that is none": (
        lambda m, _: m.update({_name(m, "index"): m[_name(m, "shard")]}), "it is another file of this store"
    ),
    "records that lie elsewhere": (
        lambda m, _: _swapped(m, _name(m, "index"), b'"shard-0000', b'"../../../shard-0000'), "which the state names"
    ),
    "events that lie elsewhere": (
        lambda m, _: _swapped(m, _name(m, "events"), b'"previous":null', b'"previous":"../x.json"'),
        "which the state names",
    ),
    "events that lead back": (lambda m, _: _lead_back(m), "twice"),
    "a status that no event led to": (
        lambda m, _: _swapped(m, _name(m, "shard"), b'"status":"shadow"', b'"status":"deprecated"'),
        "is 'deprecated' in its record and 'shadow' by its events",
    ),
    "two versions that are deployed": (
        lambda m, _: _swapped(m, _name(m, "shard"), b'"status":"shadow"', b'"status":"deployed"'),
        "is 'deployed' in its record and 'shadow' by its events",
    ),
    "an event that leads to another status": (
        lambda m, _: _swapped(m, _name(m, "events"), b'"after":"shadow"', b'"after":"deprecated"'),
        "is 'shadow' in its record and 'deprecated' by its events",
    ),
    "a version that no event registered": (
        lambda m, _: _swapped(m, _name(m, "events"), b'"version":"v1.1.0"', b'"version":"v1.2.0"'),
        "v1.1.0 is 'deployed' in its record and 'not registered' by its events",
    ),
    "a pin that nobody set": (
        lambda m, _: _swapped(m, _name(m, "shard"), b'"pinned":false', b'"pinned":true'), "pinned"
    ),
    "a name that leads elsewhere": (
        lambda m, _: m.update({f"lifecycle/{NAME}/../x.json": b"{}"}), "no file of a state"
    ),
    "a file that the state does not name": (
        lambda m, _: m.update({f"{CURRENT}more.json": m[_name(m, "shard")]}), "names other files"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_backup_whose_versions_are_not_whole_is_refused_before_anything_is_touched(
    registry: Registry, backup: Path, name: str
) -> None:
    change, reason = HOSTILE[name]
    _rewritten(backup, change)  # type: ignore[arg-type]
    before = registry.view().revision, registry.lifecycle.history(NAME)
    for attempt in (registry.backups.check, registry.backups.restore):
        with pytest.raises(BackupRefused, match=reason):
            attempt(backup)
    assert (registry.view().revision, registry.lifecycle.history(NAME)) == before


def test_a_backup_of_the_format_before_is_restored(registry: Registry, backup: Path) -> None:
    _rewritten(backup, lambda _, manifest: manifest.update(format=1))
    wanted = registry.lifecycle.list(VersionFilter())
    registry.lifecycle.move(registry.lifecycle.record(NAME, "v1.1.0"), Status.DEPRECATED, Author("bob", "gone"))
    registry.backups.restore(backup)
    assert registry.lifecycle.list(VersionFilter()) == wanted
