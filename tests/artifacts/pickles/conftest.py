"""Pickles of three library generations, unpacked once a session, one test for each file."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.honest_pickles import EIGHT_GENERATIONS, THREE_GENERATIONS, unpack


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, suffix in (("info_file", "_info.pkl"), ("model_file", "_model.pkl")):
        if fixture in metafunc.fixturenames:
            with tarfile.open(THREE_GENERATIONS) as archive:
                names = sorted(name.removeprefix("./") for name in archive.getnames() if name.endswith(suffix))
            assert names, "the archive has no such files"
            metafunc.parametrize(fixture, names)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(THREE_GENERATIONS, tmp_path_factory.mktemp("generations"))


@pytest.fixture(scope="session")
def more_unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(EIGHT_GENERATIONS, tmp_path_factory.mktemp("more_generations"))


@pytest.fixture(scope="session")
def expected(unpacked: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_bytes()) for path in unpacked.glob("*/expected.json")}
