"""Eight more generations, one test each: shapes that the shared fixtures do not have, and the oldest libraries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mm_core.artifacts.pickles import read_info, read_model_json
from mm_core.errors import UnreadableArtifact

GENERATIONS = (
    "py37_x13_p025_n119",
    "py38_x14_p11_n119",
    "py39_x15_p13_n121",
    "py39_x16_p12_n122",
    "py310_x20_p20_n125",
    "py312_x30_p23_n22",
    "py313_x31_p30_n2",
    "py311_x32_p31_n24",
)
REFUSED = {"X_unf": "unfitted-model", "X_rf": "unsupported-model", "X_cv": "unsupported-model"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_values_equal_what_the_libraries_said(generation: str, more_unpacked: Path) -> None:
    expected = json.loads((more_unpacked / generation / "expected.json").read_bytes())
    files = sorted((more_unpacked / generation).glob("*_info.pkl"))
    assert len(files) >= len(expected) > 40
    for path in files:
        name = path.name.rsplit(".p", 2)[0]
        assert read_info(path.read_bytes()).values == {"config": {"v": expected[name]}}, path.name


@pytest.mark.parametrize("generation", GENERATIONS)
def test_models_equal_what_xgboost_saved(generation: str, more_unpacked: Path) -> None:
    files = sorted((more_unpacked / generation).glob("*_model.pkl"))
    assert files
    for path in files:
        name = path.name.rsplit(".p", 2)[0]
        if name in REFUSED:
            with pytest.raises(UnreadableArtifact) as refusal:
                read_model_json(path.read_bytes())
            assert refusal.value.code == REFUSED[name]
            continue
        native = json.loads(path.with_name(f"{name}.native.json").read_bytes())
        # Text, not values: NaN, which categorical splits have, equals nothing.
        assert json.dumps(json.loads(read_model_json(path.read_bytes())), sort_keys=True) == json.dumps(
            native, sort_keys=True
        ), path.name
