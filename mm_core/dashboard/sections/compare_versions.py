"""Two versions side by side: figures, generalization gap, parameters, features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from mm_core.dashboard.addresses import choose, page_path
from mm_core.dashboard.figures.bars import signed_bars
from mm_core.dashboard.figures.comparison import largest_changes
from mm_core.dashboard.figures.versions import paired_bars
from mm_core.dashboard.palette import palette
from mm_core.dashboard.sections.choosing_versions import all_versions, badges, labels_of
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import (
    CHANGE,
    MISSING,
    SHARE,
    Metric,
    metric_wall,
    rows_height,
    show_figure,
    show_table,
)
from mm_core.dashboard.sidebar import in_hand
from mm_core.dashboard.tables.configs import EVERY_DIGIT
from mm_core.dashboard.tables.factors import parameters_table
from mm_core.dashboard.tables.versions import compared_metrics_table, feature_shifts_table
from mm_core.dashboard.words import counted, plain
from mm_core.domain.normalizers import laid_over
from mm_core.domain.versions import Version
from mm_core.evaluation.comparison import parameter_pairs
from mm_core.evaluation.versions import (
    GAP,
    TEST,
    VALIDATION,
    FeatureShift,
    feature_shifts,
    reported_metrics,
    version_parameters,
)
from mm_core.registry import Registry
from mm_core.registry.known_versions import KnownVersion

MOST_BARS = 15
CHANGES = ("gained", "lost", "moved", "kept")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions with what lists call them, and the registry that they came from."""

    registry: Registry
    a: KnownVersion
    b: KnownVersion
    titles: tuple[str, str]


def choose_pair(registry: Registry) -> Pair:
    """Let a reader choose two versions, or say why there are none to compare and end the page.

    B begins as the version of the same model before A, as it is listed.
    """
    labels = labels_of(all_versions(registry))
    names = list(labels)
    if len(names) < 2:
        st.info("There is one version only. Register the root of another to compare with.")
        st.stop()
    left, right = st.columns(2)
    with left:
        a = choose("Version A", names, "a", noun="version")
        _glance(labels[a], a)
    first = names.index(a)
    same = [at for at, name in enumerate(names) if at != first and labels[name].family == labels[a].family]
    older = [at for at in same if at > first]
    second = (older or same or [(first + 1) % len(names)])[0]
    with right:
        b = choose("Version B", names, "b", index=second, noun="version", beside="a")
        _glance(labels[b], b)
    return Pair(registry, labels[a], labels[b], (a, b))


def header(pair: Pair) -> None:
    """Show how alike both versions are."""
    if pair.a is pair.b:
        st.info("A and B are the same version. Choose another one.")
    one, other = pair.a.files, pair.b.files
    if one is None or other is None:
        return
    shifts = feature_shifts(one, other)
    counts = {change: sum(shift.change == change for shift in shifts) for change in CHANGES}
    same_model = one.model is not None and other.model is not None and one.model.sha256 == other.model.sha256
    gaps = [_figure(held, GAP) for held in (pair.a, pair.b)]
    metric_wall(
        Metric("Same model", "yes" if same_model else "no" if one.model and other.model else MISSING, "Byte for byte"),
        Metric("Features in both", counts["kept"] + counts["moved"]),
        Metric("Gained", counts["gained"], "In B, not in A"),
        Metric("Lost", counts["lost"], "In A, not in B"),
        Metric("Gap of A", _points(gaps[0]), "Validation minus test accuracy"),
        Metric("Gap of B", _points(gaps[1]), "Validation minus test accuracy"),
    )
    if same_model and pair.a is not pair.b:
        st.warning("Both have the same model, byte for byte: one of them is a copy.", icon=":material/content_copy:")


def metrics(pair: Pair) -> None:
    """Show every figure that either version reports."""
    left, right = (reported_metrics(held.files, held.record) for held in (pair.a, pair.b))
    if not left and not right:
        st.info("Neither version reports a figure.")
        return
    table = compared_metrics_table(left, right)
    if not any(table["doubt"]):
        table = table.drop(columns="doubt")
    number = st.column_config.NumberColumn(format="%.6g")
    show_table(
        table, "versions-metrics", "Figures of both versions", config={"A": number, "B": number, "Δ": CHANGE},
        height=rows_height(len(table), 560),
    )  # fmt: skip


def gap(pair: Pair) -> None:
    """Draw validation beside test accuracy of both versions: what is left of a figure on data not seen before."""
    rows = {
        f"{side} {held.name}": (_figure(held, VALIDATION), _figure(held, TEST))
        for side, held in (("A", pair.a), ("B", pair.b))
    }
    if all(value is None for pairs in rows.values() for value in pairs):
        st.info("Neither version reports accuracies of validation and test. They come from metadata and evaluation.")
        return
    show_figure(
        paired_bars(
            list(rows),
            {
                "validation": [validation for validation, _ in rows.values()],
                "test": [test for _, test in rows.values()],
            },
            "accuracy",
            palette(),
        ),
        "gap",
        "Validation and test accuracy of both versions",
    )
    for (label, (validation, test)), held in zip(rows.items(), (pair.a, pair.b), strict=True):
        majority = _figure(held, "majority baseline")
        if validation is None or test is None:
            st.markdown(f"**{plain(label)}**: validation or test accuracy is missing, so there is no gap.")
            continue
        said = (
            f"**{plain(label)}**: {validation:.1%} in validation, {test:.1%} in test, gap {_points(validation - test)}"
        )
        if majority is not None:
            said += f"; always guessing the most frequent class gives {majority:.1%}"
        st.markdown(f"{said}.")


def parameters(pair: Pair) -> None:
    """Show the parameters of both versions, at first those that differ."""
    if not _both_have_files(pair):
        return
    assert pair.a.files is not None
    assert pair.b.files is not None
    differing = st.toggle("Only those that differ", value=True, key="differing", bind="query-params")
    pairs = parameter_pairs(version_parameters(pair.a.files), version_parameters(pair.b.files))
    table = parameters_table(pairs)
    if differing:
        table = table[table["differs"] == "yes"]
        if table.empty:
            st.caption(f"All {len(pairs)} parameters are the same.")
            return
    show_table(table, "versions-parameters", "Parameters of both versions", height=rows_height(len(table), 560))


def features(pair: Pair) -> None:
    """Show what became of every feature: its place, its share of gain, the normalization that bots get."""
    if not _both_have_files(pair):
        return
    shifts = feature_shifts(_as_bots_get_it(pair.registry, pair.a), _as_bots_get_it(pair.registry, pair.b))
    if not shifts:
        st.info("Neither version names its features. They come from the booster, the normalizer or the metadata.")
        return
    rows = largest_changes([(one.feature, _share_change(one)) for one in shifts], MOST_BARS)
    if rows and _both_know_gain(shifts):
        st.subheader("Largest change of gain share, from A to B", anchor=False)
        show_figure(signed_bars(rows, "Δ gain share", "+.1%", palette()), "gain_change", "Change of gain share")
    there = [change for change in CHANGES if any(one.change == change for one in shifts)]
    kinds = st.pills("Features", there, selection_mode="multi", key="change", bind="query-params")
    table = feature_shifts_table([one for one in shifts if not kinds or one.change in kinds])
    exact = st.column_config.NumberColumn(format=EVERY_DIGIT)
    show_table(
        table, "versions-features", "Features of both versions",
        config={"feature": st.column_config.TextColumn(pinned=True), "gain share A": SHARE, "gain share B": SHARE}
        | dict.fromkeys(("mean A", "mean B", "std A", "std B"), exact),
        height=rows_height(len(table), 480),
    )  # fmt: skip
    st.caption(f"{counted(len(table), 'feature')}. Mean and std are what people set, else what the files say.")


def _glance(held: KnownVersion, title: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        badges(held)
        st.page_link(
            page_path("version"),
            label="Open",
            icon=":material/open_in_new:",
            query_params={**in_hand(), "version": title},
        )


def _both_have_files(pair: Pair) -> bool:
    lost = [held.title for held in (pair.a, pair.b) if held.files is None]
    if lost:
        st.info(f"No registered root holds files of {plain(' and '.join(lost))}.")
    return not lost


def _figure(held: KnownVersion, metric: str) -> float | None:
    files: Version | None = held.files
    return next((one.value for one in reported_metrics(files, None) if one.metric == metric and not one.model), None)


def _as_bots_get_it(registry: Registry, held: KnownVersion) -> Version:
    """Return what a version's files say, with what people set laid over its normalizer."""
    files = held.files
    assert files is not None
    if files.normalizer is None or not held.has_editable_normalizer:
        return files  # nothing can be set for it
    with errors_as_sentences():
        current = registry.normalizers.get(held.family, held.name)
    return replace(files, normalizer=laid_over(files.normalizer, current.record.values))


def _share_change(one: FeatureShift) -> float | None:
    before, after = one.gain_shares
    return (after or 0.0) - (before or 0.0) if before is not None or after is not None else None


def _both_know_gain(shifts: Sequence[FeatureShift]) -> bool:
    """Return whether either side knows a share of gain: what one does not know at all, it did not lose."""
    return all(any(one.gain_shares[side] is not None for one in shifts) for side in (0, 1))


def _points(value: float | None) -> str:
    return f"{value * 100:+.1f} pts" if value is not None else MISSING
