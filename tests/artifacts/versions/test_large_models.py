"""A model of any size is summarised in bounded memory, away from whoever asked, with progress."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from mm_core.artifacts import reading_defects
from mm_core.artifacts.limits import MEBIBYTE
from mm_core.artifacts.scan import scan_root
from mm_core.store import BlobDirectory
from tests.artifacts.versions.conftest import FEATURES, WriteVersion
from tests.artifacts.versions.large_models import write_large_model

PROJECT = Path(__file__).parents[3]

READER = """
import json, os, resource, sys
from pathlib import Path
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import list_groups
from mm_core.artifacts.read_version import read_version
from mm_core.store.blobs import BlobDirectory
from mm_core.artifacts.stable_file import identity_of, open_stable
root, limits = Path(sys.argv[1]), ReadingLimits()
(listed,) = list_groups(root, limits).versions
taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[3]),) * 2)
version = read_version(root, listed, limits).version
(file,) = [file for file in listed.files if file.path.endswith("model.txt")]
with open_stable(root, file.path, limits.model_bytes, identity_of(file)) as content:
    kept = BlobDirectory(Path(sys.argv[2])).put_file(content, version.model.sha256, ".txt")
print(json.dumps([version.booster.num_trees, version.model.sha256, kept]))
"""


@pytest.fixture(scope="module")
def wide_trees() -> str:
    """A booster of large trees."""
    generator = np.random.default_rng(5)
    features = generator.normal(size=(4000, len(FEATURES)))
    data = lightgbm.Dataset(features, features[:, 0] * features[:, 1], feature_name=list(FEATURES))
    parameters = {"objective": "regression", "num_leaves": 255, "min_data_in_leaf": 1, "verbose": -1, "num_threads": 1}
    return lightgbm.train(parameters, data, 4).model_to_string()


def test_trees_that_are_written_many_times_are_what_lightgbm_reads(tmp_path: Path, wide_trees: str) -> None:
    count = write_large_model(tmp_path / "model.txt", wide_trees, MEBIBYTE)
    booster = lightgbm.Booster(model_file=str(tmp_path / "model.txt"))
    assert booster.num_trees() == count > 20
    once = lightgbm.Booster(model_str=wide_trees).feature_importance("split")
    np.testing.assert_array_equal(booster.feature_importance("split"), once * (count // 4))


def test_a_model_is_summarised_and_kept_in_less_memory_than_it_has_bytes(
    write_version: WriteVersion, wide_trees: str, tmp_path: Path
) -> None:
    root = write_version()
    path = root / "sentiment-fusion" / "v1.1.0" / "model.txt"
    count = write_large_model(path, wide_trees, 64 * MEBIBYTE)
    command = [sys.executable, "-c", READER, str(root), str(tmp_path / "blobs"), str(24 * MEBIBYTE)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    assert json.loads(done.stdout) == [count, sha256, True]
    assert BlobDirectory(tmp_path / "blobs").location(sha256, ".txt").stat().st_size == path.stat().st_size


def test_a_large_model_is_read_by_another_process_with_progress(
    write_version: WriteVersion, wide_trees: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(*_: object) -> None:
        raise AssertionError("a large model is read in the process that asked")

    monkeypatch.setattr(reading_defects, "read_version", here)
    root = write_version()
    write_large_model(root / "sentiment-fusion" / "v1.1.0" / "model.txt", wide_trees, 20 * MEBIBYTE)
    progress: list[tuple[int, int]] = []
    scan = scan_root(root, progress=lambda *at: progress.append(at))
    assert [done for done, _ in progress] == [8, 16, 21]
    assert {total for _, total in progress} == {21}
    assert scan.versions["sentiment-fusion/v1.1.0"].booster is not None
