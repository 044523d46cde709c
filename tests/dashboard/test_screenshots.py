"""Every page in both themes and on a phone, drawn without an error; with ``SCREENSHOTS=1`` there are pictures of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from demo.register_demo import register_demo
from mm_core.dashboard.palette import DARK, LIGHT
from mm_core.registry import Registry, lifecycle
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.conftest import write_group_below
from tests.dashboard.browsing import errors_of, go_in_place, open_tab, settled
from tests.dashboard.conftest import PROJECT, dashboard_process, payload_process, state_below

pytestmark = pytest.mark.browser

SCREENSHOTS = PROJECT / "screenshots"
TAKES_PICTURES = bool(os.environ.get("SCREENSHOTS"))
"""Nothing is asserted of pictures: they take as long as all else, for somebody to look at."""

GROUP = "model=mid_chg_5b&symbol=NVDA"
VERSION = "version=market-direction / v1.2.0"


class View(NamedTuple):
    """Where a view is, the heading that it has, and the button that opens the dialog over it."""

    address: str
    heading: str
    button: str = ""


class Look(NamedTuple):
    """How a page is looked at: the system's theme and the size of the window, higher than any phone to see more."""

    theme: str
    size: tuple[int, int]


VIEWS = {
    "overview": View("/overview", "Overview"),
    "symbols": View(f"/symbols?{GROUP}", "Symbols"),
    "group-factors": View(f"/group?{GROUP}", "NVDA · mid_chg_5b"),
    "group-ic": View(f"/group?{GROUP}&tab=IC", "NVDA · mid_chg_5b"),
    "group-importance": View(f"/group?{GROUP}&tab=Importance", "NVDA · mid_chg_5b"),
    "group-trees": View(f"/group?{GROUP}&tab=Trees", "NVDA · mid_chg_5b"),
    "group-training": View(f"/group?{GROUP}&tab=Training", "NVDA · mid_chg_5b"),
    "group-files": View(f"/group?{GROUP}&tab=Files", "NVDA · mid_chg_5b"),
    "group-for-bots": View(f"/group?{GROUP}&tab=For bots", "NVDA · mid_chg_5b"),
    "group-broken": View("/group?model=broken&symbol=ETHUSDT&tab=Findings", "ETHUSDT · mid_chg_1m"),
    "ic-heat-map": View(f"/ic?{GROUP}", "IC explorer"),
    "ic-coverage": View("/ic?model=mid_chg_5b&cells=coverage", "IC explorer"),
    "ic-one-factor": View("/ic?view=One factor&scope=all models&factor=return_skew_120", "IC explorer"),
    "ic-consistency": View("/ic?model=mid_chg_5b&view=Consistency", "IC explorer"),
    "ic-agreement": View("/ic?view=Agreement&scope=all models", "IC explorer"),
    "ic-distributions": View("/ic?view=Distributions&scope=all models", "IC explorer"),
    "ic-families": View("/ic?model=mid_chg_5b&view=Families", "IC explorer"),
    "config": View(f"/config?{GROUP}", "Factor configs"),
    "config-of-a-version": View("/config?of=market-direction / v1.2.0&under=History", "Factor configs"),
    "compare-groups": View(f"/compare?{GROUP}", "Compare"),
    "compare-factors": View(f"/compare?{GROUP}&part=Factors", "Compare"),
    "compare-one-symbol": View(
        "/compare?what=Models&model_a=mid_chg_5b&model_b=mid_chg_1b&of=One symbol&part=Gain",
        "Compare",
    ),
    "compare-models": View("/compare?what=Models", "Compare"),
    "compare-scans": View("/compare?what=Scans&model=broken&symbol=ETHUSDT", "Compare"),
    "versions-cards": View(f"/versions?{GROUP}", "Versions"),
    "versions-table": View("/versions?show=Table", "Versions"),
    "versions-over-time": View("/versions?show=Over time&doubtful=true", "Versions"),
    "versions-disk-use": View("/versions?show=Disk use", "Versions"),
    "versions-cleanup": View("/versions?show=Cleanup&keep=1", "Versions"),
    "versions-cleanup-dialog": View("/versions?show=Cleanup&keep=1", "Versions", "Delete 2 runs …"),
    "version-metrics": View(f"/version?{VERSION}", "market-direction v1.2.0"),
    "version-findings": View(f"/version?{VERSION}&tab=Findings", "market-direction v1.2.0"),
    "version-importance": View(f"/version?{VERSION}&tab=Importance", "market-direction v1.2.0"),
    "version-normalizer": View(f"/version?{VERSION}&tab=Normalizer", "market-direction v1.2.0"),
    "version-events": View(f"/version?{VERSION}&tab=Events", "market-direction v1.2.0"),
    "version-promote-dialog": View(f"/version?{VERSION}", "market-direction v1.2.0", "Promote …"),
    "versions-compared": View("/compare_versions", "Compare versions"),
    "versions-compared-gap": View("/compare_versions?part=Generalization gap", "Compare versions"),
    "versions-compared-features": View("/compare_versions?part=Features", "Compare versions"),
    "lifecycle": View("/lifecycle?family=market-direction&at=2026-01-20T12:00", "Lifecycle"),
    "lifecycle-events": View("/lifecycle?family=walk-forward&part=Events", "Lifecycle"),
    "service": View("/service", "Service"),
}
LOOKS = {
    "light": Look("light", (1280, 1000)),
    "phone": Look("light", (390, 1600)),
    "dark": Look("dark", (1280, 1000)),
}
"""In the order in which a page is looked at, which follows the system's theme and the size of the window."""

WIDE_FOR = 5_000
"""Milliseconds after which a page that is wider than the window stays so."""

FITS = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  return main && main.scrollWidth <= main.clientWidth + 1;
}"""
BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 24, 31)"}
FIGURES_HAVE_TEXT_IN = """color =>
  [...document.querySelectorAll('.js-plotly-plot')].every(figure => figure._fullLayout?.font.color === color)"""
TEXTS = {"light": LIGHT.text, "dark": DARK.text}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, booster_json: bytes) -> Iterator[Registry]:
    """The demo with lives of weeks, a model with a broken group and an earlier scan, and numbers that somebody set."""
    path = tmp_path_factory.mktemp("screenshots")
    with pytest.MonkeyPatch.context() as patched:
        state_below(path, patched)
        registry = open_registry(load_settings())
        shutil.copytree(PROJECT / "data" / "demo", path / "demo", symlinks=True)
        days = (datetime(2026, 1, 5, 9, 30, tzinfo=UTC) + timedelta(days=3 * number) for number in range(100))
        with pytest.MonkeyPatch.context() as clock:
            clock.setattr(lifecycle, "now_stamp", lambda: f"{next(days):%Y-%m-%dT%H:%M:%S.%fZ}")
            register_demo(registry, path / "demo")
        write_group_below(path, booster_json, "BTCUSDT_mid_chg_1m", "broken", ic_csv=None)
        write_group_below(path, booster_json, "ETHUSDT_mid_chg_1m", "broken")
        registry.registrations.register("broken", str(path / "broken"))
        damaged = {"model_json": booster_json[:-9], "factors_txt": b"momentum_5\nspread_3\nskew_9\n"}
        write_group_below(path, booster_json, "ETHUSDT_mid_chg_1m", "broken", **damaged)
        registry.registrations.refresh("broken")
        current = registry.configs.get("mid_chg_5b", "NVDA").config
        means = [round(0.01 * dim, 4) for dim in range(len(current.factor_names))]
        body = {"mean_values": means, "variance_values": [1.5] * len(means)}
        registry.configs.save("mid_chg_5b", "NVDA", {"NVDA": body}, by="cli", note="first fit")
        fitted = registry.normalizers.get("market-direction", "v1.2.0").config
        means, variances = [0.25, *fitted.mean_values[1:]], [4.0, *fitted.variance_values[1:]]
        drifted = {"mean_values": means, "variance_values": variances}
        registry.normalizers.save("market-direction", "v1.2.0", {"v1.2.0": drifted}, by="cli", note="drift")
        yield registry


@pytest.fixture(scope="module")
def dashboard(demo: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard on it, beside a payload server."""
    logs = tmp_path_factory.mktemp("logs")
    with payload_process(logs), dashboard_process(logs) as url:
        yield url


@pytest.fixture(scope="module")
def tab(dashboard: str, chromium: Browser) -> Iterator[Page]:
    """A tab that all views are opened in."""
    if TAKES_PICTURES:
        SCREENSHOTS.mkdir(exist_ok=True)
    page = open_tab(chromium.new_context(), f"{dashboard}/overview", "Overview")
    yield page
    page.context.close()


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_drawn_without_an_error_in_both_themes_and_on_a_phone(name: str, tab: Page) -> None:
    view = VIEWS[name]
    earlier, wrong = len(errors_of(tab)), []
    for word, look in LOOKS.items():
        tab.emulate_media(color_scheme=look.theme)  # type: ignore[arg-type]
        tab.set_viewport_size({"width": look.size[0], "height": look.size[1]})
        expect(tab.get_by_test_id("stApp")).to_have_css("background-color", BACKGROUNDS[look.theme])
        if word == "light":
            _open(tab, view)
        elif word == "dark" and tab.get_by_test_id("stPlotlyChart").count():
            _draw_figures_anew(tab, view)
        _settle(tab, look.theme)
        wrong += [f"{word}: a page error" for _ in tab.get_by_test_id("stException").all()]
        wrong += [f"{word}: wider than the window"] if _is_too_wide(tab) else []
        wrong += [f"{word}: {said}" for said in tab.get_by_text("There is no symbol").all_text_contents()]
        if TAKES_PICTURES:
            tab.wait_for_timeout(300)  # tables are drawn on a canvas that tells nobody when it is ready
            tab.screenshot(path=SCREENSHOTS / f"{name}-{word}.png")
    tab.wait_for_timeout(300)  # for an error that comes late
    assert [*wrong, *errors_of(tab)[earlier:]] == []


def test_a_page_that_is_wider_than_the_window_is_told(tab: Page) -> None:
    go_in_place(tab, "/overview", "Overview")
    assert not _is_too_wide(tab)
    wide = "document.querySelector('[data-testid=stHeading]').insertAdjacentHTML('afterend', '<p id=w style=%s></p>')"
    tab.evaluate(wide % "width:3000px;height:1px")
    try:
        assert _is_too_wide(tab)
    finally:
        tab.evaluate("document.getElementById('w').remove()")


def _open(page: Page, view: View) -> None:
    go_in_place(page, view.address, view.heading)
    if view.button:
        _press(page, view.button)


def _draw_figures_anew(page: Page, view: View) -> None:
    """Ask for the page again as Back does: figures have the colours of the theme that they were drawn in."""
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    page.wait_for_function(FIGURES_HAVE_TEXT_IN, arg=TEXTS["dark"])
    settled(page)  # the run that drew them closes a dialog
    if view.button and not page.get_by_role("dialog").count():
        _press(page, view.button)


def _press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("dialog").get_by_role("button").last).to_be_visible()


def _settle(page: Page, theme: str) -> None:
    settled(page)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=30_000)
    if page.get_by_test_id("stPlotlyChart").count():
        expect(page.locator(".main-svg").first).to_be_attached()
        page.wait_for_function(FIGURES_HAVE_TEXT_IN, arg=TEXTS[theme])


def _is_too_wide(page: Page) -> bool:
    """Return whether the page can be moved sideways; what lies around it is as wide as the window in any case.

    Tables and figures are drawn anew some time after the window has changed, so they are given a few seconds.
    """
    try:
        page.wait_for_function(FITS, timeout=WIDE_FOR)
    except PlaywrightTimeout:
        return True
    return False
