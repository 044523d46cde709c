"""Where the files of a state are: nothing that a state says leads out of its directory."""

from __future__ import annotations

import re
from pathlib import Path

from mm_core.domain.models import MODEL_NAME
from mm_core.domain.version_records import FAMILY_NAME
from mm_core.errors import StoreCorrupt

FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9-]{0,200}\.json"
"""The pattern of names that files of configs, families and scans have."""

_FILE = re.compile(FILE_NAME)


def file_of_model(directory: Path, model_name: str, *folders: str, name: str) -> Path:
    """Return the path of a model's file; raise `StoreCorrupt` for names that no state has."""
    return _file(directory, MODEL_NAME, model_name, folders, name)


def file_of_family(directory: Path, family: str, *folders: str, name: str) -> Path:
    """Return the path of a file of a family of versions; raise `StoreCorrupt` for names that no state has."""
    return _file(directory, FAMILY_NAME, family, folders, name)


def _file(directory: Path, names: re.Pattern[str], owner: str, folders: tuple[str, ...], name: str) -> Path:
    if names.fullmatch(owner) is None or _FILE.fullmatch(name) is None:
        raise StoreCorrupt(
            f"'{directory}' has no file '{name[:200]}' of a model '{owner[:200]}', which the state names. "
            "See `python -m mm_core doctor --repair`."
        )
    return directory.joinpath(owner, *folders, name)
