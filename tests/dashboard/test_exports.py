"""Tables as CSV and JSON, read back by the csv and json modules."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.dashboard.show import csv_bytes, json_bytes
from tests.dashboard.conftest import PROJECT

NUMBERS = [0.1, 1e-7, 1.2345678901234567, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]
TEXTS = ["x,y", 'a "b"', "two\nlines", "τ × 测试", "=1+1", " padded "]


def _csv(table: pd.DataFrame) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_bytes(table).decode(), newline="")))


def _json(table: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(json_bytes(table), parse_constant=pytest.fail)
    return found


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(NUMBERS), min_size=1))
def test_numbers_keep_every_digit(numbers: list[float]) -> None:
    table = pd.DataFrame({"mean": numbers})
    expected = [repr(number) for number in numbers]
    assert [repr(float(row["mean"])) for row in _csv(table)] == expected
    assert [repr(float(row["mean"])) for row in _json(table)] == expected


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1), min_size=1))
def test_texts_come_back_as_they_were(texts: list[str]) -> None:
    table = pd.DataFrame({"factor": texts, "dim": range(len(texts))})
    assert [row["factor"] for row in _csv(table)] == [_harmless(text) for text in texts]
    assert _json(table) == [{"factor": text, "dim": dim} for dim, text in enumerate(texts)]


def test_quotes_marks_and_line_feeds_stay_in_their_cell() -> None:
    table = pd.DataFrame({"factor, name": TEXTS})
    assert [row["factor, name"] for row in _json(table)] == TEXTS
    assert [row["factor, name"] for row in _csv(table)] == [_harmless(text) for text in TEXTS]


def _harmless(text: str) -> str:
    return (
        f"'{text}"
        if text[0] in "=+-@\t\r\n＝＋－＠" and not re.fullmatch(r"[+-](\d+\.?\d*|\.\d+)", text, re.A)
        else text
    )


RUN = ("=cmd|' /C calc'!A0", "+1+1", "-x", "-1+cmd", "@sum(1)", "\t=1+1", "\n=1+1", "＝1+1", "＋1", "－1", "＠x",
       "-inf", "+nan", "-1_0", "+１", "-0x10", "--1")  # fmt: skip
NOT_RUN = ("-0.12", "+0.5", "-1e-07", "-.5", "-3.", "0.1", "a=b", "x-1", "'=1", " =1", "1+1", "")


@pytest.mark.parametrize(("text", "cell"), [*((text, f"'{text}") for text in RUN), *((text, text) for text in NOT_RUN)])
def test_what_a_sheet_would_run_is_text(text: str, cell: str) -> None:
    assert [row["factor"] for row in _csv(pd.DataFrame({"factor": [text], "dim": [0]}))] == [cell]


@pytest.mark.parametrize("text", RUN)
def test_a_column_that_a_sheet_would_run_is_text_and_json_keeps_its_name(text: str) -> None:
    table = pd.DataFrame({"factor": ["a"], text: [-0.12]})
    assert _csv(table) == [{"factor": "a", f"'{text}": "-0.12"}]
    assert _json(table) == [{"factor": "a", text: -0.12}]


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_a_carriage_return_begins_no_row(end: str) -> None:
    table = pd.DataFrame({"factor": [f"a{end}=1+1", f"{end}=1+1"], f"b{end}=1": [1, 2]})
    assert _csv(table) == [{"factor": "a\n=1+1", "b\n=1": "1"}, {"factor": "'\n=1+1", "b\n=1": "2"}]


def test_taus_stay_numbers_beside_names_that_are_formulas() -> None:
    table = pd.DataFrame({"factor": ["=1+1", "-a"], "τ": [-0.12, 0.5], "category": pd.Categorical(["=1", "-0.12"])})
    assert csv_bytes(table).decode() == "factor,τ,category\n'=1+1,-0.12,'=1\n'-a,0.5,-0.12\n"


def test_every_table_of_the_dashboard_is_exported_through_the_one_that_escapes() -> None:
    sources = {path: path.read_text() for path in (PROJECT / "mm_core").rglob("*.py") if path.name != "show.py"}
    sources |= {path: path.read_text() for path in (PROJECT / "pages").glob("*.py")}
    assert [path for path, text in sources.items() if ".to_csv(" in text or "csv.writer" in text] == []
    offered = [path.name for path, text in sources.items() if "download_button(" in text]
    assert sorted(offered) == ["bulk.py", "for_bots.py"], "both are JSON"
    assert 'aria-label^="Download as CSV"' in (PROJECT / "mm_core/dashboard/static/page.css").read_text()


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_what_is_missing_is_null_in_json_and_empty_in_csv(missing: Any) -> None:
    table = pd.DataFrame({"a": pd.Series([missing, "x"], dtype=object), "b": [1, 2]})
    assert _json(table) == [{"a": None, "b": 1}, {"a": "x", "b": 2}]
    assert _csv(table) == [{"a": "", "b": "1"}, {"a": "x", "b": "2"}]


def test_what_is_not_finite_is_null_in_json() -> None:
    table = pd.DataFrame({"t": [np.inf, -np.inf, np.nan, 1.5]})
    assert [row["t"] for row in _json(table)] == [None, None, None, 1.5]
    assert [row["t"] for row in _csv(table)] == ["inf", "-inf", "", "1.5"]


def test_integers_with_holes_stay_integers() -> None:
    table = pd.DataFrame({"trees": pd.array([2**53 + 1, None], dtype="Int64"), "ready": [True, False]})
    assert json_bytes(table) == (
        b'[\n  {\n    "trees": 9007199254740993,\n    "ready": true\n  },\n'
        b'  {\n    "trees": null,\n    "ready": false\n  }\n]\n'
    )
    assert csv_bytes(table) == b"trees,ready\n9007199254740993,True\n,False\n"


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_times_are_iso_8601_with_their_zone(unit: str) -> None:
    moments = pd.to_datetime(pd.Series(["2024-05-01T00:00:00Z", None, "2024-05-01T12:30:15Z"]), format="ISO8601")
    table = pd.DataFrame({"at": moments.dt.as_unit(unit), "n": [1, 2, 3]})
    expected = ["2024-05-01T00:00:00+00:00", None, "2024-05-01T12:30:15+00:00"]
    assert [row["at"] for row in _json(table)] == expected
    assert [row["at"] or None for row in _csv(table)] == expected


def test_times_without_a_zone_and_durations_are_iso_8601_too() -> None:
    table = pd.DataFrame({"day": pd.to_datetime(["2024-05-01", None]), "took": pd.to_timedelta(["90s", None])})
    assert _json(table) == [{"day": "2024-05-01T00:00:00", "took": "P0DT0H1M30S"}, {"day": None, "took": None}]
    assert _csv(table) == [{"day": "2024-05-01T00:00:00", "took": "P0DT0H1M30S"}, {"day": "", "took": ""}]


def test_lists_stay_lists_in_json() -> None:
    assert _json(pd.DataFrame({"top": [[1.0, 0.5], []]})) == [{"top": [1.0, 0.5]}, {"top": []}]


@pytest.mark.parametrize(
    "make", [lambda: pd.DataFrame({"a": []}), lambda: pd.DataFrame({"a": pd.to_datetime([], utc=True)})]
)
def test_a_table_without_rows_has_its_header_in_csv_and_is_an_empty_list(make: Callable[[], pd.DataFrame]) -> None:
    assert (csv_bytes(make()), json_bytes(make())) == (b"a\n", b"[]\n")


def test_times_that_are_all_missing_are_null() -> None:
    table = pd.DataFrame({"at": pd.to_datetime(pd.Series([None, None]), utc=True), "n": [1, 2]})
    assert _json(table) == [{"at": None, "n": 1}, {"at": None, "n": 2}]
    assert csv_bytes(table) == b"at,n\n,1\n,2\n"


def test_an_export_leaves_the_table_and_its_index_alone() -> None:
    table = pd.DataFrame({"at": pd.to_datetime(["2024-05-01T00:00:00Z"] * 2), "b": [1, 2]}, index=[7, 3])
    before = table.copy(deep=True)
    assert _csv(table)[1] == {"at": "2024-05-01T00:00:00+00:00", "b": "2"}
    json_bytes(table)
    pd.testing.assert_frame_equal(table, before)
