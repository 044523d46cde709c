"""One version: where it stands, and a tab for each side of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from mm_core.dashboard.addresses import choose, page_path
from mm_core.dashboard.sections.choosing_versions import (
    all_versions,
    badges,
    how_to_register,
    labels_of,
)
from mm_core.dashboard.sections.group import SEVERITY_COLORS
from mm_core.dashboard.sections.moving import moving, offer_moves
from mm_core.dashboard.sections.pinning import offer_pin, pinning
from mm_core.dashboard.sections.versions import size_text
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import (
    MISSING,
    WHEN,
    Metric,
    draw_table,
    metric_wall,
    offer_exports,
    rows_height,
    show_table,
)
from mm_core.dashboard.sidebar import in_hand
from mm_core.dashboard.tables.factors import one_sided_parameters
from mm_core.dashboard.tables.models import files_table, findings_table
from mm_core.dashboard.tables.versions import (
    events_table,
)
from mm_core.dashboard.words import plain
from mm_core.domain.versions import Version
from mm_core.evaluation.versions import (
    GAP,
    TEST,
    VALIDATION,
    feature_names,
    reported_metrics,
    version_parameters,
)
from mm_core.registry import Registry
from mm_core.registry.known_versions import KnownVersion

MOST_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class OpenVersion:
    """The version in hand, what its address calls it, and the registry that it came from."""

    registry: Registry
    label: str
    held: KnownVersion

    @property
    def export(self) -> str:
        """How names of its exports begin."""
        return f"{self.held.family}-{self.held.name}"


def open_version(registry: Registry) -> OpenVersion:
    """Let a reader choose a version, or say how to get one and end the page."""
    labels = labels_of(all_versions(registry))
    label = choose("Version", list(labels), "version")
    return OpenVersion(registry, label, labels[label])


def header(opened: OpenVersion) -> None:
    """Show the version at a glance, and where to go from here."""
    held = opened.held
    st.subheader(plain(held.title), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        badges(held)
        st.page_link(
            page_path("compare_versions"),
            label="Compare",
            icon=":material/compare_arrows:",
            query_params={**in_hand(), "a": opened.label},
        )
        if held.has_editable_normalizer:
            st.page_link(
                page_path("config"),
                label="Edit normalization",
                icon=":material/tune:",
                query_params={**in_hand(), "of": opened.label},
            )
        if held.record is not None:
            st.page_link(
                page_path("lifecycle"),
                label="Lifecycle",
                icon=":material/timeline:",
                query_params={**in_hand(), "family": held.family},
            )
    _figures(held)
    made = "created" if held.files is not None else "registered"
    st.caption(f"{made} {held.created_at[:16].replace('T', ' ')} UTC · {plain(held.directory or 'no files')}")
    if held.record is not None:
        with st.container(horizontal=True):
            offer_moves(held.record)
            offer_pin(held.record)
        moving(opened.registry, held.record)
        pinning(opened.registry, held.record)
    else:
        how_to_register(held)
        st.page_link(
            page_path("versions"),
            label="Register it here",
            icon=":material/how_to_reg:",
            query_params={**in_hand(), "show": "Register", "unregistered": opened.label},
        )


def findings(opened: OpenVersion) -> None:
    """Show what is wrong with the version's files, where, and what to do."""
    held = opened.held
    if held.files is None:
        _no_files(held)
        return
    if not held.findings:
        st.success("Nothing is wrong with this version's files.")
        return
    ordered = sorted(held.findings, key=lambda finding: finding.severity.rank)
    for finding in ordered[:MOST_FINDINGS]:
        with st.container(border=True):
            with st.container(horizontal=True):
                st.badge(str(finding.severity), color=SEVERITY_COLORS[finding.severity])
                st.badge(finding.code, color="gray")
            st.text(f"{finding.place}\n{finding.detail}\n{finding.remedy}")
    table = findings_table((held.family, held.name, finding) for finding in ordered)
    table = table.rename(columns={"symbol, version": "version"})
    if len(table) > MOST_FINDINGS:
        draw_table(table, "findings", "All findings with file, line and remedy")
    offer_exports(table, f"{opened.export}-findings")


def parameters(opened: OpenVersion) -> None:
    """Show what the files say of model and training."""

    def draw(files: Version) -> None:
        show_table(
            one_sided_parameters(version_parameters(files)), f"{opened.export}-parameters", "Parameters and facts",
            height=rows_height(len(version_parameters(files)), 620),
        )  # fmt: skip

    with_files(opened, lambda _, files: draw(files))


def files(opened: OpenVersion) -> None:
    """Show the files with size, time and digest."""
    with_files(opened, _files)


def events(opened: OpenVersion) -> None:
    """Show what happened to the version, the newest first."""
    held = opened.held
    if held.record is None:
        st.info("Nothing is kept of a version that nobody registered.")
        return
    with errors_as_sentences():
        happened = opened.registry.lifecycle.history(held.family)
    table = events_table([event for event in happened if event.version == held.name]).drop(columns="version")
    show_table(
        table, f"{opened.export}-events", "Events of this version, the newest first",
        height=rows_height(len(table), 480),
        config={"at": WHEN, "why": st.column_config.TextColumn(width="large")},
    )  # fmt: skip


def with_files(opened: OpenVersion, draw: Callable[[OpenVersion, Version], None]) -> None:
    """Draw what needs the files of a version, or say that no registered root holds them."""
    if opened.held.files is None:
        _no_files(opened.held)
    else:
        draw(opened, opened.held.files)


def _no_files(held: KnownVersion) -> None:
    st.info(
        f"No registered root holds files of {plain(held.title)}: it is registered, and nothing more is known. Register "
        "the directory around its model on the overview."
    )


def _figures(held: KnownVersion) -> None:
    found = {one.metric: one.value for one in reported_metrics(held.files, held.record) if not one.model}
    booster = held.files.booster if held.files is not None else None
    run = held.files.run if held.files is not None else None
    size = size_text(held.files.size_bytes) if held.files is not None else MISSING
    if run is not None:
        sharpe = run.best_sharpe
        metric_wall(
            Metric("Models", len(run.trained_models) or len(run.performance_metrics)),
            Metric("Bots get", (held.files and held.files.run_model) or MISSING, "The model that they are given"),
            Metric("Trees", booster.num_trees if booster is not None else MISSING, "Of the model that bots get"),
            Metric("Best Sharpe", f"{sharpe:.3f}" if sharpe is not None else MISSING, "Never a reason to promote"),
            Metric("Doubtful figures", len(run.implausible_metrics)),
            Metric("Size", size),
        )
        return
    gap = found.get(GAP)
    metric_wall(
        Metric("Features", len(feature_names(held.files)) if held.files is not None else MISSING),
        Metric("Trees", booster.num_trees if booster is not None else MISSING),
        Metric("Validation", _share(found.get(VALIDATION)), "Accuracy in validation, as the metadata says"),
        Metric("Test", _share(found.get(TEST)), "Accuracy of the test evaluation"),
        Metric("Gap", f"{gap * 100:+.1f} pts" if gap is not None else MISSING, "Validation minus test accuracy"),
        Metric("Size", size),
    )


def _share(value: float | None) -> str:
    return f"{value:.1%}" if value is not None else MISSING


def _files(opened: OpenVersion, files: Version) -> None:
    held = opened.held
    assert held.registration is not None
    assert held.root_path is not None
    with errors_as_sentences(), st.spinner("Reading the files once for their digests …"):
        digests = opened.registry.registrations.file_digests(held.registration, files)
    show_table(
        files_table(files.files, held.root_path, digests), f"{opened.export}-files",
        "Files of the version with size, time and SHA-256",
        config={"modified": WHEN, "bytes": st.column_config.NumberColumn(format="localized")},
    )  # fmt: skip
