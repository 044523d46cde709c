"""What grows with the number of groups: the same figures at 100, 1,000 and 10,000 small groups, and by how much."""

from __future__ import annotations

import argparse
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import peers
from harness import add_work_option, say, work_directory, write_samples
from load import find_wrk
from make_artifacts import Shape, link_groups, write_directory
from one_size import CONNECTIONS, WORKERS, Effort, Place, Samples, measure
from table import NONE, aligned, machine, shown_median, verdict_of

SIZES = (100, 1_000, 10_000)
OTHER_GROUPS = 1_000
LONGEST_START_SECONDS = 3.0
LONGEST_AFTER_DEBOUNCE_SECONDS = 0.5
LARGEST_GROWTH = 2.0
"""What does not grow with the number of groups may take this many times as long all the same: machines are noisy."""
LARGEST_SLOWDOWN = 3.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table: a limit that every size has to stay below, or one for the growth between the last two."""

    name: str
    title: str
    unit: str
    below: float | None = None
    growth_below: float | None = None

    def budget(self) -> str:
        """Return what is asked for."""
        if self.below is not None:
            return f"< {self.below:g} {self.unit}".strip()
        return NONE if self.growth_below is None else f"growth < {self.growth_below:g}"

    def met(self, values: Sequence[float]) -> bool | None:
        """Return whether the medians of all sizes, smallest first, keep to the budget; None where there is none."""
        if self.below is not None:
            return all(value < self.below for value in values)
        return None if self.growth_below is None or len(values) < 2 else growth(values) < self.growth_below


def growth(values: Sequence[float]) -> float:
    """Return how many times the last but one the last is; not a number where that cannot be said."""
    return values[-1] / values[-2] if len(values) > 1 and values[-2] else math.nan


def figures(debounce: float, other_groups: int) -> tuple[Figure, ...]:
    """Return the lines of the table."""
    beside = f"{CONNECTIONS} connections, {other_groups:,} groups being registered"
    return (
        Figure("register_seconds", "register", "s"),
        Figure("register_per_second", "register: groups", "/s"),
        Figure("register_processors", "register: processors used", ""),
        Figure("ready_seconds", "register, until every payload is made", "s"),
        Figure("start_health_seconds", "start: first 200 of /api/health", "s", below=LONGEST_START_SECONDS),
        Figure("start_payload_seconds", "start: first payload", "s", below=LONGEST_START_SECONDS),
        Figure("config_ms", "PUT of one factor config, server at rest", "ms", growth_below=LARGEST_GROWTH),
        Figure("configs_in_a_row_ms", "PUT of one factor config of many in a row", "ms", growth_below=LARGEST_GROWTH),
        Figure(
            "changed_seconds",
            f"a model renamed into place, until a bot has its payload; debounce {debounce:g} s",
            "s",
            below=debounce + LONGEST_AFTER_DEBOUNCE_SECONDS,
        ),
        Figure("refresh_ms", "refresh, nothing changed", "ms"),
        Figure("manifest_ms", "manifest, gzip", "ms"),
        Figure("manifest_kb", "manifest, gzip: size", "kB"),
        Figure("manifest_304_ms", "manifest, 304", "ms"),
        Figure("owner_mb", "memory of the owner", "MB"),
        Figure("owner_private_mb", "memory of the owner: its own", "MB"),
        Figure("owner_peak_mb", "memory of the owner: peak of registration", "MB"),
        Figure("worker_mb", "memory of the larger worker", "MB"),
        Figure("worker_private_mb", "memory of the larger worker: its own", "MB"),
        Figure("registry_mb", "registry.json after registration", "MB"),
        Figure("pulls_alone_per_second", f"pulls, {CONNECTIONS} connections", "/s"),
        Figure("pulls_beside_per_second", f"pulls, {beside}", "/s"),
        Figure("pulls_alone_p99_ms", f"pulls, {CONNECTIONS} connections: p99", "ms"),
        Figure("pulls_beside_p99_ms", f"pulls, {beside}: p99", "ms"),
        Figure("pulls_p99_ratio", "pulls: p99 beside a registration against alone", "", below=LARGEST_SLOWDOWN),
        Figure("pulls_errors", "pulls: errors", ""),
        Figure("pulls_covered", "pulls: share of that time in which the registration ran", ""),
    )


def table(lines: Sequence[Figure], sizes: Sequence[int], found: dict[int, Samples]) -> list[tuple[str, ...]]:
    """Return the header and a line a figure: medians, the growth between the last two sizes, the verdict."""
    between = NONE
    if len(sizes) > 1:
        between = f"{sizes[-2]:,} to {sizes[-1]:,}: groups × {sizes[-1] / sizes[-2]:g}"
    rows = [("figure", *(f"{size:,} groups" for size in sizes), between, "budget", "verdict")]
    for line in lines:
        samples = [found[size][line.name] for size in sizes]
        values = [median(of_size) for of_size in samples]
        grown = growth(values)
        rows.append(
            (
                line.title,
                *(shown_median(of_size, line.unit) for of_size in samples),
                NONE if math.isnan(grown) else f"× {grown:.2f}",
                line.budget(),
                verdict_of(line.met(values)),
            )
        )
    return rows


def main() -> int:
    """Measure, print the table; return 0 also when budgets are missed: they are reported, not hidden."""
    chosen = _arguments()
    with work_directory(chosen.work) as work:
        return _measure(chosen, work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="GROUPS", help="smallest first")
    parser.add_argument("--others", type=int, default=OTHER_GROUPS, help="groups of the root registered beside pulls")
    parser.add_argument("--factors", type=int, default=300)
    parser.add_argument("--trees", type=int, default=3, help="few, so that 10,000 groups are 500 MB and not 18 GB")
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--debounce", type=float, default=0.2, help="MODEL_MANAGER_WATCH_DEBOUNCE of every server")
    parser.add_argument("--quick", action="store_true", help="few repeats: does it run, not how fast")
    parser.add_argument("--threads", action="store_true", help="make the load with Python threads, wrk or not")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    add_work_option(parser)
    chosen = parser.parse_args()
    if min(*chosen.sizes, chosen.others) < 1 or chosen.sizes != sorted(set(chosen.sizes)):
        parser.error("--sizes must be numbers of groups, the smallest first, and --others 1 or more")
    return chosen


def _measure(chosen: argparse.Namespace, work: Path) -> int:
    effort = Effort(
        starts=1 if chosen.quick else 3,
        writes=1 if chosen.quick else 20,
        changes=1 if chosen.quick else 5,
        rounds=1 if chosen.quick else 3,
        debounce=chosen.debounce,
        shortest_window_seconds=0.1 if chosen.quick else 0.5,
        wrk=None if chosen.threads else find_wrk(),
    )
    largest = max(*chosen.sizes, chosen.others)
    shape = Shape(chosen.factors, chosen.trees, chosen.depth)
    say(f"writing {largest:,} groups")
    written = write_directory(work / "artifacts", largest, shape, chosen.seed)
    link_groups(work / "artifacts", work / "others", chosen.others)
    facts = machine(peers.find_nginx(), lambda: "wrk" if effort.wrk else "Python threads")
    del facts["nginx"], facts["mlflow"]
    facts["artifacts"] = f"{written}; smaller sizes are the first of them"
    facts["processes"] = f"{WORKERS} workers and their owner, watching, nothing bound to a core"
    found = {size: _one_size(chosen, work, size, effort, say) for size in chosen.sizes}
    facts["load average at the end"] = f"{os.getloadavg()[0]:.2f}"
    lines = figures(chosen.debounce, chosen.others)
    rows = table(lines, chosen.sizes, found)
    for name, fact in facts.items():
        print(f"- {name}: {fact}")
    print(f"\n{aligned(rows)}\n")
    missed = [row[0] for row in rows if row[-1] == "MISSED"]
    print(f"{len(missed)} budget(s) MISSED: {'; '.join(missed)}" if missed else "Every budget is met.")
    if chosen.json is not None:
        named = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
        document = {"machine": facts, "table": named, "samples": {str(size): found[size] for size in chosen.sizes}}
        write_samples(chosen.json, document)
    return 0


def _one_size(chosen: argparse.Namespace, work: Path, size: int, effort: Effort, say: Callable[[str], None]) -> Samples:
    """Measure one size in a directory of its own, which goes when the next size comes."""
    own = work / f"{size}-groups"
    own.mkdir()
    link_groups(work / "artifacts", own / "artifacts", size)
    found = measure(Place(size, own / "artifacts", work / "others", chosen.others, own), effort, say)
    if chosen.work is None:
        shutil.rmtree(own)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
