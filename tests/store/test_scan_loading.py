"""Scans are read without rounds of the garbage collector, which goes on as it was afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.groups import Scan
from mm_core.domain.models import RegisteredModel
from mm_core.domain.versions import Version, VersionLayout, VersionNumber
from mm_core.store import TinyDBStore

NOW = "2026-01-01T00:00:00+00:00"


def _version(patch: int) -> Version:
    name = f"v1.0.{patch}"
    files = tuple(ModelFile(FileRole.OTHER, f"{name}/{number}.log", 1, 2, 3, 4) for number in range(20))
    number = VersionNumber(1, 0, patch)
    return Version("", name, number, VersionLayout.VERSIONS, name, files, NOW, (), NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state with a scan of 200 versions of 20 files."""
    versions = {version.path: version for version in map(_version, range(200))}
    with TinyDBStore(tmp_path).transaction() as transaction:
        transaction.save_model(RegisteredModel("m", "/m", NOW, NOW))
        transaction.save_scan("m", Scan(NOW, {}, (), versions))
    return tmp_path


@pytest.fixture
def rounds() -> Iterator[list[str]]:
    """Every beginning and end of a round of the collector."""
    found: list[str] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        found.append(phase)

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


def test_a_scan_is_read_without_a_round_of_the_collector(path: Path, rounds: list[str]) -> None:
    gc.collect()
    rounds.clear()
    scan = TinyDBStore(path).view().scan("m")
    during = len(rounds)
    assert scan is not None
    assert len(scan.versions) == 200
    assert gc.isenabled()
    kept = [[number] for number in range(5_000)]
    assert len(rounds) > during, f"the collector works again beside {len(kept)} lists"
    assert during <= 2, "before and after the reading, there may be one"


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_also_where_a_file_is_damaged(path: Path, enabled: bool) -> None:
    next(path.rglob("versions-*.json")).write_bytes(b"{")
    if not enabled:
        gc.disable()
    try:
        assert TinyDBStore(path).view().scan("m") is None
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
