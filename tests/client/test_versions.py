"""Versions on a bot's machine: what must not be used, what stands in, and how rows are normalized."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from mm_core.client import BadAnswer, BadRow, NoLocalCopy, PayloadClient, PayloadNotFound, RequestRefused, ServerAway
from tests.client.serving import Answer, ScriptedServer, good, problem, tag_of

MODEL = "tree\nversion=v4\n" + "leaf_value=0.5\n" * 100
NAMES = ["momentum", "spread", "volume"]
PATH = "/api/models/m/versions/v1.1.0/model"


def _payload(**changes: Any) -> bytes:
    """Return a payload; ``changes`` replace parts of it by name, in metadata, normalizer or the payload."""
    metadata = {
        "model_name": "m", "names": ["m", "models"], "model_version": "v1.1.0", "classes": ["DOWN", "UP"],
        "num_features": 3, "model_sha256": hashlib.sha256(MODEL.encode()).hexdigest(),
    }  # fmt: skip
    normalizer = {"mean": [1.0, 2.0, 3.0], "std": [2.0, 0.0, 1e-13], "fill_values": None, "names": NAMES}
    payload: dict[str, Any] = {"model_format": "lightgbm-text", "model": MODEL, "feature_names": NAMES}
    for name, value in changes.items():
        of_run = name in ("layout", "prediction_threshold")
        is_metadata = of_run or (name in metadata and name != "names")
        place = metadata if is_metadata else normalizer if name in normalizer else payload
        place[name] = value
    payload.setdefault("normalizer", {**normalizer, "feature_names": normalizer.pop("names")})
    return json.dumps({"ok": True, "payload": {**payload, "metadata": metadata}}).encode()


def _deployed(version: str = "v1.1.0", **changes: Any) -> bytes:
    record = {"model_name": "m", "model_version": version, "status": "deployed", "deployment": {"since": "2026"}}
    return json.dumps({**record, **changes}).encode()


class VersionServer(ScriptedServer):
    """Has bodies by path, and answers as Model Manager would."""

    def __init__(self) -> None:
        self.bodies = {PATH: _payload(), "/api/models/m/deployed": _deployed()}
        super().__init__()

    def respond(self, path: str, condition: str | None) -> Answer:
        if self.script:
            return self.script.popleft()
        if path not in self.bodies:
            return problem(404, "Model not found.")
        tag = tag_of(self.bodies[path], "-gz")
        if condition == tag:
            return Answer(304, headers={"ETag": tag})
        return Answer(200, gzip.compress(self.bodies[path]), {"ETag": tag, "Content-Encoding": "gzip"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = VersionServer()
    yield running
    running.stop()


def test_a_version_is_pulled_once_and_confirmed_after_with_or_without_its_v(
    client: PayloadClient, server: VersionServer
) -> None:
    first = client.version("m", "v1.1.0")
    assert (first.model, first.model_format, first.classes) == (MODEL, "lightgbm-text", ("DOWN", "UP"))
    assert (first.feature_names, first.std_values) == (tuple(NAMES), (2.0, 0.0, 1e-13))
    again = client.version("m", "v1.1.0")
    assert again.etag == first.etag
    assert again.fetched_at >= first.fetched_at
    assert [headers.get("if-none-match") for _, headers in server.asked] == [None, first.etag]
    assert client.local_version("m", "1.1.0").model == MODEL


def test_rows_are_normalized_by_name_as_the_registry_predicts(client: PayloadClient, server: VersionServer) -> None:
    payload = client.version("m", "v1.1.0")
    assert payload.normalize({"volume": 5, "momentum": 4, "spread": 9, "other": 1}) == [1.5, 0.0, 2.0]
    missing = payload.normalize({"volume": None, "momentum": math.nan, "spread": None})
    assert [math.isnan(value) for value in missing] == [True, False, True]
    server.bodies[PATH] = _payload(fill_values=[3.0, 2.0, 4.0])
    assert client.version("m", "v1.1.0").normalize(dict.fromkeys(NAMES)) == [1.0, 0.0, 1.0]
    with pytest.raises(BadRow, match=r"'momentum' is missing, 'spread' is 'x', 'volume' is True"):
        payload.normalize({"spread": "x", "volume": True})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_name": "other", "names": NAMES}, None),
        ({"model_version": "v1.2.0"}, "it is of version 'v1.2.0'"),
        ({"model_format": "onnx"}, "model_format is 'onnx'"),
        ({"model": MODEL + " "}, "model_sha256"),
        ({"model": ""}, "model is not text"),
        ({"model": {}}, "model is not text"),
        ({"names": NAMES[::-1]}, "names of feature_names in their order"),
        ({"feature_names": NAMES[:2]}, "num_features is not"),
        ({"feature_names": ["a", "a", "b"]}, "names a feature twice"),
        ({"mean": [1.0, 2.0]}, r"lengths \[3, 2, 3, 3\]"),
        ({"fill_values": [1.0]}, r"lengths \[3, 3, 3, 1\]"),
        ({"mean": [1.0, None, 2.0]}, "not finite"),
        ({"std": [1.0, math.inf, 2.0]}, "not finite"),
        ({"fill_values": [1.0, math.nan, 2.0]}, "not finite"),
        ({"std": [1.0, -1.0, 2.0]}, "a std is below 0"),
        ({"mean": None}, "no payload of a version"),
        ({"normalizer": None}, "normalizer is null, and it is no training run"),
        ({"normalizer": None, "layout": "versions"}, "normalizer is null, and it is no training run"),
        ({"prediction_threshold": 1.7}, "prediction_threshold is 1.7"),
        ({"prediction_threshold": "0.5"}, "prediction_threshold is '0.5'"),
    ],
)
def test_a_version_of_which_the_parts_do_not_belong_together_is_never_handed_out(
    client: PayloadClient, server: VersionServer, tmp_path: Path, changes: dict[str, Any], reason: str | None
) -> None:
    server.bodies[PATH] = _payload(**changes)
    if reason is None:
        assert client.version("m", "v1.1.0").model_name == "other", "another name of the same model"
        return
    with pytest.raises(BadAnswer, match=reason):
        client.version("m", "v1.1.0")
    assert list((tmp_path / "cache").glob("*")) == []


def test_a_run_without_a_normalizer_normalizes_no_row_and_puts_its_features_in_order(
    client: PayloadClient, server: VersionServer
) -> None:
    server.bodies[PATH] = _payload(
        normalizer=None, layout="runs", model_format="xgboost-json", warnings=["No scaler."], prediction_threshold=0.6
    )
    payload = client.version("m", "v1.1.0")
    assert (payload.mean_values, payload.std_values, payload.fill_values) == (None, None, None)
    assert (payload.model_format, payload.threshold, payload.warnings) == ("xgboost-json", 0.6, ("No scaler.",))
    with pytest.raises(BadRow, match=r"has no normalizer: No scaler\. Take payload\.ordered"):
        payload.normalize(dict.fromkeys(NAMES, 1.0))
    found = payload.ordered({"volume": 3, "spread": None, "momentum": 0.5, "other": 9.0})
    expected = {"volume": 3.0, "momentum": 0.5}
    assert [value for value in found if not math.isnan(value)] == [expected[name] for name in NAMES if name in expected]
    assert math.isnan(found[NAMES.index("spread")])
    with pytest.raises(BadRow, match="'momentum' is missing"):
        payload.ordered({"volume": 3, "spread": 1.0})


def test_a_payload_of_another_model_is_never_handed_out(client: PayloadClient, server: VersionServer) -> None:
    server.bodies["/api/models/n/versions/v1.1.0/model"] = _payload()
    with pytest.raises(BadAnswer, match="it is of model 'm'"):
        client.version("n", "v1.1.0")


def test_a_body_that_is_not_the_one_of_its_etag_is_fetched_again(
    client: PayloadClient, server: VersionServer, waits: list[float]
) -> None:
    server.script.append(Answer(200, _payload()[:-1] + b" ", {"ETag": tag_of(_payload())}))
    assert client.version("m", "v1.1.0").version == "v1.1.0"
    assert (len(server.asked), len(waits)) == (2, 1)


@pytest.mark.parametrize("status", [404, 409, 422])
def test_the_last_good_copy_of_a_version_stands_in_and_a_withdrawn_one_never_does(
    client: PayloadClient, server: VersionServer, status: int
) -> None:
    client.version("m", "v1.1.0")
    server.script.append(Answer(500))
    stale = client.version("m", "1.1.0")
    assert stale.stale
    assert stale.model == MODEL
    assert client.local_version("m", "v1.1.0").stale
    server.script.append(problem(status, "It has no model that bots can be given."))
    with pytest.raises(PayloadNotFound):
        client.version("m", "v1.1.0")
    server.stop()
    with pytest.raises(ServerAway):
        client.version("m", "v1.1.0")
    with pytest.raises(NoLocalCopy):
        client.local_version("m", "v1.1.0")


def test_what_is_deployed_is_asked_each_time_and_its_payload_follows(
    client: PayloadClient, server: VersionServer
) -> None:
    assert client.deployed("m").version == "v1.1.0"
    path = PATH.replace("v1.1.0", "v1.2.0")
    server.bodies[path] = _payload(model_version="v1.2.0")
    server.bodies["/api/models/m/deployed"] = _deployed("v1.2.0")
    server.asked.clear()
    assert client.deployed("m").version == "v1.2.0"
    assert [path for path, _ in server.asked] == ["/api/models/m/deployed", path]
    server.script.append(Answer(500))
    half = client.deployed("m")
    assert (half.version, half.stale) == ("v1.2.0", True), "nobody could say that it is still deployed"
    assert not client.deployed("m").stale
    server.stop()
    assert (client.deployed("m").version, client.deployed("m").stale) == ("v1.2.0", True)
    assert (client.deployment("m").version, client.deployment("m").stale) == ("v1.2.0", True)


def test_where_nothing_is_deployed_no_earlier_answer_stands_in(client: PayloadClient, server: VersionServer) -> None:
    client.deployed("m")
    del server.bodies["/api/models/m/deployed"]
    with pytest.raises(PayloadNotFound):
        client.deployed("m")
    server.stop()
    with pytest.raises(ServerAway):
        client.deployed("m")


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", _deployed(status="shadow"), _deployed(version=3), _deployed(deployment=None)],  # type: ignore[arg-type]
)
def test_an_answer_that_does_not_say_what_is_deployed_is_refused(
    client: PayloadClient, server: VersionServer, body: bytes
) -> None:
    server.script.append(good(body))
    with pytest.raises(BadAnswer, match="does not say what is deployed"):
        client.deployed("m")


def test_a_run_that_has_several_models_by_now_leaves_no_copy_to_stand_in(
    client: PayloadClient, server: VersionServer
) -> None:
    client.version("m", "v1.1.0")
    server.script.append(problem(409, "The run has 2 models that bots could be given."))
    with pytest.raises(PayloadNotFound, match="2 models"):
        client.version("m", "v1.1.0")
    server.stop()
    with pytest.raises(ServerAway):
        client.version("m", "v1.1.0")


def test_a_refusal_is_told_and_names_that_would_change_the_path_are_refused(
    client: PayloadClient, server: VersionServer
) -> None:
    server.script.append(problem(403, "Not for you."))
    with pytest.raises(RequestRefused, match="Not for you"):
        client.version("m", "v1.1.0")
    for ask in (
        lambda: client.version("..", "v1"),
        lambda: client.version("m", ""),
        lambda: client.deployed("."),
        lambda: client.local_version("m", ".."),
    ):
        with pytest.raises(ValueError, match="is no name"):
            ask()
    assert len(server.asked) == 1


def test_copies_of_versions_are_left_alone_by_a_sync_of_the_same_model(
    client: PayloadClient, server: VersionServer
) -> None:
    client.deployed("m")
    body = json.dumps({"model_name": "m", "items": []}).encode()
    server.script.append(good(body, **{"x-store-revision": "1"}))
    assert client.sync("m").withdrawn == ()
    server.stop()
    assert client.deployed("m").stale
