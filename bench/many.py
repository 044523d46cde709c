"""Several workers and many connections, on all cores that there are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

import peers
from figures import GZIP, Client, Plan, Samples, payload_path
from load import Load, run_load
from serving import Taken, in_turns, of_each, start_all
from table import PEERS, Row, paired_ratio, ratios

WORKERS = 2
IDLE = 512
SMALLEST_OF_NGINX = 1 / 2
LARGEST_SLOWDOWN = 1.2
GROWTH_CONNECTIONS = 64


def workers(plan: Plan, samples: Samples) -> list[Row]:
    """Load two workers of each server, and nginx's one, with few and many connections; nothing is bound to a core."""
    rows = []
    with ExitStack() as running:
        servers = start_all(plan, running, core=None, processes=WORKERS)
        ours = servers[0]
        with_all_symbols = [server for server in servers if server.name != "mlflow"]
        for what, paths, among in (
            ("one hot symbol", [payload_path(1)], servers),
            (f"{plan.groups} symbols in turn", plan.paths, with_all_symbols),
        ):
            for connections in plan.connections:
                taken = in_turns(plan, among, paths, connections, may_fail=True)
                rows += _rows(f"{WORKERS} workers, {what}, {_counted(connections)}", taken, samples)
        rows.append(_beside_idle_ones(plan, samples, ours))
        rows.append(_beside_one_process(plan, samples, ours))
        memory = {server.name: [server.memory_mb()] for server in servers}
    samples.keep("memory_of_workers_mb", memory["ours"])
    return [*rows, Row(f"memory of {WORKERS} workers and their owner after the load", "MB", **memory)]


def _counted(connections: int) -> str:
    return f"{connections} connection" + ("s" if connections > 1 else "")


def _rows(figure: str, taken: Taken, samples: Samples) -> list[Row]:
    """Return rate, latencies and errors; the errors are those of all rounds together."""
    found = {name: of_each(taken, partial(_attribute, name)) for name in ("per_second", "p50_ms", "p99_ms", "failed")}
    for name, by_server in found.items():
        for server, values in by_server.items():
            if values:
                samples.keep(f"{figure}_{server}_{name}", values)
    rates = found["per_second"]
    ratio = paired_ratio(rates["ours"], rates["nginx"]) if rates["nginx"] else None
    others = {name: rates[name] for name in PEERS}
    failed = {server: [int(sum(values))] for server, values in found["failed"].items() if values}
    return [
        Row(
            figure,
            "/s",
            **rates,
            ratio=ratios(rates["ours"], others),
            budget="–" if ratio is None else "> 1/2 of nginx",
            met=None if ratio is None else ratio > SMALLEST_OF_NGINX,
        ),
        Row(f"{figure}: p50", "ms", **found["p50_ms"]),
        Row(f"{figure}: p99", "ms", **found["p99_ms"]),
        Row(f"{figure}: errors", "", **failed),
    ]


def _attribute(name: str, load: Load) -> float:
    value: float = getattr(load, name)
    return value


def _beside_idle_ones(plan: Plan, samples: Samples, ours: peers.Peer) -> Row:
    """Measure one bot alone and beside many that keep their connections open, in turns."""
    alone, beside = [], []
    for _ in range(plan.repeats):
        for kept, times in ((0, alone), (IDLE, beside)):
            with _idle_connections(ours, kept):
                load = run_load(
                    ours,
                    [payload_path(1)],
                    GZIP,
                    seconds=plan.load_seconds,
                    connections=1,
                    directory=plan.work,
                    wrk=plan.wrk,
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


def _beside_one_process(plan: Plan, samples: Samples, ours: peers.Peer) -> Row:
    """Measure 304s of several workers and of a server that is one process, in turns.

    They are what costs the load generator least, so that the servers can have most of the machine.
    """
    path = payload_path(1)
    tag = Client(ours).get(path, GZIP)[2]
    rates: dict[str, list[float]] = {"several": [], "one": []}
    with peers.model_manager(plan.data, logs=plan.work) as alone:
        peers.wait_for_answer(alone, path, GZIP)
        for _ in range(plan.repeats):
            for name, server in (("one", alone), ("several", ours)):
                load = run_load(
                    server,
                    [path],
                    {**GZIP, "If-None-Match": tag},
                    seconds=plan.load_seconds,
                    connections=GROWTH_CONNECTIONS,
                    directory=plan.work,
                    wrk=plan.wrk,
                )
                rates[name].append(load.per_second)
    samples.keep("304_of_one_process_per_second", rates["one"])
    samples.keep("304_of_several_workers_per_second", rates["several"])
    return Row(
        f"{WORKERS} workers, 304, {_counted(GROWTH_CONNECTIONS)}",
        "/s",
        rates["several"],
        ratio=f"{paired_ratio(rates['several'], rates['one']):.2f} × one process",
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
