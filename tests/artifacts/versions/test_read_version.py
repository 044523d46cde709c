"""A version directory is read whole, and its files are held against each other."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from mm_core.artifacts.layouts.versions import version_directories
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_version import read_version
from mm_core.artifacts.readers.lightgbm_txt import read_booster_text
from mm_core.artifacts.tree import list_tree
from mm_core.domain.versions import Version, VersionNumber
from mm_core.errors import UnreadableArtifact
from tests.artifacts.versions.conftest import FEATURES, WriteVersion, metadata

LIMITS = ReadingLimits()


def _read(root: Path) -> Version:
    (found,) = version_directories(list_tree(root, LIMITS).files)
    return read_version(root, found, LIMITS)


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
    found = read_booster_text(io.BytesIO(lightgbm_booster.model_to_string().encode()))
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


def test_a_booster_of_one_leaf_predicts_the_same_for_all(write_version: WriteVersion) -> None:
    data = lightgbm.Dataset(np.zeros((50, 4)), np.ones(50), feature_name=list(FEATURES))
    flat = lightgbm.train({"objective": "regression", "verbose": -1, "num_threads": 1}, data, 3)
    version = _read(write_version(model_txt=flat.model_to_string(), feature_importance_csv=None))
    assert _codes(version) == ["degenerate-booster"]


def test_importance_by_gain_and_by_share_of_gain_belong_to_the_booster_too(
    write_version: WriteVersion, lightgbm_booster: lightgbm.Booster
) -> None:
    gain = lightgbm_booster.feature_importance("gain")
    for number, importance in enumerate((gain, gain / gain.sum())):
        rows = "".join(f"{name},{value}\n" for name, value in zip(FEATURES, importance, strict=True))
        root = write_version(f"v{number}.0.0", feature_importance_csv=f"feature,importance\n{rows}")
    found = version_directories(list_tree(root, LIMITS).files)
    assert [read_version(root, each, LIMITS).findings for each in found] == [(), ()]


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
    found = version_directories(list_tree(tmp_path, LIMITS).files)
    assert [(each.model_name, str(each.number), each.others) for each in found] == [
        ("m", "v5.0.0-a.b", ("extra/model.txt",)),
        ("m", "v1.1.0-baseline", ()),
        ("m", "v1.0.0", ()),
    ]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("v1.1.0", "v1.1.0"), ("1.1.0", "v1.1.0"), ("v2.0.0-beta", "v2.0.0-beta"), ("v1.2", None), ("vv1.1.0", None)],
)
def test_versions_are_compared_without_their_prefix(text: str, canonical: str | None) -> None:
    found = VersionNumber.parse(text)
    assert (None if found is None else str(found)) == canonical
