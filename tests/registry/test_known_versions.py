"""Every version that there is: files and records side by side, and roots of runs that can be tidied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mm_core import versions
from mm_core.domain.lifecycle import Status
from mm_core.errors import InvalidRoot, RootNotManaged
from mm_core.registry import Registry
from mm_core.registry.known_versions import versions_of
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.registry.test_lifecycle import ANN, NAME, Make, lifecycle, make
from tests.versions.conftest import write_run_below

__all__ = ["lifecycle", "lightgbm_booster", "make", "write_version"]

RUNS = ("20250701_120000", "20250708_120000", "20250715_120000")


def test_files_and_records_of_a_version_are_one(registry: Registry, write_version: WriteVersion, make: Make) -> None:
    write_version("v1.0.0")
    registry.registrations.register("m", str(write_version("v1.1.0")))
    make("v1.0.0", Status.VALIDATED)
    found = {one.name: one for one in registry.versions()}
    assert list(found) == ["v1.1.0", "v1.0.0"]
    assert (found["v1.0.0"].status, found["v1.1.0"].status) == (Status.VALIDATED, None)
    assert {one.registration for one in found.values()} == {"m"}


def test_a_version_whose_files_are_gone_is_still_there(registry: Registry, make: Make) -> None:
    record = make("v1.0.0")
    (held,) = registry.versions()
    assert (held.files, held.directory, held.record, held.created_at) == (None, None, record, record.created_at)


def test_a_directory_that_two_registrations_reach_is_one_and_an_alias_is_its_family(
    registry: Registry, write_version: WriteVersion, make: Make
) -> None:
    root = write_version("v1.0.0", "fusion")
    registry.registrations.register("a", str(root))
    registry.registrations.register("b", str(root / "fusion"))
    make("v1.0.0", model_name="sentiment-fusion")
    registry.lifecycle.set_alias(NAME, "fusion", ANN)
    (held,) = registry.versions()
    assert (held.family, held.name, held.registration) == (NAME, "v1.0.0", "a")
    assert held.record is not None


def test_what_a_version_shares_with_another_is_among_its_findings(
    registry: Registry, write_version: WriteVersion
) -> None:
    write_version("v1.0.0")
    registry.registrations.register("m", str(write_version("v1.1.0")))
    codes = {one.name: [finding.code for finding in one.findings] for one in registry.versions()}
    assert codes == {"v1.0.0": [], "v1.1.0": ["duplicate-model-file"]}


def test_a_family_and_all_families_list_the_same_versions_in_the_same_order(
    registry: Registry, write_version: WriteVersion, make: Make, tmp_path: Path
) -> None:
    make("v1.8.0")
    for name in ("v1.9.0", "v1.10.0"):
        root = write_version(name)
    registry.registrations.register("b", str(root))
    other = tmp_path / "copy"
    shutil.copytree(root / NAME / "v1.9.0", other / NAME / "v1.9.0")
    registry.registrations.register("a", str(other))
    make("v1.10.0")
    everything = registry.versions()
    assert versions_of(registry.view(), NAME) == everything
    known = [(one.name, one.registration, one.is_alone) for one in everything if one.files is not None]
    assert known == [("v1.10.0", "b", True), ("v1.9.0", "a", False), ("v1.9.0", "b", False)]
    assert [one.name for one in everything if one.files is None] == ["v1.8.0"]


@pytest.fixture
def runs(registry: Registry, tmp_path: Path) -> Path:
    """Three runs below a registered root that nobody manages yet."""
    root = tmp_path / "models"
    for name in RUNS:
        write_run_below(root, name)
    registry.registrations.register("daily", str(root))
    return root


def test_roots_of_runs_are_those_of_registered_scans(registry: Registry, runs: Path) -> None:
    (root,) = registry.run_roots.roots()
    size = sum(path.stat().st_size for path in runs.rglob("*") if path.is_file())
    assert (root.path, root.registrations, root.runs, root.size_bytes) == (runs, ("daily",), 3, size)


def test_a_cleanup_needs_a_managed_root_that_is_registered(registry: Registry, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RootNotManaged):
        registry.run_roots.plan_cleanup(runs, 1)
    other = tmp_path / "other"
    versions.init(other)
    write_run_below(other, RUNS[0])
    with pytest.raises(InvalidRoot):
        registry.run_roots.plan_cleanup(other, 1)


def test_a_cleanup_leaves_what_the_registry_runs_and_reads_the_root_anew(registry: Registry, runs: Path) -> None:
    versions.init(runs)
    fields = {
        "model_name": "daily",
        "model_version": RUNS[0],
        "model_type": "lstm",
        "objective": "price_prediction",
        "target_variable": "close",
        "prediction_horizon": "1d",
    }
    record = registry.lifecycle.register(fields, ANN).record
    plan = registry.run_roots.plan_cleanup(runs, 1)
    assert [one.version for one in plan.removals] == [RUNS[1], RUNS[0]]
    registry.lifecycle.set_pinned(record, True, ANN)
    done = registry.run_roots.clean_up(plan)
    assert (done.removed.versions, done.unread) == ((RUNS[1],), {})
    assert [one.version for one in done.removed.stayed] == [RUNS[0]]
    assert [one.name for one in registry.versions()] == [RUNS[2], RUNS[0]]
