"""Bots, an artifact writer, config editors and a refresh loop together for half an hour, and every answer is checked.

The exit code is 1 when anything was wrong: a status, a digest, a pairing, an answer that did not come, or memory, files
or threads that grew.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import peers
from edits import Edits
from endurance import Sample, Slope, as_documents, slopes, table_of_stretches, take_samples
from figures import Client
from generations import Generations, Trainer
from harness import add_work_option, work_directory, write_samples
from make_artifacts import Shape, symbol_of
from pairing import Checker
from table import NONE, aligned, machine, verdict_of
from traffic import ANSWER_SECONDS, MODEL, Pace, Run, everybody

EXTRA_GROUPS = 5
DEBOUNCES_UNTIL_READ = 15
"""A root that never rests is read after so many debounces: see docs/operations.md."""
SLACK_SECONDS = 15.0
EVENTS = (
    "200 gzip", "200 identity", "200 zstd", "304 gzip", "304 identity", "304 zstd", "client pulls", "synced copies",
    "syncs", "changes heard", "generations", "edits saved", "edits refused", "refreshes", "models registered",
    "models deleted",
)  # fmt: skip
"""What has to happen at least once, or the run says less than it seems to."""


def main() -> int:
    """Run, print what happened; return 1 when anything was wrong."""
    chosen = _arguments()
    with work_directory(chosen.work) as work:
        return _soak(chosen, work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--bots", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="1: one process")
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--factors", type=int, default=100)
    parser.add_argument("--trees", type=int, default=30)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--debounce", type=float, default=2.0, help="MODEL_MANAGER_WATCH_DEBOUNCE")
    parser.add_argument("--sample", type=float, default=5.0, help="seconds between two samples of the processes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=peers.PROJECT / "bench" / "results" / "soak.json", metavar="FILE")
    add_work_option(parser)
    chosen = parser.parse_args()
    if chosen.factors < 4 or chosen.groups < 2 or chosen.bots < 1:
        parser.error("--factors must be 4, --groups 2 and --bots 1 at least")
    return chosen


def _soak(chosen: argparse.Namespace, work: Path) -> int:
    seconds = chosen.minutes * 60
    run = _prepared(chosen, work)
    facts = machine(
        None, lambda: f"{chosen.bots} bots, 2 editors, a trainer, a refresh loop, one who registers: threads"
    )
    for name in ("nginx", "mlflow"):
        facts.pop(name, None)
    facts["artifacts"] = (
        f"{chosen.groups} groups of about {chosen.factors} factors and {chosen.trees} trees of depth {chosen.depth}"
    )
    facts["server"] = f"{chosen.workers} worker(s), debounce {chosen.debounce:g} s"
    samples: list[Sample] = []
    with peers.model_manager(
        work / "data", watch_debounce=chosen.debounce, workers=chosen.workers, logs=work
    ) as server:
        run.port = server.port
        peers.wait_for_answer(server, "/api/health")
        Client(server).post("/api/models", {"model_name": MODEL, "root_path": str(work / "artifacts")})
        threads = [threading.Thread(target=target, name=name) for name, target in everybody(run, chosen.bots).items()]
        threads.append(
            threading.Thread(
                target=take_samples, args=(server.process_id, work / "data", chosen.sample, run.ended, samples.append)
            )
        )
        for thread in threads:
            thread.start()
        try:
            _wait(run, server, seconds)
        finally:
            run.ended.set()
        for thread in threads:
            thread.join(2 * ANSWER_SECONDS)
            if thread.is_alive():
                run.wrong("stuck", thread.name, "had not ended a minute after the end of the run")
    for line in complaints_of(work / "ours.log"):
        run.wrong("server log", "server", line)
    facts["load average at the end"] = f"{os.getloadavg()[0]:.2f}"
    return _report(chosen, run, facts, samples, slopes(samples, seconds))


def _prepared(chosen: argparse.Namespace, work: Path) -> Run:
    generations, edits = Generations(), Edits()
    shape = Shape(chosen.factors, chosen.trees, chosen.depth)
    for name in ("artifacts", "extra", "caches"):
        (work / name).mkdir()
    symbols = tuple(symbol_of(number) for number in range(1, chosen.groups + 1))
    extra = tuple(f"EXTRA{number}" for number in range(1, EXTRA_GROUPS + 1))
    trainer = Trainer(work / "artifacts", shape, generations, chosen.seed)
    for symbol in symbols:
        trainer.retrain(symbol)
    other = Trainer(work / "extra", shape, generations, chosen.seed + 1)
    for symbol in extra:
        other.retrain(symbol)
    longest = DEBOUNCES_UNTIL_READ * chosen.debounce + SLACK_SECONDS
    checker = Checker(generations, edits, longest)
    pace = Pace(chosen.debounce)
    return Run(0, symbols, extra, work / "extra", pace, generations, edits, checker, trainer, work / "caches")


def _wait(run: Run, server: peers.Peer, seconds: float) -> None:
    """Wait until the time is over, and say every minute how it goes."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(60.0, left))
        pulls = len(run.pull_seconds) + len(run.unchanged_seconds)
        print(
            f"{left / 60:.0f} min left: {pulls:,} raw pulls, {run.counts['generations']} generations, "
            f"{run.counts['edits saved']} edits, {server.memory_mb():.0f} MB, {len(run.problems)} problem(s)",
            flush=True,
        )


def complaints_of(log: Path) -> list[str]:
    """Return what a server's log says that is neither an answer of ours nor routine."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if '"event": "request"' in line or '"event":"request"' in line:
            continue
        if any(
            word in line
            for word in ('"level": "error"', '"level": "warning"', '"level":"error"', '"level":"warning"', "Traceback")
        ):
            found.append(line[:2000])
    return found


def _report(
    chosen: argparse.Namespace, run: Run, facts: dict[str, str], samples: Sequence[Sample], lines: Sequence[Slope]
) -> int:
    for name, fact in facts.items():
        print(f"- {name}: {fact}")
    print("\n" + aligned([("event", "count"), *((name, f"{count:,}") for name, count in sorted(run.counts.items()))]))
    times = {
        "pulls, 200": run.pull_seconds,
        "pulls, 304": run.unchanged_seconds,
        "files whole until served": run.checker.delays,
    }
    shown = {name: _percentiles(seconds) for name, seconds in times.items()}
    print(
        "\n"
        + aligned(
            [("time", "p50", "p99", "longest"), *((name, *(_time(one) for one in of)) for name, of in shown.items())]
        )
    )
    rows = [("figure", "after warm-up", "at the end", "an hour", "budget", "verdict")]
    for line in lines:
        budget = NONE if line.limit is None else f"< {line.limit:g} {line.unit}".strip()
        rows.append((line.name, *line.cells(), budget, verdict_of(line.is_flat)))
    print("\n" + aligned(rows))
    print("\n" + table_of_stretches(samples, 60 * chosen.minutes))
    missing = [name for name in EVENTS if not run.counts[name]]
    grown = [line.name for line in lines if line.is_flat is False]
    kinds = Counter(str(problem["kind"]) for problem in run.problems)
    verdicts = {
        "errors and wrong answers": sum(count for name, count in run.counts.items() if name.startswith("wrong: ")),
        "by kind": dict(kinds),
        "events that never happened": missing,
        "grew": grown,
    }
    print()
    for name, verdict in verdicts.items():
        print(f"{name}: {verdict or 'none'}")
    document = {
        "machine": facts, "arguments": {name: str(value) for name, value in vars(chosen).items()},
        "counts": dict(run.counts), "verdicts": verdicts, "problems": run.problems,
        "times": shown, "samples": as_documents(samples),
        "slopes": [{"name": line.name, "unit": line.unit, "first": line.first, "last": line.last,
                    "an_hour": line.an_hour, "error": line.error, "flat": line.is_flat} for line in lines],
    }  # fmt: skip
    write_samples(chosen.json, document)
    return 1 if run.problems or missing or grown else 0


def _percentiles(seconds: Sequence[float]) -> tuple[float, float, float] | None:
    if not len(seconds):
        return None
    p50, p99, longest = np.percentile(np.asarray(seconds), [50, 99, 100]).tolist()
    return p50, p99, longest


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    raise SystemExit(main())
