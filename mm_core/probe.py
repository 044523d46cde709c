"""How a running payload server is: its health and its figures, asked over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mm_core.errors import ServiceAway


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """Requests of one route since the server started; ``seconds`` is the time spent on answers altogether."""

    route: str
    requests: int
    errors: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One answer of ``/api/health`` and ``/metrics``; figures without labels by name, ``milliseconds`` it took."""

    health: Mapping[str, Any]
    routes: tuple[RouteFigures, ...]
    figures: Mapping[str, float]
    milliseconds: float


def probe(base_url: str, timeout: float = 2.0) -> ServiceState:
    """Return the state of the payload server at ``base_url``; raise `ServiceAway` when it does not answer sensibly."""
    try:
        with httpx.Client(base_url=base_url, timeout=timeout, trust_env=False) as client:
            answer = client.get("/api/health")
            health = answer.json()
            text = client.get("/metrics").raise_for_status().text
        routes, figures = _read_metrics(text)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ServiceAway(
            f"The payload server at {base_url} does not answer as one ({error}). Start it with ./start.sh, or check "
            "MODEL_MANAGER_HTTP_PORT."
        ) from error
    if not isinstance(health, dict):
        raise ServiceAway(f"Something else than a payload server answers at {base_url}. Check MODEL_MANAGER_HTTP_PORT.")
    return ServiceState(health, routes, figures, answer.elapsed.total_seconds() * 1000)


def _read_metrics(text: str) -> tuple[tuple[RouteFigures, ...], dict[str, float]]:
    requests: dict[str, int] = {}
    errors: dict[str, int] = {}
    seconds: dict[str, float] = {}
    figures: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "model_manager_requests_total":
                route = sample.labels["route"]
                requests[route] = requests.get(route, 0) + int(sample.value)
                if sample.labels["status"] >= "400":
                    errors[route] = errors.get(route, 0) + int(sample.value)
            elif sample.name == "model_manager_request_seconds_sum":
                seconds[sample.labels["route"]] = sample.value
            elif not sample.labels:
                figures[sample.name] = sample.value
    routes = [
        RouteFigures(route, count, errors.get(route, 0), seconds.get(route, 0.0)) for route, count in requests.items()
    ]
    return tuple(sorted(routes, key=lambda one: (-one.requests, one.route))), figures
