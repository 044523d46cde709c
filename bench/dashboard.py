"""The dashboard's budgets, measured: cold opens in Chromium, script time of reruns, memory of a session."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median

import numpy as np
import peers
from figures import Client
from harness import say, work_directory, write_samples
from make_artifacts import RETURN_NAME, Shape, group_key_of, replace_file, symbol_of, write_directory
from playwright.sync_api import BrowserContext
from table import aligned, machine
from undriven import chromium
from visits import (
    MODEL,
    OTHER_MODEL,
    VIEWS,
    WITH_TWO_MODELS,
    Alone,
    ScriptRun,
    ScriptTimes,
    View,
    driven_chromium,
    opened,
    script_times,
    sent_bytes,
    visit_everything,
)

LONGEST_OPEN_SECONDS = 2.0
LONGEST_RERUN_MS = 300.0
MOST_SESSION_MB = 50.0
LIBRARIES = ("streamlit", "plotly", "pandas", "pyarrow", "playwright")
QUICK_PAGES = ("overview", "config")
RERUNS = 7
NONE = "–"
SETTLING_SECONDS = 0.3  # after a view is there: streamlit tidies up behind each run
COLUMNS = "view, cold open, empty cache, first of process, server, sent, first run, rerun, after a choice, verdict"


@dataclass
class Visited:
    """What was measured of one view; a visit that never showed its content is None among ``opens``."""

    view: View
    opens: list[float | None] = field(default_factory=list)
    with_empty_cache: list[float | None] = field(default_factory=list)
    first_of_process: float | None = None
    server_seconds: list[float] = field(default_factory=list)
    sent: int = 0
    script: ScriptTimes | None = None

    def missed(self) -> list[str]:
        """Return the budgets that this view does not keep."""
        found = []
        if None in self.opens or median(known(self.opens)) >= LONGEST_OPEN_SECONDS:
            found.append("cold open")
        if self.script is not None:
            for name, samples in (("rerun", self.script.again), ("after a choice", self.script.changed)):
                if samples and median(run.wall_ms for run in samples) >= LONGEST_RERUN_MS:
                    found.append(name)
            if self.script.problem:
                found.append("an exception")
        return found

    def cells(self) -> tuple[str, ...]:
        """Return the view's line of the table."""
        script = self.script
        missed = self.missed()
        return (
            self.view.name,
            _seconds(self.opens),
            _seconds(self.with_empty_cache),
            _seconds([self.first_of_process]),
            f"{median(self.server_seconds) * 1000:.0f} ms",
            f"{self.sent / 1e6:.2f} MB",
            _milliseconds([script.first] if script else []),
            _milliseconds(script.again if script else []),
            _milliseconds(script.changed if script else []),
            f"MISSED: {', '.join(missed)}" if missed else "met",
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the streamlit process in MB: before anybody came, after a first session, after all."""

    idle: float
    warm: float
    full: float
    sessions: int

    @property
    def of_a_session(self) -> float:
        """What each session after the first one added."""
        return (self.full - self.warm) / self.sessions


def known(samples: Sequence[float | None]) -> list[float]:
    """Return the samples that there are."""
    return [sample for sample in samples if sample is not None]


def _seconds(samples: Sequence[float | None]) -> str:
    """Return median and smallest."""
    there = known(samples)
    return f"{median(there):.2f} ({min(there):.2f}) s" if there else NONE


def _milliseconds(runs: Sequence[ScriptRun]) -> str:
    """Return medians of what a clock says and of what the processor did."""
    if not runs:
        return NONE
    return f"{median(run.wall_ms for run in runs):.0f} ({median(run.processor_ms for run in runs):.0f}) ms"


def main() -> int:
    """Measure, print the table; return 0 also when budgets are missed: they are reported, not hidden."""
    chosen = _arguments()
    with work_directory() as work:
        return _measure(chosen, work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=500)
    parser.add_argument("--factors", type=int, default=300)
    parser.add_argument("--trees", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=5, help="cold opens of each view, and sessions that stay open")
    parser.add_argument("--quick", action="store_true", help="some views, once: does it run, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    chosen = parser.parse_args()
    if chosen.groups < 10:
        parser.error("--groups must be 10 or more: choices go through them")
    return chosen


def _measure(chosen: argparse.Namespace, work: Path) -> int:
    facts = machine(None, str) | {"libraries": ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)}
    del facts["nginx"], facts["mlflow"], facts["load"]
    shape = Shape(chosen.factors, chosen.trees, 6)
    say(f"writing {chosen.groups} groups")
    written = write_directory(work / "artifacts", chosen.groups, shape, chosen.seed)
    facts["artifacts"] = str(written)
    shutil.copytree(work / "artifacts", work / "before", copy_function=os.link)
    one_a_page = {view.page: view for view in reversed(VIEWS)}
    views = tuple(one_a_page[name] for name in QUICK_PAGES) if chosen.quick else VIEWS
    views_of_two = () if chosen.quick else WITH_TWO_MODELS
    times = 1 if chosen.quick else chosen.sessions
    visited = {view.name: Visited(view) for view in (*views, *views_of_two)}
    with peers.model_manager(work / "data", logs=work) as server, peers.streamlit_alone(logs=work) as by_itself:
        peers.wait_for_answer(by_itself, "/_stcore/health")
        alone = Alone(by_itself)
        peers.wait_for_answer(server, "/api/health")
        client = Client(server)
        client.post("/api/models", {"model_name": MODEL, "root_path": str(work / "artifacts")})
        _train_half_again(work / "artifacts", chosen.groups, chosen.seed)
        client.post(f"/api/models/{MODEL}/refresh")
        _time_scripts(work, server.port, views, visited, 1 if chosen.quick else RERUNS)
        with _dashboard(work, server.port) as dashboard:
            with driven_chromium() as driven:
                memory = _fill_with_sessions(dashboard, driven, views[:2] if chosen.quick else views, times)
                if chosen.quick:
                    _measure_sizes(dashboard, driven, views, visited)
            if chosen.quick:
                _open_cold(dashboard, views, visited, times, alone, in_short=True)
        if not chosen.quick:
            for view in one_a_page.values():
                with _dashboard(work, server.port) as dashboard, chromium() as browser:
                    visited[view.name].first_of_process = opened(browser, dashboard, view)
            _visit_anew(work, server.port, views, visited, times, alone)
            client = Client(server)  # the server closed the first connection meanwhile
            client.post("/api/models", {"model_name": OTHER_MODEL, "root_path": str(work / "before")})
            _time_scripts(work, server.port, views_of_two, visited, RERUNS)
            _visit_anew(work, server.port, views_of_two, visited, times, alone)
    facts["load average at the end"] = f"{os.getloadavg()[0]:.2f}"
    _report(facts, list(visited.values()), memory, alone)
    if chosen.json is not None:
        _keep(chosen.json, facts, list(visited.values()), memory, alone)
    return 0


@contextmanager
def _dashboard(work: Path, http_port: int) -> Iterator[peers.Peer]:
    """Run a streamlit process that answers and that nobody has visited yet."""
    with peers.dashboard(work / "data", http_port=http_port, logs=work) as dashboard:
        peers.wait_for_answer(dashboard, "/_stcore/health")
        yield dashboard


def _train_half_again(directory: Path, groups: int, seed: int) -> None:
    """Give every second group other taus, so that there is an earlier scan to compare with."""
    generator = np.random.default_rng(seed)
    for number in range(2, groups + 1, 2):
        path = directory / f"{group_key_of(number)}_ic.csv"
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        names = [row.split(",")[1] for row in rows]
        taus = generator.normal(scale=0.04, size=len(rows)).clip(-0.9, 0.9).tolist()
        fresh = [f"{symbol_of(number)},{name},{RETURN_NAME},{tau:.10f}" for name, tau in zip(names, taus, strict=True)]
        replace_file(path, "\n".join([header, *fresh, ""]).encode())


def _time_scripts(work: Path, port: int, views: Sequence[View], visited: dict[str, Visited], runs: int) -> None:
    say("timing the scripts")
    environment = {
        "MODEL_MANAGER_DATA_DIR": str(work / "data"),
        "MODEL_MANAGER_HTTP_HOST": peers.HOST,
        "MODEL_MANAGER_HTTP_PORT": str(port),
    }
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        for name, times in alone.submit(script_times, views, environment, runs).result().items():
            visited[name].script = times


def _fill_with_sessions(dashboard: peers.Peer, driven: BrowserContext, views: Sequence[View], sessions: int) -> Memory:
    """Let sessions visit every view and stay; the first one fills what all share and is not counted."""
    say(f"memory of {sessions} sessions")
    idle = dashboard.memory_mb()
    visit_everything(driven, dashboard, views)
    warm = dashboard.memory_mb()
    for _ in range(sessions):
        visit_everything(driven, dashboard, views)
    return Memory(idle, warm, dashboard.memory_mb(), sessions)


def _visit_anew(
    work: Path, port: int, views: Sequence[View], visited: dict[str, Visited], times: int, alone: Alone
) -> None:
    """Measure what each view sends and how long it takes to open, in a process that nobody has visited yet."""
    with _dashboard(work, port) as dashboard:
        with driven_chromium() as driven:
            _measure_sizes(dashboard, driven, views, visited)
        _open_cold(dashboard, views, visited, times, alone)


def _measure_sizes(
    dashboard: peers.Peer, driven: BrowserContext, views: Sequence[View], visited: dict[str, Visited]
) -> None:
    for view in views:
        visited[view.name].sent = sent_bytes(driven, dashboard, view)


def _open_cold(
    dashboard: peers.Peer,
    views: Sequence[View],
    visited: dict[str, Visited],
    times: int,
    alone: Alone,
    *,
    in_short: bool = False,
) -> None:
    """Open each view in sessions of its own, after some that are not counted: they fill the process's caches.

    ``in_short`` nothing is filled, and streamlit alone is opened before the first and the last view.
    """
    with chromium() as browser:
        for view in views:
            one = visited[view.name]
            if not in_short or view in (views[0], views[-1]):
                alone.open(browser)
            if not in_short:
                opened(browser, dashboard, view)
            for _ in range(times):
                used = dashboard.cpu_seconds()
                one.opens.append(opened(browser, dashboard, view))
                time.sleep(SETTLING_SECONDS)
                one.server_seconds.append(dashboard.cpu_seconds() - used)
                one.with_empty_cache.append(opened(browser, dashboard, view, newcomer=True))
            say(f"opened {view.name}: {_seconds(one.opens)}")


def _report(facts: dict[str, str], visited: Sequence[Visited], memory: Memory, alone: Alone) -> None:
    for name, fact in facts.items():
        print(f"- {name}: {fact}")
    print(
        "\nCold opens: median (fastest). Server: processor time of a cold open. Scripts: median (of processor time).\n"
    )
    print(aligned([COLUMNS.split(", "), *(one.cells() for one in visited)]))
    title, bars = known(alone.with_title), known(alone.with_three_bars)
    print(
        f"\nStreamlit alone, opened before each view: a page with a title {median(title):.2f} s ({min(title):.2f} to "
        f"{max(title):.2f}), with a figure of three bars {median(bars):.2f} s ({min(bars):.2f} to {max(bars):.2f})."
    )
    fits = memory.of_a_session < MOST_SESSION_MB
    print(
        f"\nMemory of a session: {memory.of_a_session:.1f} MB, {'met' if fits else 'MISSED'} "
        f"({memory.idle:.0f} MB before the first, {memory.warm:.0f} MB with it, {memory.full:.0f} MB with "
        f"{memory.sessions} more)."
    )
    missed = [f"{what} of {one.view.name}" for one in visited for what in one.missed()]
    missed += [] if fits else ["memory of a session"]
    print(
        f"Budgets: cold open < {LONGEST_OPEN_SECONDS:g} s, rerun < {LONGEST_RERUN_MS:g} ms, session < "
        f"{MOST_SESSION_MB:g} MB. " + (f"{len(missed)} MISSED: {', '.join(missed)}" if missed else "Every one is met.")
    )


def _keep(path: Path, facts: dict[str, str], visited: Sequence[Visited], memory: Memory, alone: Alone) -> None:
    samples = {
        one.view.name: {
            "open_seconds": one.opens,
            "open_seconds_with_empty_cache": one.with_empty_cache,
            "open_seconds_first_of_process": one.first_of_process,
            "server_seconds": one.server_seconds,
            "sent_bytes": one.sent,
            "script": asdict(one.script) if one.script else None,
            "missed": one.missed(),
        }
        for one in visited
    }
    memory_mb = asdict(memory) | {"of_a_session": memory.of_a_session}
    by_itself = {"title_seconds": alone.with_title, "three_bars_seconds": alone.with_three_bars}
    document = {"machine": facts, "memory_mb": memory_mb, "streamlit_alone": by_itself, "views": samples}
    write_samples(path, document)


if __name__ == "__main__":
    raise SystemExit(main())
