"""The OpenAPI document against the program: every route, and requests made from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate

from mm_core.api import create_app
from mm_core.api.app import create_routes
from mm_core.api.metrics import Metrics
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.wiring import open_registry

PROJECT = Path(__file__).parent.parent.parent
DOCUMENT = json.loads((PROJECT / "mm_core" / "api" / "openapi.json").read_text(encoding="utf-8"))
METHODS = {"get", "put", "post", "delete", "patch"}


def _routes(registry: Registry, settings: Settings) -> set[tuple[str, str]]:
    app = create_routes(registry, settings, Metrics(registry), lambda: False)
    return {(route.method.lower(), re.sub(r"<(\w+)>", r"{\1}", route.rule)) for route in app.routes}


def test_the_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_every_route_is_in_the_document_and_every_path_is_a_route(registry: Registry, settings: Settings) -> None:
    described = {(method, path) for path, item in DOCUMENT["paths"].items() for method in item if method in METHODS}
    assert _routes(registry, settings) == described


def test_every_route_is_in_the_http_page(registry: Registry, settings: Settings) -> None:
    page = (PROJECT / "docs" / "http.md").read_text(encoding="utf-8")
    for method, path in _routes(registry, settings):
        assert f"`{method.upper()} {path}`" in page, (method, path)


@pytest.fixture
def api_schema(write_group: Callable[..., Path], tmp_path: Path) -> schemathesis.schemas.BaseSchema:
    """The document on a registry with one model, whose root no request can leave."""
    root = write_group("SOLUSDT_mid_chg_1m")
    options = load_settings(
        {"MODEL_MANAGER_DATA_DIR": str(tmp_path / "data"), "MODEL_MANAGER_ARTIFACT_ROOTS": str(tmp_path)}
    )
    registry = open_registry(options)
    registry.registrations.register("m", str(root))
    return schemathesis.openapi.from_wsgi("/api/openapi.json", create_app(registry, options))


schema = schemathesis.pytest.from_fixture("api_schema")


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_answers_to_made_up_requests_are_as_described(case: schemathesis.Case) -> None:
    case.call_and_validate()
