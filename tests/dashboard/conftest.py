"""A state with two models, the dashboard as a process, and Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Request, sync_playwright
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.conftest import write_group_below
from tests.dashboard.browsing import leave_one_tab
from tests.processes import free_port

PROJECT = Path(__file__).parent.parent.parent
CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability",
    "--metrics-recording-only", "--no-pings", "--proxy-server=http://127.0.0.1:9",
]  # fmt: skip

OpenPage = Callable[..., AppTest]


def state_below(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the environment of a state in which nothing is registered, and return it."""
    for name in [name for name in os.environ if name.startswith("MODEL_MANAGER_")]:
        monkeypatch.delenv(name)
    environment = {
        "MODEL_MANAGER_DATA_DIR": str(path / "data"),
        "MODEL_MANAGER_HTTP_HOST": "127.0.0.1",
        "MODEL_MANAGER_HTTP_PORT": str(free_port()),
        "MODEL_MANAGER_WATCH_DEBOUNCE": "0.2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def empty_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a state in which nothing is registered."""
    return state_below(tmp_path, monkeypatch)


@pytest.fixture
def state(empty_state: dict[str, str], tmp_path: Path, booster_json: bytes) -> dict[str, str]:
    """The state of `two_models`, for one test to change."""
    two_models(tmp_path / "root", empty_state, booster_json)
    return empty_state


def two_models(root: Path, environment: dict[str, str], booster_json: bytes) -> Registry:
    """Register ``horizon`` of two whole groups and one that bots cannot be given, and ``longer`` of one group.

    BTCUSDT of ``horizon`` has no IC table, ETHUSDT a broken model; SOLUSDT has its normalization set by hand.
    """
    write_group_below(root, booster_json, "BTCUSDT_mid_chg_1m", "horizon", ic_csv=None)
    write_group_below(root, booster_json, "ETHUSDT_mid_chg_1m", "horizon", model_json=b'{"learner": ')
    write_group_below(root, booster_json, "SOLUSDT_mid_chg_1m", "horizon")
    write_group_below(
        root,
        booster_json,
        "SOLUSDT_mid_chg_5m",
        "longer",
        factors_txt=b"volatility_20\nmomentum_5\ncarry_7\n",
        ic_csv=b"symbol,factor_name,return_name,Kendall_tau\n"
        b"SOLUSDT,volatility_20,mid_chg_5m,-0.05\nSOLUSDT,momentum_5,mid_chg_5m,0.04\n",
    )
    registry = open_registry(load_settings(environment))
    registry.registrations.register("horizon", str(root / "horizon"))
    registry.registrations.register("longer", str(root / "longer"))
    document = {"SOLUSDT": {"mean_values": [1.5, 2.5, 3.5], "variance_values": [4, 5, 6]}}
    registry.configs.save("horizon", "SOLUSDT", document, by="cli", note="by hand")
    return registry


@pytest.fixture(scope="session")
def components() -> BidiComponentManager:
    """What packages bring of components; AppTest alone would read the metadata of every package for each page."""
    found = BidiComponentManager()
    found.discover_and_register_components(start_file_watching=False)
    return found


@pytest.fixture
def open_page(components: BidiComponentManager) -> OpenPage:
    """Open a page as its link does: the name of its file, and what stands in the address."""

    def open_(name: str, **address: str) -> AppTest:
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60)
        page._bidi_component_manager = components
        page.session_state["_model_manager_routed"] = True  # else the first run is that of the page at /
        page.switch_page(f"pages/{name}.py")
        page.session_state["_model_manager_written"] = {}  # AppTest loses the frame's widgets here; the address counts
        for key, value in address.items():
            page.query_params[key] = value
        return page.run()

    return open_


@contextmanager
def dashboard_process(logs: Path, port: int | None = None) -> Iterator[str]:
    """Run a streamlit process that nobody has visited yet, on the state of the environment; give its address."""
    port = port or free_port()
    command = [
        sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port),
        "--server.address", "127.0.0.1", "--client.showErrorDetails", "full",
    ]  # fmt: skip
    with _running(command, logs / f"streamlit-{port}.log"):
        yield _answering(f"http://127.0.0.1:{port}", "/_stcore/health")


@contextmanager
def payload_process(logs: Path) -> Iterator[str]:
    """Run the payload server on the state of the environment; give its address."""
    with _running([sys.executable, "payload_server.py"], logs / "payload.log"):
        yield _answering(f"http://127.0.0.1:{os.environ['MODEL_MANAGER_HTTP_PORT']}", "/api/health")


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with open(log, "wb") as said:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture(scope="module")
def dashboard_port() -> int:
    """The port of a file's dashboards, one after another: to a browser they are one, whose scripts it has."""
    return free_port()


@pytest.fixture
def start_dashboard(tmp_path: Path, dashboard_port: int) -> Iterator[Callable[[], str]]:
    """Start a streamlit process that nobody has visited yet, on the state of the environment; once in a test."""
    with ExitStack() as running:
        yield lambda: running.enter_context(dashboard_process(tmp_path, dashboard_port))


@pytest.fixture(scope="module")
def dashboard_to_read(tmp_path_factory: pytest.TempPathFactory, booster_json: bytes) -> Iterator[str]:
    """One dashboard on the state of `two_models` for the tests that change nothing: an error at the end if one did."""
    path = tmp_path_factory.mktemp("read")
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as patched:
            registry = two_models(path / "root", state_below(path, patched), booster_json)
            url = running.enter_context(dashboard_process(path))
        revision = registry.view().revision
        yield url
        assert registry.view().revision == revision


@pytest.fixture
def payload_server(empty_state: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The payload server as a process, on the state of the environment."""
    with payload_process(tmp_path) as url:
        yield url


def _answering(base: str, path: str) -> str:
    for _ in range(300):
        try:
            with urllib.request.urlopen(base + path, timeout=1):
                return base
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{base} did not start")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium, started once for the tests of a file; whatever is not this machine it asks of a dead proxy."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=CHROMIUM)
        yield started
        started.close()


@pytest.fixture
def asked_outside() -> Iterator[list[str]]:
    """What the browser wanted of other machines: an error at the end."""
    asked: list[str] = []
    yield asked
    assert asked == []


@pytest.fixture(scope="module")
def warm_browser(chromium: Browser) -> Iterator[BrowserContext]:
    """One cache for the tests of a file: streamlit's scripts are read and compiled once, not for each test."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def browser(warm_browser: BrowserContext, asked_outside: list[str]) -> Iterator[BrowserContext]:
    """A browser that remembers nothing of other tests: no addresses, cookies or storage; only the cache stays."""

    def note(request: Request) -> None:  # to hold requests up, as a route does, switches the browser's cache off
        local = urlsplit(request.url).hostname in {"127.0.0.1", "localhost"}
        if not local and not request.url.startswith(("data:", "blob:")):
            asked_outside.append(request.url)

    warm_browser.on("request", note)
    yield warm_browser
    leave_one_tab(warm_browser)
    warm_browser.remove_listener("request", note)
    warm_browser.set_storage_state({"cookies": [], "origins": []})
