"""Families of factors by their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.evaluation.families import family_of


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("momentum_5", "momentum"),
        ("momentum_20", "momentum"),
        ("order_flow_imbalance_10s_mean", "order_flow_imbalance"),
        ("spread", "spread"),
        ("mid.chg-1m", "mid_chg"),
        ("ask:bid/ratio 3", "ask_bid_ratio"),
        ("a__b_1", "a_b"),
        ("_leading_2", "leading"),
        ("价格_动量_5", "价格_动量"),
    ],
)
def test_a_family_is_the_words_before_the_first_digit(name: str, family: str) -> None:
    assert family_of(name) == family


@pytest.mark.parametrize(("name", "family"), [("RSI14_x", "RSI"), ("ma5", "ma"), ("_x9", "x")])
def test_letters_before_a_digit_count_where_the_first_word_has_one(name: str, family: str) -> None:
    assert family_of(name) == family


@pytest.mark.parametrize("name", ["5min_return", "42", "", "_", "-7"])
def test_a_name_that_begins_without_letters_is_a_family_of_its_own(name: str) -> None:
    assert family_of(name) == name


@given(st.text(alphabet="ab_.- 19²五", max_size=8), st.integers(0, 999))
def test_names_that_differ_in_the_number_at_their_end_are_one_family(beginning: str, number: int) -> None:
    word = f"x{beginning}"
    assert family_of(f"{word}_{number}") == family_of(f"{word}_{number + 1}")


@given(st.text(max_size=20))
def test_every_name_has_a_family_and_a_family_is_its_own(name: str) -> None:
    family = family_of(name)
    assert bool(family) == bool(name)
    assert family_of(family) == family
