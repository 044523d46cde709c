"""The benchmark: Model Manager beside its peers, in one run, as a table of medians and ratios."""

from __future__ import annotations

import argparse
import os
import time
from importlib.util import find_spec
from pathlib import Path

import figures
import many
import peers
import serving
from figures import Plan, Samples
from harness import add_work_option, say, work_directory, write_samples
from load import find_wrk
from make_artifacts import Shape, link_groups, write_directory
from table import HEADER, Row, machine, markdown

FEW_GROUPS = 50
QUICK_SECONDS = 0.05  # wrk makes it one second
FIRST = (figures.registration, figures.first_pulls)
SUBJECTS = (
    figures.cold_start,
    serving.throughput,
    many.workers,
    figures.refresh,
    figures.watching,
)


def main() -> int:
    """Measure, print the table; return 0 also when budgets are missed: they are reported, not hidden."""
    chosen = _arguments()
    if find_spec("fastapi") is None:
        raise SystemExit("The plain way needs FastAPI: pip install -r requirements-bench.txt")
    mlflow = peers.find_mlflow(chosen.mlflow)
    with work_directory(chosen.work) as work:
        (work / "nginx").mkdir()
        plan = Plan(
            work=work,
            groups=chosen.groups,
            few_groups=min(FEW_GROUPS, max(1, chosen.groups // 2)),
            repeats=1 if chosen.quick else 3,
            starts=1 if chosen.quick else 5,
            refreshes=1 if chosen.quick else 9,
            load_seconds=QUICK_SECONDS if chosen.quick else 4.0,
            connections=(1, 64) if chosen.quick else (1, 8, 64, 512),
            debounces=(0.2,) if chosen.quick else (0.2, 2.0),
            nginx=peers.find_nginx(),
            mlflow=mlflow,
            wrk=None if chosen.threads else find_wrk(),
        )
        return _measure(chosen, plan)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=500)
    parser.add_argument("--factors", type=int, default=300)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few repeats and short loads: does it run, not how fast")
    parser.add_argument(
        "--mlflow",
        metavar="PYTHON",
        help=f"an interpreter that has MLflow, which is started as a peer; by default that of {peers.MLFLOW_VARIABLE}",
    )
    parser.add_argument("--threads", action="store_true", help="make the load with Python threads, wrk or not")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    names = [subject.__name__ for subject in SUBJECTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="registration and some of the rest")
    add_work_option(parser)
    chosen = parser.parse_args()
    if chosen.groups < 2:
        parser.error("--groups must be 2 or more")
    return chosen


def _measure(chosen: argparse.Namespace, plan: Plan) -> int:
    facts = machine(
        plan.nginx,
        lambda: f"{'wrk' if plan.wrk else 'Python threads'}, {plan.load_seconds:g} s a run, {plan.repeats} rounds",
        peers.mlflow_version(plan.mlflow) if plan.mlflow else None,
    )
    say(f"writing {plan.groups} groups")
    shape = Shape(chosen.factors, chosen.trees, chosen.depth)
    written = write_directory(plan.artifacts, plan.groups, shape, chosen.seed)
    facts["artifacts"] = str(written)
    link_groups(plan.artifacts, plan.few_artifacts, plan.few_groups)
    samples = Samples()
    rows: list[Row] = []
    for subject in (*FIRST, *(subject for subject in SUBJECTS if subject.__name__ in chosen.only)):
        started = time.perf_counter()
        rows += subject(plan, samples)
        say(f"{subject.__name__}: {time.perf_counter() - started:.0f} s")
    facts["load average at the end"] = f"{os.getloadavg()[0]:.2f}"
    for name, fact in facts.items():
        print(f"- {name}: {fact}")
    print()
    print(markdown(rows))
    missed = [row.figure for row in rows if row.met is False]
    print()
    print(f"{len(missed)} budget(s) MISSED: {', '.join(missed)}" if missed else "Every budget is met.")
    if plan.nginx is None:
        print("nginx is not installed, so nothing is said about the budget against it.")
    if plan.wrk is None:
        print("The load came from Python threads, which limits what fast servers can show. Take wrk for figures.")
    if plan.mlflow is None:
        print("No interpreter with MLflow was given (--mlflow PYTHON), so nothing is said about it.")
    if chosen.json is not None:
        table = [dict(zip(HEADER, row.cells(), strict=True)) for row in rows]
        document = {"machine": facts, "table": table, "samples": samples.values}
        write_samples(chosen.json, document)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
