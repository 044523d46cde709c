"""Symbols, factors, files and models with names that lead elsewhere, or that look like what they are not."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pandas as pd
import pytest
from playwright.sync_api import BrowserContext
from typer.testing import CliRunner
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.cli.app import app
from mm_core.client import PayloadClient
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.spelling import is_visible
from mm_core.wiring import open_registry
from tests.api.conftest import RunningServer, start_server, wait_until_published
from tests.asking import http
from tests.conftest import FACTORS as FACTORS_OF_A_GROUP
from tests.dashboard.browsing import errors_of, go_in_place, open_tab
from tests.dashboard.conftest import (
    asked_outside,
    browser,
    chromium,
    dashboard_port,
    empty_state,
    start_dashboard,
    warm_browser,
)

__all__ = [
    "asked_outside",
    "browser",
    "chromium",
    "dashboard_port",
    "empty_state",
    "start_dashboard",
    "start_server",
    "warm_browser",
]

PROJECT = Path(__file__).parent.parent.parent
Write = Callable[..., Path]

SYMBOLS = (
    "%2e%2e", "%2F..%2F", "%00", "%", "a%b", "a\\b", "...", ".hidden", "..a", "~", "-rf", "*", "?q=1#f", "a;b", "a:b",
    "a|b", "a&b", "'", '"', "$(id)", "`id`", "{0}", "+", "=1+1", "CON", "nul.txt", "payload.json.gz", "state", "a b",
    "<b>bold<b>", "![x](x.png)", "[red]x[bold]", "[link=example.org]x[bold]", ":smile:",
    ":material|bolt:", ":red[x]", "$a^2$", "**b**", "# h", "ВТСUSDT", "BTCUSDT", "caf\u00e9", "cafe\u0301",
    "ＡＢ", "🚀", "x" * 128, "é" * 100, "é" * 101, "🚀" * 128,
)  # fmt: skip
"""Each can be asked for by its quoted address and has bytes of its own."""

REFUSED = (
    "..", ".", "/", "a/b", "../../../etc/passwd", "/etc/passwd", "\u202eTDSUCTB", "BTC\u200bUSDT", "\u3164", "a\nb",
    "a\0b", "\x1b[31mred", "\x9b31mred", "x" * 129, "x" * 300, "x" * 100_000,
)  # fmt: skip
"""No address leads to these, or nobody sees what they are: a finding, and the file's name counts."""

CONTROLS = re.compile(r"\x1b\[[0-9;]*m")
"""What colours a terminal; rich writes no more than these here."""


def _named(write_group: Write, symbols: Iterable[str]) -> Path:
    for number, symbol in enumerate(symbols):
        info = pickle.dumps({"symbol": symbol, "return_name": "r"})
        table = pd.DataFrame(
            {"symbol": symbol, "factor_name": FACTORS_OF_A_GROUP, "return_name": "r", "Kendall_tau": 0.5}
        )
        ic = table.to_csv(index=False).encode()
        root = write_group(f"G{number}_r", info_pkl=info, ic_csv=ic, model_onnx=b"onnx")
    return root


def _registered(server: RunningServer, root: Path, name: str = "m") -> httpx.Response:
    return http.post(f"{server.url}/api/models", json={"model_name": name, "root_path": str(root)}, timeout=60)


def _paths_below(place: Path) -> set[str]:
    return {os.fsdecode(path) for path in place.rglob("*")}


def test_every_symbol_has_bytes_of_its_own_at_its_quoted_address_and_nothing_leaves_the_data_directory(
    start_server: Callable[..., RunningServer], write_group: Write, tmp_path: Path
) -> None:
    root = _named(write_group, SYMBOLS)
    server = start_server(WATCH_ENABLED="0")
    outside = _paths_below(tmp_path) - _paths_below(tmp_path / "data")
    assert _registered(server, root).json()["symbols"] == sorted(SYMBOLS)
    wait_until_published(server)
    with httpx.Client(base_url=server.url) as http:
        for number, symbol in enumerate(SYMBOLS):
            address = quote(symbol, safe="")
            payload = http.get(f"/api/models/m/model/{address}").json()["payload"]
            assert (payload["metadata"]["symbol"], payload["metadata"]["group_key"]) == (symbol, f"G{number}_r")
            assert list(payload["factor_config"]) == [symbol]
            assert http.get(f"/api/models/m/symbols/{address}").json()["group_key"] == f"G{number}_r"
            onnx = http.get(f"/api/models/m/model_onnx/{address}")
            assert (onnx.content, onnx.headers["x-model-symbol"]) == (
                b"onnx",
                symbol if symbol.isascii() else quote(symbol),
            )
    links = {link.name: link for link in (tmp_path / "data" / "static" / "models" / "m").iterdir()}
    assert set(links) == {one for one in SYMBOLS if not one.startswith(".") and len(one.encode()) <= 200}
    for symbol, link in links.items():
        body = json.loads(gzip.decompress((link / "payload.json.gz").read_bytes()))
        assert body["payload"]["metadata"]["symbol"] == symbol
    with PayloadClient(server.url, cache_dir=tmp_path / "data" / "copies") as client:
        assert {client.get("m", symbol).metadata["symbol"] for symbol in SYMBOLS} == set(SYMBOLS)
        assert [client.local("m", symbol).metadata["symbol"] for symbol in SYMBOLS] == list(SYMBOLS)
    assert len(list((tmp_path / "data" / "copies").rglob("*.payload*"))) == len(SYMBOLS)
    data = os.path.realpath(tmp_path / "data")
    assert all(os.path.realpath(path).startswith(data) for path in _paths_below(tmp_path / "data"))
    assert _paths_below(tmp_path) - _paths_below(tmp_path / "data") == outside


def test_a_symbol_that_no_address_leads_to_is_a_finding_and_the_file_names_it(
    registry: Registry, write_group: Write
) -> None:
    scan = registry.registrations.register("m", str(_named(write_group, REFUSED))).scan
    assert [group.symbol for group in scan.groups.values()] == [key.split("_")[0] for key in scan.groups]
    for group in scan.groups.values():
        assert {finding.code for finding in group.findings} & {"bad-symbol", "bad-info-value"}, group
        assert all(is_visible(finding.sentence) for finding in group.findings)
        assert group.payload_ready


@pytest.mark.parametrize(("one", "other"), [("btcusdt", "BTCUSDT"), ("straße", "STRASSE"), ("K", "\u212a")])
def test_symbols_that_differ_in_case_alone_are_refused_together(
    registry: Registry, write_group: Write, one: str, other: str
) -> None:
    with pytest.raises(Exception, match="maps 1 symbol") as caught:
        registry.registrations.register("m", str(_named(write_group, [one, other])))
    assert type(caught.value).__name__ == "DuplicateSymbols"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("BTCUSDT", "ВТСUSDT", "'В' U+0412 CYRILLIC CAPITAL LETTER VE"),
        ("ACE", "АСЕ", "'А' U+0410 CYRILLIC CAPITAL LETTER A"),
        ("caf\u00e9", "cafe\u0301", "U+0301 COMBINING ACUTE ACCENT"),
        ("AB", "ＡＢ", "'Ａ' U+FF21 FULLWIDTH LATIN CAPITAL LETTER A"),
    ],
)
def test_symbols_of_a_model_that_look_alike_are_a_finding_that_names_both(
    registry: Registry, settings: Settings, write_group: Write, one: str, other: str, said: str
) -> None:
    client = Client(create_app(registry, settings))
    root = _named(write_group, [one, other, "SOLUSDT"])
    warnings = client.post("/api/models", json={"model_name": "m", "root_path": str(root)}).json["warnings"]
    pairs = [warning for warning in warnings if "look alike" in warning]
    assert len(pairs) == 1
    assert all(part in pairs[0] for part in (f"'{one}'", f"'{other}'", said))
    mixed = [warning for warning in warnings if "look Latin" in warning]
    assert len(mixed) == (other == "ВТСUSDT")
    assert client.get("/api/health").json["findings_by_severity"]["warning"] == 1 + len(mixed)


MODEL_NAMES = ("CON", "M", "m", "a..b", "x" * 128, "state")
NO_MODEL_NAMES = (
    "", ".", "..", "a/b", "../m", "%2e%2e", "-x", ".x", "m ", "m\n", "m\0", "é", "m\u202e", "x" * 129, "x" * 300,
    "[red]x", "<b>x</b>", "m;rm", "\x1b[31m",
)  # fmt: skip


def test_a_model_has_a_name_that_can_be_a_file_and_an_address_or_is_refused(
    start_server: Callable[..., RunningServer], write_group: Write, tmp_path: Path
) -> None:
    server = start_server(WATCH_ENABLED="0")
    root = write_group()
    outside = _paths_below(tmp_path) - _paths_below(tmp_path / "data")
    for name in NO_MODEL_NAMES:
        answer = _registered(server, root, name)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert is_visible(answer.json()["detail"])
        if name:
            asked = http.get(f"{server.url}/api/models/{quote(name, safe='')}/symbols")
            assert asked.status_code in (404, 405)
            assert is_visible(asked.json()["detail"])
    assert http.get(f"{server.url}/api/models").json() == {"items": []}
    for name in MODEL_NAMES:
        assert _registered(server, root, name).status_code == 200
        wait_until_published(server, name)
        payload = http.get(f"{server.url}/api/models/{name}/model/SOLUSDT").json()["payload"]
        assert payload["metadata"]["model_name"] == name
    assert {path.name for path in (tmp_path / "data" / "static" / "models").iterdir()} == set(MODEL_NAMES)
    assert _paths_below(tmp_path) - _paths_below(tmp_path / "data") == outside


FILE_KEYS = (
    "%2e%2e_r", "a b_r", "[red]X[bold]_r", "$x$_r", ":smile:_r", "<b>X_r", "=cmd_r", "-rf_r", "'_r", '"_r', "CON_r",
    "~_r", "*_r", "\\_r", "caf\u00e9_r", "cafe\u0301_r", "ＡＢ_r", "k" * 240 + "_r",
)  # fmt: skip
NO_FILE_KEYS = ("X\u202eY_r", "X\u200bY_r", "line\nfeed_r", "\x1b[31m_r", "\x9bX_r", "tab\t_r", "\u3164_r", "\udcff_r")


def test_files_are_groups_by_their_names_or_findings_that_show_what_the_names_hide(
    start_server: Callable[..., RunningServer], write_group: Write, booster_json: bytes
) -> None:
    for key in FILE_KEYS:
        root = write_group(key, info_pkl=None, ic_csv=None)
    for key in NO_FILE_KEYS:
        (root / f"{key}_model.json").write_bytes(booster_json)
    server = start_server(WATCH_ENABLED="0")
    answer = _registered(server, root).json()
    keys = [item["group_key"] for item in http.get(f"{server.url}/api/models/m/symbols").json()["items"]]
    assert keys == sorted(FILE_KEYS)
    assert sum("The name is not" in warning for warning in answer["warnings"]) == len(NO_FILE_KEYS)
    for key in FILE_KEYS:
        symbol = quote(key.split("_")[0], safe="")
        found = http.get(f"{server.url}/api/models/m/symbols/{symbol}", params={"group_key": key})
        assert (found.status_code, found.json()["group_key"]) == (200, key)


def _hostile_state(write_group: Write, booster_json: bytes) -> Path:
    """Write groups whose every text tries to be something else in a terminal, a page or a sheet."""
    objective = json.loads(booster_json)
    objective["learner"]["objective"]["name"] = "reg:\x1b]0;owned\x07[red]squarederror \u202e:smile:"
    names = "".join(f"{name}\n" for name in FACTORS)
    rows = "".join(f"S,{name},r,0.1,\x1b[2J\u202e\n" for name in FACTORS if "," not in name)
    for number, symbol in enumerate(SHOWN):
        root = write_group(
            f"[red]G{number}[bold]_$a^2$:smile:",
            factors_txt=names.encode(),
            ic_csv=f"symbol,factor_name,return_name,Kendall_tau,note\n{rows}".encode(),
            info_pkl=pickle.dumps(
                {
                    "symbol": symbol,
                    "return_name": "[link=http://example.org]r[/link] <i>$b^2$</i>",
                    "config": {"[red]k": "\x1b[31mred\u202e", "<b>k</b>": ":smile: $c^2$"},
                    "feature_importance": dict.fromkeys(FACTORS, 1.0),
                    "train_end_date": "2024-05-01\x1b[31m",
                }
            ),
            model_json=json.dumps(objective, ensure_ascii=False).encode() if number == 0 else booster_json,
        )
    for name in NO_FILE_KEYS:
        (root / f"{name}_model.json").write_bytes(b"{")
    return root


SHOWN = ("[red]x[bold]", ":smile:", "<b>bold<b>", "$a^2$", ":material|bolt:", "ВТСUSDT", 'x" filename="evil.exe')
FACTORS = (
    "![x](http://example.org/x.png)", "<img src=x onerror=alert(1)>", "<a href='http://example.org'>f</a>", ":red[r]",
    "$\\frac{a}{b}$", ":material/bolt:", "[d](http://example.org/e)", "[bold]b[/bold]", "=1+1", "mоmentum", "**s**",
)  # fmt: skip


def _is_shown(text: str) -> bool:
    return all(is_visible(line) for line in text.split("\n"))


@pytest.mark.parametrize(
    "terminal", [{}, {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "400"}], ids=["into a pipe", "on a terminal"]
)
def test_a_terminal_shows_names_letter_by_letter(
    write_group: Write, booster_json: bytes, tmp_path: Path, terminal: dict[str, str]
) -> None:
    root = _hostile_state(write_group, booster_json)

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["--data-dir", str(tmp_path / "data"), *arguments], env=terminal)
        assert done.exit_code in (0, 1), done.exception
        text = str(done.output)
        assert _is_shown(CONTROLS.sub("", text)), [line for line in text.split("\n") if not is_visible(line)][:3]
        return CONTROLS.sub("", text)

    registered = said("register", "m", str(root))
    assert "X\\u202eY_r" in registered
    assert "\\udcff_r" in registered
    assert "U+043E" in registered
    for symbol in SHOWN:
        group = said("show", "m", symbol)
        assert all(text in group for text in (symbol, *FACTORS)), group
    assert "reg:\\u001b]0;owned\\u0007[red]squarederror \\u202e:smile:" in said("show", "m", SHOWN[0])
    table = said("symbols", "m")
    assert all(text in table for text in (*SHOWN, "[link=http://example.org]r[/link] <i>$b^2$</i>"))
    assert said("factors", "m").split("\n")[: len(FACTORS)] == list(FACTORS)
    assert "No symbol '\\x1b[31m\\u202e'" in said("show", "m", "\x1b[31m\u202e")
    assert all(text in said("show", "m", symbol, "--json") for symbol in SHOWN[:1] for text in ("\\u202e", symbol))


def test_a_root_whose_name_is_no_text_is_refused_with_a_sentence(tmp_path: Path, write_group: Write) -> None:
    strange = tmp_path / "r\udcff"
    write_group().rename(strange)
    for command in (("register", "m", str(strange)), ("check", str(strange))):
        done = subprocess.run(
            [sys.executable, "-m", "mm_core", "--data-dir", str(tmp_path / "data"), *command],
            cwd=PROJECT, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr.decode()
        assert b"r\\udcff' is not UTF-8" in done.stderr


@pytest.mark.parametrize("style", ["json", "plain"])
def test_a_log_has_one_line_a_request_whatever_its_path_says(
    start_server: Callable[..., RunningServer], style: str
) -> None:
    server = start_server(WATCH_ENABLED="0", LOG=style)
    asked = "\x1b[31mred\x9b31m\r\nfake: all is well\u202e\u2028\x85"
    answer = http.get(f"{server.url}/api/models/{quote(asked, safe='')}/symbols")
    problem = answer.json()
    assert answer.status_code == 404
    assert is_visible(problem["detail"])
    assert problem["instance"] == f"/api/models/{quote(asked, safe='')}/symbols"
    assert server.stop() == 0
    text = server.log.read_bytes().decode()
    assert _is_shown(text.rstrip("\n")), text
    lines = [line for line in text.split("\n") if "fake: all is well" in line]
    assert len(lines) == 1
    assert problem["request_id"] in lines[0]


@pytest.mark.browser
def test_pages_show_names_letter_by_letter(
    empty_state: dict[str, str],
    write_group: Write,
    booster_json: bytes,
    start_dashboard: Callable[[], str],
    browser: BrowserContext,
) -> None:
    registry = open_registry(load_settings())
    registry.registrations.register("m", str(_hostile_state(write_group, booster_json)))
    page = open_tab(browser, start_dashboard(), None)
    seen = {}
    for page_name in ("symbols", "group", "ic", "config"):
        go_in_place(page, f"/{page_name}?model=m&symbol={quote(SHOWN[0], safe='')}", None)
        made = page.get_by_test_id("stApp").locator(
            "img[src*='example.org'], img[src='x'], a[href*='example.org'], .katex, [data-testid=stMain] b, "
            "[data-testid=stMain] i, [data-testid=stMain] em, .js-plotly-plot a"
        )
        links = [one.evaluate("node => [node.getAttribute('href'), node.textContent]") for one in made.all()]
        assert [link for link in links if unquote(link[0] or "") != link[1]] == [], "a bare address leads to itself"
        assert page.locator("[data-testid=stIconMaterial]", has_text=re.compile("^bolt$")).count() == 0
        seen[page_name] = page.get_by_test_id("stApp").inner_text()
        assert _is_shown(seen[page_name].replace("\t", " ")), page_name
        assert errors_of(page) == []
    assert all(text in seen["group"] for text in (SHOWN[0], "[link=http://example.org]r[/link] <i>$b^2$</i>"))
    go_in_place(page, f"/group?model=m&symbol={quote(SHOWN[-1], safe='')}&side=For%20bots", None)
    page.get_by_role("tab", name="For bots").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the payload").click()
    assert re.fullmatch(r"m-x. filename=.evil\.exe\.json", download.value.suggested_filename)
