"""What registered roots tell of the files of a family's versions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mm_core.artifacts.limits import ReadingLimits
from mm_core.registry import Registry
from mm_core.registry.version_roots import RegisteredRoots
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version

__all__ = ["lightgbm_booster", "write_version"]

NAME = "sentiment-fusion"
ROOTS = RegisteredRoots(ReadingLimits(), None)


@pytest.fixture
def root(registry: Registry, write_version: WriteVersion) -> Path:
    """A registered root with a whole version, one without its model, an empty one, and what is none."""
    write_version("v1.0.0")
    root = write_version("v1.1.0", model_txt=None)
    for name in ("v1.2.0", "20250724_150837", "20259924_150837", "latest-one"):
        (root / NAME / name).mkdir()
    (root / NAME / "v9.0.0").write_text("a file")
    registry.registrations.register("all", str(root))
    return root


def _codes(registry: Registry, version: str) -> list[str]:
    return [finding.code for finding in ROOTS.findings(registry.view(), [NAME], version) if finding.severity == "error"]


def test_directories_of_versions_and_runs_are_found_by_name(registry: Registry, root: Path) -> None:
    found = ROOTS.paths(registry.view(), ["another", NAME])
    assert found == {name: root / NAME / name for name in ("20250724_150837", "v1.0.0", "v1.1.0", "v1.2.0")}
    assert ROOTS.paths(registry.view(), ["another"]) == {}


def test_the_first_of_two_roots_that_hold_a_version_counts(registry: Registry, root: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / NAME / "1.0.0").mkdir(parents=True)
    (tmp_path / "other" / NAME / "v3.0.0").mkdir()
    registry.registrations.register("zzz", str(tmp_path / "other"))
    found = ROOTS.paths(registry.view(), [NAME])
    assert (found["v1.0.0"], found["v3.0.0"]) == (root / NAME / "v1.0.0", tmp_path / "other" / NAME / "v3.0.0")


def test_a_root_that_is_gone_holds_nothing(registry: Registry, root: Path, tmp_path: Path) -> None:
    root.rename(tmp_path / "aside")
    assert ROOTS.paths(registry.view(), [NAME]) == {}
    assert _codes(registry, "v1.0.0") == []


def test_a_whole_version_has_no_errors_and_a_broken_one_says_what_is_missing(registry: Registry, root: Path) -> None:
    assert _codes(registry, "v1.0.0") == []
    assert _codes(registry, "v1.1.0") == ["model-file-missing"]
    assert _codes(registry, "v1.2.0") == ["model-file-missing"]
    assert _codes(registry, "20250724_150837") == []


def test_a_directory_that_cannot_be_read_cannot_predict(
    registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("v1.0.0"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    (finding,) = ROOTS.findings(registry.view(), [NAME], "v1.0.0")
    assert (finding.code, "Permission denied" in finding.detail) == ("model-file-missing", True)
