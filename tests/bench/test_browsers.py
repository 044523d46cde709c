"""Browsers of the benchmark leave nothing: what they write is in a directory that goes with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("benchmark_modules")]


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of temporary files, empty, with a path that is short enough for a browser's sockets."""
    with tempfile.TemporaryDirectory(prefix="mm-") as path:
        monkeypatch.setenv("TMPDIR", path)
        monkeypatch.setattr("tempfile.tempdir", path)
        yield Path(path)


def _of_chromium(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if "chromium" in path.name.lower() and "playwright" not in path.name]


def test_a_browser_that_is_watched_writes_into_one_directory_that_goes_with_it(scratch: Path) -> None:
    from undriven import chromium

    with chromium():
        (room,) = scratch.iterdir()
        assert _of_chromium(room), "a browser that runs has its sockets somewhere"
    assert list(scratch.iterdir()) == []


def test_a_browser_that_is_driven_writes_beside_nobody(scratch: Path) -> None:
    from visits import driven_chromium

    with driven_chromium() as browser:
        browser.new_page().goto("data:text/html,<p>")
        assert _of_chromium(scratch) == []
        assert [path for room in scratch.glob("mm-*") for path in _of_chromium(room)]
    assert list(scratch.iterdir()) == []
