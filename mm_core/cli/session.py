"""What every command starts with: settings, a registry, options that several have, and errors as sentences."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mm_core import strict_json
from mm_core.errors import ModelManagerError, NotFound, SettingsError
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.wiring import open_registry

FAILED = 1
USAGE = 2

AsJson = Annotated[bool, typer.Option("--json", help="Print strict JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Session:
    """The options that stand before a command, and what they lead to."""

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir

    @property
    def settings(self) -> Settings:
        """The settings of the environment, with the data directory of ``--data-dir``."""
        settings = load_settings()
        return settings if self._data_dir is None else replace(settings, data_dir=self._data_dir)

    @property
    def registry(self) -> Registry:
        """A registry on these settings."""
        return open_registry(self.settings)


@contextmanager
def errors_as_sentences(as_json: bool) -> Iterator[None]:
    """Print our errors on standard error and end with their exit code; a bug still shows its traceback."""
    try:
        yield
    except ModelManagerError as error:
        print_error(error, f"error: {error.detail}", as_json)
        raise typer.Exit(exit_code(error)) from error


def print_error(error: ModelManagerError, text: str, as_json: bool) -> None:
    """Print an error on standard error: as its problem document, or as ``text``."""
    if as_json:
        document = {"status": error.status, "title": error.title, "detail": error.detail, **error.members}
        sys.stderr.buffer.write(strict_json.encode(document) + b"\n")
    else:
        print(text, file=sys.stderr)


def exit_code(error: ModelManagerError) -> int:
    """Return 2 for settings that are refused, 1 for anything else."""
    return USAGE if isinstance(error, SettingsError) and not isinstance(error, NotFound) else FAILED
