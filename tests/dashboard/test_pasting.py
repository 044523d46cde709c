"""Columns, CSV and JSON as cells of a draft: every form that a sheet gives, every problem with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mm_core.dashboard.editor.drafts import FIELDS, Cell, Cells, Draft, number_problem
from mm_core.dashboard.editor.pasting import DELIMITERS, Pasted, read_columns, read_file, read_json
from mm_core.dashboard.show import csv_bytes
from mm_core.dashboard.tables.configs import editor_table
from mm_core.domain.configs import FactorConfig

NAMES = ["mom_5", "vol_20", "beta, long"]
NOT_A_NUMBER = "is not a number. Write it like 0.2, -1.5 or 1e-7."
FORM = "Paste factor, mean and variance, or mean and variance for every dimension, or begin with a header"


def _cells(**values: tuple[str | None, str | None]) -> Cells:
    return {
        Cell(name, which): text
        for name, pair in values.items()
        for which, text in zip(FIELDS, pair, strict=True)
        if text is not None
    }


def _problems(text: str) -> tuple[str, ...]:
    found = read_columns(text, NAMES)
    assert found.cells == {}
    return found.problems


@pytest.mark.parametrize("mark", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n \n"])
def test_columns_are_parted_by_any_usual_mark_and_end_of_line(mark: str, end: str) -> None:
    text = end.join([mark.join(["mom_5", "1e-7", "2"]), mark.join(["vol_20", " -.5 ", "3.25"]), ""])
    assert read_columns(text, NAMES) == Pasted(_cells(mom_5=("1e-7", "2"), vol_20=("-.5", "3.25")), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VAR;Factor;Mean\n2;mom_5;1\n", _cells(mom_5=("1", "2"))),
        ("dim,note,Variance_Values,FACTOR_NAMES,mean_values\n0,x,2,mom_5,1\n", _cells(mom_5=("1", "2"))),
        (" name |MEAN\nvol_20|1\n", _cells(vol_20=("1", None))),
        ("variance\tfactor_name\n2\tvol_20\n", _cells(vol_20=(None, "2"))),
        ("\ufefffactor,mean\nmom_5,1\n", _cells(mom_5=("1", None))),
        ("factor,mean,,\nmom_5,1,,\n", _cells(mom_5=("1", None))),
        ("\n\nfactor,mean,variance\n\n , ,\nmom_5,1,2,\n", _cells(mom_5=("1", "2"))),
    ],
)
def test_a_header_names_columns_in_any_order_and_case(text: str, expected: Cells) -> None:
    assert read_columns(text, NAMES) == Pasted(expected, ())


def test_a_quoted_name_may_hold_marks_and_line_feeds() -> None:
    names = ["beta, long", 'a "b"; c\td', "two\nlines"]
    out = io.StringIO()
    csv.writer(out).writerows([name, at + 1, at + 2] for at, name in enumerate(names))
    found = read_columns(out.getvalue(), names)
    assert found.problems == ()
    assert [found.cells[Cell(name, "variance")] for name in names] == ["2", "3", "4"]


def test_a_factor_may_be_named_like_a_header() -> None:
    found = read_columns("mean,1,2\nname,3,4\n", ["mean", "name"])
    assert found == Pasted(_cells(mean=("1", "2"), name=("3", "4")), ())


def test_bare_numbers_go_by_the_order_of_the_model() -> None:
    expected = {Cell(name, which): str(at * 2 + which_at) for at, name in enumerate(NAMES)
                for which_at, which in enumerate(FIELDS)}  # fmt: skip
    assert read_columns("0\t1\n2\t3\n\n4\t5\n", NAMES) == Pasted(expected, ())
    one = read_columns("variance\n1\n2\n3\n", NAMES)
    assert one == Pasted({Cell(name, "variance"): str(at) for at, name in enumerate(NAMES, 1)}, ())


@pytest.mark.parametrize("lines", [1, 2, 4])
def test_bare_numbers_of_another_count_than_the_dimensions_are_refused(lines: int) -> None:
    (problem,) = _problems("1,2\n" * lines)
    assert problem.startswith(f"{lines} lines of numbers cannot fill 3 dimensions.")


def test_every_problem_is_named_with_its_line() -> None:
    text = "factor,mean,variance\nmom_5,1,2\n\nghost,1,2\nvol_20,x,0\nmom_5,3,4\n"
    assert _problems(text) == (
        "Line 4: 'ghost' is no factor of this model.",
        f"Line 5: mean 'x' {NOT_A_NUMBER}",
        "Line 5: variance 0 is not above 0, and a variance must be.",
        "Line 6: 'mom_5' stands in line 2 already.",
    )


def test_a_line_is_counted_as_an_editor_counts_it_behind_a_quoted_line_feed() -> None:
    assert _problems('mom_5,1,2\n"x\ny",1,2\r\nz,1,2\n')[-1] == "Line 4: 'z' is no factor of this model."


@pytest.mark.parametrize("text", ["mom_5;1,5;2\n", "mom_5\t1,5\t2\n", "mom_5|1,5|2", "factor;mean\nmom_5;1,5\n"])
def test_a_decimal_comma_is_a_problem_and_never_another_number(text: str) -> None:
    (problem,) = _problems(text)
    assert problem == f"Line {text.count(chr(10)) or 1}: mean '1,5' {NOT_A_NUMBER}"


@pytest.mark.parametrize("text", ["1,5;2,5\n1;2\n3;4", "mom_5;1;2\nvol_20;1,5;2,5\n"])
def test_decimal_commas_between_semicolons_are_each_a_problem(text: str) -> None:
    line = 1 if text[0] == "1" else 2
    assert _problems(text) == (f"Line {line}: mean '1,5' {NOT_A_NUMBER}", f"Line {line}: variance '2,5' {NOT_A_NUMBER}")


PAIR = NAMES[:2]
ONE_OR_TWO = "may be one number or two, and so may every line"


def _in_two(numbers: Iterable[str]) -> Pasted:
    """Return what lines of means and variances give that are each meant as two numbers."""
    cells = [cell for name in PAIR for cell in (Cell(name, "mean"), Cell(name, "variance"))]
    return Pasted(dict(zip(cells, numbers, strict=True)), ())


@pytest.mark.parametrize("end", ["\n", "\t\n", "\t \r\n", " \r", ",\n"])
@pytest.mark.parametrize(
    "lines",
    [
        ("0,5", "0,7"),
        ("0,05", "1,25"),
        ("-0,5", "+12,7"),
        ("1,5e-7", "2,5E+3"),
        ("0,5", "3"),
        ("0,5", "0.7"),
        ("1,000", "2,500"),
        ("1,234.5", "12,000.25"),
        ("1.234,5", "1.234.567,5"),
        ("1,5", "12,345,678"),
    ],
)
def test_one_column_of_decimal_commas_or_thousands_is_never_two_columns(lines: tuple[str, str], end: str) -> None:
    found = read_columns("".join(line + end for line in lines), PAIR)
    assert found.cells == {}
    (problem,) = found.problems
    assert problem.startswith(f"Line 1: '{lines[0]}' {ONE_OR_TWO}.")
    assert "Write numbers with a point" in problem
    assert "tabs or semicolons" in problem


@pytest.mark.parametrize(
    "lines",
    [
        ("0.5,0.25", "1.5,2"),
        ("0,5", "1.5,2"),
        ("0,5", "1,-2"),
        ("0, 5", "1, 7"),
        ("0,5", "0.125,7"),
        ("1e3,5", "2,7"),
        ("1,23.5", "2,7"),
        ("0,123.5", "2,7"),
    ],
)
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_line_that_is_two_numbers_for_certain_tells_what_commas_are(lines: tuple[str, str], mark: str) -> None:
    numbers = [number.strip() for line in lines for number in line.split(",")]
    found = read_columns("\n".join(line.replace(",", mark) for line in lines), PAIR)
    if any(number.startswith("-") for number in numbers):
        assert found.problems == ("Line 2: variance -2 is not above 0, and a variance must be.",)
    else:
        assert found == _in_two(numbers)


@pytest.mark.parametrize("header", ["mean,variance", "Mean,Var,,", "mean_values,variance_values"])
def test_a_header_with_commas_tells_what_commas_are(header: str) -> None:
    assert read_columns(f"{header}\n0,5\n0,7\n", PAIR) == _in_two(["0", "5", "0", "7"])


@pytest.mark.parametrize("text", ["mean\n0,5\n0,7", "mean,\n0,5\n0,7", "factor,mean,,\nmom_5,0,5\nvol_20,0,7"])
def test_a_column_without_a_name_takes_no_part_of_a_number(text: str) -> None:
    problems = read_columns(text, PAIR).problems
    assert [problem.partition(" columns, the first line ")[1] for problem in problems] == [
        " columns, the first line "
    ] * 2


WHOLES = st.integers(-(10**6), 10**6).map(str) | st.integers(1000, 10**9).flatmap(
    lambda number: st.sampled_from([f"{number:,}".replace(",", "."), str(number)])
)
WITH_COMMAS = st.tuples(WHOLES, st.from_regex(r"[0-9]{1,8}([eE][+-]?[0-9]{1,2})?", fullmatch=True)).map(",".join)
WITH_THOUSANDS = st.integers(1000, 10**12).map(lambda number: f"{number:,}") | st.floats(1000, 10**12).map(
    lambda number: f"{number:,.3f}"
)
COLUMNS = st.lists(WITH_COMMAS, min_size=1, max_size=6) | st.lists(WITH_THOUSANDS, min_size=1, max_size=6)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\t\n", "\t\t\n", ";\n", " |\n", ",\n", "\n\n"])


@given(
    COLUMNS, ENDS, st.sampled_from(["", "\ufeff", "mean\n", "variance\n", "Mean;\n", "mean\t\n", "var|\n", "mean,\n"])
)
def test_no_number_with_a_comma_is_ever_parted(numbers: list[str], end: str, before: str) -> None:
    names = [f"factor_{at}" for at in range(len(numbers))]
    found = read_columns(before + "".join(number + end for number in numbers), names)
    assert found.problems
    assert found.cells == {}


NUMBERS = st.integers(1, 10**6).map(str) | st.floats(1e-9, 1e9).map(repr)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), st.sampled_from(DELIMITERS), st.booleans())
def test_two_columns_are_filled_in_as_they_stand_or_not_at_all(
    pairs: list[tuple[str, str]], mark: str, has_header: bool
) -> None:
    names = [f"factor_{at}" for at in range(len(pairs))]
    lines = [mark.join(pair) for pair in ([("mean", "variance"), *pairs] if has_header else pairs)]
    found = read_columns("\n".join(lines), names)
    as_it_stands = {Cell(name, which): text for name, pair in zip(names, pairs, strict=True)
                    for which, text in zip(FIELDS, pair, strict=True)}  # fmt: skip
    if has_header or mark != ",":
        assert found == Pasted(as_it_stands, ())
    else:
        assert found == Pasted(as_it_stands, ()) or ONE_OR_TWO in found.problems[0]


@pytest.mark.parametrize(
    "text", ["mom_5,1,2\nvol_20,1,5,2\n", "factor,mean\nmom_5,1\nvol_20,1,5\n", "1,2\n1,5,2\n3,4\n"]
)
def test_a_line_wider_than_the_first_is_a_problem_and_not_cut(text: str) -> None:
    (problem,) = _problems(text)
    assert "columns, the first line" in problem
    assert "Write numbers with a point" in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "There is no line with a value."),
        (" \n,,\n\ufeff", "Line 3 has 1 column(s)."),
        ("\ufeff\n\t\n", "There is no line with a value."),
        ("factor,mean\n", "Line 1 is a header, and no line follows it."),
        ("\nfactor,dim\nmom_5,1\n", "Line 2: the header names neither mean nor variance."),
        ("factor,mean,mean_values\nmom_5,1,2\n", "Line 1: the header names mean or variance twice."),
        ("1\n2\n3\n", f"Line 1 has 1 column(s). {FORM}"),
        ("mom_5,1\n", f"Line 1 has 2 column(s). {FORM}"),
        ("0,mom_5,1,2\n", f"Line 1 has 4 column(s). {FORM}"),
        ("mom_5,1\nvol_20,1,2\n", "Line 1 has 2 column(s)."),
        ("factor,mean,variance\nmom_5,1\n", f"Line 2: variance '' {NOT_A_NUMBER}"),
        ("x" * 200_000, "This cannot be read as columns: field larger than field limit"),
    ],
)
def test_what_cannot_be_told_is_one_sentence(text: str, problem: str) -> None:
    (found,) = _problems(text)
    assert found.startswith(problem)


def _config(**body: Any) -> bytes:
    whole = {"factor_names": NAMES, "mean_values": [0.2, -1, 1e-7], "variance_values": [1.0, 2.5, 5e-324], **body}
    return json.dumps({"SOLUSDT": {key: value for key, value in whole.items() if value is not None}}).encode()


@pytest.mark.parametrize("names", [NAMES, None])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n\t "])
def test_a_config_document_gives_every_cell(names: list[str] | None, before: bytes) -> None:
    found = read_file(before + _config(factor_names=names), "SOLUSDT", NAMES)
    assert found.problems == ()
    assert list(found.cells) == [Cell(name, which) for name in NAMES for which in FIELDS]
    assert [float(text) for text in found.cells.values()] == [0.2, 1.0, -1.0, 2.5, 1e-7, 5e-324]


def test_all_problems_of_a_config_document_are_listed() -> None:
    body = _config(factor_names=["mom_5", "x", "beta, long"], mean_values=[1, "2"], variance_values=[0, True, -1], y=1)
    assert read_json(body, "SOLUSDT", NAMES) == Pasted({}, (
        "'y' is not a known field, use factor_names, mean_values, variance_values",
        "factor_names[1] is 'x', the model's dimension 1 is 'vol_20'",
        "mean_values has 2 entries, the model has 3 factors",
        "mean_values[1] (vol_20) is '2', not a number",
        "variance_values[0] (mom_5) is 0, a variance must be above 0",
        "variance_values[1] (vol_20) is True, not a number",
        "variance_values[2] (beta, long) is -1, a variance must be above 0",
    ))  # fmt: skip


@pytest.mark.parametrize("data", [b"{", b"{'a': 1}", b'{"SOLUSDT": NaN}', b'{"\xff": 1}', b'{"a":' * 100_000])
def test_a_file_that_begins_with_a_brace_and_is_no_json_says_so(data: bytes) -> None:
    found = read_file(data, "SOLUSDT", NAMES)
    assert found.cells == {}
    assert [problem[:18] for problem in found.problems] == ["This is not JSON: "]


def test_a_file_that_is_not_utf8_says_how_to_save_it() -> None:
    found = read_file("factor,mean\nmom_5,1\n".encode("utf-16"), "SOLUSDT", NAMES)
    assert found == Pasted({}, ("The file is not UTF-8 text. Save it as CSV (UTF-8) or JSON.",))


def test_the_editors_own_csv_comes_back_as_the_same_numbers() -> None:
    config = FactorConfig("SOLUSDT", tuple(NAMES), (0.1 + 0.2, -0.0, 1e-7), (5e-324, 1e300, 2 / 3))
    draft = Draft(config, 1)
    draft.type_into({Cell("vol_20", "mean"): ".07"})
    taus = dict(zip(NAMES, (0.1, None, -0.2), strict=True))
    found = read_file(csv_bytes(editor_table(draft, taus, {}, NAMES)), "SOLUSDT", NAMES)
    assert found == Pasted({Cell(name, which): draft.text(Cell(name, which)) for name in NAMES for which in FIELDS}, ())


WORDS = [*NAMES, "mean", "factor", "variance", "1", "0", "-2.5", "1,5", "nan", "\r\n", "\u2028", "\ufeff"]
PIECES = st.sampled_from([*WORDS, *'"\t,;|\n\r\x00 {}[:'])
TEXTS = st.text(max_size=60) | st.lists(PIECES, max_size=25).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["S", "factor_names", "mean_values", "variance_values", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


def _is_one_or_the_other(found: Pasted) -> bool:
    assert all(problem.strip() for problem in found.problems)
    assert all(number_problem(text, cell.field) is None for cell, text in found.cells.items())
    return bool(found.cells) != bool(found.problems)


@given(TEXTS)
@example('"')
@example("mean\r1")
def test_any_text_gives_cells_or_problems_never_both(text: str) -> None:
    assert _is_one_or_the_other(read_columns(text, NAMES))


@given(st.binary(max_size=60) | TEXTS.map(str.encode) | TEXTS.map(lambda text: b"{" + text.encode()))
def test_any_file_gives_cells_or_problems_never_both(data: bytes) -> None:
    assert _is_one_or_the_other(read_file(data, "S", NAMES))


@given(st.dictionaries(st.sampled_from(["S", "s", "T"]), JSON, max_size=2).map(json.dumps))
@example('{"S": {"mean_values": [%s, 1, 1], "variance_values": [1, 1, 1]}}' % ("1" * 5000))
def test_any_json_object_gives_cells_or_problems_never_both(document: str) -> None:
    assert _is_one_or_the_other(read_json(document.encode(), "S", NAMES))
