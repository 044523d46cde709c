"""What the kernel tells of a process and its children: memory and processor time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one process in MB; ``private`` is its own, what is left of ``resident`` are pages of files."""

    resident: float
    private: float


def tree_of(process_id: int) -> list[int]:
    """Return a process and all that descend from it, itself first."""
    found = [process_id]
    for number in found:
        try:
            for task in Path(f"/proc/{number}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def memory_of(process_id: int) -> Memory:
    """Return what a process holds; nothing when it is gone."""
    anonymous = _status(process_id, "RssAnon") * KIB / 1e6
    return Memory(_status(process_id, "VmRSS") * KIB / 1e6, anonymous)


def peak_memory_mb(process_id: int) -> float:
    """Return the largest resident memory that a process ever had, in MB."""
    return _status(process_id, "VmHWM") * KIB / 1e6


def proportional_mb(process_id: int) -> float:
    """Return the memory of a process in MB with its share of what it has together with others; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) * KIB / 1e6 for line in lines if line.startswith("Pss:")), 0.0)


def open_files_of(process_id: int) -> int:
    """Return how many descriptors a process has open."""
    try:
        return len(os.listdir(f"/proc/{process_id}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def threads_of(process_id: int) -> int:
    """Return how many threads a process has."""
    return _status(process_id, "Threads")


def cpu_seconds_of(process_id: int) -> float:
    """Return the processor time of a process and of its children that ended."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def is_alive(process_id: int) -> bool:
    """Return whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _status(process_id: int, name: str) -> int:
    """Return a number of a process's status, in KiB where it is memory."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), 0)
