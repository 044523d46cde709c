"""What the scans of registered roots tell of the files of a family's versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_core.registry import Registry
from mm_core.registry.version_roots import ScannedRoots
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version

__all__ = ["lightgbm_booster", "write_version"]

NAME = "sentiment-fusion"
ROOTS = ScannedRoots()


@pytest.fixture
def root(registry: Registry, write_version: WriteVersion) -> Path:
    """A registered root with a whole version and one without its model."""
    write_version("v1.0.0")
    root = write_version("1.1.0", model_txt=None)
    registry.registrations.register("all", str(root))
    return root


def _codes(registry: Registry, version: str) -> list[str]:
    return [finding.code for finding in ROOTS.findings(registry.view(), [NAME], version) if finding.severity == "error"]


def test_directories_of_versions_are_found_by_any_name_of_their_family(registry: Registry, root: Path) -> None:
    found = ROOTS.paths(registry.view(), ["another", NAME])
    assert found == {"v1.0.0": root / NAME / "v1.0.0", "v1.1.0": root / NAME / "1.1.0"}
    assert ROOTS.paths(registry.view(), ["another"]) == {}


def test_versions_right_below_a_root_are_of_its_registration(registry: Registry, root: Path) -> None:
    registry.registrations.register("early-signal", str(root / NAME))
    assert set(ROOTS.paths(registry.view(), ["early-signal"])) == {"v1.0.0", "v1.1.0"}


def test_the_first_of_two_registrations_that_hold_a_version_counts(registry: Registry, root: Path) -> None:
    registry.registrations.register("again", str(root))
    assert ROOTS.paths(registry.view(), [NAME])["v1.0.0"] == root / NAME / "v1.0.0"
    registry.registrations.delete("all")
    registry.registrations.delete("again")
    assert ROOTS.paths(registry.view(), [NAME]) == {}
    assert _codes(registry, "v1.0.0") == []


def test_a_whole_version_has_no_errors_and_a_broken_one_says_what_is_missing(registry: Registry, root: Path) -> None:
    assert _codes(registry, "v1.0.0") == []
    assert _codes(registry, "v1.1.0") == ["model-file-missing"]
