"""A registered model: a name that bots ask for, and the root its artifacts come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from mm_core.errors import InvalidName

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def checked_model_name(name: str) -> str:
    """Return ``name`` if bots can ask for it; raise `InvalidName` otherwise."""
    if not MODEL_NAME.fullmatch(name):
        raise InvalidName(
            f"Model name {name[:200]!r} is not allowed. Use 1 to 128 letters, digits, dots, underscores or hyphens, "
            "and start with a letter or a digit."
        )
    return name


class KeptScan(NamedTuple):
    """An earlier scan that can still be looked at; ``scanned_at`` is ISO 8601 UTC."""

    scan_id: str
    scanned_at: str


class DeletedModel(NamedTuple):
    """A registration that is gone; ``at`` is ISO 8601 UTC."""

    name: str
    at: str


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One registration: times are ISO 8601 UTC; ``refresh_error`` says why the last refresh kept the older scan.

    ``earlier_scans`` are those that found something else than the next one, oldest first.
    """

    name: str
    root_path: str
    created_at: str
    updated_at: str
    scan_id: str | None = None
    refresh_error: str | None = None
    earlier_scans: tuple[KeptScan, ...] = ()

    def __post_init__(self) -> None:
        checked_model_name(self.name)
