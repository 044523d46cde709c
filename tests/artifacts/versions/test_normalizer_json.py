"""Normalizers in every form that trainers write become one."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest

from mm_core.artifacts.readers.normalizer_json import read_normalizer
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.versions import Normalizer
from mm_core.errors import UnreadableArtifact
from mm_core.prediction.child import normalized

NAMES = ("momentum", "spread")
CANONICAL = Normalizer(NAMES, (0.25, -1.0), (2.0, 0.5))

FORMS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "the guide's": ({"momentum": {"mean": 0.25, "std": 2.0}, "spread": {"mean": -1, "std": 0.5}}, ()),
    "lists without names": ({"mean": [0.25, -1.0], "std": [2.0, 0.5]}, ("normalizer-no-names",)),
    "mean and std": ({"mean": [0.25, -1.0], "std": [2.0, 0.5], "feature_names": list(NAMES)}, ("normalizer-format",)),
    "means and stds": (
        {"means": [0.25, -1.0], "stds": [2.0, 0.5], "feature_names": list(NAMES)},
        ("normalizer-format",),
    ),
    "features": ({"mean": [0.25, -1.0], "std": [2.0, 0.5], "features": list(NAMES)}, ("normalizer-format",)),
    "params": (
        {"params": {"momentum": {"mean": 0.25, "stdDev": 2.0}, "spread": {"mean": -1.0, "stdDev": 0.5}}},
        ("normalizer-format",),
    ),
}


def _read(document: Any, names: tuple[str, ...] = NAMES) -> tuple[Normalizer, tuple[str, ...]]:
    report = FileReport("normalizer.json")
    found = read_normalizer(json.dumps(document).encode(), report, names)
    return found, tuple(finding.code for finding in report.findings())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_the_canonical_one(form: str) -> None:
    document, codes = FORMS[form]
    assert _read(document) == (CANONICAL, codes)


def test_scale_comes_with_fill_values() -> None:
    document = {"mean": [0.25, -1], "scale": [2, 0.5], "feature_names": list(NAMES), "fill_values": [0.0, 9.5]}
    found, codes = _read(document)
    assert found == Normalizer(NAMES, (0.25, -1.0), (2.0, 0.5), (0.0, 9.5))
    assert codes == ("normalizer-format",)


def test_the_variance_is_the_square_of_the_std() -> None:
    assert CANONICAL.variance == (4.0, 0.25)


def test_a_feature_without_spread_gives_zero_and_a_tiny_one_is_not_divided_by() -> None:
    found, codes = _read({"momentum": {"mean": 3, "std": 0}, "spread": {"mean": 1.0, "std": 5e-17}})
    assert codes == ("tiny-std",)
    assert found is not None
    assert normalized(np.array([[8.0, 1.5]]), found).tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize(
    ("document", "code", "sentence"),
    [
        ({"momentum": 3.0}, "normalizer-invalid", "Invalid normalizer format for feature 'momentum'"),
        ({"momentum": {"mean": 1.0}}, "normalizer-invalid", "for feature 'momentum'"),
        ({"momentum": {"mean": True, "std": 1}}, "normalizer-invalid", "for feature 'momentum'"),
        ({"momentum": {"mean": math.nan, "std": 1}}, "normalizer-invalid", "for feature 'momentum'"),
        ({"momentum": {"mean": 0, "std": -1}}, "normalizer-invalid", "below 0"),
        ({}, "normalizer-invalid", "names no feature"),
        ({"mean": [1.0], "std": [1.0, 2.0], "features": list(NAMES)}, "normalizer-length", "2 names, 1 means, 2 stds"),
        ({"mean": [1.0, 2.0], "std": [1.0, 2.0], "features": ["a", "a"]}, "normalizer-invalid", "'a' stands twice"),
        ({"mean": [1.0, "x"], "std": [1.0, 2.0], "features": ["a", "b"]}, "normalizer-invalid", "for feature 'b'"),
        ({"mean": [1.0, 2.0], "std": [1.0, 2.0], "features": ["a", 5]}, "normalizer-invalid", "no name"),
        ([1, 2], "bad-json", "not an object"),
        (
            {"mean": [1.0, 2.0], "means": [1.0, 3.0], "std": [1.0, 2.0], "features": list(NAMES)},
            "normalizer-invalid",
            "'mean' and 'means', which differ",
        ),
        (
            {"mean": [1.0, 2.0], "std": [1.0, 2.0], "features": ["a", "b"], "feature_names": ["b", "a"]},
            "normalizer-invalid",
            "'feature_names' and 'features', which differ",
        ),
    ],
)
def test_what_gives_no_pair_of_finite_numbers_is_refused(document: Any, code: str, sentence: str) -> None:
    with pytest.raises(UnreadableArtifact, match=sentence) as caught:
        _read(document)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"momentum": {"mean": 0, "std": 1}, "momentum": {"mean": 9, "std": 9}}', "momentum"),
        ('{"momentum": {"mean": 0, "std": 1, "mean": 7}}', "mean"),
        ('{"mean": [0], "std": [1], "features": ["a"], "mean": [NaN]}', "mean"),
    ],
)
def test_what_a_file_says_in_two_ways_is_refused_and_not_what_it_says_last(text: str, name: str) -> None:
    with pytest.raises(UnreadableArtifact, match=f"'{name}' stands twice in one object") as caught:
        read_normalizer(text.encode(), FileReport("normalizer.json"), NAMES)
    assert caught.value.code == "bad-json"


def test_what_a_file_says_twice_in_one_way_is_read() -> None:
    report = FileReport("normalizer.json")
    text = '{"momentum": {"mean": 0.5, "std": 1}, "momentum": {"mean": 0.5, "std": 1}}'
    assert read_normalizer(text.encode(), report, NAMES) == Normalizer(("momentum",), (0.5,), (1.0,))
    assert list(report.findings()) == []


def test_lists_without_names_need_those_of_the_metadata() -> None:
    with pytest.raises(UnreadableArtifact, match="metadata has no feature names"):
        _read({"mean": [1.0], "std": [1.0]}, names=())
    with pytest.raises(UnreadableArtifact, match="3 names, 2 means"):
        _read({"mean": [1.0, 2.0], "std": [1.0, 2.0]}, names=("a", "b", "c"))


def test_a_name_that_stands_twice_among_very_many_is_found_in_time_linear_to_them() -> None:
    names = [f"f{number}" for number in range(60_000)]
    document = {"mean": [0.0] * 60_001, "std": [1.0] * 60_001, "feature_names": [*names, names[-1]]}
    began = time.process_time()
    with pytest.raises(UnreadableArtifact, match="'f59999' stands twice"):
        _read(document)
    assert time.process_time() - began < 3
