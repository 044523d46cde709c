"""A disk that is full, and one that is read-only, under a server, a command line and a registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mm_core.errors import StoreError, StoreFull
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from tests.api.conftest import RunningServer, register, servers_below, start_server, wait_until_published
from tests.asking import http
from tests.attacks.small_disks import SmallDisk, small_disk
from tests.conftest import config_of, save_config
from tests.processes import environment_with, free_port
from tests.waiting import wait_until

__all__ = ["start_server"]

PROJECT = Path(__file__).parent.parent.parent
CONFIG = "/api/models/m/symbols/SOLUSDT/factor-config"
PAYLOAD = "/api/models/m/model/SOLUSDT"
Start = Callable[..., RunningServer]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of six megabytes."""
    with small_disk(tmp_path) as mounted:
        yield mounted


@pytest.fixture
def settings(disk: SmallDisk) -> Settings:
    """Settings with a data directory on that disk; roots are where there is space."""
    return load_settings({"MODEL_MANAGER_DATA_DIR": str(disk.path / "data")})


@pytest.fixture
def published(registered: Registry) -> Registry:
    """A registry on that disk whose model ``m`` has every payload."""
    registered.publisher.publish_all()
    return registered


def _mean(url: str) -> float:
    return float(http.get(url + CONFIG).json()["SOLUSDT"]["mean_values"][0])


def _files(disk: SmallDisk) -> set[str]:
    state = disk.path / "data"
    return {
        str(path.relative_to(state)) for path in state.rglob("*") if path.is_file() and path.name != "registry.lock"
    }


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_refuses_what_it_cannot_keep_and_serves_what_it_has(
    start_server: Start, disk: SmallDisk, model_root: Path, workers: str
) -> None:
    server = start_server(DATA_DIR=str(disk.path / "data"), WORKERS=workers)
    register(server, model_root)
    assert http.put(server.url + CONFIG, json=config_of(0.25)).status_code == 200
    wait_until_published(server)
    before = http.get(server.url + PAYLOAD)
    disk.fill()
    refused = [
        http.put(server.url + CONFIG, json=config_of(0.5)),
        http.post(server.url + "/api/models", json={"model_name": "n", "root_path": str(model_root)}),
        http.post(server.url + "/api/models/m/refresh"),
        http.delete(server.url + "/api/models/m"),
    ]
    for answer in refused:
        assert (answer.status_code, answer.headers["Content-Type"]) == (507, "application/problem+json"), answer.text
        assert answer.json()["title"] == "Disk full"
        assert "Free some space" in answer.json()["detail"]
    for path in ("/api/health", "/api/models", "/api/models/m/symbols", "/api/models/m/manifest"):
        assert http.get(server.url + path).status_code == 200, path
    assert _mean(server.url) == 0.25
    during = http.get(server.url + PAYLOAD)
    assert (during.status_code, during.headers["ETag"], during.content) == (200, before.headers["ETag"], before.content)
    disk.empty()
    assert http.put(server.url + CONFIG, json=config_of(0.75)).status_code == 200
    assert _mean(server.url) == 0.75
    wait_until_published(server)
    pulled = http.get(server.url + PAYLOAD).json()["payload"]["factor_config"]["SOLUSDT"]["mean_values"]
    assert pulled == [0.75] * 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_on_a_full_disk_loses_lines_and_the_server_nothing(
    disk: SmallDisk, tmp_path: Path, model_root: Path, workers: str
) -> None:
    with servers_below(disk.path) as start:
        server = start(DATA_DIR=str(tmp_path / "data"), WORKERS=workers)
        wait_until(lambda: http.get(server.url + "/api/health").json()["workers"] == int(workers))
        register(server, model_root)
        wait_until_published(server)
        disk.fill()
        wait_until(lambda: _log_is_full(server))
        (model_root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("a\nb\nc\n")
        for number in range(1, 20):
            assert http.get(server.url + "/api/models/m/manifest").status_code == 200
            assert http.get(server.url + "/api/nothing").status_code == 404
            assert http.put(server.url + CONFIG, json=config_of(float(number))).status_code == 200
            assert http.get(server.url + PAYLOAD).status_code == 200
        wait_until(lambda: _first_factor(server) == "a", 15)
        if workers == "2":
            (worker, *_) = psutil.Process(server.process.pid).children()
            worker.kill()
            wait_until(lambda: worker.pid not in {one.pid for one in psutil.Process(server.process.pid).children()})
        wait_until(lambda: http.get(server.url + "/api/health").json()["workers"] == int(workers))
        assert http.get(server.url + "/api/health").json()["status"] == "ok"
        disk.empty()
        http.get(server.url + "/api/models", headers={"X-Request-Id": "space-again"})
        wait_until(lambda: "space-again" in server.log.read_text(errors="replace"))
        assert server.stop() == 0


def _log_is_full(server: RunningServer) -> bool:
    """Ask for something and return whether its line found no room: the last block is filled first."""
    before = server.log.stat().st_size
    assert http.get(server.url + "/api/models").status_code == 200
    return server.log.stat().st_size == before


def _first_factor(server: RunningServer) -> str:
    return str(http.get(server.url + PAYLOAD).json()["payload"]["dim_factors"][0]["factor_name"])


def test_a_log_whose_reader_ended_loses_lines_and_the_server_nothing(tmp_path: Path, model_root: Path) -> None:
    read, write = os.pipe()
    port = free_port()
    environment = environment_with(HTTP_HOST="127.0.0.1", HTTP_PORT=str(port), DATA_DIR=str(tmp_path / "data"))
    process = subprocess.Popen([sys.executable, str(PROJECT / "payload_server.py")], env=environment, stdout=write)
    os.close(write)
    server = RunningServer(process, f"http://127.0.0.1:{port}", tmp_path / "nothing.log")
    try:
        server.wait_until_it_answers()
        os.close(read)
        register(server, model_root)
        assert http.put(server.url + CONFIG, json=config_of(0.5)).status_code == 200
        wait_until_published(server)
        for _ in range(5):
            assert http.get(server.url + PAYLOAD).status_code == 200
    finally:
        process.kill()
        process.wait()


def test_temporary_files_without_space_end_no_worker_and_hold_none_back(
    start_server: Start, model_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short, small_disk(Path(short), "12m") as temporary:
        monkeypatch.setenv("TMPDIR", str(temporary.path))  # a short path: else sockets and figures lie elsewhere
        server = start_server(WORKERS="2")
        wait_until(lambda: http.get(server.url + "/api/health").json()["workers"] == 2)
        http.post(server.url + "/api/models", json={"model_name": "m", "root_path": str(model_root)}).raise_for_status()
        wait_until_published(server)
        assert len(list(temporary.path.rglob("*.db"))) >= 6
        temporary.fill()
        asked = (
            "/api/models",
            "/api/models/x",
            "/api/models/m/manifest",
            "/nothing",
            "/api/models/m/model/x",
            "/metrics",
        )
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
            for path in (PAYLOAD, *asked):  # each is counted for the first time, by either worker
                for _ in range(4):
                    assert http.request(method, server.url + path).status_code < 500
        assert "worker_ended" not in server.log.read_text()
        (worker, *_) = psutil.Process(server.process.pid).children()
        worker.kill()
        wait_until(lambda: "figures_not_shared" in server.log.read_text())
        wait_until(lambda: http.get(server.url + "/api/health").json()["workers"] == 2)
        for _ in range(20):
            assert http.get(server.url + PAYLOAD).status_code == 200
        assert server.log.read_text().count("worker_ended") == 1
        assert "model_manager_requests_total" in http.get(server.url + "/metrics").text


def test_a_full_disk_leaves_no_torn_file_and_a_server_starts_on_it(
    start_server: Start, disk: SmallDisk, published: Registry
) -> None:
    disk.fill()
    files = _files(disk)
    with pytest.raises(StoreFull, match="the disk is full"):
        save_config(published, 0.5)
    with pytest.raises(StoreFull), published.store.transaction() as transaction:
        transaction.delete_model("m", "2026")
    with pytest.raises(StoreFull):
        published.backups.create(disk.path / "data" / "backup.zip")
    assert _files(disk) == files
    server = start_server(DATA_DIR=str(disk.path / "data"))
    assert http.get(server.url + PAYLOAD).status_code == 200
    assert server.stop() == 0
    disk.empty()
    assert published.store.plan_repairs() == ()
    assert save_config(published, 0.5) == 2


def test_a_payload_that_finds_no_space_is_made_when_there_is_some(disk: SmallDisk, registered: Registry) -> None:
    disk.fill()
    with pytest.raises(StoreFull):
        registered.payload("m", "SOLUSDT")
    with pytest.raises(StoreFull):
        registered.publisher.publish_all()
    disk.empty()
    registered.publisher.publish_all()
    assert registered.published.find("m", "SOLUSDT") == registered.payload("m", "SOLUSDT")


def test_a_read_only_state_is_served_and_every_write_is_a_sentence(
    start_server: Start, disk: SmallDisk, published: Registry, model_root: Path
) -> None:
    disk.make_read_only()
    server = start_server(DATA_DIR=str(disk.path / "data"))
    assert http.get(server.url + PAYLOAD).status_code == 200
    assert http.get(server.url + "/api/health").json()["status"] == "ok"
    for answer in (
        http.put(server.url + CONFIG, json=config_of(0.5)),
        http.post(server.url + "/api/models", json={"model_name": "n", "root_path": str(model_root)}),
        http.delete(server.url + "/api/models/m"),
    ):
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json"), answer.text
        assert "read-only. Mount it writable" in answer.json()["detail"]
    wait_until(lambda: b"read-only" in server.log.read_bytes())
    assert b"Traceback" not in server.log.read_bytes(), server.log.read_text()
    disk.make_writable()
    assert http.put(server.url + CONFIG, json=config_of(0.5)).status_code == 200
    wait_until_published(server)
    assert http.get(server.url + PAYLOAD).json()["payload"]["factor_config"]["SOLUSDT"]["mean_values"][0] == 0.5


@pytest.mark.parametrize("is_empty", [True, False])
def test_the_command_line_on_a_read_only_state_reads_and_says_why_it_cannot_write(
    disk: SmallDisk, registry: Registry, model_root: Path, tmp_path: Path, is_empty: bool
) -> None:
    if not is_empty:
        registry.registrations.register("m", str(model_root))
    disk.make_read_only()
    data_dir = str(disk.path / "data")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mm_core", "--data-dir", data_dir, *arguments]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)

    listed = run("list", "--json")
    assert [item["model_name"] for item in json.loads(listed.stdout)["items"]] == ([] if is_empty else ["m"])
    writes = [("register", "n", str(model_root))] if is_empty else [("delete", "m", "--yes"), ("refresh", "m")]
    for arguments in writes:
        refused = run(*arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert "read-only" in refused.stderr
    if not is_empty:
        assert run("backup", str(tmp_path / "backup.zip")).returncode == 0
        assert "is not writable" in run("doctor").stdout


def test_a_read_only_registry_raises_no_error_of_the_system(
    disk: SmallDisk, published: Registry, model_root: Path
) -> None:
    disk.make_read_only()
    writes: dict[str, Callable[[], object]] = {
        "save": lambda: save_config(published, 0.5),
        "register": lambda: published.registrations.register("n", str(model_root)),
        "refresh": lambda: published.registrations.refresh("m"),
        "delete": lambda: published.registrations.delete("m"),
        "backup": lambda: published.backups.create(disk.path / "backup.zip"),
    }
    raised = {}
    for name, write in writes.items():
        try:
            write()
        except StoreError as error:
            raised[name] = "read-only. Mount it writable" in error.detail
    assert raised == dict.fromkeys(writes, True)
    assert published.payload("m", "SOLUSDT") == published.published.find("m", "SOLUSDT")
