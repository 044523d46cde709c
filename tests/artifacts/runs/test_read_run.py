"""Runs as a scan reads them: the XGBoost model that bots are given, its features, its scaler; nothing is loaded."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from mm_core.artifacts import reading_defects, reading_pool
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.scan import scan_root
from mm_core.domain.findings import Severity
from mm_core.domain.predictions import ModelFormat
from mm_core.domain.versions import Version
from mm_core.prediction.child import normalized
from tests.artifacts.runs.training import FEATURES, RUN, THRESHOLD, Trained, about, trained, write_trained_run


def _scanned(root: Path) -> tuple[Version, dict[str, bytes]]:
    kept: dict[str, bytes] = {}
    scan = scan_root(root, keep=lambda data, suffix: kept.update({suffix: data}))
    return scan.versions[RUN], kept


def _read(root: Path) -> Version:
    return _scanned(root)[0]


def _codes(version: Version) -> list[tuple[str, str]]:
    return [(str(finding.severity), finding.code) for finding in version.findings]


@pytest.mark.parametrize("with_names", [True, False])
def test_the_model_of_a_run_is_the_json_that_xgboost_would_save_with_its_scaler(
    tmp_path: Path, with_names: bool
) -> None:
    model = trained(with_names)
    about_it = about() if with_names else about(feature_names=list(FEATURES))
    write_trained_run(tmp_path, model=model, metadata=about_it)
    version, kept = _scanned(tmp_path)
    assert version.can_predict
    assert version.model is not None
    assert version.booster is not None
    assert version.normalizer is not None
    assert (version.model.model_format, version.model.source) == (
        ModelFormat.XGBOOST_JSON,
        f"{RUN}/xgboost_model.pkl",
    )
    assert (version.run_model, version.threshold) == ("xgboost", THRESHOLD)
    assert json.loads(kept[".json"]) == json.loads(bytes(model.classifier.get_booster().save_raw("json")))
    assert version.normalizer.feature_names == FEATURES
    assert version.normalizer.mean == tuple(model.scaler.mean_)
    assert version.normalizer.std == tuple(model.scaler.scale_)
    pulled = xgboost.Booster()
    pulled.load_model(bytearray(kept[".json"]))
    names = list(FEATURES) if with_names else None
    scaled = (model.rows - np.array(version.normalizer.mean)) / np.array(version.normalizer.std)
    predicted = pulled.predict(xgboost.DMatrix(scaled, feature_names=names))
    assert predicted.tobytes() == model.expected.tobytes()
    expected = [] if with_names else [("warning", "generic-feature-names"), ("warning", "normalizer-no-names")]
    assert _codes(version) == expected


def test_importances_of_a_run_are_those_of_xgboost(tmp_path: Path) -> None:
    booster = trained().classifier.get_booster()
    write_trained_run(tmp_path)
    facts = _read(tmp_path).booster
    assert facts is not None
    assert (facts.objective, facts.num_class, facts.num_trees) == ("binary:logistic", 1, 12)
    splits, gain = booster.get_score(importance_type="weight"), booster.get_score(importance_type="total_gain")
    assert dict(zip(facts.feature_names, facts.splits, strict=True)) == splits
    assert dict(zip(facts.feature_names, facts.gain, strict=True)) == pytest.approx(gain, rel=1e-6)
    assert facts.num_leaves == sum(text.count("leaf=") for text in booster.get_dump())


def test_importances_leave_out_what_pruning_removed(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(200, 4))
    data = xgboost.DMatrix(rows, rows[:, 0] + generator.normal(size=200), feature_names=list(FEATURES))
    booster = xgboost.train({"max_depth": 6, "gamma": 8, "tree_method": "exact", "nthread": 1}, data, 6)
    write_trained_run(tmp_path, xgboost_model_pkl=pickle.dumps(booster))
    facts = _read(tmp_path).booster
    assert facts is not None
    assert "2147483647" in bytes(booster.save_raw("json")).decode()
    found = {name: count for name, count in zip(facts.feature_names, facts.splits, strict=True) if count}
    assert found == booster.get_score(importance_type="weight")
    assert facts.num_leaves == sum(text.count("leaf=") for text in booster.get_dump())


def test_a_json_file_counts_where_a_pickle_of_the_same_model_stands_beside_it(tmp_path: Path) -> None:
    data = bytes(trained().classifier.get_booster().save_raw("json"))
    write_trained_run(tmp_path, xgboost_model_json=data, xgboost_model_pkl=b"no pickle at all")
    version, kept = _scanned(tmp_path)
    assert version.model is not None
    assert (version.model.source, kept[".json"], _codes(version)) == (f"{RUN}/xgboost_model.json", data, [])


def test_a_model_of_another_name_is_given_where_its_file_is_of_xgboost(tmp_path: Path) -> None:
    forest = RandomForestClassifier(2, max_depth=2, n_jobs=1).fit(np.eye(4), [0, 1, 0, 1])
    boosted = pickle.dumps(trained().classifier)
    write_trained_run(
        tmp_path, random_forest_model_pkl=pickle.dumps(forest), boosted_model_pkl=boosted, xgboost_model_pkl=None
    )
    version = _read(tmp_path)
    assert version.can_predict
    assert version.run_model == "boosted"
    assert version.normalizer is not None


@pytest.mark.parametrize("served", [None, "small", "xgboost", "lstm"])
def test_of_several_models_the_one_is_given_that_the_metadata_names_and_none_is_guessed(
    tmp_path: Path, served: str | None
) -> None:
    small = xgboost.train(
        {"nthread": 1}, xgboost.DMatrix(np.eye(4), [0, 1, 0, 1], feature_names=list(FEATURES)), num_boost_round=2
    )
    named = {} if served is None else {"served_model": served}
    write_trained_run(tmp_path, small_model_pkl=pickle.dumps(small), metadata=about(**named))
    version = _read(tmp_path)
    if served in ("small", "xgboost"):
        assert (version.run_model, version.can_predict, _codes(version)) == (served, True, [])
        return
    assert (version.model, version.booster, version.normalizer) == (None, None, None)
    (finding,) = version.findings
    assert finding.code == ("several-models" if served is None else "served-model")
    assert "'small', 'xgboost'" in finding.detail
    assert version.can_predict is (served is None)


def test_a_run_without_a_model_of_xgboost_says_so_and_which_models_it_has(tmp_path: Path) -> None:
    write_trained_run(tmp_path, xgboost_model_pkl=None, cnn_model_pt=b"x", scalers_pkl=b"whatever")
    version = _read(tmp_path)
    assert (version.model, version.can_predict) == (None, True)
    (finding,) = [one for one in version.findings if one.severity is Severity.INFO]
    assert finding.code == "no-model-for-bots"
    assert "cnn (torch-pt)" in finding.detail
    assert "lstm (keras-h5)" in finding.detail


@pytest.mark.parametrize(
    ("scaler", "word"),
    [
        (MinMaxScaler().fit(np.eye(4)), "MinMaxScaler"),
        (StandardScaler(), "never fitted"),
        ({"lstm": StandardScaler().fit(np.eye(4)), "y": StandardScaler().fit(np.eye(4))}, "'lstm', 'y'"),
        ([StandardScaler().fit(np.eye(4))], "a list"),
        (StandardScaler().fit(np.array([[0.0] * 4, [1e-20] * 4])), "below 1e-12"),
        ({1: 2}, "no text"),
    ],
)
def test_a_scaler_that_cannot_be_told_is_null_with_a_finding_and_never_guessed(
    tmp_path: Path, scaler: object, word: str
) -> None:
    write_trained_run(tmp_path, scalers_pkl=pickle.dumps(scaler))
    version = _read(tmp_path)
    assert (version.normalizer, version.has_unread_scaler, version.can_predict) == (None, True, True)
    assert _codes(version) == [("warning", "scaler-not-read")]
    assert word in version.findings[0].detail


@pytest.mark.parametrize("key", ["xgboost", "features", "feature_scaler", "X"])
def test_a_dict_of_scalers_has_the_models_under_its_name_or_that_of_the_features(tmp_path: Path, key: str) -> None:
    other = StandardScaler().fit(np.eye(4))
    write_trained_run(tmp_path, scalers_pkl=pickle.dumps({"lstm": other, key: trained().scaler}))
    normalizer = _read(tmp_path).normalizer
    assert normalizer is not None
    assert normalizer.mean == tuple(trained().scaler.mean_)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        RobustScaler(),
        RobustScaler(with_centering=False, with_scaling=False),
    ],
    ids=repr,
)
def test_scalers_of_every_protocol_transform_as_scikit_learn_does(tmp_path: Path, scaler: Any, protocol: int) -> None:
    rows = trained().rows
    scaler.fit(rows)
    write_trained_run(tmp_path, scalers_pkl=pickle.dumps(scaler, protocol=protocol))
    normalizer = _read(tmp_path).normalizer
    assert normalizer is not None
    assert normalizer.feature_names == FEATURES
    ours = np.ascontiguousarray(normalized(rows, normalizer))
    assert ours.tobytes() == np.ascontiguousarray(scaler.transform(rows)).tobytes()


def test_a_feature_without_spread_is_scaled_as_scikit_learn_does(tmp_path: Path) -> None:
    rows = trained().rows.copy()
    rows[:, 2] = 7.25
    scaler = StandardScaler().fit(rows)
    write_trained_run(tmp_path, scalers_pkl=pickle.dumps(scaler))
    normalizer = _read(tmp_path).normalizer
    assert normalizer is not None
    row = np.array([[1.0, 2.0, 9.5, 4.0]])
    assert normalized(row, normalizer).tolist() == scaler.transform(row).tolist()


def test_a_run_without_a_scaler_says_that_its_features_are_taken_as_they_are(tmp_path: Path) -> None:
    write_trained_run(tmp_path, scalers_pkl=None)
    version = _read(tmp_path)
    assert (version.normalizer, version.has_unread_scaler, version.can_predict) == (None, False, True)
    assert _codes(version) == [("info", "scaler-missing")]


def _fitted(names: tuple[str, ...] | None, columns: int = 4) -> bytes:
    rows = np.arange(3.0 * columns).reshape(3, columns) ** 2
    return pickle.dumps(StandardScaler().fit(rows if names is None else pd.DataFrame(rows, columns=names)))


@pytest.mark.parametrize(
    ("metadata", "scalers", "word"),
    [
        ({}, _fitted(FEATURES[::-1]), "column 0 is 'volume' in the one, 'momentum_5d' in the other"),
        ({}, _fitted((*FEATURES[:3], "size")), "column 3 is 'size'"),
        ({}, _fitted(None, 5), "4 in xgboost_model.pkl, 5 in scalers.pkl"),
        ({"feature_names": list(FEATURES[1:])}, _fitted(None), "3 in training_metadata.json"),
        ({"feature_names": list(FEATURES[::-1])}, _fitted(None), "training_metadata.json and the booster"),
    ],
)
def test_features_that_contradict_each_other_are_an_error_and_nothing_is_given(
    tmp_path: Path, metadata: dict[str, Any], scalers: bytes, word: str
) -> None:
    write_trained_run(tmp_path, metadata=about(**metadata), scalers_pkl=scalers)
    version = _read(tmp_path)
    assert _codes(version) == [("error", "features-mismatch")]
    assert word in version.findings[0].detail
    assert not version.can_predict


def test_scaler_and_metadata_in_two_orders_beside_a_booster_without_names_are_an_error(tmp_path: Path) -> None:
    write_trained_run(
        tmp_path,
        model=trained(False),
        metadata=about(feature_names=list(FEATURES[::-1])),
        scalers_pkl=_fitted(FEATURES),
    )
    assert _codes(_read(tmp_path)) == [("error", "features-mismatch")]


@pytest.mark.parametrize("is_in_metadata", [False, True])
def test_features_called_by_numbers_in_another_order_than_the_columns_of_a_booster_without_names_are_an_error(
    tmp_path: Path, is_in_metadata: bool
) -> None:
    other = ("f0", "f2", "f1", "f3")  # what XGBoost calls column 1 is the third feature of these
    found = about(feature_names=list(other)) if is_in_metadata else about()
    scaler = pickle.dumps(trained(False).scaler) if is_in_metadata else _fitted(other)
    write_trained_run(tmp_path / "other", model=trained(False), metadata=found, scalers_pkl=scaler)
    version = _read(tmp_path / "other")
    assert [finding.code for finding in version.findings if finding.severity is Severity.ERROR] == ["features-mismatch"]
    assert "the same features in another order" in version.findings[0].detail
    assert not version.can_predict
    same = _fitted(("f0", "f1", "f2", "f3"))
    write_trained_run(tmp_path / "same", model=trained(False), metadata=about(), scalers_pkl=same)
    assert _read(tmp_path / "same").can_predict


def test_a_booster_that_takes_no_feature_is_an_error_whatever_else_the_run_says(tmp_path: Path) -> None:
    document = json.loads(bytes(xgboost.train({}, xgboost.DMatrix([[1.0]], [1.0]), 0).save_raw("json")))
    document["learner"]["learner_model_param"]["num_feature"] = "0"
    model = json.dumps(document).encode()
    write_trained_run(tmp_path, metadata=about(), xgboost_model_pkl=None, xgboost_model_json=model, scalers_pkl=None)
    version = _read(tmp_path)
    assert ("error", "features-mismatch") in _codes(version)
    assert "The booster takes no feature." in {finding.detail for finding in version.findings}
    assert not version.can_predict


def test_classes_of_another_number_than_the_boosters_are_an_error(tmp_path: Path) -> None:
    write_trained_run(tmp_path, metadata=about(classes=["DOWN", "FLAT", "UP"]))
    assert _codes(_read(tmp_path)) == [("error", "classes-mismatch")]


@pytest.mark.parametrize("threshold", [1.7, -0.1, True, "0.5", float("inf"), 10**30])
def test_a_threshold_that_is_no_probability_is_a_finding_and_left_out(tmp_path: Path, threshold: object) -> None:
    write_trained_run(tmp_path, metadata=about(prediction_threshold=threshold))
    version = _read(tmp_path)
    assert version.run is not None
    assert (version.run.prediction_threshold, version.threshold, version.can_predict) == (None, 0.5, True)
    if threshold != float("inf"):  # JSON has no such number: another finding
        assert _codes(version) == [("warning", "corrupt-metadata")]
        assert "prediction_threshold" in version.findings[0].detail
    else:
        assert _codes(version) == [("warning", "non-strict-json")]


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0, 0.25])
def test_the_ends_of_the_interval_are_thresholds(tmp_path: Path, threshold: float) -> None:
    write_trained_run(tmp_path, metadata=about(prediction_threshold=threshold))
    version = _read(tmp_path)
    assert (version.threshold, version.findings) == (threshold, ())


def test_a_model_that_would_end_the_process_which_loads_it_keeps_the_run_from_predicting(tmp_path: Path) -> None:
    document = json.loads(bytes(trained().classifier.get_booster().save_raw("json")))
    document["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 10_000
    write_trained_run(tmp_path, xgboost_model_pkl=None, xgboost_model_json=json.dumps(document).encode())
    version, kept = _scanned(tmp_path)
    assert (version.model, version.can_predict, kept) == (None, False, {})
    assert ("error", "unsound-model") in _codes(version)


def test_a_run_whose_model_is_replaced_is_read_again_and_other_models_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_trained_run(tmp_path)
    first = scan_root(tmp_path)
    (directory / "notes.log").write_text("x")
    again = scan_root(tmp_path, first)
    assert again.versions[RUN].read_at == first.versions[RUN].read_at
    (directory / "xgboost_model.pkl").write_bytes(pickle.dumps(trained(False).classifier))
    (directory / "lstm_model.h5").chmod(0)
    changed = scan_root(tmp_path, again).versions[RUN]
    assert changed.model != first.versions[RUN].model
    assert not [finding for finding in changed.findings if finding.file.endswith(".h5")]


def test_a_large_model_of_a_run_is_read_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(*_: object) -> None:
        raise AssertionError("a large model is read in the process that asked")

    monkeypatch.setattr(reading_pool, "LARGEST_READ_HERE", 1000)
    monkeypatch.setattr(reading_defects, "read_version", here)
    write_trained_run(tmp_path)
    version, kept = _scanned(tmp_path)
    assert version.can_predict
    assert version.model is not None
    assert len(kept[".json"]) == version.model.size_bytes


def test_a_model_above_the_limit_is_a_finding(tmp_path: Path) -> None:
    write_trained_run(tmp_path)
    version = scan_root(tmp_path, limits=ReadingLimits(model_bytes=100)).versions[RUN]
    assert ("error", "file-too-large") in _codes(version)


def test_reading_a_run_loads_neither_xgboost_nor_scikit_learn(tmp_path: Path) -> None:
    write_trained_run(tmp_path)
    program = (
        "import sys; from pathlib import Path; from mm_core.artifacts.scan import scan_root;"
        f"version = scan_root(Path({str(tmp_path)!r})).versions[{RUN!r}];"
        "assert version.can_predict and version.normalizer is not None;"
        "print([name for name in ('xgboost', 'sklearn', 'pandas', 'joblib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_the_trained_classifier_of_these_tests_is_worth_a_comparison() -> None:
    model: Trained = trained()
    assert model.expected.std() > 0.2


def _data() -> xgboost.DMatrix:
    rows = trained().rows
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return xgboost.DMatrix(scaled, (scaled[:, 0] + scaled[:, 1] > 0).astype(int), feature_names=list(FEATURES))


@pytest.mark.parametrize(
    ("parameters", "outputs"),
    [
        ({"booster": "dart", "rate_drop": 0.3, "objective": "binary:logistic"}, 1),
        ({"objective": "multi:softprob", "num_class": 3}, 3),
        ({"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.5}, 1),
        ({"booster": "gblinear", "objective": "reg:squarederror"}, 1),
    ],
)
def test_facts_of_every_kind_of_booster_are_those_of_xgboost(
    tmp_path: Path, parameters: dict[str, Any], outputs: int
) -> None:
    booster = xgboost.train({**parameters, "nthread": 1}, _data(), 4)
    write_trained_run(tmp_path, xgboost_model_pkl=pickle.dumps(booster))
    version = _read(tmp_path)
    facts = version.booster
    assert facts is not None
    assert (facts.objective, facts.num_class) == (parameters["objective"], outputs)
    gain = dict(zip(facts.feature_names, facts.gain, strict=True))
    if parameters.get("booster") == "gblinear":
        weights = {name: abs(weight) for name, weight in booster.get_score(importance_type="weight").items()}
        assert gain == pytest.approx(weights, rel=1e-6)
        assert (facts.num_trees, sum(facts.splits), _codes(version)) == (0, 0, [])
        return
    splits = {name: count for name, count in zip(facts.feature_names, facts.splits, strict=True) if count}
    assert splits == booster.get_score(importance_type="weight")
    assert {name: gain[name] for name in splits} == pytest.approx(
        booster.get_score(importance_type="total_gain"), rel=1e-5
    )
    assert facts.num_trees == len(booster.get_dump())
    assert _codes(version) == []


def test_a_training_that_stopped_early_says_how_many_rounds_its_wrapper_uses(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    scaled = generator.normal(size=(300, 4))
    labels = generator.integers(0, 2, size=300)
    classifier = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=5, n_jobs=1, max_depth=4)
    named = pd.DataFrame(scaled, columns=FEATURES)
    classifier.fit(named[:200], labels[:200], eval_set=[(named[200:], labels[200:])], verbose=False)
    booster = classifier.get_booster()
    best, rounds = classifier.best_iteration + 1, booster.num_boosted_rounds()
    assert best < rounds
    write_trained_run(tmp_path, xgboost_model_pkl=pickle.dumps(classifier))
    (finding,) = _read(tmp_path).findings
    assert (finding.code, f"the first {best} of {rounds} rounds" in finding.detail) == ("stopped-early", True)
    mine = booster.predict(xgboost.DMatrix(named), iteration_range=(0, best))
    assert mine.tobytes() == np.ascontiguousarray(classifier.predict_proba(named)[:, 1]).tobytes(), "the remedy holds"
    write_trained_run(tmp_path / "again", xgboost_model_pkl=pickle.dumps(booster[:best]))
    assert _read(tmp_path / "again").findings == ()


def test_a_pickle_of_another_framework_is_listed_however_large_it_is(tmp_path: Path) -> None:
    write_trained_run(tmp_path, random_forest_model_pkl=b"x" * 200_000)
    limits = ReadingLimits(model_bytes=100_000)
    version = scan_root(tmp_path, limits=limits).versions[RUN]
    assert (version.can_predict, _codes(version)) == (True, [])
