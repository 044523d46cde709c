"""One group: its header, and a tab for each side of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import streamlit as st

from mm_core.dashboard.addresses import page_path
from mm_core.dashboard.editor.kept import Place
from mm_core.dashboard.figures import ic as ic_figures
from mm_core.dashboard.figures import importance as importance_figures
from mm_core.dashboard.figures import trees as tree_figures
from mm_core.dashboard.numbers import booster_of
from mm_core.dashboard.page import OpenGroup, now
from mm_core.dashboard.palette import palette
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import (
    MISSING,
    TAU,
    WHEN,
    Metric,
    draw_table,
    metric_wall,
    offer_exports,
    rows_height,
    show_figure,
    show_table,
)
from mm_core.dashboard.tables.configs import EVERY_DIGIT
from mm_core.dashboard.tables.factors import factor_table, one_sided_parameters
from mm_core.dashboard.tables.models import files_table, findings_table, why_unserved
from mm_core.dashboard.words import counted, plain
from mm_core.domain.findings import Severity
from mm_core.evaluation.boosters import BoosterStatistics
from mm_core.evaluation.comparison import group_parameters
from mm_core.evaluation.ic import summarize
from mm_core.evaluation.importance import Importance, Standing, factors_for, group_importance, standings
from mm_core.evaluation.training import Freshness, freshness, training_window
from mm_core.registry.configs import CurrentConfig

AGE_COLORS: dict[Freshness, Literal["green", "orange", "red", "gray"]] = {
    Freshness.FRESH: "green",
    Freshness.AGEING: "orange",
    Freshness.STALE: "red",
    Freshness.FUTURE: "red",
    Freshness.UNKNOWN: "gray",
}

SEVERITY_COLORS: dict[Severity, Literal["red", "orange", "blue"]] = {
    Severity.ERROR: "red", Severity.WARNING: "orange", Severity.INFO: "blue",
}  # fmt: skip
MOST_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tabs of a group share: ``trees`` is None where the model cannot be looked into, ``why`` says why."""

    config: CurrentConfig
    trees: BoosterStatistics | None
    why: str
    importance: Importance | None
    standings: tuple[Standing, ...]


def facts_of(opened: OpenGroup) -> Facts:
    """Return the config, the booster's figures and the importance of a group."""
    group = opened.group
    with errors_as_sentences():
        config = opened.registry.configs.get(opened.name, group.symbol, group.group_key)
        trees, why = booster_of(opened.registry, opened.name, group)
    importance = group_importance(group, trees)
    marks = standings(group.factors.taus, importance.share) if importance is not None else ()
    return Facts(config, trees, why, importance, marks)


def header(opened: OpenGroup, facts: Facts) -> None:
    """Show what the group is at a glance, and where to go from here."""
    group = opened.group
    age = training_window(group.training).age_days(now())
    mark = freshness(age)
    edited = Place(opened.name, group.symbol)
    with st.container(horizontal=True, vertical_alignment="center"):
        if group.payload_ready:
            st.badge("ready for bots", icon=":material/check:", color="green")
        else:
            st.badge("bots get 404", icon=":material/block:", color="red")
        st.badge(
            _age_words(mark, age),
            icon=":material/schedule:",
            color=AGE_COLORS[mark],
        )
        st.badge(f"config revision {facts.config.record.revision}", color="blue")
        if group.findings:
            st.badge(counted(len(group.findings), "finding"), icon=":material/warning:", color="orange")
        st.page_link(
            page_path("config"), label="Edit normalization", icon=":material/tune:", query_params=edited.address
        )
        st.page_link(
            page_path("compare"),
            label="Compare",
            icon=":material/compare_arrows:",
            query_params={
                "model": opened.name,
                "symbol": group.symbol,
                "what": "Groups",
                "a": f"{opened.name} / {group.symbol}",
            },
        )
    if not group.payload_ready:
        st.error(plain(why_unserved(group)), icon=":material/block:")
    summary, model = summarize(group.factors.taus), group.model
    half = factors_for(facts.importance.share, 0.5) if facts.importance is not None else 0
    metric_wall(
        Metric("Factors", len(group.factors)),
        Metric("Dimension", group.feature_dim),
        Metric("Trees", model.num_trees if model is not None else MISSING),
        Metric("Samples", f"{group.training.samples:,}" if group.training.samples is not None else MISSING),
        Metric("Mean |τ|", f"{summary.mean_absolute:.4f}" if summary.mean_absolute is not None else MISSING),
        Metric("Half of gain in", counted(half, "factor") if half else MISSING),
    )


def _age_words(mark: Freshness, age: float | None) -> str:
    if age is None:
        return "training window unknown"
    if age <= -1:
        return f"trained until {counted(int(-age), 'day')} ahead"
    if age < 0:
        return "trained until less than a day ahead"
    return f"{mark}: trained until {counted(int(age), 'day')} ago"


def factors(opened: OpenGroup, facts: Facts) -> None:
    """Show every factor in dimension order: tau, gain, normalization."""
    table = factor_table(opened.group, facts.config.config, facts.importance, facts.standings)
    left, right = st.columns([2, 3])
    text = left.text_input("Search", key="factor_q", bind="query-params", icon=":material/search:")
    marks = [mark for mark in dict.fromkeys(map(str, facts.standings)) if mark]
    mark = right.pills("Standing", marks, key="standing", bind="query-params") if marks else None
    if text.strip():
        table = table[table["factor"].str.casefold().str.contains(text.strip().casefold(), regex=False)]
    if mark:
        table = table[table["standing"] == mark]
    if facts.importance is not None:
        st.caption(f"Gain is from the {facts.importance.source}. Normalized value = (x − mean) / √variance.")
    show_table(
        table,
        f"{opened.group.group_key}-factors",
        "Factors in dimension order with tau, gain and normalization",
        height=rows_height(len(table), 620),
        config={
            "dim": st.column_config.NumberColumn(width="small"),
            "factor": st.column_config.TextColumn(width="medium", pinned=True),
            "Kendall τ": TAU,
            "gain": st.column_config.NumberColumn(format="compact"),
            "gain share": st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=float(table["gain share"].max() or 1) if len(table) else 1
            )
            if "gain share" in table
            else None,
            "mean": st.column_config.NumberColumn(format=EVERY_DIGIT),
            "variance": st.column_config.NumberColumn(format=EVERY_DIGIT),
        },
    )


def ic(opened: OpenGroup, facts: Facts) -> None:
    """Show the highest and lowest taus, and how they are distributed."""
    group, colors = opened.group, palette()
    summary = summarize(group.factors.taus)
    if not summary.count:
        st.info("No factor has a tau between -1 and 1. It comes from _ic.csv, or from ic_df in _info.pkl.")
        return
    top = st.segmented_control(
        "Highest and lowest", ["10", "20", "40", "all"], default="20", key="top", bind="query-params", required=True
    )
    left, right = st.columns([3, 2])
    with left:
        st.subheader("Highest and lowest τ")
        figure = ic_figures.ic_bars(
            group.factors.names, group.factors.taus, len(group.factors) if top == "all" else int(top), colors
        )
        show_figure(figure, "ic_bars", "Kendall tau of the highest and lowest factors as bars around zero")
    with right:
        st.subheader("Distribution")
        show_figure(
            ic_figures.tau_histogram(group.factors.taus, colors), "ic_histogram", "How many factors have which tau"
        )
        figures = st.columns(3)
        figures[0].metric("Mean τ", f"{summary.mean:+.4f}")
        figures[1].metric("Deviation", f"{summary.deviation:.4f}" if summary.deviation is not None else "–")
        figures[2].metric("Above 0", f"{summary.positive_share:.0%}")


def importance(opened: OpenGroup, facts: Facts) -> None:
    """Show what the model leans on, beside what its factors say."""
    group, colors = opened.group, palette()
    if facts.importance is None:
        st.info(f"Nobody knows the importance: {plain(facts.why)} The training info has no feature_importance either.")
        return
    share, names = facts.importance.share, group.factors.names
    if facts.why:
        st.caption(f"From the training info, as the booster cannot be read: {plain(facts.why)}")
    left, right = st.columns([3, 2])
    with left:
        st.subheader("IC against importance")
        show_figure(
            importance_figures.ic_against_importance(names, group.factors.taus, share, facts.standings, colors),
            "ic_importance",
            "Absolute tau of each factor against its share of gain",
        )
        _named("Heavy in the model, weak IC", Standing.LEANS_WITHOUT_IC, names, facts.standings)
        _named("Strong IC, hardly used", Standing.STRONG_BUT_UNUSED, names, facts.standings)
    with right:
        st.subheader("Cumulative importance")
        show_figure(
            importance_figures.cumulative_curve(share, colors), "cumulative", "Share of gain of the largest factors"
        )
    st.subheader("Largest shares of gain")
    show_figure(
        importance_figures.importance_bars(names, share, 20, colors), "gain_bars", "The twenty largest shares of gain"
    )


def trees(opened: OpenGroup, facts: Facts) -> None:
    """Show depth and leaves of the trees, and the booster's parameters."""
    if facts.trees is None:
        st.info(plain(facts.why))
        return
    statistics, colors = facts.trees, palette()
    if len(statistics.depths):
        metric_wall(
            Metric("Trees", len(statistics.depths)),
            Metric("Mean depth", f"{statistics.depths.mean():.1f}"),
            Metric("Leaves", f"{int(statistics.leaves.sum()):,}"),
            Metric("Split factors", f"{int((statistics.splits > 0).sum())} of {opened.group.feature_dim}"),
        )
        left, middle, right = st.columns(3)
        with left:
            show_figure(tree_figures.count_bars(statistics.depths, "depth", colors), "depths", "Trees by depth")
        with middle:
            show_figure(tree_figures.count_bars(statistics.leaves, "leaves", colors), "leaves", "Trees by leaves")
        with right:
            show_figure(tree_figures.leaf_values(statistics.leaf_values, colors), "values", "Leaves by value")
    elif statistics.kind == "gblinear":
        st.info("A linear booster has no trees; its absolute weights stand for gain.")
    else:
        st.info("The booster has no trees: it was saved before its first round.")
    st.subheader("Booster parameters")
    show_table(
        one_sided_parameters(statistics.parameters), f"{opened.group.group_key}-booster", "Parameters of the booster"
    )


def training(opened: OpenGroup, facts: Facts) -> None:
    """Show what the training run said of itself."""
    parameters = group_parameters(opened.group)
    if not parameters:
        st.info("There is no training info: no _info.pkl, or nothing in it that is known.")
        return
    show_table(
        one_sided_parameters(parameters), f"{opened.group.group_key}-training", "Training facts and configuration"
    )


def findings(opened: OpenGroup, facts: Facts) -> None:
    """Show what is wrong with the group's files, where, and what to do."""
    group = opened.group
    if not group.findings:
        st.success("Nothing is wrong with this group's files.")
        return
    for finding in group.findings[:MOST_FINDINGS]:
        with st.container(border=True):
            st.badge(str(finding.severity), color=SEVERITY_COLORS[finding.severity])
            place = finding.file if finding.line is None else f"{finding.file}, line {finding.line}"
            st.text(f"{place}\n{finding.detail}\n{finding.remedy}")
    table = findings_table((opened.name, group.symbol, finding) for finding in group.findings)
    if len(table) > MOST_FINDINGS:
        draw_table(table, "findings", "All findings with file, line and remedy")
    offer_exports(table, f"{group.group_key}-findings")


def files(opened: OpenGroup, facts: Facts) -> None:
    """Show the raw artifacts with size, time and digest."""
    with errors_as_sentences(), st.spinner("Reading the files once for their digests …"):
        digests = opened.registry.registrations.file_digests(opened.name, opened.group)
    show_table(
        files_table(opened.group.files, opened.model.root_path, digests),
        f"{opened.group.group_key}-files",
        "Files of the group with size, time and SHA-256",
        config={"modified": WHEN, "bytes": st.column_config.NumberColumn(format="localized")},
    )


def _named(title: str, standing: Standing, names: tuple[str, ...], marks: tuple[Standing, ...]) -> None:
    found = [name for name, mark in zip(names, marks, strict=True) if mark is standing]
    st.markdown(f"**{title}** ({len(found)}): " + (plain(", ".join(found[:12])) or "none"))
