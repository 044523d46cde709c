"""The WSGI application: routes over a registry, errors as problem documents."""

from __future__ import annotations

from collections.abc import Callable

from bottle import Bottle

from mm_core.api.access_log import AccessLog
from mm_core.api.metrics import Metrics
from mm_core.api.problems import ProblemPlugin, router_answer
from mm_core.api.routes_bulk import add_bulk_routes
from mm_core.api.routes_lifecycle import add_lifecycle_routes
from mm_core.api.routes_models import add_model_routes
from mm_core.api.routes_payloads import add_payload_routes
from mm_core.api.routes_service import add_service_routes
from mm_core.api.routes_versions import add_version_routes
from mm_core.payloads import BoundedCache
from mm_core.registry import Registry
from mm_core.settings import Settings

ANSWER_CACHE_BYTES = 8 << 20
"""Bytes of compressed answers that are no payloads: lists, groups, configs."""


def create_routes(
    registry: Registry,
    settings: Settings,
    metrics: Metrics,
    is_draining: Callable[[], bool],
    workers: Callable[[], int] = lambda: 1,
) -> Bottle:
    """Return a bottle application with every route; ``workers`` tells how many processes serve."""
    app = Bottle()
    app.install(ProblemPlugin())
    app.default_error_handler = router_answer
    cache = BoundedCache(ANSWER_CACHE_BYTES)
    add_model_routes(app, registry, cache, settings.write_token)
    add_payload_routes(app, registry, cache, settings.write_token)
    add_lifecycle_routes(app, registry, cache, settings.write_token)
    add_version_routes(app, registry, cache, settings.write_token, settings.threads)
    add_bulk_routes(app, registry, cache, settings.threads, is_draining)
    add_service_routes(app, registry, cache, metrics, settings.dashboard_port, is_draining, workers)
    return app


def create_app(registry: Registry, settings: Settings, is_draining: Callable[[], bool] = lambda: False) -> AccessLog:
    """Return the WSGI application; ``is_draining`` tells whether the server is about to stop."""
    metrics = Metrics(registry)
    return AccessLog(create_routes(registry, settings, metrics, is_draining), metrics)
