"""The commands on versions: the texts and columns that people know, JSON for programs, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from mm_core import versions
from mm_core.cli.app import app
from mm_core.cli.session import Session
from mm_core.cli.version_texts import size_text
from mm_core.cli.versions import versions_commands
from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionRecord
from mm_core.registry.lifecycle_changes import Author
from tests.versions.conftest import METRICS, metadata, names_below, write_run_below

PROJECT = Path(__file__).parent.parent.parent
OLD, NEW, NEWEST = "20250724_150634", "20250724_150837", "20250724_150841"
ANN = Author("ann", "figures were looked at")
Run = Callable[..., Result]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A managed root of three versions; the newest is the latest."""
    path = versions.init(tmp_path / "models")
    write_run_below(path, OLD, b"{ corrupt")
    write_run_below(path, NEW, metadata(performance_metrics={"lstm": {**METRICS, "sharpe_ratio": 82.96}}))
    write_run_below(path, NEWEST, files={"lstm_model.h5": bytes(3_000_000), "scalers.pkl": b"x"})
    (path / "latest").symlink_to(NEWEST)
    return path


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A state of its own."""
    return Session(tmp_path / "data")


@pytest.fixture
def run(root: Path, session: Session) -> Run:
    """Run a command on the root."""

    def invoke(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(versions_commands, [*arguments, "--root", str(root)], obj=session, **options)

    return invoke


def _document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout, parse_constant=lambda token: pytest.fail(token))


def test_list_prints_the_columns_that_people_know(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    assert result.stdout == (
        "Found 3 model versions:\n"
        "Version           Created              Models   Size     Sharpe Ratio\n"
        "---------------------------------------------------------------------\n"
        "20250724_150841   2025-07-24 15:08:41  1        2.9MB    1.700\n"
        "20250724_150837   2025-07-24 15:08:37  2        1.8KB    82.960\n"
        "20250724_150634   2025-07-24 15:06:34  2        1.5KB    N/A\n"
        "\n"
        "Current version (latest): 20250724_150841\n"
        "warning: implausible metrics, no reason to promote: 20250724_150837\n"
        "warning: no metadata that can be read: 20250724_150634\n"
    )


@pytest.mark.parametrize("arguments", [["init", ""], ["list", "--root", ""], ["publish", "", "--root", "models"]])
def test_an_empty_directory_of_an_unset_variable_is_not_this_one(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(versions_commands, arguments, obj=Session(None))
    assert (result.exit_code, "it is empty" in result.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_of_one_second_fits_its_column(run: Run, root: Path) -> None:
    write_run_below(root, f"{NEWEST}_2")
    assert f"{NEWEST}_2 2025-07-24 15:08:41  2" in run("list").stdout


def test_a_root_without_versions_is_told(run: Run, root: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(versions_commands, ["list", "--root", str(versions.init(tmp_path / "new"))])
    assert (result.exit_code, result.stdout) == (0, "No model versions found.\n")
    result = CliRunner().invoke(versions_commands, ["load", "--root", str(tmp_path / "new")])
    assert (result.exit_code, result.stderr.split("\n")[0]) == (1, "No model versions found.")


def test_show_prints_metrics_to_four_digits_and_weights_to_three(run: Run, root: Path) -> None:
    result = run("show", NEW)
    assert result.exit_code == 0
    assert result.stdout == (
        f"Version: {NEW}\n"
        "Created: 2025-07-24 15:08:37\n"
        f"Path: {root}/{NEW}\n"
        "Size: 1.8KB\n"
        "Available models: lstm, xgboost\n"
        "\n"
        "Performance Metrics:\n"
        "  lstm:\n"
        "    Accuracy: 0.5412\n"
        "    Sharpe Ratio: 82.9600\n"
        "    Win Rate: 0.5300\n"
        "    Max Drawdown: 0.1200\n"
        "\n"
        "Ensemble Weights:\n"
        "  lstm: 0.600\n"
        "  xgboost: 0.400\n"
        "\n"
        f"warning: {NEW}/training_metadata.json: sharpe_ratio of 'lstm' is 82.96: beyond 5 it comes of how it was "
        "computed, not of the model. Do not promote the run for its metrics; look at how they were computed.\n"
    )


def test_weights_of_models_without_a_file_are_shared_among_those_that_have_one(run: Run, root: Path) -> None:
    about = metadata(ensemble_weights={"lstm": 0.3, "xgboost": 0.2, "cnn": 0.5})
    write_run_below(root, "20250725_000000", about)
    shown = run("show", "20250725_000000").stdout
    assert (
        "Ensemble Weights:\n"
        "  lstm: 0.300 (0.600 of the models present)\n"
        "  xgboost: 0.200 (0.400 of the models present)\n"
        "  cnn: 0.500 (no file)\n"
    ) in shown
    document = _document(run("show", "20250725_000000", "--json"))
    assert document["ensemble_weights"] == {"lstm": 0.3, "xgboost": 0.2, "cnn": 0.5}
    assert document["ensemble_shares"] == pytest.approx({"lstm": 0.6, "xgboost": 0.4})


def test_bug_a_metric_that_is_missing_shows_as_not_known(run: Run, root: Path) -> None:
    about = metadata(performance_metrics={"lstm": {"accuracy": None, "win_rate": 0.5}, "gru": {}})
    write_run_below(root, "20250725_000000", about)
    result = run("show", "20250725_000000")
    assert result.exit_code == 0
    assert "    Accuracy: N/A\n    Sharpe Ratio: N/A\n    Win Rate: 0.5000\n    Max Drawdown: N/A\n" in result.stdout
    assert "20250725_000000   2025-07-25 00:00:00  2        " in run("list").stdout


def test_load_tells_how_many_models_there_are_and_which_are_missing(run: Run) -> None:
    result = run("load", "latest")
    assert result.exit_code == 0
    assert result.stdout.split("\n")[:4] == [
        "Successfully loaded 1 models: lstm",
        f"Current version: {NEWEST}",
        "1 of 2 models are present, missing: xgboost",
        "  lstm_model.h5: keras-h5, 2.9MB",
    ]
    assert "'xgboost' has the weight 0.400 and no file" in result.stdout
    assert run("load").stdout == result.stdout
    loaded = run("load", NEW).stdout
    assert loaded.startswith(f"Successfully loaded 2 models: lstm, xgboost\nCurrent version: {NEW}\n")


@pytest.mark.parametrize("command", ["show", "load", "delete", "pin"])
def test_a_version_that_is_not_there_is_told_and_ends_with_one(run: Run, command: str) -> None:
    result = run(command, "20990101_000000")
    assert result.exit_code == 1
    assert result.stderr.split("\n")[0] == "Version 20990101_000000 not found."
    problem = run(command, "20990101_000000", "--json")
    assert problem.exit_code == 1
    assert json.loads(problem.stderr)["status"] == 404


def test_delete_asks_and_no_is_the_default(run: Run, root: Path) -> None:
    for answer in ("", "\n", "n\n"):
        result = run("delete", OLD, input=answer)
        assert result.exit_code == 1
        assert "(y/N)" in result.stderr
        assert OLD in names_below(root)
    result = run("delete", OLD, input="y\n")
    assert (result.exit_code, f"Deleted version {OLD}." in result.stdout) == (0, True)
    assert OLD not in names_below(root)


def test_delete_refuses_the_word_latest_and_what_it_stands_for(run: Run, root: Path) -> None:
    result = run("delete", "latest", "--yes")
    assert (result.exit_code, f"Name the version: {NEWEST}" in result.stderr) == (2, True)
    result = run("delete", NEWEST, "--yes")
    assert (result.exit_code, "'latest' stands for it" in result.stderr) == (1, True)
    result = run("delete", NEWEST, "--yes", "--move-latest")
    assert (result.exit_code, f"Latest will be: {NEW}\n" in result.stdout) == (0, True)
    assert names_below(root) == {OLD, NEW, "latest", ".trash"}
    assert run("latest").stdout == f"Current version (latest): {NEW}\n"


def test_cleanup_lists_its_victims_asks_and_deletes(run: Run, root: Path) -> None:
    assert run("pin", NEW, "--note", "for the audit").exit_code == 0
    shown = run("cleanup", "--keep", "1", "--dry-run")
    assert shown.exit_code == 0
    assert shown.stdout == (
        f"Versions to delete: 1\n  {OLD}  1.5KB\nStays: {NEW}: it is pinned: for the audit\n"
        f"Stay as the newest 1: {NEWEST}\n"
    )
    assert run("cleanup", "--keep", "1", input="\n").exit_code == 1
    assert {OLD, NEW, NEWEST} <= names_below(root)
    result = run("cleanup", "--keep", "1", input="y\n")
    assert result.exit_code == 0
    assert result.stdout.endswith(f"Deleted version {OLD}.\n1.5KB freed.\n")
    assert {name for name in names_below(root) if name.startswith("2025")} == {NEW, NEWEST}


def test_cleanup_keeps_five_unless_told_and_says_when_there_is_nothing_to_do(run: Run, root: Path) -> None:
    assert run("cleanup").stdout == "Only 3 versions found, nothing to clean up.\n"
    for hour in range(4):
        write_run_below(root, f"20250725_0{hour}0000")
    document = _document(run("cleanup", "--dry-run", "--json"))
    assert [one["version"] for one in document["to_delete"]] == [NEW, OLD]
    assert run("cleanup", "--keep", "0").exit_code == 2


def test_what_stays_although_it_was_planned_ends_with_one(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = versions.execute

    def late(plan: versions.RemovalPlan, *settled: Any) -> versions.Removed:
        versions.pin(root, OLD)
        return real(plan, *settled)

    monkeypatch.setattr(versions, "execute", late)
    result = run("cleanup", "--keep", "1", "--yes")
    assert (result.exit_code, f"Stayed: {OLD}: it is pinned." in result.stdout) == (1, True)
    assert OLD in names_below(root)


def _stands(session: Session, name: str, version: str, status: str) -> VersionRecord:
    """Register a version at a status."""
    fields = {"model_type": "lstm", "objective": "price_prediction", "target_variable": "t", "prediction_horizon": "1d"}
    document = {"model_name": name, "model_version": version, "status": status, **fields}
    return session.registry.lifecycle.register(document, ANN).record


def test_what_the_registry_says_is_deployed_a_shadow_or_pinned_is_never_removed(
    run: Run, root: Path, session: Session
) -> None:
    deployed, shadow = _stands(session, "models", OLD, "deployed"), _stands(session, "lstm", NEW, "shadow")
    for arguments in (("cleanup", "--keep", "1", "--dry-run"), ("cleanup", "--keep", "1", "--yes")):
        result = run(*arguments)
        assert result.exit_code == 0
        assert f"Stays: {OLD}: models {OLD} is deployed (Production) in the registry.\n" in result.stdout
        assert f"Stays: {NEW}: lstm {NEW} is shadow (Staging) in the registry.\n" in result.stdout
    result = run("delete", OLD, "--yes")
    assert (result.exit_code, "is deployed (Production) in the registry." in result.stderr) == (1, True)
    lifecycle = session.registry.lifecycle
    deployed, shadow = (lifecycle.move(record, Status.DEPRECATED, ANN) for record in (deployed, shadow))
    lifecycle.set_pinned(shadow, True, ANN)
    assert f"Stays: {NEW}: lstm {NEW} is pinned in the registry.\n" in run("cleanup", "--keep", "1", "--yes").stdout
    assert {name for name in names_below(root) if name.startswith("2025")} == {NEW, NEWEST}


def test_a_version_that_is_deployed_after_it_was_planned_stays(
    run: Run, root: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = versions.execute

    def late(plan: versions.RemovalPlan, *settled: Any) -> versions.Removed:
        _stands(session, "lstm", OLD, "deployed")
        return real(plan, *settled)

    monkeypatch.setattr(versions, "execute", late)
    result = run("cleanup", "--keep", "1", "--yes")
    assert result.exit_code == 1
    assert f"Stayed: {OLD}: lstm {OLD} is deployed (Production) in the registry." in result.stdout
    assert {name for name in names_below(root) if name.startswith("2025")} == {OLD, NEWEST}


def test_a_registry_that_is_empty_says_that_it_protects_nothing_and_where_it_is(run: Run, session: Session) -> None:
    for arguments in (("cleanup", "--keep", "1", "--dry-run"), ("delete", OLD, "--dry-run")):
        result = run(*arguments)
        assert f"'{session.settings.data_dir}' is empty, so it protects no version." in result.stderr
    _stands(session, "lstm", OLD, "deployed")
    assert run("cleanup", "--keep", "1", "--dry-run").stderr == ""


def test_nothing_is_removed_while_the_registry_cannot_be_read(run: Run, root: Path, session: Session) -> None:
    _stands(session, "lstm", OLD, "deployed")
    (session.settings.data_dir / "registry.json").write_bytes(b"{")
    before = names_below(root)
    for arguments in (("cleanup", "--keep", "1", "--yes"), ("delete", OLD, "--yes")):
        result = run(*arguments)
        assert (result.exit_code, "is damaged" in result.stderr) == (1, True)
    assert names_below(root) == before


def test_documents_have_the_fields_that_programs_know(run: Run, root: Path) -> None:
    document = _document(run("list", "--json"))
    assert (document["current_version"], document["problem"]) == (NEWEST, None)
    assert [item["version"] for item in document["items"]] == [NEWEST, NEW, OLD]
    first, _, corrupt = document["items"]
    assert (first["path"], first["created"]) == (str(root / NEWEST), "2025-07-24T15:08:41+00:00")
    assert first["available_models"] == ["lstm"]
    assert first["trained_models"] == ["lstm", "xgboost"]
    assert first["performance_metrics"]["xgboost"]["sharpe_ratio"] == 1.234567
    assert first["ensemble_weights"] == {"lstm": 0.6, "xgboost": 0.4}
    assert (corrupt["trained_models"], corrupt["performance_metrics"], corrupt["ensemble_weights"]) == (None,) * 3
    assert [finding["code"] for finding in corrupt["findings"]] == ["corrupt-metadata"]
    loaded = _document(run("load", "--json"))
    assert (loaded["current_version"], loaded["missing_models"]) == (NEWEST, ["xgboost"])
    deleted = _document(run("delete", OLD, "--yes", "--json"))
    assert (deleted["deleted"], deleted["to_delete"][0]["version"]) == ([OLD], OLD)
    assert _document(run("cleanup", "--json", "--yes"))["deleted"] == []
    assert _document(run("pin", NEW, "--json")) == {"version": NEW, "pinned": True}
    assert _document(run("unpin", NEW, "--json")) == {"version": NEW, "pinned": False}
    moved = _document(run("latest", NEW, "--json"))
    assert moved == {"current_version": NEW, "source": "link", "problem": None}


@pytest.mark.parametrize("command", [("list",), ("show", NEW), ("load", NEW)])
def test_a_file_whose_name_is_no_utf_8_is_written_into_documents_with_escapes(
    run: Run, root: Path, command: tuple[str, ...]
) -> None:
    Path(os.fsdecode(os.fsencode(root / NEW) + b"/\xff_model.h5")).write_bytes(b"x")
    result = run(*command, "--json")
    assert result.exit_code == 0
    assert "\\\\udcff_model.h5" in result.stdout


def test_a_directory_is_published_as_the_latest(run: Run, root: Path, tmp_path: Path) -> None:
    source = write_run_below(tmp_path, "my-training")
    document = _document(run("publish", str(source), "--json"))
    assert document["available_models"] == ["lstm", "xgboost"]
    assert versions.current_version(root).version == document["version"]
    assert re.search(r"Version \d{8}_\d{6}(_\d+)? is published: 2 models, 2.0KB\.", run("publish", str(source)).stdout)


def test_a_root_that_nobody_manages_is_listed_and_never_changed(tmp_path: Path) -> None:
    write_run_below(tmp_path / "models", OLD)
    write_run_below(tmp_path / "models", NEW)
    root = ["--root", str(tmp_path / "models")]
    state = ["--data-dir", str(tmp_path / "data")]
    assert CliRunner().invoke(app, ["versions", "list", *root]).exit_code == 0
    for command in (["delete", OLD, "--yes"], ["cleanup", "--keep", "1", "--yes"], ["publish", str(tmp_path)]):
        result = CliRunner().invoke(app, [*state, "versions", *command, *root])
        assert (result.exit_code, "is read only here" in result.stderr) == (1, True)
    assert CliRunner().invoke(app, ["init", str(tmp_path / "models"), "--json"]).exit_code == 0
    assert CliRunner().invoke(app, [*state, "versions", "delete", OLD, "--yes", *root]).exit_code == 0
    assert not (tmp_path / "data").exists(), "looking into an empty registry makes none"


@pytest.mark.parametrize("arguments", [["nonsense"], ["show"], ["cleanup", "--keep", "few"], ["list", "--rot", "x"]])
def test_wrong_usage_ends_with_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(versions_commands, arguments).exit_code == 2


def test_a_root_that_is_not_there_ends_with_one() -> None:
    result = CliRunner().invoke(versions_commands, ["list", "--root", "/nowhere"])
    assert (result.exit_code, result.stderr.startswith("error: '/nowhere' cannot be opened")) == (1, True)


def test_both_programs_run_the_same_commands(root: Path) -> None:
    told = [
        subprocess.run(
            [sys.executable, *start, "list", "--root", str(root)], cwd=PROJECT, capture_output=True, check=True
        )
        for start in (["manage_models.py"], ["-m", "mm_core", "versions"])
    ]
    assert told[0].stdout == told[1].stdout
    assert told[0].stdout.startswith(b"Found 3 model versions:\n")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0B"), (1023, "1023.0B"), (1024, "1.0KB"), (2_516_582, "2.4MB"), (5 << 30, "5.0GB"), (5 << 40, "5120.0GB")],
)
def test_sizes_are_told_in_the_largest_unit(size: int, text: str) -> None:
    assert size_text(size) == text


def test_every_command_on_versions_is_in_its_page() -> None:
    page = (PROJECT / "docs" / "versions.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(versions_commands)
    names = set(getattr(commands, "commands", {}))
    assert len(names) > 8
    assert {name for name in names if f"| `{name}" not in page} == set()
