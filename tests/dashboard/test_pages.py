"""The pages on a real store, and in a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from streamlit.testing.v1 import AppTest

from mm_core.settings import load_settings
from mm_core.wiring import open_registry

PROJECT = Path(__file__).parent.parent.parent
SCREENSHOTS = PROJECT / "screenshots"
CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability",
    "--metrics-recording-only", "--no-pings",
]  # fmt: skip


@pytest.fixture
def state(tmp_path: Path, write_group: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a state with one model of two groups, one of them with a finding."""
    for name in [name for name in os.environ if name.startswith("MODEL_MANAGER_")]:
        monkeypatch.delenv(name)
    write_group("BTCUSDT_mid_chg_1m", ic_csv=None)
    root = write_group("SOLUSDT_mid_chg_1m")
    environment = {"MODEL_MANAGER_DATA_DIR": str(tmp_path / "data")}
    registry = open_registry(load_settings(environment))
    registry.registrations.register("horizon", str(root))
    document = {"SOLUSDT": {"mean_values": [1.5, 2.5, 3.5], "variance_values": [4, 5, 6]}}
    registry.configs.save("horizon", "SOLUSDT", document, by="cli", note="by hand")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def test_the_overview_counts_models_groups_and_findings(state: dict[str, str]) -> None:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=30).run()
    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric} == {
        "Models": "1", "Groups": "2", "Ready for bots": "2", "Findings": "1"
    }  # fmt: skip
    row = page.dataframe[0].value.iloc[0]
    assert (row["model"], row["symbols"], row["factors"], row["warnings"]) == ("horizon", 2, 3, 1)
    assert page.dataframe[1].value["file"].tolist() == ["BTCUSDT_mid_chg_1m_ic.csv"]


def test_the_overview_of_nothing_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_DATA_DIR", str(tmp_path))
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=30).run()
    assert "No model is registered yet" in page.info[0].value
    assert "./start.sh --demo" in page.code[0].value


def test_the_config_page_shows_what_bots_get(state: dict[str, str]) -> None:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=30).run().switch_page("pages/config.py").run()
    page.selectbox(key="symbol").set_value("SOLUSDT").run()
    assert not page.exception
    table = page.dataframe[0].value
    assert table["factor"].tolist() == ["momentum_5", "volatility_20", "spread_3"]
    assert table["mean"].tolist() == [1.5, 2.5, 3.5]
    assert table["variance"].tolist() == [4.0, 5.0, 6.0]
    assert page.dataframe[1].value["revision"].tolist() == [2, 1]
    assert "/api/models/horizon/symbols/SOLUSDT/factor-config" in page.code[0].value


def test_the_config_page_gives_lines_that_refuse_to_overwrite_a_newer_revision(state: dict[str, str]) -> None:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=30).run().switch_page("pages/config.py")
    page.query_params["symbol"] = "SOLUSDT"
    page.run()
    assert "If-Match" in page.code[0].value
    assert "Authorization" not in page.code[0].value
    assert page.code[1].value.endswith("config set horizon SOLUSDT config.json --expected-revision 2 --note why")
    assert page.dataframe[1].value["what"][0] == (
        "momentum_5: default → 1.5, 4.0; volatility_20: default → 2.5, 5.0; spread_3: default → 3.5, 6.0"
    )


def test_a_link_to_an_unknown_symbol_says_what_is_shown_instead(state: dict[str, str]) -> None:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=30).run().switch_page("pages/config.py")
    page.query_params["symbol"] = "DOGEUSDT"
    page.run()
    assert page.selectbox(key="symbol").value == "BTCUSDT"
    assert [warning.value for warning in page.warning] == [
        "There is no symbol 'DOGEUSDT' here; this is horizon BTCUSDT."
    ]


@pytest.mark.parametrize("name", ["overview", "config"])
def test_a_state_that_cannot_be_read_is_a_sentence_on_every_page(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_DATA_DIR", str(tmp_path))
    (tmp_path / "registry.json").write_text("{torn", encoding="utf-8")
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=30).run().switch_page(f"pages/{name}.py").run()
    assert not page.exception
    assert [error.value.startswith("**Store file damaged.**") for error in page.error] == [True]


@pytest.fixture
def dashboard(state: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """A streamlit process that nobody has visited yet."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with open(tmp_path / "streamlit.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port),
             "--server.address", "127.0.0.1"],
            cwd=PROJECT, env={**os.environ, **state}, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture
def browser() -> Iterator[BrowserContext]:
    """Headless Chromium that reaches this machine alone; leaving it is an error at the end."""
    outside: list[str] = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path="/usr/bin/chromium",
            headless=True,
            args=CHROMIUM,
            viewport={"width": 1280, "height": 900},
        )

        def guard(route: object) -> None:
            url = route.request.url  # type: ignore[attr-defined]
            if urlsplit(url).hostname in {"127.0.0.1", "localhost"} or url.startswith(("data:", "blob:")):
                route.continue_()  # type: ignore[attr-defined]
            else:
                outside.append(url)
                route.abort()  # type: ignore[attr-defined]

        context.route("**/*", guard)
        yield context
        context.close()
    assert outside == []


def _errors(page: Page) -> list[str]:
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        asked_by_streamlit = "/_stcore/" in str(message.location.get("url", ""))
        if message.type == "error" and not asked_by_streamlit:
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_cold_deep_link_opens_its_page_and_the_overview_is_one_click_away(
    dashboard: str, browser: BrowserContext, theme: str
) -> None:
    page = browser.new_page()
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    errors = _errors(page)
    page.goto(f"{dashboard}/config?model=horizon&symbol=SOLUSDT")
    expect(page.get_by_role("heading", name="Factor configs")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("SOLUSDT_mid_chg_1m, revision 2")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("link", name="Overview")).to_be_visible()
    SCREENSHOTS.mkdir(exist_ok=True)
    page.wait_for_timeout(1500)
    page.screenshot(path=SCREENSHOTS / f"config-{theme}.png")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Ready for bots").first).to_be_visible(timeout=20_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=SCREENSHOTS / f"overview-{theme}.png")
    assert errors == []
