"""What a number of groups costs: one data directory from its registration on, served by two workers and their owner."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
from figures import (
    GZIP,
    MODEL,
    PUBLISHED_SECONDS,
    Client,
    payload_path,
    seconds_until_served,
    wait_for_watcher,
)
from load import Load, run_load
from make_artifacts import symbol_of

WORKERS = 2
CONNECTIONS = 8
OTHER_MODEL = "bench-other"
ASKED_EVERY_SECONDS = 0.2
BEGUN_SECONDS = 0.2
"""After a registration was asked for, before pulls beside it are measured."""

WINDOW_SHARE = 0.7
LONGEST_WINDOW_SECONDS = 10.0

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How often things are measured."""

    starts: int
    writes: int
    changes: int
    rounds: int
    debounce: float
    shortest_window_seconds: float  # wrk makes it one second
    wrk: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """So many groups, another root to register beside them, and a directory of work for what the server keeps."""

    groups: int
    artifacts: Path
    others: Path
    other_groups: int
    work: Path

    @property
    def data(self) -> Path:
        return self.work / "data"


def measure(place: Place, effort: Effort, say: Callable[[str], None]) -> Samples:
    """Return the samples of every figure; what is on disk stays, the server does not."""
    found: Samples = {}
    for subject in (registration, starts, everyday, pulls_beside_a_registration):
        started = time.perf_counter()
        found |= subject(place, effort, found)
        say(f"{place.groups:,} groups, {subject.__name__}: {time.perf_counter() - started:.0f} s")
    return found


def registration(place: Place, effort: Effort, _: Samples) -> Samples:
    """Register the root in an empty data directory, and wait until every payload is made."""
    with _server(place, effort) as server:
        peers.wait_for_answer(server, "/api/health")
        client = Client(server)
        used, began = server.cpu_seconds(), time.perf_counter()
        seconds = client.post("/api/models", {"model_name": MODEL, "root_path": str(place.artifacts)})
        used = server.cpu_seconds() - used
        _wait_until_ready(client)
        ready = time.perf_counter() - began
        peak = server.peak_memory_mb()
        disk = (place.data / "registry.json").stat().st_size
    return {
        "register_seconds": [seconds],
        "register_per_second": [place.groups / seconds],
        "register_processors": [used / seconds],
        "ready_seconds": [ready],
        "registry_mb": [disk / 1e6],
        "owner_peak_mb": [peak],
    }


def starts(place: Place, effort: Effort, _: Samples) -> Samples:
    """Start until the first whole 200, of health and of a payload in turns; files are in the system's cache."""
    found: Samples = {"start_health_seconds": [], "start_payload_seconds": []}
    for _ in range(effort.starts):
        for name, path in (("start_health_seconds", "/api/health"), ("start_payload_seconds", payload_path(1))):
            with _server(place, effort) as server:
                found[name].append(peers.wait_for_answer(server, path, GZIP))
    return found


def everyday(place: Place, effort: Effort, _: Samples) -> Samples:
    """Write configs, ask for the manifest, refresh, replace a model; then look at the memory of every process."""
    with _server(place, effort) as server:
        peers.wait_for_answer(server, "/api/health")
        client = Client(server)
        _wait_until_ready(client)
        wait_for_watcher(client)
        manifest, kilobytes = _timed_manifests(client, effort.writes, {})
        _, _, tag = client.get(f"/api/models/{MODEL}/manifest", GZIP)
        unchanged, _ = _timed_manifests(client, effort.writes, {"If-None-Match": tag})
        server.wait_until_calm()
        refreshed = [client.post(f"/api/models/{MODEL}/refresh") * 1000 for _ in range(effort.changes)]
        server.wait_until_calm()
        in_a_row = [_write_config(client, number) for number in _spread(place.groups, effort.writes)]
        _wait_until_ready(client)
        written = []
        for number in _spread(place.groups, effort.writes):
            server.wait_until_calm()
            written.append(_write_config(client, number))
        changed = []
        for number in _spread(place.groups, effort.changes):
            server.wait_until_calm()
            changed.append(seconds_until_served(client, place.artifacts, number))
        server.wait_until_calm()
        owner, *workers = server.memory_by_process()
    return {
        "manifest_ms": manifest,
        "manifest_kb": kilobytes,
        "manifest_304_ms": unchanged,
        "refresh_ms": refreshed,
        "config_ms": written,
        "configs_in_a_row_ms": in_a_row,
        "changed_seconds": changed,
        "owner_mb": [owner.resident],
        "owner_private_mb": [owner.private],
        "worker_mb": [max(worker.resident for worker in workers)],
        "worker_private_mb": [max(worker.private for worker in workers)],
    }


def pulls_beside_a_registration(place: Place, effort: Effort, found: Samples) -> Samples:
    """Pull one symbol on eight connections, alone and while another root is registered, in turns."""
    expected = place.other_groups / found["register_per_second"][0]
    window = min(max(expected * WINDOW_SHARE, effort.shortest_window_seconds), LONGEST_WINDOW_SECONDS)
    alone, beside, covered = [], [], []
    with _server(place, effort) as server:
        peers.wait_for_answer(server, "/api/health")
        client = Client(server)
        _wait_until_ready(client)
        for number in range(effort.rounds):
            alone.append(_pulls(place, effort, server, window))
            name = f"{OTHER_MODEL}-{number + 1}"
            ended: list[float] = []
            registering = threading.Thread(target=_register, args=(Client(server), name, place.others, ended))
            registering.start()
            time.sleep(BEGUN_SECONDS)
            began = time.perf_counter()
            beside.append(_pulls(place, effort, server, window, at_rest=False))
            took = time.perf_counter() - began
            registering.join()
            if not ended:
                raise SystemExit(f"{place.others} could not be registered while symbols were pulled.")
            covered.append(min(max(ended[0] - began, 0.0) / took, 1.0))
            _wait_until_ready(client)
            client.delete(f"/api/models/{name}")
    return {
        "pulls_alone_per_second": [load.per_second for load in alone],
        "pulls_beside_per_second": [load.per_second for load in beside],
        "pulls_alone_p99_ms": [load.p99_ms for load in alone],
        "pulls_beside_p99_ms": [load.p99_ms for load in beside],
        "pulls_p99_ratio": [two.p99_ms / one.p99_ms for one, two in zip(alone, beside, strict=True)],
        "pulls_errors": [int(sum(load.failed for load in (*alone, *beside)))],
        "pulls_covered": covered,
    }


@contextmanager
def _server(place: Place, effort: Effort) -> Iterator[peers.Peer]:
    with peers.model_manager(place.data, workers=WORKERS, watch_debounce=effort.debounce, logs=place.work) as server:
        yield server


def _wait_until_ready(client: Client) -> None:
    """Wait until every payload is made; the manifest, which is long, is asked when nothing seems to be missing."""
    deadline = time.monotonic() + PUBLISHED_SECONDS
    while time.monotonic() < deadline:
        if not json.loads(client.get("/api/health")[1])["payloads_waiting"]:
            items = json.loads(client.get(f"/api/models/{MODEL}/manifest")[1])["items"]
            if all(item["etag"] for item in items):
                return
        time.sleep(ASKED_EVERY_SECONDS)
    raise SystemExit("The payloads were not made in time.")


def _timed_manifests(client: Client, times: int, headers: dict[str, str]) -> tuple[list[float], list[float]]:
    """Return milliseconds and kB of answers."""
    milliseconds, kilobytes = [], []
    for _ in range(times):
        started = time.perf_counter()
        status, body, _ = client.get(f"/api/models/{MODEL}/manifest", {**GZIP, **headers})
        milliseconds.append((time.perf_counter() - started) * 1000)
        kilobytes.append(len(body) / 1000)
        if status != (304 if headers else 200):
            raise SystemExit(f"The manifest gave {status}.")
    return milliseconds, kilobytes


def _write_config(client: Client, number: int) -> float:
    """Return the milliseconds of one PUT that changes one mean."""
    symbol = symbol_of(number)
    path = f"/api/models/{MODEL}/symbols/{symbol}/factor-config"
    document: dict[str, Any] = json.loads(client.get(path)[1])
    document[symbol]["mean_values"][0] += 0.5
    return client.put(path, document) * 1000


def _spread(groups: int, count: int) -> Sequence[int]:
    """Return numbers of groups, far from each other; where there are few groups, some come again."""
    return [1 + at * groups // count % groups for at in range(count)]


def _pulls(place: Place, effort: Effort, server: peers.Peer, seconds: float, *, at_rest: bool = True) -> Load:
    return run_load(
        server,
        [payload_path(1)],
        GZIP,
        seconds=seconds,
        connections=CONNECTIONS,
        directory=place.work,
        wrk=effort.wrk,
        may_fail=True,
        at_rest=at_rest,
    )


def _register(client: Client, name: str, root: Path, ended: list[float]) -> None:
    client.post("/api/models", {"model_name": name, "root_path": str(root)})
    ended.append(time.perf_counter())
