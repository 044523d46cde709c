"""Figures as a Markdown table, and the machine they were taken on."""

from __future__ import annotations

import math
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median

PEERS = ("nginx", "sendfile", "mlflow", "plain")
HEADER = ("figure", "ours", *PEERS, "ratio", "budget", "verdict")
NONE = "–"
LIBRARIES = ("waitress", "bottle", "msgspec", "fastapi", "uvicorn")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: samples of each peer in ``unit``, and a budget that the figure meets or misses."""

    figure: str
    unit: str
    ours: Sequence[float]
    nginx: Sequence[float] = ()
    sendfile: Sequence[float] = ()
    mlflow: Sequence[float] = ()
    plain: Sequence[float] = ()
    ratio: str = NONE
    budget: str = NONE
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells as text: medians with the unit."""
        shown = [shown_median(getattr(self, name), self.unit) for name in ("ours", *PEERS)]
        return (self.figure, *shown, self.ratio, self.budget, verdict_of(self.met))


def verdict_of(met: bool | None) -> str:
    """Return how a budget is called that was met, missed, or is none."""
    return NONE if met is None else ("met" if met else "MISSED")


def shown_median(samples: Sequence[float], unit: str) -> str:
    """Return the median with three significant digits and its unit; counts are shown whole."""
    value = median(samples) if samples else math.nan
    if math.isnan(value):
        return NONE
    if isinstance(value, int):
        return f"{value:,} {unit}".strip()
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f} {unit}".strip()


def paired_ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the ratios of samples that were taken one after the other."""
    return median(mine / theirs for mine, theirs in zip(ours, other, strict=True))


def ratios(ours: Sequence[float], others: Mapping[str, Sequence[float]]) -> str:
    """Return how many times what each of the others has ours is, where there are figures of both."""
    found = []
    for name, samples in others.items():
        if samples and all(value > 0 for value in (*samples, *ours)):
            found.append(f"{paired_ratio(ours, samples):.3g} × {name}")
    return ", ".join(found) or NONE


def below(samples: Sequence[float], limit: float) -> bool:
    """Return whether the median is below ``limit``."""
    return median(samples) < limit


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as an aligned Markdown table."""
    return aligned([HEADER, *(row.cells() for row in rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return cells, of which the first line is the header, as a Markdown table."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    text.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(text)


def machine(nginx: str | None, describe_load: Callable[[], str], mlflow: str | None = None) -> dict[str, str]:
    """Return what the figures depend on: date, processor, memory, versions, and how busy the machine was."""
    versions = {name: _version_of(name) for name in LIBRARIES}
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "nginx": _nginx_version(nginx),
        "mlflow": mlflow or "not given",
        "load": describe_load(),
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
        "commit": _commit(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _nginx_version(program: str | None) -> str:
    if program is None:
        return "not installed"
    return subprocess.run([program, "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    project = Path(__file__).resolve().parent.parent
    asked = [git, "-C", str(project), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    asked = [git, "-C", str(project), "status", "--porcelain", "--", "mm_core", "payload_server.py"]
    changed = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return (commit or "unknown") + (" with changes" if changed else "")
