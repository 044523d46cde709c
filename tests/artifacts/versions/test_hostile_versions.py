"""Files of versions that are wrong in every way: a finding at most, and whatever is read can be stored."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mm_core import strict_json
from mm_core.artifacts.readers.evaluation_json import read_evaluation
from mm_core.artifacts.readers.importance_csv import read_importance
from mm_core.artifacts.readers.lightgbm_txt import read_booster_text
from mm_core.artifacts.readers.normalizer_json import read_normalizer
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.version_metadata import FIELDS, read_version_metadata
from mm_core.errors import UnreadableArtifact
from mm_core.store.version_documents import VersionRow, version_document, version_value
from tests.store.test_contract import make_version

GOLDEN = Path(__file__).parents[1] / "golden" / "versions" / "sentiment-fusion" / "v1.1.0"
MODEL = re.sub(rb"tree_sizes=[^\n]*\n", b"", (GOLDEN / "model.txt").read_bytes())
"""A booster that makes no claim about the sizes of its trees, so that it can be changed."""

PLACES = [place.partition(".") for field in FIELDS for place in (field.place, *field.aliases)]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(sorted({place[0] for place in PLACES} | {place[2] for place in PLACES if place[2]}))
names = fields | st.sampled_from(
    ["mean", "means", "std", "stds", "scale", "fill_values", "params", "stdDev", "accuracy", "test_accuracy",
     "test_examples", "baseline_majority", "per_class_metrics", "confusion_matrix", "metrics"]
)  # fmt: skip
documents = st.dictionaries(
    names | st.text(max_size=6), values | st.dictionaries(names, values, max_size=3), max_size=8
)


@given(documents)
def test_whatever_json_says_is_refused_or_can_be_stored_and_comes_back_equal(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    readers: dict[str, Callable[[], object]] = {
        "metadata": lambda: read_version_metadata(data, FileReport("metadata.json")),
        "evaluation": lambda: read_evaluation(data, FileReport("test_evaluation.json")),
        "normalizer": lambda: read_normalizer(data, FileReport("normalizer.json"), ("a", "b")),
    }
    version = make_version("m/v1.0.0")
    for name, reader in readers.items():
        with suppress(UnreadableArtifact):
            version = replace(version, **{name: reader()})
    stored = strict_json.encode(version_document(version))
    assert version_value(strict_json.decode_as(stored, VersionRow), {}) == version


@given(st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.binary(max_size=6), st.integers(0, 40)), max_size=4))
def test_a_damaged_booster_is_refused_or_read_and_never_breaks_the_reader(
    damages: list[tuple[int, bytes, int]],
) -> None:
    data = MODEL
    for at, inserted, removed in damages:
        data = data[:at] + inserted + data[at + removed :]
    with suppress(UnreadableArtifact):
        booster, content = read_booster_text(io.BytesIO(data))
        assert content.size_bytes == len(data)
        assert len(booster.splits) == len(booster.gain) == len(booster.feature_names)
        assert all(map(math.isfinite, booster.gain))


def test_gains_that_sum_to_more_than_a_number_holds_count_for_nothing() -> None:
    data = re.sub(rb"split_gain=[^\n]*", b"split_gain=1e308 1e308 1e308", MODEL)
    booster, _ = read_booster_text(io.BytesIO(data))
    assert 0.0 in booster.gain
    assert all(map(math.isfinite, booster.gain))


@given(st.binary(max_size=60) | st.builds(lambda rows: b"feature,importance\n" + rows, st.binary(max_size=60)))
def test_no_table_of_importances_breaks_its_reader(data: bytes) -> None:
    with suppress(UnreadableArtifact):
        found = read_importance(data, FileReport("feature_importance.csv"))
        assert strict_json.decode(strict_json.encode(found)) == found
