"""The last good copy: when it stands in, when it must not, and how it survives."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from mm_core.client import Payload, PayloadClient, ServerAway
from tests.client.serving import Answer, ScriptedServer, body_of, copies_in

PROJECT = Path(__file__).parent.parent.parent


def test_the_last_good_copy_stands_in_when_the_server_is_away_and_says_so(
    client: PayloadClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    fresh = client.get("m", "SOL")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    os.utime(copies_in(tmp_path)[0], (hour_ago.timestamp(), hour_ago.timestamp()))
    server.stop()
    with caplog.at_level(logging.WARNING, "mm_core.client"):
        stale = client.get("m", "SOL")
    assert stale.stale
    assert stale.stale_copy is not None
    assert timedelta(hours=1) <= stale.stale_copy.age < timedelta(hours=1, minutes=1)
    assert "ConnectError" in stale.stale_copy.reason
    assert (stale.model_json, stale.mean_values, stale.etag) == (fresh.model_json, fresh.mean_values, fresh.etag)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("mm_core.client", "WARNING")
    assert "1:00:0" in record.getMessage()
    assert server.url in record.getMessage()


@pytest.mark.parametrize("status", [500, 501, 503, 429])
def test_a_copy_stands_in_for_a_server_in_trouble_and_steps_back_after(
    client: PayloadClient, server: ScriptedServer, status: int
) -> None:
    client.get("m", "SOL")
    server.script.extend([Answer(status)] * (4 if status in {503, 429} else 1))
    assert client.get("m", "SOL").stale
    assert not client.get("m", "SOL").stale


def test_a_server_that_does_not_answer_in_time_counts_as_away(
    connect: Callable[..., PayloadClient], server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(timeout=httpx.Timeout(0.2), attempts=1)
    client.get("m", "SOL")
    released = threading.Event()
    usual = server.usual

    def slow(condition: str | None) -> Answer:
        released.wait(10)
        return usual(condition)

    monkeypatch.setattr(server, "usual", slow)
    stale = client.get("m", "SOL")
    released.set()
    assert stale.stale_copy is not None
    assert "ReadTimeout" in stale.stale_copy.reason


def test_a_copy_outlives_the_client(connect: Callable[..., PayloadClient], server: ScriptedServer) -> None:
    with connect() as first:
        first.get("m", "SOL")
    server.stop()
    assert connect().get("m", "SOL").stale


def test_without_a_copy_an_absent_server_is_an_error(client: PayloadClient, server: ScriptedServer) -> None:
    server.stop()
    with pytest.raises(ServerAway, match="No local copy"):
        client.get("m", "SOL")


def test_a_copy_older_than_max_age_does_not_stand_in(
    connect: Callable[..., PayloadClient], server: ScriptedServer, tmp_path: Path
) -> None:
    client = connect(max_age=timedelta(minutes=30))
    client.get("m", "SOL")
    server.stop()
    assert client.get("m", "SOL").stale
    hour_ago = datetime.now(UTC).timestamp() - 3600
    os.utime(copies_in(tmp_path)[0], (hour_ago, hour_ago))
    with pytest.raises(ServerAway, match="above max_age"):
        client.get("m", "SOL")


def test_304_makes_a_copy_young_again(
    connect: Callable[..., PayloadClient], server: ScriptedServer, tmp_path: Path
) -> None:
    client = connect(max_age=timedelta(minutes=30))
    client.get("m", "SOL")
    os.utime(copies_in(tmp_path)[0], (1_000_000_000, 1_000_000_000))
    client.get("m", "SOL")
    server.stop()
    assert client.get("m", "SOL").stale


def _other_mean(data: bytes) -> bytes:
    """Return a copy that is still a payload in every other respect."""
    assert data.count(b"-0.5") == 1
    return data.replace(b"-0.5", b"-0.7")


@pytest.mark.parametrize(
    "damage",
    [
        _other_mean,
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\x00" * len(data),
        lambda data: b"[]\n" + data,
        lambda data: data.replace(b'"format": 1', b'"format": 2', 1),
        lambda data: json.dumps({"format": 1, "etag": f'"{"0" * 64}"'}).encode() + b"\n" + data.split(b"\n", 1)[1],
        lambda data: b'{"format": 1, "etag": 5}\n{}',
    ],
    ids=["mean", "half", "empty", "zeros", "header", "format", "etag", "number"],
)
def test_a_corrupt_copy_is_ignored_and_fetched_anew(
    client: PayloadClient,
    server: ScriptedServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    client.get("m", "SOL")
    [copy] = copies_in(tmp_path)
    whole = copy.read_bytes()
    copy.write_bytes(damage(whole))
    assert not client.get("m", "SOL").stale
    assert "if-none-match" not in server.asked[1][1]
    assert "cannot be used" in caplog.text
    assert copy.read_bytes() == whole


def test_a_corrupt_copy_does_not_stand_in(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    client.get("m", "SOL")
    copies_in(tmp_path)[0].write_bytes(_other_mean(copies_in(tmp_path)[0].read_bytes()))
    server.stop()
    with pytest.raises(ServerAway):
        client.get("m", "SOL")


def test_a_copy_under_another_payloads_name_does_not_stand_in(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    client.get("m", "SOL")
    sol = copies_in(tmp_path)[0].read_bytes()
    server.body = body_of(symbol="BTC")
    client.get("m", "BTC")
    for copy in copies_in(tmp_path):
        copy.write_bytes(sol)
    server.stop()
    assert client.get("m", "SOL").stale
    with pytest.raises(ServerAway):
        client.get("m", "BTC")


def test_a_copy_is_on_the_disk_before_it_replaces_the_old_one(
    client: PayloadClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps: list[tuple[str, int]] = []
    sync, rename = os.fsync, os.replace

    def fsync(handle: int) -> None:
        steps.append(("fsync", os.fstat(handle).st_size))
        sync(handle)

    def replace(source: str, target: Path) -> None:
        steps.append(("replace", os.stat(source).st_size))
        assert Path(source).parent == target.parent
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    client.get("m", "SOL")
    size = copies_in(tmp_path)[0].stat().st_size
    assert steps == [("fsync", size), ("replace", size)]


KILLED = """
import os, signal, sys
from mm_core.client import PayloadClient
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
PayloadClient(sys.argv[1], sys.argv[2]).get("m", "SOL")
"""


def test_a_kill_between_write_and_replace_leaves_the_old_copy(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    old = client.get("m", "SOL")
    before = copies_in(tmp_path)[0].read_bytes()
    server.body = body_of(mean_values=[9, 9, 9])
    done = subprocess.run([sys.executable, "-c", KILLED, server.url, tmp_path / "cache"], cwd=PROJECT, timeout=60)
    assert done.returncode == -9
    assert len(server.asked) == 2
    [orphan] = (tmp_path / "cache").glob("*.tmp")
    assert copies_in(tmp_path)[0].read_bytes() == before
    os.utime(orphan, (1_000_000_000, 1_000_000_000))
    assert client.get("m", "SOL").mean_values == (9.0, 9.0, 9.0)
    assert not orphan.exists()
    server.stop()
    assert client.get("m", "SOL").etag != old.etag


def test_a_disk_that_takes_no_copy_does_not_withhold_the_payload(
    server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with PayloadClient(server.url, tmp_path / "file" / "cache") as client:
        assert not client.get("m", "SOL").stale
    assert "no local copy could be kept" in caplog.text


def test_passwords_of_the_base_url_stay_out_of_messages(server: ScriptedServer, tmp_path: Path) -> None:
    url = server.url.replace("http://", "http://bot:geheim@")
    server.stop()
    with PayloadClient(url, tmp_path, attempts=1) as client, pytest.raises(ServerAway) as caught:
        client.get("m", "SOL")
    assert server.url in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_threads_share_a_client(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    together = threading.Barrier(2)
    found: list[Payload | Exception] = []

    def pull() -> None:
        together.wait()
        for _ in range(10):
            try:
                found.append(client.get("m", "SOL"))
            except Exception as error:  # noqa: BLE001 - the main thread reports it
                found.append(error)

    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(isinstance(payload, Payload) and not payload.stale for payload in found), found
    assert sum("if-none-match" not in headers for _, headers in server.asked) == 1
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".payload"]
