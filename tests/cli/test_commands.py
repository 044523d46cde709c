"""The command line: every command, its JSON, its exit codes and its sentences."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from mm_core.cli.app import app
from tests.artifacts.runs.training import write_trained_run
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, metadata, write_version

__all__ = ["lightgbm_booster", "write_version"]

PROJECT = Path(__file__).parent.parent.parent
SYMBOL = "SOLUSDT"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a state of its own."""
    monkeypatch.setenv("MODEL_MANAGER_DATA_DIR", str(tmp_path / "data"))

    def invoke(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(app, list(arguments), **options)

    return invoke


@pytest.fixture
def root(write_group: Callable[..., Path]) -> Path:
    """A directory with one whole group."""
    return write_group(f"{SYMBOL}_mid_chg_1m")


@pytest.fixture
def registered(run: Run, root: Path) -> Run:
    """The command line after ``register m``."""
    assert run("register", "m", str(root)).exit_code == 0
    return run


def _document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_register_answers_as_http_does(run: Run, root: Path) -> None:
    document = _document(run("register", "m", str(root), "--json"))
    assert (document["model_name"], document["root_path"], document["symbols"]) == ("m", str(root), [SYMBOL])


def test_list_symbols_factors_and_show_tell_what_is_registered(registered: Run) -> None:
    assert [item["model_name"] for item in _document(registered("list", "--json"))["items"]] == ["m"]
    assert _document(registered("symbols", "m", "--json"))["items"][0]["payload_ready"] is True
    assert _document(registered("factors", "m", "--json"))["factor_count"] == 3
    assert _document(registered("show", "m", "--json"))["group_count"] == 1
    assert _document(registered("show", "m", "solusdt", "--json"))["model_meta"]["num_trees"] == 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("list",), "SOLUSDT|m"),
        (("symbols", "m"), "SOLUSDT_mid_chg_1m"),
        (("factors", "m"), "momentum_5"),
        (("show", "m"), "1 symbols in 1 groups"),
        (("show", "m", SYMBOL), "volatility_20"),
        (("config", "get", "m", SYMBOL), "spread_3"),
        (("config", "history", "m", SYMBOL), "create"),
        (("settings",), "MODEL_MANAGER_WATCH_DEBOUNCE"),
        (("doctor",), "healthy"),
    ],
)
def test_tables_for_people_cut_no_name(registered: Run, arguments: tuple[str, ...], text: str) -> None:
    result = registered(*arguments)
    assert result.exit_code == 0
    assert re.search(text, result.output)


def test_a_config_is_set_listed_and_restored(registered: Run, tmp_path: Path) -> None:
    before = _document(registered("config", "get", "m", SYMBOL, "--json"))
    assert before[SYMBOL]["mean_values"] == [0.2, 0.2, 0.2]
    before[SYMBOL]["mean_values"] = [1, 2, 3]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(before))
    saved = _document(registered("config", "set", "m", SYMBOL, str(file), "--note", "because", "--json"))
    assert saved[SYMBOL]["mean_values"] == [1.0, 2.0, 3.0]
    history = _document(registered("config", "history", "m", SYMBOL, "--json"))["items"]
    assert [(row["revision"], row["by"], row["note"]) for row in history] == [(1, "scan", ""), (2, "cli", "because")]
    assert history[1]["changes"]["momentum_5"]["after"] == {"mean": 1.0, "variance": 1.0}
    restored = _document(registered("config", "restore", "m", SYMBOL, "1", "--json"))
    assert restored[SYMBOL]["mean_values"] == [0.2, 0.2, 0.2]
    then = _document(registered("config", "get", "m", SYMBOL, "--revision", "2", "--json"))
    assert then == saved


def test_a_config_comes_from_standard_input_too(registered: Run) -> None:
    body = json.dumps({SYMBOL: {"mean_values": [0, 0, 0], "variance_values": [1, 1, 1]}})
    assert (
        _document(registered("config", "set", "m", SYMBOL, "-", "--json", input=body))[SYMBOL]["mean_values"] == [0] * 3
    )


def test_the_normalizer_of_a_version_is_set_listed_and_restored_to_what_its_files_say(
    run: Run, write_version: WriteVersion
) -> None:
    name, version = "sentiment-fusion", "v1.1.0"
    assert run("register", "models", str(write_version())).exit_code == 0
    before = _document(run("normalizer", "get", name, "1.1.0", "--json"))
    assert before[version]["variance_values"] == [4.0] * 4
    after = {version: {**before[version], "mean_values": [1, 2, 3, 4]}}
    saved = _document(
        run("normalizer", "set", name, version, "-", "--note", "drift", "--json", input=json.dumps(after))
    )
    assert saved[version]["mean_values"] == [1.0, 2.0, 3.0, 4.0]
    (row,) = _document(run("normalizer", "history", name, version, "--json"))["items"]
    assert (row["revision"], row["by"], row["note"], len(row["changes"])) == (1, "cli", "drift", 4)
    assert re.search("revision 1.*momentum_5d", run("normalizer", "get", name, version).output, re.DOTALL)
    refused = run("normalizer", "restore", name, version, "0", "--expected-revision", "0")
    assert (refused.exit_code, "is at revision 1" in refused.stderr) == (1, True)
    assert _document(run("normalizer", "restore", name, version, "0", "--json")) == before
    assert _document(run("normalizer", "get", name, version, "--revision", "1", "--json")) == saved
    assert run("config", "get", name, version).exit_code == 1, "a version is no symbol"


def test_a_file_that_was_read_before_a_version_was_trained_anew_is_refused(
    run: Run, write_version: WriteVersion, tmp_path: Path
) -> None:
    place = ("sentiment-fusion", "v1.1.0")
    root = write_version()
    assert run("register", "models", str(root)).exit_code == 0
    document = _document(run("normalizer", "get", *place, "--json"))
    document["v1.1.0"]["mean_values"][1] = 3.0
    (tmp_path / "config.json").write_text(json.dumps(document))
    saving = ("normalizer", "set", *place, str(tmp_path / "config.json"), "--expected-revision", "0")
    new = {name: {"mean": 1.5, "std": 0.1} for name in document["v1.1.0"]["factor_names"]}
    (root.joinpath(*place) / "normalizer.json").write_text(json.dumps(new))
    assert run("refresh", "models").exit_code == 0
    refused = run(*saving)
    assert (refused.exit_code, "files were replaced" in refused.stderr) == (1, True)
    document = _document(run("normalizer", "get", *place, "--json"))
    document["v1.1.0"]["mean_values"][1] = 3.0
    (tmp_path / "config.json").write_text(json.dumps(document))
    assert run(*saving).exit_code == 0
    assert _document(run("normalizer", "get", *place, "--json"))["v1.1.0"]["mean_values"] == [1.5, 3.0, 1.5, 1.5]


def test_a_bad_config_lists_every_problem_and_ends_with_one(registered: Run) -> None:
    body = json.dumps({SYMBOL: {"mean_values": [0], "variance_values": [0, 1, -1]}})
    result = registered("config", "set", "m", SYMBOL, "-", "--json", input=body)
    assert result.exit_code == 1
    problem = json.loads(result.stderr)
    assert problem["status"] == 400
    assert "3 problem(s)" in problem["detail"]


def test_a_config_on_an_older_revision_is_refused(registered: Run) -> None:
    body = json.dumps({SYMBOL: {"mean_values": [0, 0, 0], "variance_values": [1, 1, 1]}})
    assert registered("config", "set", "m", SYMBOL, "-", input=body).exit_code == 0
    result = registered("config", "set", "m", SYMBOL, "-", "--expected-revision", "1", input=body)
    assert (result.exit_code, "is at revision 2" in result.stderr) == (1, True)


def test_refresh_reads_what_changed(registered: Run, root: Path) -> None:
    (root / f"{SYMBOL}_mid_chg_1m_ic.csv").unlink()
    document = _document(registered("refresh", "m", "--json"))
    assert any("_ic.csv" in warning for warning in document["warnings"])


def test_delete_asks_first(registered: Run) -> None:
    assert registered("delete", "m", input="n\n").exit_code == 1
    assert len(_document(registered("list", "--json"))["items"]) == 1
    assert _document(registered("delete", "m", "--yes", "--json"))["deleted"] is True
    assert _document(registered("list", "--json"))["items"] == []


def test_check_ends_with_one_for_errors_and_registers_nothing(run: Run, write_group: Callable[..., Path]) -> None:
    root = write_group("A_r", ic_csv=None)
    assert run("check", str(root)).exit_code == 0
    assert run("check", str(root), "--strict").exit_code == 1
    write_group("B_r", model_json=b"{}")
    result = run("check", str(root), "--json")
    assert result.exit_code == 1
    assert {row["code"] for row in json.loads(result.stdout)["findings"]} == {"missing-file", "bad-model"}
    assert _document(run("list", "--json"))["items"] == []


def test_check_tells_of_symbols_with_several_groups(run: Run, write_group: Callable[..., Path]) -> None:
    write_group("A_x")
    result = run("check", str(write_group("A_y")))
    assert (result.exit_code, "A: A_x, A_y" in result.output) == (1, True)


def test_check_lists_versions_with_their_findings(run: Run, write_version: WriteVersion) -> None:
    root = write_version(metadata_json=metadata("1.1.0"))
    write_version("v1.2.0", normalizer_json=None)
    result = run("check", str(root), "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["group_count"], document["version_count"], document["passed"]) == (0, 2, False)
    first, second = document["versions"]
    assert (first["path"], first["version"], first["layout"], first["can_predict"]) == (
        "sentiment-fusion/v1.1.0", "v1.1.0", "versions", True
    )  # fmt: skip
    assert [finding["code"] for finding in first["findings"]] == ["version-prefix"]
    assert [finding["code"] for finding in second["findings"]] == ["normalizer-missing", "duplicate-model-file"]
    table = run("check", str(root)).output
    assert "sentiment-fusion/v1.2.0" in table
    assert "0 groups, 2 versions, 3 findings." in table


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        ({}, (0, 0, 0)),
        ({"metadata_json": metadata("1.1.0")}, (0, 1, 1)),
        ({"test_evaluation_json": None}, (0, 0, 1)),
        ({"feature_importance_csv": None, "test_evaluation_json": None}, (0, 0, 1)),
        ({"model_txt": None}, (1, 1, 1)),
    ],
)
def test_check_is_as_strict_as_it_is_asked_to_be(
    run: Run, write_version: WriteVersion, files: dict[str, Any], codes: tuple[int, ...]
) -> None:
    root = str(write_version(**files))
    assert tuple(run("check", root, *option).exit_code for option in ((), ("--strict",), ("--strict-all",))) == codes


@pytest.mark.parametrize(
    ("files", "can"),
    [({}, True), ({"xgboost_model_pkl": None}, False), ({"scalers_pkl": b"joblib, perhaps"}, False)],
)
def test_check_says_which_runs_can_predict(run: Run, tmp_path: Path, files: dict[str, bytes | None], can: bool) -> None:
    write_trained_run(tmp_path / "runs", **files)
    result = run("check", str(tmp_path / "runs"), "--json")
    (version,) = json.loads(result.stdout)["versions"]
    assert (result.exit_code, version["layout"], version["can_predict"]) == (0, "runs", can)


def test_check_tells_of_a_version_in_two_directories_that_neither_can_predict(
    run: Run, write_version: WriteVersion
) -> None:
    write_version("v1.0.0", metadata_json=metadata("v1.0.0"))
    root = write_version("1.0.0", metadata_json=metadata("v1.0.0"))
    write_version("v1.1.0")
    result = run("check", str(root), "--json")
    found = {one["path"].rpartition("/")[2]: one for one in json.loads(result.stdout)["versions"]}
    assert result.exit_code == 1
    assert {name: one["can_predict"] for name, one in found.items()} == {
        "1.0.0": False,
        "v1.0.0": False,
        "v1.1.0": True,
    }
    codes = [finding["code"] for name in ("1.0.0", "v1.0.0") for finding in found[name]["findings"]]
    assert codes.count("duplicate-version") == 1
    lines = [re.split(r"\s*│\s*", line) for line in run("check", str(root)).stdout.splitlines() if "versions │" in line]
    assert {line[1].rpartition("/")[2]: line[-3] for line in lines} == {"1.0.0": "0", "v1.0.0": "1", "v1.1.0": "0"}


def test_check_names_the_files_that_strict_all_asks_for(run: Run, write_version: WriteVersion) -> None:
    root = write_version(feature_importance_csv=None, test_evaluation_json=None)
    document = json.loads(run("check", str(root), "--strict-all", "--json").stdout)
    assert [(finding["code"], finding["file"]) for finding in document["findings"]] == [
        ("importance-missing", "sentiment-fusion/v1.1.0/feature_importance.csv"),
        ("evaluation-missing", "sentiment-fusion/v1.1.0/test_evaluation.json"),
    ]


def test_check_without_a_directory_is_wrong_usage(run: Run) -> None:
    assert run("check").exit_code == 2
    assert run("check", ".", "--strict-none").exit_code == 2


def test_list_and_show_count_versions(run: Run, write_version: WriteVersion) -> None:
    root = write_version()
    assert _document(run("register", "m", str(root), "--json"))["version_count"] == 1
    assert _document(run("list", "--json"))["items"][0]["version_count"] == 1
    assert "0 symbols in 0 groups and 1 versions of" in run("show", "m").output


def test_doctor_finds_a_root_that_vanished_and_orphaned_blobs(registered: Run, root: Path, tmp_path: Path) -> None:
    root.rename(tmp_path / "moved")
    result = registered("doctor", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["healthy"], "does not exist" in document["problems"][0]) == (False, True)


def test_doctor_names_damage_and_repairs_it_after_asking(registered: Run, tmp_path: Path) -> None:
    path = tmp_path / "data" / "registry.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    found = registered("doctor")
    assert (found.exit_code, f"'{path}' is damaged" in found.stdout) == (1, True)
    refused = registered("doctor", "--repair", input="n\n")
    assert (refused.exit_code, "Nothing: both are of revision 1." in refused.stderr) == (1, True)
    assert path.read_bytes() == whole[:-20]
    document = _document(registered("doctor", "--repair", "--yes", "--json"))
    assert document["healthy"] is True
    assert [(one["path"], one["lost"]) for one in document["repaired"]] == [
        (str(path), "Nothing: both are of revision 1.")
    ]
    assert path.read_bytes() == whole
    assert _document(registered("doctor", "--repair", "--json"))["repaired"] == []


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "JSON"])
def test_doctor_says_that_it_cleans_nothing_beside_damage(registered: Run, tmp_path: Path, form: list[str]) -> None:
    next((tmp_path / "data" / "scans").rglob("shard-*")).write_bytes(b"{")
    result = registered("doctor", "--clean", "--yes", *form)
    assert (result.exit_code, "No blob was removed: mend the store first" in result.stderr) == (1, True)


def test_doctor_reads_groups_again_whose_scan_was_damaged(registered: Run, tmp_path: Path) -> None:
    next((tmp_path / "data" / "scans").rglob("shard-*")).write_bytes(b"{")
    assert registered("doctor").exit_code == 1
    assert registered("doctor", "--repair", "--yes").exit_code == 0
    assert _document(registered("symbols", "m", "--json"))["items"][0]["symbol"] == SYMBOL


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "JSON"])
def test_doctor_says_which_model_a_repair_could_not_put_into_service_again(
    registered: Run, root: Path, tmp_path: Path, form: list[str]
) -> None:
    root.rename(tmp_path / "moved")
    next((tmp_path / "data" / "scans").rglob("shard-*")).write_bytes(b"{")
    result = registered("doctor", "--repair", "--yes", *form)
    assert (result.exit_code, "Model 'm' is out of service: " in result.stdout) == (1, True)


def test_doctor_makes_copies_again_where_all_of_them_are_gone(registered: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    files = [data / "registry.json", *(data / "configs").rglob("*.json")]
    assert _document(registered("doctor", "--json"))["notes"] == []
    shutil.rmtree(data / "copies")
    found = registered("doctor")
    assert (found.exit_code, "There is no second copy of the state yet" in found.stdout) == (0, True)
    repaired = registered("doctor", "--repair", "--yes")
    assert (repaired.exit_code, f"Second copies made: {len(files)}." in repaired.stdout) == (0, True)
    assert "no second copy" not in repaired.stdout
    for path in files:
        assert (data / "copies" / path.relative_to(data)).read_bytes() == path.read_bytes()
    again = _document(registered("doctor", "--repair", "--json"))
    assert (again["healthy"], again["copies_made"], again["notes"]) == (True, 0, [])


def test_doctor_makes_no_copy_where_its_repair_is_declined(registered: Run, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data" / "copies")
    next((tmp_path / "data" / "scans").rglob("shard-*")).write_bytes(b"{")
    assert registered("doctor", "--repair", input="n\n").exit_code == 1
    assert not (tmp_path / "data" / "copies").exists()


def test_doctor_leaves_what_has_no_copy_to_a_backup(registered: Run, tmp_path: Path) -> None:
    backup = tmp_path / "backup.zip"
    assert registered("backup", str(backup)).exit_code == 0
    for place in ("data", "data/copies"):
        (tmp_path / place / "registry.json").write_bytes(b"{")
    left = registered("doctor", "--repair", "--yes")
    assert (left.exit_code, "There is no good copy: restore a backup." in left.stderr) == (1, True)
    assert registered("restore", str(backup), "--yes").exit_code == 0
    assert registered("doctor").exit_code == 0


def test_a_backup_is_made_checked_and_restored(registered: Run, tmp_path: Path) -> None:
    backup = tmp_path / "backup.zip"
    made = _document(registered("backup", str(backup), "--json"))
    assert (made["file"], made["revision"], made["format"], made["files"]) == (str(backup), 1, 3, 4)
    again = registered("backup", str(backup))
    assert (again.exit_code, "--force" in again.stderr) == (1, True)
    assert registered("backup", str(backup), "--force").exit_code == 0
    assert registered("delete", "m", "--yes").exit_code == 0
    checked = _document(registered("restore", str(backup), "--dry-run", "--json"))
    assert (checked["restored"], checked["revision"]) == (False, 1)
    assert _document(registered("list", "--json"))["items"] == []
    assert registered("restore", str(backup), input="n\n").exit_code == 1
    assert _document(registered("list", "--json"))["items"] == []
    done = _document(registered("restore", str(backup), "--yes", "--json"))
    assert (done["restored"], done["revision_before"], done["revision_now"]) == (True, 2, 3)
    assert Path(done["kept"]).is_file()
    assert _document(registered("list", "--json"))["items"][0]["model_name"] == "m"


def test_a_file_that_is_no_backup_is_one_sentence(registered: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.zip"
    path.write_text("no archive")
    for more in (["--dry-run"], ["--yes"]):
        refused = registered("restore", str(path), *more)
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert "is no whole backup" in refused.stderr


@pytest.mark.parametrize(
    "arguments", [("show", "nope"), ("refresh", "nope"), ("register", "bad name", "."), ("check", "/nowhere")]
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_one(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_settings_that_are_refused_end_with_two(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_HTTP_PRT", "1")
    assert run("list").exit_code == 2


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mm_core", "--data-dir", str(tmp_path), "list", "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"items": []}


def _commands() -> dict[str, Any]:
    """Return every command by its name, such as ``config get``."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        below = getattr(command, "commands", {})
        found.update({f"{name} {sub}": one for sub, one in below.items()} or {name: command})
    return found


def test_every_command_is_in_the_documentation() -> None:
    page = (PROJECT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for spelled in _commands():
        assert f"| `{spelled}" in page, spelled


def test_every_option_that_a_command_cannot_do_without_is_in_its_row_of_the_documentation() -> None:
    page = (PROJECT / "docs" / "command-line.md").read_text(encoding="utf-8")
    needed = [
        (spelled, option.opts[0])
        for spelled, command in _commands().items()
        for option in command.params
        if option.required and option.param_type_name == "option"
    ]
    assert ("lifecycle pin", "--note") in needed
    for spelled, option in needed:
        (row,) = re.findall(rf"^\| `{spelled}[ `].*", page, re.MULTILINE)
        assert f"`{option}`" in row, spelled
