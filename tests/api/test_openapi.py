"""The OpenAPI document against the program: every route, and requests made from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
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


@pytest.fixture
def options(tmp_path: Path) -> Settings:
    """Settings that no request can lead out of."""
    return load_settings(
        {"MODEL_MANAGER_DATA_DIR": str(tmp_path / "data"), "MODEL_MANAGER_ARTIFACT_ROOTS": str(tmp_path)}
    )


def _routes(registry: Registry, options: Settings) -> set[tuple[str, str]]:
    app = create_routes(registry, options, Metrics(registry), lambda: False)
    return {(route.method.lower(), re.sub(r"<(\w+)>", r"{\1}", route.rule)) for route in app.routes}


def test_the_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_every_route_is_in_the_document_and_every_path_is_a_route(registry: Registry, options: Settings) -> None:
    described = {(method, path) for path, item in DOCUMENT["paths"].items() for method in item if method in METHODS}
    assert _routes(registry, options) == described


def test_every_route_is_in_the_http_page(registry: Registry, options: Settings) -> None:
    page = (PROJECT / "docs" / "http.md").read_text(encoding="utf-8")
    for method, path in _routes(registry, options):
        assert f"`{method.upper()} {path}`" in page, (method, path)


OPERATIONS = sorted((path, method) for path, item in DOCUMENT["paths"].items() for method in item if method in METHODS)


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda part: str(part))
def test_answers_to_made_up_requests_are_as_described(
    path: str, method: str, write_group: Callable[..., Path], options: Settings
) -> None:
    registry = open_registry(options)
    registry.registrations.register("m", str(write_group("SOLUSDT_mid_chg_1m")))
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", create_app(registry, options))

    @given(case=schema[path][method].as_strategy())
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def every_answer_is_described(case: schemathesis.Case) -> None:
        for name, known in (("model_name", "m"), ("symbol", "SOLUSDT")):
            if name in case.path_parameters and len(str(case.path_parameters[name])) % 2:
                case.path_parameters[name] = known  # else hardly any request would get past 404
        # Whether a root exists or a config fits the model, no schema can say: 400 is right for valid documents too.
        case.call_and_validate(
            headers={"Accept-Encoding": "identity"}, excluded_checks=[schemathesis.checks.positive_data_acceptance]
        )

    every_answer_is_described()
