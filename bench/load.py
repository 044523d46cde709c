"""Load on one server for a bounded time: wrk where it is installed, else a few Python threads."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers import HOST, Peer, pinned

LOAD_CORE = 1
ANSWER_SECONDS = 60

LUA = """\
local requests = {}
local position = 0
function init(arguments)
  for path in io.lines(os.getenv("BENCH_PATHS")) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end
function request()
  position = position % #requests + 1
  return requests[position]
end
function done(summary, latency, counts)
  local failed = summary.errors
  io.write(string.format(
    '\\nBENCH {"requests": %d, "microseconds": %d, "bytes": %d, "failed": %d, "p50": %f, "p99": %f}\\n',
    summary.requests, summary.duration, summary.bytes,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured; latencies in ms, ``cpu_ms`` the server's processor time for one request."""

    requests: int
    per_second: float
    megabytes_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def generator_name() -> str:
    """Return which load generator is used."""
    return "wrk" if shutil.which("wrk") else "python threads"


def run_load(
    peer: Peer,
    paths: Sequence[str],
    headers: Mapping[str, str],
    *,
    seconds: float,
    connections: int,
    directory: Path,
) -> Load:
    """Ask ``peer`` for ``paths`` in turn, over and over, on ``connections`` connections; any failure ends the run."""
    before = peer.cpu_seconds()
    if generator_name() == "wrk":
        measured = _run_wrk(peer, paths, headers, seconds, connections, directory)
    else:
        measured = _run_threads(peer, paths, headers, seconds, connections)
    cpu = peer.cpu_seconds() - before
    if measured["failed"] or not measured["requests"]:
        raise SystemExit(f"{peer.name} failed {measured['failed']} of {measured['requests']} requests: not a figure.")
    elapsed = measured["microseconds"] / 1e6
    return Load(
        requests=int(measured["requests"]),
        per_second=measured["requests"] / elapsed,
        megabytes_per_second=measured["bytes"] / elapsed / 1e6,
        p50_ms=measured["p50"] / 1000,
        p99_ms=measured["p99"] / 1000,
        cpu_ms=cpu * 1000 / measured["requests"],
    )


def _run_wrk(
    peer: Peer, paths: Sequence[str], headers: Mapping[str, str], seconds: float, connections: int, directory: Path
) -> dict[str, float]:
    script, listed = directory / "wrk.lua", directory / "wrk-paths.txt"
    script.write_text(LUA)
    listed.write_text("\n".join(paths) + "\n")
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"]
    command += ["--timeout", f"{ANSWER_SECONDS}s", "-s", str(script)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(
        [*pinned(LOAD_CORE, command), f"http://{HOST}:{peer.port}/"],
        env={**os.environ, "BENCH_PATHS": str(listed)},
        capture_output=True,
        text=True,
        timeout=seconds + 2 * ANSWER_SECONDS,
    )
    for line in done.stdout.splitlines():
        if line.startswith("BENCH "):
            found: dict[str, float] = json.loads(line.removeprefix("BENCH "))
            return found
    raise SystemExit(f"wrk gave no figures: {done.stdout} {done.stderr}")


def _run_threads(
    peer: Peer, paths: Sequence[str], headers: Mapping[str, str], seconds: float, connections: int
) -> dict[str, float]:
    print("wrk is not installed: the client in Python limits what fast servers can show.", file=sys.stderr)
    deadline = time.perf_counter() + seconds
    times: list[float] = []
    received: list[int] = []
    failed: list[object] = []

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection(HOST, peer.port, timeout=ANSWER_SECONDS)
        at = first
        while time.perf_counter() < deadline:
            started = time.perf_counter()
            try:
                connection.request("GET", paths[at % len(paths)], headers=dict(headers))
                answer = connection.getresponse()
                size = len(answer.read())
            except (OSError, http.client.HTTPException) as error:
                failed.append(error)
                break
            if answer.status >= 400:
                failed.append(answer.status)
            times.append(time.perf_counter() - started)
            received.append(size)
            at += connections
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(times) or [0.0]
    return {
        "requests": len(times),
        "microseconds": (time.perf_counter() - began) * 1e6,
        "bytes": sum(received),
        "failed": len(failed),
        "p50": ordered[len(ordered) // 2] * 1e6,
        "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e6,
    }
