"""Pulls, each server on one core: Model Manager and its peers in turns under the same load."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import peers
from figures import GZIP, Client, Plan, Samples, artifact_name, memory_row, payload_path, wait_until_published
from load import Load, run_load
from peers import MLFLOW_ADDRESS, Peer
from table import PEERS, Row, paired_ratio, ratios

SERVER_CORE = 0
CONNECTIONS = 8
BUDGETS = {"plain": (100.0, "> 100 × plain"), "nginx": (1 / 3, "> 1/3 of nginx")}
"""What ours has to be of a peer at least."""

Taken = dict[str, list[Load]]
"""The loads of each server, in the order of the rounds."""


def throughput(plan: Plan, samples: Samples) -> list[Row]:
    """Load each server on a core of its own, one after the other in every round."""
    hot = [payload_path(1)]
    with ExitStack() as running:
        servers = start_all(plan, running, core=SERVER_CORE, processes=1)
        ours = servers[0]
        servers.append(running.enter_context(peers.plain("bench", plan.artifacts, core=SERVER_CORE, logs=plan.work)))
        sizes, tags = {}, {}
        for server in servers:
            peers.wait_for_answer(server, path_at(server, hot[0]), GZIP)
            _, body, tags[server.name] = Client(server).get(path_at(server, hot[0]), GZIP)
            sizes[server.name] = [len(body) / 1000]
        conditions = {name: {"If-None-Match": tag} for name, tag in tags.items() if tag}
        conditional = [server for server in servers if _is_conditional(server, hot[0], conditions.get(server.name))]
        with_mlflow = [server for server in servers if server.name in {"ours", "mlflow"}]
        without = [server for server in servers if server.name != "mlflow"]

        def rounds(name: str, paths: Sequence[str], connections: int, among: Sequence[Peer], **how: object) -> Taken:
            found = in_turns(plan, among, paths, connections, **how)
            for peer, loads in found.items():
                for attribute in ("per_second", "p50_ms", "p99_ms", "cpu_ms"):
                    samples.keep(f"{name}_{peer}_{attribute}", [getattr(load, attribute) for load in loads])
            return found

        calm = rounds("one_connection", hot, 1, servers)
        busy = rounds("hot", hot, CONNECTIONS, servers)
        whole = rounds("hot_identity", hot, CONNECTIONS, with_mlflow, headers={"Accept-Encoding": "identity"})
        spread = rounds("all_symbols", plan.paths, CONNECTIONS, without)
        polled = rounds("not_modified", hot, CONNECTIONS, conditional, conditions=conditions)
        memory, peak = [ours.memory_mb()], [ours.peak_memory_mb()]
        of_peers = {server.name: [server.memory_mb()] for server in servers}
    samples.keep("memory_after_load_mb", memory)
    samples.keep("peak_memory_of_load_mb", peak)
    for name, size in sizes.items():
        samples.keep(f"answer_{name}_kb", size)
    return [
        *_rows("payload gzip, one hot symbol", busy, budgeted=True),
        Row("payload gzip, one hot symbol: body that is sent", "kB", **sizes),
        *(_rows("payload uncompressed, one hot symbol", whole) if len(with_mlflow) > 1 else ()),
        *_rows(f"payload gzip, {plan.groups} symbols in turn", spread, budgeted=True),
        *_rows("304, one hot symbol", polled),
        _row("payload gzip, one connection: p50", "ms", calm, lambda load: load.p50_ms),
        _row("payload gzip, one connection: p99", "ms", calm, lambda load: load.p99_ms),
        _row(f"payload gzip, {CONNECTIONS} connections: p99", "ms", busy, lambda load: load.p99_ms),
        memory_row("memory after the load", memory),
        memory_row("peak memory under load", peak),
        Row("memory of every server after the load", "MB", **of_peers),
    ]


def start_all(plan: Plan, running: ExitStack, *, core: int | None, processes: int) -> list[Peer]:
    """Start ours and every peer that sends files, each with so many processes; ours is the first and has published."""
    ours = running.enter_context(peers.model_manager(plan.data, core=core, workers=processes, logs=plan.work))
    peers.wait_for_answer(ours, "/api/health")
    wait_until_published(Client(ours))
    servers = [ours]
    if plan.nginx is not None:
        servers.append(running.enter_context(peers.nginx(plan.nginx, plan.work / "nginx", core=core)))
    servers.append(running.enter_context(peers.sendfile(plan.www, core=core, processes=processes, logs=plan.work)))
    if plan.mlflow is not None:
        place = plan.mlflow_directory
        servers.append(running.enter_context(peers.mlflow(plan.mlflow, place, core=core, processes=processes)))
    for server in servers:
        peers.wait_for_answer(server, path_at(server, payload_path(1)), GZIP)
        server.wait_until_calm()  # MLflow answers from its first worker while the others are still starting
    return servers


def path_at(server: Peer, path: str) -> str:
    """Return where ``server`` has the payload that ours has at ``path``; MLflow has that of the first group alone."""
    return MLFLOW_ADDRESS + artifact_name(1) if server.name == "mlflow" else path


def in_turns(
    plan: Plan,
    servers: Sequence[Peer],
    paths: Sequence[str],
    connections: int,
    *,
    headers: Mapping[str, str] = GZIP,
    conditions: Mapping[str, Mapping[str, str]] | None = None,
    may_fail: bool = False,
) -> Taken:
    """Load every server once in each round; ``conditions`` are headers of one server each."""
    taken: Taken = {name: [] for name in ("ours", *PEERS)}
    for _ in range(plan.repeats):
        for server in servers:
            sent = {**headers, **(conditions or {}).get(server.name, {})}
            its_paths = [path_at(server, path) for path in paths]
            taken[server.name].append(
                run_load(
                    server,
                    its_paths,
                    sent,
                    seconds=plan.load_seconds,
                    connections=connections,
                    directory=plan.work,
                    wrk=plan.wrk,
                    may_fail=may_fail,
                )
            )
    return taken


def of_each(taken: Taken, value: Callable[[Load], float]) -> dict[str, list[float]]:
    """Return one figure of every load, by server."""
    return {name: [value(load) for load in loads] for name, loads in taken.items()}


def _is_conditional(server: Peer, path: str, condition: Mapping[str, str] | None) -> bool:
    """Return whether a server answers 304 to its own entity tag, which ours has to."""
    if condition is not None and Client(server).get(path_at(server, path), {**GZIP, **condition})[0] == 304:
        return True
    if server.name in {"ours", "nginx"}:
        raise SystemExit(f"{server.name} did not answer 304 to its own entity tag")
    print(f"{server.name} knows no 304: it is left out where that is measured", file=sys.stderr)
    return False


def _row(figure: str, unit: str, taken: Taken, value: Callable[[Load], float]) -> Row:
    found = of_each(taken, value)
    return Row(figure, unit, **found, ratio=ratios(found["ours"], {name: found[name] for name in PEERS}))


def _rows(figure: str, taken: Taken, *, budgeted: bool = False) -> list[Row]:
    """Return the rate beside each peer, and the processor time."""
    rates = of_each(taken, lambda load: load.per_second)
    rows = []
    for name in PEERS:
        if not rates[name]:
            continue
        least, said = BUDGETS.get(name, (None, "–")) if budgeted else (None, "–")
        ratio = paired_ratio(rates["ours"], rates[name])
        rows.append(
            Row(
                figure,
                "/s",
                rates["ours"],
                ratio=f"{ratio:.3g} × {name}",
                budget=said,
                met=None if least is None else ratio > least,
                **{name: rates[name]},
            )
        )
    return [*rows, _row(f"{figure}: server's processor time", "ms", taken, lambda load: load.cpu_ms)]
