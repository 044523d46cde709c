"""Versions over HTTP: bodies, statuses, conditions, tokens, and two promoters of a real server."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import Client, TestResponse

from mm_core.api import create_app
from mm_core.registry import Registry
from mm_core.settings import Settings
from tests.api.answers import json_of
from tests.api.conftest import RunningServer
from tests.api.test_openapi import DOCUMENT
from tests.asking import http
from tests.registry.test_lifecycle import FIELDS, NAME


def _register(client: Client, version: str = "v1.0.0", **fields: Any) -> dict[str, Any]:
    return json_of(client.post("/api/versions", json={**FIELDS, "model_version": version, **fields}))


def _move(client: Client, version: str, status: str, name: str = NAME, **rest: Any) -> TestResponse:
    body = {"status": status, "note": "because", "actor": "ann", **rest}
    return client.post(f"/api/models/{name}/versions/{version}/status", json=body)


@pytest.fixture
def three(client: Client) -> Client:
    """v1.0.0 was deployed and is a shadow, v1.1.0 is deployed, v2.0.0 is in training."""
    for version in ("v1.0.0", "v1.1.0"):
        _register(client, version)
        json_of(_move(client, version, "validated"))
        json_of(_move(client, version, "deployed"))
    _register(client, "v2.0.0", tier_requirement="enterprise", model_type="xgboost")
    return client


def test_a_registration_answers_the_record_its_stage_and_warnings(client: Client) -> None:
    document = _register(client, "1.0.0", actor="ann")
    assert list(document) == [
        "model_id", "model_name", "model_version", "model_type", "objective", "target_variable", "prediction_horizon",
        "created_at", "updated_at", "validation_score", "test_score", "tier_requirement", "status", "pinned", "stage",
        "created", "warnings",
    ]  # fmt: skip
    assert (document["model_version"], document["status"], document["stage"], document["tier_requirement"]) == (
        "v1.0.0", "training", "None", "premium"
    )  # fmt: skip
    assert document["created"] is True
    got = json_of(client.get(f"/api/versions/{document['model_id']}"))
    assert got == {name: value for name, value in document.items() if name not in ("created", "warnings")}


def test_a_version_that_exists_is_409_with_what_exists_and_the_remedy(client: Client) -> None:
    first = _register(client)
    problem = json_of(client.post("/api/versions", json={**FIELDS, "model_version": "1.0.0"}), 409)
    assert (problem["code"], problem["title"]) == ("ALREADY_EXISTS", "Already exists")
    assert problem["existing"] == {"model_id": first["model_id"], "status": "training"}
    assert "Model sentiment-fusion v1.0.0 already exists" in problem["detail"]
    updated = json_of(client.post("/api/versions", json={**FIELDS, "test_score": 0.5, "update": True}))
    assert (updated["created"], updated["test_score"], updated["model_id"]) == (False, 0.5, first["model_id"])


def test_every_problem_of_a_registration_is_in_the_answer(client: Client) -> None:
    problem = json_of(client.post("/api/versions", json={"model_name": NAME, "status": "active", "actor": "ann"}), 400)
    assert problem["code"] == "INVALID_VERSION"
    assert len(problem["problems"]) == 6
    for body in ([], 3, {"actor": 3}, {**FIELDS, "force": "yes"}):
        json_of(client.post("/api/versions", json=body), 400)


def test_the_list_is_filtered_by_the_query(three: Client) -> None:
    def listed(query: str) -> list[str]:
        return [item["model_version"] for item in json_of(three.get(f"/api/versions?{query}"))["items"]]

    assert listed("") == ["v2.0.0", "v1.1.0", "v1.0.0"]
    assert listed("status=shadow") == ["v1.0.0"]
    assert listed("model_type=xgboost&tier=enterprise") == ["v2.0.0"]
    assert listed("caller_tier=free") == []
    assert listed("caller_tier=premium&limit=1") == ["v1.1.0"]
    assert listed(f"model_name={NAME}&objective=direction_classification&status=training") == ["v2.0.0"]
    for query in ("status=active", "status=", "tier=gold", "limit=0", "limit=-1", "limit=x", "caller_tier=x"):
        assert "Use one of" in json_of(three.get(f"/api/versions?{query}"), 400)["detail"] or "limit" in query


@pytest.mark.parametrize("name", ["model_name", "status", "caller_tier", "limit"])
def test_a_condition_that_is_no_text_is_400_and_never_left_out(three: Client, name: str) -> None:
    assert f"?{name}= is no text" in json_of(three.get(f"/api/versions?{name}=%ff"), 400)["detail"]
    if name == "caller_tier":
        json_of(three.get(f"/api/models/{NAME}/history?caller_tier=%ff"), 400)


def test_patch_sets_scores_and_status_and_nothing_else(client: Client) -> None:
    model_id = _register(client)["model_id"]
    path = f"/api/versions/{model_id}"
    document = json_of(client.patch(path, json={"validation_score": 0.5384567, "test_score": None}))
    assert (document["validation_score"], document["test_score"]) == (0.538457, None)
    moved = json_of(client.patch(path, json={"status": "validated", "note": "looked at", "actor": "ann"}))
    assert (moved["status"], moved["stage"]) == ("validated", "Staging")
    assert moved["updated_at"] > document["updated_at"] > document["created_at"]
    assert json_of(client.patch(path, json={}), 400)["code"] == "NO_FIELDS_TO_UPDATE"
    assert "No fields to update" in json_of(client.patch(path, json={"note": "x"}), 400)["detail"]
    assert "cannot be updated" in json_of(client.patch(path, json={"tier_requirement": "free"}), 400)["detail"]
    assert "a note is needed" in json_of(client.patch(path, json={"status": "shadow"}), 400)["detail"]
    assert json_of(client.patch("/api/versions/unknown", json={"test_score": 1}), 404)["code"] == "MODEL_NOT_FOUND"
    assert client.put(path, json={}).status_code == 405


def test_a_status_is_moved_with_who_and_why_and_the_sibling_makes_room(three: Client) -> None:
    document = json_of(_move(three, "1.0.0", "deployed", note="it was better", actor="bob", demote_to="deprecated"))
    assert (document["model_version"], document["status"], document["stage"]) == ("v1.0.0", "deployed", "Production")
    history = json_of(three.get(f"/api/models/{NAME}/history"))
    demoted, deployed = history["items"][-2:]
    assert (demoted["model_version"], demoted["before"], demoted["after"]) == ("v1.1.0", "deployed", "deprecated")
    assert (deployed["actor"], deployed["note"], deployed["action"], deployed["number"]) == (
        "bob", "it was better", "deploy", len(history["items"])
    )  # fmt: skip
    assert [one["model_version"] for one in history["deployments"]] == ["v1.0.0", "v1.1.0", "v1.0.0"]
    assert [one["until"] is None for one in history["deployments"]] == [False, False, True]


def test_a_stage_stands_for_a_status(three: Client) -> None:
    path = f"/api/models/{NAME}/versions/v1.1.0/status"
    assert json_of(three.post(path, json={"stage": "Staging", "note": "x"}))["status"] == "shadow"
    assert json_of(three.post(path, json={"stage": "Production", "note": "x"}))["status"] == "deployed"
    for body in ({"note": "x"}, {"note": "x", "stage": "Staging", "status": "shadow"}):
        assert "either status or stage" in json_of(three.post(path, json=body), 400)["detail"]


def test_moves_that_are_none_are_refused_with_what_is_possible(three: Client) -> None:
    problem = json_of(_move(three, "v2.0.0", "deployed"), 409)
    assert problem["code"] == "ILLEGAL_MOVE"
    assert "'validated' or 'deprecated'" in problem["detail"]
    assert json_of(_move(three, "v3.0.0", "deployed"), 404)["code"] == "MODEL_NOT_FOUND"
    assert json_of(_move(three, "v1.0.0", "deployed", name="unknown"), 404)["code"] == "MODEL_NOT_FOUND"
    for rest in ({"note": ""}, {"note": None}, {"actor": ""}, {"demote_to": "training"}, {"force": 1}, {"note": ["x"]}):
        json_of(_move(three, "v1.0.0", "deployed", **rest), 400)
    assert json_of(_move(three, "v1.0.0", "active"), 400)["title"] == "Bad request"
    problem = json_of(_move(three, "v1.0.0", "deployed", demoteTo="x"), 400)
    assert "'demoteTo' is no field of a move" in problem["detail"]
    problem = json_of(_move(three, "v1.0.0", "validated", **{f"unknown_{at}": at for at in range(5000)}), 400)
    assert "4,980 more" in problem["detail"]
    assert len(problem["detail"]) < 1000
    assert json_of(three.get(f"/api/models/{NAME}/deployed"))["model_version"] == "v1.1.0"


def test_what_is_deployed_is_told_with_since_when_by_whom_why_and_its_challengers(three: Client) -> None:
    document = json_of(three.get(f"/api/models/{NAME}/deployed"))
    assert (document["model_version"], document["status"]) == ("v1.1.0", "deployed")
    assert (document["deployment"]["by"], document["deployment"]["why"], document["deployment"]["until"]) == (
        "ann", "because", None
    )  # fmt: skip
    assert [one["model_version"] for one in document["challengers"]] == ["v1.0.0"]
    json_of(_move(three, "v1.1.0", "deprecated"))
    problem = json_of(three.get(f"/api/models/{NAME}/deployed"), 404)
    assert problem["code"] == "MODEL_NOT_FOUND"
    assert "v1.0.0 is shadow, v1.1.0 is deprecated, v2.0.0 is training" in problem["detail"]


def test_what_was_deployed_at_a_moment_is_told(three: Client) -> None:
    first, second = json_of(three.get(f"/api/models/{NAME}/history"))["deployments"]

    def at(time: str) -> dict[str, Any]:
        return json_of(three.get(f"/api/models/{NAME}/deployed-at", query_string={"time": time}))

    assert at(first["since"])["version"]["model_version"] == "v1.0.0"
    assert at(first["since"])["deployment"]["ended_by"] == "ann"
    assert at(second["since"])["version"]["model_version"] == "v1.1.0"
    nothing = at("2020-01-01T00:00:00Z")
    assert (nothing["version"], nothing["deployment"], nothing["model_name"]) == (None, None, NAME)
    for query in ("", "time=", "time=2026-04-03", "time=2026-04-03T12:00:00+02:00"):  # an unescaped + is a space
        assert "%2B" in json_of(three.get(f"/api/models/{NAME}/deployed-at?{query}"), 400)["detail"]


def test_what_a_tier_may_not_see_is_404(three: Client) -> None:
    (item,) = json_of(three.get("/api/versions?tier=enterprise"))["items"]
    path = f"/api/versions/{item['model_id']}"
    assert json_of(three.get(path + "?caller_tier=enterprise"))["model_version"] == "v2.0.0"
    assert json_of(three.get(path + "?caller_tier=premium"), 404)["code"] == "MODEL_NOT_FOUND"
    json_of(three.get(f"/api/models/{NAME}/deployed?caller_tier=free"), 404)
    assert json_of(three.get(f"/api/models/{NAME}/history?caller_tier=free"))["items"] == []


def test_every_get_has_a_tag_of_its_content_and_gives_304(three: Client) -> None:
    (item,) = json_of(three.get("/api/versions?limit=1"))["items"]
    for path in (
        "/api/versions",
        f"/api/versions/{item['model_id']}",
        f"/api/models/{NAME}/deployed",
        f"/api/models/{NAME}/history",
        f"/api/models/{NAME}/deployed-at?time=2100-01-01T00:00:00Z",
    ):
        answer = three.get(path)
        assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
        assert three.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
        assert three.head(path).headers["ETag"] == answer.headers["ETag"]


def test_a_change_on_an_older_version_of_it_is_412(three: Client) -> None:
    (item,) = json_of(three.get("/api/versions?status=shadow"))["items"]
    path = f"/api/versions/{item['model_id']}"
    seen = three.get(path).headers["ETag"]
    changed = three.patch(path, json={"test_score": 0.5}, headers={"If-Match": seen})
    assert json_of(changed)["test_score"] == 0.5
    assert changed.headers["ETag"] == three.get(path).headers["ETag"] != seen
    for answer in (
        three.patch(path, json={"test_score": 0.6}, headers={"If-Match": seen}),
        three.post(
            f"/api/models/{NAME}/versions/v1.0.0/status",
            json={"status": "deprecated", "note": "x"},
            headers={"If-Match": seen},
        ),
    ):
        assert "nothing was stored" in json_of(answer, 412)["detail"]
    assert json_of(three.get(path))["test_score"] == 0.5
    tag = changed.headers["ETag"]
    assert three.patch(path, json={"test_score": 0.7}, headers={"If-Match": f'"other", {tag}'}).status_code == 200
    assert three.patch(path, json={"test_score": 0.8}, headers={"If-Match": "*"}).status_code == 200


def test_real_answers_are_as_the_openapi_document_describes_them(three: Client) -> None:
    def is_described(schema: str, answer: TestResponse) -> None:
        root = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
        Draft202012Validator(root).validate(json_of(answer, answer.status_code))

    (item,) = json_of(three.get("/api/versions?status=shadow"))["items"]
    since = json_of(three.get(f"/api/models/{NAME}/deployed"))["deployment"]["since"]
    for schema, path in (
        ("VersionList", "/api/versions"),
        ("Version", f"/api/versions/{item['model_id']}"),
        ("DeployedVersion", f"/api/models/{NAME}/deployed"),
        ("VersionHistory", f"/api/models/{NAME}/history"),
        ("Problem", f"/api/models/{NAME}/deployed-at"),
    ):
        is_described(schema, three.get(path))
    for time in (since, "2020-01-01T00:00:00Z"):
        is_described("DeployedAt", three.get(f"/api/models/{NAME}/deployed-at", query_string={"time": time}))
    is_described("RegisteredVersion", three.post("/api/versions", json={**FIELDS, "model_version": "v3.0.0"}))
    is_described("Version", three.patch(f"/api/versions/{item['model_id']}", json={"test_score": 0.5}))
    is_described("Version", _move(three, "v1.0.0", "deployed"))
    for refused in (
        three.post("/api/versions", json={**FIELDS, "model_version": "v3.0.0"}),
        three.post("/api/versions", json={}),
        _move(three, "v1.0.0", "validated"),
    ):
        assert refused.status_code in (400, 409)
        is_described("Problem", refused)


WRITES = [
    ("post", "/api/versions", FIELDS),
    ("patch", "/api/versions/x", {"test_score": 1}),
    ("post", f"/api/models/{NAME}/versions/v1.0.0/status", {"status": "validated", "note": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_writes_need_the_token_json_and_a_page_of_this_site(
    registry: Registry, settings: Settings, method: str, path: str, body: dict[str, Any]
) -> None:
    client = Client(create_app(registry, replace(settings, write_token="secret")))
    send = getattr(client, method)
    bearer = {"Authorization": "Bearer secret"}
    assert send(path, json=body).status_code == 401
    assert send(path, json=body, headers={**bearer, "Origin": "https://evil.example"}).status_code == 403
    assert send(path, data=json.dumps(body), headers=bearer, content_type="text/plain").status_code == 415
    assert registry.view().revision == 0
    assert send(path, json=body, headers=bearer).status_code in (200, 404)
    assert client.get("/api/versions").status_code == 200


def test_a_version_whose_files_are_missing_is_409_with_the_expected_path(
    client: Client, registry: Registry, tmp_path: Path
) -> None:
    directory = tmp_path / "models" / NAME / "v1.0.0"
    directory.mkdir(parents=True)
    (directory / "metadata.json").write_text("{}")
    registry.registrations.register("all", str(tmp_path / "models"))
    assert _register(client)["warnings"] == []
    json_of(_move(client, "v1.0.0", "validated"))
    problem = json_of(_move(client, "v1.0.0", "deployed"), 409)
    assert problem["code"] == "MODEL_FILE_MISSING"
    assert str(directory) in problem["detail"]
    assert any(one.startswith(f"{NAME}/v1.0.0/model.txt: ") for one in problem["problems"])
    assert json_of(_move(client, "v1.0.0", "deployed", force=True))["status"] == "deployed"


def test_a_version_in_two_directories_is_409_and_names_them(client: Client, registry: Registry, tmp_path: Path) -> None:
    directories = [tmp_path / "models" / NAME / version for version in ("1.0.0", "v1.0.0")]
    for directory in directories:
        directory.mkdir(parents=True)
        (directory / "metadata.json").write_text("{}")
    registry.registrations.register("all", str(tmp_path / "models"))
    problem = json_of(client.post("/api/versions", json=FIELDS), 409)
    assert problem["code"] == "AMBIGUOUS_VERSION"
    assert all(f"'{directory}'" in problem["detail"] for directory in directories)
    assert json_of(client.get("/api/versions"))["items"] == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_promoters_at_once_leave_one_deployed_and_lose_no_event(
    start_server: Callable[..., RunningServer], workers: str
) -> None:
    server = start_server(WORKERS=workers)
    url, rounds, versions = server.url, 12, ("v1.0.0", "v1.1.0", "v1.2.0")
    for version in versions:
        body = {**FIELDS, "model_version": version, "status": "validated"}
        assert http.post(url + "/api/versions", json=body).status_code == 200
    done: dict[str, list[int]] = {version: [] for version in versions}

    def promote(version: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            for number in range(rounds):
                body = {"status": "deployed", "note": f"round {number}", "actor": version}
                answer = client.post(f"/api/models/{NAME}/versions/{version}/status", json=body)
                assert answer.status_code == 200, answer.text
                done[version].append(number)

    threads = [threading.Thread(target=promote, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    with httpx.Client(base_url=url) as reader:
        while any(thread.is_alive() for thread in threads):
            items = reader.get("/api/versions").json()["items"]
            assert sum(item["status"] == "deployed" for item in items) <= 1
    for thread in threads:
        thread.join()
    assert done == {version: list(range(rounds)) for version in versions}
    history = http.get(f"{url}/api/models/{NAME}/history").json()
    standing = dict.fromkeys(versions, "validated")
    for event in history["items"][3:]:
        assert event["before"] == standing[event["model_version"]]
        standing[event["model_version"]] = event["after"]
    items = http.get(url + "/api/versions").json()["items"]
    assert {item["model_version"]: item["status"] for item in items} == standing
    assert sorted(standing.values()) == ["deployed", "shadow", "shadow"]


def test_a_promotion_that_a_server_answered_is_there_after_kill_9(start_server: Callable[..., RunningServer]) -> None:
    versions, acknowledged = ("v1.0.0", "v1.1.0"), []
    for turn in range(2):
        server = start_server()
        with httpx.Client(base_url=server.url) as client:
            if turn == 0:
                for version in versions:
                    body = {**FIELDS, "model_version": version, "status": "validated"}
                    assert client.post("/api/versions", json=body).status_code == 200
            deployed = client.get(f"/api/models/{NAME}/deployed").json().get("model_version", versions[1])
            killer = threading.Timer(0.4, server.process.send_signal, (signal.SIGKILL,))
            killer.start()
            with contextlib.suppress(httpx.TransportError):
                for number in itertools.count():
                    deployed = versions[deployed == versions[0]]
                    body = {"status": "deployed", "note": f"{turn}-{number}", "actor": "ann"}
                    answer = client.post(f"/api/models/{NAME}/versions/{deployed}/status", json=body)
                    assert answer.status_code == 200, answer.text
                    acknowledged.append((deployed, f"{turn}-{number}"))
            killer.join()
        server.process.wait(10)
    assert {note[0] for _, note in acknowledged} == {"0", "1"}
    history = http.get(f"{start_server().url}/api/models/{NAME}/history").json()
    kept = [(one["model_version"], one["note"]) for one in history["items"] if one["action"] == "deploy"]
    assert set(acknowledged) <= set(kept)
    assert len(kept) <= len(acknowledged) + 2, "of each server one that was killed before it answered"
    assert sum(one["until"] is None for one in history["deployments"]) == 1
