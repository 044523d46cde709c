"""``lifecycle …``: every command, its JSON, its exit codes and its sentences."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.test_commands import Run, run

__all__ = ["run"]

NAME = "sentiment-fusion"
FIELDS = (
    "--type",
    "lightgbm",
    "--objective",
    "direction_classification",
    "--target",
    "direction_3d",
    "--horizon",
    "1w",
)
WHY = ("--note", "because", "--actor", "ann")


def _document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def two(run: Run) -> Run:
    """v1.0.0 is deployed, v1.1.0 validated."""
    for version in ("v1.0.0", "v1.1.0"):
        assert run("lifecycle", "register", NAME, version, *FIELDS).exit_code == 0
        assert run("lifecycle", "validate", NAME, version, *WHY).exit_code == 0
    assert run("lifecycle", "deploy", NAME, "1.0.0", *WHY).exit_code == 0
    return run


def _statuses(run: Run) -> dict[str, str]:
    items = _document(run("lifecycle", "list", "--json"))["items"]
    return {item["model_version"]: item["status"] for item in items}


def test_register_answers_as_http_does_and_warns_of_what_is_not_known(run: Run) -> None:
    document = _document(run("lifecycle", "register", NAME, "1.0.0", *FIELDS, "--validation-score", "0.538", "--json"))
    assert (document["model_version"], document["validation_score"], document["created"]) == ("v1.0.0", 0.538, True)
    result = run("lifecycle", "register", NAME, "v1.1.0", *FIELDS)
    assert "warning: No registered root holds" in result.stderr
    assert "sentiment-fusion v1.1.0 is training (None)." in result.stdout


def test_a_version_that_exists_ends_with_one_and_names_the_remedy(two: Run) -> None:
    result = two("lifecycle", "register", NAME, "1.0.0", *FIELDS, "--json")
    assert result.exit_code == 1
    problem = json.loads(result.stderr)
    assert (problem["status"], problem["code"], problem["existing"]["status"]) == (409, "ALREADY_EXISTS", "deployed")
    assert "--update" in problem["detail"]
    updated = two("lifecycle", "register", NAME, "1.0.0", *FIELDS, "--update", "--test-score", "0.5", "--json")
    assert (_document(updated)["test_score"], _document(updated)["status"]) == (0.5, "deployed")


@pytest.mark.parametrize(
    "arguments",
    [
        ("register", NAME, "v1.0.0"),
        ("register", NAME, "v1.0.0", *FIELDS, "--type", "catboost"),
        ("deploy", NAME, "v1.0.0"),
        ("deploy", NAME, "v1.0.0", *WHY, "--demote-to", "nothing"),
        ("list", "--limit", "0"),
        ("list", "--status", "active"),
        ("nonsense",),
    ],
)
def test_wrong_usage_ends_with_two(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("lifecycle", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("show", NAME, "v9.0.0"), "not registered"),
        (("show", "unknown-id"), "no version has the id"),
        (("deploy", NAME, "v9.0.0", *WHY), "not registered"),
        (("restore", NAME, "v1.0.0", *WHY), "only what is deprecated"),
        (("validate", NAME, "v1.0.0", *WHY), "cannot become 'validated'"),
        (("shadow", NAME, "v1.1.0", "--note", " "), "a note is needed"),
        (("update", NAME, "v1.0.0"), "No fields to update"),
        (("register", NAME, "latest", *FIELDS), "names no version"),
        (("deployed", "unknown"), "no version of 'unknown' is registered"),
        (("deployed", NAME, "--at", "2026-04-03"), "no moment"),
        (("history", "unknown"), "no version of 'unknown' is registered"),
        (("ab-test", NAME, "v1.0.0", "v1.0.0", *WHY), "its own challenger"),
        (("import", NAME, "missing.json", *FIELDS[2:]), "cannot be read"),
    ],
)
def test_what_cannot_be_done_ends_with_one_and_a_sentence(two: Run, arguments: tuple[str, ...], text: str) -> None:
    result = two("lifecycle", *arguments)
    assert (result.exit_code, result.stderr.startswith("error: ")) == (1, True)
    assert text in result.stderr


def test_a_deployment_makes_the_sibling_a_shadow_or_what_is_said(two: Run) -> None:
    document = _document(two("lifecycle", "deploy", NAME, "v1.1.0", *WHY, "--json"))
    assert (document["status"], document["stage"]) == ("deployed", "Production")
    assert _statuses(two) == {"v1.0.0": "shadow", "v1.1.0": "deployed"}
    result = two("lifecycle", "deploy", NAME, "v1.0.0", *WHY, "--demote-to", "deprecated")
    assert result.stdout == "sentiment-fusion v1.0.0 is deployed (Production).\n"
    assert _statuses(two) == {"v1.0.0": "deployed", "v1.1.0": "deprecated"}
    assert "validated (Staging)" in two("lifecycle", "restore", NAME, "v1.1.0", *WHY).stdout
    assert "shadow (Staging)" in two("lifecycle", "shadow", NAME, "v1.1.0", *WHY).stdout
    assert "deprecated (Archived)" in two("lifecycle", "deprecate", NAME, "v1.1.0", *WHY).stdout


def test_champion_and_challenger_are_set_in_one_step_and_listed(two: Run) -> None:
    assert _document(two("lifecycle", "ab-tests", "--json")) == {"items": []}
    document = _document(two("lifecycle", "ab-test", NAME, "v1.1.0", "v1.0.0", *WHY, "--json"))
    assert document["champion"]["model_version"] == "v1.1.0"
    assert _document(two("lifecycle", "ab-tests", NAME, "--json"))["items"] == [document]
    assert "v1.1.0" in two("lifecycle", "ab-tests").stdout
    assert "v1.1.0 is deployed; v1.0.0 runs beside it" in two(
        "lifecycle", "ab-test", NAME, "v1.1.0", "v1.0.0", *WHY
    ).stdout  # fmt: skip


def test_who_was_deployed_when_by_whom_and_why_is_a_command(two: Run) -> None:
    document = _document(two("lifecycle", "deployed", NAME, "--json"))
    assert (document["model_version"], document["deployment"]["by"], document["deployment"]["why"]) == (
        "v1.0.0", "ann", "because"
    )  # fmt: skip
    since = document["deployment"]["since"]
    then = _document(two("lifecycle", "deployed", NAME, "--at", since, "--json"))
    assert then["version"]["model_version"] == "v1.0.0"
    assert (
        f"sentiment-fusion v1.0.0: deployed since {since} by ann (because)."
        in two("lifecycle", "deployed", NAME).stdout
    )
    early = two("lifecycle", "deployed", NAME, "--at", "2020-01-01T00:00:00Z")
    assert (early.exit_code, "Nothing of sentiment-fusion was deployed" in early.stdout) == (0, True)


def test_history_lists_every_event_and_the_deployments(two: Run) -> None:
    document = _document(two("lifecycle", "history", NAME, "--json"))
    assert [item["action"] for item in document["items"]] == ["register", "validate"] * 2 + ["deploy"]
    assert [one["model_version"] for one in document["deployments"]] == ["v1.0.0"]
    text = two("lifecycle", "history", NAME).stdout
    assert "validated → deployed" in text
    assert "because" in text


def test_lists_and_records_are_shown_and_filtered(two: Run) -> None:
    model_id = _document(two("lifecycle", "show", NAME, "1.0.0", "--json"))["model_id"]
    assert _document(two("lifecycle", "show", model_id, "--json"))["model_version"] == "v1.0.0"
    assert model_id in two("lifecycle", "show", model_id).stdout
    listed = _document(two("lifecycle", "list", NAME, "--status", "validated", "--type", "lightgbm", "--json"))
    assert [item["model_version"] for item in listed["items"]] == ["v1.1.0"]
    assert _document(two("lifecycle", "list", "--caller-tier", "free", "--json"))["items"] == []
    assert "direction_classification" in two("lifecycle", "list").stdout


def test_scores_and_status_are_updated(two: Run) -> None:
    document = _document(two("lifecycle", "update", NAME, "v1.1.0", "--test-score", "0.5", "--json"))
    assert document["test_score"] == 0.5
    moved = two("lifecycle", "update", NAME, "v1.1.0", "--status", "shadow", "--note", "because")
    assert (moved.exit_code, _statuses(two)["v1.1.0"]) == (0, "shadow")


def test_pins_and_other_names_are_set_and_taken_away(two: Run) -> None:
    assert _document(two("lifecycle", "pin", NAME, "v1.1.0", *WHY, "--json"))["pinned"] is True
    assert "is not pinned" in two("lifecycle", "unpin", NAME, "v1.1.0", *WHY).stdout
    assert _document(two("lifecycle", "alias", NAME, "sentiment", "--json"))["aliases"] == ["sentiment"]
    assert _document(two("lifecycle", "deployed", "sentiment", "--json"))["model_name"] == NAME
    assert "nothing else" in two("lifecycle", "alias", NAME, "sentiment", "--remove").stdout


def test_who_runs_a_command_is_kept(run: Run) -> None:
    run("lifecycle", "register", NAME, "v1.0.0", *FIELDS)
    (event,) = _document(run("lifecycle", "history", NAME, "--json"))["items"]
    assert event["actor"] == getpass.getuser()


def test_a_registry_file_without_an_end_is_refused(run: Run) -> None:
    result = run("lifecycle", "import", NAME, "/dev/zero", *FIELDS[2:])
    assert result.exit_code == 1
    assert "more than 64 MiB" in result.stderr


def test_a_registry_file_is_imported_with_its_oddities_told(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "model-registry.json"
    entry = {"model_version": "v1.1.0", "algorithm": "LightGBM", "is_active": False, "deployment_status": "active"}
    file.write_text(json.dumps({"models": [entry], "active_model": "v1.1.0"}))
    document = _document(run("lifecycle", "import", NAME, str(file), *FIELDS[2:], "--json"))
    assert [item["status"] for item in document["items"]] == ["validated"]
    assert len(document["warnings"]) == 2
    again = run("lifecycle", "import", NAME, str(file), *FIELDS[2:])
    assert "warning: " in again.stderr
    assert "sentiment-fusion v1.1.0 is validated (Staging)." in again.stdout
    (event,) = _document(run("lifecycle", "history", NAME, "--json"))["items"]
    assert event["note"] == "imported from model-registry.json"
