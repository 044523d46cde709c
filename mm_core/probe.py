"""How a running payload server is: its health and its figures, asked over HTTP."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mm_core import strict_json
from mm_core.errors import ServiceAway, ServiceUnwell

MOST_BYTES = 16 << 20
"""Of one answer: ours are below 1 MiB, and another server's may never end."""


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
    """Return the state of the payload server at ``base_url``; each of the two answers may take ``timeout`` seconds.

    Raises `ServiceAway` when it does not answer sensibly, `ServiceUnwell` with its own words when it answers a problem.
    """
    try:
        with httpx.Client(base_url=base_url, timeout=timeout, trust_env=False, verify=_authorities()) as client:
            started = time.perf_counter()
            health = strict_json.decode(_get(client, "/api/health", timeout))
            seconds = time.perf_counter() - started
            if _is_problem(health):
                raise ServiceUnwell(f"The payload server at {base_url} answers: {health['title']}. {health['detail']}")
            if not _is_health(health):
                raise ValueError("its health has another form")
            routes, figures = _read_metrics(_get(client, "/metrics", timeout, must_succeed=True).decode())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, OverflowError) as error:
        raise ServiceAway(
            f"The payload server at {base_url} does not answer as one ({error}). Start it with ./start.sh, or check "
            "MODEL_MANAGER_HTTP_PORT."
        ) from error
    return ServiceState(health, routes, figures, seconds * 1000)


@cache
def _authorities() -> ssl.SSLContext:
    """Return what servers' certificates are checked against; to read it takes longer than most probes."""
    return httpx.create_ssl_context(trust_env=False)


def _get(client: httpx.Client, path: str, timeout: float, *, must_succeed: bool = False) -> bytes:
    """Return a body that is whole in time; httpx alone would wait as long as a byte comes now and then."""
    ends = time.monotonic() + timeout
    data = bytearray()
    with client.stream("GET", path) as answer:
        if must_succeed:
            answer.raise_for_status()
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > MOST_BYTES:
                raise ValueError(f"{path} has more than {MOST_BYTES:,} bytes")
            if time.monotonic() > ends:
                raise ValueError(f"{path} took more than {timeout:g} s")
    return bytes(data)


def _is_problem(document: Any) -> bool:
    """Return whether this is one of our problem documents (RFC 9457)."""
    return isinstance(document, dict) and all(isinstance(document.get(name), str) for name in ("title", "detail"))


def _is_health(document: Any) -> bool:
    """Return whether this is our health document; a server that drains sends it with status 503."""
    if not isinstance(document, dict) or "store_revision" not in document:
        return False
    without_scan = document.get("models_without_scan", [])
    threads = document.get("threads", {})
    return (
        isinstance(document.get("status"), str)
        and isinstance(document.get("watcher", {}), dict)
        and isinstance(threads, dict)
        and all(isinstance(thread, dict) for thread in threads.values())
        and isinstance(without_scan, list)
        and all(isinstance(name, str) for name in without_scan)
    )


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
