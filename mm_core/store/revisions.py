"""Revisions of states that were lost: what damaged files still tell of them, and one that nobody has seen."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from mm_core.errors import StoreCorrupt, StoreError
from mm_core.store.storage import read_file

LARGEST_REVISION = 1 << 52

REVISIONS_UNSEEN = 1_000_000
"""What a restored state is at least ahead of its backup where nobody knows which revisions came after that: bots may
have seen them, and must never take another state for theirs. Chance adds less than as many again, since the same
backup may have been restored before, and what came of that be lost as well."""

_REVISION = re.compile(rb'"meta":\{"1":\{"revision":(\d{1,15})\}')


def told_revision(path: Path) -> int | None:
    """Return the revision that a `registry.json` names, damaged as it may be; None where that cannot be read."""
    try:
        read = read_file(path)
    except (StoreError, OSError):
        return None
    found = _REVISION.search(read[0]) if read is not None else None
    return int(found[1]) if found is not None else None


def unseen_revision(restored: int, before: int | None, highest: int) -> int:
    """Return a revision that nobody has seen, for a backup of revision ``restored`` that becomes the state.

    ``before`` is the revision that it takes the place of, None where that state is damaged, and ``highest`` the highest
    one that is known to have been, 0 for none. Raises `StoreCorrupt` where no state could have such a revision.
    """
    revision = highest + 1
    if before is None or before < restored:
        revision = max(revision, restored + REVISIONS_UNSEEN + secrets.randbelow(REVISIONS_UNSEEN))
    if revision >= LARGEST_REVISION:
        raise StoreCorrupt(f"A restored state would have revision {revision}, which no state has.")
    return revision
