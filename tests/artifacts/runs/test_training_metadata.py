"""What a training wrote about its run is read leniently, and doubted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_core import strict_json
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.training_metadata import read_training_metadata, report_weights_without_file
from mm_core.domain.runs import RunId, RunMetadata, model_of
from mm_core.errors import UnreadableArtifact

LSTM = {
    "accuracy": 0.54,
    "precision": 0.55,
    "recall": 0.6,
    "sharpe_ratio": 1.7,
    "max_drawdown": 0.12,
    "win_rate": 0.53,
    "total_trades": 210,
    "validation_score": 0.54,
    "overfitting_score": 0.08,
    "profit_factor": 1.3,
}
WHOLE: dict[str, Any] = {
    "timestamp": "2025-07-24T16:02:11.250000",
    "model_configs": {"lstm": {"name": "lstm", "model_type": "neural_network", "training_window": 18}},
    "performance_metrics": {"lstm": {**LSTM, "last_updated": "2025-07-24T16:02:10"}},
    "ensemble_weights": {"lstm": 0.4, "xgboost": 0.35, "cnn": 0.25},
    "trained_models": ["lstm", "xgboost", "cnn"],
    "prediction_threshold": 0.52,
    "host": "gpu",
}


def _read(document: Any) -> tuple[RunMetadata, list[tuple[str, str]]]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    report = FileReport("20250724_150837/training_metadata.json")
    found = read_training_metadata(data, report)
    return found, [(finding.code, finding.detail) for finding in report.findings()]


def _metrics(**replaced: Any) -> dict[str, Any]:
    return {**WHOLE, "performance_metrics": {"lstm": {**LSTM, **replaced}}}


def test_every_field_of_a_run_is_read_and_nothing_is_lost() -> None:
    found, findings = _read(WHOLE)
    assert findings == []
    assert found == RunMetadata(
        timestamp="2025-07-24T16:02:11.250000",
        model_configs=WHOLE["model_configs"],
        performance_metrics={"lstm": LSTM},
        ensemble_weights={"lstm": 0.4, "xgboost": 0.35, "cnn": 0.25},
        trained_models=("lstm", "xgboost", "cnn"),
        prediction_threshold=0.52,
        extra={"host": "gpu", "performance_metrics": {"lstm": {"last_updated": "2025-07-24T16:02:10"}}},
    )
    assert found.best_sharpe == 1.7


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-07-24T18:02:11+02:00", "2025-07-24T16:02:11+00:00"),
        ("2025-07-24T16:02:11Z", "2025-07-24T16:02:11+00:00"),
        ("2025-07-24T16:02:11", "2025-07-24T16:02:11"),
    ],
)
def test_a_time_with_an_offset_becomes_utc_and_one_without_stays_without(written: str, read: str) -> None:
    assert _read({"timestamp": written}) == (RunMetadata(timestamp=read), [])


def test_an_empty_object_is_metadata_without_values() -> None:
    assert _read({}) == (RunMetadata(), [])
    assert RunMetadata().best_sharpe is None


@pytest.mark.parametrize("data", [b"", b'{"timestamp": "2025', b"[1]", b"\xff\xfe{", b"\x80\x04}.", b"null"])
def test_metadata_that_does_not_parse_is_corrupt_metadata(data: bytes) -> None:
    with pytest.raises(UnreadableArtifact) as caught:
        _read(data)
    assert caught.value.code == "corrupt-metadata"


def test_text_that_no_encoding_can_write_is_corrupt_metadata() -> None:
    with pytest.raises(UnreadableArtifact, match="surrogates") as caught:
        _read(b'{"trained_models": ["\\ud800"]}')
    assert caught.value.code == "corrupt-metadata"


def test_a_value_of_another_kind_is_left_out_and_reported() -> None:
    found, findings = _read(
        {
            "timestamp": 1753372931,
            "model_configs": ["lstm"],
            "performance_metrics": {"lstm": [1], "cnn": {"accuracy": "0.5", "win_rate": True}},
            "ensemble_weights": {"lstm": -0.2, "cnn": 0.5, "gru": "0.3"},
            "trained_models": "lstm",
            "prediction_threshold": "half",
        }
    )
    assert {code for code, _ in findings} == {"corrupt-metadata"}
    assert [detail.split("'")[1] for _, detail in findings] == [
        "performance_metrics", "win_rate", "timestamp", "model_configs", "lstm", "gru", "trained_models",
        "prediction_threshold",
    ]  # fmt: skip
    assert found == RunMetadata(
        performance_metrics={"cnn": {"win_rate": None}},
        ensemble_weights={"cnn": 0.5},
        extra={"performance_metrics": {"cnn": {"accuracy": "0.5"}}},
    )


def test_names_for_bots_are_lists_of_names_and_anything_else_under_their_name_is_kept_as_it_is() -> None:
    found, findings = _read({"feature_names": ["a", "b"], "classes": ["DOWN", "UP"], "served_model": "xgboost"})
    assert (found.feature_names, found.classes, found.served_model) == (("a", "b"), ("DOWN", "UP"), "xgboost")
    assert (found.extra, findings) == ({}, [])
    by_model = {"feature_names": {"lstm": ["a"]}, "classes": "two"}
    found, findings = _read(by_model)
    assert (found.feature_names, found.classes, found.extra, findings) == ((), (), by_model, [])
    found, findings = _read({"feature_names": ["a", 3], "classes": ["UP", "UP"], "served_model": ["xgboost"]})
    assert (found.feature_names, found.classes, found.served_model) == ((), (), None)
    assert [detail.split("'")[1] for _, detail in findings] == ["feature_names", "classes", "served_model"]


@pytest.mark.parametrize("threshold", [1.0000001, -0.5, 1e300, True, "0.5", [0.5]])
def test_a_threshold_outside_of_a_probability_is_left_out_with_a_finding(threshold: object) -> None:
    found, findings = _read({"prediction_threshold": threshold})
    assert found.prediction_threshold is None
    assert [code for code, _ in findings] == ["corrupt-metadata"]
    assert "no probability from 0 to 1" in findings[0][1]


def test_nan_and_numbers_beyond_floats_become_none_with_a_finding() -> None:
    text = json.dumps(_metrics(sharpe_ratio=float("nan"))).encode()
    found, findings = _read(text)
    assert [code for code, _ in findings] == ["non-strict-json"]
    assert found.performance_metrics["lstm"]["sharpe_ratio"] is None
    assert found.best_sharpe is None
    found, findings = _read(b'{"performance_metrics": {"lstm": {"sharpe_ratio": 1e999}}}')
    assert findings == [("corrupt-metadata", "'sharpe_ratio' of 'lstm' is no finite number; it is left out.")]
    assert found.performance_metrics["lstm"]["sharpe_ratio"] is None


@pytest.mark.parametrize(
    ("metrics", "metric"),
    [
        ({"max_drawdown": 6250000.0}, "max_drawdown"),
        ({"max_drawdown": -1.01}, "max_drawdown"),
        ({"sharpe_ratio": 82.96}, "sharpe_ratio"),
        ({"sharpe_ratio": -5.01}, "sharpe_ratio"),
        ({"win_rate": 53.0}, "win_rate"),
        ({"recall": 1.0, "accuracy": 0.55, "precision": 0.55}, "accuracy"),
        ({"accuracy": 1.0}, "accuracy"),
    ],
)
def test_a_metric_that_cannot_be_is_reported_with_its_reason(metrics: dict[str, float], metric: str) -> None:
    found, findings = _read(_metrics(**metrics))
    (doubt,) = found.implausible_metrics
    assert (doubt.model, doubt.metric, doubt.value) == ("lstm", metric, found.performance_metrics["lstm"][metric])
    ((code, detail),) = findings
    assert (code, doubt.reason in detail) == ("implausible-metrics", True)


@pytest.mark.parametrize(
    "metrics",
    [
        {"max_drawdown": 1.0},
        {"max_drawdown": -0.2},
        {"sharpe_ratio": -5.0},
        {"sharpe_ratio": 5},
        {"recall": 1.0, "accuracy": 0.55, "precision": 0.5},
        {"recall": 1.0, "accuracy": None, "precision": None},
        {"win_rate": 0, "accuracy": 0},
    ],
)
def test_a_metric_at_the_edge_of_what_can_be_is_not_doubted(metrics: dict[str, float]) -> None:
    assert _read(_metrics(**metrics))[1] == []


def test_weights_of_models_without_a_file_are_reported_and_the_rest_sums_to_one() -> None:
    found, _ = _read(WHOLE)
    report = FileReport("training_metadata.json")
    names = ["lstm_model.h5", "xgboost_model.pkl", "scalers.pkl", "training_metadata.json"]
    report_weights_without_file(found, names, report)
    ((finding),) = report.findings()
    assert (finding.code, "'cnn' has the weight 0.250" in finding.detail) == ("weights-without-file", True)
    shares = found.shares_of(names)
    assert shares == pytest.approx({"lstm": 0.4 / 0.75, "xgboost": 0.35 / 0.75})
    assert found.shares_of(["cnn_model.pt"]) == {"cnn": 1.0}
    assert found.shares_of(["scalers.pkl"]) == {}


def test_weights_without_a_sum_and_weights_whose_sum_overflows_give_shares_that_are_numbers() -> None:
    names = ["a_model.h5", "b_model.h5"]
    assert RunMetadata(ensemble_weights={"a": 0.0, "b": 0.0}).shares_of(names) == {}
    assert RunMetadata(ensemble_weights={"a": 1.7e308, "b": 1.7e308}).shares_of(names) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("lstm_model.h5", ("lstm", "keras-h5")),
        ("random_forest_model.pkl", ("random_forest", "pickle")),
        ("gru_model.pt", ("gru", "torch-pt")),
        ("lstm_model.metrics.json", None),
        ("_model.pkl", None),
        ("scalers.pkl", None),
        ("model.json", None),
        ("lstm_model.h5.tmp", None),
    ],
)
def test_models_of_a_run_are_told_by_the_names_of_their_files(name: str, found: tuple[str, str] | None) -> None:
    assert model_of(name) == found


@pytest.mark.parametrize(
    "name",
    [
        "20250724_15083",
        "20250724-150837",
        "my_models_2025x",
        "20251340_150837",
        "20250724_156037",
        "20250724_150837_1",
        "20250724_150837_02",
        "20250724_150837_",
        "20250724_150837\n",
        "２０２５0724_150837",
        "00000101_000000",
        "latest",
    ],
)
def test_bug_a_name_of_fifteen_characters_that_is_no_date_is_no_run(name: str) -> None:
    assert RunId.parse(name) is None


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1, 999_999))
def test_the_name_of_a_run_is_read_as_it_was_written(at: datetime, number: int) -> None:
    run = RunId(at.replace(microsecond=0), number)
    assert RunId.parse(str(run)) == run


def test_runs_order_by_time_and_within_a_second_by_number() -> None:
    names = ["20250724_150837_10", "20250724_150837", "20250724_150838", "20250724_150837_2", "20241231_235959"]
    assert [str(run) for run in sorted(map(RunId.parse, names))] == [  # type: ignore[type-var]
        "20241231_235959", "20250724_150837", "20250724_150837_2", "20250724_150837_10", "20250724_150838",
    ]  # fmt: skip
    run = RunId.parse("20250724_150837_2")
    assert run is not None
    assert run.created_at == "2025-07-24T15:08:37+00:00"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from([*WHOLE, "sharpe_ratio", "max_drawdown", "accuracy"])


@settings(max_examples=50)
@given(st.dictionaries(_FIELDS, _JSON | st.dictionaries(_FIELDS, st.dictionaries(_FIELDS, _JSON))))
def test_no_object_breaks_the_reader_and_all_it_returns_can_be_written_as_json(document: Any) -> None:
    found, _ = _read(document)
    assert all(value is None or abs(value) < float("inf") for one in found.performance_metrics.values()
               for value in one.values())  # fmt: skip
    strict_json.encode([found.model_configs, found.performance_metrics, found.ensemble_weights, found.extra])


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        found: object = read_training_metadata(data, FileReport("training_metadata.json"))
    except UnreadableArtifact as error:
        found = error.code
    assert isinstance(found, RunMetadata) or found == "corrupt-metadata"
