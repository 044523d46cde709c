"""One version: where it stands, and a tab for each side of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from mm_core.dashboard.addresses import page_path
from mm_core.dashboard.figures.importance import cumulative_curve, importance_bars
from mm_core.dashboard.figures.versions import confusion, paired_bars
from mm_core.dashboard.palette import palette
from mm_core.dashboard.sections.choosing_versions import (
    all_versions,
    badges,
    choose,
    how_to_register,
    labels_of,
)
from mm_core.dashboard.sections.group import SEVERITY_COLORS
from mm_core.dashboard.sections.moving import moves
from mm_core.dashboard.sections.versions import size_text
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import (
    MISSING,
    SHARE,
    WHEN,
    Metric,
    draw_table,
    metric_wall,
    offer_exports,
    rows_height,
    show_figure,
    show_table,
)
from mm_core.dashboard.sidebar import in_hand
from mm_core.dashboard.tables.factors import one_sided_parameters
from mm_core.dashboard.tables.models import findings_table
from mm_core.dashboard.tables.versions import (
    classes_table,
    events_table,
    importance_table,
    metrics_table,
    normalizer_table,
    version_files_table,
)
from mm_core.dashboard.words import plain
from mm_core.domain.versions import Evaluation, Version
from mm_core.evaluation.versions import (
    GAP,
    TEST,
    VALIDATION,
    feature_names,
    importance_of,
    reported_metrics,
    version_parameters,
)
from mm_core.registry import Registry
from mm_core.registry.held_versions import HeldVersion

MOST_FINDINGS = 20
MOST_CLASSES = 30
"""A larger confusion matrix is a table: nobody reads its cells as a figure."""


@dataclass(frozen=True, slots=True)
class OpenVersion:
    """The version in hand, what its address calls it, and the registry that it came from."""

    registry: Registry
    label: str
    held: HeldVersion

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
        moves(opened.registry, held.record)
    else:
        how_to_register(held)


def metrics(opened: OpenVersion) -> None:
    """Show every reported figure, the confusion matrix and each class."""
    held = opened.held
    reported = reported_metrics(held.files, held.record)
    evaluation = held.files.evaluation if held.files is not None else None
    if not reported and evaluation is None:
        st.info("Nothing reports a figure: neither the metadata, nor an evaluation, nor the registration.")
        return
    doubtful = [one for one in reported if one.doubt]
    for one in doubtful[:3]:
        st.warning(f"{plain(one.name)} = {one.value:g} cannot be believed: {plain(one.doubt)}.")
    if evaluation is not None and (evaluation.confusion_matrix or evaluation.per_class):
        left, right = st.columns([1, 1])
        with left:
            _confusion(opened, evaluation)
        with right:
            _classes(opened, evaluation)
    table = metrics_table((held, one) for one in reported).drop(columns=["model", "version", "created"])
    if not any(table["of"]):
        table = table.drop(columns="of")
    if not any(table["doubt"]):
        table = table.drop(columns="doubt")
    st.subheader("Reported figures", anchor=False)
    show_table(
        table, f"{opened.export}-metrics", "Every figure that files or registration report",
        config={"value": st.column_config.NumberColumn(format="%.6g")}, height=rows_height(len(table), 420),
    )  # fmt: skip


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
    table = table.rename(columns={"symbol": "version"})
    if len(table) > MOST_FINDINGS:
        draw_table(table, "findings", "All findings with file, line and remedy")
    offer_exports(table, f"{opened.export}-findings")


def importance(opened: OpenVersion) -> None:
    """Show what the booster leans on, recomputed from its trees, beside what the files declare."""
    with_files(opened, _importance)


def normalizer(opened: OpenVersion) -> None:
    """Show mean, std and variance of each feature, as the version's files have them."""
    with_files(opened, _normalizer)


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


def _no_files(held: HeldVersion) -> None:
    st.info(
        f"No registered root holds files of {plain(held.title)}: it is registered, and nothing more is known. Register "
        "the directory around its model on the overview."
    )


def _figures(held: HeldVersion) -> None:
    found = {one.metric: one.value for one in reported_metrics(held.files, held.record) if not one.model}
    booster = held.files.booster if held.files is not None else None
    run = held.files.run if held.files is not None else None
    size = size_text(held.files.size_bytes) if held.files is not None else MISSING
    if run is not None:
        sharpe = run.best_sharpe
        metric_wall(
            Metric("Models", len(run.trained_models) or len(run.performance_metrics)),
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


def _class_names(evaluation: Evaluation, count: int) -> list[str]:
    names = list(evaluation.per_class)
    return names if len(names) == count else [str(at) for at in range(count)]


def _confusion(opened: OpenVersion, evaluation: Evaluation) -> None:
    st.subheader("Confusion", anchor=False)
    matrix = evaluation.confusion_matrix
    if not matrix:
        st.caption("The evaluation has no confusion matrix.")
        return
    metadata = opened.held.files.metadata if opened.held.files is not None else None
    declared = list(metadata.classes) if metadata is not None else []
    names = declared if len(declared) == len(matrix) else _class_names(evaluation, len(matrix))
    if len(matrix) <= MOST_CLASSES:
        show_figure(
            confusion(matrix, names, palette()), "confusion", "How often each true class was predicted as which"
        )
    else:
        st.caption(f"{len(matrix)} classes are too many to draw.")


def _classes(opened: OpenVersion, evaluation: Evaluation) -> None:
    st.subheader("Classes", anchor=False)
    if not evaluation.per_class:
        st.caption("The evaluation tells no class apart.")
        return
    table = classes_table(evaluation)
    show_table(
        table, f"{opened.export}-classes", "Precision, recall and F1 of each class",
        config={name: st.column_config.NumberColumn(format="%.3f")
                for name in ("precision", "recall", "F1")},
        height=rows_height(len(table), 420),
    )  # fmt: skip


def _importance(opened: OpenVersion, files: Version) -> None:
    found = importance_of(files)
    if not found:
        st.info("Nobody knows the importance: there is no booster that can be read, and no file declares any.")
        return
    known = [(one.feature, one.gain_share) for one in found if one.gain_share is not None]
    if known:
        names, shares = [name for name, _ in known], [share for _, share in known]
        left, right = st.columns([3, 2])
        with left:
            st.subheader("Largest shares of gain", anchor=False)
            show_figure(
                importance_bars(names, np.array(shares, float), 20, palette()),
                "gain",
                "The twenty largest shares of gain",
            )
        with right:
            st.subheader("Cumulative importance", anchor=False)
            show_figure(
                cumulative_curve(np.array(shares, float), palette()),
                "cumulative",
                "Share of gain of the largest features",
            )
    declared = [one for one in found if one.declared is not None]
    table = importance_table(found)
    if declared and known:
        total = sum(max(one.declared or 0.0, 0.0) for one in declared)
        splits = sum(one.splits or 0 for one in found)
        if total and splits:
            st.subheader("Recomputed beside declared", anchor=False)
            st.caption("Shares of all splits: LightGBM declares splits where nothing else was asked for.")
            top = found[:12]
            show_figure(
                paired_bars(
                    [one.feature for one in top],
                    {
                        "recomputed from the trees": [(one.splits or 0) / splits for one in top],
                        "declared by the files": [(one.declared or 0.0) / total for one in top],
                    },
                    "share",
                    palette(),
                ),
                "declared",
                "Share of splits of the largest features, recomputed beside declared",
            )
    show_table(
        table, f"{opened.export}-importance", "Importance of each feature", config={"gain share": SHARE},
        height=rows_height(len(table), 420),
    )  # fmt: skip


def _normalizer(opened: OpenVersion, files: Version) -> None:
    if files.normalizer is None:
        st.info("There is no normalizer that can be read; the findings say why.")
        return
    st.caption("Normalized value = (x − mean) / std, 0 where the std is 0. The variance is std².")
    table = normalizer_table(files.normalizer)
    plain_number = st.column_config.NumberColumn(format="plain")
    show_table(
        table, f"{opened.export}-normalizer", "Mean, std and variance of each feature",
        config=dict.fromkeys(("mean", "std", "variance", "fill value"), plain_number)
        | {"feature": st.column_config.TextColumn(width="large", pinned=True),
           "dim": st.column_config.NumberColumn(width="small")},
        height=rows_height(len(table), 620),
    )  # fmt: skip


def _files(opened: OpenVersion, files: Version) -> None:
    held = opened.held
    assert held.registration is not None
    assert held.root_path is not None
    with errors_as_sentences(), st.spinner("Reading the files once for their digests …"):
        digests = opened.registry.registrations.file_digests(held.registration, files)
    show_table(
        version_files_table(files, held.root_path, digests), f"{opened.export}-files",
        "Files of the version with size, time and SHA-256",
        config={"modified": WHEN, "bytes": st.column_config.NumberColumn(format="localized")},
    )  # fmt: skip
