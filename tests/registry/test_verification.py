"""Versions verified: each check passes or fails with a remedy, whatever lies in the directories."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from mm_core.artifacts import reading_defects
from mm_core.artifacts.limits import ReadingLimits
from mm_core.domain.verification import Check, CheckName, Outcome, VerificationReport
from mm_core.errors import VersionNotFound
from mm_core.prediction import PredictionLimits, Predictor
from mm_core.registry import Registry
from mm_core.registry.verification import Verifier
from tests.artifacts.runs.training import KERAS, THRESHOLD, about, trained, write_trained_run
from tests.artifacts.versions.conftest import FEATURES, WriteVersion, lightgbm_booster, metadata, write_version
from tests.registry.test_lifecycle import ANN, FIELDS, NAME
from tests.versions.conftest import write_run_below

__all__ = ["lightgbm_booster", "write_version"]

RUN = "20250724_150837"


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    """One predictor for all tests here."""
    predictor = Predictor()
    yield predictor
    predictor.close()


@pytest.fixture
def verifier(registry: Registry, predictor: Predictor) -> Verifier:
    """A verifier of the registry's versions."""
    return Verifier(registry.store, ReadingLimits(), None, predictor)


def _register(registry: Registry, version: str = "v1.1.0", name: str = NAME, **fields: Any) -> None:
    document = {**FIELDS, "model_name": name, "model_version": version, "status": "deployed", **fields}
    registry.lifecycle.register(document, ANN, force=True)


def _deployed(registry: Registry, root: Path, version: str = "v1.1.0") -> Path:
    registry.registrations.register("all", str(root))
    _register(registry, version)
    return root / NAME / version


def _by_name(report: VerificationReport) -> dict[CheckName, Check]:
    (one,) = report.versions
    assert [check.name for check in one.checks] == list(CheckName)
    for check in one.checks:
        assert bool(check.remedy) is (check.outcome is not Outcome.PASSED), check
        assert (check.outcome is Outcome.PASSED) or check.detail
    return {check.name: check for check in one.checks}


def _failed(report: VerificationReport) -> dict[CheckName, str]:
    return {name: check.code for name, check in _by_name(report).items() if check.outcome is Outcome.FAILED}


def _warned(report: VerificationReport) -> list[str]:
    return [notice.code for one in report.versions for notice in one.warnings]


def test_a_whole_deployed_version_passes_every_check_and_predicts_as_lightgbm_does(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, lightgbm_booster: lightgbm.Booster
) -> None:
    directory = _deployed(registry, write_version())
    report = verifier.verify(NAME, "1.1.0")
    (one,) = report.versions
    assert (one.passed, one.path, one.status, one.warnings) == (True, str(directory), "deployed", ())
    assert {check.outcome for check in one.checks} == {Outcome.PASSED}
    shares = lightgbm_booster.predict(np.zeros((1, len(FEATURES))))[0]  # the means, normalized
    assert one.confidence == pytest.approx(max(shares), abs=1e-12)
    assert _by_name(report)[CheckName.TEST_PREDICTION].detail.startswith(("DOWN", "NEUTRAL", "UP")[shares.argmax()])


def test_verifying_changes_nothing(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, tree_digest: Callable[[Path], str]
) -> None:
    root = write_version()
    _deployed(registry, root)
    before, revision = tree_digest(root), registry.view().revision
    verifier.verify(NAME, "v1.1.0")
    verifier.verify_all()
    assert (tree_digest(root), registry.view().revision) == (before, revision)


def test_a_version_that_nobody_registered_is_not_found_and_its_directory_is_told(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    root = write_version()
    registry.registrations.register("all", str(root))
    report = verifier.verify(NAME, "v1.1.0")
    assert _failed(report) == {CheckName.REGISTRATION: "MODEL_NOT_FOUND"}
    check = _by_name(report)[CheckName.REGISTRATION]
    assert f"Its directory exists, '{root / NAME / 'v1.1.0'}'" in check.detail
    assert f"lifecycle register {NAME} v1.1.0" in check.remedy


def test_a_version_that_is_nowhere_fails_with_the_path_where_it_is_expected(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    root = write_version()
    registry.registrations.register("all", str(root))
    report = verifier.verify(NAME, "v9.0.0")
    assert set(_failed(report)) == set(CheckName)
    structure = _by_name(report)[CheckName.STRUCTURE]
    assert structure.code == "MODEL_FILE_MISSING"
    assert f"Failed to load model: no registered root holds {NAME} v9.0.0." in structure.detail
    assert str(root / NAME / "v9.0.0" / "model.txt") in structure.detail
    assert "It has no directory." in _by_name(report)[CheckName.REGISTRATION].detail


def test_without_any_root_the_remedy_is_to_register_one(verifier: Verifier) -> None:
    structure = _by_name(verifier.verify(NAME, "v1.0.0"))[CheckName.STRUCTURE]
    assert "No root is registered" in structure.detail
    assert "python -m mm_core register NAME DIRECTORY" in structure.remedy


def test_a_version_that_is_not_deployed_is_told_where_no_other_one_is(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    write_version("v1.0.0")
    root = write_version("v1.1.0", model_txt=_other_text(), feature_importance_csv=None)
    registry.registrations.register("all", str(root))
    _register(registry, "v1.1.0", status="validated")
    report = verifier.verify(NAME, "v1.1.0")
    assert (report.passed(), report.passed(strict=True)) == (True, False)
    (notice,) = report.versions[0].warnings
    assert (notice.code, "is 'validated'" in notice.detail) == ("MODEL_NOT_FOUND", True)
    assert f"lifecycle deploy {NAME} v1.1.0" in notice.remedy
    _register(registry, "v1.0.0")
    report = verifier.verify(NAME, "v1.1.0")
    assert report.passed(strict=True)
    assert "v1.0.0 is the one that is deployed" in _by_name(report)[CheckName.REGISTRATION].detail


@pytest.mark.parametrize("missing", ["model.txt", "normalizer.json", "metadata.json"])
def test_a_missing_file_is_named_with_its_expected_path(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, missing: str
) -> None:
    directory = _deployed(registry, write_version(**{missing.replace(".", "_"): None}))
    report = verifier.verify(NAME, "v1.1.0")
    failed = {CheckName.STRUCTURE: "MODEL_FILE_MISSING", CheckName.TEST_PREDICTION: "CANNOT_PREDICT"}
    if missing != "metadata.json":  # bots load the other two from the path
        failed[CheckName.PATH_RESOLUTION] = "MODEL_FILE_MISSING"
    assert _failed(report) == failed
    structure = _by_name(report)[CheckName.STRUCTURE]
    assert structure.detail == f"Failed to load model: {directory / missing} not found. Missing: {missing}."
    assert structure.remedy == f"Copy {missing} of the same training into {directory}."


def test_a_file_that_is_gone_since_the_last_scan_is_missed(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    directory = _deployed(registry, write_version())
    (directory / "model.txt").unlink()
    assert _failed(verifier.verify(NAME, "v1.1.0"))[CheckName.STRUCTURE] == "MODEL_FILE_MISSING"


def test_a_normalizer_that_is_not_understood_is_told_with_its_feature_and_the_forms_that_are(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    normalizer = {name: {"mean": 0.5, "std": "wide" if name == "spread" else 2.0} for name in FEATURES}
    _deployed(registry, write_version(normalizer_json=normalizer))
    structure = _by_name(verifier.verify(NAME, "v1.1.0"))[CheckName.STRUCTURE]
    assert (structure.outcome, structure.code) == (Outcome.FAILED, "NORMALIZER_INVALID")
    assert "Invalid normalizer format for feature 'spread'" in structure.detail
    assert '{"feature": {"mean": 0.0, "std": 1.0}}' in structure.detail


def test_equal_models_of_two_versions_are_found_whichever_root_or_family_they_are_of(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, tmp_path: Path
) -> None:
    _deployed(registry, write_version())
    root = write_version("v1.0.0", "price-prediction")
    shutil.move(root / "price-prediction", tmp_path / "elsewhere" / "price-prediction")
    registry.registrations.register("another", str(tmp_path / "elsewhere"))
    report = verifier.verify(NAME, "v1.1.0")
    (notice,) = report.versions[0].warnings
    assert (notice.code, report.passed()) == ("DUPLICATE_MODEL_FILE", True)
    assert str(tmp_path / "elsewhere" / "price-prediction" / "v1.0.0") in notice.detail
    registry.registrations.register("again", str(tmp_path / "root"))
    assert len(verifier.verify(NAME, "v1.1.0").versions[0].warnings) == 1


def test_a_model_that_is_a_link_to_that_of_another_version_is_told(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    write_version("v1.0.0")
    root = write_version("v1.1.0", model_txt=None)
    (root / NAME / "v1.1.0" / "model.txt").symlink_to("../v1.0.0/model.txt")
    _deployed(registry, root)
    details = [notice.detail for notice in verifier.verify(NAME, "v1.1.0").versions[0].warnings]
    assert any(f"model.txt is a link to {root / NAME / 'v1.0.0' / 'model.txt'}" in detail for detail in details)


def test_a_path_that_does_not_name_the_model_is_told_until_its_name_is_an_alias(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    root = write_version(model="sentiment")
    registry.registrations.register(NAME, str(root / "sentiment"))
    _register(registry)
    report = verifier.verify(NAME, "v1.1.0")
    assert (report.passed(), _warned(report)) == (True, ["DUPLICATE_MODEL_FILE"])
    assert "does not name the model" in report.versions[0].warnings[0].detail
    registry.lifecycle.set_alias(NAME, "sentiment", ANN)
    assert _warned(verifier.verify(NAME, "v1.1.0")) == []


def _other_text(seed: int = 9) -> str:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(300, len(FEATURES)))
    labels = np.digitize(features[:, 1], [-0.5, 0.5])
    data = lightgbm.Dataset(features, labels, feature_name=list(FEATURES))
    parameters = {"objective": "multiclass", "num_class": 3, "num_leaves": 5, "verbose": -1, "num_threads": 1}
    return lightgbm.train(parameters, data, num_boost_round=4).model_to_string()


def _three_families(write_version: WriteVersion, texts: list[str]) -> Path:
    for name, text in zip(("first", "second", "third"), texts, strict=True):
        root = write_version("v1.0.0", name, model_txt=text, feature_importance_csv=None, test_evaluation_json=None)
    return root


@pytest.mark.parametrize(("alike", "warned"), [(3, 3), (2, 0)])
def test_three_models_of_one_confidence_are_told_though_their_bytes_differ(
    registry: Registry,
    verifier: Verifier,
    write_version: WriteVersion,
    lightgbm_booster: lightgbm.Booster,
    alike: int,
    warned: int,
) -> None:
    text = lightgbm_booster.model_to_string()
    texts = [text + "\n" * number for number in range(3)] if alike == 3 else [text, text + "\n", _other_text()]
    registry.registrations.register("all", str(_three_families(write_version, texts)))
    for name in ("first", "second", "third"):
        _register(registry, "v1.0.0", name)
    report = verifier.verify_all()
    assert (report.passed(), _warned(report)) == (True, ["DUPLICATE_MODEL_FILE"] * warned)
    assert all("have the same confidence" in notice.detail for one in report.versions for notice in one.warnings)


def test_what_is_not_as_it_is_served_fails_until_the_root_is_refreshed(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    directory = _deployed(registry, write_version())
    other = json.dumps({name: {"mean": 0.25, "std": 2.0} for name in FEATURES})
    (directory / "normalizer.json").write_text(other)
    report = verifier.verify(NAME, "v1.1.0")
    assert _failed(report) == {CheckName.PATH_RESOLUTION: "NOT_IN_SERVICE"}
    path = _by_name(report)[CheckName.PATH_RESOLUTION]
    assert ("where normalizer changed since" in path.detail, path.remedy) == (True, "python -m mm_core refresh all")
    registry.registrations.refresh("all")
    assert verifier.verify(NAME, "v1.1.0").passed()


def test_newer_files_whose_reader_died_are_told_and_a_reader_that_dies_tells_nothing_of_what_is_served(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise MemoryError

    write_version("v1.2.0")
    directory = _deployed(registry, write_version())
    assert _warned(verifier.verify(NAME, "v1.2.0")) == ["DUPLICATE_MODEL_FILE"]
    (directory / "model.txt").write_text(_other_text())
    (directory / "feature_importance.csv").unlink()
    with monkeypatch.context() as dying:
        dying.setattr(reading_defects, "read_version", die)
        registry.registrations.refresh("all")
        failed = _failed(verifier.verify(NAME, "v1.1.0"))
        assert set(failed.values()) == {"CANNOT_PREDICT"}
        assert CheckName.PATH_RESOLUTION not in failed
    assert _failed(verifier.verify(NAME, "v1.1.0")) == {CheckName.PATH_RESOLUTION: "NOT_IN_SERVICE"}
    assert _warned(verifier.verify(NAME, "v1.2.0")) == [], "the other directory has another model by now"
    registry.registrations.refresh("all")
    assert verifier.verify(NAME, "v1.1.0").passed()


def test_a_directory_that_no_scan_has_seen_is_not_in_service(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    _deployed(registry, write_version())
    write_version("v1.2.0", model_txt=_other_text(), feature_importance_csv=None)
    report = verifier.verify(NAME, "v1.2.0")
    assert _failed(report) == {
        CheckName.REGISTRATION: "MODEL_NOT_FOUND",
        CheckName.PATH_RESOLUTION: "NOT_IN_SERVICE",
    }


def test_a_version_in_two_directories_fails_and_both_are_named(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    root = write_version()
    _deployed(registry, root)
    write_version("1.1.0")
    report = verifier.verify(NAME, "v1.1.0")
    failed = _failed(report)
    assert (failed[CheckName.STRUCTURE], failed[CheckName.PATH_RESOLUTION]) == ("AMBIGUOUS_VERSION",) * 2
    assert _by_name(report)[CheckName.STRUCTURE].problems == (
        str(root / NAME / "1.1.0"), str(root / NAME / "v1.1.0")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("../sentiment-fusion", "v1.1.0"),
        ("root/sentiment-fusion", "v1.1.0"),
        ("/etc/passwd", "v1.1.0"),
        ("", "v1.1.0"),
        ("a\0b", "v1.1.0"),
        ("\x1b[2Jred", "v1.1.0"),
        ("x" * 300, "v1.1.0"),
        ("..", "v1.1.0"),
        ("\udcff", "v1.1.0"),
        (NAME, "../v1.1.0"),
        (NAME, "v1.1.0/../v1.1.0"),
        (NAME, "latest"),
        (NAME, ""),
        (NAME, "v1.1.0\n"),
        (NAME, "\udcff" * 99),
    ],
)
def test_names_of_no_version_fail_every_check_with_a_remedy(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, name: str, version: str
) -> None:
    _deployed(registry, write_version())
    report = verifier.verify(name, version)
    assert set(_failed(report)) == set(CheckName)
    assert _failed(report)[CheckName.REGISTRATION] == "MODEL_NOT_FOUND"
    assert report.versions[0].path is None
    assert all(text.isprintable() for check in report.versions[0].checks for text in (check.detail, check.remedy))


def test_a_directory_that_is_a_link_out_of_the_root_is_not_followed(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, tmp_path: Path
) -> None:
    directory = _deployed(registry, write_version())
    shutil.move(directory, tmp_path / "outside")
    directory.symlink_to(tmp_path / "outside")
    report = verifier.verify(NAME, "v1.1.0")
    structure = _by_name(report)[CheckName.STRUCTURE]
    assert (structure.code, "leads out of the registered root" in structure.detail) == ("MODEL_FILE_MISSING", True)
    assert CheckName.TEST_PREDICTION in _failed(report)


def test_a_model_that_is_a_link_out_of_the_root_is_missing(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, tmp_path: Path
) -> None:
    directory = _deployed(registry, write_version())
    shutil.move(directory / "model.txt", tmp_path / "model.txt")
    (directory / "model.txt").symlink_to(tmp_path / "model.txt")
    structure = _by_name(verifier.verify(NAME, "v1.1.0"))[CheckName.STRUCTURE]
    assert structure.code == "MODEL_FILE_MISSING"
    assert any("leads out of the registered root" in problem for problem in structure.problems)


@pytest.mark.parametrize("name", ["model.txt", "normalizer.json", "."])
def test_what_nobody_may_read_fails_with_the_command_that_mends_it(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, name: str
) -> None:
    directory = _deployed(registry, write_version())
    path = directory / name
    path.chmod(0)
    try:
        report = verifier.verify(NAME, "v1.1.0")
    finally:
        path.chmod(0o755 if path.is_dir() else 0o644)
    permissions = _by_name(report)[CheckName.PERMISSIONS]
    assert (permissions.code, str(path) in permissions.detail) == ("PERMISSION_DENIED", True)
    assert f"chmod {755 if name == '.' else 644} {path}" in permissions.remedy
    registry.registrations.refresh("all")
    assert verifier.verify(NAME, "v1.1.0").passed(strict=True)


def test_modes_that_keep_a_service_out_or_let_anybody_in_are_told(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    directory = _deployed(registry, write_version())
    (directory / "normalizer.json").chmod(0o600)
    (directory / "model.txt").chmod(0o666)
    registry.registrations.refresh("all")
    report = verifier.verify(NAME, "v1.1.0")
    assert (report.passed(), _warned(report)) == (True, ["NOT_READABLE_BY_ALL", "WRITABLE_BY_ALL"])
    assert report.versions[0].warnings[1].remedy == f"chmod 644 {directory / 'model.txt'}"


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(Path.cwd() / "pickle-ran"),)


def test_models_of_runs_that_nobody_can_be_given_are_skipped_and_nothing_says_that_they_were_tried(
    registry: Registry, verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"lstm_model.h5": KERAS, "forest_model.pkl": pickle.dumps(_Bomb())}
    write_run_below(tmp_path / "runs" / NAME, RUN, files=files)
    registry.registrations.register("all", str(tmp_path / "runs"))
    _register(registry, RUN)
    report = verifier.verify(NAME, RUN)
    checks = _by_name(report)
    assert (report.passed(), checks[CheckName.TEST_PREDICTION].outcome) == (True, Outcome.SKIPPED)
    assert "2 models: forest_model.pkl, lstm_model.h5" in checks[CheckName.STRUCTURE].detail
    assert not (tmp_path / "pickle-ran").exists()


def test_a_hostile_pickle_in_the_place_of_a_runs_model_fails_and_is_never_run(
    registry: Registry, verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_trained_run(tmp_path / "runs" / NAME, xgboost_model_pkl=pickle.dumps(_Bomb()))
    registry.registrations.register("all", str(tmp_path / "runs"))
    _register(registry, RUN)
    checks = _by_name(verifier.verify(NAME, RUN))
    assert {checks[name].outcome for name in (CheckName.STRUCTURE, CheckName.TEST_PREDICTION)} == {Outcome.FAILED}
    assert "mkdir" in checks[CheckName.STRUCTURE].detail
    assert not (tmp_path / "pickle-ran").exists()


@pytest.mark.parametrize("with_scaler", [True, False])
def test_the_xgboost_model_of_a_run_predicts_as_xgboost_does(
    registry: Registry, verifier: Verifier, tmp_path: Path, with_scaler: bool
) -> None:
    write_trained_run(tmp_path / "runs" / NAME, **({} if with_scaler else {"scalers_pkl": None}))
    registry.registrations.register("all", str(tmp_path / "runs"))
    _register(registry, RUN)
    report = verifier.verify(NAME, RUN)
    assert report.passed(), _failed(report)
    check = _by_name(report)[CheckName.TEST_PREDICTION]
    share = trained().classifier.predict_proba(np.zeros((1, 4)))[0, 1]  # the means, normalized; or zeros as they are
    assert report.versions[0].confidence == pytest.approx(abs(share - THRESHOLD) * 2, abs=1e-6)
    assert ("for the means of 4 features" if with_scaler else "for zeros as 4 features") in check.detail
    assert "bots are given 'xgboost'" in _by_name(report)[CheckName.STRUCTURE].detail


def test_a_version_whose_features_cannot_be_told_fails_in_its_report(
    registry: Registry, verifier: Verifier, tmp_path: Path
) -> None:
    names = ["a b", "a_b", "c", "d"]  # the first two are one, as LightGBM writes them
    rows = pd.DataFrame(trained().rows, columns=names)
    classifier = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(rows, rows["c"] > -3)
    files = {"scalers_pkl": None, "xgboost_model_pkl": pickle.dumps(classifier)}
    write_trained_run(tmp_path / "runs" / NAME, metadata=about(feature_names=names), **files)
    registry.registrations.register("all", str(tmp_path / "runs"))
    _register(registry, RUN)
    assert _failed(verifier.verify(NAME, RUN)) == {CheckName.TEST_PREDICTION: "CANNOT_PREDICT"}


def test_a_run_whose_scaler_cannot_be_read_fails_as_nobody_knows_its_normalization(
    registry: Registry, verifier: Verifier, tmp_path: Path
) -> None:
    write_trained_run(tmp_path / "runs" / NAME, scalers_pkl=b"joblib, perhaps")
    registry.registrations.register("all", str(tmp_path / "runs"))
    _register(registry, RUN)
    assert _failed(verifier.verify(NAME, RUN)) == {CheckName.TEST_PREDICTION: "NORMALIZER_INVALID"}


def test_a_pickle_beside_a_model_is_a_warning_and_does_not_run(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_version()
    (root / NAME / "v1.1.0" / "model.pkl").write_bytes(pickle.dumps(_Bomb()))
    _deployed(registry, root)
    report = verifier.verify(NAME, "v1.1.0")
    assert (report.passed(), _warned(report)) == (True, ["foreign-files"])
    assert not (tmp_path / "pickle-ran").exists()


def test_every_error_of_a_directory_is_told_beside_the_first(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    _deployed(registry, write_version(metadata_json=metadata("v1.1.0", algorithm=None, training_examples=None)))
    check = _by_name(verifier.verify(NAME, "v1.1.0"))[CheckName.STRUCTURE]
    assert check.code == "CANNOT_PREDICT"
    assert "'algorithm' is missing" in check.detail
    assert "'training_examples' is missing" in check.detail


@pytest.mark.parametrize(("status", "first"), [("training", "validate"), ("deprecated", "restore")])
def test_what_cannot_be_deployed_at_once_is_told_to_be_made_validated_first(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, status: str, first: str
) -> None:
    registry.registrations.register("all", str(write_version()))
    _register(registry, status=status)
    (notice,) = verifier.verify(NAME, "v1.1.0").versions[0].warnings
    assert f"lifecycle {first} {NAME} v1.1.0 --note …`, then deploy it" in notice.remedy


def test_a_run_without_a_model_fails(registry: Registry, verifier: Verifier, tmp_path: Path) -> None:
    write_run_below(tmp_path / "runs" / NAME, RUN, files={"lstm_model.h5": b""})
    registry.registrations.register("all", str(tmp_path / "runs"))
    _register(registry, RUN)
    assert _failed(verifier.verify(NAME, RUN)) == {CheckName.STRUCTURE: "MODEL_FILE_MISSING"}


@pytest.mark.parametrize(
    "limits", [PredictionLimits(memory_bytes=80 << 20), PredictionLimits(seconds=0.001)], ids=["memory", "time"]
)
def test_a_model_that_ends_the_process_that_predicts_fails_with_a_remedy(
    registry: Registry, write_version: WriteVersion, limits: PredictionLimits
) -> None:
    _deployed(registry, write_version())
    predictor = Predictor(limits)
    try:
        report = Verifier(registry.store, ReadingLimits(), None, predictor).verify(NAME, "v1.1.0")
    finally:
        predictor.close()
    assert _failed(report) == {CheckName.TEST_PREDICTION: "PREDICTION_FAILED"}
    assert "train the model again" in _by_name(report)[CheckName.TEST_PREDICTION].remedy


def test_all_registered_versions_are_verified_but_for_deprecated_ones(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, tmp_path: Path
) -> None:
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        root = write_version(version)
    registry.registrations.register("all", str(root))
    registry.registrations.register("gone", str(tmp_path / "root" / NAME))
    _register(registry, "v1.0.0", status="deprecated")
    _register(registry, "v1.1.0")
    told: list[tuple[int, int]] = []
    report = verifier.verify_all(progress=lambda *at: told.append(at))
    assert [one.model_version for one in report.versions] == ["v1.1.0"]
    assert (report.out_of_use, report.unregistered, told) == (1, (str(root / NAME / "v1.2.0"),), [(1, 1)])
    assert verifier.verify_all(NAME).versions == report.versions
    with pytest.raises(VersionNotFound):
        verifier.verify_all("unknown")


def test_a_root_that_is_gone_is_told_and_what_was_in_it_fails(
    registry: Registry, verifier: Verifier, write_version: WriteVersion, tmp_path: Path
) -> None:
    root = write_version()
    _deployed(registry, root)
    shutil.move(root, tmp_path / "away")
    report = verifier.verify_all()
    (sentence,) = report.unread
    assert f"Root '{root}' does not exist" in sentence
    structure = _by_name(report)[CheckName.STRUCTURE]
    assert (structure.code, sentence in structure.problems) == ("MODEL_FILE_MISSING", True)


def test_a_root_that_is_itself_the_version_is_told(
    registry: Registry, verifier: Verifier, write_version: WriteVersion
) -> None:
    root = write_version()
    registry.registrations.register("all", str(root / NAME / "v1.1.0"))
    structure = _by_name(verifier.verify(NAME, "v1.1.0"))[CheckName.STRUCTURE]
    assert f"Register '{root / NAME}'" in structure.detail
