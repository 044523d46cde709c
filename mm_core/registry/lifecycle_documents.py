"""Versions and their history as the plain documents that command line and HTTP answer with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mm_core.domain.deployments import DeployedThen, Deployment, deployments
from mm_core.domain.version_records import VersionEvent, VersionRecord
from mm_core.registry.lifecycle import Registered
from mm_core.registry.lifecycle_lookups import AbTest
from mm_core.registry.lifecycle_reading import Deployed


def version_document(record: VersionRecord) -> dict[str, Any]:
    """Return a version's record, with the stage that follows from its status."""
    document = {name: getattr(record, name) for name in VersionRecord.__dataclass_fields__}
    return {**document, "stage": record.status.stage}


def versions_document(records: Sequence[VersionRecord], damaged: Mapping[str, str]) -> dict[str, Any]:
    """Return a list of versions; ``damaged`` says by family what keeps others from being listed."""
    return {
        "items": [version_document(record) for record in records],
        "damaged": [{"model_name": name, "detail": detail} for name, detail in damaged.items()],
    }


def registered_document(done: Registered) -> dict[str, Any]:
    """Return what the registration of a version answers."""
    return {**version_document(done.record), "created": done.is_new, "warnings": done.warnings}


def history_document(name: str, events: Sequence[VersionEvent]) -> dict[str, Any]:
    """Return every event of a family, oldest first, and the times in which a version was deployed."""
    return {
        "model_name": name,
        "items": [_event_document(number, event) for number, event in enumerate(events, 1)],
        "deployments": [_deployment_document(one) for one in deployments(events)],
    }


def deployed_document(found: Deployed) -> dict[str, Any]:
    """Return what is deployed of a family, since when, by whom and why, and the shadows that run beside it."""
    return {
        **version_document(found.record),
        "deployment": _deployment_document(found.deployment),
        "challengers": [version_document(shadow) for shadow in found.challengers],
        "normalizer_revision": found.normalizer_revision,
    }


def deployed_at_document(name: str, time: str, found: DeployedThen | None) -> dict[str, Any]:
    """Return what was deployed of a family at a time; the version is null where nothing was."""
    return {
        "model_name": name,
        "time": time,
        "version": version_document(found.record) if found is not None else None,
        "deployment": _deployment_document(found.deployment) if found is not None else None,
    }


def ab_test_document(test: AbTest) -> dict[str, Any]:
    """Return what is deployed of a family and what runs beside it."""
    return {
        "champion": version_document(test.champion),
        "challengers": [version_document(challenger) for challenger in test.challengers],
    }


def _event_document(number: int, event: VersionEvent) -> dict[str, Any]:
    return {
        "number": number,
        "at": event.at,
        "actor": event.actor,
        "action": event.action,
        "model_name": event.model,
        "model_version": event.version or None,
        "before": event.before,
        "after": event.after,
        "note": event.note,
        "changes": {name: {"before": change.before, "after": change.after} for name, change in event.changes.items()},
    }


def _deployment_document(one: Deployment) -> dict[str, Any]:
    document = asdict(one)
    return {"model_version": document.pop("version"), **document}
