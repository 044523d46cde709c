"""Routes of versions: registered, listed, moved between statuses, and who was deployed when."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bottle import Bottle, HTTPResponse

from mm_core import strict_json
from mm_core.api.answers import document_answer, result_answer
from mm_core.api.incoming import check_write, header, json_body
from mm_core.api.negotiation import if_match_allows
from mm_core.api.queries import asked, asked_caller_tier, query_text
from mm_core.domain.lifecycle import ModelType, Objective, Stage, Status, Tier
from mm_core.domain.version_records import VersionRecord, parse_update
from mm_core.errors import BadRequest, RevisionConflict
from mm_core.payloads import BoundedCache, Coding, entity_tag
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_documents import (
    deployed_at_document,
    deployed_document,
    history_document,
    registered_document,
    version_document,
    versions_document,
)
from mm_core.registry.lifecycle_lookups import VersionFilter, parse_moment

ACTOR = "api"
"""Who makes a change where the body does not say."""

MOST_NAMED = 20
"""Fields that are none which a refusal names."""

Fields = TypeVar("Fields")


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The body of ``POST …/status``: one of ``status`` and ``stage``, and why."""

    note: str
    status: Status | None = None
    stage: Stage | None = None
    actor: str = ACTOR
    demote_to: Status = Status.SHADOW
    force: bool = False


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the bodies that name fields of a version have beside these."""

    actor: str = ACTOR
    note: str = ""
    force: bool = False
    update: bool = False


def add_lifecycle_routes(app: Bottle, registry: Registry, cache: BoundedCache, write_token: str | None) -> None:
    """Add the routes that look at versions of model families or change them."""
    lifecycle = registry.lifecycle

    @app.get("/api/versions")
    def list_versions() -> HTTPResponse:
        return document_answer(versions_document(lifecycle.list(_asked_filter()), lifecycle.damaged()), cache)

    @app.post("/api/versions")
    def register_version() -> HTTPResponse:
        check_write(write_token)
        fields, beside = _fields_and_circumstances(("actor", "note", "force", "update"))
        author = Author(beside.actor, beside.note)
        done = lifecycle.register(fields, author, update=beside.update, force=beside.force)
        return result_answer(registered_document(done), _tag(done.record))

    @app.get("/api/versions/<model_id>")
    def version(model_id: str) -> HTTPResponse:
        return document_answer(version_document(lifecycle.record_by_id(model_id, asked_caller_tier())), cache)

    @app.route("/api/versions/<model_id>", method="PATCH")
    def update_version(model_id: str) -> HTTPResponse:
        check_write(write_token)
        fields, beside = _fields_and_circumstances(("actor", "note", "force"))
        record = lifecycle.record_by_id(model_id)
        author = Author(beside.actor, beside.note)
        saved = lifecycle.update(record, parse_update(fields), author, guard=_guard(record), force=beside.force)
        return result_answer(version_document(saved), _tag(saved))

    @app.post("/api/models/<model_name>/versions/<version>/status")
    def set_status(model_name: str, version: str) -> HTTPResponse:
        check_write(write_token)
        body = _status_change()
        record = lifecycle.record(model_name, version)
        if (body.status is None) is (body.stage is None):
            raise BadRequest("Give either status or stage, and not both. Nothing was changed.")
        status = body.status if body.stage is None else lifecycle.status_for_stage(record, body.stage)
        assert status is not None
        saved = lifecycle.move(
            record,
            status,
            Author(body.actor, body.note),
            demote_to=body.demote_to,
            guard=_guard(record),
            force=body.force,
        )
        return result_answer(version_document(saved), _tag(saved))

    @app.get("/api/models/<model_name>/deployed")
    def deployed(model_name: str) -> HTTPResponse:
        tier = asked_caller_tier()
        found = lifecycle.deployed(model_name, tier)
        return document_answer(deployed_document(found), cache)

    @app.get("/api/models/<model_name>/deployed-at")
    def deployed_at(model_name: str) -> HTTPResponse:
        moment = parse_moment(query_text("time") or "")
        found = lifecycle.deployed_at(model_name, moment, asked_caller_tier())
        return document_answer(deployed_at_document(model_name, moment.isoformat(), found), cache)

    @app.get("/api/models/<model_name>/history")
    def history(model_name: str) -> HTTPResponse:
        events = lifecycle.history(model_name, asked_caller_tier())
        return document_answer(history_document(model_name, events), cache)


def _asked_filter() -> VersionFilter:
    return VersionFilter(
        model_name=query_text("model_name") or None,
        status=asked(Status, "status"),
        model_type=asked(ModelType, "model_type"),
        objective=asked(Objective, "objective"),
        tier=asked(Tier, "tier"),
        caller_tier=asked_caller_tier(),
        limit=_asked_limit(),
    )


def _asked_limit() -> int | None:
    text = query_text("limit")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) > 0):
        raise BadRequest("?limit= must be a whole number above 0, such as limit=100.")
    return int(text)


def _fields_and_circumstances(known: tuple[str, ...]) -> tuple[Mapping[str, Any], Circumstances]:
    """Return the body's fields of a version, and what it says beside them."""
    body = _object()
    beside = _typed({name: body[name] for name in known if name in body}, Circumstances)
    return {name: value for name, value in body.items() if name not in known}, beside


def _status_change() -> StatusChange:
    body = _object()
    known = StatusChange.__dataclass_fields__
    unknown = [repr(name[:80]) for name in body if name not in known]
    if unknown:
        named = ", ".join(unknown[:MOST_NAMED])
        if len(unknown) > MOST_NAMED:
            named += f" and {len(unknown) - MOST_NAMED:,} more"
        raise BadRequest(f"{named} is no field of a move, use {', '.join(known)}. Nothing was changed.")
    return _typed(body, StatusChange)


def _object() -> dict[str, Any]:
    body = json_body()
    if not isinstance(body, dict):
        raise BadRequest("The body must be an object of fields. Nothing was changed.")
    return body


def _typed(fields: Mapping[str, Any], wanted: type[Fields]) -> Fields:
    try:
        return strict_json.decode_as(strict_json.encode(fields), wanted)
    except strict_json.NotJson as error:
        raise BadRequest(f"The body does not fit ({error}). Nothing was changed.") from error


def _guard(record: VersionRecord) -> str | None:
    """Return what a record must not have moved on from, None where the client did not say; raise for another one."""
    condition = header("If-Match")
    if condition is None:
        return None
    if not if_match_allows(condition, _digest(record)):
        raise RevisionConflict(
            f"{record.title} is not the one that If-Match names: it was changed at {record.updated_at}. Read it again "
            "and repeat the change; nothing was stored."
        )
    return record.updated_at


def _tag(record: VersionRecord) -> dict[str, str]:
    return {"ETag": entity_tag(_digest(record), Coding.IDENTITY)}


def _digest(record: VersionRecord) -> str:
    return hashlib.sha256(strict_json.encode(version_document(record))).hexdigest()
