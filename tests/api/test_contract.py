"""The endpoints of the contract: bodies, statuses, sentences."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xgboost
from werkzeug.test import Client

from mm_core.registry import Registry, background
from tests.api.answers import json_of
from tests.waiting import wait_until

KEY = "SOLUSDT_mid_chg_1m"
Write = Callable[..., Path]


def test_health_tells_revision_models_findings_and_watcher(served: Client) -> None:
    document = json_of(served.get("/api/health"))
    assert document["status"] == "ok"
    assert (document["models"], document["findings"]) == (1, 0)
    assert document["store_revision"] == 1
    assert document["watcher"] == {"mode": "off", "pending": 0, "refreshes": 0, "last_error": None}
    assert document["threads"] == {}, "none is run here"


def test_health_and_metrics_tell_what_keeps_a_background_thread_from_its_work_and_when_that_is_over(
    served: Client, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    failing = threading.Event()
    failing.set()
    look = registry.store.stamp

    def fail() -> tuple[int, ...]:
        if failing.is_set() and threading.current_thread().name == "publisher":
            raise ZeroDivisionError("nobody expected this")
        return look()

    def told() -> tuple[object, bool]:
        figures = served.get("/metrics").text.splitlines()
        working = 'model_manager_thread_working{thread="publisher"} 1.0' in figures
        assert working or 'model_manager_thread_working{thread="publisher"} 0.0' in figures
        return json_of(served.get("/api/health"))["threads"], working

    monkeypatch.setattr(registry.store, "stamp", fail)
    registry.publisher.start()
    try:
        problem = "Unexpected ZeroDivisionError: nobody expected this. The log has its traceback."
        wait_until(lambda: told() == ({"publisher": {"running": True, "problem": problem}}, False))
        failing.clear()
        wait_until(lambda: told() == ({"publisher": {"running": True, "problem": None}}, True))
    finally:
        registry.publisher.stop()
    assert told() == ({"publisher": {"running": False, "problem": None}}, False)


def test_a_watcher_that_ended_is_off_and_says_so(
    served: Client, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.watcher, "_run", lambda: None)
    registry.watcher.start()
    watcher = json_of(served.get("/api/health"))["watcher"]
    assert isinstance(watcher, dict)
    assert (watcher["mode"], watcher["last_error"]) == (
        "off",
        "The thread 'watcher' ended unexpectedly. Restart the server.",
    )


def test_registering_answers_counts_symbols_and_warnings(client: Client, model_root: Path) -> None:
    document = json_of(client.post("/api/models", json={"model_name": "m", "root_path": str(model_root)}))
    assert set(document) == {
        "model_name", "root_path", "scanned_at", "symbol_count", "group_count", "version_count", "symbols", "warnings"
    }  # fmt: skip
    assert (document["symbol_count"], document["group_count"]) == (2, 2)
    assert document["symbols"] == ["BTCUSDT", "SOLUSDT"]
    assert document["warnings"] == []


def test_a_root_of_versions_alone_is_registered_and_counted(client: Client, tmp_path: Path) -> None:
    for version in ("v1.0.0", "v1.1.0"):
        (tmp_path / "versions" / "early-signal" / version).mkdir(parents=True)
        (tmp_path / "versions" / "early-signal" / version / "model.txt").write_text("tree\n")
    document = json_of(client.post("/api/models", json={"model_name": "v", "root_path": str(tmp_path / "versions")}))
    assert (document["symbol_count"], document["group_count"], document["version_count"]) == (0, 0, 2)
    assert any("early-signal/v1.1.0/model.txt" in warning for warning in document["warnings"])
    assert json_of(client.get("/api/models"))["items"][0]["version_count"] == 2
    assert json_of(client.get("/api/models/v/symbols"))["items"] == []


def test_the_list_of_models_has_the_contracts_fields(served: Client) -> None:
    (item,) = json_of(served.get("/api/models"))["items"]
    assert set(item) == {
        "model_name", "root_path", "created_at", "updated_at", "symbol_count", "group_count", "version_count",
        "scanned_at", "warnings",
    }  # fmt: skip


def test_refresh_answers_like_register_without_symbols(served: Client, model_root: Path) -> None:
    (model_root / f"{KEY}_ic.csv").unlink()
    document = json_of(served.post("/api/models/m/refresh"))
    assert "symbols" not in document
    assert document["group_count"] == 2
    assert any(f"{KEY}_ic.csv" in str(warning) for warning in document["warnings"])


def test_delete_forgets_the_registration_and_leaves_the_artifacts(
    served: Client, model_root: Path, tree_digest: Callable[[Path], str]
) -> None:
    before = tree_digest(model_root)
    assert json_of(served.delete("/api/models/m")) == {"ok": True, "model_name": "m", "deleted": True}
    assert tree_digest(model_root) == before
    json_of(served.get("/api/models/m/symbols"), 404)
    json_of(served.delete("/api/models/m"), 404)


def test_symbols_list_groups_in_the_order_of_their_keys(served: Client) -> None:
    items = json_of(served.get("/api/models/m/symbols"))["items"]
    assert [item["group_key"] for item in items] == ["BTCUSDT_mid_chg_1m", KEY]
    assert items[1] == {
        "symbol": "SOLUSDT", "group_key": KEY, "return_name": "mid_chg_1m", "feature_dim": 3, "factor_count": 3,
        "payload_ready": True, "train_start_date": None, "train_end_date": "2024-05-01", "warnings": [],
    }  # fmt: skip


def test_factors_are_the_union_in_first_seen_order(client: Client, write_group: Write) -> None:
    write_group("A_r", factors_txt=b"z\ny\nx\n")
    root = write_group("B_r", factors_txt=b"x\nw\nz\n")
    client.post("/api/models", json={"model_name": "m", "root_path": str(root)})
    document = json_of(client.get("/api/models/m/factors"))
    assert document["factors"] == ["z", "y", "x", "w"]
    assert document["factor_count"] == 4


def test_a_group_shows_everything_with_null_for_what_is_not_finite(client: Client, write_group: Write) -> None:
    ic = b"symbol,factor_name,return_name,Kendall_tau\nS,spread_3,r,nan\nS,momentum_5,r,0.5\n"
    root = write_group("S_r", ic_csv=ic)
    client.post("/api/models", json={"model_name": "m", "root_path": str(root)})
    document = json_of(client.get("/api/models/m/symbols/s"))
    assert document["dim_factors"] == [
        {"dim": 0, "factor_name": "momentum_5", "kendall_tau": 0.5},
        {"dim": 1, "factor_name": "volatility_20", "kendall_tau": None},
        {"dim": 2, "factor_name": "spread_3", "kendall_tau": None},
    ]
    assert document["ic_rows"][0] == {
        "symbol": "S", "factor_name": "spread_3", "return_name": "r", "Kendall_tau": None
    }  # fmt: skip
    assert document["info_summary"]["train_samples"] == 1234
    assert document["model_meta"]["num_trees"] == 4
    assert set(document["artifacts"]) == {"factors_txt", "ic_csv", "info_pkl", "model_json"}
    assert document["artifacts"]["model_json"]["path"] == "S_r_model.json"
    assert any("S_r_ic.csv:2" in warning for warning in document["warnings"])


def test_the_payload_predicts_as_the_model_that_was_dropped(served: Client, booster_json: bytes) -> None:
    document = json_of(served.get("/api/models/m/model/solusdt"))
    payload = document["payload"]
    assert (document["ok"], document["message"]) == (True, "ok")
    assert payload["model_json"].encode() == booster_json
    assert payload["metadata"]["feature_dim"] == 3
    assert [factor["factor_name"] for factor in payload["dim_factors"]] == ["momentum_5", "volatility_20", "spread_3"]
    assert payload["factor_config"] == {
        "SOLUSDT": {
            "factor_names": ["momentum_5", "volatility_20", "spread_3"],
            "mean_values": [0.2] * 3,
            "variance_values": [1.0] * 3,
        }
    }
    dropped, pulled = xgboost.Booster(), xgboost.Booster()
    dropped.load_model(bytearray(booster_json))
    pulled.load_model(bytearray(payload["model_json"], "utf-8"))
    rows = xgboost.DMatrix(np.random.default_rng(1).normal(size=(50, 3)))
    assert dropped.predict(rows).tobytes() == pulled.predict(rows).tobytes()


def test_a_payload_from_a_pickle_alone_predicts_bit_equal(
    client: Client, write_group: Write, booster_pickle: bytes, booster_json: bytes
) -> None:
    root = write_group("S_r", model_json=None, model_pkl=booster_pickle)
    client.post("/api/models", json={"model_name": "m", "root_path": str(root)})
    text = json_of(client.get("/api/models/m/model/S"))["payload"]["model_json"]
    assert json.loads(text) == json.loads(booster_json)


@pytest.mark.parametrize(
    "path",
    [
        "/api/models/unknown/symbols", "/api/models/unknown/factors", "/api/models/unknown/model/S",
        "/api/models/m/model/XRP", "/api/models/m/symbols/XRP", "/api/models/m/symbols/SOLUSDT?group_key=other",
        "/api/models/m/model_onnx/XRP", "/api/models/m/symbols/XRP/factor-config", "/nowhere", "/api/models/",
    ],
)  # fmt: skip
def test_unknown_names_are_not_found_with_a_sentence(served: Client, path: str) -> None:
    json_of(served.get(path), 404)


def test_a_group_without_a_model_answers_404_that_says_why(client: Client, write_group: Write) -> None:
    root = write_group("S_r", model_json=b'{"learner": ')
    client.post("/api/models", json={"model_name": "m", "root_path": str(root)})
    detail = json_of(client.get("/api/models/m/model/S"), 404)["detail"]
    assert "S_r_model.json" in str(detail)
    assert "Save the model again" in str(detail)


def test_a_symbol_in_two_groups_is_refused_and_lists_them(client: Client, write_group: Write) -> None:
    write_group("SOL_1m")
    root = write_group("SOL_5m")
    detail = json_of(client.post("/api/models", json={"model_name": "m", "root_path": str(root)}), 400)["detail"]
    assert "SOL: SOL_1m, SOL_5m" in str(detail)
    assert json_of(client.get("/api/models"))["items"] == []


def test_a_refresh_that_finds_a_symbol_twice_leaves_the_last_good_scan_in_service(
    served: Client, write_group: Write
) -> None:
    before = served.get("/api/models/m/model/SOLUSDT")
    write_group("SOLUSDT_mid_chg_5m")
    assert "SOLUSDT_mid_chg_5m" in str(json_of(served.post("/api/models/m/refresh"), 400)["detail"])
    after = served.get("/api/models/m/model/SOLUSDT")
    assert (after.status_code, after.data) == (200, before.data)
    (item,) = json_of(served.get("/api/models"))["items"]
    assert "An older scan is in service" in item["warnings"][0]


def test_a_root_that_vanished_leaves_the_last_good_scan_in_service(served: Client, model_root: Path) -> None:
    model_root.rename(model_root.with_name("moved"))
    json_of(served.post("/api/models/m/refresh"), 400)
    assert served.get("/api/models/m/model/SOLUSDT").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        None, [], "text", {}, {"model_name": "m"}, {"model_name": "m", "root_path": 5},
        {"model_name": "../m", "root_path": "/"}, {"model_name": "m", "root_path": ""},
        {"model_name": "m", "root_path": "/nowhere/at/all"}, {"model_name": "m", "root_path": "/etc/hostname"},
        {"model_name": "m", "root_path": "/\0"},
    ],
)  # fmt: skip
def test_registrations_that_make_no_sense_are_refused(client: Client, body: object) -> None:
    json_of(client.post("/api/models", data=json.dumps(body), content_type="application/json"), 400)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"model_name": NaN}', b"[" * 5000])
def test_bodies_that_are_no_json_are_refused(client: Client, data: bytes) -> None:
    json_of(client.post("/api/models", data=data, content_type="application/json"), 400)


def test_a_factor_config_is_stored_and_reaches_the_payload_under_a_new_tag(served: Client) -> None:
    path = "/api/models/m/symbols/SOLUSDT/factor-config"
    old = served.get("/api/models/m/model/SOLUSDT").headers["ETag"]
    body = {"SOLUSDT": {"mean_values": [1e-7, 0.5, -2], "variance_values": [0.25, 4, 1]}}
    document = json_of(served.put(path, json=body))
    assert document["SOLUSDT"]["mean_values"] == [1e-07, 0.5, -2.0]
    answer = served.get("/api/models/m/model/SOLUSDT")
    assert answer.headers["ETag"] != old
    assert json.loads(answer.data)["payload"]["factor_config"] == document
    assert served.get(path).headers["x-factor-config-revision"] == "2"


def test_a_bad_factor_config_lists_every_problem_and_stores_nothing(served: Client) -> None:
    path = "/api/models/m/symbols/SOLUSDT/factor-config"
    before = served.get(path)
    body = {"SOLUSDT": {"factor_names": ["momentum_5"], "mean_values": ["x", 1], "variance_values": [0, 1, -1]}}
    document = json_of(served.put(path, json=body), 400)
    assert len(document["problems"]) == 5
    assert served.get(path).headers["ETag"] == before.headers["ETag"]


def test_a_stale_if_match_is_refused_and_a_current_one_passes(served: Client) -> None:
    path = "/api/models/m/symbols/SOLUSDT/factor-config"
    tag = served.get(path, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    body = {"SOLUSDT": {"mean_values": [1, 1, 1], "variance_values": [1, 1, 1]}}
    assert served.put(path, json=body, headers={"If-Match": tag}).status_code == 200
    body["SOLUSDT"]["mean_values"] = [2, 2, 2]
    json_of(served.put(path, json=body, headers={"If-Match": tag}), 412)
    assert json.loads(served.get(path).data)["SOLUSDT"]["mean_values"] == [1.0, 1.0, 1.0]
    assert served.put(path, json=body, headers={"If-Match": "*"}).status_code == 200


def test_values_follow_their_factor_when_a_refresh_changes_the_list(served: Client, model_root: Path) -> None:
    path = "/api/models/m/symbols/SOLUSDT/factor-config"
    served.put(path, json={"SOLUSDT": {"mean_values": [1, 2, 3], "variance_values": [4, 5, 6]}})
    factors = model_root / f"{KEY}_factors.txt"
    factors.write_text("spread_3\nnew\nmomentum_5\n")
    served.post("/api/models/m/refresh")
    config = json.loads(served.get(path).data)["SOLUSDT"]
    assert config["factor_names"] == ["spread_3", "new", "momentum_5"]
    assert (config["mean_values"], config["variance_values"]) == ([3.0, 0.2, 1.0], [6.0, 1.0, 4.0])
    factors.write_text("momentum_5\nvolatility_20\nspread_3\n")
    served.post("/api/models/m/refresh")
    assert json.loads(served.get(path).data)["SOLUSDT"]["mean_values"] == [1.0, 2.0, 3.0]
    assert served.get(path).headers["x-factor-config-revision"] == "4"


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/models"), ("POST", "/api/health"), ("PATCH", "/metrics")])
def test_a_wrong_method_is_answered_with_those_allowed(client: Client, method: str, path: str) -> None:
    answer = client.open(path, method=method)
    json_of(answer, 405)
    assert "GET" in answer.headers["Allow"]


def test_other_media_types_and_large_bodies_are_refused(client: Client) -> None:
    json_of(client.post("/api/models", data="model_name=m", content_type="application/x-www-form-urlencoded"), 415)
    json_of(client.post("/api/models", data=b"{}", content_type="text/plain"), 415)
    huge = b'{"model_name": "' + b"x" * (9 << 20) + b'"}'
    json_of(client.post("/api/models", data=huge, content_type="application/json"), 413)


def test_numbers_that_json_cannot_hold_are_refused_in_a_config(served: Client) -> None:
    body = b'{"SOLUSDT": {"mean_values": [1e999, 0, 0], "variance_values": [1, 1, 1]}}'
    path = "/api/models/m/symbols/SOLUSDT/factor-config"
    json_of(served.put(path, data=body, content_type="application/json"), 400)
    assert all(math.isfinite(mean) for mean in json.loads(served.get(path).data)["SOLUSDT"]["mean_values"])
