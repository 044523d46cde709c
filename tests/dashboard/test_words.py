"""Text of others is shown as it stands."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from mm_core.dashboard.words import counted, plain
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.dashboard.browsing import errors_of, go_in_place, open_tab

HOSTILE = "![x](http://example.org/x.png) <img src=x onerror=alert(1)> :red[r] :smile: $a^2$ **b** `c` [d](e) www.f.org"


def test_every_mark_of_markdown_is_escaped() -> None:
    assert plain("**a** [b](c) `d` :red[e] $f$ <g>") == (r"\*\*a\*\* \[b\]\(c\) \`d\` \:red\[e\] \$f\$ \<g\>")
    assert plain("a\n\n# b\tc") == r"a  \# b c"
    assert plain("BTCUSDT 1m") == "BTCUSDT 1m"


def test_one_is_singular() -> None:
    assert [counted(number, "finding") for number in (0, 1, 2, 1200)] == [
        "0 findings", "1 finding", "2 findings", "1,200 findings",
    ]  # fmt: skip


@pytest.mark.browser
def test_names_of_others_are_text_on_every_page(
    empty_state: dict[str, str],
    write_group: Callable[..., Path],
    start_dashboard: Callable[[], str],
    browser: BrowserContext,
) -> None:
    info = pickle.dumps({"symbol": HOSTILE, "return_name": "<script>alert(2)</script>"})
    names = f"{HOSTILE}\n<b>bold</b>\n:material/bolt:\n".encode()
    root = write_group("SOLUSDT_mid_chg_1m", info_pkl=info, factors_txt=names, model_json=b"{")
    registry = open_registry(load_settings())
    registry.registrations.register("m", str(root))
    page = open_tab(browser, start_dashboard(), None)
    for page_name in ("overview", "symbols", "group", "ic", "config", "compare", "service"):
        go_in_place(page, f"/{page_name}?symbol=%3Cimg%20src=x%3E", None)
        made = page.get_by_test_id("stMain").locator("img[src], b, a[href$='/e']")
        assert [found.evaluate("node => node.outerHTML") for found in made.all()] == []
        assert errors_of(page) == []
