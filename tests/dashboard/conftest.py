"""A state with two models, the dashboard as a process, and Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, sync_playwright
from streamlit.testing.v1 import AppTest

from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.processes import free_port

PROJECT = Path(__file__).parent.parent.parent
CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability",
    "--metrics-recording-only", "--no-pings",
]  # fmt: skip

OpenPage = Callable[..., AppTest]


@pytest.fixture
def empty_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a state in which nothing is registered."""
    for name in [name for name in os.environ if name.startswith("MODEL_MANAGER_")]:
        monkeypatch.delenv(name)
    environment = {
        "MODEL_MANAGER_DATA_DIR": str(tmp_path / "data"),
        "MODEL_MANAGER_HTTP_HOST": "127.0.0.1",
        "MODEL_MANAGER_HTTP_PORT": str(free_port()),
        "MODEL_MANAGER_WATCH_DEBOUNCE": "0.2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def state(empty_state: dict[str, str], write_group: Callable[..., Path]) -> dict[str, str]:
    """Two models: ``horizon`` of two whole groups and one that bots cannot be given, ``longer`` of one group.

    BTCUSDT of ``horizon`` has no IC table, ETHUSDT a broken model; SOLUSDT has its normalization set by hand.
    """
    write_group("BTCUSDT_mid_chg_1m", "horizon", ic_csv=None)
    write_group("ETHUSDT_mid_chg_1m", "horizon", model_json=b'{"learner": ')
    root = write_group("SOLUSDT_mid_chg_1m", "horizon")
    write_group(
        "SOLUSDT_mid_chg_5m",
        "longer",
        factors_txt=b"volatility_20\nmomentum_5\ncarry_7\n",
        ic_csv=b"symbol,factor_name,return_name,Kendall_tau\n"
        b"SOLUSDT,volatility_20,mid_chg_5m,-0.05\nSOLUSDT,momentum_5,mid_chg_5m,0.04\n",
    )
    registry = open_registry(load_settings(empty_state))
    registry.registrations.register("horizon", str(root / "horizon"))
    registry.registrations.register("longer", str(root / "longer"))
    document = {"SOLUSDT": {"mean_values": [1.5, 2.5, 3.5], "variance_values": [4, 5, 6]}}
    registry.configs.save("horizon", "SOLUSDT", document, by="cli", note="by hand")
    return empty_state


@pytest.fixture
def open_page() -> OpenPage:
    """Open a page as its link does: the name of its file, and what stands in the address."""

    def open_(name: str, **address: str) -> AppTest:
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60)
        for key, value in address.items():
            page.query_params[key] = value
        page.run()
        page.switch_page(f"pages/{name}.py")
        page.session_state["_model_manager_written"] = {}  # AppTest loses the frame's widgets here; the address counts
        for key, value in address.items():
            page.query_params[key] = value
        return page.run()

    return open_


@pytest.fixture
def start_dashboard(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Start a streamlit process that nobody has visited yet, on the state of the environment."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> str:
        port = free_port()
        with open(tmp_path / f"streamlit-{port}.log", "wb") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port),
                     "--server.address", "127.0.0.1", "--client.showErrorDetails", "full"],
                    cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
        return _answering(f"http://127.0.0.1:{port}", "/_stcore/health")

    yield start
    for process in processes:
        process.terminate()
        process.wait(15)


@pytest.fixture
def payload_server(empty_state: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The payload server as a process, on the state of the environment."""
    with open(tmp_path / "payload.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "payload_server.py"], cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield _answering(f"http://127.0.0.1:{empty_state['MODEL_MANAGER_HTTP_PORT']}", "/api/health")
    finally:
        process.terminate()
        process.wait(15)


def _answering(base: str, path: str) -> str:
    for _ in range(300):
        try:
            with urllib.request.urlopen(base + path, timeout=1):
                return base
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{base} did not start")


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
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(30_000)

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
