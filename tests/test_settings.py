"""Settings: the table of the contract, and nonsense refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_core.errors import SettingsError
from mm_core.settings import TABLE, load_settings

PROJECT = Path(__file__).parent.parent


def test_defaults_are_those_of_the_contract() -> None:
    settings = load_settings({})
    assert (settings.http_host, settings.http_port, settings.dashboard_port) == ("0.0.0.0", 6300, 6301)
    assert (settings.watch_enabled, settings.watch_interval, settings.watch_debounce) == (True, 5.0, 2.0)
    assert settings.data_dir == Path("data")
    assert settings.artifact_roots is None
    assert settings.write_token is None
    assert settings.workers == 1


def test_values_are_converted() -> None:
    settings = load_settings({"MODEL_MANAGER_ARTIFACT_ROOTS": "/a:/b", "MODEL_MANAGER_WATCH_ENABLED": "0", "HOME": "/"})
    assert settings.artifact_roots == (Path("/a"), Path("/b"))
    assert settings.watch_enabled is False


def test_every_unknown_name_and_bad_value_is_named_at_once() -> None:
    environment = {
        "MODEL_MANAGER_HTP_PORT": "1",
        "MODEL_MANAGER_HTTP_PORT": "99999",
        "MODEL_MANAGER_WATCH_DEBOUNCE": "soon",
        "MODEL_MANAGER_ARTIFACT_ROOTS": "relative",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(environment)
    for name in environment:
        assert name in caught.value.detail


def test_a_token_is_never_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"MODEL_MANAGER_WRITE_TOKEN": "   ", "MODEL_MANAGER_HTTP_PORT": "0"})
    assert "'   '" not in caught.value.detail


def test_the_readme_lists_every_setting_with_its_default() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    for setting in TABLE:
        row = next((line for line in readme.splitlines() if line.startswith(f"| `{setting.variable}`")), None)
        assert row is not None, f"{setting.variable} is missing from the README"
        assert f"`{setting.default}`" in row or setting.default is None, row
        assert setting.reason in row, row
