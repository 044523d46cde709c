"""What one version reports and leans on: figures, confusion, importance, normalizer."""

from __future__ import annotations

import numpy as np
import streamlit as st

from mm_core.dashboard.figures.importance import cumulative_curve, importance_bars
from mm_core.dashboard.figures.versions import confusion, paired_bars
from mm_core.dashboard.palette import palette
from mm_core.dashboard.sections.version import OpenVersion, with_files
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import (
    SHARE,
    rows_height,
    show_figure,
    show_table,
)
from mm_core.dashboard.tables.configs import EVERY_DIGIT
from mm_core.dashboard.tables.versions import (
    classes_table,
    importance_table,
    metrics_table,
    normalizer_table,
)
from mm_core.dashboard.words import counted, plain
from mm_core.domain.versions import Evaluation, Version
from mm_core.evaluation.versions import (
    importance_of,
    reported_metrics,
)

MOST_CLASSES = 30
"""A larger confusion matrix is a table: nobody reads its cells as a figure."""


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


def importance(opened: OpenVersion) -> None:
    """Show what the booster leans on, recomputed from its trees, beside what the files declare."""
    with_files(opened, _importance)


def normalizer(opened: OpenVersion) -> None:
    """Show mean, std and variance of each feature, as the version's files have them."""
    with_files(opened, _normalizer)


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
        st.info("Nobody knows the importance: there is no trained booster that can be read, and no file declares any.")
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
    normalizer, values = files.normalizer, {}
    if opened.held.has_editable_normalizer:
        with errors_as_sentences():
            current = opened.registry.normalizers.get(opened.held.family, opened.held.name)
        values = dict(current.record.values)
        overridden = len(current.config.overridden)
        if overridden:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge(f"{counted(overridden, 'feature')} overridden", icon=":material/tune:", color="blue")
                revision = current.record.revision
                st.caption(f"Revision {revision}. Bots get these numbers; those of the files stand behind.")
    table = normalizer_table(normalizer, values)
    exact = st.column_config.NumberColumn(format=EVERY_DIGIT)
    show_table(
        table, f"{opened.export}-normalizer", "Mean, std and variance of each feature",
        config=dict.fromkeys(("mean", "std", "variance", "fill value", "mean in files", "std in files"), exact)
        | {"feature": st.column_config.TextColumn(width="medium", pinned=True),
           "dim": st.column_config.NumberColumn(width="small")},
        height=rows_height(len(table), 620),
    )  # fmt: skip
