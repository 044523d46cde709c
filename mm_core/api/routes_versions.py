"""Routes of version directories: listed, looked at, and pulled by bots."""

from __future__ import annotations

from bottle import Bottle, HTTPResponse

from mm_core.api.answers import document_answer, prepared_answer
from mm_core.api.queries import asked_caller_tier
from mm_core.payloads import BoundedCache
from mm_core.registry import Registry
from mm_core.registry.version_documents import held_version_document, listed_versions_document
from mm_core.registry.version_lookups import versions_of


def add_version_routes(app: Bottle, registry: Registry, cache: BoundedCache) -> None:
    """Add the routes that show what version directories hold, and hand out their models."""

    @app.get("/api/models/<model_name>/versions")
    def versions(model_name: str) -> HTTPResponse:
        listed = versions_of(registry.view(), model_name, asked_caller_tier())
        return document_answer(listed_versions_document(model_name, listed), cache)

    @app.get("/api/models/<model_name>/versions/<version>")
    def held_version(model_name: str, version: str) -> HTTPResponse:
        found = registry.held_version(model_name, version, asked_caller_tier())
        return document_answer(held_version_document(found), cache)

    @app.get("/api/models/<model_name>/versions/<version>/model")
    def version_payload(model_name: str, version: str) -> HTTPResponse:
        payloads = registry.version_payloads
        handle = payloads.handle(model_name, version, asked_caller_tier())
        return prepared_answer(handle.digest, handle.size_bytes, lambda coding: payloads.body(handle, coding))
