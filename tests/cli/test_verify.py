"""``verify``: its exit codes, its JSON, its table."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.cli.test_commands import Run, run
from tests.cli.test_lifecycle_commands import FIELDS, NAME

__all__ = ["lightgbm_booster", "run", "write_version"]


@pytest.fixture
def root(run: Run, write_version: WriteVersion) -> Path:
    """A registered root with a deployed version."""
    root = write_version()
    assert run("register", "all", str(root)).exit_code == 0
    deployed = ("--status", "deployed", "--note", "because")
    assert run("lifecycle", "register", NAME, "v1.1.0", *FIELDS, *deployed).exit_code == 0
    return root


def test_a_version_that_passes_ends_with_zero_and_no_process_is_left(run: Run, root: Path) -> None:
    result = run("verify", NAME, "1.1.0")
    assert result.exit_code == 0, result.output
    assert f"{NAME} v1.1.0, deployed (Production): PASS" in result.stdout
    for name in ("structure", "permissions", "registration", "path resolution", "test prediction"):
        (line,) = [line for line in result.stdout.splitlines() if line.lstrip("│ ").startswith(name)]
        assert "PASS" in line
    assert "1 verified, 0 failed, 0 warnings." in result.stdout
    assert psutil.Process().children(recursive=True) == []


def test_a_check_that_fails_ends_with_one_and_shows_its_remedy(run: Run, root: Path) -> None:
    (root / NAME / "v1.1.0" / "normalizer.json").unlink()
    result = run("verify", NAME, "v1.1.0")
    assert result.exit_code == 1
    assert "MODEL_FILE_MISSING" in result.stdout
    assert "Copy normalizer.json of the same training" in result.stdout
    assert "1 verified, 1 failed, 0 warnings." in result.stdout


def test_every_version_is_verified_as_strict_json(run: Run, root: Path, write_version: WriteVersion) -> None:
    write_version("v1.2.0")
    run("refresh", "all")
    result = run("verify", "--all", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["passed"]) == (0, True)
    assert document["unregistered"] == [str(root / NAME / "v1.2.0")]
    (one,) = document["versions"]
    assert (one["model_name"], one["model_version"], one["stage"], one["passed"]) == (
        NAME, "v1.1.0", "Production", True
    )  # fmt: skip
    assert [check["outcome"] for check in one["checks"]] == ["PASS"] * 5
    (notice,) = [notice for check in one["checks"] for notice in check["warnings"]]
    assert notice["code"] == "DUPLICATE_MODEL_FILE"
    strict = run("verify", NAME, "--all", "--strict", "--json")
    assert (strict.exit_code, json.loads(strict.stdout)["passed"]) == (1, False)


def test_several_versions_are_one_table_and_every_failure_with_its_remedy(
    run: Run, root: Path, write_version: WriteVersion
) -> None:
    write_version("v1.2.0", normalizer_json=None)
    run("refresh", "all")
    run("lifecycle", "register", NAME, "v1.2.0", *FIELDS)
    result = run("verify", "--all")
    assert result.exit_code == 1
    cells = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    rows = {row[2]: row[4:10] for row in cells if len(row) == 11 and row[1] == NAME}
    assert rows["v1.1.0"] == ["PASS"] * 6
    assert rows["v1.2.0"] == ["FAIL", "PASS", "PASS", "FAIL", "FAIL", "FAIL"]
    assert "Copy normalizer.json of the same training" in result.stdout
    assert "2 verified, 1 failed" in result.stdout


def test_names_that_lead_out_of_a_root_fail_and_show_what_they_hide(run: Run, root: Path) -> None:
    result = run("verify", "../\x1b[31mroot", "v1.1.0")
    assert (result.exit_code, "\x1b[31m" in result.stdout, "can name no model" in result.stdout) == (1, False, True)
    result = run("verify", NAME, "../v1.1.0", "--json")
    checks = json.loads(result.stdout)["versions"][0]["checks"]
    assert (result.exit_code, {check["outcome"] for check in checks}) == (1, {"FAIL"})
    assert all(check["remedy"] for check in checks)


@pytest.mark.parametrize("arguments", [(), (NAME,), (NAME, "v1.1.0", "--all"), (NAME, "v1.1.0", "more")])
def test_anything_else_is_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("verify", *arguments).exit_code == 2


def test_an_unknown_family_ends_with_one_and_nothing_registered_with_zero(run: Run) -> None:
    result = run("verify", "unknown", "--all")
    assert (result.exit_code, "no version of 'unknown' is registered" in result.stderr) == (1, True)
    result = run("verify", "--all")
    assert (result.exit_code, "0 verified" in result.stdout) == (0, True)


def test_a_model_that_broke_after_its_deployment_is_found_by_verifying_all(run: Run, root: Path) -> None:
    (root / NAME / "v1.1.0" / "model.txt").write_text("tree\n")
    result = run("verify", "--all", "--json")
    checks = {check["check"]: check for check in json.loads(result.stdout)["versions"][0]["checks"]}
    assert (result.exit_code, checks["structure"]["code"]) == (1, "CANNOT_PREDICT")
    assert checks["path resolution"]["code"] == "NOT_IN_SERVICE"
