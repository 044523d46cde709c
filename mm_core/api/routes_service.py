"""Routes of the service itself: health, metrics, OpenAPI, and the way to the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bottle import Bottle, HTTPResponse

from mm_core import __version__
from mm_core.api.answers import bytes_answer, document_answer, momentary_answer
from mm_core.api.hosts import host_name
from mm_core.api.incoming import header
from mm_core.api.metrics import Metrics
from mm_core.domain.findings import Severity
from mm_core.payloads import BoundedCache
from mm_core.registry import Registry

OPENAPI = Path(__file__).with_name("openapi.json")


def add_service_routes(
    app: Bottle,
    registry: Registry,
    cache: BoundedCache,
    metrics: Metrics,
    dashboard_port: int,
    is_draining: Callable[[], bool],
    workers: Callable[[], int],
) -> None:
    """Add the routes that operators and their tools ask."""
    openapi = OPENAPI.read_bytes()

    @app.get("/api/health")
    def health() -> HTTPResponse:
        view = registry.view()
        findings = dict.fromkeys(Severity, 0)
        out_of_service = []
        for model in view.models():
            summary = view.scan_summary(model.name)
            if summary is None:
                out_of_service.append(model.name)
                continue
            for severity, count in summary.findings.items():
                findings[severity] += count
        watcher = registry.watcher.state()
        document = {
            "status": "draining" if is_draining() else "ok",
            "version": __version__,
            "store_revision": view.revision,
            "models": len(view.models()),
            "models_without_scan": out_of_service,
            "models_with_older_scan": [model.name for model in view.models() if model.refresh_error is not None],
            "damaged_families": list(view.lifecycle.damaged()),
            "workers": workers(),
            "payloads_waiting": registry.publisher.waiting,
            "findings": sum(findings.values()),
            "findings_by_severity": {str(severity): count for severity, count in findings.items()},
            "watcher": {
                "mode": watcher.mode,
                "pending": watcher.pending,
                "refreshes": watcher.refreshes,
                "last_error": watcher.last_error,
            },
            "threads": {
                name: {"running": thread.is_running, "problem": thread.problem}
                for name, thread in registry.threads().items()
            },
        }
        answer = document_answer(document, cache)
        if is_draining():
            answer.status = 503
        return answer

    @app.get("/api/openapi.json")
    def openapi_document() -> HTTPResponse:
        return bytes_answer(openapi, "application/json", cache)

    @app.get("/metrics")
    def metrics_text() -> HTTPResponse:
        return momentary_answer(metrics.text(), metrics.content_type)

    @app.get("/")
    def dashboard() -> HTTPResponse:
        return _to_dashboard("/")

    @app.get("/config")
    def config_page() -> HTTPResponse:
        return _to_dashboard("/config")

    def _to_dashboard(path: str) -> HTTPResponse:
        host = host_name(header("Host") or "") or "127.0.0.1"
        headers = {"Location": f"http://{host}:{dashboard_port}{path}", "Cache-Control": "no-store"}
        return HTTPResponse(b"", status=307, headers=headers)
