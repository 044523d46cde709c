"""The benchmark runs from end to end and says what it measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.bench.running import run_benchmark

MLFLOW_STAND_IN = """\
#!{python}
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

if sys.argv[1] == "-c":
    print("9.9.9")
    raise SystemExit
assert sys.argv[1:6] == ["-m", "mlflow", "server", "--artifacts-only", "--serve-artifacts"], sys.argv
options = dict(zip(sys.argv[6::2], sys.argv[7::2]))

class Artifacts(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def translate_path(self, path):
        address, _, name = path.rpartition("/")
        assert address == "/api/2.0/mlflow-artifacts/artifacts", path
        return options["--artifacts-destination"] + "/" + name

ThreadingHTTPServer((options["--host"], int(options["--port"])), Artifacts).serve_forever()
"""


@pytest.fixture
def python_with_mlflow(tmp_path: Path) -> Path:
    """An interpreter that hands files out as MLflow does, and claims to have it."""
    path = tmp_path / "python-with-mlflow"
    path.write_text(MLFLOW_STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.mark.slow
def test_a_quick_run_measures_every_budget_and_leaves_nothing_behind(
    tmp_path: Path, work_place: Path, python_with_mlflow: Path
) -> None:
    done = run_benchmark("--mlflow", str(python_with_mlflow), "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "figures.json").read_text())["table"]
    judged = {row["budget"] for row in table if row["verdict"] in {"met", "MISSED"}}
    with_nginx = {"> 1/3 of nginx", "> 1/2 of nginx"}
    expected = {"> 100 × plain", "< 1.2 × alone", "< 100 ms", "< 120 MB", "< 1 s", "< 2 times"}
    assert judged == expected | (set() if "nginx is not installed" in done.stdout else with_nginx)
    for row in table:
        assert row["figure"] in done.stdout
    assert ("MISSED" in done.stdout) == any(row["verdict"] == "MISSED" for row in table)
    assert "- mlflow: 9.9.9" in done.stdout
    (grown,) = [row for row in table if row["ratio"].endswith("× one process")]
    assert grown["figure"] == "2 workers, 304, 64 connections"
    rows = {row["figure"]: row for row in table}
    for connections in ("1 connection", "64 connections"):
        name = f"2 workers, one hot symbol, {connections}"
        assert rows[name]["mlflow"].endswith(" /s")
        assert "× mlflow" in rows[name]["ratio"]
        assert "× sendfile" in rows[name]["ratio"]
        for latency in ("p50", "p99"):
            assert {rows[f"{name}: {latency}"][peer][-3:] for peer in ("ours", "sendfile", "mlflow")} == {" ms"}
        assert [rows[f"{name}: errors"][peer] for peer in ("ours", "sendfile", "mlflow")] == ["0", "0", "0"]
    assert list(work_place.iterdir()) == []
