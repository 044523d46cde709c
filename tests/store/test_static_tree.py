"""The files that a web server hands out: links that always lead to a whole body, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mm_core.store import StaticTree

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the tree is."""
    return tmp_path / "static"


@pytest.fixture
def tree(path: Path) -> StaticTree:
    """An empty tree."""
    return StaticTree(path)


def _body(tmp_path: Path, content: bytes) -> Path:
    body = tmp_path / "body"
    body.write_bytes(content)
    return body


def _served(path: Path, symbol: str = "BTC", model_name: str = "m") -> bytes:
    return (path / "models" / model_name / symbol / "payload.json.gz").read_bytes()


def test_a_link_leads_to_the_body_by_its_digest(tree: StaticTree, path: Path, tmp_path: Path) -> None:
    tree.put("m", "BTC", OLD, _body(tmp_path, b"old"))
    assert _served(path) == b"old"
    assert os.path.realpath(path / "models" / "m" / "BTC") == str(path / "payloads" / OLD)


def test_a_newer_body_takes_the_place_of_the_older_one(tree: StaticTree, path: Path, tmp_path: Path) -> None:
    tree.put("m", "BTC", OLD, _body(tmp_path, b"old"))
    with open(path / "models" / "m" / "BTC" / "payload.json.gz", "rb") as reader:
        (tmp_path / "body").unlink()
        tree.put("m", "BTC", NEW, _body(tmp_path, b"new"))
        assert reader.read() == b"old", "whoever is reading goes on"
    assert _served(path) == b"new"
    assert [entry.name for entry in (path / "payloads").iterdir()] == [NEW]


def test_a_body_that_is_there_is_not_written_again(tree: StaticTree, path: Path, tmp_path: Path) -> None:
    tree.put("m", "BTC", OLD, _body(tmp_path, b"old"))
    before = os.lstat(path / "models" / "m" / "BTC").st_ino
    tree.put("m", "BTC", OLD, tmp_path / "gone")
    assert os.lstat(path / "models" / "m" / "BTC").st_ino == before
    (path / "payloads" / OLD / "payload.json.gz").unlink()
    tree.put("m", "BTC", OLD, tmp_path / "body")
    assert _served(path) == b"old"


def test_what_was_removed_leads_nowhere_and_leaves_nothing(tree: StaticTree, path: Path, tmp_path: Path) -> None:
    tree.put("m", "BTC", OLD, _body(tmp_path, b"old"))
    tree.remove("m", "BTC")
    tree.remove("m", "BTC")
    tree.remove("other", "BTC")
    assert not (path / "models" / "m" / "BTC").is_symlink()
    assert list((path / "payloads").iterdir()) == []


def test_only_what_is_named_is_kept(tree: StaticTree, path: Path, tmp_path: Path) -> None:
    body = _body(tmp_path, b"x")
    digests = {name: digit * 64 for name, digit in (("m/BTC", "1"), ("m/ETH", "2"), ("n/BTC", "3"))}
    for name, digest in digests.items():
        tree.put(*name.split("/"), digest, body)
    tree.keep_only({"m": {"BTC"}}, {digests["m/BTC"]})
    assert sorted(str(entry.relative_to(path)) for entry in path.glob("*/*/*")) == [
        "models/m/BTC", f"payloads/{digests['m/BTC']}/payload.json.gz",
    ]  # fmt: skip


@pytest.mark.parametrize("symbol", ["", ".", "..", ".hidden", "a/b", "nul\0", "x" * 201, "ä" * 101])
def test_a_symbol_that_is_no_file_name_has_no_link(tree: StaticTree, path: Path, tmp_path: Path, symbol: str) -> None:
    tree.put("m", symbol, OLD, _body(tmp_path, b"old"))
    tree.remove("m", symbol)
    assert list(path.glob("**/*")) == []


def test_a_file_system_without_hard_links_gets_copies(
    tree: StaticTree, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    tree.put("m", "BTC", OLD, _body(tmp_path, b"old"))
    assert _served(path) == b"old"
