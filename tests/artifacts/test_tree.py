"""Listing a tree: nothing is followed out of it, nothing blocks."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.stable_file import read_stable
from mm_core.artifacts.tree import list_tree
from mm_core.errors import UnreadableArtifact

LIMITS = ReadingLimits()


def _codes(root: Path, limits: ReadingLimits = LIMITS) -> dict[str, str]:
    return {finding.file: finding.code for finding in list_tree(root, limits).findings}


def test_files_are_listed_recursively_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/x.txt", "a.txt", "b/c/y.txt", ".hidden", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [file.path for file in list_tree(tmp_path, LIMITS).files] == ["a.txt", "b/c/y.txt", "b/x.txt"]


def test_a_link_that_leaves_the_root_is_a_finding_and_no_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("keys")
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    assert list_tree(root, LIMITS).files == ()
    assert _codes(root) == {"file": "link-leaves-root", "folder": "link-leaves-root"}


def test_a_link_within_the_root_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert [file.path for file in list_tree(tmp_path, LIMITS).files] == ["link", "real"]
    assert read_stable(tmp_path, "link", 10) == b"x"


def test_loops_and_broken_links_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "up").symlink_to(".")
    (tmp_path / "gone").symlink_to("nowhere")
    assert _codes(tmp_path) == {"a": "link-loop", "b": "link-loop", "up": "link-loop", "gone": "broken-link"}


def test_a_linked_directory_of_the_root_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x").write_text("x")
    (tmp_path / "newest").symlink_to("run")
    assert [file.path for file in list_tree(tmp_path, LIMITS).files] == ["run/x"]
    assert _codes(tmp_path) == {"newest": "linked-directory"}


def test_links_named_latest_are_told_with_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "m" / "run").mkdir(parents=True)
    (tmp_path / "m" / "run" / "x").write_text("x")
    (tmp_path / "m" / "latest").symlink_to("run")
    (tmp_path / "latest").symlink_to(tmp_path / "m" / "latest")
    tree = list_tree(tmp_path, LIMITS)
    assert [file.path for file in tree.files] == ["m/run/x"]
    assert (dict(tree.latest), tree.findings) == ({"": "m/run", "m": "m/run"}, ())


def test_fifos_and_sockets_are_findings_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe_model.json")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert _codes(tmp_path) == {"pipe_model.json": "not-a-file", "s": "not-a-file"}


def test_names_that_are_no_text_are_findings(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff_model.json"))).write_text("")
    (tmp_path / "line\nfeed_model.json").write_text("")
    tree = list_tree(tmp_path, LIMITS)
    assert tree.files == ()
    assert [finding.code for finding in tree.findings] == ["file-name", "file-name"]


def test_trees_beyond_the_limits_end_with_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    assert _codes(tmp_path, ReadingLimits(tree_depth=2)) == {"a/b/c": "tree-too-deep"}
    for number in range(5):
        (tmp_path / f"f{number}").write_text("")
    assert "tree-too-large" in _codes(tmp_path, ReadingLimits(tree_entries=3)).values()


def test_a_file_above_its_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(UnreadableArtifact) as caught:
        read_stable(tmp_path, "big", 64 << 20)
    assert caught.value.code == "file-too-large"


def test_a_fifo_that_took_a_files_place_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(UnreadableArtifact) as caught:
        read_stable(tmp_path, "x", 10)
    assert caught.value.code == "not-a-file"


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    real, looks = os.fstat, []

    def fstat_while_somebody_writes(descriptor: int) -> os.stat_result:
        looks.append(descriptor)
        if len(looks) == 2:
            path.write_bytes(b"new content")
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", fstat_while_somebody_writes)
    assert read_stable(tmp_path, "x", 100) == b"new content"
    assert len(looks) == 4


def test_a_file_that_never_rests_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    real = os.fstat

    def fstat_while_somebody_appends(descriptor: int) -> os.stat_result:
        with open(path, "ab") as file:
            file.write(b".")
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", fstat_while_somebody_appends)
    with pytest.raises(UnreadableArtifact) as caught:
        read_stable(tmp_path, "x", 1000)
    assert caught.value.code == "still-being-written"
