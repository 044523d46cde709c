"""What is wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mm_core.spelling import visible


class Severity(StrEnum):
    """How much a finding costs: an error means that something cannot be used, a warning that it may be wrong."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Where it stands in a list: 0 for errors, which come first."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect of one file: ``file`` is relative to the root (POSIX separators), ``line`` is 1-based.

    What the file says and hides is shown as escapes: a finding is read in terminals, pages and logs.
    """

    severity: Severity
    code: str
    file: str
    detail: str
    remedy: str
    line: int | None = None

    def __post_init__(self) -> None:
        for name in ("file", "detail", "remedy"):
            object.__setattr__(self, name, visible(getattr(self, name)))

    @property
    def place(self) -> str:
        """The file, and the line where it is known: ``FILE:LINE``."""
        return f"{self.file}:{self.line}" if self.line is not None else self.file

    @property
    def sentence(self) -> str:
        """The finding as one line of text: place, detail, remedy."""
        return f"{self.place}: {self.detail} {self.remedy}".strip()
