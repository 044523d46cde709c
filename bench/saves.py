"""What second copies cost: saving a factor config with them and without, in turns, each in a state of its own."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from unittest import mock

from harness import add_work_option, say, work_directory, write_samples
from make_artifacts import group_key_of, symbol_of
from peers import PROJECT
from table import aligned, machine, shown_median

sys.path.insert(0, str(PROJECT))
from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.store.copies import Copies
from mm_core.wiring import open_registry

MODEL = "bench"
SYMBOLS = 20
"""So many configs, far from each other, are saved again and again."""

WITH, WITHOUT = "with copies", "without"


def main() -> int:
    """Measure, print the table; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, nargs="+", default=[500, 10_000], help="a line of the table for each")
    parser.add_argument("--factors", type=int, default=300)
    parser.add_argument("--saves", type=int, default=200, help="of each kind; every mean of a config changes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    add_work_option(parser)
    chosen = parser.parse_args()
    facts = machine(None, str)
    for name in ("nginx", "mlflow", "load", "libraries"):
        facts.pop(name, None)
    facts["artifacts"] = f"groups of {chosen.factors} factors without models"
    with work_directory(chosen.work) as work:
        found = {groups: measured(work, groups, chosen.factors, chosen.saves) for groups in chosen.groups}
    facts["load average at the end"] = f"{os.getloadavg()[0]:.2f}"
    print("\n".join(f"- {name}: {fact}" for name, fact in facts.items()))
    print(f"\n{aligned(rows(found))}")
    if chosen.json is not None:
        write_samples(chosen.json, {"machine": facts, "ms": {str(groups): each for groups, each in found.items()}})
    return 0


def measured(work: Path, groups: int, factors: int, saves: int) -> dict[str, list[float]]:
    """Return the milliseconds of saves of each kind, pair by pair."""
    say(f"registering {groups:,} groups")
    root = work / f"artifacts-{groups}"
    root.mkdir()
    names = "".join(f"factor_{number}\n" for number in range(1, factors + 1))
    for number in range(1, groups + 1):
        (root / f"{group_key_of(number)}_factors.txt").write_text(names, encoding="utf-8")
    places = {kind: work / f"data-{groups}-{kind.replace(' ', '-')}" for kind in (WITH, WITHOUT)}
    _opened(places[WITH]).registrations.register(MODEL, str(root))
    shutil.copytree(places[WITH], places[WITHOUT])
    registries = {kind: _opened(place) for kind, place in places.items()}
    say(f"saving {saves} times in each of two states")
    found: dict[str, list[float]] = {kind: [] for kind in places}
    for number in range(-SYMBOLS, saves):  # the first of each symbol sets what was never set
        symbol = symbol_of(1 + number % SYMBOLS * groups // SYMBOLS)
        for kind in (WITH, WITHOUT) if number % 2 else (WITHOUT, WITH):
            milliseconds = _save(registries[kind], symbol, 1.5 + number, factors, copied=kind == WITH)
            found[kind] += [milliseconds] if number >= 0 else []
    return found


def rows(found: Mapping[int, Mapping[str, Sequence[float]]]) -> list[tuple[str, ...]]:
    """Return the header and a line for each number of groups: medians, and that of the differences of the pairs."""
    lines = [("groups", f"a save {WITH}", WITHOUT, "difference of the pairs")]
    for groups, each in found.items():
        pairs = zip(each[WITH], each[WITHOUT], strict=True)
        difference = median(copied - alone for copied, alone in pairs)
        shown = (shown_median(each[kind], "ms") for kind in (WITH, WITHOUT))
        lines.append((f"{groups:,}", *shown, f"{difference:+.2f} ms"))
    return lines


def _opened(data: Path) -> Registry:
    return open_registry(load_settings({"MODEL_MANAGER_DATA_DIR": str(data)}))


def _save(registry: Registry, symbol: str, mean: float, factors: int, *, copied: bool) -> float:
    """Return the milliseconds of a save that changes every mean."""
    document = {symbol: {"mean_values": [mean] * factors, "variance_values": [2.0] * factors}}
    with nullcontext() if copied else mock.patch.object(Copies, "write"):
        began = time.perf_counter()
        registry.configs.save(MODEL, symbol, document, by="api")
        return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    raise SystemExit(main())
