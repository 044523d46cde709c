"""Routes of registered models: list, register, refresh, delete, look."""

from __future__ import annotations

from dataclasses import dataclass

from bottle import Bottle, HTTPResponse

from mm_core.api.answers import document_answer, result_answer
from mm_core.api.incoming import check_write, json_body_as
from mm_core.api.queries import query_text
from mm_core.payloads import BoundedCache
from mm_core.registry import Registry
from mm_core.registry.documents import (
    factors_document,
    group_document,
    model_item,
    registration_document,
    symbols_document,
)
from mm_core.registry.lookups import listed_models


@dataclass(frozen=True, slots=True)
class Registration:
    """The body of ``POST /api/models``."""

    model_name: str
    root_path: str


def add_model_routes(app: Bottle, registry: Registry, cache: BoundedCache, write_token: str | None) -> None:
    """Add the routes below ``/api/models`` that look at registrations or change them."""

    @app.get("/api/models")
    def list_models() -> HTTPResponse:
        view = registry.view()
        items = [model_item(*listed) for listed in listed_models(view)]
        return document_answer({"items": items}, cache)

    @app.post("/api/models")
    def register() -> HTTPResponse:
        check_write(write_token)
        body = json_body_as(Registration, '{"model_name": "…", "root_path": "/…"}')
        done = registry.registrations.register(body.model_name, body.root_path)
        return result_answer(registration_document(done.model, done.scan))

    @app.delete("/api/models/<model_name>")
    def delete(model_name: str) -> HTTPResponse:
        check_write(write_token)
        registry.registrations.delete(model_name)
        return result_answer({"ok": True, "model_name": model_name, "deleted": True})

    @app.post("/api/models/<model_name>/refresh")
    def refresh(model_name: str) -> HTTPResponse:
        check_write(write_token)
        done = registry.registrations.refresh(model_name)
        document = registration_document(done.model, done.scan)
        del document["symbols"]
        return result_answer(document)

    @app.get("/api/models/<model_name>/symbols")
    def symbols(model_name: str) -> HTTPResponse:
        _, scan = registry.model(model_name)
        return document_answer(symbols_document(scan), cache)

    @app.get("/api/models/<model_name>/factors")
    def factors(model_name: str) -> HTTPResponse:
        return document_answer(factors_document(*registry.model(model_name)), cache)

    @app.get("/api/models/<model_name>/symbols/<symbol>")
    def group(model_name: str, symbol: str) -> HTTPResponse:
        found = registry.group(model_name, symbol, asked_group_key())
        return document_answer(group_document(*found), cache)


def asked_group_key() -> str | None:
    """Return the ``group_key`` of the query, None when it is missing or empty; raise `BadRequest`."""
    return query_text("group_key") or None
