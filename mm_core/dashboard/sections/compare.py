"""Two groups, two models or two scans side by side."""

from __future__ import annotations

from datetime import timedelta
from operator import itemgetter

import streamlit as st

from mm_core.dashboard.addresses import choose
from mm_core.dashboard.figures.bars import signed_bars
from mm_core.dashboard.figures.comparison import largest_changes
from mm_core.dashboard.figures.ic import tau_scatter
from mm_core.dashboard.numbers import booster_of, shifts_between
from mm_core.dashboard.page import all_models, open_model
from mm_core.dashboard.palette import palette
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import (
    MISSING,
    TAU,
    Metric,
    draw_open_tab,
    metric_wall,
    rows_height,
    show_figure,
    show_table,
)
from mm_core.dashboard.sidebar import pair_in_hand, picked
from mm_core.dashboard.tables.factors import group_shifts_table, parameters_table, shifts_table
from mm_core.domain.groups import Group, Scan, preferred_group
from mm_core.evaluation import comparison
from mm_core.evaluation.comparison import Change, FactorShift, GroupShift, Side
from mm_core.evaluation.ic import rank_agreement, valid_tau
from mm_core.evaluation.importance import group_importance
from mm_core.evaluation.training import training_window
from mm_core.registry import Registry

MOST_BARS = 15
NamedScan = tuple[str, str | None, Scan]
"""A scan with its model's name and its id."""

SHARES = (("", " A"), ("", " B"), ("Δ ", ""))


def two_groups(registry: Registry) -> None:
    """Choose two groups of any model and show what differs."""
    open_model(registry)
    groups = {
        f"{model.name} / {group.symbol}": (model.name, group)
        for model, scan in all_models(registry)
        for group in scan.groups.values()
    }
    if len(groups) < 2:
        st.info("There is one group only. Register another model to compare with.")
        return
    labels = list(groups)
    left, right = st.columns(2)
    first, second = pair_in_hand([(name, group.symbol) for name, group in groups.values()])
    a = choose("A", labels, "a", index=first, noun="group", place=left)
    b = choose("B", labels, "b", index=second, noun="group", beside="a", place=right)
    _look_into(registry, groups[a], groups[b], (a, b))


def _look_into(registry: Registry, left: tuple[str, Group], right: tuple[str, Group], titles: tuple[str, str]) -> None:
    """Show two groups, each given with its model's name, factor by factor and parameter by parameter."""
    one, other = _side(registry, *left), _side(registry, *right)
    shifts = comparison.factor_shifts(one, other)
    _group_figures(one.group, other.group, shifts)
    sides = {
        "Tau": lambda: _tau_figures(shifts, titles),
        "Gain": lambda: _gain_figure(one, other, shifts),
        "Factors": lambda: _factors_compared(one, other, shifts),
        "Parameters": lambda: _parameters_compared(one.group, other.group),
    }
    draw_open_tab(sides, key="part")


def _factors_compared(left: Side, right: Side, shifts: tuple[FactorShift, ...]) -> None:
    apart = _why_gains_have_no_change(left, right)
    if apart is not None:
        st.caption(apart)
    kinds = st.pills(
        "Factors", [str(change) for change in Change], selection_mode="multi", key="change", bind="query-params"
    )
    table = shifts_table(shifts)
    show_table(
        table[table["change"].isin(kinds)] if kinds else table, "factors-compared", "Factors of both sides",
        config={"factor": st.column_config.TextColumn(pinned=True), "τ A": TAU, "τ B": TAU, "Δτ": TAU}
        | {f"{name}gain share{side}": st.column_config.NumberColumn(format="percent") for name, side in SHARES},
        height=rows_height(len(table), 420),
    )  # fmt: skip


def _parameters_compared(left: Group, right: Group) -> None:
    differing = st.toggle("Only those that differ", value=True, key="differing", bind="query-params")
    pairs = comparison.parameter_pairs(comparison.group_parameters(left), comparison.group_parameters(right))
    parameters = parameters_table(pairs)
    if differing:
        parameters = parameters[parameters["differs"] == "yes"]
        if parameters.empty:
            st.caption(f"All {len(pairs)} parameters are the same.")
            return
    show_table(parameters, "parameters-compared", "Parameters of both sides")


def two_models(registry: Registry) -> None:
    """Choose two models and show what differs, symbol by symbol."""
    open_model(registry)
    models = {model.name: (model.name, model.scan_id, scan) for model, scan in all_models(registry)}
    if len(models) < 2:
        st.info("There is one model only. Register another to compare with.")
        return
    left, right = st.columns(2)
    names = list(models)
    first = names.index(picked().model_name or names[0])
    second = (first + 1) % len(names)
    a = choose("Model A", names, "model_a", index=first, noun="model", place=left)
    b = choose("Model B", names, "model_b", index=second, noun="model", beside="model_a", place=right)
    _two_scans(registry, models[a], models[b], (a, b))


def two_scans(registry: Registry) -> None:
    """Choose two scans of the model in hand and show what changed between them."""
    opened = open_model(registry)
    earlier = reversed(opened.model.earlier_scans)
    stamps = {"now": None} | {f"{kept.scanned_at[:23].replace('T', ' ')} UTC": kept.scan_id for kept in earlier}
    if len(stamps) < 2:
        st.info(
            f"No earlier scan of {opened.name} found something else. When files change and the model is refreshed, the "
            "last ten states can be compared here."
        )
        return
    left, right = st.columns(2)
    a = choose("Before", list(stamps), "before", index=1, noun="scan", place=left)
    b = choose("After", list(stamps), "after", noun="scan", beside="before", place=right)
    scans = []
    with errors_as_sentences():
        view = registry.view()
        for stamp in (a, b):
            scan_id = stamps[stamp]
            scan = opened.scan if scan_id is None else view.earlier_scan(opened.name, scan_id)
            if scan is not None:
                scans.append((opened.name, scan_id or opened.model.scan_id, scan))
    if len(scans) < 2:
        st.warning("The files of this scan are no longer on disk. Choose another one.")
        return
    _two_scans(registry, scans[0], scans[1], (a, b))


def _two_scans(registry: Registry, left: NamedScan, right: NamedScan, titles: tuple[str, str]) -> None:
    """Show two scans symbol by symbol, or one symbol in both; whose files changed tells of scans of one model."""
    shifts = shifts_between(left, right)
    kept = [one for one in shifts if one.change is Change.KEPT]
    before, after = len(left[2].all_findings()), len(right[2].all_findings())
    metric_wall(
        Metric("Symbols in both", len(kept)),
        Metric("Gained", sum(one.change is Change.GAINED for one in shifts)),
        Metric("Lost", sum(one.change is Change.LOST for one in shifts)),
        *([Metric("Files changed", sum(one.files_changed for one in kept))] if left[0] == right[0] else []),
        Metric("Findings", after, delta=f"{after - before:+d}" if after != before else None, delta_color="inverse"),
    )
    sides = {
        "All symbols": lambda: _symbols_compared(shifts),
        "One symbol": lambda: _one_symbol(registry, left, right, kept, titles),
    }
    draw_open_tab(sides, key="of")


def _symbols_compared(shifts: tuple[GroupShift, ...]) -> None:
    rows = [(one.symbol, one.kendall) for one in shifts if one.kendall is not None and one.kendall < 1]
    if rows:
        st.subheader("Least rank agreement")
        show_figure(
            signed_bars(sorted(rows, key=itemgetter(1))[:MOST_BARS], "Kendall's τ of ranks", "+.2f", palette()),
            "agreement_bars",
            "Symbols whose factors are ranked most differently",
        )
    table = group_shifts_table(shifts)
    show_table(
        table, "symbols-compared", "Symbols of both sides",
        config={"mean |Δτ|": st.column_config.NumberColumn(format="%.4f"), "rank agreement": TAU},
        height=rows_height(len(table), 480),
    )  # fmt: skip


def _one_symbol(
    registry: Registry, left: NamedScan, right: NamedScan, kept: list[GroupShift], titles: tuple[str, str]
) -> None:
    """Choose one of the symbols that both scans have, at first one that changed, and show what differs."""
    if not kept:
        st.info("Both sides have no symbol in common.")
        return
    symbols = [one.symbol for one in kept]
    changed = [at for at, one in enumerate(kept) if one.gained or one.lost or one.moved or one.mean_tau_change]
    symbol = choose("Look into", symbols, "into", index=changed[0] if changed else 0, noun="symbol")
    groups = [(name, preferred_group(scan.groups_of(symbol))) for name, _, scan in (left, right)]
    _look_into(registry, groups[0], groups[1], titles)


def _side(registry: Registry, name: str, group: Group) -> Side:
    with errors_as_sentences():
        trees, _ = booster_of(registry, name, group)
    return Side(group, group_importance(group, trees))


def _group_figures(left: Group, right: Group, shifts: tuple[FactorShift, ...]) -> None:
    counts = {change: sum(one.change is change for one in shifts) for change in Change}
    shared = comparison.jaccard(left.factors.names, right.factors.names)
    agreement = rank_agreement(
        dict(zip(left.factors.names, left.factors.taus, strict=True)),
        dict(zip(right.factors.names, right.factors.taus, strict=True)),
    )
    ends = [training_window(group.training).end for group in (left, right)]
    days = int((ends[1] - ends[0]) / timedelta(days=1)) if ends[0] and ends[1] else None
    metric_wall(
        Metric("Same factors", f"{shared:.0%}" if shared is not None else MISSING, "Jaccard index"),
        Metric("Gained", counts[Change.GAINED], "In B, not in A"),
        Metric("Lost", counts[Change.LOST], "In A, not in B"),
        Metric("Moved", counts[Change.MOVED], "In both, at another dimension"),
        Metric(
            "Rank agreement",
            f"{agreement.kendall:+.3f}" if agreement.kendall is not None else MISSING,
            "Kendall's tau of the two rankings of common factors",
        ),
        Metric("Window end", f"{days:+d} days" if days is not None else MISSING, "From A to B"),
    )


def _tau_figures(shifts: tuple[FactorShift, ...], titles: tuple[str, str]) -> None:
    known = [
        (one.factor, tau_left, tau_right)
        for one in shifts
        if (tau_left := valid_tau(one.tau_left)) is not None and (tau_right := valid_tau(one.tau_right)) is not None
    ]
    left, right = st.columns(2)
    with left:
        st.subheader("τ of common factors", anchor=False)
        names, one, other = ([row[0] for row in known], [row[1] for row in known], [row[2] for row in known])
        show_figure(tau_scatter(names, one, other, titles, palette()), "tau_scatter", "Tau in A against tau in B")
    with right:
        _bars("Largest Δτ", [(one.factor, one.tau_change) for one in shifts], "Δτ", "+.3f")


def _gain_figure(left: Side, right: Side, shifts: tuple[FactorShift, ...]) -> None:
    apart = _why_gains_have_no_change(left, right)
    if apart is not None:
        st.info(apart)
        return
    _bars("Largest change of gain share", [(one.factor, one.share_change) for one in shifts], "Δ gain share", "+.1%")


def _why_gains_have_no_change(left: Side, right: Side) -> str | None:
    one, other = left.importance, right.importance
    if one is None or other is None or one.source == other.source:
        return None
    return (
        f"Gain of A is from its {one.source}, that of B from its {other.source}: these are shares of two kinds, "
        "so there is no change from one to the other."
    )


def _bars(title: str, values: list[tuple[str, float | None]], what: str, number_format: str) -> None:
    st.subheader(title, anchor=False)
    rows = largest_changes(values, MOST_BARS)
    if rows:
        show_figure(signed_bars(rows, what, number_format, palette()), f"bars_{what}", title)
    else:
        st.caption("No common factor changed.")
