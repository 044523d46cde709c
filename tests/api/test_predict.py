"""Predictions over HTTP: by feature name, by versions that run, in a process of their own that ends with the server."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import lightgbm
import numpy as np
import psutil
import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.errors import PredictionFailed
from mm_core.prediction import Predictor
from mm_core.registry import Registry
from mm_core.registry import predictions as predictions_module
from mm_core.settings import Settings, load_settings
from mm_core.wiring import open_registry
from tests.api.answers import json_of
from tests.api.conftest import RunningServer, register
from tests.api.test_openapi import DOCUMENT
from tests.artifacts.versions.conftest import CLASSES, FEATURES, WriteVersion, lightgbm_booster, write_version
from tests.asking import http
from tests.registry.test_lifecycle import FIELDS, NAME
from tests.waiting import wait_until

__all__ = ["lightgbm_booster", "write_version"]

PREDICT = f"/api/models/{NAME}/versions/v1.1.0/predict"
ROW = dict.fromkeys(FEATURES, 0.25)


def _register(client: Client, version: str = "v1.1.0", status: str = "deployed", **fields: Any) -> None:
    about = {"model_version": version, "status": status, "note": "because", **fields}
    json_of(client.post("/api/versions", json={**FIELDS, **about}))


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    """A registry whose predictors leave nothing behind."""
    registry = open_registry(settings)
    yield registry
    registry.predictions.close()
    assert registry.predictions.pids() == ()


@pytest.fixture
def held(client: Client, registry: Registry, write_version: WriteVersion) -> Client:
    """A root with v1.1.0, of which nothing is registered yet."""
    registry.registrations.register("models", str(write_version()))
    return client


@pytest.fixture
def deployed(held: Client) -> Client:
    """The same, deployed."""
    _register(held)
    return held


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What predictions log, by event."""
    lines: list[tuple[str, dict[str, Any]]] = []

    class Log:
        def info(self, event: str, **about: Any) -> None:
            lines.append((event, about))

        warning = info

    monkeypatch.setattr(predictions_module, "log", Log())
    return lines


def test_rows_by_feature_name_are_predicted_as_lightgbm_does(
    deployed: Client, lightgbm_booster: lightgbm.Booster
) -> None:
    matrix = np.random.default_rng(2).normal(size=(6, 4))
    rows = [dict(reversed(list(zip(FEATURES, row, strict=True)))) for row in matrix.tolist()]
    document = json_of(deployed.post(PREDICT, json={"rows": rows}))
    expected = lightgbm_booster.predict((matrix - 0.5) / 2.0)
    for prediction, shares in zip(document["predictions"], expected, strict=True):
        assert list(prediction["probabilities"]) == list(CLASSES)
        assert list(prediction["probabilities"].values()) == pytest.approx(list(shares), abs=1e-12)
        assert prediction["class_name"] == CLASSES[int(np.argmax(shares))]
        assert prediction["confidence"] == pytest.approx(max(shares), abs=1e-12)
        assert (
            prediction["signal"] == {"DOWN": "BEARISH", "NEUTRAL": "NEUTRAL", "UP": "BULLISH"}[prediction["class_name"]]
        )
    assert (document["kind"], document["classes"], document["extra_features"]) == ("multiclass", list(CLASSES), [])
    assert (document["status"], document["counts"], document["model_version"]) == ("deployed", True, "v1.1.0")
    schema = {"$ref": "#/components/schemas/VersionPrediction", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(document)


def test_missing_features_are_named_all_at_once_and_extra_ones_are_reported(deployed: Client) -> None:
    row = {"spread": 1.0, "volume": None, "colour": 3, "size": 4}
    problem = json_of(deployed.post(PREDICT, json={"rows": [row]}), 400)
    assert problem["missing"] == ["momentum_5d", "volatility_20d"]
    assert "'momentum_5d', 'volatility_20d'" in problem["detail"]
    document = json_of(deployed.post(PREDICT, json={"rows": [{**ROW, **row}]}))
    assert document["extra_features"] == ["colour", "size"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{}", b'{"rows": 3}', b'{"rows": []}', b'{"rows": [3]}', b'{"rows": [{"spread": "x"}]}',
        b'{"rows": [{"spread": true}]}', b'{"rows": [{"spread": 1, "spread": 2}]}', b'{"rows": [{"spread": NaN}]}',
        b'{"rows": [{"spread": 1e999}', b"", b"\xff",
    ],
)  # fmt: skip
def test_bodies_that_are_no_rows_are_400_with_a_sentence(deployed: Client, body: bytes) -> None:
    problem = json_of(deployed.post(PREDICT, data=body, content_type="application/json"), 400)
    assert problem["detail"].endswith((".", "…"))


def test_too_many_rows_are_refused_before_anything_is_predicted(deployed: Client) -> None:
    problem = json_of(deployed.post(PREDICT, json={"rows": [ROW] * 10_001}), 413)
    assert "10,000 rows" in problem["detail"]


def test_a_question_with_more_than_rows_is_refused_as_it_would_be_answered_without(deployed: Client) -> None:
    problem = json_of(deployed.post(PREDICT, json={"rows": [ROW], "threshold": 0.9}), 400)
    assert "threshold" in problem["detail"]


def test_only_what_runs_predicts_and_the_answer_says_what_to_do(held: Client) -> None:
    def asked(status: int) -> str:
        problem = json_of(held.post(PREDICT, json={"rows": [ROW]}), status)
        assert problem["code"] == "MODEL_NOT_FOUND"
        return str(problem["detail"])

    assert "is not registered" in asked(404)
    assert "Its directory exists" in asked(404)
    _register(held, status="validated")
    json_of(held.post(f"/api/models/{NAME}/versions/1.1.0/status", json={"status": "deprecated", "note": "no"}))
    assert "lifecycle restore" in asked(404)
    json_of(held.post(f"/api/models/{NAME}/versions/1.1.0/status", json={"status": "validated", "note": "yes"}))
    assert "is 'validated', and only what is deployed or a shadow predicts. To ask it, deploy it" in asked(404)
    path = f"/api/models/{NAME}/versions/1.1.0/status"
    json_of(held.post(path, json={"status": "shadow", "note": "because"}))
    document = json_of(held.post(PREDICT, json={"rows": [ROW]}))
    assert (document["status"], document["counts"]) == ("shadow", False)
    json_of(held.post(path, json={"status": "deprecated", "note": "because"}))
    assert "is 'deprecated'" in asked(404)
    unknown = held.post(PREDICT.replace("v1.1.0", "v9.0.0"), json={"rows": [ROW]})
    assert json_of(unknown, 404)["code"] == "MODEL_NOT_FOUND"


def test_shadows_beside_what_is_deployed_vote_in_the_log_and_nowhere_else(
    deployed: Client, registry: Registry, write_version: WriteVersion, logged: list[tuple[str, dict[str, Any]]]
) -> None:
    root = write_version("v1.2.0", normalizer_json={name: {"mean": 9.0, "std": 1.0} for name in FEATURES})
    write_version("v1.3.0", normalizer_json=None)
    registry.registrations.refresh("models")
    for version in ("v1.2.0", "v1.3.0"):
        _register(deployed, version, "shadow")
    document = json_of(deployed.post(PREDICT, json={"rows": [ROW, ROW]}))
    wait_until(lambda: len(logged) == 3)
    by_version = {about["version"]: (event, about) for event, about in logged}
    event, champion = by_version["v1.1.0"]
    assert (event, champion["counts"], champion["rows"], champion["status"]) == ("votes", True, 2, "deployed")
    event, shadow = by_version["v1.2.0"]
    assert (event, shadow["counts"], shadow["question"]) == ("shadow_votes", False, champion["question"])
    assert len(shadow["votes"]) == 2
    assert shadow["votes"] != champion["votes"], "its own normalizer was used"
    event, broken = by_version["v1.3.0"]
    assert event == "shadow_vote_failed"
    assert "normalizer.json" in broken["reason"]
    assert (root / NAME / "v1.2.0").is_dir()
    assert [one["class_name"] for one in document["predictions"]] == [vote[0] for vote in champion["votes"]]
    assert "v1.2.0" not in json.dumps(document), "nothing of a shadow is in what bots are told"


def test_a_shadow_that_hangs_holds_no_answer_up_and_is_left_out_when_too_many_wait(
    deployed: Client,
    registry: Registry,
    write_version: WriteVersion,
    logged: list[tuple[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_version("v1.2.0")
    registry.registrations.refresh("models")
    _register(deployed, "v1.2.0", "shadow")
    released = threading.Event()
    predict = Predictor.predict

    def hang(self: Predictor, *arguments: Any) -> Any:
        if threading.current_thread().name == "shadow-votes" and not released.wait(20):
            raise PredictionFailed("too late")
        return predict(self, *arguments)

    monkeypatch.setattr(Predictor, "predict", hang)
    for _ in range(predictions_module.WAITING_SHADOWS + 3):
        assert deployed.post(PREDICT, json={"rows": [ROW]}).status_code == 200
    assert "shadow_votes_left_out" in [event for event, _ in logged]
    assert "shadow_votes" not in [event for event, _ in logged]
    released.set()
    wait_until(lambda: "shadow_votes" in [event for event, _ in logged])


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({"normalizer_json": {"momentum_5d": {"mean": "x", "std": 1}}}, 422, "NORMALIZER_INVALID"),
        ({"normalizer_json": None}, 409, "MODEL_FILE_MISSING"),
        ({"model_txt": "tree\nversion=v4\n"}, 409, "CANNOT_PREDICT"),
    ],
)
def test_a_version_that_was_forced_though_its_files_are_broken_says_what_is_wrong(
    client: Client, registry: Registry, write_version: WriteVersion, files: dict[str, Any], status: int, code: str
) -> None:
    registry.registrations.register("models", str(write_version(**files)))
    _register(client, force=True, note="we know")
    problem = json_of(client.post(PREDICT, json={"rows": [ROW]}), status)
    assert problem["code"] == code
    assert problem["problems"]


def _flip(blob: Path) -> None:
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)


def _zero(blob: Path) -> None:
    blob.write_bytes(bytes(blob.stat().st_size))


def _cut(blob: Path) -> None:
    blob.write_bytes(blob.read_bytes()[:-1])


def _replace_by_a_pipe(blob: Path) -> None:
    blob.unlink()
    os.mkfifo(blob)


@pytest.fixture
def blob(deployed: Client, settings: Settings) -> Path:
    """What is kept of the model that is deployed."""
    (blob,) = [path for path in (settings.data_dir / "blobs" / "models").rglob("*") if path.is_file()]
    return blob


@pytest.mark.parametrize("damage", [_flip, _zero, _cut, _replace_by_a_pipe, Path.unlink])
def test_what_is_kept_of_a_model_and_damaged_is_made_again_from_its_file(
    deployed: Client, blob: Path, damage: Callable[[Path], object]
) -> None:
    whole = blob.read_bytes()
    damage(blob)
    json_of(deployed.post(PREDICT, json={"rows": [ROW]}))
    assert blob.read_bytes() == whole


def test_a_model_that_is_damaged_after_it_predicted_is_made_again_for_the_next_child(
    deployed: Client, registry: Registry, blob: Path
) -> None:
    whole = blob.read_bytes()
    first = json_of(deployed.post(PREDICT, json={"rows": [ROW]}))
    _flip(blob)
    for pid in registry.predictions.pids():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: registry.predictions.pids() == ())
    assert json_of(deployed.post(PREDICT, json={"rows": [ROW]})) == first
    assert blob.read_bytes() == whole


def test_a_damaged_model_whose_file_is_another_by_now_is_to_be_asked_again_after_a_refresh(
    deployed: Client, registry: Registry, blob: Path, tmp_path: Path
) -> None:
    _flip(blob)
    file = tmp_path / "root" / NAME / "v1.1.0" / "model.txt"
    whole = file.read_bytes()
    file.write_bytes(b"something else")
    for _ in range(2):
        assert "no longer kept" in json_of(deployed.post(PREDICT, json={"rows": [ROW]}), 503)["detail"]
    file.write_bytes(whole)
    registry.registrations.refresh("models")
    json_of(deployed.post(PREDICT, json={"rows": [ROW]}))


def test_a_registered_version_without_a_directory_says_that_its_files_are_missing(client: Client) -> None:
    _register(client)
    problem = json_of(client.post(PREDICT, json={"rows": [ROW]}), 409)
    assert problem["code"] == "MODEL_FILE_MISSING"
    assert problem["problems"] == ["The directory of v1.1.0 is missing."]
    assert "No root is registered that could hold it" in problem["detail"]


def test_callers_of_another_tier_get_404(deployed: Client, held: Client) -> None:
    assert deployed.post(f"{PREDICT}?caller_tier=premium", json={"rows": [ROW]}).status_code == 200
    assert json_of(deployed.post(f"{PREDICT}?caller_tier=free", json={"rows": [ROW]}), 404)["code"] == "MODEL_NOT_FOUND"


def test_no_token_is_needed_and_other_sites_and_media_types_are_refused(
    write_version: WriteVersion, tmp_path: Path
) -> None:
    settings = load_settings({"MODEL_MANAGER_DATA_DIR": str(tmp_path / "data"), "MODEL_MANAGER_WRITE_TOKEN": "secret"})
    registry = open_registry(settings)
    client = Client(create_app(registry, settings))
    registry.registrations.register("models", str(write_version()))
    token = {"Authorization": "Bearer secret"}
    body = {**FIELDS, "model_version": "v1.1.0", "status": "deployed", "note": "because"}
    assert client.post("/api/versions", json=body).status_code == 401
    assert client.post("/api/versions", json=body, headers=token).status_code == 200
    try:
        assert client.post(PREDICT, json={"rows": [ROW]}).status_code == 200
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert client.post(PREDICT, json={"rows": [ROW]}, headers=headers).status_code == 403
        for media_type in ("text/plain", "application/x-www-form-urlencoded"):
            assert client.post(PREDICT, data=b'{"rows": []}', content_type=media_type).status_code == 415
    finally:
        registry.predictions.close()


def test_more_questions_than_may_hold_threads_are_told_to_come_again(
    deployed: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, released = threading.Barrier(3), threading.Event()
    predict = Predictor.predict

    def slow(self: Predictor, *arguments: Any) -> Any:
        inside.wait(20)
        released.wait(20)
        return predict(self, *arguments)

    monkeypatch.setattr(Predictor, "predict", slow)
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(deployed.post(PREDICT, json={"rows": [ROW]}).status_code))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    inside.wait(20)
    busy = deployed.post(PREDICT, json={"rows": [ROW]})
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
    released.set()
    for thread in threads:
        thread.join()
    assert answers == [200, 200]


def _children(server: RunningServer) -> list[psutil.Process]:
    everybody = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in everybody if "mm_core.prediction.child" in " ".join(child.cmdline())]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_real_server_predicts_in_a_child_survives_its_crash_and_takes_it_along(
    start_server: Callable[..., RunningServer], write_version: WriteVersion, workers: str
) -> None:
    server = start_server(WORKERS=workers)
    register(server, write_version(), "models")
    body = {**FIELDS, "model_version": "v1.1.0", "status": "deployed", "note": "because"}
    assert http.post(server.url + "/api/versions", json=body).status_code == 200

    def predict() -> httpx.Response:
        return http.post(server.url + PREDICT, json={"rows": [ROW]}, timeout=60)

    first = predict()
    assert first.status_code == 200, first.text
    (child,) = _children(server)
    modules = Path(f"/proc/{child.ppid()}/maps").read_text()
    assert "lib_lightgbm" not in modules
    assert "numpy" not in modules
    assert _killed_while_asked(server, predict) == 502
    again = predict()
    assert again.json() == first.json()
    (child,) = _children(server)
    os.kill(child.pid, signal.SIGSTOP)
    hanging = threading.Thread(target=lambda: _without_an_answer(predict))
    hanging.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 11
    hanging.join()
    wait_until(lambda: not psutil.pid_exists(child.pid))


def _killed_while_asked(server: RunningServer, predict: Callable[[], httpx.Response]) -> int:
    """Return how a question ends whose child is killed; one that had not come to the child is asked again, later."""
    answers: list[int] = []
    for seconds in (0.2, 0.8, 3.2, 12.8):
        (child,) = _children(server)
        os.kill(child.pid, signal.SIGSTOP)
        asking = threading.Thread(target=lambda: answers.append(predict().status_code))
        asking.start()
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        asking.join()
        if answers[-1] != 200:
            break
    return answers[-1]


def _without_an_answer(predict: Callable[[], httpx.Response]) -> None:
    try:
        predict()
    except httpx.TransportError:
        return
