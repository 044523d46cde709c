"""A root becomes a scan: precedence, defects, what is read again, and that nothing is written."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mm_core.artifacts.layouts.flat_groups import FlatGroups
from mm_core.artifacts.limits import READING_RULES, ReadingLimits
from mm_core.artifacts.listing import list_groups
from mm_core.artifacts.opening import open_file
from mm_core.artifacts.read_group import read_group
from mm_core.artifacts.scan import scan_root
from mm_core.artifacts.stable_file import read_stable
from mm_core.artifacts.tree import listed_file
from mm_core.domain.findings import Severity
from mm_core.errors import InvalidRoot

FACTORS = ("momentum_5", "volatility_20", "spread_3")
KEY = "SOLUSDT_mid_chg_1m"
Write = Callable[..., Path]


class _Bombed:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/model-manager-was-here",)


def _codes(root: Path) -> set[tuple[str, str]]:
    return {(finding.code, finding.file) for finding in scan_root(root).all_findings()}


def test_a_whole_group_has_every_value_and_no_finding(write_group: Write) -> None:
    scan = scan_root(write_group())
    group = scan.groups[KEY]
    assert (group.symbol, group.return_name) == ("SOLUSDT", "mid_chg_1m")
    assert group.factors.names == FACTORS
    assert group.factors.taus == (0.01, 0.02, 0.03)
    assert (group.training.samples, group.training.end_date) == (1234, "2024-05-01")
    assert group.model is not None
    assert (group.model.source, group.feature_dim) == (f"{KEY}_model.json", 3)
    assert scan.all_findings() == ()


def test_groups_are_found_recursively_and_listed_by_key(write_group: Write) -> None:
    write_group("ZZZ_r", folder="deep/er")
    root = write_group("AAA_r")
    assert list(scan_root(root).groups) == ["AAA_r", "ZZZ_r"]


def test_nothing_below_the_root_is_touched(write_group: Write, tree_digest: Callable[[Path], str]) -> None:
    root = write_group()
    (root / "broken_model.pkl").write_bytes(pickle.dumps(_Bombed()))
    before = tree_digest(root)
    scan_root(root)
    assert tree_digest(root) == before


def test_the_info_names_symbol_and_return_before_ic_and_file_name(write_group: Write) -> None:
    info = pickle.dumps({"symbol": "FROM_INFO", "return_name": "ret_info"})
    group = scan_root(write_group(info_pkl=info)).groups[KEY]
    assert (group.symbol, group.return_name) == ("FROM_INFO", "ret_info")


def test_then_the_first_ic_row_then_the_file_name(write_group: Write) -> None:
    ic = b"symbol,factor_name,return_name,Kendall_tau\nFROM_IC,spread_3,ret_ic,0.5\n"
    group = scan_root(write_group(info_pkl=None, ic_csv=ic)).groups[KEY]
    assert (group.symbol, group.return_name) == ("FROM_IC", "ret_ic")
    group = scan_root(write_group("BTC_x_y", info_pkl=None, ic_csv=None)).groups["BTC_x_y"]
    assert (group.symbol, group.return_name) == ("BTC", "x_y")


def test_factors_and_ic_of_the_info_stand_in_for_missing_files(write_group: Write) -> None:
    frame = pd.DataFrame(
        {"symbol": ["S"] * 2, "factor_name": ["b", "a"], "return_name": ["r"] * 2, "Kendall_tau": [0.25, float("nan")]}
    )
    info = pickle.dumps({"selected_factors": ["a", "b", "c"], "ic_df": frame})
    group = scan_root(write_group(factors_txt=None, ic_csv=None, info_pkl=info)).groups[KEY]
    assert group.factors.names == ("a", "b", "c")
    assert group.factors.taus == (None, 0.25, None)
    assert group.symbol == "S"


def test_model_json_wins_over_model_pickle(write_group: Write, booster_pickle: bytes) -> None:
    root = write_group(model_pkl=booster_pickle)
    assert scan_root(root).groups[KEY].model.source == f"{KEY}_model.json"


def test_a_pickle_alone_becomes_the_json_that_xgboost_saves(
    write_group: Write, booster_pickle: bytes, booster_json: bytes
) -> None:
    kept: list[tuple[bytes, str]] = []
    root = write_group(model_json=None, model_pkl=booster_pickle)
    scan = scan_root(root, keep=lambda data, suffix: kept.append((data, suffix)))
    assert scan.groups[KEY].payload_ready
    assert [(json.loads(data), suffix) for data, suffix in kept] == [(json.loads(booster_json), ".json")]


def test_a_pickle_that_runs_code_is_named_and_not_run(write_group: Write) -> None:
    flag = Path("/tmp/model-manager-was-here")
    root = write_group(model_json=None, model_pkl=pickle.dumps(_Bombed()), info_pkl=pickle.dumps({"config": _Bombed()}))
    scan = scan_root(root)
    found = {finding.file: finding for finding in scan.all_findings() if finding.code == "unsafe-pickle"}
    assert set(found) == {f"{KEY}_model.pkl", f"{KEY}_info.pkl"}
    assert all("system" in finding.detail for finding in found.values())
    assert not scan.groups[KEY].payload_ready
    assert not flag.exists()


@pytest.mark.parametrize("role", ["factors_txt", "ic_csv", "info_pkl"])
def test_a_missing_file_is_a_warning_and_the_rest_loads(write_group: Write, role: str) -> None:
    scan = scan_root(write_group(**{role: None}))
    stem, _, suffix = role.rpartition("_")
    assert ("missing-file", f"{KEY}_{stem}.{suffix}") in {(one.code, one.file) for one in scan.all_findings()}
    assert {finding.severity for finding in scan.all_findings()} == {Severity.WARNING}
    assert scan.groups[KEY].payload_ready


def test_a_group_without_a_model_says_why_bots_get_nothing(write_group: Write) -> None:
    scan = scan_root(write_group(model_json=None))
    assert [finding.code for finding in scan.all_findings()] == ["missing-model"]
    assert not scan.groups[KEY].payload_ready


def test_dimensions_that_differ_are_a_warning_and_the_models_count(write_group: Write) -> None:
    scan = scan_root(write_group(factors_txt=b"momentum_5\nvolatility_20\n"))
    assert [finding.code for finding in scan.all_findings()] == ["dimension-mismatch"]
    assert scan.groups[KEY].feature_dim == 3


def test_one_broken_group_leaves_the_others_alone(write_group: Write, booster_json: bytes) -> None:
    for number in range(12):
        root = write_group(f"S{number}_r")
    root = write_group("BAD_r", model_json=booster_json[:500], info_pkl=b"\x80\x04garbage", ic_csv=b"\xff\xfe\0")
    scan = scan_root(root)
    assert sum(group.payload_ready for group in scan.groups.values()) == 12
    assert {finding.code for finding in scan.groups["BAD_r"].findings} >= {"bad-model", "wrong-encoding"}
    assert {finding.file for finding in scan.all_findings()} <= {
        f"BAD_r_{end}" for end in ("model.json", "info.pkl", "ic.csv")
    }


def test_two_runs_of_one_key_are_never_mixed(write_group: Write) -> None:
    write_group(folder="run1", factors_txt=b"old_1\nold_2\nold_3\n", info_pkl=None)
    root = write_group(folder="run2")
    scan = scan_root(root)
    assert {file.path.split("/")[0] for file in scan.groups[KEY].files} == {"run2"}
    duplicates = {finding.file for finding in scan.findings if finding.code == "duplicate-group-key"}
    assert duplicates == {f"run1/{KEY}_{end}" for end in ("factors.txt", "ic.csv", "model.json")}


def test_only_changed_groups_are_read_again(write_group: Write) -> None:
    write_group("A_r")
    root = write_group("B_r")
    first = scan_root(root)
    assert not list_groups(root, ReadingLimits()).differs_from(first)
    (root / "B_r_factors.txt").write_text("x\ny\nz\n")
    assert list_groups(root, ReadingLimits()).differs_from(first)
    second = scan_root(root, first)
    assert second.groups["A_r"] is first.groups["A_r"]
    assert second.groups["B_r"].factors.names == ("x", "y", "z")


def test_a_group_that_was_read_by_older_rules_is_read_again(write_group: Write) -> None:
    root = write_group()
    first = scan_root(root)
    older = replace(first, groups={KEY: replace(first.groups[KEY], rules=1)})
    assert list_groups(root, ReadingLimits()).differs_from(older)
    again = scan_root(root, previous=older).groups[KEY]
    assert again.rules == first.groups[KEY].rules > 1
    assert scan_root(root, previous=first).groups[KEY] is first.groups[KEY]


def test_a_file_replaced_by_one_of_equal_size_and_time_is_read_again(write_group: Write) -> None:
    root = write_group()
    first = scan_root(root)
    path = root / f"{KEY}_factors.txt"
    status = path.stat()
    other = root / "new"
    other.write_bytes(path.read_bytes().replace(b"spread_3", b"spread_4"))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)
    assert scan_root(root, first).groups[KEY].factors.names[2] == "spread_4"


def test_a_group_that_vanished_leaves_the_scan(write_group: Write) -> None:
    write_group("A_r")
    root = write_group("B_r")
    first = scan_root(root)
    for path in root.glob("A_r*"):
        path.unlink()
    assert list_groups(root, ReadingLimits()).differs_from(first)
    assert list(scan_root(root, first).groups) == ["B_r"]


def test_an_empty_root_is_a_finding_and_a_missing_one_an_error(tmp_path: Path) -> None:
    assert _codes(tmp_path) == {("no-groups", ".")}
    with pytest.raises(InvalidRoot, match="cannot be listed"):
        scan_root(tmp_path / "gone")


def test_many_groups_read_by_children_equal_those_read_here(write_group: Write, booster_pickle: bytes) -> None:
    for number in range(30):
        root = write_group(f"S{number}_r", model_json=None, model_pkl=booster_pickle)
    kept: list[bytes] = []
    progress: list[tuple[int, int]] = []
    scan = scan_root(root, keep=lambda data, _: kept.append(data), progress=lambda *at: progress.append(at))
    assert progress == [(done, 30) for done in range(1, 31)]
    assert len(set(kept)) == 1
    assert len(kept) == 30
    for path in root.glob("S[1-9]*_r*"):
        path.unlink()
    alone = scan_root(root).groups["S0_r"]
    together = scan.groups["S0_r"]
    assert (alone.files, alone.factors, alone.ic, alone.training) == (
        together.files,
        together.factors,
        together.ic,
        together.training,
    )
    assert alone.model == together.model


@pytest.fixture
def replace_while_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, bytes], None]:
    """Have a file renamed into place as soon as the next other file of a scan was read."""
    plans: list[tuple[Path, bytes]] = []

    def read(root: Path, path: str, *arguments: Any) -> bytes:
        data = read_stable(root, path, *arguments)
        if plans and not plans[0][0].samefile(root / path):
            target, content = plans.pop()
            beside = target.with_name(".beside")
            beside.write_bytes(content)
            beside.replace(target)
        return data

    monkeypatch.setattr("mm_core.artifacts.read_group.read_stable", read)
    return lambda target, content: plans.append((target, content))


def test_files_of_two_runs_are_never_paired_though_one_is_replaced_while_the_others_are_read(
    write_group: Write, replace_while_reading: Callable[[Path, bytes], None], booster_json: bytes
) -> None:
    before = scan_root(write_group())
    root = write_group(factors_txt=b"a\nb\nc\n")
    newer = booster_json.replace(b'"attributes":{}', b'"attributes":{"run":"2"}')
    replace_while_reading(root / f"{KEY}_model.json", newer)
    kept: list[tuple[bytes, str]] = []
    torn = scan_root(root, before, keep=lambda data, suffix: kept.append((data, suffix)))
    assert torn.groups[KEY] is before.groups[KEY], "the last whole group stays in service"
    assert kept == []
    whole = scan_root(root, torn).groups[KEY]
    assert (whole.factors.names, whole.findings) == (("a", "b", "c"), ())
    assert whole.model is not None
    assert whole.model.sha256 == hashlib.sha256(newer).hexdigest()


def test_a_new_group_that_changes_while_it_is_read_has_no_payload_until_it_rests(
    write_group: Write, replace_while_reading: Callable[[Path, bytes], None]
) -> None:
    root = write_group()
    replace_while_reading(root / f"{KEY}_ic.csv", b"symbol,factor_name,return_name,Kendall_tau\n")
    torn = scan_root(root)
    assert not torn.groups[KEY].payload_ready
    assert ("still-being-written", f"{KEY}_ic.csv") in {(one.code, one.file) for one in torn.all_findings()}
    assert scan_root(root, torn).groups[KEY].payload_ready


@pytest.fixture
def deny_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every factor list refuse to be opened."""

    def denied(path: str) -> int:
        if path.endswith("_factors.txt"):
            raise PermissionError(13, "Permission denied")
        return open_file(path)

    monkeypatch.setattr("mm_core.artifacts.stable_file.open_file", denied)


@pytest.mark.usefixtures("deny_factors")
@pytest.mark.parametrize("rules", [1, READING_RULES - 1])
def test_what_older_rules_took_is_not_kept_while_a_file_cannot_be_read(
    write_group: Write, monkeypatch: pytest.MonkeyPatch, rules: int
) -> None:
    root = write_group()
    with monkeypatch.context() as open_to_all:
        open_to_all.setattr("mm_core.artifacts.stable_file.open_file", open_file)
        first = scan_root(root)
    older = replace(first, groups={KEY: replace(first.groups[KEY], rules=rules)})
    scan = scan_root(root, older)
    group = scan.groups[KEY]
    assert (group.payload_ready, group.model, group.rules) == (False, None, READING_RULES)
    (finding,) = [finding for finding in group.findings if finding.code == "unreadable"]
    assert finding.remedy.endswith("Until then the group has no model: it was read by rules that no longer hold.")
    assert not list_groups(root, ReadingLimits()).differs_from(scan), "nothing new to put into service at each poll"
    monkeypatch.undo()
    assert scan_root(root, scan).groups[KEY].payload_ready


@pytest.mark.usefixtures("deny_factors")
def test_what_todays_rules_took_is_kept_while_a_file_cannot_be_read(
    write_group: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_group()
    with monkeypatch.context() as open_to_all:
        open_to_all.setattr("mm_core.artifacts.stable_file.open_file", open_file)
        first = scan_root(root)
    os.utime(root / f"{KEY}_factors.txt")
    scan = scan_root(root, first)
    assert scan.groups[KEY].payload_ready
    assert scan.groups[KEY].factors == first.groups[KEY].factors
    assert not list_groups(root, ReadingLimits()).differs_from(scan)


def test_what_older_rules_took_is_not_kept_while_somebody_writes_it(
    write_group: Write, replace_while_reading: Callable[[Path, bytes], None], booster_json: bytes
) -> None:
    root = write_group()
    first = scan_root(root)
    older = replace(first, groups={KEY: replace(first.groups[KEY], rules=READING_RULES - 1)})
    replace_while_reading(root / f"{KEY}_model.json", booster_json)
    torn = scan_root(root, older)
    assert not torn.groups[KEY].payload_ready
    assert list_groups(root, ReadingLimits()).differs_from(torn)
    assert scan_root(root, torn).groups[KEY].payload_ready


@pytest.mark.parametrize("key", ["BTC\u200bUSDT_r", "_\u202er", "BTCUSDT_\u3164"])
def test_a_file_name_that_hides_characters_stands_for_no_symbol(write_group: Write, key: str) -> None:
    root = write_group(key, ic_csv=None, info_pkl=pickle.dumps({"symbol": "a/b"}))
    listed = [listed_file(path.name, path.name, path.lstat()) for path in sorted(root.iterdir())]
    group = read_group(root, FlatGroups().claim(listed).groups[0], ReadingLimits()).group
    assert re.fullmatch("[0-9a-f]{16}", group.symbol)
    errors = [finding for finding in group.findings if finding.severity is Severity.ERROR]
    assert [error.code for error in errors] == ["bad-symbol"]
    assert f"'{group.symbol}' is used" in errors[0].sentence
