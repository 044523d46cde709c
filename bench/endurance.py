"""What a server holds in the course of time, and whether it grows.

    python bench/endurance.py bench/results/soak.json

prints again how memory grew in parts of a run, from the samples that `soak.py` wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import memory_of, open_files_of, proportional_mb, threads_of, tree_of
from scipy.stats import linregress
from table import aligned

LONGEST_WARM_UP_SECONDS = 900.0
WARM_UP_SHARE = 0.5
"""What is bounded fills first: 256 revisions of configs, 24 MiB of answers and bodies, heads of requests, the arenas of
each thread. At four saves a second the owner grew from 95 MB after seven minutes to 116 MB after seventeen."""

FIFTH_MINUTE_SECONDS = 300.0
LAST_QUARTER_OF_AN_HOUR_SECONDS = 900.0

SHORTEST_JUDGED_SECONDS = 600.0
"""Of a run whose slopes are verdicts: in a shorter one caches still fill, and a MB is hundreds an hour."""

MEMORY_MB_AN_HOUR = 10.0
FILES_AN_HOUR = 20.0
THREADS_AN_HOUR = 20.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's processes together, and what is below its data directory."""

    at: float
    processes: int
    resident_mb: float
    proportional_mb: float
    private_mb: float
    open_files: int
    threads: int
    disk_mb: float
    disk_files: int
    private_by_process: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through samples: what is added in an hour, and the standard error of that."""

    name: str
    unit: str
    first: float
    last: float
    an_hour: float
    error: float
    limit: float | None

    @property
    def is_flat(self) -> bool | None:
        """Return whether it surely grows less than the limit, two standard errors included; None without a limit."""
        return None if self.limit is None else self.an_hour + 2 * self.error < self.limit

    def cells(self) -> tuple[str, str, str]:
        """Return the first and the last value, and what is added in an hour."""
        first, last = (f"{value:,.1f} {self.unit}".strip() for value in (self.first, self.last))
        return first, last, f"{self.an_hour:+,.1f} ± {self.error:,.1f} {self.unit}".strip()


FEWEST_SAMPLES = 3

FIGURES: tuple[tuple[str, str, str, float | None], ...] = (
    ("private_mb", "memory: private to the processes", "MB", MEMORY_MB_AN_HOUR),
    ("proportional_mb", "memory: with their share of mapped files", "MB", None),
    ("resident_mb", "memory: resident, mapped files in each of them", "MB", None),
    ("open_files", "open files", "", FILES_AN_HOUR),
    ("threads", "threads", "", THREADS_AN_HOUR),
    ("disk_mb", "data directory", "MB", None),
    ("disk_files", "files in the data directory", "", None),
)


def take_samples(
    process_id: int, data: Path, every: float, ended: threading.Event, keep: Callable[[Sample], object]
) -> None:
    """Give ``keep`` a sample of a server every few seconds until ``ended``."""
    began = time.monotonic()
    while True:
        keep(_sample(process_id, data, time.monotonic() - began))
        if ended.wait(every):
            return


def _sample(process_id: int, data: Path, at: float) -> Sample:
    processes = tree_of(process_id)
    memory = [memory_of(number) for number in processes]
    size, files = size_of(data)
    return Sample(
        round(at, 1),
        len(processes),
        sum(one.resident for one in memory),
        sum(map(proportional_mb, processes)),
        sum(one.private for one in memory),
        sum(map(open_files_of, processes)),
        sum(map(threads_of, processes)),
        size / 1e6,
        files,
        tuple(round(one.private, 1) for one in memory),
    )


def size_of(directory: Path) -> tuple[int, int]:
    """Return the bytes of the disk that a directory takes, and how many files; a file with two names counts once."""
    seen: dict[int, int] = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values()), len(seen)


def slopes(samples: Sequence[Sample], seconds: float) -> list[Slope]:
    """Return how each figure grew after the warm-up; limits only for a run that was long enough to tell."""
    after = min(LONGEST_WARM_UP_SECONDS, WARM_UP_SHARE * seconds)
    judged = _since(samples, after)
    if len(judged) < FEWEST_SAMPLES:
        raise SystemExit("A slope needs three samples after the warm-up. Run longer, or sample more often.")
    is_judged = seconds >= SHORTEST_JUDGED_SECONDS
    return [
        _line(title, unit, judged, [getattr(sample, name) for sample in judged], limit if is_judged else None)
        for name, title, unit, limit in FIGURES
    ]


def stretches(samples: Sequence[Sample], seconds: float) -> list[Slope]:
    """Return how the memory private to the processes grew in parts of a run; in the end of a long one, also by process.

    Parts that are the whole run or have too few samples are left out, and processes where some came or went.
    """
    ending = seconds - LAST_QUARTER_OF_AN_HOUR_SECONDS
    parts = {
        "from the fifth minute on": FIFTH_MINUTE_SECONDS,
        "second half": seconds / 2,
        "last quarter of an hour": ending,
    }
    found = []
    for title, after in parts.items():
        part = _since(samples, after)
        if after > 0 and len(part) >= FEWEST_SAMPLES:
            found.append(_line(title, "MB", part, [sample.private_mb for sample in part]))
    part = _since(samples, ending)
    if ending > 0 and len({sample.processes for sample in part}) == 1 and len(part) >= FEWEST_SAMPLES:
        by_process = zip(*(sample.private_by_process for sample in part), strict=True)
        for number, values in enumerate(by_process):
            name = f"worker {number}" if number else "owner"
            found.append(_line(f"last quarter of an hour: {name}", "MB", part, values))
    return found


def _since(samples: Sequence[Sample], after: float) -> list[Sample]:
    return [sample for sample in samples if sample.at >= after]


def _line(
    name: str, unit: str, samples: Sequence[Sample], values: Sequence[float], limit: float | None = None
) -> Slope:
    line = linregress([sample.at / 3600 for sample in samples], values)
    error = float(line.stderr) if min(values) < max(values) else 0.0  # of a constant, scipy says NaN
    return Slope(name, unit, float(values[0]), float(values[-1]), float(line.slope), error, limit)


def table_of_stretches(samples: Sequence[Sample], seconds: float) -> str:
    """Return `stretches` as a Markdown table."""
    rows = [("memory private to the processes", "at first", "at the end", "an hour")]
    rows += [(line.name, *line.cells()) for line in stretches(samples, seconds)]
    return aligned(rows)


def as_documents(samples: Sequence[Sample]) -> list[dict[str, object]]:
    """Return samples for JSON."""
    return [asdict(sample) for sample in samples]


def main() -> None:
    """Print how memory grew in parts of a run that has ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="what soak.py wrote")
    document = json.loads(parser.parse_args().file.read_text(encoding="utf-8"))
    samples = [Sample(**sample) for sample in document["samples"]]
    print(table_of_stretches(samples, 60 * float(document["arguments"]["minutes"])))


if __name__ == "__main__":
    main()
