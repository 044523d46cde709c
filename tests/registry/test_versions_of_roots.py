"""Roots of versions in the registry: registered, refreshed, kept, backed up."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from mm_core.errors import VersionNotFound
from mm_core.payloads import Coding
from mm_core.registry import Registry
from mm_core.settings import Settings
from mm_core.store import BlobDirectory
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version

__all__ = ["lightgbm_booster", "write_version"]

PATH = "sentiment-fusion/v1.1.0"


@pytest.fixture
def blobs(settings: Settings) -> BlobDirectory:
    """The models that are kept."""
    return BlobDirectory(settings.data_dir / "blobs" / "models")


def test_a_root_of_versions_alone_is_registered_with_their_models(
    registry: Registry, settings: Settings, write_version: WriteVersion, blobs: BlobDirectory
) -> None:
    root = write_version()
    scan = registry.registrations.register("m", str(root)).scan
    assert (list(scan.groups), list(scan.versions), scan.all_findings()) == ([], [PATH], ())
    model = scan.versions[PATH].model
    assert model is not None
    content = (root / PATH / "model.txt").read_bytes()
    assert blobs.get(model.sha256, ".txt") == content
    assert (model.sha256, model.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert open_registry(settings).model("m")[1] == scan


def test_a_refresh_puts_new_versions_into_service_and_nothing_below_the_root_is_touched(
    registry: Registry, write_version: WriteVersion
) -> None:
    registry.registrations.register("m", str(write_version()))
    assert not registry.registrations.has_changed("m")
    root = write_version("v1.2.0")
    (root / "sentiment-fusion" / "latest").symlink_to("v1.2.0")
    assert registry.registrations.has_changed("m")
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    scan = registry.registrations.refresh("m").scan
    assert list(scan.versions) == [PATH, "sentiment-fusion/v1.2.0"]
    assert scan.latest == {"sentiment-fusion": "sentiment-fusion/v1.2.0"}
    assert [finding.code for finding in scan.all_findings()] == ["duplicate-model-file"]
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before
    assert not registry.registrations.has_changed("m")


def test_a_version_that_is_being_written_waits_until_it_rests(registry: Registry, write_version: WriteVersion) -> None:
    registry.registrations.register("m", str(write_version()))
    root = write_version("v1.2.0", normalizer_json=None)
    half = registry.registrations.refresh_changed("m", quiet_seconds=30.0)
    assert (half.registered, list(half.waiting)) == (None, ["sentiment-fusion/v1.2.0/"])
    assert str(root / "sentiment-fusion/v1.2.0/model.txt") in half.waiting["sentiment-fusion/v1.2.0/"]
    assert list(registry.model("m")[1].versions) == [PATH]
    (root / "sentiment-fusion/v1.2.0/normalizer.json").write_bytes((root / PATH / "normalizer.json").read_bytes())
    time.sleep(0.05)
    whole = registry.registrations.refresh_changed("m", quiet_seconds=0.02)
    assert whole.waiting == {}
    assert registry.model("m")[1].versions["sentiment-fusion/v1.2.0"].can_predict


def test_models_of_versions_are_kept_as_long_as_a_scan_refers_to_them(
    registry: Registry, write_version: WriteVersion, blobs: BlobDirectory
) -> None:
    root = write_version()
    registry.registrations.register("m", str(root))
    (orphan,) = [blobs.put(b"nobody's", ".txt")]
    for entry in blobs.entries():
        os.utime(entry.path, (1, 1))
    (root / PATH / "model.txt").unlink()
    registry.registrations.refresh("m")
    plan = registry.housekeeping.plan_cleanup()
    assert [entry.name for _, entry in plan.orphans] == [orphan]
    registry.housekeeping.execute(plan)
    assert len(list(blobs.entries())) == 1, "an earlier scan has it"
    registry.registrations.delete("m")
    assert len(registry.housekeeping.plan_cleanup().orphans) == 1


def test_versions_are_in_backups_and_come_back(
    registry: Registry, write_version: WriteVersion, tmp_path: Path, settings: Settings
) -> None:
    root = write_version()
    scan = registry.registrations.register("m", str(root)).scan
    registry.backups.create(tmp_path / "backup.zip")
    registry.registrations.delete("m")
    registry.backups.restore(tmp_path / "backup.zip")
    assert open_registry(settings).model("m")[1] == scan
    assert registry.housekeeping.diagnose().healthy


def test_deleted_scans_of_versions_are_made_again(
    registry: Registry, write_version: WriteVersion, settings: Settings
) -> None:
    scan = registry.registrations.register("m", str(write_version())).scan
    for path in (settings.data_dir / "scans").rglob("versions-*"):
        path.unlink()
    again = open_registry(settings)
    assert again.registrations.restore_missing_scans() == ()
    assert list(again.model("m")[1].versions) == list(scan.versions)


def test_what_hostile_metadata_says_is_stored_and_comes_back(
    registry: Registry, write_version: WriteVersion, settings: Settings
) -> None:
    deep: object = "end"
    for _ in range(60):
        deep = {"a": [deep]} if isinstance(deep, str) else [deep]
    notes = {"\u202eetaroproc": 10**300, "\x1b[31m": [True, None, -0.0], "": deep, "__class__": "os.system"}
    text = json.dumps({"model_version": "v1.1.0", **notes})
    root = write_version(metadata_json=text[:-1] + ', "far": 1e999, "none": NaN}')
    registry.registrations.register("m", str(root))
    version = open_registry(settings).model("m")[1].versions[PATH]
    assert version.metadata is not None
    assert version.metadata.extra == {**notes, "far": None, "none": None}
    assert "non-strict-json" in {finding.code for finding in version.findings}


@pytest.mark.parametrize("text", ['{"a":' * 70 + "1" + "}" * 70, '{"a": "\\ud800", "b": NaN}', "[" * 100_000])
def test_metadata_that_could_not_be_stored_is_a_finding(
    registry: Registry, write_version: WriteVersion, text: str
) -> None:
    scan = registry.registrations.register("m", str(write_version(metadata_json=text))).scan
    assert [finding.code for finding in scan.versions[PATH].findings] == ["bad-json"]


def test_a_version_is_pulled_by_the_name_that_it_has_now_and_by_no_former_one(
    registry: Registry, settings: Settings, write_version: WriteVersion, tmp_path: Path
) -> None:
    root, others = write_version(), tmp_path / "others"
    others.mkdir()
    registry.registrations.register("m", str(root))
    former = registry.version_payloads.handle("sentiment-fusion", "v1.1.0")
    (root / "sentiment-fusion").rename(root / "news-fusion")
    registry.registrations.refresh("m")
    for commits in range(2):
        for each in (registry, open_registry(settings)):
            with pytest.raises(VersionNotFound, match="sentiment-fusion"):
                each.version_payloads.handle("sentiment-fusion", "v1.1.0")
            handle = each.version_payloads.handle("news-fusion", "v1.1.0")
            payload = json.loads(each.version_payloads.body(handle, Coding.IDENTITY))["payload"]
            assert payload["metadata"]["model_name"] == "news-fusion"
            assert handle.digest != former.digest
        registry.registrations.register(f"others-{commits}", str(others))


def test_a_version_of_a_root_without_a_name_goes_with_the_registration_that_named_it(
    registry: Registry, settings: Settings, write_version: WriteVersion
) -> None:
    root = write_version() / "sentiment-fusion"
    registry.registrations.register("former", str(root))
    registry.version_payloads.handle("former", "v1.1.0")
    registry.registrations.delete("former")
    registry.registrations.register("latter", str(root))
    for each in (registry, open_registry(settings)):
        with pytest.raises(VersionNotFound, match="former"):
            each.version_payloads.handle("former", "v1.1.0")
        assert each.version_payloads.handle("latter", "v1.1.0").model_name == "latter"
