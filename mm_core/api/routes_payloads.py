"""Routes that bots pull: payload, ONNX, factor config."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from bottle import Bottle, HTTPResponse

from mm_core import strict_json
from mm_core.api.answers import bytes_answer, document_answer, prepared_answer, result_answer
from mm_core.api.incoming import check_write, header, json_body
from mm_core.api.negotiation import if_match_allows
from mm_core.api.routes_models import asked_group_key
from mm_core.domain.configs import FactorConfig
from mm_core.errors import RevisionConflict
from mm_core.payloads import BoundedCache, Coding, entity_tag, factor_config_document
from mm_core.registry import Registry


def add_payload_routes(app: Bottle, registry: Registry, cache: BoundedCache, write_token: str | None) -> None:
    """Add the routes that hand out models and their normalization."""

    @app.get("/api/models/<model_name>/model/<symbol>")
    def payload(model_name: str, symbol: str) -> HTTPResponse:
        handle = registry.payload(model_name, symbol, asked_group_key())
        return prepared_answer(handle.digest, handle.size_bytes, lambda coding: registry.payloads.body(handle, coding))

    @app.get("/api/models/<model_name>/model_onnx/<symbol>")
    def model_onnx(model_name: str, symbol: str) -> HTTPResponse:
        onnx = registry.payloads.onnx(model_name, symbol, asked_group_key())
        headers = {
            "x-model-feature-dim": str(onnx.feature_dim),
            "x-model-name": onnx.model_name,
            "x-model-symbol": _header_text(onnx.symbol),
            "x-model-sha256": onnx.sha256,
        }
        return bytes_answer(onnx.data, "application/octet-stream", cache, headers)

    @app.get("/api/models/<model_name>/symbols/<symbol>/factor-config")
    def factor_config(model_name: str, symbol: str) -> HTTPResponse:
        current = registry.configs.get(model_name, symbol, asked_group_key())
        headers = {"x-factor-config-revision": str(current.record.revision)}
        return document_answer(factor_config_document(current.config), cache, headers)

    @app.put("/api/models/<model_name>/symbols/<symbol>/factor-config")
    def save_factor_config(model_name: str, symbol: str) -> HTTPResponse:
        check_write(write_token)
        group_key = asked_group_key()
        document = json_body()
        current = registry.configs.get(model_name, symbol, group_key)
        condition = header("If-Match")
        if not if_match_allows(condition, _digest(current.config)):
            raise RevisionConflict(
                f"The factor config of '{current.config.symbol}' is not the one that If-Match names: it is at revision "
                f"{current.record.revision}. Read it again and repeat the change; nothing was stored."
            )
        saved = registry.configs.save(
            model_name,
            symbol,
            document,
            by="api",
            group_key=group_key,
            expected_revision=current.record.revision if condition is not None else None,
        )
        headers = {
            "ETag": entity_tag(_digest(saved.config), Coding.IDENTITY),
            "x-factor-config-revision": str(saved.record.revision),
        }
        return result_answer(factor_config_document(saved.config), headers)


def _digest(config: FactorConfig) -> str:
    return hashlib.sha256(strict_json.encode(factor_config_document(config))).hexdigest()


def _header_text(text: str) -> str:
    """Return text that a header can carry: Latin letters as they are, anything else percent-encoded."""
    return text if text.isascii() else quote(text)
