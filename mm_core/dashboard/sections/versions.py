"""All versions: searched and filtered, as cards and as a table, their figures over time, their disk use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mm_core.dashboard.addresses import choose, page_path
from mm_core.dashboard.figures.versions import Point, disk_bars, metric_lines
from mm_core.dashboard.palette import palette
from mm_core.dashboard.sections.choosing_versions import badges, labels_among
from mm_core.dashboard.show import (
    SHARE,
    WHEN,
    Metric,
    choose_row,
    metric_wall,
    offer_exports,
    rows_height,
    show_figure,
    show_table,
)
from mm_core.dashboard.sidebar import in_hand
from mm_core.dashboard.tables.versions import (
    BAD,
    DOUBTFUL,
    KINDS,
    NO_FILES,
    NOT_REGISTERED,
    SOUND,
    disk_table,
    metrics_table,
    state_words,
    status_words,
    versions_table,
)
from mm_core.dashboard.words import counted, plain
from mm_core.domain.lifecycle import Status
from mm_core.evaluation.versions import GAP, TEST, VALIDATION, ReportedMetric, reported_metrics
from mm_core.registry.known_versions import KnownVersion

MOST_CARDS = 24
COLUMNS = 3
MOST_SERIES = 12
FIRST_METRICS = (TEST, VALIDATION, "sharpe_ratio", "accuracy")
"""What the figure over time begins with: the first of these that any version has."""

BYTES = st.column_config.NumberColumn(format="bytes")


def counts(versions: Sequence[KnownVersion]) -> None:
    """Show the counts of all versions together."""
    statuses = [held.status for held in versions]
    registered = sum(status is not None for status in statuses)
    size = sum(held.files.size_bytes for held in versions if held.files is not None)
    metric_wall(
        Metric("Models", len({held.family for held in versions})),
        Metric("Versions", len(versions)),
        Metric("Registered", f"{registered} of {len(versions)}"),
        Metric(
            "Deployed", statuses.count(Status.DEPLOYED), f"{counted(statuses.count(Status.SHADOW), 'shadow')} beside"
        ),
        Metric("Cannot predict", sum(state_words(held) == BAD for held in versions), "Their files have errors"),
        Metric("On disk", size_text(size)),
    )


def filtered(versions: Sequence[KnownVersion]) -> list[KnownVersion]:
    """Return the versions that search and filters ask for; all of them stand in the address."""
    left, right = st.columns([2, 3])
    text = left.text_input(
        "Search", key="q", bind="query-params", placeholder="model, version, directory", icon=":material/search:"
    )
    states = _pills(right, "Files", [BAD, DOUBTFUL, SOUND, NO_FILES], map(state_words, versions), "files")
    every = [*map(str, Status), NOT_REGISTERED]
    statuses = _pills(st.container(), "Status", every, map(status_words, versions), "status")
    wanted = text.strip().casefold()
    return [
        held
        for held in versions
        if (not statuses or status_words(held) in statuses)
        and (not states or state_words(held) in states)
        and (not wanted or any(wanted in part.casefold() for part in _searched(held)))
    ]


def cards(shown: Sequence[KnownVersion], everything: Sequence[KnownVersion]) -> None:
    """Show a card for each of the newest versions, grouped by nothing: the filters do that."""
    newest = shown[:MOST_CARDS]
    labelled = list(zip(newest, labels_among(everything, newest), strict=True))
    for start in range(0, len(labelled), COLUMNS):
        for column, (held, label) in zip(st.columns(COLUMNS), labelled[start : start + COLUMNS], strict=False):
            with column.container(border=True, height="stretch", key=f"version_card_{label}"):
                _card(held, {**in_hand(), "version": label})
    if len(shown) > MOST_CARDS:
        st.caption(f"{MOST_CARDS} of {counted(len(shown), 'version')}. The table has all of them.")


def table(shown: Sequence[KnownVersion], everything: Sequence[KnownVersion]) -> None:
    """Show one row a version; a click on a row opens it."""
    rows = versions_table(shown)
    label = choose_row(
        rows, "versions", "Versions with status, figures, size and findings",
        names=labels_among(everything, shown),
        order=[
            "model", "version", "status", "files are", "latest", "created", VALIDATION, TEST, GAP, "best Sharpe",
            "bytes", "errors", "warnings", "stage", "kind", "tier", "pinned", "registration", "directory",
        ],
        config={
            "model": st.column_config.TextColumn(pinned=True),
            "version": st.column_config.TextColumn(pinned=True),
            "created": WHEN,
            VALIDATION: SHARE,
            TEST: SHARE,
            GAP: st.column_config.NumberColumn(format="%+.4f", help="Validation accuracy minus test accuracy"),
            "best Sharpe": st.column_config.NumberColumn(
                format="%.3f", help="The largest of the run's models: to look at, never to promote by"
            ),
            "bytes": BYTES,
        },
        height=rows_height(len(rows), 620),
    )  # fmt: skip
    if label is not None:
        st.switch_page(page_path("version"), query_params={**in_hand(), "version": label})
    st.caption(f"{counted(len(rows), 'version')}. Click the box of a row to open it.")
    offer_exports(rows, "versions")


def over_time(shown: Sequence[KnownVersion]) -> None:
    """Draw one reported figure of all versions over the time of their creation."""
    reported = [(held, one) for held in shown for one in reported_metrics(held.files, held.record)]
    known = [(held, one) for held, one in reported if one.value is not None]
    if not known:
        st.info("No version reports a figure: metadata, evaluation and registration have none.")
        return
    names = sorted({one.metric for _, one in known})
    first = next((name for name in FIRST_METRICS if name in names), names[0])
    metric = choose("Metric", names, "metric", index=names.index(first), width=320)
    chosen = [(held, one) for held, one in known if one.metric == metric]
    doubtful = sum(bool(one.doubt) for _, one in chosen)
    drawn = chosen
    if doubtful:
        with_doubtful = st.toggle(
            f"Draw {counted(doubtful, 'value')} that cannot be believed", key="doubtful", bind="query-params",
            help="As hollow diamonds; the table says why",
        )  # fmt: skip
        drawn = chosen if with_doubtful else [(held, one) for held, one in chosen if not one.doubt]
    series: dict[str, list[Point]] = {}
    for held, one in drawn:
        name = f"{held.family}: {one.model}" if one.model else held.family
        series.setdefault(name, []).append(
            (datetime.fromisoformat(held.created_at).astimezone(UTC), float(one.value or 0.0), held.name, one.doubt)
        )
    largest = dict(sorted(series.items(), key=lambda pair: -len(pair[1]))[:MOST_SERIES])
    if largest:
        show_figure(metric_lines(largest, metric, palette()), "over_time", f"{metric} of each version by its creation")
    if len(series) > MOST_SERIES:
        st.caption(f"The {MOST_SERIES} longest of {len(series)} series. Search for a model to see the others.")
    show_table(
        metrics_table(chosen), "version-metrics", f"{metric} of each version",
        height=rows_height(len(chosen), 320), config={"created": WHEN},
    )  # fmt: skip


def disk_use(shown: Sequence[KnownVersion]) -> None:
    """Show how much each model's versions take, and how much of it is in use."""
    found = disk_table(shown)
    if found.empty:
        st.info("None of these versions has files below a registered root.")
        return
    rows = list(zip(found["model"].astype(str), found["bytes"].astype(int), found["in use"].astype(int), strict=True))
    show_figure(disk_bars(rows[:40], palette()), "disk", "Bytes of each model's versions, in use and not in use")
    st.caption("In use: deployed, shadow, pinned, or what latest names. A cleanup's plan says what may go.")
    show_table(
        found, "version-disk-use", "Disk use by model",
        config={"bytes": BYTES, "in use": BYTES, "deprecated": BYTES},
    )  # fmt: skip


def size_text(size: int) -> str:
    """Return bytes in the largest unit of which there is at least one: ``3.1 MB``."""
    amount, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"


def _card(held: KnownVersion, address: dict[str, str]) -> None:
    st.caption(plain(held.family))
    st.page_link(page_path("version"), label=f"**{plain(held.name)}**", query_params=address)
    with st.container(horizontal=True, gap="xxsmall"):
        badges(held)
    files = held.files
    facts = [f"{pd.Timestamp(held.created_at):%Y-%m-%d %H:%M} UTC"]
    if files is not None:
        facts += [KINDS[files.layout], size_text(files.size_bytes)]
    st.caption(" · ".join(facts))
    figures = [
        f"{one.name} {_number(one)}{' (doubtful)' if one.doubt else ''}"
        for one in reported_metrics(files, held.record)
        if one.value is not None and one.metric in (VALIDATION, TEST, GAP, "sharpe_ratio", "accuracy")
    ]
    st.markdown("  \n".join(map(plain, figures[:4])) if figures else ":gray[no figures reported]")


def _number(one: ReportedMetric) -> str:
    value = one.value if one.value is not None else 0.0
    if one.metric == GAP:
        return f"{value * 100:+.1f} points"
    return f"{value:.1%}" if "accuracy" in one.metric else f"{value:.3f}"


def _searched(held: KnownVersion) -> tuple[str, ...]:
    return held.family, held.name, held.directory or "", held.registration or ""


def _pills(place: DeltaGenerator, label: str, kinds: Sequence[str], present: Iterable[str], key: str) -> list[str]:
    there = set(present)
    chosen: list[str] = place.pills(
        label, [kind for kind in kinds if kind in there], selection_mode="multi", key=key, bind="query-params"
    )
    return chosen
