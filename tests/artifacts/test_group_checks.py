"""Sound files of several trainings under one name: what of them contradicts the rest is told."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from mm_core.artifacts.scan import scan_root
from mm_core.domain.findings import Severity
from tests.conftest import FACTORS

Write = Callable[..., Path]
KEY = "SOLUSDT_mid_chg_1m"
IC_HEADER = b"symbol,factor_name,return_name,Kendall_tau\n"
SHUFFLED = (FACTORS[2], FACTORS[0], FACTORS[1])


def _told(root: Path) -> dict[str, str]:
    """Return the findings of a root, all of them warnings, as ``code file`` with what they say."""
    findings = scan_root(root).all_findings()
    assert {finding.severity for finding in findings} <= {Severity.WARNING}
    return {f"{finding.code} {finding.file}": finding.detail for finding in findings}


def _with_names(booster_json: bytes, names: list[str]) -> bytes:
    document = json.loads(booster_json)
    document["learner"]["feature_names"] = names
    return json.dumps(document).encode()


def _info(**entries: Any) -> bytes:
    return pickle.dumps({"symbol": "SOLUSDT", "return_name": "mid_chg_1m", **entries})


# The booster and the list of factors.


def test_a_booster_that_was_trained_with_the_factors_in_another_order_is_told(
    write_group: Write, booster_json: bytes
) -> None:
    """Bots feed columns in the order of the list: each prediction would be of other factors."""
    told = _told(write_group(model_json=_with_names(booster_json, list(SHUFFLED))))
    assert list(told) == [f"factors-mismatch {KEY}_model.json"]
    assert "in another order: place 0 has 'spread_3', in the list 'momentum_5'" in told.popitem()[1]


def test_a_pickled_booster_is_held_against_the_list_too(write_group: Write) -> None:
    features = np.random.default_rng(1).normal(size=(80, 3))
    frame = pd.DataFrame(features, columns=list(SHUFFLED))
    fitted = xgboost.XGBRegressor(n_estimators=2, max_depth=2, n_jobs=1).fit(frame, features[:, 0])
    told = _told(write_group(model_json=None, model_pkl=pickle.dumps(fitted)))
    assert list(told) == [f"factors-mismatch {KEY}_model.pkl"]


def test_a_booster_of_other_factors_is_told_with_one_it_has_and_one_it_lacks(
    write_group: Write, booster_json: bytes
) -> None:
    told = _told(write_group(model_json=_with_names(booster_json, ["momentum_5", "carry_7", "spread_3"])))
    assert list(told) == [f"factors-mismatch {KEY}_model.json"]
    assert "it has 'carry_7' and lacks 'volatility_20'" in told.popitem()[1]


@pytest.mark.parametrize(
    "names",
    [[], list(FACTORS), ["f0", "f1", "f2"], ["0", "1", "2"]],
    ids=["none", "those of the list", "numbered by XGBoost", "numbered by pandas"],
)
def test_a_booster_whose_names_agree_or_say_nothing_is_not_told(
    write_group: Write, booster_json: bytes, names: list[str]
) -> None:
    assert _told(write_group(model_json=_with_names(booster_json, names))) == {}


def test_names_that_xgboost_does_not_take_are_whatever_the_training_wrote_for_them(
    write_group: Write, booster_json: bytes
) -> None:
    listed = b"momentum_5\nclose[1] < open\nspread_3\n"
    written = ["momentum_5", "close_1_lt_open", "spread_3"]
    assert _told(write_group(factors_txt=listed, model_json=_with_names(booster_json, written))) == {}
    assert _told(write_group(factors_txt=listed, model_json=_with_names(booster_json, written[::-1])))


# The training info.


@pytest.mark.parametrize("selected", [SHUFFLED, FACTORS[:2], (*FACTORS, "carry_7")], ids=["order", "fewer", "more"])
def test_an_info_that_selected_other_factors_or_another_order_is_told(
    write_group: Write, selected: tuple[str, ...]
) -> None:
    assert list(_told(write_group(info_pkl=_info(selected_factors=list(selected))))) == [
        f"factors-mismatch {KEY}_info.pkl"
    ]


def test_the_order_of_the_info_says_nothing_where_the_booster_has_that_of_the_list(
    write_group: Write, booster_json: bytes
) -> None:
    model = _with_names(booster_json, list(FACTORS))
    assert _told(write_group(model_json=model, info_pkl=_info(selected_factors=list(SHUFFLED)))) == {}
    assert _told(write_group(model_json=model, info_pkl=_info(selected_factors=list(FACTORS[:2]))))


def test_the_infos_factors_stand_in_for_a_missing_list_without_being_held_against_themselves(
    write_group: Write,
) -> None:
    told = _told(write_group(factors_txt=None, info_pkl=_info(selected_factors=list(FACTORS))))
    assert list(told) == [f"missing-file {KEY}_factors.txt"]


# The taus.


@pytest.mark.parametrize(
    ("info", "named"),
    [
        ({"symbol": "AAPL"}, "symbol 'AAPL' and return 'mid_chg_1m'"),
        ({"symbol": "solusdt", "return_name": "mid_chg_5m"}, "symbol 'solusdt' and return 'mid_chg_5m'"),
    ],
)
def test_taus_of_another_symbol_or_return_than_the_infos_are_told(
    write_group: Write, info: dict[str, str], named: str
) -> None:
    """Files of two runs that were put together under one name show nothing else."""
    root = write_group(info_pkl=_info(**info))
    told = _told(root)
    assert list(told) == [f"ic-of-others {KEY}_ic.csv"]
    assert "For 3 of 3 factors" in told[f"ic-of-others {KEY}_ic.csv"]
    assert named in told[f"ic-of-others {KEY}_ic.csv"]
    assert "'momentum_5' is of 'SOLUSDT' and 'mid_chg_1m'" in told[f"ic-of-others {KEY}_ic.csv"]
    group = scan_root(root).groups[KEY]
    assert (group.symbol, group.payload_ready) == (info["symbol"], True)


def test_one_tau_of_another_symbol_among_those_of_the_group_is_told(write_group: Write) -> None:
    rows = b"SOLUSDT,momentum_5,mid_chg_1m,0.1\nETH,spread_3,other,0.9\n"
    told = _told(write_group(ic_csv=IC_HEADER + rows))
    assert "For 1 of 3 factors" in told[f"ic-of-others {KEY}_ic.csv"]
    assert "'spread_3' is of 'ETH' and 'other'" in told[f"ic-of-others {KEY}_ic.csv"]


def test_an_ic_table_of_the_info_that_is_of_others_is_told_of_the_info(write_group: Write) -> None:
    frame = pd.DataFrame({"symbol": ["S"], "factor_name": ["spread_3"], "return_name": ["r"], "Kendall_tau": [0.25]})
    told = _told(write_group(ic_csv=None, info_pkl=_info(symbol="T", return_name="r", ic_df=frame)))
    assert f"ic-of-others {KEY}_info.pkl" in told


@pytest.mark.parametrize(
    "rows",
    [
        b"X,spread_3,r,0.5\nsolusdt,spread_3,mid_chg_1m,0.5\n",
        b"ETH,carry_7,mid_chg_1m,0.5\n",
        b",spread_3,mid_chg_1m,0.5\n",
        b"SOLUSDT,spread_3,,0.5\n",
        b"",
    ],
    ids=["one of the group", "of no factor", "no symbol", "no return", "none"],
)
def test_rows_of_the_group_of_nobody_and_of_other_factors_are_not_told(write_group: Write, rows: bytes) -> None:
    assert _told(write_group(ic_csv=IC_HEADER + rows)) == {}


def test_a_symbol_that_cannot_be_an_address_is_compared_as_the_files_write_it(write_group: Write) -> None:
    rows = b"SOL/USDT,spread_3,mid_chg_1m,0.5\n"
    scan = scan_root(write_group(ic_csv=IC_HEADER + rows, info_pkl=_info(symbol="SOL/USDT")))
    assert [finding.code for finding in scan.all_findings()] == ["bad-symbol"]
    assert scan.groups[KEY].factors.taus == (None, None, 0.5)


# The models.


def test_a_training_that_stopped_early_is_told(write_group: Write) -> None:
    """The wrapper predicts with the best rounds, the booster that bots are given with all of them."""
    features = np.random.default_rng(0).normal(size=(60, 3))
    fitted = xgboost.XGBRegressor(n_estimators=30, early_stopping_rounds=2, n_jobs=1, base_score=0.0).fit(
        features[:30], features[:30, 0], eval_set=[(features[30:], -features[30:, 0])], verbose=False
    )
    assert fitted.best_iteration == 0
    told = _told(write_group(model_json=None, model_pkl=pickle.dumps(fitted)))
    assert "predict with the first 1 of 3 rounds" in told[f"stopped-early {KEY}_model.pkl"]


def test_a_model_in_json_that_is_older_than_the_pickle_beside_it_is_told(
    write_group: Write, booster_pickle: bytes
) -> None:
    root = write_group(model_pkl=booster_pickle)
    assert _told(root) == {}
    written = (root / f"{KEY}_model.pkl").stat().st_mtime_ns

    def told_where_older_by(seconds: int) -> dict[str, str]:
        modified = written - seconds * 10**9
        os.utime(root / f"{KEY}_model.json", ns=(modified, modified))
        return _told(root)

    for seconds, told in ((1500, "by 25 minutes"), (10_800, "by 3 hours"), (864_000, "by 10 days")):
        found = told_where_older_by(seconds)
        assert list(found) == [f"older-model-json {KEY}_model.json"]
        assert told in found[f"older-model-json {KEY}_model.json"]
    for seconds in (600, 0, -864_000):
        assert told_where_older_by(seconds) == {}


def test_a_model_in_json_is_never_paired_with_the_training_of_a_pickle_in_another_directory(
    write_group: Write, booster_pickle: bytes
) -> None:
    write_group(folder="run1", ic_csv=None, info_pkl=None)
    root = write_group(folder="run2", factors_txt=None, model_json=None, model_pkl=booster_pickle)
    scan = scan_root(root)
    assert {file.path.partition("/")[0] for file in scan.groups[KEY].files} == {"run2"}
    assert {one.file for one in scan.findings if one.code == "duplicate-group-key"} == {
        f"run1/{KEY}_factors.txt",
        f"run1/{KEY}_model.json",
    }


# What infos write in many ways.


@pytest.mark.parametrize(
    "columns",
    [
        {"index": [1, 2, 0], "feature": list("bca"), "importance": [0.7, 0.2, 0.1]},
        {"feature": list("bca"), "rank": [1, 2, 3], "gain": [0.7, 0.2, 0.1]},
        {"feature": list("bca"), "rank": [1, 2, 3], "share": [0.7, 0.2, 0.1]},
        {"weight": [4, 5, 6], "factor": list("bca"), "Importance": [0.7, 0.2, 0.1]},
        {"name": list("bca"), "share": [0.7, 0.2, 0.1], "std": [0.1, 0.1, 0.1]},
    ],
    ids=["index", "rank and gain", "rank and another", "importance and weight", "unknown"],
)
def test_importances_of_a_table_are_those_of_the_column_that_is_called_so(
    write_group: Write, columns: dict[str, list[Any]]
) -> None:
    root = write_group(info_pkl=_info(feature_importance=pd.DataFrame(columns)))
    assert scan_root(root).groups[KEY].training.feature_importance == {"b": 0.7, "c": 0.2, "a": 0.1}


def test_an_empty_symbol_of_the_infos_table_is_no_name_and_cells_lose_their_blanks(write_group: Write) -> None:
    frame = pd.DataFrame(
        {
            "symbol": [None, None],
            "factor_name": [" spread_3", "momentum_5 "],
            "return_name": ["r ", None],
            "Kendall_tau": [0.25, 0.5],
        }
    )
    group = scan_root(write_group(ic_csv=None, info_pkl=pickle.dumps({"ic_df": frame}))).groups[KEY]
    assert (group.symbol, group.return_name) == ("SOLUSDT", "r")
    assert group.ic.factor_names == ("spread_3", "momentum_5")
    assert group.factors.taus == (0.5, None, 0.25)


@pytest.mark.parametrize(
    ("entry", "stamps", "told"),
    [
        ({"end": 1717200000, "start": 1714521600}, (1714521600, 1717200000), None),
        ((1717200000, 1714521600), (1717200000, 1714521600), "It ends before it begins."),
        ((20240501, 20240601), (20240501, 20240601), "20240501 and 20240601 are dates written as numbers"),
        ((1714521600000, 1717200000000), (1714521600000, 1717200000000), None),
    ],
    ids=["by name", "backwards", "dates as numbers", "milliseconds"],
)
def test_a_window_that_cannot_be_is_told_and_kept(
    write_group: Write, entry: object, stamps: tuple[int, int], told: str | None
) -> None:
    root = write_group(info_pkl=_info(train_window=entry))
    training = scan_root(root).groups[KEY].training
    assert (training.window_start_ts, training.window_end_ts) == stamps
    found = _told(root)
    assert list(found) == ([f"bad-info-value {KEY}_info.pkl"] if told else [])
    assert told is None or told in found[f"bad-info-value {KEY}_info.pkl"]


@pytest.mark.parametrize(
    ("date", "is_told"),
    [("30/06/2024", True), ("June", True), ("2024-06-30", False), ("2024-06-30 12:00:00+00:00", False)],
)
def test_a_date_that_is_none_is_told_and_kept(write_group: Write, date: str, is_told: bool) -> None:
    root = write_group(info_pkl=_info(train_end_date=date))
    assert scan_root(root).groups[KEY].training.end_date == date
    assert [one.partition(" ")[0] for one in _told(root)] == ["bad-info-value"] * is_told
