"""What a verification of versions says: five checks of each, every one with what to do where it fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mm_core.domain.lifecycle import Status
from mm_core.spelling import visible


class CheckName(StrEnum):
    """What is verified, in this order."""

    STRUCTURE = "structure"
    PERMISSIONS = "permissions"
    REGISTRATION = "registration"
    PATH_RESOLUTION = "path resolution"
    TEST_PREDICTION = "test prediction"


class Outcome(StrEnum):
    """How a check went; ``SKIPPED`` is for what no check can tell, and fails nothing."""

    PASSED = "PASS"
    FAILED = "FAIL"
    SKIPPED = "SKIP"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a check that passed or not: ``code`` is its name for programs, ``remedy`` what to do about it."""

    code: str
    detail: str
    remedy: str

    def __post_init__(self) -> None:
        for name in ("detail", "remedy"):
            object.__setattr__(self, name, visible(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one version.

    ``detail`` says what was found, ``remedy`` what to do; both ``code`` and ``remedy`` are empty for a check that
    passed. ``problems`` are all reasons of one that failed, where they are several. ``warnings`` fail nothing.
    """

    name: CheckName
    outcome: Outcome
    detail: str
    remedy: str = ""
    code: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        for name in ("detail", "remedy"):
            object.__setattr__(self, name, visible(getattr(self, name)))
        object.__setattr__(self, "problems", tuple(map(visible, self.problems)))


@dataclass(frozen=True, slots=True)
class Verification:
    """The checks of one version, in the order of `CheckName`.

    ``status`` is None for one that is not registered, ``path`` its directory, None where it is not in exactly one.
    ``confidence`` is that of the test prediction, None where it has none.
    """

    model_name: str
    model_version: str
    status: Status | None
    path: str | None
    checks: tuple[Check, ...]
    confidence: float | None = None

    def __post_init__(self) -> None:
        for name in ("model_name", "model_version"):
            object.__setattr__(self, name, visible(getattr(self, name)))

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.outcome is not Outcome.FAILED for check in self.checks)

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What was noticed beside the checks, in their order."""
        return tuple(notice for check in self.checks for notice in check.warnings)


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """Several versions verified at once.

    ``unregistered`` are directories of versions that nobody registered, ``out_of_use`` how many deprecated versions
    were left out, ``unread`` says which registered roots cannot be looked at, a sentence each.
    """

    versions: tuple[Verification, ...]
    unregistered: tuple[str, ...] = ()
    out_of_use: int = 0
    unread: tuple[str, ...] = ()

    def passed(self, *, strict: bool = False) -> bool:
        """Return whether no check failed; with ``strict``, whether nothing at all was noticed either."""
        if any(not one.passed for one in self.versions):
            return False
        return not strict or not (self.unread or any(one.warnings for one in self.versions))
