"""Routes of version directories: listed, looked at, and pulled by bots."""

from __future__ import annotations

import threading

from bottle import Bottle, HTTPResponse

from mm_core import strict_json
from mm_core.api.answers import document_answer, prepared_answer, result_answer
from mm_core.api.config_answers import config_answer, saved_answer
from mm_core.api.incoming import check_question, check_write, json_body_as
from mm_core.api.queries import asked_caller_tier
from mm_core.errors import PredictorBusy
from mm_core.payloads import BoundedCache
from mm_core.registry import Registry
from mm_core.registry.predictions import prediction_document
from mm_core.registry.version_documents import held_version_document, listed_versions_document


class RowsToPredict(strict_json.Record, forbid_unknown_fields=True):
    """The body of ``POST …/predict``; with anything else in it, it would not be what is answered."""

    rows: strict_json.RawJson


def add_version_routes(
    app: Bottle, registry: Registry, cache: BoundedCache, write_token: str | None, threads: int
) -> None:
    """Add the routes that show what version directories hold, hand out and normalize their models, and predict.

    At most a quarter of the ``threads`` wait for predictions.
    """
    predicting = threading.BoundedSemaphore(max(1, threads // 4))

    @app.get("/api/models/<model_name>/versions")
    def versions(model_name: str) -> HTTPResponse:
        listed = registry.versions_of(model_name, asked_caller_tier())
        return document_answer(listed_versions_document(model_name, listed), cache)

    @app.get("/api/models/<model_name>/versions/<version>")
    def held_version(model_name: str, version: str) -> HTTPResponse:
        found = registry.held_version(model_name, version, asked_caller_tier())
        return document_answer(held_version_document(found, registry.normalizer_overrides(found)), cache)

    @app.get("/api/models/<model_name>/versions/<version>/model")
    def version_payload(model_name: str, version: str) -> HTTPResponse:
        payloads = registry.version_payloads
        handle = payloads.handle(model_name, version, asked_caller_tier())
        return prepared_answer(handle.digest, handle.size_bytes, lambda coding: payloads.body(handle, coding))

    @app.get("/api/models/<model_name>/versions/<version>/normalizer")
    def normalizer(model_name: str, version: str) -> HTTPResponse:
        registry.held_version(model_name, version, asked_caller_tier())  # who may not see it is told of nothing
        return config_answer(registry.normalizers.get(model_name, version), cache)

    @app.put("/api/models/<model_name>/versions/<version>/normalizer")
    def save_normalizer(model_name: str, version: str) -> HTTPResponse:
        check_write(write_token)
        return saved_answer(registry.normalizers, model_name, version)

    @app.post("/api/models/<model_name>/versions/<version>/predict")
    def predict(model_name: str, version: str) -> HTTPResponse:
        check_question()
        rows = bytes(json_body_as(RowsToPredict, '{"rows": [{"momentum_5d": 0.31, "spread": null}]}').rows)
        if not predicting.acquire(blocking=False):
            raise PredictorBusy("Too many predictions wait already. Ask again in a second.")
        try:
            found = registry.predictions.predict(model_name, version, rows, asked_caller_tier())
        finally:
            predicting.release()
        return result_answer(prediction_document(found))
