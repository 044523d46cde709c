"""What a file says is written into findings, held in memory and walked over: none of it may be without bounds."""

from __future__ import annotations

import contextlib
import gc
import time
import tracemalloc
from pathlib import Path

import pytest

from mm_core import strict_json
from mm_core.artifacts.pickles import read_info, read_model_json
from mm_core.artifacts.pickles.interpreter import read_pickle
from mm_core.artifacts.readers.info_pkl import read_training_info
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.stable_file import read_stable
from mm_core.errors import UnreadableArtifact
from tests.attacks.assembling import (
    array,
    block,
    booster,
    call,
    categorical,
    columns_from,
    counted,
    data,
    dict_of,
    entry,
    frame,
    index_of,
    labels,
    list_of,
    real,
    stacked,
    text,
    whole,
)

ROW = dict_of(symbol=text("BTC"), factor_name=text("f"), return_name=text("r"), Kendall_tau=real(0.5))
ROWS = 20_000
LONG = "x" * 100_000
COLUMN = block(array("f8", b"K\x01M\x20\x4e\x86", data(bytes(8 * ROWS))), columns_from(0, 1))


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("os\ud800", "system"),
        ("os", "\x1b[2Jsystem"),
        ("xgboost.\ud800", "Booster"),
        ("оs", "system"),
        ("o\ns", "system"),
    ],
)
def test_a_finding_about_any_name_is_printable_and_can_be_written(module: str, attribute: str) -> None:
    for content in (entry(stacked(module, attribute)), whole(call(stacked(module, attribute)))):
        for read in (read_info, read_model_json):
            with pytest.raises(UnreadableArtifact) as refusal:
                read(content)
            assert refusal.value.code == "unsafe-pickle"
            assert refusal.value.detail.isascii()
            assert refusal.value.detail.isprintable()
            assert strict_json.encode(refusal.value.detail)


@pytest.mark.parametrize("other", [b"}", ROW[:-1] + text("note") + b"K\x01u"], ids=["an empty row", "a row with more"])
@pytest.mark.parametrize("first", [True, False])
def test_ic_rows_of_different_columns_are_a_finding(other: bytes, first: bool) -> None:
    rows = list_of(other, ROW) if first else list_of(ROW, other)
    report = FileReport("X_info.pkl")
    training, ic = read_training_info(whole(dict_of(symbol=text("BTC"), ic_df=rows)), report)
    assert (training.symbol, len(ic)) == ("BTC", 0)
    (finding,) = report.findings()
    assert finding.code == "bad-info-value"
    assert finding.detail == "ic_df: It is a table whose rows have different columns."


@pytest.mark.parametrize(
    "value",
    [
        categorical(labels(LONG), array("i1", b"M\x20\x4e\x85", data(bytes(ROWS)))),
        categorical(
            index_of(array("O8", b"K\x01\x85", list_of(list_of(*[b"N"] * 5000)))),
            array("i1", b"M\x20\x4e\x85", data(bytes(ROWS))),
        ),
        frame(labels(LONG), counted(ROWS), COLUMN),
    ],
    ids=["a category", "a category that is a list", "a column's name"],
)
def test_what_is_written_many_times_costs_many_times(value: bytes) -> None:
    with pytest.raises(UnreadableArtifact) as refusal:
        read_info(entry(dict_of(v=value)))
    assert refusal.value.code == "pickle-too-large"


def test_short_categories_and_names_are_read_as_often_as_they_stand_there() -> None:
    codes = array("i1", b"M\x20\x4e\x85", data(bytes([0, 1, 255, 1]) * (ROWS // 4)))
    info = read_info(entry(dict_of(v=categorical(labels("low", "high"), codes))))
    assert info.values["config"] == {"v": ["low", "high", None, "high"] * (ROWS // 4)}
    rows = read_info(entry(dict_of(v=frame(labels("a"), counted(ROWS), COLUMN)))).values["config"]
    assert rows == {"v": [{"a": 0.0}] * ROWS}


def test_names_are_counted_and_tables_walked_once() -> None:
    names = list_of(*(text(f"f{number}") for number in range(100_000)), text("f7"))
    wide = b"}(" + b"".join(text(f"c{number}") + b"N" for number in range(100_000)) + b"u"
    narrow = b"](" + wide + b"}q\x05" + b"h\x05" * 100_000 + b"e"
    started = time.process_time()
    report = FileReport("X_info.pkl")
    content = whole(dict_of(selected_factors=names, feature_importance=narrow, ic_df=list_of(ROW)))
    training, _ = read_training_info(content, report)
    assert time.process_time() - started < 5
    assert len(training.selected_factors) == 100_000
    assert {finding.code for finding in report.findings()} == {"duplicate-factor", "bad-info-value"}


def test_a_finding_about_a_long_name_is_short() -> None:
    report = FileReport("X_info.pkl")
    read_training_info(entry(list_of(text(LONG), text(LONG)), "selected_factors"), report)
    (finding,) = report.findings()
    assert finding.code == "bad-factor-name"
    assert len(finding.sentence) < 400


def test_importances_of_rows_with_gaps_are_read() -> None:
    rows = list_of(dict_of(factor=text("a"), gain=real(0.5)), dict_of(factor=text("b")))
    assert read_info(entry(rows, "feature_importance")).values["feature_importance"] == {"a": 0.5}


def test_what_a_pickle_piled_up_is_let_go_without_the_garbage_collector() -> None:
    content = entry(list_of(*[ROW] * 2000))
    gc.collect()
    gc.disable()
    try:
        read_pickle(content)
        with pytest.raises(UnreadableArtifact):
            read_pickle(content[:-1] + b"\xff")
        assert gc.collect() < 1000
    finally:
        gc.enable()


def test_a_small_file_takes_a_small_buffer_whatever_the_limit(tmp_path: Path) -> None:
    (tmp_path / "X_info.pkl").write_bytes(entry(ROW))
    tracemalloc.start()
    try:
        assert read_stable(tmp_path, "X_info.pkl", 512 << 20) == entry(ROW)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("tail", "is_read"), [(b"0", True), (b"NaN", False)])
def test_json_of_a_booster_takes_some_copies_of_memory(tail: bytes, is_read: bool) -> None:
    model = b'{"learner":[' + b"{}," * 2_100_000 + tail + b"]}"
    content = booster(data(b'{"Model":' + model + b"}"))
    read = None
    tracemalloc.start()
    try:
        with contextlib.suppress(UnreadableArtifact):
            read = read_model_json(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(content)
    assert read == (model if is_read else None)


def test_json_of_a_booster_with_nan_is_still_read() -> None:
    model = b'{"learner":{"a":[NaN,1.5]},"version":[1,5,0]}'
    assert read_model_json(booster(data(b'{"Config":{},"Model":' + model + b"}"))) == model
