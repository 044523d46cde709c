"""Every page in both themes and on a phone, drawn without an error; the pictures are there to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.dashboard.browsing import errors_of, open_tab
from tests.dashboard.conftest import PROJECT

pytestmark = pytest.mark.browser

SCREENSHOTS = PROJECT / "screenshots"
GROUP = "model=mid_chg_5b&symbol=NVDA"
VIEWS = {
    "overview": ("/overview", "Overview"),
    "symbols": ("/symbols?model=mid_chg_5b", "Symbols"),
    "group-factors": (f"/group?{GROUP}", "NVDA · mid_chg_5b"),
    "group-ic": (f"/group?{GROUP}&tab=IC", "NVDA · mid_chg_5b"),
    "group-importance": (f"/group?{GROUP}&tab=Importance", "NVDA · mid_chg_5b"),
    "group-trees": (f"/group?{GROUP}&tab=Trees", "NVDA · mid_chg_5b"),
    "group-training": (f"/group?{GROUP}&tab=Training", "NVDA · mid_chg_5b"),
    "group-files": (f"/group?{GROUP}&tab=Files", "NVDA · mid_chg_5b"),
    "group-for-bots": (f"/group?{GROUP}&tab=For bots", "NVDA · mid_chg_5b"),
    "group-broken": ("/group?model=broken&symbol=ETHUSDT&tab=Findings", "ETHUSDT · mid_chg_1m"),
    "ic-heat-map": ("/ic?model=mid_chg_5b", "IC explorer"),
    "ic-coverage": ("/ic?model=mid_chg_5b&cells=coverage", "IC explorer"),
    "ic-one-factor": ("/ic?view=One factor&scope=all models&factor=return_skew_120", "IC explorer"),
    "ic-consistency": ("/ic?model=mid_chg_5b&view=Consistency", "IC explorer"),
    "ic-agreement": ("/ic?view=Agreement&scope=all models", "IC explorer"),
    "ic-distributions": ("/ic?view=Distributions&scope=all models", "IC explorer"),
    "ic-families": ("/ic?model=mid_chg_5b&view=Families", "IC explorer"),
    "config": (f"/config?{GROUP}", "Factor configs"),
    "compare-groups": (f"/compare?{GROUP}", "Compare"),
    "compare-factors": (f"/compare?{GROUP}&part=Factors", "Compare"),
    "compare-one-symbol": (
        "/compare?what=Models&model_a=mid_chg_5b&model_b=mid_chg_1b&of=One symbol&part=Gain",
        "Compare",
    ),
    "compare-models": ("/compare?what=Models", "Compare"),
    "compare-scans": ("/compare?what=Scans&model=broken", "Compare"),
    "service": ("/service", "Service"),
}
SIZES = {"light": (1280, 1000), "dark": (1280, 1000), "phone": (390, 844)}


@pytest.fixture
def demo(
    empty_state: dict[str, str], write_group: Callable[..., Path], payload_server: str, booster_json: bytes
) -> None:
    """The demo's models, one with a broken group and an earlier scan, and a config that somebody edited."""
    registry = open_registry(load_settings(empty_state))
    for horizon in ("1b", "5b", "20b"):
        registry.registrations.register(f"mid_chg_{horizon}", str(PROJECT / "data" / "demo" / f"mid_chg_{horizon}"))
    write_group("BTCUSDT_mid_chg_1m", ic_csv=None)
    root = write_group("ETHUSDT_mid_chg_1m")
    registry.registrations.register("broken", str(root))
    write_group("ETHUSDT_mid_chg_1m", model_json=booster_json[:-9], factors_txt=b"momentum_5\nspread_3\nskew_9\n")
    registry.registrations.refresh("broken")
    current = registry.configs.get("mid_chg_5b", "NVDA").config
    means = [round(0.01 * dim, 4) for dim in range(len(current.factor_names))]
    body = {"mean_values": means, "variance_values": [1.5] * len(means)}
    registry.configs.save("mid_chg_5b", "NVDA", {"NVDA": body}, by="cli", note="first fit")


@pytest.mark.parametrize("look", sorted(SIZES))
def test_every_view_is_drawn_without_an_error(
    look: str, demo: None, start_dashboard: Callable[[], str], browser: BrowserContext
) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    base = start_dashboard()
    wrong = []
    for name, (address, heading) in VIEWS.items():
        if look == "phone" and name.startswith(("group-", "ic-")) and name not in ("group-ic", "ic-heat-map"):
            continue
        page = _tab(browser, look, base + address, heading)
        wrong += [f"{name}: {error}" for error in errors_of(page)]
        wrong += [f"{name}: a page error" for _ in page.get_by_test_id("stException").all()]
        wrong += [f"{name}: wider than the window"] if _is_too_wide(page) else []
        page.screenshot(path=SCREENSHOTS / f"{name}-{look}.png", full_page=True)
        page.close()
    assert wrong == []


def _tab(browser: BrowserContext, look: str, url: str, heading: str) -> Page:
    page = open_tab(browser, url, heading, dark=look == "dark", size=SIZES[look])
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=30_000)
    if page.get_by_test_id("stPlotlyChart").count():
        expect(page.locator(".main-svg").first).to_be_attached()
    page.wait_for_timeout(700)  # tables are drawn on a canvas that tells nobody when it is ready
    return page


def _is_too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"))
