"""Figures for Prometheus: the only home of prometheus-client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from mm_core.registry import Registry


class Metrics:
    """Counts requests by route, and reads the registry's own figures when it is asked for them.

    Where workers count, each into a file below ``shared``, the text tells their sums.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, registry: Registry, shared: Path | None = None) -> None:
        self._collectors = CollectorRegistry()
        self._requests = Counter(
            "model_manager_requests",
            "Requests answered, by route template.",
            ["method", "route", "status"],
            registry=self._collectors,
        )
        self._seconds = Histogram(
            "model_manager_request_seconds",
            "Seconds from the request to its answer, before it is sent.",
            ["route"],
            registry=self._collectors,
        )
        self._told = self._collectors
        if shared is not None:
            self._told = CollectorRegistry()
            MultiProcessCollector(self._told, str(shared))  # type: ignore[no-untyped-call]
        self._told.register(_RegistryFigures(registry))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        return generate_latest(self._told)


class _RegistryFigures(Collector):
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        view = self._registry.view()
        yield GaugeMetricFamily("model_manager_store_revision", "Commits of the store so far.", view.revision)
        yield GaugeMetricFamily("model_manager_models", "Registered models.", len(view.models()))
        groups = GaugeMetricFamily("model_manager_groups", "Groups in service, by model.", labels=["model"])
        findings = GaugeMetricFamily("model_manager_findings", "Findings, by model.", labels=["model", "severity"])
        for model in view.models():
            scan = view.scan(model.name)
            if scan is None:
                continue
            groups.add_metric([model.name], len(scan.groups))
            severities = [str(finding.severity) for finding in scan.all_findings()]
            for severity in sorted(set(severities)):
                findings.add_metric([model.name, severity], severities.count(severity))
        yield groups
        yield findings
        cache = self._registry.payloads.cache_state()
        yield GaugeMetricFamily("model_manager_cache_bytes", "Bytes of payloads kept in memory.", cache.size_bytes)
        yield CounterMetricFamily("model_manager_cache_hits", "Payloads served from memory.", cache.hits)
        yield CounterMetricFamily("model_manager_cache_misses", "Payloads read from disk.", cache.misses)
        waiting = self._registry.publisher.waiting
        yield GaugeMetricFamily("model_manager_payloads_waiting", "Payloads that are still to be made.", waiting)
        watcher = self._registry.watcher.state()
        yield CounterMetricFamily("model_manager_watch_refreshes", "Refreshes by the watcher.", watcher.refreshes)
