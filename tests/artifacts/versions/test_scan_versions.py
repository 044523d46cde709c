"""Versions in scans: what is read again, what stays as it was, and what nobody may pair."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import lightgbm
import pytest

from mm_core.artifacts import reading_defects, reading_pool, stable_file, version_files
from mm_core.artifacts.limits import VERSION_RULES, ReadingLimits
from mm_core.artifacts.listing import Listing, list_groups, look_again
from mm_core.artifacts.opening import open_file
from mm_core.artifacts.scan import scan_root
from mm_core.artifacts.stable_file import read_stable
from mm_core.artifacts.tree import UNREADABLE
from mm_core.artifacts.version_files import VersionReading
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Scan
from mm_core.domain.versions import Version
from mm_core.errors import UnreadableArtifact
from tests.artifacts.versions.conftest import FEATURES, WriteVersion, metadata

LIMITS = ReadingLimits()
PATH = "sentiment-fusion/v1.1.0"
RUN = "20250724_150837"


def _codes(version: Version) -> list[str]:
    return [finding.code for finding in version.findings]


def _write_run(root: Path, run: str = RUN, **metadata_of_run: Any) -> Path:
    (root / run).mkdir(parents=True)
    (root / run / "lstm_model.h5").write_bytes(b"\x89HDF")
    (root / run / "xgboost_model.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/model-manager-was-here'\ntR.")
    (root / run / "training_metadata.json").write_text(json.dumps(metadata_of_run))
    return root


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the versions that are read in this process from now on."""
    read: list[str] = []
    original = reading_defects.read_version

    def noted(root: Path, files: Any, *arguments: Any) -> VersionReading:
        read.append(files.path)
        return original(root, files, *arguments)

    monkeypatch.setattr(reading_defects, "read_version", noted)
    return read


def test_only_versions_that_changed_are_read_again(write_version: WriteVersion, reads: list[str]) -> None:
    write_version("v1.0.0")
    root = write_version()
    first = scan_root(root)
    assert not list_groups(root, LIMITS).differs_from(first)
    (root / PATH / "normalizer.json").write_text(json.dumps({name: {"mean": 9, "std": 1} for name in FEATURES}))
    assert list_groups(root, LIMITS).differs_from(first)
    reads.clear()
    second = scan_root(root, first)
    assert reads == [PATH]
    assert second.versions["sentiment-fusion/v1.0.0"] is first.versions["sentiment-fusion/v1.0.0"]
    assert second.versions[PATH].normalizer is not None
    assert second.versions[PATH].normalizer.mean == (9.0,) * 4


def test_a_version_that_was_read_by_older_rules_is_read_again(write_version: WriteVersion, reads: list[str]) -> None:
    root = write_version()
    first = scan_root(root)
    older = replace(first, versions={PATH: replace(first.versions[PATH], rules=0)})
    assert list_groups(root, LIMITS).differs_from(older)
    assert scan_root(root, older).versions[PATH].rules == first.versions[PATH].rules == VERSION_RULES
    assert reads == [PATH, PATH]


def test_a_file_that_is_not_read_changes_the_list_of_files_and_costs_no_reading(
    write_version: WriteVersion, reads: list[str]
) -> None:
    root = write_version()
    first = scan_root(root)
    (root / PATH / "training.log").write_text("epoch 1")
    (root / PATH / "old.pkl").write_text("x")
    second = scan_root(root, first)
    assert reads == [PATH]
    assert [file.path.rpartition("/")[2] for file in second.versions[PATH].files if file.role == "other"] == [
        "old.pkl", "training.log"
    ]  # fmt: skip
    assert _codes(second.versions[PATH]) == ["foreign-files"]
    (root / PATH / "old.pkl").unlink()
    assert _codes(scan_root(root, second).versions[PATH]) == []
    assert reads == [PATH]


def test_a_version_that_vanished_leaves_the_scan_and_a_new_one_enters(write_version: WriteVersion) -> None:
    root = write_version("v1.0.0")
    first = scan_root(root)
    (root / "sentiment-fusion" / "v1.0.0").rename(root / "sentiment-fusion" / "v2.0.0")
    listing = list_groups(root, LIMITS)
    assert listing.differs_from(first)
    second = scan_root(root, first, listing)
    assert list(second.versions) == ["sentiment-fusion/v2.0.0"]
    assert _codes(second.versions["sentiment-fusion/v2.0.0"]) == ["version-mismatch"]


def test_the_bytes_of_a_model_are_kept_under_the_digest_that_the_version_names(write_version: WriteVersion) -> None:
    root = write_version()
    kept: list[tuple[str, str]] = []

    def keep_file(file: BinaryIO, sha256: str, suffix: str) -> bool:
        kept.append((hashlib.sha256(file.read()).hexdigest(), suffix))
        return kept[-1][0] == sha256

    model = scan_root(root, keep_file=keep_file).versions[PATH].model
    assert model is not None
    content = (root / PATH / "model.txt").read_bytes()
    assert (model.sha256, model.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert kept == [(model.sha256, ".txt")]


def test_a_model_that_changes_before_it_is_kept_is_in_no_service(write_version: WriteVersion) -> None:
    root = write_version()
    torn = scan_root(root, keep_file=lambda *_: False)
    version = torn.versions[PATH]
    assert (version.model, version.booster, version.can_predict) == (None, None, False)
    assert _codes(version) == ["still-being-written"]
    whole = scan_root(root, torn, keep_file=lambda *_: True).versions[PATH]
    assert whole.can_predict


def _replaced_while_reading(monkeypatch: pytest.MonkeyPatch, target: Path, content: bytes) -> None:
    """Have a file renamed into place as soon as the next other file of a version was read."""
    plans = [content]

    def read(root: Path, path: str, *arguments: Any) -> bytes:
        data = read_stable(root, path, *arguments)
        if plans and not target.samefile(root / path):
            beside = target.with_name(".beside")
            beside.write_bytes(plans.pop())
            beside.replace(target)
        return data

    monkeypatch.setattr(version_files, "read_stable", read)


def test_files_of_two_trainings_are_never_paired_though_one_is_replaced_while_the_others_are_read(
    write_version: WriteVersion, monkeypatch: pytest.MonkeyPatch, lightgbm_booster: lightgbm.Booster
) -> None:
    root = write_version()
    before = scan_root(root)
    (root / PATH / "test_evaluation.json").write_text('{"accuracy": 0.7}')
    newer = lightgbm_booster.model_to_string().replace("\nparameters:", "\nparameters:\n[comment: 1]").encode()
    _replaced_while_reading(monkeypatch, root / PATH / "model.txt", newer)
    torn = scan_root(root, before)
    assert torn.versions[PATH] is before.versions[PATH], "the last whole version stays"
    whole = scan_root(root, torn).versions[PATH]
    assert whole.evaluation is not None
    assert whole.evaluation.accuracy == 0.7
    assert whole.model is not None
    assert whole.model.sha256 == hashlib.sha256(newer).hexdigest()


def test_a_new_version_that_changes_while_it_is_read_cannot_predict_until_it_rests(
    write_version: WriteVersion, monkeypatch: pytest.MonkeyPatch, lightgbm_booster: lightgbm.Booster
) -> None:
    root = write_version()
    text = lightgbm_booster.model_to_string().encode()
    _replaced_while_reading(monkeypatch, root / PATH / "model.txt", text)
    torn = scan_root(root)
    assert (torn.versions[PATH].booster, _codes(torn.versions[PATH])) == (None, ["still-being-written"])
    assert scan_root(root, torn).versions[PATH].can_predict


def test_a_version_that_somebody_is_writing_stays_as_it_was(write_version: WriteVersion) -> None:
    write_version("v1.0.0")
    root = write_version()
    first = scan_root(root)
    time.sleep(0.01)
    since = time.time_ns()
    time.sleep(0.01)
    (root / PATH / "normalizer.json").write_text("{}")
    write_version("v2.0.0")
    listing = list_groups(root, LIMITS)
    kept, restless = listing.without_restless(first, since, time.time_ns(), ())
    assert [files.key for files in restless] == [f"{PATH}/", "sentiment-fusion/v2.0.0/"]
    assert not kept.differs_from(first)
    kept, restless = listing.without_restless(first, since, time.time_ns(), {f"{PATH}/"})
    assert [files.key for files in restless] == ["sentiment-fusion/v2.0.0/"]
    assert [files.path for files in kept.versions] == ["sentiment-fusion/v1.0.0", PATH]
    assert kept.differs_from(first)


def test_a_version_whose_directory_cannot_be_listed_just_now_stays(write_version: WriteVersion) -> None:
    write_version("v1.0.0")
    root = write_version()
    first = scan_root(root)
    closed = Finding(Severity.WARNING, UNREADABLE, PATH, "The directory cannot be listed.", "Make it readable.")
    rest = tuple(files for files in list_groups(root, LIMITS).versions if files.path != PATH)
    second = scan_root(root, first, Listing((), (closed,), rest))
    assert second.versions == first.versions
    assert second.findings == (closed,)


def test_a_version_of_which_a_file_may_not_be_read_any_more_stays_and_says_so(
    write_version: WriteVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_version()
    first = scan_root(root)
    os.utime(root / PATH / "normalizer.json", ns=(1, 1))

    def refuse(*_: object) -> bytes:
        raise UnreadableArtifact("unreadable", "The file cannot be opened (Permission denied).", "Make it readable.")

    monkeypatch.setattr(version_files, "read_stable", refuse)
    scan = first
    for _ in range(2):
        scan = scan_root(root, scan)
        version = scan.versions[PATH]
        assert version.can_predict, "an error would take it from bots"
        assert (version.booster, version.normalizer) == (first.versions[PATH].booster, first.versions[PATH].normalizer)
        assert set(_codes(version)) == {"unreadable"}
        assert all("stays in service" in finding.remedy for finding in version.findings)
    monkeypatch.undo()
    assert _codes(scan_root(root, replace(first, versions={PATH: version})).versions[PATH]) == []


def test_a_model_may_be_as_large_as_models_and_other_files_as_large_as_files(write_version: WriteVersion) -> None:
    root = write_version(feature_importance_csv=None, test_evaluation_json=None)
    size = (root / PATH / "model.txt").stat().st_size
    assert _codes(scan_root(root, limits=ReadingLimits(model_bytes=size, file_bytes=size - 1)).versions[PATH]) == []
    version = scan_root(root, limits=ReadingLimits(model_bytes=size - 1)).versions[PATH]
    assert (_codes(version), version.can_predict, version.model) == (["file-too-large"], False, None)
    version = scan_root(root, limits=ReadingLimits(file_bytes=10)).versions[PATH]
    assert _codes(version) == ["file-too-large", "file-too-large"]


def test_a_version_whose_reader_died_is_listed_with_that_finding_and_read_again(
    write_version: WriteVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_version()
    for path in (root / PATH).iterdir():
        os.utime(path, (0, 1_000_000_000))
    monkeypatch.setattr(reading_pool, "LARGEST_READ_HERE", 0)
    lost = scan_root(root, limits=ReadingLimits(worker_memory_bytes=1 << 20))
    version = lost.versions[PATH]
    assert (_codes(version), version.can_predict) == (["reader-ended"], False)
    assert version.created_at == "2001-09-09T01:46:40.000+00:00"
    assert scan_root(root, lost).versions[PATH].can_predict


def test_two_directories_of_one_version_are_an_error_and_equal_models_a_warning(write_version: WriteVersion) -> None:
    write_version("1.1.0")
    write_version("v1.2.0")
    scan = scan_root(write_version())
    assert [(finding.severity.value, finding.code, finding.file) for finding in scan.twins] == [
        ("error", "duplicate-version", PATH),
        ("warning", "duplicate-model-file", f"{PATH}/model.txt"),
        ("warning", "duplicate-model-file", "sentiment-fusion/v1.2.0/model.txt"),
    ]
    assert scan.summary().versions == 3
    assert set(scan.twins) <= set(scan.all_findings())


def test_many_versions_read_by_children_equal_those_read_here(write_version: WriteVersion) -> None:
    for number in range(30):
        root = write_version(f"v{number}.0.0")
    _write_run(root / "models", timestamp="2025-07-24T16:00:00", ensemble_weights={"lstm": 0.5, "cnn": 0.5})
    together = scan_root(root)
    for path in (root / "sentiment-fusion").glob("v[1-9]*"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    alone = scan_root(root)
    assert list(alone.versions) == [f"models/{RUN}", "sentiment-fusion/v0.0.0"]
    for path, version in alone.versions.items():
        assert replace(together.versions[path], read_at=version.read_at) == version


def test_a_run_is_read_from_its_metadata_and_no_model_is_opened_but_that_of_xgboost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(stable_file, "open_file", lambda path: opened.append(path) or open_file(path))
    root = _write_run(
        tmp_path,
        timestamp="2025-07-24T16:00:00",
        ensemble_weights={"lstm": 0.5, "cnn": 0.25, "xgboost": 0.25},
        performance_metrics={"lstm": {"sharpe_ratio": 82.96}},
    )
    run = scan_root(root).versions[RUN]
    assert (run.model_name, run.name, run.created_at) == ("", RUN, "2025-07-24T15:08:37.000+00:00")
    assert run.run is not None
    assert run.run.ensemble_weights == {"lstm": 0.5, "cnn": 0.25, "xgboost": 0.25}
    assert [(finding.severity.value, finding.code) for finding in run.findings] == [
        ("warning", "implausible-metrics"),
        ("warning", "weights-without-file"),
        ("error", "unsafe-pickle"),
    ]
    assert not Path("/tmp/model-manager-was-here").exists()
    assert "'cnn'" in run.findings[1].detail
    assert not run.can_predict
    assert opened == [str(root / RUN / "training_metadata.json"), str(root / RUN / "xgboost_model.pkl")]


@pytest.mark.parametrize(
    ("content", "code"), [("{", "corrupt-metadata"), ("[]", "corrupt-metadata"), (None, "metadata-missing")]
)
def test_a_run_with_corrupt_metadata_or_without_is_listed_with_a_warning(
    tmp_path: Path, content: str | None, code: str
) -> None:
    file = _write_run(tmp_path) / RUN / "training_metadata.json"
    file.unlink()
    (file.parent / "xgboost_model.pkl").unlink()
    if content is not None:
        file.write_text(content)
    run = scan_root(tmp_path).versions[RUN]
    found = [(finding.severity.value, finding.code) for finding in run.findings]
    assert found == [("warning", code), ("info", "no-model-for-bots")]
    assert (run.run, run.can_predict, len(run.files)) == (None, True, 1 + (content is not None))


def test_a_look_at_what_changed_leaves_versions_to_a_listing_and_their_groups_apart(
    write_version: WriteVersion, write_group: Callable[..., Path]
) -> None:
    write_version()
    root = _write_run(write_group("BTCUSDT_r"))
    scan = scan_root(root)
    assert scan.findings == ()
    (root / "BTCUSDT_r_factors.txt").write_text("a\nb\nc\n")
    found = look_again(root, scan, [str(root / "BTCUSDT_r_factors.txt")], LIMITS)
    assert found == list_groups(root, LIMITS)
    assert [files.path for files in found.versions] == [RUN, PATH]
    for path in (f"{RUN}/xgboost_model.pkl", f"{PATH}/model.txt", "sentiment-fusion", "latest", "latest.txt", RUN):
        assert look_again(root, scan, [str(root / path)], LIMITS) is None, path
    for path in ("xgboost_model.pkl", "ensemble/xgboost_model.json"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(b"x")
        assert look_again(root, scan, [str(root / path)], LIMITS) is None, path
    for path in ("m/v9.0.0/AAPL_r_model.json", "latest/xgboost_model.pkl"):
        assert look_again(root, scan, [str(root / path)], LIMITS) is None, path


def test_scans_of_versions_count_them_and_their_findings(write_version: WriteVersion) -> None:
    root = write_version(metadata_json=metadata("1.1.0"), normalizer_json=None)
    scan = scan_root(root)
    summary = Scan("", {}, (), scan.versions).summary()
    assert (summary.groups, summary.versions) == (0, 1)
    assert summary.findings == {Severity.ERROR: 1, Severity.WARNING: 1}
