"""The normalizer of a version in a real browser, beside a real payload server: set, pulled, put back."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import WriteVersion
from tests.dashboard.browsing import cell, errors_of, open_tab, press_for, said, settled, type_into_cell
from tests.dashboard.version_states import FAMILY, lightgbm_booster, version_state, write_version

__all__ = ["lightgbm_booster", "version_state", "write_version"]

pytestmark = pytest.mark.browser

Start = Callable[[], str]
MEAN, VARIANCE = 4, 6
"""Columns of the grid."""


def _pull(server: str) -> tuple[dict[str, Any], str]:
    url = f"{server}/api/models/{FAMILY}/versions/v1.1.0/model"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())["payload"], answer.headers["ETag"]


def test_a_versions_normalizer_is_edited_pulled_and_put_back_and_its_files_never_change(
    version_state: Registry,
    payload_server: str,
    start_dashboard: Start,
    browser: BrowserContext,
    tree_digest: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    files = tree_digest(tmp_path / "root")
    before, etag = _pull(payload_server)
    assert before["normalizer"]["mean"] == [0.5] * 4
    page = open_tab(browser, f"{start_dashboard()}/version?version={FAMILY} / v1.1.0&tab=Normalizer", "Version")
    page.get_by_role("link", name="Edit normalization").click()
    expect(page.get_by_role("heading", name="Factor configs")).to_be_visible()
    expect(said(page, "revision 0, as its files say")).to_be_visible()
    type_into_cell(page, MEAN, 0, "1e-7")
    type_into_cell(page, VARIANCE, 2, "0")
    expect(said(page, "1 number cannot be saved")).to_be_visible()
    type_into_cell(page, VARIANCE, 2, "6.25")
    expect(said(page, "2 unsaved · editing revision 0")).to_be_visible()
    dialog = page.get_by_role("dialog")
    press_for(page, "Control+s", said(dialog, "2 numbers will change"))
    dialog.get_by_label("Why?").fill("drift")
    page.keyboard.press("Tab")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(said(page, f"Saved revision 1 of {FAMILY} v1.1.0.")).to_be_visible()
    expect(said(page, "nothing unsaved · editing revision 1")).to_be_visible()
    expect(said(page, "2 features with other numbers than the files")).to_be_visible()

    after, new_etag = _pull(payload_server)
    assert (after["normalizer"]["mean"], after["normalizer"]["std"]) == ([1e-7, 0.5, 0.5, 0.5], [2.0, 2.0, 2.5, 2.0])
    assert after["metadata"]["normalizer_overridden"] == ["momentum_5d", "spread"]
    assert (after["model"], new_etag != etag) == (before["model"], True)
    assert tree_digest(tmp_path / "root") == files

    page.get_by_text("overridden", exact=True).click()
    settled(page)
    expect(cell(page, 1, 1)).to_have_text("spread")
    page.get_by_text("overridden", exact=True).click()
    expect(cell(page, 1, 1)).to_have_text("volatility_20d")
    page.get_by_role("tab", name="History").click()
    page.get_by_role("button", name="Restore revision 0 …").click()
    dialog.get_by_role("button", name="Restore", exact=True).click()
    expect(said(page, f"Restored revision 0 of {FAMILY} v1.1.0.")).to_be_visible()
    again, _ = _pull(payload_server)
    assert (again["normalizer"], again["metadata"]["normalizer_overridden"]) == (before["normalizer"], [])
    assert tree_digest(tmp_path / "root") == files
    assert [one.action for one in version_state.normalizers.history(FAMILY, "v1.1.0")] == ["edit", "restore"]
    assert errors_of(page) == []


def test_the_link_of_a_draft_leads_to_what_it_is_of_whatever_is_edited_now(
    state: dict[str, str], write_version: WriteVersion, start_dashboard: Start, browser: BrowserContext
) -> None:
    root = write_version() / FAMILY
    open_registry(load_settings(state)).registrations.register(FAMILY, str(root))
    page = open_tab(browser, f"{start_dashboard()}/config?model=horizon&symbol=SOLUSDT", "Factor configs")
    type_into_cell(page, 5, 0, "11")
    expect(page.get_by_role("link", name="horizon SOLUSDT: 1 unsaved")).to_be_visible()
    page.get_by_role("combobox", name="Mean and variance of").click()
    page.get_by_role("option", name=f"{FAMILY} / v1.1.0").click()
    expect(cell(page, 1, 0)).to_have_text("momentum_5d")
    type_into_cell(page, MEAN, 0, "12")
    expect(page.get_by_role("link", name=f"{FAMILY} v1.1.0: 1 unsaved")).to_be_visible()
    page.get_by_role("link", name="horizon SOLUSDT: 1 unsaved").click()
    expect(cell(page, 5, 0)).to_have_text("11")
    expect(cell(page, 1, 0)).to_have_text("momentum_5")
    page.get_by_role("link", name=f"{FAMILY} v1.1.0: 1 unsaved").click()
    expect(cell(page, 1, 0)).to_have_text("momentum_5d")
    expect(cell(page, MEAN, 0)).to_have_text("12")
    assert errors_of(page) == []
