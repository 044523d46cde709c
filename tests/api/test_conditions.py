"""Entity tags, codings, HEAD, tokens and where writes may come from."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from backports import zstd
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.api.negotiation import chosen_coding
from mm_core.payloads import Coding
from mm_core.registry import Registry
from mm_core.settings import Settings
from mm_core.wiring import open_registry

PAYLOAD = "/api/models/m/model/SOLUSDT"
EVERY_GET = [
    "/api/health", "/api/models", "/api/models/m/symbols", "/api/models/m/factors", "/api/models/m/symbols/SOLUSDT",
    PAYLOAD, "/api/models/m/symbols/SOLUSDT/factor-config", "/api/openapi.json",
]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, "identity"), ("", "identity"), ("gzip", "gzip"), ("GZIP", "gzip"), ("gzip;q=0", "identity"),
        ("br", "identity"), ("*", "gzip"), ("*;q=0", "identity"), ("deflate, gzip, br, zstd", "zstd"),
        ("gzip;q=0.9, zstd;q=0.1", "gzip"), ("gzip;q=x", "identity"), ("identity, gzip;q=0.5", "identity"),
    ],
)  # fmt: skip
def test_the_coding_follows_accept_encoding(header: str | None, coding: str) -> None:
    assert chosen_coding(header) == Coding(coding)


def test_a_tag_is_the_digest_of_the_body_and_differs_per_coding(served: Client) -> None:
    plain = served.get(PAYLOAD)
    zipped = served.get(PAYLOAD, headers={"Accept-Encoding": "gzip"})
    zstd_answer = served.get(PAYLOAD, headers={"Accept-Encoding": "zstd"})
    digest = hashlib.sha256(plain.data).hexdigest()
    assert plain.headers["ETag"] == f'"{digest}"'
    assert zipped.headers["ETag"] == f'"{digest}-gz"'
    assert zstd_answer.headers["ETag"] == f'"{digest}-zst"'
    assert gzip.decompress(zipped.data) == zstd.decompress(zstd_answer.data) == plain.data
    assert (zipped.headers["Content-Encoding"], zstd_answer.headers["Content-Encoding"]) == ("gzip", "zstd")


@pytest.mark.parametrize("path", EVERY_GET)
def test_every_get_has_a_strong_tag_and_gives_304_for_it(served: Client, path: str) -> None:
    first = served.get(path, headers={"Accept-Encoding": "gzip"})
    tag = first.headers["ETag"]
    assert (first.status_code, tag[0], first.headers["Vary"]) == (200, '"', "Accept-Encoding")
    assert first.headers["Cache-Control"] == "no-cache"
    for condition in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = served.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": condition})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert served.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", [*EVERY_GET, "/metrics"])
def test_head_has_the_headers_of_get_and_no_body(served: Client, path: str) -> None:
    head, get = served.head(path), served.get(path)
    assert (head.status_code, head.data) == (200, b"")
    if path != "/metrics":
        assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.data))
        assert head.headers["ETag"] == get.headers["ETag"]


def test_small_bodies_are_not_compressed(served: Client) -> None:
    answer = served.get("/api/models/m/factors", headers={"Accept-Encoding": "gzip"})
    assert len(answer.data) < 1024
    assert "Content-Encoding" not in answer.headers


def test_a_refresh_that_finds_nothing_new_leaves_the_payloads_tag(served: Client) -> None:
    before = served.get(PAYLOAD).headers["ETag"]
    served.post("/api/models/m/refresh")
    assert served.get(PAYLOAD).headers["ETag"] == before


def test_a_new_process_serves_the_same_bytes(served: Client, settings: Settings) -> None:
    before = served.get(PAYLOAD)
    after = Client(create_app(open_registry(settings), settings)).get(PAYLOAD)
    assert (after.headers["ETag"], after.data) == (before.headers["ETag"], before.data)


def test_deleted_scans_and_blobs_lose_nothing(served: Client, settings: Settings, registry: Registry) -> None:
    path = "/api/models/m/symbols/SOLUSDT/factor-config"
    served.put(path, json={"SOLUSDT": {"mean_values": [1, 2, 3], "variance_values": [4, 5, 6]}})
    shutil.rmtree(settings.data_dir / "scans")
    shutil.rmtree(settings.data_dir / "blobs")
    reopened = open_registry(settings)
    assert reopened.registrations.restore_missing_scans() == ()
    answer = Client(create_app(reopened, settings)).get(PAYLOAD)
    assert answer.json["payload"]["factor_config"]["SOLUSDT"]["mean_values"] == [1.0, 2.0, 3.0]


def test_a_damaged_blob_is_made_again(served: Client, settings: Settings, registry: Registry) -> None:
    before = served.get(PAYLOAD, headers={"Accept-Encoding": "gzip"})
    for path in (settings.data_dir / "blobs").rglob("*.gzip"):
        path.write_bytes(b"\0" * path.stat().st_size)
    again = Client(create_app(open_registry(settings), settings)).get(PAYLOAD, headers={"Accept-Encoding": "gzip"})
    assert (again.status_code, again.data) == (200, before.data)


def test_a_payload_that_changes_while_it_is_read_is_503_and_the_next_answer_is_the_new_one(
    served: Client, settings: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = registry.payloads.handle("m", "SOLUSDT")
    config = "/api/models/m/symbols/SOLUSDT/factor-config"
    document = json.loads(served.get(config).data)
    names = document["SOLUSDT"]["factor_names"]
    changed = {"factor_names": names, "mean_values": [4.5] * len(names), "variance_values": [2.0] * len(names)}
    assert served.put(config, json={"SOLUSDT": changed}).status_code == 200
    shutil.rmtree(settings.data_dir / "blobs")
    with monkeypatch.context() as between:
        between.setattr(Registry, "payload", lambda *_: before)
        answer = served.get(PAYLOAD)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "Ask again" in json.loads(answer.data)["detail"]
    assert json.loads(served.get(PAYLOAD).data)["payload"]["factor_config"]["SOLUSDT"]["mean_values"][0] == 4.5


def test_writes_need_the_token_when_one_is_set_and_reads_do_not(
    registry: Registry, settings: Settings, model_root: Path
) -> None:
    client = Client(create_app(registry, replace(settings, write_token="secret")))
    body = {"model_name": "m", "root_path": str(model_root)}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        answer = client.post("/api/models", json=body, headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
        assert "secret" not in answer.text
    assert client.post("/api/models", json=body, headers={"Authorization": "Bearer secret"}).status_code == 200
    assert client.delete("/api/models/m").status_code == 401
    assert client.get(PAYLOAD).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_a_page_of_another_site_may_not_write(served: Client, headers: dict[str, str]) -> None:
    assert served.post("/api/models/m/refresh", headers=headers).status_code == 403
    assert served.post("/api/models/m/refresh", headers={"Origin": "http://localhost"}).status_code == 200


def test_roots_outside_the_allowed_ones_are_refused(settings: Settings, model_root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "allowed"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(model_root)
    limited = replace(settings, artifact_roots=(elsewhere,))
    client = Client(create_app(open_registry(limited), limited))
    for root in (model_root, elsewhere / "link", elsewhere / ".." / model_root.name):
        answer = client.post("/api/models", json={"model_name": "m", "root_path": str(root)})
        assert (answer.status_code, "outside the allowed roots" in answer.text) == (400, True)


@pytest.mark.parametrize("root", ["/a" * 20_000, "~/" + "é/" * 1500], ids=["parts", "bytes"])
def test_a_root_longer_than_any_path_is_refused_before_it_is_resolved(
    client: Client, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved: list[object] = []
    monkeypatch.setattr("mm_core.registry.roots.os.path.realpath", resolved.append)
    data = json.dumps({"model_name": "m", "root_path": root})
    answer = client.post("/api/models", data=data, content_type="application/json")
    assert (answer.status_code, answer.json["title"], resolved) == (400, "Invalid root", [])
    assert "longer than a path can be" in answer.json["detail"]
    assert len(answer.json["detail"]) < 700


def test_the_request_id_is_taken_over_or_made(served: Client) -> None:
    assert served.get("/api/health", headers={"X-Request-Id": "abc-1.2_3"}).headers["X-Request-Id"] == "abc-1.2_3"
    made = served.get("/api/nothing", headers={"X-Request-Id": "bad\tid"})
    assert len(made.headers["X-Request-Id"]) == 32
    assert made.json["request_id"] == made.headers["X-Request-Id"]


def test_the_root_and_config_lead_to_the_dashboard_on_the_same_host(client: Client) -> None:
    answer = client.get("/config", headers={"Host": "models.example:6300"})
    assert (answer.status_code, answer.headers["Location"]) == (307, "http://models.example:6301/config")
    assert client.get("/").headers["Location"].endswith(":6301/")


def test_metrics_count_requests_by_route(served: Client) -> None:
    served.get(PAYLOAD)
    text = served.get("/metrics").text
    assert (
        'model_manager_requests_total{method="GET",route="/api/models/<model_name>/model/<symbol>",status="200"} 1.0'
        in text
    )
    assert 'model_manager_groups{model="m"} 2.0' in text
