"""What is measured, one function a subject; every server is started for its subject and ended with it."""

from __future__ import annotations

import http.client
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers
from make_artifacts import group_key_of, perturbed, replace_file, symbol_of
from table import Row, below

MODEL = "bench"
GZIP = {"Accept-Encoding": "gzip"}
MANY_CHANGED = 10

LONGEST_REFRESH_MS = 100.0
LARGEST_GROWTH = 2.0
"""Refreshing one group of ten times as many may take this many times as long."""
MOST_MEMORY_MB = 120.0
LONGEST_START_SECONDS = 1.0
SILENCE_SECONDS = 30.0
PUBLISHED_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, and where."""

    work: Path
    groups: int
    few_groups: int
    repeats: int
    starts: int
    refreshes: int
    load_seconds: float
    connections: Sequence[int]
    debounces: Sequence[float]
    nginx: str | None
    mlflow: str | None
    wrk: str | None

    @property
    def artifacts(self) -> Path:
        return self.work / "artifacts"

    @property
    def few_artifacts(self) -> Path:
        return self.work / "few-artifacts"

    @property
    def data(self) -> Path:
        return self.work / "data"

    @property
    def few_data(self) -> Path:
        return self.work / "few-data"

    @property
    def www(self) -> Path:
        return self.work / "nginx" / "www"

    @property
    def mlflow_directory(self) -> Path:
        return self.work / "mlflow"

    @property
    def paths(self) -> list[str]:
        """The addresses of all payloads, shuffled, the same way each time."""
        order = np.random.default_rng(11).permutation(self.groups) + 1
        return [payload_path(int(number)) for number in order]


@dataclass
class Samples:
    """Every number that was measured, for ``--json``."""

    values: dict[str, Any] = field(default_factory=dict)

    def keep(self, name: str, samples: Sequence[float]) -> list[float]:
        """Keep samples under a name; what is not a number is null, as JSON has it."""
        self.values[name] = [None if math.isnan(sample) else round(sample, 6) for sample in samples]
        return list(samples)


def payload_path(number: int) -> str:
    """Return the address of a group's payload."""
    return f"/api/models/{MODEL}/model/{symbol_of(number)}"


def artifact_name(number: int) -> str:
    """Return what the file of a group's payload is called at MLflow."""
    return f"{symbol_of(number)}.json"


class Client:
    """One connection that is kept open."""

    def __init__(self, peer: peers.Peer) -> None:
        self._connection = http.client.HTTPConnection(peers.HOST, peer.port, timeout=600)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, str]:
        """Return status, body and entity tag."""
        self._connection.request("GET", path, headers=headers or {})
        answer = self._connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("ETag", "")

    def post(self, path: str, document: dict[str, str] | None = None) -> float:
        """Return the seconds that a successful POST took."""
        return self._write("POST", path, document)

    def put(self, path: str, document: dict[str, Any]) -> float:
        """Return the seconds that a successful PUT took."""
        return self._write("PUT", path, document)

    def delete(self, path: str) -> float:
        """Return the seconds that a successful DELETE took."""
        return self._write("DELETE", path, None)

    def _write(self, method: str, path: str, document: dict[str, Any] | None) -> float:
        body = json.dumps(document).encode() if document is not None else b""
        started = time.perf_counter()
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        said = answer.read()
        seconds = time.perf_counter() - started
        if answer.status != 200:
            raise SystemExit(f"{method} {path} gave {answer.status}: {said[:500]!r}")
        return seconds


def registration(plan: Plan, samples: Samples) -> list[Row]:
    """Register the directory in fresh data directories; the last one stays for what follows."""
    seconds, memory = [], []
    for _ in range(plan.repeats):
        shutil.rmtree(plan.data, ignore_errors=True)
        with peers.model_manager(plan.data, logs=plan.work) as server:
            peers.wait_for_answer(server, "/api/health")
            seconds.append(_register(server, plan.artifacts))
            memory.append(server.memory_mb())
    with peers.model_manager(plan.few_data, logs=plan.work) as server:
        peers.wait_for_answer(server, "/api/health")
        _register(server, plan.few_artifacts)
    samples.keep("register_seconds", seconds)
    samples.keep("memory_after_registration_mb", memory)
    return [
        Row(f"register {plan.groups} groups", "s", seconds),
        memory_row("memory after registration", memory),
    ]


def first_pulls(plan: Plan, samples: Samples) -> list[Row]:
    """Pull every payload once after a restart; the peers are given the very bytes that were pulled.

    MLflow does not compress, so it gets the first one uncompressed.
    """
    folder = plan.www / "api" / "models" / MODEL / "model"
    folder.mkdir(parents=True, exist_ok=True)
    times = []
    with peers.model_manager(plan.data, logs=plan.work) as server:
        peers.wait_for_answer(server, "/api/health")
        after_restart = [server.memory_mb()]
        client = Client(server)
        for number in range(1, plan.groups + 1):
            started = time.perf_counter()
            status, body, _ = client.get(payload_path(number), GZIP)
            times.append((time.perf_counter() - started) * 1000)
            if status != 200:
                raise SystemExit(f"{payload_path(number)} gave {status}: {body[:500]!r}")
            (folder / f"{symbol_of(number)}.gz").write_bytes(body)
        plain_body = client.get(payload_path(1))[1]
        after_pulls, peak = [server.memory_mb()], [server.peak_memory_mb()]
    artifact = plan.mlflow_directory / "artifacts" / artifact_name(1)
    artifact.parent.mkdir(parents=True, exist_ok=True)
    artifact.write_bytes(plain_body)
    samples.keep("first_pull_ms", times)
    samples.keep("memory_after_restart_mb", after_restart)
    samples.keep("memory_after_all_pulls_mb", after_pulls)
    samples.keep("peak_memory_of_all_pulls_mb", peak)
    samples.keep("payload_gzip_bytes", [path.stat().st_size for path in folder.iterdir()])
    return [
        memory_row("memory after a restart", after_restart),
        memory_row(f"memory after {plan.groups} payloads were pulled", after_pulls),
        Row("first pull of a payload (it is built)", "ms", times),
    ]


def cold_start(plan: Plan, samples: Samples) -> list[Row]:
    """Start each server until it answers; file contents are in the system's cache."""
    rows = []
    for name, path in (("first 200 of /api/health", "/api/health"), ("first payload", payload_path(1))):
        ours, front, simple = [], [], []
        for _ in range(plan.starts):
            with peers.model_manager(plan.data, logs=plan.work) as server:
                ours.append(peers.wait_for_answer(server, path, GZIP))
            if plan.nginx is not None:
                with peers.nginx(plan.nginx, plan.work / "nginx", core=None) as server:
                    front.append(peers.wait_for_answer(server, path, GZIP))
            with peers.plain(MODEL, plan.artifacts, core=None, logs=plan.work) as server:
                simple.append(peers.wait_for_answer(server, path, GZIP))
        samples.keep(f"start_{path}_seconds", ours)
        rows.append(
            Row(
                f"start with {plan.groups} groups: {name}",
                "s",
                ours,
                nginx=front,
                plain=simple,
                budget=f"< {LONGEST_START_SECONDS:g} s",
                met=below(ours, LONGEST_START_SECONDS),
            )
        )
    return rows


def refresh(plan: Plan, samples: Samples) -> list[Row]:
    """Refresh after changed files, where few and where many groups are registered."""
    few = samples.keep("refresh_few_ms", _refreshes(plan, plan.few_data, plan.few_artifacts, plan.few_groups, 1))
    one = samples.keep("refresh_one_ms", _refreshes(plan, plan.data, plan.artifacts, plan.groups, 1))
    none = samples.keep("refresh_none_ms", _refreshes(plan, plan.data, plan.artifacts, plan.groups, 0))
    changed = min(MANY_CHANGED, plan.groups)
    many = samples.keep("refresh_many_ms", _refreshes(plan, plan.data, plan.artifacts, plan.groups, changed))
    growth = median(one) / median(few)
    return [
        Row(f"refresh, 1 changed of {plan.few_groups}", "ms", few),
        Row(
            f"refresh, 1 changed of {plan.groups}",
            "ms",
            one,
            budget=f"< {LONGEST_REFRESH_MS:g} ms",
            met=below(one, LONGEST_REFRESH_MS),
        ),
        Row(f"refresh, nothing changed of {plan.groups}", "ms", none),
        Row(f"refresh, {changed} changed of {plan.groups}", "ms", many),
        Row(
            f"growth: 1 of {plan.groups} against 1 of {plan.few_groups}",
            "",
            (),
            ratio=f"{growth:.2f}",
            budget=f"< {LARGEST_GROWTH:g} times",
            met=growth < LARGEST_GROWTH,
        ),
    ]


def watching(plan: Plan, samples: Samples) -> list[Row]:
    """Change a file under a watching server and ask until the new payload is served."""
    rows = []
    for debounce in plan.debounces:
        seconds = []
        with peers.model_manager(plan.data, watch_debounce=debounce, logs=plan.work) as server:
            peers.wait_for_answer(server, payload_path(1), GZIP)
            client = Client(server)
            wait_for_watcher(client)
            for number in range(1, plan.repeats + 1):
                seconds.append(seconds_until_served(client, plan.artifacts, number))
        samples.keep(f"watch_debounce_{debounce:g}_seconds", seconds)
        rows.append(Row(f"last byte written to new payload served, debounce {debounce:g} s", "s", seconds))
    return rows


def _register(server: peers.Peer, root: Path) -> float:
    return Client(server).post("/api/models", {"model_name": MODEL, "root_path": str(root)})


def _refreshes(plan: Plan, data: Path, root: Path, groups: int, changed: int) -> list[float]:
    generator = np.random.default_rng(changed)
    times = []
    with peers.model_manager(data, logs=plan.work) as server:
        peers.wait_for_answer(server, payload_path(1), GZIP)
        client = Client(server)
        client.post(f"/api/models/{MODEL}/refresh")
        for _ in range(plan.refreshes):
            wait_until_published(client)
            for number in generator.permutation(groups)[:changed] + 1:
                path = root / f"{group_key_of(int(number))}_model.json"
                replace_file(path, perturbed(path.read_bytes(), generator))
            times.append(client.post(f"/api/models/{MODEL}/refresh") * 1000)
    return times


def wait_until_published(client: Client) -> None:
    """Wait until every payload of the newest revision is made."""
    deadline = time.monotonic() + PUBLISHED_SECONDS
    while time.monotonic() < deadline:
        items = json.loads(client.get(f"/api/models/{MODEL}/manifest")[1])["items"]
        if all(item["etag"] for item in items):
            return
        time.sleep(0.1)
    raise SystemExit("The payloads were not made in time.")


def wait_for_watcher(client: Client) -> None:
    """Wait until the watcher follows the roots, and has listed them for the first time."""
    deadline = time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < deadline:
        watcher = json.loads(client.get("/api/health")[1])["watcher"]
        if watcher["mode"] in {"events", "polling"} and not watcher["pending"]:
            time.sleep(0.5)  # the first listing of the roots, which would hide the change
            return
        time.sleep(0.02)
    raise SystemExit("The watcher did not start.")


def seconds_until_served(client: Client, root: Path, number: int) -> float:
    """Rename another model into place; return the seconds from then until the new payload arrived."""
    path = root / f"{group_key_of(number)}_model.json"
    tag = client.get(payload_path(number), GZIP)[2]
    changed = perturbed(path.read_bytes(), np.random.default_rng(os.getpid() + number))
    replace_file(path, changed)
    written = time.perf_counter()
    while time.perf_counter() - written < SILENCE_SECONDS:
        status, _, new = client.get(payload_path(number), {**GZIP, "If-None-Match": tag})
        if status == 200 and new != tag:
            return time.perf_counter() - written
        time.sleep(0.01)
    raise SystemExit(f"{path.name} changed, and {SILENCE_SECONDS:g} s later the old payload is still served.")


def memory_row(figure: str, samples: Sequence[float]) -> Row:
    met = below(samples, MOST_MEMORY_MB)
    return Row(figure, "MB", samples, budget=f"< {MOST_MEMORY_MB:g} MB", met=met)
