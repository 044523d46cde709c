"""Digests of a group's files, as they are on disk at the moment of asking."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_core.domain.groups import Group
from mm_core.errors import InvalidRoot, ModelNotFound
from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.wiring import open_registry

Write = Callable[..., Path]
KEY = "SOLUSDT_mid_chg_1m"


def _register(registry: Registry, root: Path) -> Group:
    return registry.registrations.register("m", str(root)).scan.groups[KEY]


def test_each_file_has_the_sha256_of_its_bytes(
    registry: Registry, write_group: Write, booster_pickle: bytes, tree_digest: Callable[[Path], str]
) -> None:
    root = write_group(KEY, "nested/deep", model_pkl=booster_pickle)
    group, before = _register(registry, root), tree_digest(root)
    expected = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("SOL*")
    }
    assert registry.registrations.file_digests("m", group) == expected
    assert len(expected) == 5
    assert tree_digest(root) == before


def test_digests_are_those_of_now_and_not_of_the_scan(registry: Registry, write_group: Write) -> None:
    root = write_group(KEY)
    group = _register(registry, root)
    (root / f"{KEY}_factors.txt").write_bytes(b"")
    found = registry.registrations.file_digests("m", group)
    assert found[f"{KEY}_factors.txt"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_file_that_cannot_be_read_has_its_reason_and_the_others_their_digest(
    registry: Registry, write_group: Write, tmp_path: Path
) -> None:
    root = write_group(KEY)
    group = _register(registry, root)
    (tmp_path / "secret").write_text("elsewhere")
    gone, linked, fifo, kept = (root / f"{KEY}_{end}" for end in ("ic.csv", "factors.txt", "info.pkl", "model.json"))
    for path in (gone, linked, fifo):
        path.unlink()
    linked.symlink_to(tmp_path / "secret")
    os.mkfifo(fifo)
    assert registry.registrations.file_digests("m", group) == {
        gone.name: "The file cannot be opened (No such file or directory).",
        linked.name: "The file is outside the registered root.",
        fifo.name: "This is no regular file.",
        kept.name: hashlib.sha256(kept.read_bytes()).hexdigest(),
    }
    gone.write_text("back")
    assert registry.registrations.file_digests("m", group)[gone.name] == hashlib.sha256(b"back").hexdigest()


def test_a_file_above_the_limit_is_not_read(write_group: Write, tmp_path: Path) -> None:
    given = {"DATA_DIR": str(tmp_path / "data"), "MAX_MODEL_MB": "2", "MAX_FILE_MB": "1"}
    registry = open_registry(load_settings({f"MODEL_MANAGER_{name}": value for name, value in given.items()}))
    root = write_group(KEY)
    group = _register(registry, root)
    os.truncate(root / f"{KEY}_factors.txt", 2 << 20)
    os.truncate(root / f"{KEY}_model.json", (2 << 20) + 1)
    found = registry.registrations.file_digests("m", group)
    assert found[f"{KEY}_model.json"] == "The file has 2,097,153 bytes, at most 2,097,152 are read."
    whole = hashlib.sha256((root / f"{KEY}_factors.txt").read_bytes()).hexdigest()
    assert found[f"{KEY}_factors.txt"] == whole


def test_a_model_that_nobody_registered_and_a_root_that_is_gone_are_errors(
    registry: Registry, write_group: Write, tmp_path: Path
) -> None:
    root = write_group(KEY)
    group = _register(registry, root)
    with pytest.raises(ModelNotFound, match="No model 'other'"):
        registry.registrations.file_digests("other", group)
    root.rename(tmp_path / "moved")
    with pytest.raises(InvalidRoot, match="does not exist"):
        registry.registrations.file_digests("m", group)
