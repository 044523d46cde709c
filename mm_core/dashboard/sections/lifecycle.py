"""Who was deployed when: the timeline of a family, one moment of it, deployments and events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from mm_core.dashboard.addresses import choose, page_path
from mm_core.dashboard.figures.versions import status_timeline
from mm_core.dashboard.page import now
from mm_core.dashboard.palette import palette
from mm_core.dashboard.sections.choosing_versions import STATUS_LOOKS, all_versions, how_to_register
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import MISSING, WHEN, Metric, metric_wall, rows_height, show_figure, show_table
from mm_core.dashboard.sidebar import in_hand
from mm_core.dashboard.tables.versions import deployments_table, events_table
from mm_core.dashboard.words import counted, plain
from mm_core.domain.deployments import Deployment, deployments
from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionEvent, VersionRecord
from mm_core.evaluation.versions import status_spans
from mm_core.registry import Registry

LIMIT = 520
"""Height of the timeline before it scrolls, in pixels."""


@dataclass(frozen=True, slots=True)
class OpenFamily:
    """A family with its records and everything that happened to it, oldest first."""

    registry: Registry
    name: str
    aliases: tuple[str, ...]
    records: tuple[VersionRecord, ...]
    events: tuple[VersionEvent, ...]


def open_family(registry: Registry) -> OpenFamily:
    """Let a reader choose a family, or say how to get one and end the page."""
    with errors_as_sentences():
        families = {family.name: family for family in registry.view().lifecycle.families()}
        damaged = registry.lifecycle.damaged()
    for name, detail in damaged.items():
        st.error(f"What is registered of **{plain(name)}** cannot be read. {plain(detail)}")
    if not families:
        how_to_register(all_versions(registry)[0])
        st.stop()
    name = choose("Family", list(families), "family")
    with errors_as_sentences():
        view = registry.view()
        records, events = view.lifecycle.records(name), view.lifecycle.events(name)
    return OpenFamily(registry, name, families[name].aliases, records, events)


def header(opened: OpenFamily) -> None:
    """Show what is deployed now, since when and by whom."""
    found = deployments(opened.events)
    lasting = next((one for one in reversed(found) if one.until is None), None)
    shadows = [record.model_version for record in opened.records if record.status is Status.SHADOW]
    metric_wall(
        Metric("Deployed now", lasting.version if lasting is not None else "nothing"),
        Metric("For", _for_days(lasting), f"Since {_minute(lasting.since)} UTC" if lasting is not None else None),
        Metric("By", lasting.by if lasting is not None else MISSING, _why(lasting)),
        Metric("Shadows", len(shadows), ", ".join(shadows) or "None runs beside it"),
        Metric("Deployments", len(found)),
        Metric("Versions", len(opened.records)),
    )
    if opened.aliases:
        st.caption(f"Also called {plain(', '.join(opened.aliases))}.")


def timeline(opened: OpenFamily, moment: datetime | None) -> None:
    """Draw every status of every version over time, with a line at the moment that is asked about."""
    spans = status_spans(opened.events)
    if not spans:
        st.info("Nothing happened to a version of this model yet.")
        return
    figure = status_timeline(spans, now(), moment, palette())
    with st.container(height=LIMIT if figure.layout.height > LIMIT else "content", border=False):
        show_figure(figure, "lifecycle", "Status of each version over time, what is deployed as a thick bar")


def choose_moment() -> datetime | None:
    """Return the moment that a reader asks about, None where they ask about none; the address keeps it."""
    chosen: datetime | None = st.datetime_input(
        "What was deployed at … (UTC)", value=None, key="at", bind="query-params", format="YYYY-MM-DD", step=60,
        width=320,
    )  # fmt: skip
    return chosen.replace(tzinfo=UTC) if chosen is not None else None


def at_moment(opened: OpenFamily, moment: datetime | None) -> None:
    """Say what was deployed at a moment, since when, by whom and why, and what the registry said of it then."""
    if moment is None:
        return
    with errors_as_sentences():
        then = opened.registry.lifecycle.deployed_at(opened.name, moment)
    said = f"{moment:%Y-%m-%d %H:%M} UTC"
    with st.container(border=True):
        if moment > now():
            st.caption("That moment is still to come: this is what is deployed now.")
        if then is None:
            st.markdown(f"**Nothing** of {plain(opened.name)} was deployed at {said}.")
            return
        one, record = then.deployment, then.record
        icon, color = STATUS_LOOKS[Status.DEPLOYED]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(f"deployed at {said}", icon=icon, color=color)
            st.markdown(f"**{plain(opened.name)} {plain(one.version)}**")
        st.markdown(f"Deployed {_minute(one.since)} UTC by **{plain(one.by)}**: {_said(one.why)}")
        if one.until is not None:
            st.markdown(
                f"Until {_minute(one.until)} UTC, by **{plain(one.ended_by or MISSING)}**: {_said(one.ended_why)}"
            )
        else:
            st.markdown("It is still deployed.")
        scores = [
            f"{name} {value:g}"
            for name, value in (("validation score", record.validation_score), ("test score", record.test_score))
            if value is not None
        ]
        st.caption(
            f"Registered then as {plain(record.model_type)} for {plain(record.objective)} of "
            f"{plain(record.target_variable)}, {plain(record.prediction_horizon)} ahead"
            + (f"; {', '.join(scores)}" if scores else "")
            + "."
        )


def deployed(opened: OpenFamily) -> None:
    """Show every deployment, the newest first."""
    found = deployments(opened.events)
    if not found:
        st.info("No version of this model was ever deployed.")
        return
    table = deployments_table(found)
    show_table(
        table, f"{opened.name}-deployments", "Deployments, the newest first", height=rows_height(len(table), 420),
        config={"since": WHEN, "until": WHEN, "why": st.column_config.TextColumn(width="large")},
    )  # fmt: skip


def happened(opened: OpenFamily) -> None:
    """Show everything that happened to the family, the newest first."""
    table = events_table(opened.events)
    show_table(
        table, f"{opened.name}-events", "Events, the newest first", height=rows_height(len(table), 480),
        config={"at": WHEN, "why": st.column_config.TextColumn(width="large")},
    )  # fmt: skip


def leads(opened: OpenFamily) -> None:
    """Lead to the family's versions."""
    st.page_link(
        page_path("versions"),
        label="All versions of this model",
        icon=":material/layers:",
        query_params={**in_hand(), "q": opened.name},
    )


def _for_days(one: Deployment | None) -> str:
    if one is None:
        return MISSING
    days = (now() - datetime.fromisoformat(one.since)).days
    return counted(days, "day") if days > 0 else "today"


def _minute(stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M}"


def _why(one: Deployment | None) -> str | None:
    return one.why or None if one is not None else None


def _said(why: str | None) -> str:
    return f"“{plain(why)}”" if why else "no reason is kept."
