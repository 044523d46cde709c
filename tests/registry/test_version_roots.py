"""What the scans of registered roots tell of the files of a family's versions, and what is refused because of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mm_core import versions
from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionRecord
from mm_core.errors import (
    AmbiguousVersion,
    BadRequest,
    CannotPredict,
    InvalidRoot,
    ScanMissing,
    VersionNotFound,
)
from mm_core.registry import Registry
from mm_core.registry import lifecycle as lifecycle_module
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.version_roots import ScannedRoots
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.registry.test_lifecycle import ANN, BESIDE, FIELDS, NAME
from tests.versions.conftest import write_run_below

__all__ = ["lightgbm_booster", "write_version"]

ROOTS = ScannedRoots()
RUN, NEWER, NEWEST = "20250724_150837", "20250725_150837", "20250726_150837"


@pytest.fixture
def root(registry: Registry, write_version: WriteVersion) -> Path:
    """A registered root with a whole version and one without its model."""
    write_version("v1.0.0")
    root = write_version("1.1.0", model_txt=None)
    registry.registrations.register("all", str(root))
    return root


def _fields(version: str, **others: Any) -> dict[str, Any]:
    return {**FIELDS, "model_version": version, **others}


def _codes(registry: Registry, version: str) -> list[str]:
    return [finding.code for finding in ROOTS.findings(registry.view(), [NAME], version) if finding.severity == "error"]


def test_directories_of_versions_are_found_by_any_name_of_their_family(registry: Registry, root: Path) -> None:
    found = ROOTS.paths(registry.view(), ["another", NAME])
    assert found == {"v1.0.0": (root / NAME / "v1.0.0",), "v1.1.0": (root / NAME / "1.1.0",)}
    assert ROOTS.paths(registry.view(), ["another"]) == {}


def test_versions_right_below_a_root_are_of_its_registration(registry: Registry, root: Path) -> None:
    registry.registrations.register("early-signal", str(root / NAME))
    assert set(ROOTS.paths(registry.view(), ["early-signal"])) == {"v1.0.0", "v1.1.0"}


def test_a_directory_that_several_registrations_reach_is_one(registry: Registry, root: Path) -> None:
    registry.registrations.register("again", str(root))
    registry.registrations.register(NAME, str(root / NAME))
    assert ROOTS.paths(registry.view(), [NAME])["v1.0.0"] == (root / NAME / "v1.0.0",)
    assert registry.lifecycle.register(_fields("v1.0.0", status="deployed"), ANN).is_new
    for name in ("all", "again", NAME):
        registry.registrations.delete(name)
    assert ROOTS.paths(registry.view(), [NAME]) == {}
    assert _codes(registry, "v1.0.0") == []


def test_versions_that_one_directory_each_holds_cost_no_look_at_the_disk(
    registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = registry.view()
    monkeypatch.setattr(os.path, "realpath", lambda path, **_: pytest.fail(f"looked at {path}"))
    assert set(ROOTS.paths(view, [NAME])) == {"v1.0.0", "v1.1.0"}


def test_a_whole_version_has_no_errors_and_a_broken_one_says_what_is_missing(registry: Registry, root: Path) -> None:
    assert _codes(registry, "v1.0.0") == []
    assert _codes(registry, "v1.1.0") == ["model-file-missing"]


def test_a_whole_version_is_deployed_and_one_without_its_model_only_by_force_with_a_reason(
    registry: Registry, root: Path
) -> None:
    lifecycle = registry.lifecycle
    whole = lifecycle.register(_fields("v1.0.0", status="validated"), ANN).record
    broken = lifecycle.register(_fields("1.1.0", status="validated"), ANN).record
    assert lifecycle.move(whole, Status.DEPLOYED, ANN).status is Status.DEPLOYED
    with pytest.raises(CannotPredict) as raised:
        lifecycle.move(broken, Status.DEPLOYED, ANN)
    assert (raised.value.code, str(root / NAME / "1.1.0") in raised.value.detail) == ("MODEL_FILE_MISSING", True)
    with pytest.raises(BadRequest, match="a note is needed"):
        lifecycle.move(broken, Status.DEPLOYED, Author("ann"), force=True)
    assert lifecycle.deployed(NAME).record == lifecycle.record(NAME, "v1.0.0")
    assert lifecycle.move(broken, Status.DEPLOYED, ANN, force=True).status is Status.DEPLOYED


def test_a_version_in_two_directories_is_registered_once_one_of_them_is_gone(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    write_version("v1.1.0")
    registry.registrations.refresh("all")
    assert ROOTS.paths(registry.view(), [NAME])["v1.1.0"] == (root / NAME / "1.1.0", root / NAME / "v1.1.0")
    for version in ("v1.1.0", "1.1.0"):
        with pytest.raises(AmbiguousVersion) as raised:
            registry.lifecycle.register(_fields(version), ANN)
        error = raised.value
        assert (error.status, error.code) == (409, "AMBIGUOUS_VERSION")
        assert error.problems == (str(root / NAME / "1.1.0"), str(root / NAME / "v1.1.0"))
        assert f"'{root / NAME / '1.1.0'}' and '{root / NAME / 'v1.1.0'}'" in error.detail
    assert registry.view().lifecycle.families() == ()
    with pytest.raises(VersionNotFound, match=r"'.*/1\.1\.0' and '.*/v1\.1\.0'"):
        registry.lifecycle.record(NAME, "v1.1.0")
    shutil.rmtree(root / NAME / "1.1.0")
    registry.registrations.refresh("all")
    assert registry.lifecycle.register(_fields("v1.1.0", status="deployed"), ANN).record.status is Status.DEPLOYED


def test_copies_of_a_version_in_two_registered_roots_are_ambiguous(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root, tmp_path / "copy")
    registry.registrations.register("copy", str(tmp_path / "copy"))
    with pytest.raises(AmbiguousVersion):
        registry.lifecycle.register(_fields("v1.0.0"), ANN)


def test_a_version_that_got_a_twin_is_not_deployed_unless_forced_with_a_reason(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    lifecycle = registry.lifecycle
    record = lifecycle.register(_fields("v1.0.0", status="validated"), ANN).record
    write_version("1.0.0")
    registry.registrations.refresh("all")
    assert "duplicate-version" in [one.code for one in registry.view().scan("all").twins]
    with pytest.raises(AmbiguousVersion) as raised:
        lifecycle.move(record, Status.DEPLOYED, ANN)
    assert raised.value.problems == (str(root / NAME / "1.0.0"), str(root / NAME / "v1.0.0"))
    with pytest.raises(BadRequest, match="a note is needed"):
        lifecycle.update(record, {"status": Status.DEPLOYED}, Author("ann"), force=True)
    assert lifecycle.move(record, Status.DEPLOYED, ANN, force=True).status is Status.DEPLOYED


@pytest.mark.parametrize("status", ["shadow", "deployed"])
def test_no_other_name_brings_what_runs_into_two_directories(
    registry: Registry, root: Path, write_version: WriteVersion, status: str
) -> None:
    lifecycle = registry.lifecycle
    lifecycle.register(_fields("v1.0.0", status=status), ANN)
    write_version("v1.0.0", "sentiment")
    registry.registrations.refresh("all")
    before = registry.view().revision, registry.version_payloads.handle(NAME, "v1.0.0")
    with pytest.raises(AmbiguousVersion) as raised:
        lifecycle.set_alias(NAME, "sentiment", ANN)
    places = (str(root / NAME / "v1.0.0"), str(root / "sentiment" / "v1.0.0"))
    assert (set(raised.value.problems), raised.value.code) == (set(places), "AMBIGUOUS_VERSION")
    for part in (f"Called 'sentiment' as well, {NAME} v1.0.0 is in '", f"It is {status}: keep one of them", *places):
        assert part in raised.value.detail
    assert (registry.view().revision, registry.version_payloads.handle(NAME, "v1.0.0")) == before
    shutil.rmtree(root / "sentiment" / "v1.0.0")
    registry.registrations.refresh("all")
    assert lifecycle.set_alias(NAME, "sentiment", ANN).aliases == ("sentiment",)


def test_another_name_may_bring_what_does_not_run_into_two_directories(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    registry.lifecycle.register(_fields("v1.0.0", status="validated"), ANN)
    write_version("v1.0.0", "sentiment")
    registry.registrations.refresh("all")
    assert registry.lifecycle.set_alias(NAME, "sentiment", ANN).aliases == ("sentiment",)


def test_no_name_goes_by_which_alone_what_runs_is_found(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    lifecycle = registry.lifecycle
    write_version("v2.0.0", "sentiment")
    registry.registrations.refresh("all")
    lifecycle.register(_fields("v1.0.0", status="validated"), ANN)
    lifecycle.set_alias(NAME, "sentiment", ANN)
    record = lifecycle.register(_fields("v2.0.0", status="deployed"), ANN).record
    before = registry.view().revision
    with pytest.raises(CannotPredict) as raised:
        lifecycle.set_alias(NAME, "sentiment", ANN, remove=True)
    assert raised.value.code == "MODEL_FILE_MISSING"
    for part in ("Not called 'sentiment' any more", "It is deployed", f"'{root / 'sentiment' / 'v2.0.0'}'"):
        assert part in raised.value.detail
    assert registry.view().revision == before
    assert registry.version_payloads.handle(NAME, "v2.0.0").digest
    lifecycle.move(record, Status.DEPRECATED, ANN)
    assert lifecycle.set_alias(NAME, "sentiment", ANN, remove=True).aliases == ()


def test_what_begins_to_run_while_a_name_is_given_is_looked_at_as_well(
    registry: Registry, root: Path, write_version: WriteVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle = registry.lifecycle
    record = lifecycle.register(_fields("v1.0.0", status="validated"), ANN).record
    write_version("v1.0.0", "sentiment")
    registry.registrations.refresh("all")
    real, asked = lifecycle_module.check_stays_found, []

    def check(*arguments: Any) -> None:
        real(*arguments)
        if not asked:
            asked.append(lifecycle.move(record, Status.DEPLOYED, ANN))

    monkeypatch.setattr(lifecycle_module, "check_stays_found", check)
    with pytest.raises(AmbiguousVersion):
        lifecycle.set_alias(NAME, "sentiment", ANN)
    assert lifecycle.deployed(NAME).record == asked[0]
    with pytest.raises(VersionNotFound):
        lifecycle.record("sentiment", "v1.0.0")


def test_no_name_is_given_to_what_runs_while_nobody_knows_what_a_root_holds(
    registry: Registry, root: Path, settings: Settings
) -> None:
    registry.lifecycle.register(_fields("v1.0.0", status="deployed"), ANN)
    for path in (settings.data_dir / "scans").rglob("versions-*"):
        path.unlink()
    with pytest.raises(ScanMissing):
        open_registry(settings).lifecycle.set_alias(NAME, "sentiment", ANN)


def test_a_file_with_a_version_in_two_directories_is_not_imported(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    write_version("1.0.0")
    registry.registrations.refresh("all")
    entries = [{"model_version": version, "algorithm": "LightGBM"} for version in ("v1.1.0", "v1.0.0")]
    before = registry.view().revision
    with pytest.raises(AmbiguousVersion, match=r"sentiment-fusion v1\.0\.0 is in"):
        registry.lifecycle.import_file(NAME, json.dumps({"models": entries}).encode(), BESIDE, ANN)
    assert registry.view().revision == before


def _file_of(*versions: str, active: str | None = None) -> bytes:
    entries = [
        {
            "model_version": version, "algorithm": "LightGBM", "is_active": version == active,
            "deployment_status": "active" if version == active else "registered",
        }
        for version in versions
    ]  # fmt: skip
    return json.dumps({"models": entries, "active_model": active}).encode()


def test_what_no_root_holds_though_roots_hold_its_family_is_imported_with_a_warning_each(
    registry: Registry, root: Path
) -> None:
    data = _file_of("v0.8.0", "v0.9.0", "v1.0.0", "v2.0.0", active="v2.0.0")
    done = registry.lifecycle.import_file(NAME, data, BESIDE, ANN)
    assert [one.status for one in done.records] == [Status.VALIDATED] * 4
    active, *not_held = done.warnings
    assert "v2.0.0 is active in the file and is validated, not deployed: Failed to load model" in active
    assert not_held == [
        f"No registered root holds {NAME} {version}, though there are roots with other versions of it: put its "
        "directory there, or correct the file."
        for version in ("v0.8.0", "v0.9.0")
    ]
    assert registry.lifecycle.import_file("another", data, BESIDE, ANN).warnings == (), "no root tells anything of it"


def test_nothing_is_imported_of_which_nobody_knows_whether_a_root_holds_it(
    registry: Registry, root: Path, tmp_path: Path, settings: Settings
) -> None:
    registry.registrations.register("runs", str(write_run_below(tmp_path / "runs", RUN).parent))
    for path in (settings.data_dir / "scans" / "runs").rglob("versions-*"):
        path.unlink()
    with pytest.raises(ScanMissing):
        open_registry(settings).lifecycle.import_file(NAME, _file_of("v0.9.0"), BESIDE, ANN)


def test_what_roots_hold_is_looked_up_as_often_for_many_entries_as_for_one(
    registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = ScannedRoots.paths, []
    monkeypatch.setattr(ScannedRoots, "paths", lambda *given: asked.append(given) or real(*given))
    registry.lifecycle.import_file(NAME, _file_of("v1.0.0"), BESIDE, ANN)
    for_one = len(asked)
    registry.lifecycle.import_file(NAME, _file_of(*(f"v1.0.{patch}" for patch in range(20))), BESIDE, ANN)
    assert len(asked) == 2 * for_one


def test_a_version_with_the_model_of_another_one_is_registered_with_a_warning(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    write_version("v1.2.0")
    registry.registrations.refresh("all")
    assert registry.lifecycle.register(_fields("v1.0.0"), ANN).warnings == ()
    (warning,) = registry.lifecycle.register(_fields("v1.2.0"), ANN).warnings
    assert "the same model, byte for byte" in warning


def test_a_run_that_is_deployed_a_shadow_or_pinned_stays_whether_or_not_its_root_is_registered(
    registry: Registry, tmp_path: Path
) -> None:
    lifecycle, root = registry.lifecycle, tmp_path / "all" / "models"
    directory = write_run_below(root, RUN)
    assert lifecycle.reason_to_keep(directory) is None
    record = lifecycle.register(_fields(RUN, status="shadow", model_name="lstm"), ANN).record
    assert lifecycle.reason_to_keep(directory) == f"lstm {RUN} is shadow (Staging) in the registry."
    registry.registrations.register("all", str(root.parent))
    assert lifecycle.reason_to_keep(directory) is not None, "no root tells where the runs of lstm are"
    lifecycle.set_alias("lstm", "models", ANN)
    assert lifecycle.reason_to_keep(directory) is not None
    record = lifecycle.move(record, Status.DEPLOYED, ANN, force=True)
    assert lifecycle.reason_to_keep(directory) == f"lstm {RUN} is deployed (Production) in the registry."
    record = lifecycle.set_pinned(lifecycle.move(record, Status.DEPRECATED, ANN), True, ANN)
    assert lifecycle.reason_to_keep(directory) == f"lstm {RUN} is pinned in the registry."
    lifecycle.set_pinned(record, False, ANN)
    assert lifecycle.reason_to_keep(directory) is None


def test_a_run_of_the_same_name_in_another_directory_does_not_stay_for_it(registry: Registry, tmp_path: Path) -> None:
    mine, other = (write_run_below(tmp_path / name / "models", RUN) for name in ("mine", "other"))
    registry.registrations.register("all", str(tmp_path / "mine"))
    registry.lifecycle.register(_fields(RUN, model_name="models", status="shadow"), ANN)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert registry.lifecycle.reason_to_keep(mine) is not None
    assert registry.lifecycle.reason_to_keep(tmp_path / "link" / "models" / RUN) is not None
    assert registry.lifecycle.reason_to_keep(other) is None
    assert registry.lifecycle.reason_to_keep(mine.parent) is None


@pytest.fixture
def stood(registry: Registry, tmp_path: Path) -> VersionRecord:
    """The oldest of three runs of a managed and registered root, validated."""
    root = versions.init(tmp_path / "disk" / "models")
    for run in (RUN, NEWER, NEWEST):
        write_run_below(root, run)
    registry.registrations.register("models", str(root))
    return registry.lifecycle.register(_fields(RUN, model_name="models", status="validated"), ANN).record


def _renamed(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the root another name, which no refresh can find out; return its new path."""
    root = (tmp_path / "disk" / "models").rename(tmp_path / "disk" / "models-old")
    with pytest.raises(InvalidRoot):
        registry.registrations.refresh("models")
    return root


def _mounted_twice(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return another path of the root, which is none of a link as far as anybody can tell: such is a bind mount."""
    (tmp_path / "mount").symlink_to(tmp_path / "disk")
    monkeypatch.setattr(os.path, "realpath", lambda path, **_: os.path.abspath(path))
    return tmp_path / "mount" / "models"


def _shadow(registry: Registry, record: VersionRecord) -> None:
    registry.lifecycle.move(record, Status.SHADOW, ANN)


def _deployed(registry: Registry, record: VersionRecord) -> None:
    registry.lifecycle.move(record, Status.DEPLOYED, ANN, force=True)


def _pinned(registry: Registry, record: VersionRecord) -> None:
    registry.lifecycle.set_pinned(record, True, ANN)


@pytest.mark.parametrize("stands", [_shadow, _deployed, _pinned])
@pytest.mark.parametrize("seen", [_renamed, _mounted_twice])
def test_no_removal_takes_what_runs_or_is_pinned_below_a_root_that_was_renamed_or_is_seen_under_another_path(
    registry: Registry,
    stood: VersionRecord,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: Callable[[Registry, Path, pytest.MonkeyPatch], Path],
    stands: Callable[[Registry, VersionRecord], None],
) -> None:
    stands(registry, stood)
    root = seen(registry, tmp_path, monkeypatch)
    lifecycle = registry.lifecycle
    plan = versions.plan_cleanup(root, 1, lambda version: lifecycle.reason_to_keep(root / version))
    assert [one.version for one in plan.protected] == [RUN]
    assert versions.execute(plan, lifecycle.settled).versions == (NEWER,)
    assert (root / RUN / "lstm_model.h5").exists()


@pytest.mark.parametrize("stands", [_shadow, _deployed, _pinned])
@pytest.mark.parametrize("seen", [_renamed, _mounted_twice])
@pytest.mark.parametrize("is_twice", [False, True], ids=["alone", "beside a copy"])
def test_what_runs_or_is_pinned_only_when_it_is_in_the_trash_is_put_back_whatever_its_root_is_called_by_then(
    registry: Registry,
    stood: VersionRecord,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: Callable[[Registry, Path, pytest.MonkeyPatch], Path],
    stands: Callable[[Registry, VersionRecord], None],
    is_twice: bool,
) -> None:
    if is_twice:
        registry.registrations.register("copy", str(write_run_below(tmp_path / "copy" / "models", RUN).parent.parent))
    root = seen(registry, tmp_path, monkeypatch)
    lifecycle = registry.lifecycle
    in_trash = []

    @contextmanager
    def settled() -> Iterator[None]:
        in_trash.append(not (root / RUN).exists())
        stands(registry, stood)
        with lifecycle.settled():
            yield

    plan = versions.plan_cleanup(root, 1, lambda version: lifecycle.reason_to_keep(root / version))
    assert [one.version for one in plan.removals] == [NEWER, RUN]
    done = versions.execute(plan, settled)
    assert (in_trash, done.versions, [one.version for one in done.stayed]) == ([True], (NEWER,), [RUN])
    assert (root / RUN / "lstm_model.h5").exists()


def test_a_run_that_may_be_the_one_that_runs_says_where_that_was_and_what_to_do(
    registry: Registry, stood: VersionRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deployed(registry, stood)
    other = write_run_below(tmp_path / "other", RUN)
    assert registry.lifecycle.reason_to_keep(other) is None
    root = _renamed(registry, tmp_path, monkeypatch)
    was = tmp_path / "disk" / "models" / RUN
    for directory in (root / RUN, other):
        assert registry.lifecycle.reason_to_keep(directory) == (
            f"models {RUN} is deployed (Production) in the registry, and '{was}' is not there any more: this may be "
            "it. Bring it back, or register the root that it is in now and delete the old registration."
        )
    registry.registrations.delete("models")
    registry.registrations.register("models", str(root))
    reasons = [registry.lifecycle.reason_to_keep(directory) for directory in (root / RUN, other)]
    assert reasons == [f"models {RUN} is deployed (Production) in the registry.", None]
