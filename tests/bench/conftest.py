"""Where benchmarks that tests run may work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.running import BENCH


@pytest.fixture
def benchmark_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's modules, which are no package, can be imported."""
    monkeypatch.syspath_prepend(str(BENCH))


@pytest.fixture
def work_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of temporary files, empty, and no interpreter with MLflow in the environment."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.delenv("BENCH_MLFLOW_PYTHON", raising=False)
    return path
