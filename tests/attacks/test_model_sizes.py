"""Models that would take many times their size, or the time of their size squared."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.model_sizes import MOST_VALUES_BESIDE_TREES
from mm_core.artifacts.readers.report import FileReport
from mm_core.errors import UnreadableArtifact
from tests.attacks.hostile_models import sound_models, trees_of

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    return sound_models()


@pytest.mark.parametrize("piece", ["{},", "[],", "0,", '"",'])
def test_what_stands_beside_the_trees_takes_no_memory_before_it_is_bounded(
    piece: str, models: dict[str, bytes]
) -> None:
    many = piece * MOST_VALUES_BESIDE_TREES
    model = models["plain"].replace(b'"version":', f'"other":[{many}0],"version":'.encode())
    assert "values; 67,108,864 and 4,000,000 are read" in _refusal(model).detail
    assert _peak(model) < 4 * len(model)


@pytest.mark.parametrize("column", ["base_weights", "left_children", "categories_nodes", "leaf_weights"])
def test_columns_are_counted_before_they_are_decoded(column: str, models: dict[str, bytes]) -> None:
    kind = {"leaf_weights": "vector leaves", "categories_nodes": "category codes"}.get(column, "plain")
    value = b"0.0," if "weights" in column else b"0,"
    model = models[kind].replace(b'"%s":[' % column.encode(), b'"%s":[%s' % (column.encode(), value * MEBIBYTE), 1)
    assert f"{column} of tree 0 has 1,048," in _refusal(model).detail
    assert _peak(model) < 4 * len(model)


def test_a_tree_that_is_counted_first_is_read_all_the_same(
    models: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_core.artifacts.readers.model_sizes.LARGEST_UNMEASURED_TREE", 0)
    for kind, model in models.items():
        read = read_booster(model, FileReport("x_model.json"))
        assert read.summary.num_trees == (0 if kind == "linear" else len(trees_of(json.loads(model))))


def _refusal(model: bytes) -> UnreadableArtifact:
    with pytest.raises(UnreadableArtifact) as caught:
        read_booster(model, FileReport("x_model.json"))
    return caught.value


def _peak(model: bytes) -> int:
    """Return how many bytes are taken at most while a model is refused."""
    tracemalloc.start()
    try:
        _refusal(model)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
