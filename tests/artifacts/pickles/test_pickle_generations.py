"""Honest pickles of every generation are read value for value, and models predict bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from mm_core.artifacts.pickles import read_info, read_model_json
from mm_core.artifacts.pickles.decode_values import new_decoding
from mm_core.artifacts.pickles.interpreter import DEFAULT_LIMITS, read_pickle
from mm_core.errors import UnreadableArtifact

REFUSED = {"XGBRegressor_unfitted": "unfitted-model", "sk_pipeline": "unsupported-model"}


def _split(file: str) -> tuple[str, str]:
    generation, name = file.split("/")
    return generation, name.rsplit(".p", 2)[0]


def test_info_equals_what_its_libraries_said(info_file: str, unpacked: Path, expected: dict[str, Any]) -> None:
    generation, name = _split(info_file)
    node = read_pickle((unpacked / info_file).read_bytes())
    assert new_decoding(DEFAULT_LIMITS).plain(node) == expected[generation]["infos"][name]


def test_info_values_have_the_types_of_the_contract(info_file: str, unpacked: Path, expected: dict[str, Any]) -> None:
    generation, name = _split(info_file)
    wanted = {key: value for key, value in expected[generation]["infos"][name].items() if value is not None}
    wanted["train_window"] = tuple(wanted["train_window"])
    if name == "train_window_ts":
        wanted["train_window"] = (1_699_920_000_000, 1_700_006_400_000)
    if name == "sel_series":
        wanted["selected_factors"] = list(wanted["selected_factors"].values())
    wanted["selected_factors"] = tuple(wanted["selected_factors"])
    if name in ("fi_df", "fi_sorted"):
        wanted["feature_importance"] = {row["factor"]: row["gain"] for row in wanted["feature_importance"]}
    if name == "fi_ndarray":
        numbers = wanted["feature_importance"]
        wanted["feature_importance"] = {f"factor_{place}": number for place, number in enumerate(numbers)}
    info = read_info((unpacked / info_file).read_bytes())
    assert info.values == wanted
    assert json.loads(json.dumps(info.values, allow_nan=False))
    assert {key for key, _ in info.problems} <= {"ic_df", "train_window"}


def test_missing_taus_are_null_and_a_problem(unpacked: Path) -> None:
    info = read_info((unpacked / "e313_x32_p30" / "basic.p5_info.pkl").read_bytes())
    assert info.problems == (("ic_df", "1 number(s) are not finite; they count as missing."),)


def test_model_equals_what_xgboost_saves(model_file: str, unpacked: Path) -> None:
    generation, name = _split(model_file)
    data = (unpacked / model_file).read_bytes()
    if name in REFUSED:
        with pytest.raises(UnreadableArtifact) as refusal:
            read_model_json(data)
        assert refusal.value.code == REFUSED[name]
        assert refusal.value.remedy
        return
    assert json.loads(read_model_json(data)) == json.loads((unpacked / generation / f"{name}.native.json").read_bytes())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_model_predicts_bit_for_bit(unpacked: Path) -> None:
    compared = 0
    for path in sorted(unpacked.glob("*/*.p4_model.pkl")):
        name = path.name.rsplit(".p", 2)[0]
        if name in REFUSED or not path.with_name(f"{name}.margin.npy").exists():
            continue
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(read_model_json(path.read_bytes())))
        features = np.load(path.with_name("X.npy"))
        matrix = xgboost.DMatrix(features, feature_names=booster.feature_names)
        # A model that stopped early predicts with its best trees only.
        best = booster.attr("best_iteration")
        trees = (0, 0) if best is None or name.startswith("booster") else (0, int(best) + 1)
        margin = booster.predict(matrix, output_margin=True, iteration_range=trees)
        wanted = np.load(path.with_name(f"{name}.margin.npy"))
        assert margin.tobytes() == wanted.astype("float32").tobytes(), path
        compared += 1
    assert compared > 50


def test_a_function_of_the_training_script_is_mentioned_not_needed(unpacked: Path) -> None:
    """A custom objective is pickled as the name ``__main__.custom_obj``: nothing looks it up, nothing may call it."""
    data = (unpacked / "c311_x21_p22_n2" / "XGBRegressor_customobj.p4_model.pkl").read_bytes()
    assert b"__main__" in data
    assert read_model_json(data).startswith(b'{"')
    with pytest.raises(UnreadableArtifact) as refusal:
        read_info(data)
    assert refusal.value.code == "unsafe-pickle"
    assert "__main__.custom_obj" in refusal.value.detail


def test_reading_imports_neither_pandas_nor_xgboost_nor_pickle(unpacked: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mm_core.artifacts.pickles import read_info, read_model_json\n"
        "root = Path(sys.argv[1])\n"
        "for path in root.glob('*/*_info.pkl'): read_info(path.read_bytes())\n"
        "read_model_json((root / 'e313_x32_p30' / 'booster_reg.p5_model.pkl').read_bytes())\n"
        "print(sorted({'pandas', 'xgboost', 'pyarrow', 'sklearn', 'pytz', 'pickletools'} & set(sys.modules)))\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script, str(unpacked)], cwd=root, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
