"""Several workers and many connections, on all cores that there are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import peers
from figures import GZIP, Client, Plan, Samples, payload_path, wait_until_published
from load import Load, run_load
from table import Row, paired_ratio

WORKERS = 2
CONNECTIONS = (8, 64, 512)
IDLE = 512
SMALLEST_OF_NGINX = 1 / 2
LARGEST_SLOWDOWN = 1.2


def workers(plan: Plan, samples: Samples) -> list[Row]:
    """Load two workers and one nginx worker with few and many connections; nothing is bound to a core."""
    hot = [payload_path(1)]
    rows = []
    with ExitStack() as running:
        ours = running.enter_context(peers.model_manager(plan.data, workers=WORKERS, logs=plan.work))
        peers.wait_for_answer(ours, "/api/health")
        wait_until_published(Client(ours))
        servers = [ours]
        if plan.nginx is not None:
            servers.append(running.enter_context(peers.nginx(plan.nginx, plan.work / "nginx", core=None)))
        for server in servers:
            peers.wait_for_answer(server, hot[0], GZIP)
        for what, paths in (("one hot symbol", hot), (f"{plan.groups} symbols in turn", plan.paths)):
            for connections in CONNECTIONS:
                taken: dict[str, list[Load]] = {"ours": [], "nginx": []}
                for _ in range(plan.repeats):
                    for server in servers:
                        taken[server.name].append(
                            run_load(
                                server, paths, GZIP, seconds=plan.load_seconds, connections=connections,
                                directory=plan.work,
                            )
                        )  # fmt: skip
                rows += _rows(f"{WORKERS} workers, {what}, {connections} connections", taken, samples)
        rows.append(_beside_idle_ones(plan, samples, ours))
        memory = [ours.memory_mb()]
    samples.keep("memory_of_workers_mb", memory)
    return [*rows, Row(f"memory of {WORKERS} workers and their owner after the load", "MB", memory)]


def _rows(figure: str, taken: dict[str, list[Load]], samples: Samples) -> list[Row]:
    rates = {name: [load.per_second for load in loads] for name, loads in taken.items()}
    slowest = {name: [load.p99_ms for load in loads] for name, loads in taken.items()}
    for name in rates:
        samples.keep(f"{figure}_{name}_per_second", rates[name])
        samples.keep(f"{figure}_{name}_p99_ms", slowest[name])
    if not rates["nginx"]:
        return [Row(figure, "/s", rates["ours"]), Row(f"{figure}: p99", "ms", slowest["ours"])]
    ratio = paired_ratio(rates["ours"], rates["nginx"])
    return [
        Row(
            figure,
            "/s",
            rates["ours"],
            rates["nginx"],
            ratio=f"{ratio:.3g} × nginx",
            budget="> 1/2 of nginx",
            met=ratio > SMALLEST_OF_NGINX,
        ),
        Row(f"{figure}: p99", "ms", slowest["ours"], slowest["nginx"]),
    ]


def _beside_idle_ones(plan: Plan, samples: Samples, ours: peers.Peer) -> Row:
    """Measure one bot alone and beside many that keep their connections open, in turns."""
    alone, beside = [], []
    for _ in range(plan.repeats):
        for kept, times in ((0, alone), (IDLE, beside)):
            with _idle_connections(ours, kept):
                load = run_load(
                    ours, [payload_path(1)], GZIP, seconds=plan.load_seconds, connections=1, directory=plan.work
                )
            times.append(load.p50_ms)
    samples.keep("one_alone_p50_ms", alone)
    samples.keep("one_beside_idle_p50_ms", beside)
    slowdown = median(beside) / median(alone)
    return Row(
        f"one bot beside {IDLE} idle ones: p50",
        "ms",
        beside,
        ratio=f"{slowdown:.2f} × alone",
        budget=f"< {LARGEST_SLOWDOWN:g} × alone",
        met=slowdown < LARGEST_SLOWDOWN,
    )


@contextmanager
def _idle_connections(server: peers.Peer, count: int) -> Iterator[None]:
    """Keep connections open that were served once and now wait."""
    with ExitStack() as kept:
        for _ in range(count):
            connection = kept.enter_context(socket.create_connection((peers.HOST, server.port)))
            connection.sendall(b"HEAD " + payload_path(1).encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            while b"\r\n\r\n" not in connection.recv(4096):
                pass
        yield
