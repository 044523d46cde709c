"""Rows by feature name: always by name, never by place."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from mm_core.errors import InvalidRows
from mm_core.prediction import decode_rows
from mm_core.prediction.rows import matrix_of

NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53))
TABLES = st.lists(st.text(max_size=4), min_size=1, max_size=6, unique=True).flatmap(
    lambda names: st.tuples(
        st.just(names), st.lists(st.fixed_dictionaries(dict.fromkeys(names, NUMBERS)), min_size=1, max_size=4)
    )
)


def test_values_stand_in_the_order_of_the_names_whatever_the_order_of_the_row() -> None:
    rows = [{"b": 2, "a": 1.5}, {"a": 3.0, "b": 4.0}]
    values, extra = matrix_of(rows, ("a", "b"))
    assert (list(values), extra) == ([1.5, 2.0, 3.0, 4.0], ())


def test_one_feature_is_a_row_as_well() -> None:
    assert list(matrix_of([{"a": 1}, {"a": None}], ("a",))[0])[:1] == [1.0]


def test_none_and_nan_are_missing_values_and_infinity_is_none_of_them() -> None:
    values, _ = matrix_of([{"a": None, "b": math.nan}, {"a": 1.0, "b": -math.inf}], ("a", "b"))
    assert [math.isnan(value) for value in values] == [True, True, False, False]
    assert values[3] == -math.inf


def test_every_missing_feature_is_named() -> None:
    with pytest.raises(InvalidRows, match="missing features: 'a', 'c'") as refused:
        matrix_of([{"b": 1.0}, {"b": 2.0}], ("a", "b", "c"))
    assert refused.value.missing == ("a", "c")


def test_a_feature_that_some_rows_miss_is_named_with_the_first_of_them() -> None:
    with pytest.raises(InvalidRows, match="'a' is missing from 2 of 4 rows, first from row 1") as refused:
        matrix_of([{"a": 1.0}, {}, {"a": 1.0}, {}], ("a",))
    assert refused.value.missing == ("a",)


def test_extra_features_are_reported_once_and_change_nothing() -> None:
    values, extra = matrix_of([{"z": 9.0, "a": 1.0}, {"a": 2.0, "y": 9.0, "z": 9.0}], ("a",))
    assert (list(values), extra) == ([1.0, 2.0], ("z", "y"))


@pytest.mark.parametrize("value", ["1.5", True, [1.0], {}, 1j, b"1"])
def test_what_is_no_number_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(InvalidRows, match="feature 'b' of row 1 is of type"):
        matrix_of([{"a": 1.0, "b": 1.0}, {"a": 1.0, "b": value}], ("a", "b"))


def test_a_whole_number_that_no_float_holds_is_refused() -> None:
    with pytest.raises(InvalidRows, match="row 0 has a whole number"):
        matrix_of([{"a": 10**400}], ("a",))


@hypothesis.given(TABLES)
def test_each_value_of_any_table_is_where_its_name_is(
    table: tuple[list[str], list[Mapping[str, float | None]]],
) -> None:
    names, rows = table
    values, extra = matrix_of([dict(reversed(row.items())) for row in rows], names)
    assert extra == ()
    for at, row in enumerate(rows):
        for place, name in enumerate(names):
            number, value = values[at * len(names) + place], row[name]
            assert math.isnan(number) if value is None else number == value


@hypothesis.given(TABLES)
def test_rows_come_back_from_their_json(table: tuple[list[str], list[Mapping[str, float | None]]]) -> None:
    _, rows = table
    assert decode_rows(json.dumps(rows).encode()) == [
        {name: None if value is None else float(value) for name, value in row.items()} for row in rows
    ]


@pytest.mark.parametrize(
    "text", ['[{"a": 1, "b": 2, "a": 1}]', '[{"a": 1}, {"\\u0061": 1, "a": 2}]', '[{"": 1, "": 2}]']
)
def test_a_feature_that_stands_twice_in_a_row_is_refused(text: str) -> None:
    with pytest.raises(InvalidRows, match="stands twice in one row"):
        decode_rows(text.encode())


def test_a_feature_that_stands_twice_among_very_many_is_found_in_linear_time() -> None:
    row = ",".join(f'"f{at}":1' for at in range(20_000))
    started = time.process_time()
    with pytest.raises(InvalidRows, match="'last' stands twice in one row"):
        decode_rows(f'[{{{row},"last":1,"last":2}}]'.encode())
    assert time.process_time() - started < 1, "each name was counted among all"


def test_beyond_a_thousand_problems_the_rest_is_counted() -> None:
    names = [f"f{at}" for at in range(3000)]
    with pytest.raises(InvalidRows) as caught:
        matrix_of([dict.fromkeys(names, 1.0), {}], names)
    assert (len(caught.value.problems), caught.value.problems[-1]) == (1001, "2,000 more problems")
    assert caught.value.detail.startswith("The rows have 3,000 problem(s)")
    assert len(caught.value.missing) == 3000, "the list for programs is whole"


def test_an_escape_in_a_name_is_no_duplicate() -> None:
    assert decode_rows(b'[{"\\"": 1, "\\\\": 2, "a\\u0062": 3}]') == [{'"': 1.0, "\\": 2.0, "ab": 3.0}]


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', '[{"a": "1"}]', '[{"a": true}]', '[{"a": [1]}]', '[{"a": NaN}]', '[{"a": 1e999}]', "[1]", "", "\xff"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidRows, match="no JSON array of objects"):
        decode_rows(text.encode("latin-1"))
