"""Routes that bots pull: payload, ONNX, factor config."""

from __future__ import annotations

from urllib.parse import quote

from bottle import Bottle, HTTPResponse

from mm_core.api.answers import bytes_answer, prepared_answer
from mm_core.api.config_answers import config_answer, saved_answer
from mm_core.api.incoming import check_write
from mm_core.api.routes_models import asked_group_key
from mm_core.payloads import BoundedCache
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
        return config_answer(registry.configs.get(model_name, symbol, asked_group_key()), cache)

    @app.put("/api/models/<model_name>/symbols/<symbol>/factor-config")
    def save_factor_config(model_name: str, symbol: str) -> HTTPResponse:
        check_write(write_token)
        return saved_answer(registry.configs, model_name, symbol, asked_group_key())


def _header_text(text: str) -> str:
    """Return text that a header can carry: Latin letters as they are, anything else percent-encoded."""
    return text if text.isascii() else quote(text)
