"""Changes of versions inside a transaction: each one a record and the event that says who and why."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mm_core.domain.lifecycle import Action, Status, checked_move
from mm_core.domain.version_records import FieldChange, NewVersion, VersionEvent, VersionRecord, later_than
from mm_core.errors import BadRequest, RevisionConflict, VersionNotFound
from mm_core.spelling import is_visible
from mm_core.store import StoreTransaction

LONGEST_ACTOR = 100
LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change and why, checked; raises `BadRequest`."""

    actor: str
    note: str = ""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < len(self.actor.strip()) <= LONGEST_ACTOR or not is_visible(self.actor):
            problems.append(f"actor must be 1 to {LONGEST_ACTOR} visible characters")
        if len(self.note) > LONGEST_NOTE:
            problems.append(f"note has {len(self.note)} characters, at most {LONGEST_NOTE} are kept")
        if any("\ud800" <= one <= "\udfff" for one in self.note):
            problems.append("note is no text in UTF-8")
        if problems:
            raise BadRequest(f"The {'; the '.join(problems)}. Nothing was changed.")

    def require_note(self, what: str) -> None:
        """Raise `BadRequest` where no reason is given."""
        if not self.note.strip():
            raise BadRequest(f"Say why {what}: a note is needed, and is kept in the history. Nothing was changed.")


def as_it_is_now(transaction: StoreTransaction, record: VersionRecord, guard: str | None) -> VersionRecord:
    """Return a record as it is now; raise `RevisionConflict` where it is not the one of ``guard`` any more."""
    known = transaction.lifecycle.record(record.model_name, record.model_version)
    if known is None or known.model_id != record.model_id:
        raise VersionNotFound(f"Model not found: {record.title} is not registered any more. List the versions again.")
    if guard is not None and known.updated_at != guard:
        raise RevisionConflict(
            f"{known.title} was changed at {known.updated_at}, the change was made on what it was at {guard}. Read it "
            "again and repeat the change; nothing was stored."
        )
    return known


def created(
    transaction: StoreTransaction, new: NewVersion, author: Author, now: str, created_at: str | None = None
) -> VersionRecord:
    """Store a version that nobody has registered; one that is ``deployed`` takes the place of its sibling.

    ``created_at`` is given where it was registered elsewhere before.
    """
    fields = {name: getattr(new, name) for name in NewVersion.__dataclass_fields__}
    record = VersionRecord(model_id=str(uuid.uuid4()), created_at=created_at or now, updated_at=now, **fields)
    if record.status is Status.DEPLOYED:
        _demote_others(transaction, record, author, now, Status.SHADOW)
    apart = {"model_name", "model_version", "updated_at", "status"}
    changes = {
        name: FieldChange(None, getattr(record, name))
        for name in VersionRecord.__dataclass_fields__
        if name not in apart
    }
    event = VersionEvent(
        now, author.actor, Action.REGISTER, record.model_name, record.model_version, None, record.status,
        author.note, changes,
    )  # fmt: skip
    transaction.lifecycle.save_version(record, event)
    return record


def updated(
    transaction: StoreTransaction, record: VersionRecord, changes: Mapping[str, Any], author: Author, now: str
) -> VersionRecord:
    """Store other scores, then move to the status that ``changes`` have, where they have one."""
    scores = {name: value for name, value in changes.items() if name != "status"}
    saved = saved_with(transaction, record, scores, Action.UPDATE, author, now)
    status = changes.get("status", saved.status)
    return moved(transaction, saved, status, author, now, Status.SHADOW)


def moved(
    transaction: StoreTransaction, record: VersionRecord, status: Status, author: Author, now: str, demote_to: Status
) -> VersionRecord:
    """Store another status; what was deployed makes room by ``demote_to``. Raises `IllegalMove`."""
    if status is record.status:
        return record
    action = checked_move(record.status, status, record.title)
    if status is Status.DEPLOYED:
        _demote_others(transaction, record, author, now, demote_to)
    return saved_with(transaction, record, {"status": status}, action, author, now)


def _demote_others(
    transaction: StoreTransaction, record: VersionRecord, author: Author, now: str, demote_to: Status
) -> None:
    for other in transaction.lifecycle.records(record.model_name):
        if other.status is Status.DEPLOYED and other.model_version != record.model_version:
            action = checked_move(other.status, demote_to, other.title)
            why = f"{record.model_version} was deployed" + (f": {author.note}" if author.note else "")
            saved_with(transaction, other, {"status": demote_to}, action, Author(author.actor, why[:LONGEST_NOTE]), now)


def saved_with(
    transaction: StoreTransaction,
    record: VersionRecord,
    fields: Mapping[str, Any],
    action: Action,
    author: Author,
    now: str,
) -> VersionRecord:
    """Store other values of some fields and the event; what is so already stores nothing."""
    changed = {name: value for name, value in fields.items() if getattr(record, name) != value}
    if not changed:
        return record
    saved = replace(record, **changed, updated_at=later_than(record.updated_at, now))
    is_moved = saved.status is not record.status
    event = VersionEvent(
        now, author.actor, action, record.model_name, record.model_version,
        record.status if is_moved else None,
        saved.status if is_moved else None,
        author.note,
        {name: FieldChange(getattr(record, name), value) for name, value in changed.items() if name != "status"},
    )  # fmt: skip
    transaction.lifecycle.save_version(saved, event)
    return saved


def now_stamp() -> str:
    """Return this moment as ISO 8601 UTC with milliseconds."""
    return _now().isoformat(timespec="milliseconds")


def _now() -> datetime:
    return datetime.now(UTC)
