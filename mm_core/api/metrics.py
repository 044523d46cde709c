"""Figures for Prometheus: the only home of prometheus-client."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from mm_core.logs import get_logger
from mm_core.payloads import CacheState
from mm_core.registry import Registry

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
"""Those that are counted by name: clients may make up as many as they like, and each would stay in memory."""

MOST_LABELS = 512
"""Counters that are found at once; prometheus-client takes a lock and builds texts to find one of its own."""


FIGURES_BYTES = 1 << 20
"""Of each file of figures that a worker shares: more than every route with every status takes."""

log = get_logger("mm_core.server")


def share_figures() -> None:
    """Take the space for what this process shares with its owner before `Metrics` is made; else count for itself alone.

    prometheus-client writes through a map of a file with holes: where the disk has no room for one of them, that is
    not an error but SIGBUS, in the middle of a pull.
    """
    directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    paths = [directory / f"{kind}_{os.getpid()}.db" for kind in ("counter", "histogram", "gauge_livesum")]
    try:
        for path in paths:
            with path.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, FIGURES_BYTES)
    except OSError as error:
        for path in paths:
            path.unlink(missing_ok=True)
        log.error("figures_not_shared", reason=str(error), directory=str(directory))
        values.ValueClass = values.MutexValue


class Metrics:
    """Counts requests by route, and reads the registry's own figures when it is asked for them.

    Where workers count, each into a file below ``shared``, the text tells the sums of theirs and this process's.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, registry: Registry, shared: Path | None = None) -> None:
        self._payloads = registry.payloads
        self._shared = shared
        self._lock = threading.Lock()
        self._told = CacheState(0, 0, 0)
        own = CollectorRegistry()
        self._requests = Counter(
            "model_manager_requests",
            "Requests answered, by route template.",
            ["method", "route", "status"],
            registry=own,
        )
        self._seconds = Histogram(
            "model_manager_request_seconds",
            "Seconds from the request to its answer, before it is sent.",
            ["route"],
            registry=own,
        )
        self._hits = Counter("model_manager_cache_hits", "Payloads served from memory.", registry=own)
        self._misses = Counter("model_manager_cache_misses", "Payloads read from disk.", registry=own)
        self._bytes = Gauge(
            "model_manager_cache_bytes",
            "Bytes of payloads in memory; processes that map the same file count it each.",
            multiprocess_mode="livesum",
            registry=own,
        )
        own.register(_RegistryFigures(registry))
        self._own = own
        self._counter_of = lru_cache(MOST_LABELS)(self._requests.labels)
        self._histogram_of = lru_cache(MOST_LABELS)(self._seconds.labels)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._counter_of(method if method in METHODS else "other", route, status).inc()
        self._histogram_of(route).observe(seconds)

    def tell_memory(self) -> None:
        """Bring the figures of the payloads in this process's memory up to date."""
        with self._lock:
            state, told = self._payloads.cache_state(), self._told
            self._hits.inc(state.hits - told.hits)
            self._misses.inc(state.misses - told.misses)
            self._bytes.set(state.size_bytes)
            self._told = state

    def forget(self, pid: int) -> None:
        """Leave out what a worker that is gone held; what it counted stays."""
        mark_process_dead(pid, str(self._shared))  # type: ignore[no-untyped-call]

    def text(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        self.tell_memory()
        if self._shared is None:
            return generate_latest(self._own)
        every = CollectorRegistry()
        every.register(_Sums([self._own, MultiProcessCollector(None, str(self._shared))]))  # type: ignore[no-untyped-call]
        return generate_latest(every)


class _Sums(Collector):
    """Families of several collectors, each once: samples of the same name and labels are added."""

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for family in (family for collector in self._collectors for family in collector.collect()):
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            known.samples += family.samples
        for family in families.values():
            sums: dict[tuple[str, frozenset[tuple[str, str]]], Sample] = {}
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                same = sums.get(key)
                sums[key] = sample if same is None else same._replace(value=same.value + sample.value)
            family.samples = list(sums.values())
            yield family


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
            summary = view.scan_summary(model.name)
            if summary is None:
                continue
            groups.add_metric([model.name], summary.groups)
            for severity, count in sorted(summary.findings.items()):
                findings.add_metric([model.name, str(severity)], count)
        yield groups
        yield findings
        waiting = self._registry.publisher.waiting
        yield GaugeMetricFamily("model_manager_payloads_waiting", "Payloads that are still to be made.", waiting)
        working = GaugeMetricFamily(
            "model_manager_thread_working",
            "1 where a background thread does its work, 0 where something keeps it from that or it ended.",
            labels=["thread"],
        )
        for name, thread in self._registry.threads().items():
            working.add_metric([name], thread.is_running and thread.problem is None)
        yield working
        watcher = self._registry.watcher.state()
        yield CounterMetricFamily("model_manager_watch_refreshes", "Refreshes by the watcher.", watcher.refreshes)
