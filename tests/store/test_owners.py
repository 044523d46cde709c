"""Whose the files are that root writes into somebody's state: a server of that user goes on with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mm_core.registry import Registry
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.conftest import save_config

SOMEBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def _strangers(data_dir: Path) -> list[str]:
    """Return what below a directory, it included, is not somebody's."""
    places = [data_dir, *data_dir.rglob("*")]
    return [
        str(path.relative_to(data_dir)) for path in places if path.lstat().st_uid != SOMEBODY and not path.is_symlink()
    ]


def test_what_root_writes_belongs_to_whom_the_state_belongs(
    registered: Registry, settings: Settings, tmp_path: Path
) -> None:
    for path in [settings.data_dir, *settings.data_dir.rglob("*")]:
        os.lchown(path, SOMEBODY, SOMEBODY)
    registry = open_registry(settings)
    backup = tmp_path / "backup.zip"
    registry.backups.create(backup)
    save_config(registry, 0.5)
    registry.registrations.register("other", registry.view().models()[0].root_path)
    registry.publisher.publish_all()
    registry.backups.restore(backup)
    registry.publisher.publish_all()
    assert _strangers(settings.data_dir) == []
    assert backup.stat().st_uid == 0


def test_a_state_that_root_begins_belongs_to_whom_its_directory_belongs(settings: Settings, model_root: Path) -> None:
    settings.data_dir.mkdir(parents=True)
    os.chown(settings.data_dir, SOMEBODY, SOMEBODY)
    registry = open_registry(settings)
    registry.registrations.register("m", str(model_root))
    save_config(registry, 0.5)
    registry.publisher.publish_all()
    assert _strangers(settings.data_dir) == []
