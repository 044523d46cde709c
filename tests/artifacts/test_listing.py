"""A look at what changed says the same as a listing of the whole root, or that it cannot tell."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.artifacts.limits import READING_RULES, ReadingLimits
from mm_core.artifacts.listing import Listing, list_groups, look_again
from mm_core.artifacts.version_files import version_of
from mm_core.domain.groups import Scan
from tests.store.test_contract import make_group

LIMITS = ReadingLimits(tree_depth=2)
KEYS = ("AAA_r", "BBB_r", "CCC_r")
SUFFIXES = ("_model.json", "_factors.txt", "_ic.csv")


def _scan_of(listing: Listing) -> Scan:
    groups = {
        files.group_key: replace(make_group(files.group_key), files=files.files, rules=READING_RULES)
        for files in listing.groups
    }
    versions = {files.path: version_of(files, ()) for files in listing.versions}
    return Scan("2026", groups, listing.findings, versions, listing.latest)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three groups, one of them in a folder."""
    return _filled(tmp_path / "root")


def _filled(root: Path) -> Path:
    for folder, key in (("", KEYS[0]), ("", KEYS[1]), ("run", KEYS[2])):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for suffix in SUFFIXES:
            (root / folder / (key + suffix)).write_text("x")
    return root


def _again(root: Path, change: Callable[[], Path]) -> tuple[Listing | None, Listing]:
    before = _scan_of(list_groups(root, LIMITS))
    touched = change()
    return look_again(root, before, {str(touched)}, LIMITS), list_groups(root, LIMITS)


def _replaced(path: Path, text: str = "other") -> Path:
    temporary = path.with_name(".tmp")
    temporary.write_text(text)
    temporary.rename(path)
    return path


@pytest.mark.parametrize("path", ["AAA_r_model.json", "run/CCC_r_ic.csv", "AAA_r_model.pkl", "DDD_r_model.json"])
def test_a_file_that_was_replaced_or_is_new_needs_no_listing(root: Path, path: str) -> None:
    found, all_of_it = _again(root, lambda: _replaced(root / path))
    assert found == all_of_it
    assert found.differs_from(_scan_of(list_groups(_filled(root.with_name("before")), LIMITS)))


def test_a_file_or_a_whole_group_that_is_gone_needs_no_listing(root: Path) -> None:
    before = _scan_of(list_groups(root, LIMITS))
    gone = [root / (KEYS[0] + "_ic.csv"), *(root / (KEYS[1] + suffix) for suffix in SUFFIXES)]
    for path in gone:
        path.unlink()
    found = look_again(root, before, [str(path) for path in gone], LIMITS)
    assert found == list_groups(root, LIMITS)
    assert [files.group_key for files in found.groups] == ["AAA_r", "CCC_r"]


def test_hidden_files_and_temporary_ones_that_are_gone_change_nothing(root: Path) -> None:
    before = _scan_of(list_groups(root, LIMITS))
    (root / ".hidden").write_text("x")
    found = look_again(root, before, [str(root / ".hidden"), str(root / "AAA_r_model.json.tmp")], LIMITS)
    assert found == list_groups(root, LIMITS)
    assert not found.differs_from(before)


def _new_folder(root: Path) -> Path:
    (root / "new").mkdir()
    (root / "new" / "DDD_r_model.json").write_text("x")
    return root / "new"


def _folder_gone(root: Path) -> Path:
    shutil.rmtree(root / "run")
    return root / "run"


def _second_run(root: Path) -> Path:
    (root / "run" / "AAA_r_model.json").write_text("x")
    return root / "run" / "AAA_r_model.json"


def _link(root: Path) -> Path:
    (root / "AAA_r_info.pkl").symlink_to(root / "BBB_r_ic.csv")
    return root / "AAA_r_info.pkl"


def _second_name(root: Path) -> Path:
    os.link(root / "BBB_r_ic.csv", root / "AAA_r_model.pkl")
    return root / "BBB_r_ic.csv"


def _folder_with_a_files_name(root: Path) -> Path:
    (root / "DDD_r_model.json").mkdir()
    return root / "DDD_r_model.json"


def _other_file(root: Path) -> Path:
    (root / "README").write_text("x")
    return root / "README"


def _hidden_character(root: Path) -> Path:
    return _replaced(root / "BTC\u200bUSDT_r_factors.txt")


def _hidden_character_in_a_folder(root: Path) -> Path:
    (root / "r\u202eun").mkdir()
    return _replaced(root / "r\u202eun" / "DDD_r_factors.txt")


def _too_deep(root: Path) -> Path:
    (root / "a" / "b" / "c").mkdir(parents=True)
    return _replaced(root / "a" / "b" / "c" / "DDD_r_factors.txt")


def _folder_that_is_a_link(root: Path) -> Path:
    outside = _filled(root.with_name("outside"))
    (root / "also").symlink_to(outside / "run")
    return _replaced(root / "also" / "DDD_r_model.json")


def _no_utf8(root: Path) -> Path:
    """What is told of it is a stand-in."""
    _replaced(Path(os.fsdecode(os.fsencode(root) + b"/\xff_r_factors.txt")))
    return root / "\ufffd_r_factors.txt"


@pytest.mark.parametrize(
    "change", [_hidden_character, _hidden_character_in_a_folder, _too_deep, _folder_that_is_a_link, _no_utf8]
)
def test_a_look_takes_nothing_that_a_listing_passes_over(root: Path, change: Callable[[Path], Path]) -> None:
    found, all_of_it = _again(root, lambda: change(root))
    assert (found, [files.group_key for files in all_of_it.groups]) == (None, list(KEYS))
    assert len(all_of_it.findings) == 1


def test_a_file_in_the_deepest_folder_that_is_listed_needs_no_listing(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    found, all_of_it = _again(root, lambda: _replaced(root / "a" / "b" / "DDD_r_factors.txt"))
    assert found == all_of_it
    assert "DDD_r" in [files.group_key for files in found.groups]


@pytest.mark.parametrize(
    "change", [_new_folder, _folder_gone, _second_run, _link, _folder_with_a_files_name, _other_file, lambda root: root]
)
def test_anything_else_is_left_to_a_listing(root: Path, change: Callable[[Path], Path]) -> None:
    assert _again(root, lambda: change(root))[0] is None


def test_two_names_of_one_file_are_left_to_a_listing(root: Path) -> None:
    _second_name(root)
    assert _again(root, lambda: _replaced(root / "AAA_r_model.pkl"))[0] is None


def test_a_root_with_findings_is_left_to_a_listing(root: Path) -> None:
    (root / "BBB_r_info.pkl").symlink_to("/nowhere")
    assert _again(root, lambda: _replaced(root / "AAA_r_ic.csv"))[0] is None


Change = Callable[[Path, str], list[str]]


def _told(path: Path) -> str:
    """Return a path as events tell it: what is no text has a stand-in."""
    return os.fsencode(path).decode("utf-8", "replace")


def _write(root: Path, path: str) -> list[str]:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    return [_told(_replaced(root / path))] if not (root / path).is_dir() else []


def _remove(root: Path, path: str) -> list[str]:
    (root / path).unlink(missing_ok=True)
    return [_told(root / path)]


def _link_to(root: Path, path: str) -> list[str]:
    if not os.path.lexists(root / path):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(root / "BBB_r_ic.csv")
    return [_told(root / path)]


def _link_second_name(root: Path, path: str) -> list[str]:
    if not os.path.lexists(root / path):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "AAA_r_ic.csv").touch()
        os.link(root / "AAA_r_ic.csv", root / path)
    return [_told(root / path), _told(root / "AAA_r_ic.csv")]


def _link_folder(root: Path, path: str) -> list[str]:
    if not os.path.lexists(root / "also"):
        (root / "also").symlink_to(root / "run")
    return [_told(root / "also" / Path(path).name), _told(root / "also")]


CHANGES: tuple[Change, ...] = (_write, _write, _write, _remove, _remove, _link_to, _link_second_name, _link_folder)

names = st.builds(
    lambda folder, key, suffix: f"{folder}{key}{suffix}",
    st.sampled_from(["", "", "run/", "new/", "a/b/", "a/b/c/", "r\u200bun/", ".hidden/", "a/.b/", "also/"]),
    st.sampled_from([*KEYS, "DDD_r", "D\u200bD_r", "\u3164_r", "\udcff_r", "\udcfe_r", "x" * 200, ".h", "_r"]),
    st.sampled_from([*SUFFIXES, "_model.pkl", ".tmp"]),
)


of_versions = st.sampled_from(
    [
        "m/v1.0.0/model.txt",
        "m/v1.0.0/AAA_r_model.json",
        "20250724_150837/training_metadata.json",
        "20250724_150837/AAA_r_model.pkl",
        "20250724_150837/AAA_r_ic.csv",
        "latest.txt",
        "m/latest",
    ]
)


@given(st.lists(st.tuples(st.sampled_from(CHANGES), names | of_versions), max_size=6), st.sets(of_versions, max_size=3))
def test_whatever_happens_a_look_never_says_something_else_than_a_listing(
    changes: list[tuple[Change, str]], starting: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = _filled(Path(directory) / "root")
        for folder in ("new", "a/b", "a/.b"):
            (root / folder).mkdir(parents=True)
        for path in starting:
            _write(root, path)
        scan = _scan_of(list_groups(root, LIMITS))
        folders = {path for path in root.rglob("*") if path.is_dir()}
        touched = [path for change, name in changes for path in change(root, name)]
        touched += [_told(path) for path in root.rglob("*") if path.is_dir() and path not in folders]
        found = look_again(root, scan, touched, LIMITS)
        assert found is None or found == list_groups(root, LIMITS)
