"""How the payload server is, what it does, and what is wrong anywhere."""

from __future__ import annotations

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from mm_core.dashboard.session import api_address, own_api_address
from mm_core.dashboard.show import MISSING, Metric, metric_wall, of_kinds, rows_height, show_table
from mm_core.dashboard.tables.models import findings_of, findings_table
from mm_core.dashboard.words import error_sentence, plain
from mm_core.domain.findings import Severity
from mm_core.domain.groups import Scan
from mm_core.domain.models import RegisteredModel
from mm_core.errors import ServiceAway, ServiceUnwell, StoreError
from mm_core.probe import ServiceState, probe
from mm_core.registry import Registry


@st.fragment(run_every=5)
def server() -> None:
    """Show health, requests, cache and watcher of the payload server; asks it every five seconds."""
    try:
        state = probe(own_api_address())
    except (ServiceAway, ServiceUnwell) as error:
        st.error(error_sentence(error), icon=":material/cloud_off:")
        return
    _health(state)
    st.subheader("Requests")
    routes = pd.DataFrame(
        [
            {
                "route": one.route,
                "requests": one.requests,
                "errors": one.errors,
                "mean ms": one.seconds / one.requests * 1000 if one.requests else None,
            }
            for one in state.routes
        ],
        columns=["route", "requests", "errors", "mean ms"],
    )
    show_table(
        routes, "requests", "Requests by route since the server started",
        config={"mean ms": st.column_config.NumberColumn(format="%.2f"),
                "errors": st.column_config.NumberColumn(help="Answers with a status of 400 or more")},
    )  # fmt: skip


def _health(state: ServiceState) -> None:
    health, figures = state.health, state.figures
    watcher = health.get("watcher", {})
    hits, misses = (figures.get(f"model_manager_cache_{name}_total", 0.0) for name in ("hits", "misses"))
    share = hits / (hits + misses) if hits + misses else None
    kept = figures.get("model_manager_cache_bytes", 0.0) / 1e6
    metric_wall(
        Metric("Server", str(health.get("status", "unknown")), f"at {api_address()}"),
        Metric("Health took", f"{state.milliseconds:.0f} ms"),
        Metric("Requests", f"{sum(one.requests for one in state.routes):,}"),
        Metric(
            "From memory",
            f"{share:.0%}" if share is not None else MISSING,
            f"{hits:.0f} payloads from memory, {misses:.0f} from disk; {kept:.1f} MB kept",
        ),
        Metric(
            "Watcher",
            str(watcher.get("mode", "unknown")),
            f"{watcher.get('pending', 0)} pending, {watcher.get('refreshes', 0)} refreshes",
        ),
        Metric("Store revision", str(health.get("store_revision", MISSING))),
    )
    if watcher.get("last_error"):
        st.warning(f"The watcher's last error: {plain(str(watcher['last_error']))}")
    for name, thread in health.get("threads", {}).items():
        if thread.get("problem") and name != "watcher":
            st.warning(f"The {plain(name)} waits: {plain(str(thread['problem']))}")
    if health.get("models_without_scan"):
        st.error(f"Out of service: {plain(', '.join(health['models_without_scan']))}. Refresh them on the overview.")


def store(registry: Registry) -> None:
    """Show what is wrong with the state and the roots."""
    try:
        found = registry.housekeeping.diagnose()
    except StoreError as error:
        st.error(error_sentence(error))
        return
    for problem in (*found.store_problems, *found.root_problems):
        st.warning(plain(problem))
    if found.healthy:
        st.success(f"Store and roots are healthy, revision {registry.view().revision}.", icon=":material/check_circle:")
    if found.orphaned_blobs:
        st.caption(
            f"{found.orphaned_blobs} files ({found.orphaned_bytes / 1e6:.1f} MB) below blobs are no longer used: "
            "`.venv/bin/python -m mm_core doctor --clean` removes them."
        )


def all_findings(models: list[tuple[RegisteredModel, Scan]]) -> None:
    """Show the findings of all models; a link in its row opens the group, or finds the version."""
    table = findings_table(findings_of(models))
    if table.empty:
        st.success("No file of any model has a finding.", icon=":material/check_circle:")
        return
    shown = of_kinds(table, "severity", Severity, "severity")
    symbols = {model.name: set(scan.symbols()) for model, scan in models}
    links = [
        _link(model, part, part in symbols[model])
        for model, part in zip(shown["model"].astype(str), shown["symbol, version"].astype(str), strict=True)
    ]
    shown = shown.assign(open=links)
    show_table(
        shown, "all-findings", "Findings of all models, errors first", height=rows_height(len(shown), 480),
        config={
            "open": st.column_config.LinkColumn("open", display_text="open", help="Opens it in a new tab"),
            "what": st.column_config.TextColumn(width="large"),
            "remedy": st.column_config.TextColumn(width="large"),
        },
    )  # fmt: skip


def _link(model: str, part: str, is_symbol: bool) -> str:
    if is_symbol:
        return f"/group?{urlencode({'model': model, 'symbol': part, 'tab': 'Findings'})}"
    return f"/versions?{urlencode({'q': part})}" if part else ""
