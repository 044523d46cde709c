"""Load on one server for a bounded time: wrk where it is installed, else a few Python threads."""

from __future__ import annotations

import http.client
import json
import math
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers import HOST, Peer, pinned

LOAD_CORE = 1
ANSWER_SECONDS = 60
ERRORS = ("connect", "read", "write", "status", "timeout")

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
    '\\nBENCH {"requests": %d, "microseconds": %d, "bytes": %d, "connect": %d, "read": %d, "write": %d, ' ..
    '"status": %d, "timeout": %d, "p50": %f, "p99": %f}\\n',
    summary.requests, summary.duration, summary.bytes,
    failed.connect, failed.read, failed.write, failed.status, failed.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured; latencies in ms, ``cpu_ms`` the server's processor time for one request.

    ``errors`` counts what failed by kind: connections, reads and writes that broke, a status of 400 or more, and
    answers that did not come within a minute. Where nothing was answered, times are not a number.
    """

    requests: int
    per_second: float
    megabytes_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    errors: Mapping[str, int]

    @property
    def failed(self) -> int:
        """How many requests and connections failed, for whatever reason."""
        return sum(self.errors.values())


def find_wrk() -> str | None:
    """Return the load generator, None when it is not installed."""
    return shutil.which("wrk")


def run_load(
    peer: Peer,
    paths: Sequence[str],
    headers: Mapping[str, str],
    *,
    seconds: float,
    connections: int,
    directory: Path,
    wrk: str | None,
    may_fail: bool = False,
    at_rest: bool = True,
) -> Load:
    """Ask ``peer`` for ``paths`` in turn, over and over, on ``connections`` connections.

    Without ``wrk`` threads do it, which limits what fast servers can show.
    Any failure ends the benchmark, unless it ``may_fail``: then failures are counted, and somebody has to show them.
    The load waits until the server is ``at_rest``, so that what an earlier one left behind is not measured.
    """
    if at_rest:
        peer.wait_until_calm()
    before = peer.cpu_seconds()
    if wrk is not None:
        measured = _run_wrk(wrk, peer, paths, headers, seconds, connections, directory)
    else:
        measured = _run_threads(peer, paths, headers, seconds, connections)
    cpu = peer.cpu_seconds() - before
    errors = {kind: int(measured[kind]) for kind in ERRORS}
    requests = int(measured["requests"])
    if not may_fail and (not requests or any(errors.values())):
        raise SystemExit(
            f"{peer.name} answered {requests} requests on {connections} connections and failed others ({errors}): not "
            f"a figure. Look at {peer.name}.log in the work directory (--work DIR keeps it)."
        )
    elapsed = measured["microseconds"] / 1e6
    return Load(
        requests=requests,
        per_second=requests / elapsed,
        megabytes_per_second=measured["bytes"] / elapsed / 1e6,
        p50_ms=measured["p50"] / 1000 if requests else math.nan,
        p99_ms=measured["p99"] / 1000 if requests else math.nan,
        cpu_ms=cpu * 1000 / requests if requests else math.nan,
        errors=errors,
    )


def _run_wrk(
    wrk: str,
    peer: Peer,
    paths: Sequence[str],
    headers: Mapping[str, str],
    seconds: float,
    connections: int,
    directory: Path,
) -> dict[str, float]:
    script, listed = directory / "wrk.lua", directory / "wrk-paths.txt"
    script.write_text(LUA)
    listed.write_text("\n".join(paths) + "\n")
    command = [wrk, "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"]
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
    deadline = time.perf_counter() + seconds
    times: list[float] = []
    received: list[int] = []
    errors = dict.fromkeys(ERRORS, 0)
    counting = threading.Lock()

    def failed(kind: str) -> None:
        with counting:
            errors[kind] += 1

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection(HOST, peer.port, timeout=ANSWER_SECONDS)
        at = first
        while at == first or time.perf_counter() < deadline:  # one answer at least, however busy the machine is
            started = time.perf_counter()
            try:
                connection.request("GET", paths[at % len(paths)], headers=dict(headers))
                answer = connection.getresponse()
                size = len(answer.read())
            except (OSError, http.client.HTTPException) as error:
                failed("timeout" if isinstance(error, TimeoutError) else "read")
                break
            if answer.status >= 400:
                failed("status")
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
        **errors,
        "p50": ordered[len(ordered) // 2] * 1e6,
        "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e6,
    }
