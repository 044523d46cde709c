"""Where benchmarks that tests run may work."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def work_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of temporary files, empty, and no interpreter with MLflow in the environment."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.delenv("BENCH_MLFLOW_PYTHON", raising=False)
    return path
