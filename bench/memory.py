"""Where memory goes: resident after each stage of a payload server and of a dashboard, and what holds parsed groups."""

from __future__ import annotations

import argparse
import linecache
import multiprocessing
import os
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from harness import work_directory, write_samples
from peers import PROJECT
from table import aligned, machine

MODEL = "bench"
PULLS = 100
SESSIONS = 3
MOST_LINES = 8


class Stage(NamedTuple):
    """Resident memory of a process after it did something."""

    name: str
    megabytes: float


class Holder(NamedTuple):
    """A line of code, and what it allocated that is still held."""

    line: str
    megabytes: float


def main() -> int:
    """Measure in processes of their own, print tables; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--factors", type=int, default=300)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    chosen = parser.parse_args()
    from make_artifacts import Shape, write_directory  # here: the processes that are measured import this file too

    with work_directory() as work:
        shape = Shape(chosen.factors, 3, 6)
        write_directory(work / "artifacts", chosen.groups, shape, 1)
        _alone(_register, work)
        server, holders, dashboard = _alone(_server, work), _alone(_holders, work), _alone(_dashboard, work)
    facts = machine(None, str)
    facts["artifacts"] = f"{chosen.groups} groups of {shape.factors} factors and {shape.trees} trees"
    for name in ("nginx", "load"):
        facts.pop(name, None)
    print("\n".join(f"- {name}: {fact}" for name, fact in facts.items()))
    for title, stages in (("payload server", server), ("dashboard", dashboard)):
        print("\n" + aligned([[title, "resident", "added"], *_rows(stages)]))
    print("\n" + aligned([["what holds parsed groups", "size"], *([line, f"{size:.1f} MB"] for line, size in holders)]))
    if chosen.json is not None:
        write_samples(chosen.json, {"machine": facts, "server": server, "dashboard": dashboard, "holders": holders})
    return 0


def _alone(work: Callable[[str], list[NamedTuple]], directory: Path) -> list[NamedTuple]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, str(directory)).result()


def _rows(stages: Sequence[Stage]) -> list[list[str]]:
    before = [0.0, *(stage.megabytes for stage in stages)]
    return [
        [stage.name, f"{stage.megabytes:.1f} MB", f"{stage.megabytes - was:+.1f} MB"]
        for stage, was in zip(stages, before, strict=False)
    ]


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _settings(work: str) -> dict[str, str]:
    return {"MODEL_MANAGER_DATA_DIR": f"{work}/data"}


def _register(work: str) -> list[NamedTuple]:
    sys.path.insert(0, str(PROJECT))
    from mm_core.settings import load_settings
    from mm_core.wiring import open_registry

    open_registry(load_settings(_settings(work))).registrations.register(MODEL, f"{work}/artifacts")
    return []


def _server(work: str) -> list[NamedTuple]:
    stages = [Stage("python alone", _resident())]
    sys.path.insert(0, str(PROJECT))
    import mm_core.api.server  # noqa: F401 - what a payload server reads before it does anything
    from mm_core.payloads import Coding
    from mm_core.settings import load_settings
    from mm_core.wiring import open_registry

    stages.append(Stage("the server's code and libraries", _resident()))
    registry = open_registry(load_settings(_settings(work)))
    symbols = registry.model(MODEL)[1].symbols()
    stages.append(Stage(f"{len(symbols)} parsed groups", _resident()))
    pulled = symbols[:PULLS]
    for symbol in pulled:
        registry.payloads.body(registry.payload(MODEL, symbol), Coding.GZIP)
    stages.append(Stage(f"{len(pulled)} payloads made and kept", _resident()))
    return list(stages)


def _holders(work: str) -> list[NamedTuple]:
    sys.path.insert(0, str(PROJECT))
    from mm_core.settings import load_settings
    from mm_core.wiring import open_registry

    registry = open_registry(load_settings(_settings(work)))
    tracemalloc.start()
    scan = registry.model(MODEL)[1]
    found = tracemalloc.take_snapshot().statistics("lineno")[:MOST_LINES]
    assert scan.groups
    return [Holder(_line_of(one.traceback[0]), one.size / 1e6) for one in found]


def _line_of(frame: tracemalloc.Frame) -> str:
    name = Path(frame.filename)
    place = name.relative_to(PROJECT) if name.is_relative_to(PROJECT) else name.name
    return f"{place}: {linecache.getline(frame.filename, frame.lineno).strip()}"


def _dashboard(work: str) -> list[NamedTuple]:
    stages = [Stage("python alone", _resident())]
    os.environ.update(_settings(work))
    sys.path.insert(0, str(PROJECT))
    from streamlit.testing.v1 import AppTest

    stages.append(Stage("streamlit", _resident()))
    pages = sorted(path.stem for path in (PROJECT / "pages").glob("*.py"))
    sessions = [_session(AppTest, pages)]
    stages.append(Stage("the pages, pandas, plotly; a first session on each page", _resident()))
    for number in range(2, SESSIONS + 2):
        sessions.append(_session(AppTest, pages))
        stages.append(Stage(f"session {number}", _resident()))
    return list(stages)


def _session(app_test: type, pages: Sequence[str]) -> object:
    session = app_test.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    for page in pages:
        session.switch_page(f"pages/{page}.py")
        session.query_params["model"] = MODEL
        session.run()
    return session


if __name__ == "__main__":
    raise SystemExit(main())
