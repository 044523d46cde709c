"""Visits to the dashboard: by Chromium to the real process, and by streamlit's own test runner for the script alone."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from make_artifacts import RETURN_NAME, symbol_of
from peers import PROJECT, Peer
from playwright.sync_api import BrowserContext, Page, sync_playwright
from playwright.sync_api import TimeoutError as TookTooLong
from undriven import CHROMIUM, OPTIONS, SIZE, Chromium, room_of_its_own

MODEL = "bench"
OTHER_MODEL = "bench-before"
SHOWN_WITHIN_SECONDS = 30.0
IS_SHOWN = """
(wanted) => {
  const app = document.querySelector('[data-testid=stApp]');
  if (!app || app.dataset.testScriptState !== 'notRunning') return 0;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const drawn = (element) => element.getClientRects().length > 0;
  if (all('[data-testid=stSkeleton]').some(drawn)) return 0;
  if (all('[data-testid=stPlotlyChart]').some((chart) => !chart.querySelector('.main-svg'))) return 0;
  if (all('[data-testid=stDataFrame]').some((table) => !table.querySelector('canvas'))) return 0;
  return wanted.every((selector) => all(selector).some(drawn)) ? performance.now() : 0;
}
"""
"""Asked before each frame is painted, so a page that answers has a free main thread; milliseconds since navigation."""


TWO_SCANS = (".st-key-agreement_bars .barlayer path", ".st-key-symbols-compared_csv")
ONE_SYMBOL = (".st-key-tau_scatter .scatterlayer path", ".st-key-into")


@dataclass(frozen=True, slots=True)
class View:
    """One page, or one tab of it: ``content`` are selectors of what is its own.

    ``change`` is a widget's key and values to choose one after the other: reruns that somebody asked for.
    """

    page: str
    content: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    change: tuple[str, tuple[Any, ...]] | None = None

    @property
    def name(self) -> str:
        """The page with its tab."""
        return " ".join([self.page, *self.parameters.values()])

    def address(self) -> str:
        """Return path and query."""
        return f"/{self.page}?{urlencode({'model': MODEL, **self.parameters})}"


def _views() -> Iterator[View]:
    numbers = range(2, 9)
    symbols = tuple(symbol_of(number) for number in numbers)
    yield View("overview", (".st-key-models canvas", ".st-key-models_csv"))
    yield View(
        "symbols",
        (".st-key-groups canvas", ".st-key-gantt .barlayer path"),
        {},
        ("q", tuple(f"00{at}" for at in numbers)),
    )
    own = f"[class*='{RETURN_NAME}-%s_csv']"
    tabs = {
        "Factors": (own % "factors",),
        "IC": (".st-key-ic_bars .barlayer path", ".st-key-ic_histogram .barlayer path"),
        "Importance": (".st-key-ic_importance .scatterlayer path", ".st-key-gain_bars .barlayer path"),
        "Trees": (".st-key-values .barlayer path", own % "booster"),
        "Training": (own % "training",),
        "Findings": ("[data-testid=stAlert]",),
        "Files": (own % "files",),
        "For bots": ("[data-testid=stCode]",),
    }
    for tab, content in tabs.items():
        yield View("group", content, {"tab": tab}, ("symbol", symbols))
    for view, chart, change in (
        ("Heat map", ".st-key-heat_map .heatmaplayer image", ("least", tuple(0.005 * at for at in numbers))),
        ("One factor", ".st-key-one_factor .barlayer path", ("factor", tuple(f"momentum_{at}" for at in numbers))),
        ("Consistency", f"[class*='{MODEL}-consistency_csv']", None),
        ("Agreement", ".st-key-agreement .scatterlayer path", ("other", symbols)),
        ("Distributions", ".st-key-tau_boxes .boxlayer path", None),
        ("Families", ".st-key-families .heatmaplayer image", None),
    ):
        yield View("ic", (chart,), {"view": view}, change)
    yield View(
        "compare",
        (".st-key-tau_scatter .scatterlayer path",),
        {"what": "Groups"},
        ("b", tuple(f"{MODEL} / {symbol}" for symbol in symbols)),
    )
    yield View("compare", TWO_SCANS, {"what": "Scans"})
    yield View("compare", ONE_SYMBOL, {"what": "Scans", "of": "One symbol"}, ("into", symbols))
    yield View("config", ("[class*='st-key-grid_'] canvas",), {}, ("symbol", symbols))
    yield View("service", (".st-key-requests_csv",))


VIEWS = tuple(_views())
WITH_TWO_MODELS = (View("compare", TWO_SCANS, {"what": "Models"}),)
TITLES = {"group": "Group", "ic": "IC explorer", "config": "Factor configs"}
"""What the sidebar calls a page, where that is not its name."""


@contextmanager
def driven_chromium() -> Iterator[BrowserContext]:
    """Run headless Chromium that Playwright can click in: how long a page takes in it says nothing, see `undriven`."""
    with room_of_its_own() as (_, environment), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, env=dict(environment))
        try:
            yield browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]})
        finally:
            browser.close()


def opened(browser: Chromium, server: Peer, view: View, *, newcomer: bool = False) -> float | None:
    """Open a view in a session of its own; return the seconds until it is interactive, None when it never is."""
    url = f"http://127.0.0.1:{server.port}{view.address()}"
    return browser.opened(url, IS_SHOWN, list(view.content), newcomer=newcomer, longest_seconds=SHOWN_WITHIN_SECONDS)


@dataclass
class Alone:
    """Streamlit by itself, opened now and then during a run: how fast machine and browser were, in seconds."""

    server: Peer
    with_title: list[float | None] = field(default_factory=list)
    with_three_bars: list[float | None] = field(default_factory=list)

    def open(self, browser: Chromium) -> None:
        """Open both pages of ``alone.py`` once more."""
        url = f"http://127.0.0.1:{self.server.port}/"
        self.with_title.append(browser.opened(url, IS_SHOWN, ["h1"]))
        self.with_three_bars.append(browser.opened(url + "?figure=1", IS_SHOWN, [".barlayer path"]))


def sent_bytes(context: BrowserContext, server: Peer, view: View) -> int:
    """Return how many bytes a cold open of a view sends through its web socket."""
    page, sizes = context.new_page(), []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    page.goto(f"http://127.0.0.1:{server.port}{view.address()}", wait_until="commit")
    _is_shown(page, view)
    page.close()
    return sum(sizes)


def visit_everything(context: BrowserContext, server: Peer, views: Sequence[View]) -> None:
    """Walk one session through all views by its links and tabs, and leave it open."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}{views[0].address()}")
    here = views[0].page
    for view in views:
        if view.page != here:
            links = page.locator(".st-key-pages")
            links.get_by_role("link", name=TITLES.get(view.page, view.page.title()), exact=True).click()
            here = view.page
        for choice in view.parameters.values():
            tab = page.get_by_role("tab", name=choice, exact=True)
            tab.or_(page.get_by_role("radio", name=choice, exact=True)).first.click()
        if not _is_shown(page, view):
            print(f"{view.name} did not show in the session that visits everything", file=sys.stderr)


def _is_shown(page: Page, view: View) -> bool:
    """Wait until a view is there; return whether it ever is."""
    with suppress(TookTooLong):
        page.wait_for_function(IS_SHOWN, arg=list(view.content), timeout=SHOWN_WITHIN_SECONDS * 1000)
        return True
    return False


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One run of a page's script: what the clock says, and what its thread used of a processor."""

    wall_ms: float
    processor_ms: float


@dataclass(frozen=True, slots=True)
class ScriptTimes:
    """One view's script in one session: its first run, reruns as they are, reruns after a choice."""

    first: ScriptRun
    again: list[ScriptRun]
    changed: list[ScriptRun]
    problem: str = ""


def script_times(views: Sequence[View], environment: Mapping[str, str], runs: int) -> dict[str, ScriptTimes]:
    """Run the pages' scripts in this process, each view in a session of its own; what they keep is shared."""
    os.environ.update(environment)
    logging.disable(logging.WARNING)  # the test runner warns of each run that it is no session
    sys.path.insert(0, str(PROJECT))
    from streamlit.testing.v1 import AppTest  # here: the parent process needs no second streamlit
    from streamlit.testing.v1.local_script_runner import LocalScriptRunner

    taken: list[ScriptRun] = []
    run_thread = LocalScriptRunner._run_script_thread

    def timed(runner: LocalScriptRunner) -> None:
        """The script with its inner reruns, without what the test runner does around it."""
        started, used = time.perf_counter(), time.thread_time()
        run_thread(runner)
        taken.append(ScriptRun((time.perf_counter() - started) * 1000, (time.thread_time() - used) * 1000))

    found = {}
    with mock.patch.object(LocalScriptRunner, "_run_script_thread", timed):
        AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60).run()
        for view in views:
            session = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60).run()
            session.switch_page(f"pages/{view.page}.py")
            session.query_params.update({"model": MODEL, **view.parameters})
            taken.clear()
            for _ in range(runs + 1):
                session.run()
            first, *again = taken
            taken.clear()
            if view.change is not None:
                key, values = view.change
                for value in values[:runs]:
                    session.session_state[key] = value
                    session.run()
            problem = session.exception[0].message if session.exception else ""
            found[view.name] = ScriptTimes(first, again, list(taken), problem)
    return found
