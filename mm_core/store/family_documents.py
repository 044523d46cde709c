"""Versions, their events and their families as plain documents, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mm_core.domain.lifecycle import Action, ModelType, Objective, Status, Tier
from mm_core.domain.version_records import FieldChange, VersionEvent, VersionRecord

Document = dict[str, Any]


def record_document(record: VersionRecord) -> Document:
    """Return a version's record as a document."""
    return {name: getattr(record, name) for name in VersionRecord.__dataclass_fields__}


def record_value(document: Mapping[str, Any]) -> VersionRecord:
    """Return the record of a document."""
    return VersionRecord(
        **{
            **document,
            "model_type": ModelType(document["model_type"]),
            "objective": Objective(document["objective"]),
            "tier_requirement": Tier(document["tier_requirement"]),
            "status": Status(document["status"]),
        }
    )


def event_document(event: VersionEvent) -> Document:
    """Return an event as a document; its model is that of the file that it is in."""
    return {
        "at": event.at,
        "actor": event.actor,
        "action": event.action,
        "version": event.version,
        "before": event.before,
        "after": event.after,
        "note": event.note,
        "changes": {name: list(change) for name, change in event.changes.items()},
    }


def event_value(model: str, document: Mapping[str, Any]) -> VersionEvent:
    """Return the event of a document."""
    before, after = document["before"], document["after"]
    return VersionEvent(
        at=document["at"],
        actor=document["actor"],
        action=Action(document["action"]),
        model=model,
        version=document["version"],
        before=None if before is None else Status(before),
        after=None if after is None else Status(after),
        note=document["note"],
        changes={name: FieldChange(*pair) for name, pair in document["changes"].items()},
    )
