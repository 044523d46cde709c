"""Promote, demote and clean up in a real browser, each behind a dialog that shows its plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from mm_core.domain.lifecycle import Status
from mm_core.registry import Registry
from tests.artifacts.versions.conftest import WriteVersion
from tests.dashboard.browsing import click_row, errors_of, go_in_place, open_tab, said, settled
from tests.dashboard.version_states import (
    FAMILY,
    RUNS,
    lightgbm_booster,
    runs_state,
    version_state,
    write_version,
)

__all__ = ["lightgbm_booster", "runs_state", "version_state", "write_version"]

pytestmark = pytest.mark.browser

Start = Callable[[], str]


def _fill_in(page: Page, who: str, why: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Who are you?").fill(who)
    page.keyboard.press("Tab")
    settled(page)
    dialog.get_by_label("Why?").fill(why)
    page.keyboard.press("Tab")
    settled(page)


def test_a_version_is_promoted_and_demoted_behind_dialogs_that_say_who_makes_room(
    version_state: Registry, start_dashboard: Start, browser: BrowserContext
) -> None:
    page = open_tab(browser, f"{start_dashboard()}/versions?show=Table", "Versions")
    click_row(page, "versions", 1)
    expect(page.get_by_role("heading", name=f"{FAMILY} v1.1.0")).to_be_visible()
    page.get_by_role("button", name="Promote …").click()
    dialog = page.get_by_role("dialog")
    expect(said(dialog, f"{FAMILY} v1.0.0 is demoted by this: deployed → shadow")).to_be_visible()
    dialog.get_by_role("button", name="Promote").click()
    expect(said(dialog, "Nothing was changed. Say who you are and why")).to_be_visible()
    _fill_in(page, "ann", "<b>beats</b> v1.0.0 by 2 points")
    dialog.get_by_role("button", name="Promote").click()
    expect(said(page, f"{FAMILY} v1.1.0 is deployed now; v1.0.0 is shadow.")).to_be_visible()
    expect(dialog).to_have_count(0)
    lifecycle = version_state.lifecycle
    assert [lifecycle.record(FAMILY, one).status for one in ("v1.0.0", "v1.1.0")] == [Status.SHADOW, Status.DEPLOYED]

    page.get_by_role("button", name="Demote to shadow …").click()
    expect(said(dialog, f"Nothing of {FAMILY} is deployed afterwards")).to_be_visible()
    assert dialog.get_by_label("Who are you?").input_value() == "ann"  # asked once
    _fill_in(page, "bob", "it loses money")
    dialog.get_by_role("button", name="Demote to shadow").click()
    expect(said(page, f"{FAMILY} v1.1.0 is shadow now.")).to_be_visible()
    assert lifecycle.record(FAMILY, "v1.1.0").status is Status.SHADOW

    page.get_by_test_id("stMain").get_by_role("link", name="Lifecycle").click()
    expect(page.get_by_role("heading", name="Lifecycle")).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="Deployed now")).to_contain_text("nothing")
    events = lifecycle.history(FAMILY)[-3:]
    assert [(event.actor, event.version, event.after) for event in events] == [
        ("ann", "v1.0.0", Status.SHADOW),
        ("ann", "v1.1.0", Status.DEPLOYED),
        ("bob", "v1.1.0", Status.SHADOW),
    ]
    assert errors_of(page) == []


def test_a_click_opens_the_row_that_was_clicked_though_a_newer_version_came_above_it(
    version_state: Registry, write_version: WriteVersion, start_dashboard: Start, browser: BrowserContext
) -> None:
    page = open_tab(browser, f"{start_dashboard()}/versions?show=Table", "Versions")
    write_version("v1.3.0")
    version_state.registrations.refresh("fusion")
    click_row(page, "versions", 1)
    expect(page.get_by_role("heading", name=f"{FAMILY} v1.1.0")).to_be_visible()

    page.get_by_role("link", name="Versions", exact=True).click()
    page.get_by_role("tab", name="Cards").click()
    page.get_by_role("link", name="v1.3.0").click()  # the page would begin with this one
    expect(page.get_by_role("heading", name=f"{FAMILY} v1.3.0")).to_be_visible()
    page.get_by_role("link", name="Versions", exact=True).click()
    page.get_by_role("link", name="v1.2.0").click()
    expect(page.get_by_role("heading", name=f"{FAMILY} v1.2.0")).to_be_visible()
    page.get_by_role("link", name="Compare", exact=True).last.click()
    expect(page.get_by_role("heading", name="Compare versions")).to_be_visible()
    expect(page.get_by_role("combobox", name="Version A")).to_have_value(f"{FAMILY} / v1.2.0")
    assert errors_of(page) == []


def test_a_dialog_that_is_left_and_a_link_to_a_version_that_is_gone_change_nothing(
    version_state: Registry, start_dashboard: Start, browser: BrowserContext
) -> None:
    page = open_tab(browser, f"{start_dashboard()}/version?version={FAMILY} / v1.1.0", "Version")
    events = version_state.lifecycle.history(FAMILY)
    page.get_by_role("button", name="Promote …").click()
    _fill_in(page, "ann", "better")
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    go_in_place(page, "/version?version=<b>x</b> / v9.9.9&tab=Events", "Version")
    expect(said(page, "There is no version '<b>x</b> / v9.9.9' here.")).to_be_visible()
    expect(page.get_by_role("heading", name=f"{FAMILY} v1.2.0")).to_be_visible()
    assert errors_of(page) == []
    assert version_state.lifecycle.history(FAMILY) == events


def test_a_cleanup_deletes_what_its_dialog_listed_and_nothing_before(
    runs_state: Callable[..., Registry], start_dashboard: Start, browser: BrowserContext, tmp_path: Path
) -> None:
    registry = runs_state()

    def there() -> list[str]:
        return [name for name in RUNS if (tmp_path / "models" / name).is_dir()]

    page = open_tab(browser, f"{start_dashboard()}/versions?show=Cleanup&keep=2", "Versions")
    page.get_by_role("button", name="Delete 2 runs …").click()
    dialog = page.get_by_role("dialog")
    expect(said(dialog, "This cannot be undone.")).to_be_visible()
    assert there() == list(RUNS)
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(said(page, "Deleted 2 runs")).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="Would go")).to_contain_text("0")
    assert there() == list(RUNS[2:])
    assert [one.name for one in registry.versions()] == [RUNS[3], RUNS[2]]
    assert errors_of(page) == []
