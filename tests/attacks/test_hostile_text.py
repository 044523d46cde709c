"""Factor lists and IC tables as an attacker would write them: a finding with file and line, the rest still loads."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_core.artifacts.readers.ic_csv import read_ic
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.groups import Group
from mm_core.errors import UnreadableArtifact
from mm_core.registry import Registry
from tests.conftest import FACTORS

PROJECT = Path(__file__).parent.parent.parent
KEY = "SOLUSDT_mid_chg_1m"
HEADER = b"symbol,factor_name,return_name,Kendall_tau\n"
MEBIBYTE = 1 << 20
LIMITED_BYTES = 1536 * MEBIBYTE
"""Address space of the child that reads what is huge: libraries take a third of it before a file is read."""

Write = Callable[..., Path]


def _registered(registry: Registry, root: Path) -> Group:
    registry.registrations.register("m", str(root))
    return registry.group("m", "SOLUSDT")[2]


def _found(group: Group) -> set[tuple[str, str, int | None]]:
    return {(finding.file, finding.code, finding.line) for finding in group.findings}


def _row(factor: str | bytes, tau: str | bytes = "0.1", symbol: str | bytes = "SOLUSDT") -> bytes:
    cells = [cell if isinstance(cell, bytes) else cell.encode() for cell in (symbol, factor, "mid_chg_1m", tau)]
    return b",".join(cells) + b"\n"


LISTS: dict[str, tuple[bytes, str, int | None]] = {
    "a NUL": (b"a\nb\0c\nd\n", "wrong-encoding", 2),
    "UTF-16": ("a\nb\n".encode("utf-16"), "wrong-encoding", None),
    "UTF-16 without a mark": ("a\nb\n".encode("utf-16-le"), "wrong-encoding", 1),
    "UTF-32": ("a\nb\n".encode("utf-32"), "wrong-encoding", None),
    "a byte that is no UTF-8": (b"a\nb\nc\xff\n", "wrong-encoding", 3),
    "half a surrogate pair": (b"a\n\xed\xa0\x80\n", "wrong-encoding", 2),
    "an overlong slash": (b"a\nb\n..\xc0\xaf\n", "wrong-encoding", 3),
    "a second byte order mark": (b"a\n\xef\xbb\xbfb\nc\nd\n", "bad-factor-name", 2),
    "an escape sequence": (b"a\nb\nc\nd\x1b[31m\n", "bad-factor-name", 4),
    "a line that NEL ends": ("a\x85b\nc\nd\ne\n".encode(), "bad-factor-name", 1),
    "a line that U+2028 ends": ("a\nb\u2028c\nd\ne\n".encode(), "bad-factor-name", 2),
    "right to left": ("a\nb\nc\n\u202emutnemom\n".encode(), "bad-factor-name", 4),
    "no width": ("a\nb\nc\nmomen\u200btum\n".encode(), "bad-factor-name", 4),
    "a filler": ("a\nb\nc\n\u3164\n".encode(), "bad-factor-name", 4),
    "a variation selector": ("a\nb\nc\nb\ufe0f\n".encode(), "bad-factor-name", 4),
    "Cyrillic among Latin": ("a\nb\nmоmentum\n".encode(), "look-alike-name", 3),
    "a name of a mebibyte": (b"a\nb\nc\n" + b"x" * MEBIBYTE + b"\n", "bad-factor-name", 4),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_hostile_factor_list_is_a_finding_with_its_line_and_bots_get_no_other_factors(
    registry: Registry, write_group: Write, what: str
) -> None:
    content, code, line = LISTS[what]
    group = _registered(registry, write_group(factors_txt=content))
    assert (f"{KEY}_factors.txt", code, line) in _found(group)
    assert group.payload_ready
    assert (len(group.ic), group.training.samples) == (3, 1234)
    assert all(name.isascii() or code == "look-alike-name" for name in group.factors.names)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\n\r\n"])
def test_lines_end_as_on_any_system(registry: Registry, write_group: Write, ending: str) -> None:
    content = "\ufeff" + ending.join(FACTORS) + ending
    assert _registered(registry, write_group(factors_txt=content.encode())).factors.names == FACTORS


def test_an_escaped_surrogate_is_six_letters(registry: Registry, write_group: Write) -> None:
    group = _registered(registry, write_group(factors_txt=rb"\ud800" b"\nb\nc\n"))
    assert (group.factors.names, group.findings) == ((r"\ud800", "b", "c"), ())


@pytest.mark.parametrize("name", ["=cmd|'/C calc'!A0", "+1", "-a", "@sum(1)", "%2e%2e", "..", "a/b", "\\\\host\\x"])
def test_names_that_only_a_sheet_or_a_shell_would_run_are_names(
    registry: Registry, write_group: Write, name: str
) -> None:
    group = _registered(registry, write_group(factors_txt=f"a\nb\n{name}\n".encode()))
    assert (group.factors.names, group.findings) == (("a", "b", name), ())


TAUS: dict[str, tuple[str, str]] = {
    "beyond every float": ("1e999", "not-finite"),
    "not a number": ("NaN", "not-finite"),
    "below everything": ("-inf", "not-finite"),
    "infinity in words": ("Infinity", "not-finite"),
    "hexadecimal": ("0x10", "bad-number"),
    "Python's digit groups": ("0_1", "bad-number"),
    "Arabic digits": ("٠.٥", "bad-number"),
    "full width": ("０.５", "bad-number"),
    "a formula": ("=0.5", "bad-number"),
    "a percentage": ("5%", "bad-number"),
    "a comma": ('"0,5"', "bad-number"),
    "blank": (" ", "bad-number"),
    "above one": ("1.0000001", "tau-out-of-range"),
    "below minus one": ("-7", "tau-out-of-range"),
    "a thousand digits": ("9" * 1000, "not-finite"),
    "an escape sequence": ("\x1b[2J", "bad-number"),
}


@pytest.mark.parametrize("what", TAUS)
def test_a_hostile_tau_is_a_finding_with_its_line_and_no_number(
    registry: Registry, write_group: Write, what: str
) -> None:
    tau, code = TAUS[what]
    rows = _row("momentum_5", "0.25") + _row("volatility_20", tau) + _row("spread_3", "-0.5")
    group = _registered(registry, write_group(ic_csv=HEADER + rows))
    assert _found(group) == {(f"{KEY}_ic.csv", code, 3)}
    expected = float(tau) if code == "tau-out-of-range" else None
    assert group.factors.taus == (0.25, expected, -0.5)


TABLES: dict[str, tuple[bytes, str, int | None]] = {
    "a NUL": (HEADER + _row("momentum_5") + _row("a\0b"), "wrong-encoding", 3),
    "UTF-16": ((HEADER + _row("a")).decode().encode("utf-16"), "wrong-encoding", None),
    "a byte that is no UTF-8": (HEADER + _row(b"\xe9t\xe9"), "wrong-encoding", 2),
    "a quote that never closes": (HEADER + _row("a") + b'"x,' + _row("b") * 5, "bad-csv", 3),
    "a quote that goes on after its end": (HEADER + b'"S"x,a,r,0.1\n', "bad-csv", 2),
    "a header that names a column twice": (HEADER.strip() + b",symbol\n", "ic-header", 1),
    "a hundred thousand columns of one name": (b"x," * 100_000 + HEADER, "ic-header", 1),
    "a hundred thousand columns": (
        HEADER.strip() + b"," + b",".join(b"c%d" % number for number in range(100_000)) + b"\n",
        "ic-header",
        1,
    ),
    "a header with an escape sequence": (HEADER.strip() + b",\x1b]0;owned\x07\n", "ic-header", 1),
    "a row of many lines": (HEADER + b'"ab\n",' * 200_000 + b"x\n", "bad-csv", 174_765),
    "a field of a mebibyte": (HEADER + _row("a" * MEBIBYTE), "bad-csv", 2),
}


@pytest.mark.parametrize("what", TABLES)
def test_a_hostile_ic_table_is_a_finding_with_its_line_and_the_rest_of_the_group_loads(
    registry: Registry, write_group: Write, what: str
) -> None:
    content, code, line = TABLES[what]
    group = _registered(registry, write_group(ic_csv=content))
    assert _found(group) == {(f"{KEY}_ic.csv", code, line)}
    assert (group.factors.names, group.factors.taus) == (FACTORS, (None,) * 3)
    assert group.payload_ready
    assert all(len(finding.sentence) < 2000 for finding in group.findings)


@pytest.mark.parametrize("control", ["\u202e", "\u2066", "\u200b", "\x1b[31m", "\x9b31m", "\u3164", "\u2028", "\x07"])
@pytest.mark.parametrize("column", ["symbol", "factor"])
def test_a_row_that_hides_characters_is_left_out_with_its_line(
    registry: Registry, write_group: Write, control: str, column: str
) -> None:
    hidden = f"mom{control}entum_5"
    row = _row(hidden) if column == "factor" else _row("momentum_5", symbol=hidden)
    group = _registered(registry, write_group(ic_csv=HEADER + row + _row("spread_3", "0.5"), info_pkl=None))
    assert (f"{KEY}_ic.csv", "bad-row", 2) in _found(group)
    assert (group.ic.factor_names, group.ic.symbols) == (("spread_3",), ("SOLUSDT",))
    assert all(control not in finding.sentence for finding in group.findings)


def test_further_columns_are_kept_as_they_are_but_for_what_nobody_sees(registry: Registry, write_group: Write) -> None:
    content = HEADER.strip() + b",note\n" + b"".join(_row(name)[:-1] + b',"=1+1 \x1b[31m\nb"\n' for name in FACTORS)
    group = _registered(registry, write_group(ic_csv=content))
    assert group.ic.extra == {"note": (r"=1+1 \x1b[31m\nb",) * 3}


@pytest.mark.parametrize("key", ["symbol", "return_name"])
def test_a_training_info_that_hides_characters_names_nothing(registry: Registry, write_group: Write, key: str) -> None:
    info = pickle.dumps({"symbol": "SOLUSDT", "return_name": "r", key: "\u202eTDSULOS"})
    group = _registered(registry, write_group(info_pkl=info))
    assert (f"{KEY}_info.pkl", "bad-info-value", None) in _found(group)
    assert group.symbol == "SOLUSDT"
    assert group.return_name == ("mid_chg_1m" if key == "return_name" else "r")


def test_what_else_an_info_says_shows_what_it_hides(registry: Registry, write_group: Write) -> None:
    info = {
        "selected_factors": ["a", "b\u202e", "c", "x" * 1000],
        "config": {"k\x1b[31m": "v\u200b", "deep": [{"\x9b": "\ud800"}]},
        "feature_importance": {"momentum_5": 1.0, "b\u202e": 2.0},
        "train_end_date": "2024\x1b[2J",
    }
    training = _registered(registry, write_group(info_pkl=pickle.dumps(info))).training
    assert training.selected_factors == ("a", "c")
    assert training.config == {r"k\x1b[31m": r"v\u200b", "deep": [{r"\x9b": "\ufffd"}]}
    assert training.feature_importance == {"momentum_5": 1.0, r"b\u202e": 2.0}
    assert training.end_date == r"2024\x1b[2J"


def _distinct(count: int) -> bytes:
    return b"".join(b"%x\n" % number for number in range(count))


HUGE: dict[str, tuple[dict[str, bytes], str, str]] = {
    "one line": ({"factors_txt": b"x" * 10 * MEBIBYTE}, "factors.txt", "bad-factor-name"),
    "nothing but line feeds": ({"factors_txt": b"\n" * 10_000_000}, "factors.txt", "no-factors"),
    "lines that are no names": ({"factors_txt": b"\x07\n" * 5_000_000}, "factors.txt", "too-many-factors"),
    "one name again and again": ({"factors_txt": b"ab\n" * 3_000_000}, "factors.txt", "too-many-factors"),
    "a million factors": ({"factors_txt": _distinct(1_500_000)}, "factors.txt", "too-many-factors"),
    "one row": ({"ic_csv": HEADER + b"x" * 10 * MEBIBYTE}, "ic.csv", "bad-csv"),
    "one row of commas": ({"ic_csv": HEADER + b"," * 10 * MEBIBYTE}, "ic.csv", "bad-csv"),
    "a million columns": ({"ic_csv": b",".join(b"%x" % at for at in range(1_500_000))}, "ic.csv", "bad-csv"),
    "empty rows": ({"ic_csv": HEADER + b"\n" * 10_000_000}, "ic.csv", ""),
    "short rows": ({"ic_csv": HEADER + b"a\n" * 5_000_000}, "ic.csv", "too-many-rows"),
    "an open quote": ({"ic_csv": HEADER + b'"' + b"a,b\n" * 2_500_000}, "ic.csv", "bad-csv"),
    "rows without end": ({"ic_csv": HEADER + b"s,a,r,x\n" * 1_300_000}, "ic.csv", "too-many-rows"),
    "a field of ten mebibytes": ({"ic_csv": HEADER + b's,"' + b"a" * 10 * MEBIBYTE + b'",r,0\n'}, "ic.csv", "bad-csv"),
}
"""Ten megabytes each: the files of a group, the file that is answered for, and the finding that answers."""


def test_a_row_of_many_lines_takes_no_memory_before_it_is_refused() -> None:
    table = HEADER + b'"ab\n",' * 800_000 + b"x\n"
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableArtifact, match="at most 1,048,576 are read"):
            read_ic(table, FileReport("x_ic.csv"))
        assert tracemalloc.get_traced_memory()[1] < 4 * len(table)
    finally:
        tracemalloc.stop()


def test_ten_megabytes_of_anything_are_read_within_seconds_and_bounded_memory(
    write_group: Write, tmp_path: Path
) -> None:
    for number, (files, _, _) in enumerate(HUGE.values()):
        root = write_group(f"S{number}_r", **files)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "mm_core", "--data-dir", str(tmp_path / "data"), "check", str(root), "--json"],
        cwd=PROJECT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMITED_BYTES, LIMITED_BYTES)),
        capture_output=True,
        timeout=120,
        check=False,
    )
    seconds = time.monotonic() - started
    assert done.returncode == 1, done.stderr[-2000:]
    found = {(row["file"], row["code"]) for row in json.loads(done.stdout)["findings"]}
    expected = {(f"S{at}_r_{file}", code) for at, (_, file, code) in enumerate(HUGE.values()) if code}
    assert expected - found == set()
    assert not {code for _, code in found} & {"reader-ended"}
    assert len(json.loads(done.stdout)["findings"]) < 21 * len(HUGE)
    assert seconds < 60, "each takes a second or so; a quadratic one would take hours"
