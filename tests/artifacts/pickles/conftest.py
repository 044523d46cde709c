"""Pickles of three library generations, unpacked once a session, one test for each file."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

ARCHIVE = Path(__file__).parents[2] / "fixtures" / "pickles.tar.xz"
MORE = Path(__file__).parent / "more_generations.tar.xz"
"""Eight more generations, Python 3.7 with pandas 0.25 and XGBoost 1.3 to Python 3.13, with more shapes of data."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, suffix in (("info_file", "_info.pkl"), ("model_file", "_model.pkl")):
        if fixture in metafunc.fixturenames:
            with tarfile.open(ARCHIVE) as archive:
                names = sorted(name.removeprefix("./") for name in archive.getnames() if name.endswith(suffix))
            assert names, "the archive has no such files"
            metafunc.parametrize(fixture, names)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("generations")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.fixture(scope="session")
def more_unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("more_generations")
    with tarfile.open(MORE) as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.fixture(scope="session")
def expected(unpacked: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_bytes()) for path in unpacked.glob("*/expected.json")}
