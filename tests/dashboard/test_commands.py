"""The lines that pages offer to copy do what they say, in a shell and in Python, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mm_core.dashboard.commands import change_by_command_line, change_by_http, pull_by_curl, pull_by_python
from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import FEATURES
from tests.dashboard.conftest import PROJECT
from tests.dashboard.version_states import FAMILY, lightgbm_booster, version_state, write_version

__all__ = ["lightgbm_booster", "version_state", "write_version"]


@pytest.fixture
def base(state: dict[str, str], payload_server: str) -> str:
    """The address of a server with models ``horizon`` and ``longer``."""
    return payload_server


def _run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_lines_for_curl_pull_once_and_ask_then(base: str, tmp_path: Path) -> None:
    done = _run(["bash", "-e", "-c", pull_by_curl(base, "horizon", "SOLUSDT")], tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "304"), done.stderr
    assert '"payload"' in (tmp_path / "SOLUSDT.json").read_text()


def test_the_lines_for_python_make_a_booster_and_keep_a_copy(base: str, tmp_path: Path) -> None:
    lines = pull_by_python(base, "horizon", "SOLUSDT") + "\nprint(booster.num_boosted_rounds(), payload.factor_names)"
    done = _run([sys.executable, "-c", lines], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "momentum_5" in done.stdout
    assert len(list((tmp_path / "payloads").glob("horizon-solusdt-*"))) == 1


def test_the_lines_for_a_change_by_http_store_it_and_refuse_the_second_one(base: str, tmp_path: Path) -> None:
    lines = change_by_http(base, "horizon", "SOLUSDT", with_token=False)
    read, _, write = lines.partition("# edit mean_values and variance_values in config.json, then:\n")
    edit = "sed -i 's/1.5,2.5/1.25,2.5/' config.json\n"
    done = _run(["bash", "-e", "-c", f"{read}{edit}{write}\n{write}"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"mean_values":[1.25,2.5,3.5]' in done.stdout
    assert '"status":412' in done.stdout


def test_the_lines_for_a_change_by_command_line_store_it(state: dict[str, str], tmp_path: Path) -> None:
    lines = change_by_command_line("horizon", "SOLUSDT", 2).replace(".venv/bin/python", sys.executable)
    read, _, write = lines.partition("# edit mean_values and variance_values in config.json, then:\n")
    edit = "sed -i 's/1.5/1.25/' config.json\n"
    done = _run(["bash", "-e", "-c", read + edit + write], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    config = open_registry(load_settings(state)).configs.get("horizon", "SOLUSDT")
    assert (config.config.mean_values[0], config.record.revision) == (1.25, 3)


def test_the_lines_for_a_version_refuse_a_file_that_was_read_before_it_was_trained_anew(
    version_state: Registry, tmp_path: Path
) -> None:
    lines = change_by_command_line(FAMILY, "v1.1.0", 0, is_version=True).replace(".venv/bin/python", sys.executable)
    read, _, write = lines.partition("# edit mean_values and variance_values in config.json, then:\n")
    assert _run(["bash", "-e", "-c", read + "sed -i '0,/0.5/s//1.25/' config.json\n"], tmp_path).returncode == 0
    new = {name: {"mean": 1.5, "std": 0.1} for name in FEATURES}
    (tmp_path / "root" / FAMILY / "v1.1.0" / "normalizer.json").write_text(json.dumps(new))
    version_state.registrations.refresh("fusion")
    refused = _run(["bash", "-e", "-c", write], tmp_path)
    assert (refused.returncode, "files were replaced" in refused.stderr) == (1, True), refused.stdout
    done = _run(["bash", "-e", "-c", read + "sed -i '0,/1.5/s//1.25/' config.json\n" + write], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    current = version_state.normalizers.get(FAMILY, "v1.1.0")
    assert (current.config.mean_values, current.record.revision) == ((1.25, 1.5, 1.5, 1.5), 1)
