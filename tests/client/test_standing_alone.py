"""The client on a bot's machine, and against the real application."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import xgboost
from werkzeug.test import Client as WithoutSocket

import mm_core.client
from mm_core.api import create_app
from mm_core.client import PayloadClient, PayloadError, PayloadNotFound
from mm_core.registry import Registry
from mm_core.settings import Settings
from tests.client.serving import ScriptedServer

ALONE = """
import importlib, sys
class OnlyHttpx:
    allowed = {sys.argv[4], "httpx", "httpcore", "h11", "certifi", "idna", "anyio", "sniffio", "typing_extensions"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in self.allowed | set(sys.stdlib_module_names):
            raise ImportError(f"{name} is not on the bot's machine")
sys.meta_path.insert(0, OnlyHttpx())
sys.path.insert(0, sys.argv[1])
bot_client = importlib.import_module(sys.argv[4])
with bot_client.PayloadClient(sys.argv[2], sys.argv[3]) as client:
    print(client.get("m", "SOL").normalize({"momentum_5": 1.2, "volatility_20": 5, "spread_3": 0}))
assert not any(name.split(".")[0] in {"mm_core", "stamina"} for name in sys.modules)
"""


@pytest.mark.parametrize("folder", ["client", "bot_client"])
def test_the_folder_works_with_httpx_alone_under_any_name(server: ScriptedServer, tmp_path: Path, folder: str) -> None:
    bot, cache = tmp_path / "bot", tmp_path / "cache"
    shutil.copytree(Path(mm_core.client.__file__).parent, bot / folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE, bot, server.url, cache, folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.stdout) == ("", "[1.0, 2.0, 1.0]\n")


def test_the_tree_of_errors_is_the_one_that_the_docstring_draws() -> None:
    drawn = mm_core.client.__doc__ or ""
    found = [value for value in vars(mm_core.client).values() if isinstance(value, type)]
    errors = {value.__name__ for value in found if issubclass(value, PayloadError)}
    assert len(errors) == 8
    assert all(f"{name} " in drawn or f"{name}\n" in drawn for name in errors)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output quiet."""


def test_the_real_server_and_the_client_agree(
    registry: Registry,
    settings: Settings,
    write_group: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    app = create_app(registry, settings)
    document = {"model_name": "m", "root_path": str(write_group("SOLUSDT_mid_chg_1m"))}
    assert WithoutSocket(app).post("/api/models", json=document).status_code == 200
    with make_server("127.0.0.1", 0, app, handler_class=_QuietHandler) as real:
        thread = threading.Thread(target=real.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{real.server_port}"
        try:
            with PayloadClient(url, tmp_path / "cache") as client:
                first, second = client.get("m", "solusdt"), client.get("m", "SOLUSDT")
                with pytest.raises(PayloadNotFound, match="BTC") as caught:
                    client.get("m", "BTC")
        finally:
            real.shutdown()
            thread.join()
    assert first.etag.endswith('-gz"')
    assert second.fetched_at > first.fetched_at
    assert second.etag == first.etag
    assert caught.value.detail
    booster = xgboost.Booster()
    booster.load_model(bytearray(first.model_json, "utf-8"))
    assert booster.num_features() == len(first.factor_names) == 3
    # the defaults after registration: mean 0.2, variance 1
    assert first.normalize(dict.fromkeys(first.factor_names, 1.2)) == [1.0, 1.0, 1.0]
