"""What the checks of a version look at, and what several of them say."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding
from mm_core.domain.verification import Check, CheckName, Notice, Outcome
from mm_core.domain.version_records import VersionRecord
from mm_core.domain.versions import ALL_FIVE, REQUIRED
from mm_core.registry.verification.places import Place

SHOWN = 10
"""Paths and names that a sentence has at the most."""

SHARED = "DUPLICATE_MODEL_FILE"

USUAL_NAMES = "Use names such as sentiment-fusion, and versions such as v1.1.0 or 20250724_150837."
MEND_FIRST = "Mend what the checks before name, then verify again."


@dataclass(frozen=True, slots=True)
class Subject:
    """A version as far as checks look at it.

    ``names`` are its family's name, then the other names. ``places`` are its directories, ``expected`` where they are
    looked for, ``passed_over`` what keeps an entry there from being read, ``closed`` directories there that cannot be
    listed, ``unread`` roots that cannot be looked at.
    ``deployed`` is the version of the family that is. ``same_model`` are other directories with the same model.
    ``wrong`` says why name or version can be those of no version at all.
    """

    name: str
    version: str
    names: tuple[str, ...]
    record: VersionRecord | None
    deployed: str | None
    places: tuple[Place, ...]
    expected: tuple[Path, ...] = ()
    passed_over: tuple[Finding, ...] = ()
    closed: tuple[Path, ...] = ()
    unread: tuple[str, ...] = ()
    same_model: tuple[Path, ...] = ()
    wrong: str = ""

    @property
    def title(self) -> str:
        """Name and version, as sentences name them."""
        return f"{self.name} {self.version}"

    @property
    def place(self) -> Place | None:
        """Where it is; None where that is not exactly one directory."""
        return self.places[0] if len(self.places) == 1 else None


def fail(
    name: CheckName,
    code: str,
    detail: str,
    remedy: str,
    problems: Sequence[str] = (),
    warnings: tuple[Notice, ...] = (),
) -> Check:
    """Return a check that failed."""
    return Check(name, Outcome.FAILED, detail, remedy, code, tuple(problems), warnings)


def nowhere(name: CheckName, subject: Subject) -> Check:
    """Return the failure of what needs a directory and has none."""
    if subject.wrong:
        return fail(name, "MODEL_FILE_MISSING", f"Failed to load model: {subject.wrong}", USUAL_NAMES)
    expected = [str(path / ALL_FIVE[FileRole.BOOSTER_TEXT]) for path in subject.expected]
    where = f"Expected {some(expected, ' or ')}." if expected else "No root is registered that can be looked at."
    reasons = [*(one.sentence for one in subject.passed_over), *subject.unread]
    missing = [ALL_FIVE[role] for role in REQUIRED]
    why = f" {reasons[0]}" if reasons else ""
    if subject.passed_over:
        remedy = subject.passed_over[0].remedy
    elif expected:
        remedy = f"Put the directory there with {', '.join(missing)}."
    else:
        remedy = "Register the directory that holds it: python -m mm_core register NAME DIRECTORY."
    return fail(
        name, "MODEL_FILE_MISSING",
        f"Failed to load model: no registered root holds {subject.title}. {where}{why}", remedy, [*expected, *reasons],
    )  # fmt: skip


def ambiguous(name: CheckName, subject: Subject) -> Check:
    """Return the failure of what needs one directory and has several."""
    listed = [str(place.directory) for place in subject.places]
    return fail(
        name, "AMBIGUOUS_VERSION", f"{subject.title} is in {some(listed, ' and ')}: nobody can tell which is meant.",
        "Keep one of these directories, then refresh their root.", listed,
    )  # fmt: skip


def quoted(*words: str) -> str:
    """Return words as a shell takes them."""
    return " ".join(map(shlex.quote, words))


def some(listed: Sequence[str], between: str = ", ") -> str:
    """Return the first few of a list, and how many more there are."""
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return between.join(listed[:SHOWN]) + more
