"""Versions: how long a root of a thousand is listed from the store, and how much memory a model of 500 MB takes."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness import add_work_option, say, work_directory, write_samples
from make_versions import write_large_version, write_versions
from peers import PROJECT
from table import aligned, machine, shown_median, verdict_of

sys.path.insert(0, str(PROJECT))
from mm_core.domain.lifecycle import ModelType, Objective
from mm_core.domain.version_records import NewVersion
from mm_core.registry.lifecycle_changes import Author, created, now_stamp
from mm_core.settings import load_settings
from mm_core.store import TinyDBStore
from mm_core.wiring import open_registry

VERSIONS = 1_000
MODEL_MB = 500
SMALLEST_MODEL_MB = 50
LONGEST_LISTING_MS = 200.0
LARGEST_GROWTH = 1.2
"""How many times the memory of a model of a tenth of the size a large one may take."""

LIST = """
import json, sys, time
from mm_core.registry.lifecycle_lookups import VersionFilter
from mm_core.settings import load_settings
from mm_core.wiring import open_registry

what, name = sys.argv[1:]
registry = open_registry(load_settings())
began = time.perf_counter(), time.process_time()
if what == "files":
    _, scan = registry.model(name)
    rows = [(one.path, one.name, one.created_at, one.can_predict, one.size_bytes, len(one.findings))
            for one in scan.versions.values()]
else:
    rows = registry.lifecycle.list(VersionFilter())
print(json.dumps([len(rows), 1e3 * (time.perf_counter() - began[0]), 1e3 * (time.process_time() - began[1])]))
"""
"""A process of its own, of which nothing is in memory yet but the code."""

SUMMARISE = """
import json, resource, sys, time
from pathlib import Path
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.scan import scan_root

told = [time.perf_counter()]
began = told[0]
scan = scan_root(Path(sys.argv[1]), limits=ReadingLimits(model_bytes=1 << 40),
                 progress=lambda *_: told.append(time.perf_counter()))
(version,) = scan.versions.values()
lines = Path("/proc/self/status").read_text().splitlines()
asker_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "trees": version.booster.num_trees,
    "seconds": time.perf_counter() - began,
    "processor_seconds": sum(one.ru_utime + one.ru_stime for one in used),
    "reader_mb": used[1].ru_maxrss * 1024 / 1e6,
    "asker_mb": asker_kib * 1024 / 1e6,
    "told": len(told) - 1,
    "longest_silence_seconds": max(after - before for before, after in zip(told, told[1:])),
}))
"""


def main() -> int:
    """Measure, print the tables; return 0 also when budgets are missed: they are reported, not hidden."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=VERSIONS)
    parser.add_argument("--features", type=int, default=45)
    parser.add_argument("--model-mb", type=int, default=MODEL_MB)
    parser.add_argument("--rounds", type=int, default=9, help="listings of each kind, each by a new process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    add_work_option(parser)
    chosen = parser.parse_args()
    if chosen.model_mb < SMALLEST_MODEL_MB:
        parser.error(
            f"--model-mb must be {SMALLEST_MODEL_MB} or more: who asks reads models below a tenth of it itself"
        )
    with work_directory(chosen.work) as work:
        facts = machine(None, str)
        for name in ("nginx", "mlflow", "load", "libraries"):
            facts.pop(name, None)
        facts["versions"] = f"{chosen.versions:,} of {chosen.features} features, 5 files each"
        listings = _listings(work, chosen.versions, chosen.features, chosen.rounds)
        summaries = {size: _summary(work, size) for size in (chosen.model_mb // 10, chosen.model_mb)}
    facts["load average at the end"] = f"{os.getloadavg()[0]:.2f}"
    print("\n".join(f"- {name}: {fact}" for name, fact in facts.items()))
    print(f"\n{aligned(listing_rows(listings))}\n\n{aligned(summary_rows(summaries))}")
    if chosen.json is not None:
        named = {str(size): found for size, found in summaries.items()}
        write_samples(chosen.json, {"machine": facts, "listings": listings, "summaries": named})
    return 0


def listing_rows(listings: Mapping[str, Mapping[str, Sequence[float]]]) -> list[tuple[str, ...]]:
    """Return the header and a line for each kind of listing: medians of the clock and of the processor."""
    rows = [("listed, cold", "time", "fastest", "processor", "budget", "verdict")]
    for title, found in listings.items():
        clock = found["ms"]
        rows.append(
            (
                title,
                shown_median(clock, "ms"),
                shown_median([min(clock)], "ms"),
                shown_median(found["processor_ms"], "ms"),
                f"< {LONGEST_LISTING_MS:g} ms",
                verdict_of(median(clock) < LONGEST_LISTING_MS),
            )
        )
    return rows


def summary_rows(summaries: Mapping[int, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """Return the header and a line a figure of a small and a large model."""
    (small, of_small), (large, of_large) = summaries.items()
    growth = of_large["reader_mb"] / of_small["reader_mb"]
    lines = (
        ("trees", "trees", ""),
        ("summarised", "seconds", "s"),
        ("processor time", "processor_seconds", "s"),
        ("peak memory of the reader", "reader_mb", "MB"),
        ("peak memory of who asked", "asker_mb", "MB"),
        ("times that progress was told", "told", ""),
        ("longest silence", "longest_silence_seconds", "s"),
    )
    rows = [("model.txt", f"{small:,} MB", f"{large:,} MB", "budget", "verdict")]
    for title, name, unit in lines:
        is_judged = name == "reader_mb"
        rows.append(
            (
                title,
                shown_median([of_small[name]], unit),
                shown_median([of_large[name]], unit),
                f"growth < {LARGEST_GROWTH:g}" if is_judged else "–",
                verdict_of(growth < LARGEST_GROWTH if is_judged else None),
            )
        )
    return rows


def _listings(work: Path, count: int, features: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Register one model of many versions, and many models of one, each in a state of its own; list them in turns."""
    kinds = {}
    for title, models in ((f"{count:,} versions of one model", 1), (f"{count:,} models of one version", count)):
        place = work / f"{models}-models"
        say(f"writing and registering {title}")
        write_versions(place / "artifacts", models, count // models, features)
        _register(place / "data", place / "artifacts")
        kinds[f"{title}: files and figures"] = (place / "data", "files")
        kinds[f"{title}: records and statuses"] = (place / "data", "records")
    found: dict[str, dict[str, list[float]]] = {title: {"ms": [], "processor_ms": []} for title in kinds}
    for _ in range(rounds):
        for title, (data, what) in kinds.items():
            rows, milliseconds, processor = _alone(LIST, what, "root", MODEL_MANAGER_DATA_DIR=str(data))
            assert rows == count
            found[title]["ms"].append(milliseconds)
            found[title]["processor_ms"].append(processor)
    return found


def _register(data: Path, artifacts: Path) -> None:
    """Scan a root, and register each of its versions, all of them in one transaction."""
    registry = open_registry(load_settings({"MODEL_MANAGER_DATA_DIR": str(data)}))
    scan = registry.registrations.register("root", str(artifacts)).scan
    with TinyDBStore(data).transaction() as transaction:
        for version in scan.versions.values():
            new = NewVersion(
                version.model_name,
                version.name,
                ModelType.LIGHTGBM,
                Objective.DIRECTION_CLASSIFICATION,
                "direction",
                "1w",
            )
            created(transaction, new, Author("bench"), now_stamp())


def _summary(work: Path, megabytes: int) -> dict[str, float]:
    say(f"summarising a model of {megabytes:,} MB")
    root = work / f"model-of-{megabytes}"
    trees = write_large_version(root / "large" / "v1.0.0", megabytes * 1_000_000)
    found: dict[str, float] = _alone(SUMMARISE, str(root))
    assert found["trees"] == trees
    return found


def _alone(script: str, *arguments: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
