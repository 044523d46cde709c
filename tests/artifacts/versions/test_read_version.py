"""A version directory is read whole, and its files are held against each other."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import list_groups
from mm_core.artifacts.read_version import read_version
from mm_core.artifacts.readers import lightgbm_txt
from mm_core.artifacts.readers.lightgbm_txt import read_booster_text
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Severity
from mm_core.domain.versions import Version, VersionNumber
from mm_core.errors import UnreadableArtifact
from tests.artifacts.versions.conftest import FEATURES, WriteVersion, metadata
from tests.prediction.test_damaged_models import LIES, SIZES, model_text

LIMITS = ReadingLimits()


def _read(root: Path) -> Version:
    (found,) = list_groups(root, LIMITS).versions
    return read_version(root, found, LIMITS).version


def _codes(version: Version) -> list[str]:
    return [finding.code for finding in version.findings]


def test_the_guides_version_is_read_without_a_finding(write_version: WriteVersion) -> None:
    version = _read(write_version())
    assert version.findings == ()
    assert version.can_predict
    assert (version.model_name, str(version.number), version.path) == (
        "sentiment-fusion",
        "v1.1.0",
        "sentiment-fusion/v1.1.0",
    )
    assert version.normalizer is not None
    assert version.normalizer.feature_names == FEATURES


def test_the_booster_is_what_lightgbm_says(lightgbm_booster: lightgbm.Booster) -> None:
    text = lightgbm_booster.model_to_string().encode()
    found, content = read_booster_text(io.BytesIO(text))
    assert (content.sha256, content.size_bytes) == (hashlib.sha256(text).hexdigest(), len(text))
    assert list(found.feature_names) == lightgbm_booster.feature_name()
    assert found.num_trees == lightgbm_booster.num_trees() == 15
    assert found.num_class == 3
    assert found.objective == "multiclass num_class:3"
    assert found.splits == tuple(lightgbm_booster.feature_importance("split"))
    np.testing.assert_allclose(found.gain, lightgbm_booster.feature_importance("gain"), rtol=1e-5)


@pytest.mark.parametrize("cut", [0.0, 0.05, 0.3, 0.7, 0.97])
def test_a_booster_that_is_cut_is_refused(cut: float, lightgbm_booster: lightgbm.Booster) -> None:
    text = lightgbm_booster.model_to_string().encode()
    trees = text.index(b"end of trees")
    with pytest.raises(UnreadableArtifact, match="no LightGBM model"):
        read_booster_text(io.BytesIO(text[: int(trees * cut)]))


def _without_names(booster: lightgbm.Booster) -> str:
    places = " ".join(f"Column_{place}" for place in range(len(FEATURES)))
    return booster.model_to_string().replace(" ".join(FEATURES), places)


LISTS = {"mean": [0.5] * len(FEATURES), "std": [2.0] * len(FEATURES)}

CHANGES: dict[str, Callable[[lightgbm.Booster], dict[str, Any]]] = {
    "model-file-missing": lambda _: {"model_txt": None},
    "normalizer-missing": lambda _: {"normalizer_json": None},
    "metadata-missing": lambda _: {"metadata_json": None},
    "metadata-field-missing": lambda _: {"metadata_json": metadata("v1.1.0", algorithm=None)},
    "version-prefix": lambda _: {"metadata_json": metadata("1.1.0")},
    "version-mismatch": lambda _: {"metadata_json": metadata("v1.0.0")},
    "normalizer-length": lambda _: {"metadata_json": metadata("v1.1.0", num_features=5)},
    "normalizer-invalid": lambda _: {
        "normalizer_json": {name: {"mean": 0.5, "std": 2.0} for name in reversed(FEATURES)}
    },
    "generic-feature-names": lambda booster: {"model_txt": _without_names(booster), "feature_importance_csv": None},
    "importance-mismatch": lambda _: {"feature_importance_csv": "feature,importance\nspread,7\nvolume,3\n"},
    "test-not-above-majority": lambda _: {"test_evaluation_json": {"accuracy": 0.3, "baseline_majority": 0.4}},
    "metadata-alias": lambda _: {"metadata_json": metadata("v1.1.0", training_date=None, trained_at="2025-10-09")},
    "non-strict-json": lambda _: {"metadata_json": metadata("v1.1.0", notes=float("nan"))},
    "normalizer-format": lambda _: {"normalizer_json": {**LISTS, "feature_names": FEATURES}},
    "normalizer-no-names": lambda _: {"normalizer_json": LISTS, "metadata_json": metadata("v1.1.0", features=FEATURES)},
    "tiny-std": lambda _: {"normalizer_json": {name: {"mean": 0.5, "std": 5e-17} for name in FEATURES}},
    "implausible-metrics": lambda _: {
        "test_evaluation_json": {"accuracy": 0.66, "confusion_matrix": [[30, 5, 5], [10, 20, 10], [2, 3, 15]]}
    },
    "constant-predictions": lambda _: {"test_evaluation_json": {"confusion_matrix": [[0, 40], [0, 60]]}},
    "foreign-model-type": lambda _: {"metadata_json": metadata("v1.1.0", algorithm="PyTorch LSTM")},
    "classes-mismatch": lambda _: {"metadata_json": metadata("v1.1.0", num_classes=2, classes=["DOWN", "UP"])},
    "bad-training-date": lambda _: {"metadata_json": metadata("v1.1.0", training_date="last week")},
    "stray-model-json": lambda _: {"model_json": {"weights": []}},
    "foreign-files": lambda _: {"scalers_pkl": "x"},
}


@pytest.mark.parametrize("code", CHANGES)
def test_each_deviation_is_the_finding_of_the_table(
    code: str, write_version: WriteVersion, lightgbm_booster: lightgbm.Booster
) -> None:
    version = _read(write_version(**CHANGES[code](lightgbm_booster)))
    assert _codes(version) == [code]
    (finding,) = version.findings
    assert finding.file.startswith("sentiment-fusion/v1.1.0/")


def test_importances_of_the_metadata_are_held_against_the_booster_beside_those_of_the_table(
    write_version: WriteVersion,
) -> None:
    about = metadata("v1.1.0", top_features=[{"feature": FEATURES[0], "importance": 999_999}])
    (finding,) = _read(write_version(metadata_json=about)).findings
    assert (finding.code, finding.file) == ("importance-mismatch", "sentiment-fusion/v1.1.0/metadata.json")


def test_a_booster_of_classes_that_the_metadata_calls_a_regression_cannot_predict(write_version: WriteVersion) -> None:
    about = metadata("v1.1.0", objective="regression", classes=None, num_classes=None)
    version = _read(write_version(metadata_json=about))
    assert _codes(version) == ["classes-mismatch"]
    assert not version.can_predict


def test_a_regression_predicts_without_classes(write_version: WriteVersion) -> None:
    rows = np.random.default_rng(3).normal(size=(200, len(FEATURES)))
    data = lightgbm.Dataset(rows, rows[:, 0], feature_name=list(FEATURES))
    booster = lightgbm.train({"objective": "regression", "verbose": -1, "num_threads": 1}, data, 3)
    about = metadata("v1.1.0", objective="regression", classes=None, num_classes=None)
    performance = {"best_iteration": 3, "total_iterations": 3}
    files = {"model_txt": booster.model_to_string(), "feature_importance_csv": None, "test_evaluation_json": None}
    version = _read(write_version(metadata_json={**about, "performance": performance}, **files))
    assert [code for code in _codes(version) if code != "size"] == []
    assert version.can_predict


def test_a_booster_of_one_leaf_predicts_the_same_for_all(write_version: WriteVersion) -> None:
    data = lightgbm.Dataset(np.zeros((50, 4)), np.ones(50), feature_name=list(FEATURES))
    flat = lightgbm.train({"objective": "regression", "verbose": -1, "num_threads": 1}, data, 3)
    version = _read(write_version(model_txt=flat.model_to_string(), feature_importance_csv=None))
    assert _codes(version) == ["degenerate-booster", "size"]


@pytest.mark.parametrize("name", ["Sentiment Fusion", "sentim\u0435nt-fusion", "a--b", "$(reboot)", "<b>x<b>", "-x"])
def test_a_models_directory_that_is_not_named_as_the_guide_wants_is_a_finding(
    write_version: WriteVersion, name: str
) -> None:
    version = _read(write_version(model=name))
    assert [(finding.code, finding.file) for finding in version.findings] == [("model-name", f"{name}/v1.1.0")]


@pytest.mark.parametrize(
    ("words", "is_foreign"),
    [
        ({"algorithm": "LightGBM"}, False),
        ({"algorithm": "lightgbm on FinBERT features"}, False),
        ({"algorithm": "gradient_boosting"}, False),
        ({"model_type": "transformer-signals"}, False),
        ({"model_type": "lstm"}, True),
        ({"base_model": "ProsusAI/finbert"}, True),
        ({"algorithm": "Logistic Regression"}, True),
        ({"algorithm": "neural_network"}, True),
    ],
)
def test_what_the_metadata_calls_something_else_than_a_tree_booster_is_an_error(
    write_version: WriteVersion, words: dict[str, str], is_foreign: bool
) -> None:
    version = _read(write_version(metadata_json=metadata("v1.1.0", **words)))
    assert _codes(version) == ["foreign-model-type"] * is_foreign
    assert version.can_predict is not is_foreign


@pytest.mark.parametrize(
    ("repeated", "codes"),
    [
        ({"mean": [0.5] * 4, "std": [2.0] * 4}, []),
        ({"mean": [0.5, 0.5, 0.5000001, 0.5], "std": [2.0] * 4}, []),
        ({name: {"mean": 0.5, "std": 2.0} for name in reversed(FEATURES)}, []),
        ({"mean": [0.5, 0.5, 0.25, 0.5], "std": [2.0] * 4}, ["normalizer-mismatch"]),
        ({"mean": [0.5] * 4, "std": [2.0, 1.0, 2.0, 2.0]}, ["normalizer-mismatch"]),
        ({"momentum_5d": {"mean": 0.5, "std": 2.0}}, ["normalizer-mismatch"]),
        ({"mean": [0.5], "std": [2.0]}, []),
        ("none", []),
        ([], []),
    ],
)
def test_a_normalizer_that_the_metadata_repeats_with_other_numbers_is_a_finding(
    write_version: WriteVersion, repeated: Any, codes: list[str]
) -> None:
    about = metadata("v1.1.0", feature_names=list(FEATURES), normalizationParams=repeated)
    assert _codes(_read(write_version(metadata_json=about))) == codes


def test_a_normalizer_that_only_the_metadata_has_is_told_and_not_taken(write_version: WriteVersion) -> None:
    repeated = {name: {"mean": 0.5, "std": 2.0} for name in FEATURES}
    root = write_version(metadata_json=metadata("v1.1.0", normalizationParams=repeated), normalizer_json=None)
    version = _read(root)
    assert (_codes(version), version.normalizer) == (["normalizer-missing", "normalizer-mismatch"], None)
    assert not version.can_predict
    assert "write them into normalizer.json" in version.findings[1].remedy


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        ({"test_evaluation_json": "{"}, ["bad-json"]),
        ({"feature_importance_csv": "name,gain\n"}, ["importance-header"]),
    ],
)
def test_an_optional_file_that_is_broken_is_a_warning_and_the_version_predicts(
    write_version: WriteVersion, files: dict[str, str], codes: list[str]
) -> None:
    version = _read(write_version(**files))
    assert (_codes(version), version.can_predict) == (codes, True)
    assert {finding.severity for finding in version.findings} == {Severity.WARNING}


@pytest.mark.parametrize("role", ["model_txt", "normalizer_json", "metadata_json"])
def test_a_required_file_that_is_broken_is_an_error(write_version: WriteVersion, role: str) -> None:
    version = _read(write_version(**{role: "x"}))
    assert not version.can_predict


def test_a_directory_without_the_prefix_is_a_finding_whatever_the_metadata_writes(write_version: WriteVersion) -> None:
    for written in ("1.1.0", "v1.1.0"):
        root = write_version("1.1.0", model=f"m-{written[:1]}", metadata_json=metadata(written))
    for listed in list_groups(root, LIMITS).versions:
        version = read_version(root, listed, LIMITS).version
        assert (_codes(version), version.name) == (["version-prefix"], "v1.1.0")


@pytest.mark.parametrize(
    ("training_date", "created_at"),
    [
        ("2025-10-09T21:09:18.536489", "2025-10-09T21:09:18.536+00:00"),
        ("2025-10-09T21:09:18+02:00", "2025-10-09T19:09:18.000+00:00"),
        ("2025-10-09", "2025-10-09T00:00:00.000+00:00"),
        ("0001-01-01T00:00:00+14:00", "2001-09-09T01:46:40.000+00:00"),
        ("last week", "2001-09-09T01:46:40.000+00:00"),
        (None, "2001-09-09T01:46:40.000+00:00"),
    ],
)
def test_a_version_is_as_old_as_its_training_or_else_as_its_newest_file(
    write_version: WriteVersion, training_date: str | None, created_at: str
) -> None:
    root = write_version(metadata_json=metadata("v1.1.0", training_date=training_date))
    for number, path in enumerate((root / "sentiment-fusion" / "v1.1.0").iterdir()):
        os.utime(path, (0, 1_000_000_000 - number * 60))
    assert _read(root).created_at == created_at


def test_importances_of_a_booster_without_names_are_compared_in_the_order_of_the_normalizer(
    write_version: WriteVersion, lightgbm_booster: lightgbm.Booster
) -> None:
    assert _codes(_read(write_version(model_txt=_without_names(lightgbm_booster)))) == ["generic-feature-names"]
    other = "feature,importance\n" + "".join(f"{name},7\n" for name in FEATURES)
    root = write_version("v1.2.0", model_txt=_without_names(lightgbm_booster), feature_importance_csv=other)
    version = read_version(root, list_groups(root, LIMITS).versions[1], LIMITS).version
    assert _codes(version) == ["generic-feature-names", "importance-mismatch"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"max_feature_idx=3", b"max_feature_idx=4"),
        (b"max_feature_idx=3", b"max_feature_idx=-1"),
        (b"spread", b"volume"),
        (b"split_feature=", b"split_feature=9 "),
        (b"split_gain=", b"split_gain=x "),
        (b"num_tree_per_iteration=3", b"num_tree_per_iteration=4"),
        (b"Tree=1\n", b"Tree=7\n"),
        (b"Tree=0\n", b""),
        (b"tree_sizes=", b"tree_sizes=1 "),
        (b"momentum", b"\xff\xfe"),
        (b"num_leaves=", b"num_leaves=99999999999999999999"),
    ],
)
def test_a_booster_that_contradicts_itself_is_refused(
    before: bytes, after: bytes, lightgbm_booster: lightgbm.Booster
) -> None:
    text = lightgbm_booster.model_to_string().encode()
    assert before in text
    with pytest.raises(UnreadableArtifact, match=r"no LightGBM model|LightGBM cannot use the model"):
        read_booster_text(io.BytesIO(text.replace(before, after, 1)))


def test_a_head_without_an_end_and_a_line_without_an_end_are_refused_in_bounded_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableArtifact, match="the header has 'name_7' in it"):
            read_booster_text(_Endless(b"tree\n", b"name_7=" + b"1" * 4000 + b"\n", 64 << 20))
        with pytest.raises(UnreadableArtifact, match="longer than"):
            read_booster_text(_Endless(b"tree\nobjective=", b"x" * (1 << 16), 64 << 20))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


class _Endless(io.BufferedReader):
    """A file that says one thing over and over."""

    def __init__(self, head: bytes, part: bytes, size: int) -> None:
        super().__init__(_Repeated(head, part, size), 1 << 20)


class _Repeated(io.RawIOBase):
    def __init__(self, head: bytes, part: bytes, size: int) -> None:
        self._head = head
        self._part = part * ((1 << 20) // len(part))
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            return 0
        data = (self._head or self._part)[: len(buffer)]
        self._head = b""
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def test_splits_that_gain_nothing_are_a_degenerate_booster_too(
    write_version: WriteVersion, lightgbm_booster: lightgbm.Booster
) -> None:
    text = re.sub(
        r"split_gain=(.*)",
        lambda gains: "split_gain=" + re.sub(r"\S+", "0", gains[1]),
        SIZES.sub("", lightgbm_booster.model_to_string()),
    )
    assert _codes(_read(write_version(model_txt=text, feature_importance_csv=None))) == ["degenerate-booster"]


def test_a_model_json_without_a_model_txt_stands_beside_nothing(write_version: WriteVersion) -> None:
    assert _codes(_read(write_version(model_txt=None, model_json={"weights": []}))) == ["model-file-missing"]


def test_importance_by_gain_and_by_share_of_gain_belong_to_the_booster_too(
    write_version: WriteVersion, lightgbm_booster: lightgbm.Booster
) -> None:
    gain = lightgbm_booster.feature_importance("gain")
    for number, importance in enumerate((gain, gain / gain.sum())):
        rows = "".join(f"{name},{value}\n" for name, value in zip(FEATURES, importance, strict=True))
        root = write_version(f"v{number}.0.0", feature_importance_csv=f"feature,importance\n{rows}")
    found = list_groups(root, LIMITS).versions
    assert [read_version(root, each, LIMITS).version.findings for each in found] == [(), ()]


def test_only_directories_named_as_versions_that_hold_one_of_the_files_are_versions(tmp_path: Path) -> None:
    for path in (
        "m/v1.0.0/model.txt",
        "m/1.1.0-baseline/metadata.json",
        "m/v2.0/model.txt",
        "m/v3.0.0/readme.md",
        "v4.0.0/model.txt",
        "deep/er/m/v5.0.0-a.b/extra/model.txt",
        "deep/er/m/v5.0.0-a.b/normalizer.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    found = list_groups(tmp_path, LIMITS).versions
    assert [(each.model_name, str(each.number), each.names_of(FileRole.OTHER)) for each in found] == [
        ("m", "v5.0.0-a.b", ("extra/model.txt",)),
        ("m", "v1.1.0-baseline", ()),
        ("m", "v1.0.0", ()),
        ("", "v4.0.0", ()),
    ]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("v1.1.0", "v1.1.0"), ("1.1.0", "v1.1.0"), ("v2.0.0-beta", "v2.0.0-beta"), ("v1.2", None), ("vv1.1.0", None)],
)
def test_versions_are_compared_without_their_prefix(text: str, canonical: str | None) -> None:
    found = VersionNumber.parse(text)
    assert (None if found is None else str(found)) == canonical


@pytest.mark.parametrize("lie", LIES)
def test_a_model_that_would_lead_lightgbm_astray_keeps_its_version_from_predicting(
    lie: str, write_version: WriteVersion
) -> None:
    version = _read(write_version(model_txt=LIES[lie][0](model_text()), feature_importance_csv=None))
    assert (version.can_predict, version.booster, version.model) == (False, None, None)
    assert "bad-model" in _codes(version)


def test_a_model_that_does_not_tell_the_sizes_of_its_trees_is_read(write_version: WriteVersion) -> None:
    assert "bad-model" not in _codes(_read(write_version(model_txt=model_text(), feature_importance_csv=None)))


def test_a_model_whose_trees_have_other_sizes_than_it_claims_is_refused(lightgbm_booster: lightgbm.Booster) -> None:
    text = lightgbm_booster.model_to_string()
    sizes = re.findall(r"tree_sizes=(\d+)", text)[0]
    with pytest.raises(UnreadableArtifact, match="tree_sizes"):
        read_booster_text(io.BytesIO(text.replace(f"tree_sizes={sizes}", f"tree_sizes={int(sizes) + 1}").encode()))


def test_a_tree_that_never_ends_is_refused_before_it_fills_the_memory(
    lightgbm_booster: lightgbm.Booster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lightgbm_txt, "LARGEST_TREE", 10_000)
    text = lightgbm_booster.model_to_string().replace("is_linear=0\n", "is_linear=0\n" + "leaf_value=1\n" * 1000)
    with pytest.raises(UnreadableArtifact, match="tree 0 has more than 10,000 bytes"):
        read_booster_text(io.BytesIO(text.encode()))
