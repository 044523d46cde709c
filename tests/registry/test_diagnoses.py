"""What a diagnosis says beside writers that are at work: nothing is wrong, and nothing that is in use is an orphan."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.store import durable
from mm_core.wiring import open_registry
from tests.conftest import save_config
from tests.store.test_beside_writers import LOOKING, at_each


def _save(registry: Registry) -> None:
    save_config(registry, 0.5)
    registry.publisher.publish_all()


def _scan_twice(registry: Registry) -> None:
    """Put scans into service that found the same: the first one is not kept among the earlier ones."""
    scan = registry.view().scan("m")
    assert scan is not None
    for _ in range(2):
        with registry.store.transaction() as transaction:
            transaction.save_scan("m", scan)


def _delete(registry: Registry) -> None:
    registry.registrations.delete("m")
    registry.publisher.publish_all()


CHANGES: dict[str, Callable[[Registry], None]] = {"save": _save, "scan twice": _scan_twice, "delete": _delete}


@pytest.fixture
def data_dir(registered: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of a model whose payloads are published; of what newer commits replace, nothing is kept."""
    registered.publisher.publish_all()
    monkeypatch.setattr(durable, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return settings.data_dir


@pytest.mark.parametrize("change", CHANGES)
def test_a_diagnosis_is_the_same_whenever_a_write_comes(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    found: list[tuple[tuple[str, ...], bool]] = []
    steps, most = 0, 1
    while len(found) < most:
        place, at, steps = data_dir.with_name(f"data-{len(found)}"), len(found) + 1, 0
        shutil.copytree(data_dir, place, symlinks=True, copy_function=os.link)
        for blob in place.glob("blobs/*/*/*"):
            os.utime(blob, (1, 1))
        settings = load_settings({"MODEL_MANAGER_DATA_DIR": str(place)})

        def step(settings: Settings = settings, at: int = at) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                CHANGES[change](open_registry(settings))

        looking = open_registry(settings)
        with at_each(monkeypatch, LOOKING, step):
            diagnosis = looking.housekeeping.diagnose()
        found.append((diagnosis.store_problems + diagnosis.root_problems, diagnosis.orphaned_blobs > 0))
        most = max(most, steps)
    assert len(found) > 20
    assert {at: each for at, each in enumerate(found) if each[0] or (each[1] and change == "scan twice")} == {}
