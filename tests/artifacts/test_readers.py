"""Readers of text, tables and boosters: values and findings worked out by hand."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.artifacts.readers.factors_txt import read_factors
from mm_core.artifacts.readers.ic_csv import read_ic
from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.findings import Finding
from mm_core.errors import UnreadableArtifact

HEADER = b"symbol,factor_name,return_name,Kendall_tau\n"


def _factors(data: bytes) -> tuple[tuple[str, ...], list[tuple[str, int | None]]]:
    report = FileReport("f")
    names = read_factors(data, report)
    return names, [(finding.code, finding.line) for finding in report.findings()]


def _ic_findings(data: bytes) -> tuple[Finding, ...]:
    report = FileReport("f")
    read_ic(data, report)
    return report.findings()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_factor_names_keep_file_order_whatever_ends_the_lines(ending: bytes) -> None:
    assert _factors(ending.join([b"b", b"", b"  a  ", b"c"])) == (("b", "a", "c"), [])


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert _factors(b"\xef\xbb\xbfalpha\n") == (("alpha",), [])


def test_a_factor_that_stands_twice_counts_once_and_is_a_finding_with_its_line() -> None:
    assert _factors(b"a\nb\na\n") == (("a", "b"), [("duplicate-factor", 3)])


def test_a_line_with_control_characters_is_a_finding_and_the_rest_loads() -> None:
    assert _factors(b"a\nb\x07\nc\n") == (("a", "c"), [("bad-factor-name", 2)])


def test_an_empty_factor_list_is_a_finding() -> None:
    assert _factors(b"\n \n") == ((), [("no-factors", None)])


@pytest.mark.parametrize(
    ("data", "line"),
    [("a\nbé\n".encode("latin-1"), 2), ("alpha\n".encode("utf-16"), None), (b"a\nb\n\0\n", 3)],
)
def test_other_encodings_are_refused_with_their_line(data: bytes, line: int | None) -> None:
    with pytest.raises(UnreadableArtifact) as caught:
        read_factors(data, FileReport("f"))
    assert (caught.value.code, caught.value.line) == ("wrong-encoding", line)


@given(st.binary(max_size=300))
def test_any_bytes_give_factor_names_or_a_refusal(data: bytes) -> None:
    try:
        names = read_factors(data, FileReport("f"))
    except UnreadableArtifact:
        return
    assert len(set(names)) == len(names)
    assert all(name == name.strip() and name for name in names)


@given(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True), min_size=1, unique=True))
def test_written_factor_names_are_read_back(names: list[str]) -> None:
    assert _factors("\n".join(names).encode()) == (tuple(names), [])


def test_ic_rows_keep_file_order_and_further_columns() -> None:
    data = HEADER.replace(b"\n", b",p_value\n") + b'S,"a,b",r,0.5,0.01\nS,c,r,-0.25,0.2\n'
    table = read_ic(data, FileReport("f"))
    assert table.factor_names == ("a,b", "c")
    assert table.taus == (0.5, -0.25)
    assert table.extra == {"p_value": ("0.01", "0.2")}


def test_columns_are_found_by_name_not_by_place() -> None:
    table = read_ic(b",Kendall_tau,return_name,factor_name,symbol\n0,0.1,r,f,S\n", FileReport("f"))
    assert (table.symbols, table.factor_names, table.return_names, table.taus) == (("S",), ("f",), ("r",), (0.1,))
    assert table.extra == {"": ("0",)}


@pytest.mark.parametrize(
    ("cell", "tau", "code"),
    [
        (b"nan", None, "not-finite"),
        (b"inf", None, "not-finite"),
        (b"", None, "bad-number"),
        (b"0,1", None, "bad-row"),
        (b"abc", None, "bad-number"),
        (b"1.5", 1.5, "tau-out-of-range"),
    ],
)
def test_a_bad_tau_is_a_finding_with_its_line(cell: bytes, tau: float | None, code: str) -> None:
    report = FileReport("f")
    table = read_ic(HEADER + b"S,a,r,0.1\nS,b,r," + cell + b"\n", report)
    assert [(finding.code, finding.line) for finding in report.findings()] == [(code, 3)]
    assert table.taus[1:] == (() if code == "bad-row" else (tau,))


def test_a_torn_last_row_is_left_out_with_a_finding() -> None:
    report = FileReport("f")
    assert read_ic(HEADER + b"S,a,r,0.1\nS,b", report).factor_names == ("a",)
    assert [(finding.code, finding.line) for finding in report.findings()] == [("bad-row", 3)]


def test_a_factor_that_stands_twice_in_the_ic_table_is_a_finding_and_the_first_counts() -> None:
    report = FileReport("f")
    table = read_ic(HEADER + b"S,a,r,0.1\ns,a,r,0.9\n", report)
    assert [(finding.code, finding.line) for finding in report.findings()] == [("duplicate-factor", 3)]
    assert table.tau_by_factor("S", "r") == {"a": 0.1}


def test_rows_of_the_group_win_over_rows_of_others() -> None:
    table = read_ic(HEADER + b"X,a,r,0.1\nS,a,q,0.2\nS,a,r,0.3\n", FileReport("f"))
    assert table.tau_by_factor("s", "r") == {"a": 0.3}


@pytest.mark.parametrize("data", [b"", b"symbol,factor_name\nS,a\n", b"a,a\n1,2\n", HEADER.replace(b"symbol", b"x")])
def test_a_header_without_the_columns_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableArtifact, match=r"header|empty"):
        read_ic(data, FileReport("f"))


def test_findings_of_one_kind_are_counted_after_twenty() -> None:
    findings = _ic_findings(HEADER + b"S,f,r,x\n" * 100)
    bad_numbers = [finding for finding in findings if finding.code == "bad-number"]
    assert len(bad_numbers) == 21
    assert bad_numbers[-1].detail.startswith("80 more")


@given(st.binary(max_size=400))
def test_any_bytes_give_an_ic_table_or_a_refusal(data: bytes) -> None:
    try:
        table = read_ic(HEADER + data, FileReport("f"))
    except UnreadableArtifact:
        return
    assert all(tau is None or math.isfinite(tau) for tau in table.taus)


def test_a_booster_is_summarized_as_xgboost_saved_it(booster_json: bytes) -> None:
    summary = read_booster(booster_json, FileReport("x_model.json")).summary
    assert (summary.feature_dim, summary.objective, summary.num_trees) == (3, "reg:squarederror", 4)
    assert summary.num_parallel_tree == 1
    assert len(summary.version) == 3


def test_a_booster_with_nan_tokens_is_read_as_xgboost_reads_it(booster_json: bytes) -> None:
    document = json.loads(booster_json)
    document["learner"]["gradient_booster"]["model"]["trees"][0]["sum_hessian"][0] = math.nan
    assert read_booster(json.dumps(document).encode(), FileReport("x")).summary.num_trees == 4


def test_a_cut_booster_is_refused(booster_json: bytes) -> None:
    with pytest.raises(UnreadableArtifact, match="no XGBoost JSON"):
        read_booster(booster_json[: len(booster_json) // 2], FileReport("x"))


def test_a_booster_that_lost_a_tree_is_refused(booster_json: bytes) -> None:
    document = json.loads(booster_json)
    document["learner"]["gradient_booster"]["model"]["trees"].pop()
    with pytest.raises(UnreadableArtifact, match="claims 4 trees and holds 3"):
        read_booster(json.dumps(document).encode(), FileReport("x"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"learner": 1}', b"\xff", b"[" * 100_000, b"NaN"])
def test_anything_else_is_refused_as_a_booster(data: bytes) -> None:
    with pytest.raises(UnreadableArtifact) as caught:
        read_booster(data, FileReport("x"))
    assert caught.value.code == "bad-model"
