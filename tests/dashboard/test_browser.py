"""The dashboard in a real browser, beside a real payload server."""

from __future__ import annotations

import gzip
import json
import re
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.dashboard.browsing import (
    cell,
    click_row,
    close_cell_editor,
    errors_of,
    open_tab,
    press_for,
    said,
    settled,
    type_into_cell,
    write_into_cell,
)

pytestmark = pytest.mark.browser

Start = Callable[[], str]
MEAN, VARIANCE = 5, 7
"""Columns of the grid."""


def _pull(url: str) -> tuple[dict[str, list[float]], str]:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body = json.loads(gzip.decompress(answer.read()))
        (config,) = body["payload"]["factor_config"].values()
        return config, answer.headers["ETag"]


def test_the_analysts_day(
    empty_state: dict[str, str],
    write_group: Callable[..., Path],
    payload_server: str,
    start_dashboard: Start,
    browser: BrowserContext,
) -> None:
    write_group("SOLUSDT_mid_chg_1m")
    root = write_group("BTCUSDT_mid_chg_1m", ic_csv=None)
    page = open_tab(browser, start_dashboard(), "Overview")

    page.get_by_role("textbox", name="Directory on this server").fill(str(root))
    page.get_by_role("textbox", name="Model name").fill("minute")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Look at it").click()
    expect(said(page, "2 groups, 2 of them ready for bots, 1 finding.")).to_be_visible()
    page.get_by_role("button", name="Register 2 groups").click()
    expect(said(page, "Registered minute with 2 groups.")).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="Ready for bots")).to_contain_text("2 of 2")

    page.get_by_role("link", name="Symbols").click()
    cell(page, 1, 1).wait_for(state="attached")
    click_row(page, "groups", 1)
    expect(page.get_by_role("heading", name="SOLUSDT · mid_chg_1m")).to_be_visible()
    assert "/group?model=minute&symbol=SOLUSDT" in page.url

    url = f"{payload_server}/api/models/minute/model/SOLUSDT"
    before, etag = _pull(url)
    assert before["mean_values"] == [0.2, 0.2, 0.2]
    page.get_by_role("link", name="Edit normalization").click()
    expect(page.get_by_role("heading", name="Factor configs")).to_be_visible()
    type_into_cell(page, MEAN, 0, "1e-7")
    type_into_cell(page, MEAN, 1, "-.07")
    type_into_cell(page, VARIANCE, 2, "2.5")
    expect(said(page, "3 unsaved · editing revision 1")).to_be_visible()
    page.get_by_role("button", name="Save …").click()
    dialog = page.get_by_role("dialog")
    expect(said(dialog, "3 numbers will change")).to_be_visible()
    dialog.get_by_label("Why?").fill("vol rescale")
    page.keyboard.press("Tab")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(said(page, "Saved revision 2 of minute SOLUSDT.")).to_be_visible()
    expect(said(page, "nothing unsaved · editing revision 2")).to_be_visible()

    after, new_etag = _pull(url)
    assert after["mean_values"] == [1e-7, -0.07, 0.2]
    assert after["variance_values"] == [1.0, 1.0, 2.5]
    assert new_etag != etag
    history = open_registry(load_settings()).configs.history("minute", "SOLUSDT")
    assert (history[-1].by, history[-1].note) == ("dashboard", "vol rescale")
    assert errors_of(page) == []


@pytest.mark.parametrize(
    ("address", "heading"),
    [
        ("/config?model=horizon&symbol=SOLUSDT", "Factor configs"),
        ("/group?model=longer&symbol=SOLUSDT&tab=IC", "SOLUSDT · mid_chg_5m"),
    ],
)
def test_a_deep_link_into_a_fresh_process_shows_what_its_sender_saw(
    address: str, heading: str, state: dict[str, str], start_dashboard: Start, browser: BrowserContext
) -> None:
    page = open_tab(browser, start_dashboard() + address, heading)
    expect(page.get_by_role("link", name="IC explorer")).to_be_visible()  # the frame of app.py, not the folder's
    expect(said(page.get_by_test_id("stSidebar"), "Operate")).to_be_visible()
    for part in address.partition("?")[2].split("&"):
        assert part in page.url
    if "tab=IC" in address:
        expect(page.get_by_role("tab", name="IC", exact=True)).to_have_attribute("aria-selected", "true")
        expect(page.locator(".barlayer path").first).to_be_attached()
    assert errors_of(page) == []


def test_two_sessions_in_conflict_lose_nothing(
    state: dict[str, str], start_dashboard: Start, browser: BrowserContext
) -> None:
    address = f"{start_dashboard()}/config?model=horizon&symbol=SOLUSDT"
    one, two = (open_tab(browser, address, "Factor configs") for _ in range(2))
    one.bring_to_front()
    type_into_cell(one, MEAN, 0, "11")
    type_into_cell(one, MEAN, 1, "12")
    expect(one.get_by_text("2 unsaved")).to_have_count(2)
    two.bring_to_front()
    type_into_cell(two, MEAN, 0, "21")
    type_into_cell(two, VARIANCE, 2, "22")
    two.get_by_role("button", name="Save …").click()
    two.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    expect(said(two, "Saved revision 3")).to_be_visible()

    one.bring_to_front()
    expect(said(one, "Factor config revision 3 by dashboard (edit: 2 factors).")).to_be_visible()
    expect(cell(one, MEAN, 0)).to_have_text("11")  # the news did not move what is under the typist
    one.get_by_role("button", name="Save …").click()
    expect(said(one, "revision 3 is saved, you edit revision 2")).to_be_visible()
    expect(one.get_by_role("dialog")).to_have_count(0)
    one.get_by_role("button", name="Put my changes on top").click()
    expect(said(one, "2 unsaved · editing revision 3")).to_be_visible()
    one.get_by_role("button", name="Save …").click()
    one.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    expect(said(one, "Saved revision 4")).to_be_visible()
    config = open_registry(load_settings()).configs.get("horizon", "SOLUSDT").config
    assert config.mean_values == (11.0, 12.0, 3.5)
    assert config.variance_values == (4.0, 5.0, 22.0)
    assert errors_of(one) == errors_of(two) == []


def test_undo_page_changes_and_leaving_keep_a_draft(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/config?model=horizon&symbol=SOLUSDT", "Factor configs")
    type_into_cell(page, MEAN, 0, "11")
    type_into_cell(page, MEAN, 1, "12")
    page.get_by_role("button", name="Undo").click()
    expect(cell(page, MEAN, 1)).to_have_text("2.5")
    page.get_by_role("link", name="Service").click()
    expect(page.get_by_role("heading", name="Service")).to_be_visible()
    expect(said(page.get_by_test_id("stSidebar"), "horizon SOLUSDT: 1 unsaved")).to_be_visible()
    page.get_by_role("link", name="Factor configs").click()
    expect(cell(page, MEAN, 0)).to_have_text("11")

    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    with page.expect_event("close"):
        asked.value.accept()


def test_what_does_not_look_like_a_number_never_reaches_the_draft(
    dashboard_to_read: str, browser: BrowserContext
) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/config?model=horizon&symbol=SOLUSDT", "Factor configs")
    for text in ("1,5", "abc"):
        write_into_cell(page, MEAN, 0, text)
        page.keyboard.press("Enter")
        close_cell_editor(page)
        settled(page)
        expect(cell(page, MEAN, 0)).to_have_text("1.5")
    expect(said(page, "nothing unsaved")).to_be_visible()


def test_a_broken_group_is_shown_with_its_remedy(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, dashboard_to_read, "Overview")
    expect(said(page, "Bots get 404")).to_be_visible()
    page.get_by_role("link", name="horizon ETHUSDT").click()
    expect(page.get_by_role("heading", name="ETHUSDT · mid_chg_1m")).to_be_visible()
    expect(page.get_by_role("tab", name="Findings")).to_have_attribute("aria-selected", "true")
    expect(said(page.get_by_test_id("stAlert"), "ETHUSDT_mid_chg_1m_model.json")).to_be_visible()
    assert errors_of(page) == []


def test_news_are_said_and_shown_when_asked(
    state: dict[str, str], start_dashboard: Start, browser: BrowserContext, write_group: Callable[..., Path]
) -> None:
    page = open_tab(browser, f"{start_dashboard()}/symbols?model=horizon", "Symbols")
    expect(said(page, "3 groups.")).to_be_visible()
    write_group("XRPUSDT_mid_chg_1m", "horizon")
    open_registry(load_settings()).registrations.refresh("horizon")
    expect(said(page, "Groups: 1 new (XRPUSDT_mid_chg_1m).")).to_be_visible()
    expect(said(page, "3 groups.")).to_be_visible()
    page.get_by_role("button", name="Show it").click()
    expect(said(page, "4 groups.")).to_be_visible()
    expect(said(page, "up to date")).to_be_visible()


def test_the_browser_remembers_the_last_look(
    state: dict[str, str], start_dashboard: Start, browser: BrowserContext
) -> None:
    base = start_dashboard()
    page = open_tab(browser, base, "Overview")
    expect(said(page, "What changed in the last 7 days")).to_be_visible()
    page.wait_for_function("document.cookie.includes('model_manager_seen=')")
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    page.evaluate("stamp => { document.cookie = 'model_manager_seen=/' + stamp + '; path=/' }", an_hour_ago)
    open_registry(load_settings()).registrations.delete("longer")
    document = {"BTCUSDT": {"mean_values": [1, 2, 3], "variance_values": [4, 5, 6]}}
    open_registry(load_settings()).configs.save("horizon", "BTCUSDT", document, by="api")
    again = open_tab(browser, base, "Overview")
    title = again.get_by_text("What changed since your last look (")
    expect(title).to_be_visible()
    again.wait_for_function(f"document.cookie.includes('model_manager_seen={an_hour_ago}/')")
    reloaded = open_tab(browser, base, "Overview")  # the same look goes on
    expect(said(reloaded, title.inner_text())).to_be_visible()
    again.bring_to_front()
    changes = again.get_by_test_id("stDataFrame").nth(1)
    changes.scroll_into_view_if_needed()
    expect(changes.get_by_test_id("glide-cell-3-0")).to_contain_text("revision 2 by api")


def test_tables_and_payloads_can_be_taken_away(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/group?model=horizon&symbol=SOLUSDT", "SOLUSDT · mid_chg_1m")
    with page.expect_download() as csv:
        page.get_by_role("button", name="CSV", exact=True).click()
    lines = csv.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[:2] == ["dim", "factor"]
    assert [line.split(",")[1] for line in lines[1:]] == ["momentum_5", "volatility_20", "spread_3"]
    with page.expect_download() as rows:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert [row["mean"] for row in json.loads(rows.value.path().read_text(encoding="utf-8"))] == [1.5, 2.5, 3.5]
    page.get_by_role("tab", name="For bots").click()
    with page.expect_download() as payload:
        page.get_by_role("button", name="Download the payload").click()
    body = json.loads(payload.value.path().read_text(encoding="utf-8"))
    assert body["payload"]["factor_config"]["SOLUSDT"]["mean_values"] == [1.5, 2.5, 3.5]
    assert errors_of(page) == []


def test_the_address_follows_what_is_chosen(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/ic?model=horizon", "IC explorer")
    page.get_by_role("tab", name="One factor").click()
    expect(said(page, "Selected in")).to_be_visible()
    page.get_by_role("combobox", name="Factor").click()
    page.get_by_role("option", name="spread_3").click()
    expect(said(page, "Family")).to_be_visible()
    page.wait_for_url("**factor=spread_3**")
    assert "view=One+factor" in page.url or "view=One%20factor" in page.url
    copy = open_tab(browser, page.url, "IC explorer")
    expect(copy.get_by_role("combobox", name="Factor")).to_have_value("spread_3")


def test_the_grid_can_be_used_with_the_keyboard_alone(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/config?model=horizon&symbol=SOLUSDT", "Factor configs")
    cell(page, MEAN, 0).wait_for(state="attached")
    page.get_by_label("Search", exact=True).focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(
            "document.activeElement.matches('[class*=st-key-grid_] :is(canvas, [role=grid], [role=gridcell])')"
        ):
            break
    else:
        raise AssertionError("Tab never reached the grid")
    for _ in range(MEAN):
        page.keyboard.press("ArrowRight")
    expect(cell(page, MEAN, 0)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("42", delay=60)
    page.keyboard.press("Enter")
    expect(said(page, "1 unsaved · editing revision 2")).to_be_visible()
    press_for(page, "Control+s", said(page.get_by_role("dialog"), "1 number will change"))


def test_back_leads_to_the_page_before(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/symbols?model=horizon&symbol=SOLUSDT", "Symbols")
    page.get_by_role("link", name="Factor configs").click()
    expect(page.get_by_role("heading", name="Factor configs")).to_be_visible()
    page.wait_for_url("**symbol=SOLUSDT**")
    page.go_back()
    expect(page.get_by_role("heading", name="Symbols")).to_be_visible()


def test_on_a_phone_a_link_of_the_sidebar_closes_it(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/overview", "Overview", size=(390, 844))
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Symbols").click()
    expect(page.get_by_role("heading", name="Symbols")).to_be_visible()
    expect(page.get_by_test_id("stExpandSidebarButton")).to_be_visible()


def test_tables_offer_our_exports_only(dashboard_to_read: str, browser: BrowserContext) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/overview", "Overview")
    page.locator(".st-key-models").hover()
    expect(page.get_by_role("button", name="Search: Registered models")).to_be_visible()
    expect(page.get_by_role("button", name="Download as CSV")).to_have_count(0)
    expect(page.get_by_role("button", name="CSV", exact=True).first).to_be_visible()


def test_a_model_that_was_deleted_is_said_and_its_edits_can_be_dropped(
    state: dict[str, str], start_dashboard: Start, browser: BrowserContext
) -> None:
    page = open_tab(browser, f"{start_dashboard()}/config?model=longer&symbol=SOLUSDT", "Factor configs")
    type_into_cell(page, MEAN, 0, "11")
    expect(said(page, "1 unsaved · editing revision")).to_be_visible()
    settled(page)  # a run that is still to come would draw the page without the model, and there were no news
    open_registry(load_settings()).registrations.delete("longer")
    expect(said(page, "longer: Deleted.")).to_be_visible()
    page.get_by_role("button", name="Show it").click()
    expect(said(page, "There is no model 'longer' here; this is horizon.")).to_be_visible()
    expect(said(page, "but there is no such group now")).to_be_visible()
    page.get_by_role("button", name="Drop these edits").click()
    expect(page.get_by_text("but there is no such group now")).to_have_count(0)
    assert page.evaluate("window.modelManagerUnsaved") is False


def test_long_work_says_how_far_it_is(
    empty_state: dict[str, str],
    write_group: Callable[..., Path],
    start_dashboard: Start,
    browser: BrowserContext,
) -> None:
    for number in range(150):
        root = write_group(f"S{number:03d}USDT_mid_chg_1m", "many")
    page = open_tab(browser, f"{start_dashboard()}/overview", "Overview")
    page.evaluate(
        """() => {
          window.said = [];
          new MutationObserver(() => {
            for (const bar of document.querySelectorAll('[data-testid=stProgress]')) window.said.push(bar.innerText);
          }).observe(document.body, {subtree: true, childList: true, characterData: true});
        }"""
    )
    page.get_by_label("Directory on this server").fill(str(root / "many"))
    page.get_by_label("Directory on this server").press("Enter")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("button", name="Register 150 groups")).to_be_visible()
    steps = [re.fullmatch(r"Reading groups: (\d+) of 150", said.strip()) for said in page.evaluate("window.said")]
    done = [int(step[1]) for step in steps if step]
    assert len(set(done)) > 3, "it moves"
    assert done == sorted(done)
    expect(page.get_by_test_id("stProgress")).to_have_count(0)


def test_figures_follow_a_theme_that_changes_while_the_page_is_open(
    dashboard_to_read: str, browser: BrowserContext
) -> None:
    page = open_tab(browser, f"{dashboard_to_read}/group?model=horizon&symbol=SOLUSDT&tab=IC", "SOLUSDT · mid_chg_1m")
    bar = page.locator(".js-plotly-plot .bars path").first
    expect(bar).to_have_css("fill", "rgb(0, 114, 178)")
    page.emulate_media(color_scheme="dark")
    expect(bar).to_have_css("fill", "rgb(86, 180, 233)")
    assert errors_of(page) == []


def test_a_browser_that_asks_another_machine_is_noticed_and_gets_nothing(
    browser: BrowserContext, asked_outside: list[str]
) -> None:
    page = browser.new_page()
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(f"{request.url} {request.failure}"))
    page.set_content("<img src='http://192.0.2.1/x.png'>", wait_until="networkidle")
    assert asked_outside == ["http://192.0.2.1/x.png"]
    assert failed == ["http://192.0.2.1/x.png net::ERR_PROXY_CONNECTION_FAILED"]
    asked_outside.clear()
