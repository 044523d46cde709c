"""Groups and scans: which group stands for a symbol, what is listed in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.groups import Group, ModelSummary, Scan, TrainingInfo, preferred_group
from mm_core.domain.models import checked_model_name
from mm_core.errors import InvalidName

MODEL = ModelSummary("x_model.json", "0" * 64, 1, 3, "reg:squarederror", 1, 1, (3, 2, 0))


def _group(key: str, symbol: str = "S", *, ready: bool = True, end: str | None = None, factors: str = "ab") -> Group:
    table = FactorTable(tuple(factors), (None,) * len(factors))
    training = TrainingInfo(end_date=end)
    return Group(key, symbol, "r", (), table, IcTable(), training, MODEL if ready else None, None, (), "")


def test_a_payload_ready_group_stands_for_its_symbol_before_newer_ones() -> None:
    ready, newer = _group("a", end="2020"), _group("z", ready=False, end="2024")
    assert preferred_group([newer, ready]) is ready


def test_then_the_latest_training_end_then_the_last_key_decides() -> None:
    old, new = _group("z", end="2020-01-01"), _group("a", end="2024-01-01")
    assert preferred_group([old, new]) is new
    assert preferred_group([_group("a"), last := _group("b")]) is last


def test_symbols_compare_without_case_and_list_in_lexical_order() -> None:
    scan = Scan("", {"1": _group("1", "btc"), "2": _group("2", "BTC"), "3": _group("3", "ADA")})
    assert scan.symbols() == ("ADA", "btc")
    assert [group.group_key for group in scan.groups_of("Btc")] == ["1", "2"]
    assert scan.duplicate_symbols() == {"btc": ("1", "2")}


def test_the_union_of_factors_is_in_first_seen_order() -> None:
    scan = Scan("", {"1": _group("1", factors="ca"), "2": _group("2", factors="ab")})
    assert scan.factor_union() == ("c", "a", "b")


def test_the_feature_dimension_is_the_models_where_there_is_one() -> None:
    group = _group("1")
    assert group.feature_dim == 3
    assert replace(group, model=None).feature_dim == 2


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "9" * 128])
def test_model_names_of_the_allowed_form_pass(name: str) -> None:
    assert checked_model_name(name) == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a/b", "ä", "a\n", "x" * 129, ".."])
def test_other_model_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="Use 1 to 128"):
        checked_model_name(name)
