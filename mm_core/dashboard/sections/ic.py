"""The IC explorer's parts: many groups side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from mm_core.dashboard.addresses import choose
from mm_core.dashboard.figures import ic as figures
from mm_core.dashboard.figures.bars import signed_bars
from mm_core.dashboard.numbers import ScanKeys, matrix_of, ordered, scan_keys, shifts_between
from mm_core.dashboard.page import all_models, open_model
from mm_core.dashboard.palette import palette
from mm_core.dashboard.show import (
    MISSING,
    PORTION,
    TAU,
    Metric,
    choose_portion,
    metric_wall,
    offer_exports,
    rows_height,
    show_figure,
    show_table,
)
from mm_core.dashboard.sidebar import pair_in_hand
from mm_core.dashboard.tables.factors import consistency_table, group_shifts_table, matrix_table, summaries_table
from mm_core.dashboard.words import plain
from mm_core.domain.groups import Scan
from mm_core.domain.models import RegisteredModel
from mm_core.evaluation.comparison import Change
from mm_core.evaluation.families import family_of
from mm_core.evaluation.ic import (
    FloatArray,
    IcMatrix,
    Indices,
    coverage,
    factor_consistency,
    family_means,
    rank_agreement,
    strength_ranks,
    summarize,
)
from mm_core.registry import Registry

EVERY_FAMILY = "all families"


@dataclass(frozen=True, slots=True)
class Scope:
    """The groups that are looked at: ``labels`` names the columns of the matrix."""

    keys: ScanKeys
    matrix: IcMatrix
    labels: tuple[str, ...]
    name: str
    models: list[tuple[RegisteredModel, Scan]]


def choose_scope(registry: Registry) -> Scope:
    """Ask whether the model in hand or all models are looked at, and return their matrix."""
    opened = open_model(registry)
    wide = st.segmented_control(
        "Groups of", ["this model", "all models"], default="this model", key="scope", bind="query-params", required=True
    )
    models = all_models(registry) if wide == "all models" else [(opened.model, opened.scan)]
    matrix = matrix_of(models)
    many = len({group.return_name for group in matrix.groups}) > 1 or len(models) > 1
    labels = tuple(f"{group.symbol} {group.return_name}" if many else group.symbol for group in matrix.groups)
    if len(set(labels)) < len(labels):
        labels = tuple(f"{group.model_name} {label}" for group, label in zip(matrix.groups, labels, strict=True))
    if not matrix.factors:
        st.info("No group has a factor. Factors come from _factors.txt, their taus from _ic.csv.")
        st.stop()
    return Scope(scan_keys(models), matrix, labels, "all-models" if wide == "all models" else opened.name, models)


def heat_map(scope: Scope) -> None:
    """Show factor × group as colours: tau, its rank, or where a factor is there at all."""
    families = [EVERY_FAMILY, *sorted({family_of(name) for name in scope.matrix.factors})]
    row = st.container(horizontal=True, gap="medium")
    cells = row.segmented_control(
        "Cells", ["τ", "rank", "coverage"], default="τ", key="cells", bind="query-params", required=True
    )
    rows_by = row.segmented_control(
        "Factors by", ["clustered", "mean τ", "name"], default="clustered", key="rows", bind="query-params",
        required=True,
    )  # fmt: skip
    columns_by = row.segmented_control(
        "Groups by", ["clustered", "name"], default="name", key="columns", bind="query-params", required=True
    )
    family = choose("Family", families, "family", place=row, width=210)
    least = row.number_input(
        "Least |τ|", 0.0, 1.0, 0.0, 0.01, key="least", bind="query-params", help="In at least one group", width=110
    )
    rows, columns = ordered(
        scope.keys, "" if family == EVERY_FAMILY else family, least, rows_by, columns_by, scope.matrix
    )
    if not len(rows):
        st.info(f"No factor of {plain(family)} has an absolute tau of {least} or more. Lower the bound.")
        return
    part = scope.matrix.part(rows, columns)
    labels = [scope.labels[column] for column in columns]
    st.caption(f"{len(part.factors)} factors × {len(part.groups)} groups. " + _legend(cells))
    if cells == "coverage":
        figure, export = figures.coverage_map(part, labels, palette()), replace(part, taus=coverage(part))
    elif cells == "rank":
        export = replace(part, taus=strength_ranks(part.taus))
        figure = figures.heat_map(
            export.taus, part.factors, labels, palette(), what="rank of |τ|", diverging=False, bound=1.0
        )
    else:
        figure, export = figures.heat_map(part.taus, part.factors, labels, palette()), part
    show_figure(figure, "heat_map", f"{cells} of each factor in each group")
    offer_exports(matrix_table(export, labels), f"{scope.name}-{cells}")


def _legend(cells: str) -> str:
    if cells == "coverage":
        return "Strong colour (2): a dimension of the model; weak (1): has a tau, was not selected; ground: missing."
    if cells == "rank":
        return "1 is the strongest |τ| of its group, 0 the weakest."
    return "Blue: positive, orange: negative; the ground shows where there is no tau."


def one_factor(scope: Scope) -> None:
    """Show one factor in every symbol and horizon."""
    names = sorted(scope.matrix.factors)
    name = choose("Factor", names, "factor")
    row = scope.matrix.factors.index(name)
    taus, chosen = scope.matrix.taus[row], scope.matrix.selected[row]
    summary = summarize(taus)
    metric_wall(
        Metric("Family", family_of(name)),
        Metric("Mean τ", figure_text(summary.mean)),
        Metric("Above 0", f"{summary.positive_share:.0%}" if summary.positive_share is not None else MISSING),
        Metric("Has a τ in", f"{summary.count} of {len(taus)}"),
        Metric("Selected in", f"{int(chosen.sum())} of {len(taus)}"),
    )
    show_figure(figures.one_factor(scope.matrix, row, palette()), "one_factor", f"Tau of {name} by symbol and return")
    part = scope.matrix.part([row], range(len(taus)))
    table = pd.DataFrame({"group": scope.labels, "Kendall τ": part.taus[0]})
    show_table(
        table.assign(selected=["yes" if one else "" for one in chosen]).sort_values(
            "Kendall τ", ascending=False, na_position="last"
        ), f"{name}-by-group", f"Tau of {name} by group",
        config={"Kendall τ": TAU}, height=rows_height(len(taus), 400),
    )  # fmt: skip


def agreement(scope: Scope) -> None:
    """Show how alike two groups, or two models symbol by symbol, rank their common factors."""
    models = [model for model, _ in scope.models]
    sides = ["groups", "models"] if len(models) > 1 else ["groups"]
    if st.segmented_control(
        "Between two", sides, default="groups", key="sides", bind="query-params", required=True
    ) == ("models"):
        _models_agreement(scope)
    else:
        _groups_agreement(scope)


def _models_agreement(scope: Scope) -> None:
    scans = {model.name: (model.name, model.scan_id, scan) for model, scan in scope.models}
    names = list(scans)
    left, right = st.columns(2)
    a = choose("One model", names, "one_model", noun="model", place=left)
    b = choose("Other model", names, "other_model", index=1, noun="model", beside="one_model", place=right)
    shifts = shifts_between(scans[a], scans[b])
    rows = sorted(((one.symbol, one.kendall) for one in shifts if one.kendall is not None), key=lambda row: -row[1])
    if not rows:
        st.info(f"{plain(a)} and {plain(b)} have no symbol with three common factors. Choose another pair.")
        return
    values = [value for _, value in rows]
    kept = sum(one.change is Change.KEPT for one in shifts)
    metric_wall(
        Metric("Symbols compared", f"{len(rows)} of {kept}", "Of those in both; ranks need three common factors"),
        Metric("Median agreement", figure_text(float(np.median(values))), "Kendall's tau of the two rankings"),
        Metric("Least", f"{rows[-1][0]} {figure_text(rows[-1][1])}"),
        Metric("Most", f"{rows[0][0]} {figure_text(rows[0][1])}"),
    )
    part = rows[choose_portion(len(rows), "agreeing", "most alike", "least alike")]
    with st.container(height=560 if len(part) > PORTION else "content", border=False):
        show_figure(
            signed_bars(part, "Kendall's τ of ranks", "+.2f", palette()),
            "models_agreement",
            f"{a} against {b} by symbol",
        )
    show_table(
        group_shifts_table(shifts), f"{a}-{b}-agreement", "Rank agreement by symbol",
        config={"rank agreement": TAU, "mean |Δτ|": st.column_config.NumberColumn(format="%.4f")},
        height=rows_height(len(shifts), 400),
    )  # fmt: skip


def _groups_agreement(scope: Scope) -> None:
    if len(scope.labels) < 2:
        st.info("Rank agreement needs two groups.")
        return
    left, right = st.columns(2)
    first, second = pair_in_hand([(group.model_name, group.symbol) for group in scope.matrix.groups])
    a = choose("One", scope.labels, "one", index=first, noun="group", place=left)
    b = choose("Other", scope.labels, "other", index=second, noun="group", beside="one", place=right)
    one, other = (_taus(scope, label) for label in (a, b))
    found = rank_agreement(one, other)
    metric_wall(
        Metric("Common factors", found.common),
        Metric("Kendall's τ of ranks", figure_text(found.kendall)),
        Metric("Spearman's ρ", figure_text(found.spearman)),
        Metric(f"Shared of the top {found.top}", f"{found.overlap:.0%}" if found.overlap is not None else MISSING),
    )
    if not found.common:
        st.info(f"{plain(a)} and {plain(b)} have no factor with a tau in common. Choose another pair.")
        return
    common = [name for name in one if name in other]
    show_figure(
        figures.tau_scatter(
            common, [one[name] for name in common], [other[name] for name in common], (a, b), palette()
        ),
        "agreement",
        f"Tau of common factors in {a} and {b}",
    )


def distributions(scope: Scope) -> None:
    """Show the distribution of tau in every group."""
    summaries = [summarize(scope.matrix.taus[:, column]) for column in range(len(scope.labels))]
    order = sorted(range(len(summaries)), key=lambda at: -(summaries[at].mean_absolute or 0.0))
    labels, ranked = [scope.labels[at] for at in order], [summaries[at] for at in order]
    part = choose_portion(len(labels), "boxes", "strongest", "weakest")
    with st.container(height=620 if len(labels[part]) > PORTION else "content", border=False):
        show_figure(
            figures.tau_boxes(labels[part], ranked[part], palette()),
            "tau_boxes",
            "Quartiles of tau in each group",
        )
    show_table(
        summaries_table(labels, ranked), f"{scope.name}-distributions", "Figures of tau in each group",
        config=dict.fromkeys(("mean τ", "mean |τ|", "deviation", "lowest", "median", "highest"), TAU),
        height=rows_height(len(labels), 400),
    )  # fmt: skip


def families(scope: Scope) -> None:
    """Show the mean tau of each factor family in each group."""
    names, means, sizes = family_means(scope.matrix)
    labels = [f"{name} ({size})" for name, size in zip(names, sizes, strict=True)]
    st.caption(
        "A family is the words of a name before its first number. Mean τ of its factors, their number in brackets."
    )
    show_figure(
        figures.heat_map(means, labels, scope.labels, palette(), what="mean τ"),
        "families",
        "Mean tau of each factor family in each group",
    )
    part = IcMatrix(names, scope.matrix.groups, means, np.zeros_like(means, bool))
    offer_exports(matrix_table(part, scope.labels).rename(columns={"factor": "family"}), f"{scope.name}-families")


def consistency(scope: Scope) -> None:
    """Show which factors have the same sign everywhere."""
    table = consistency_table(factor_consistency(scope.matrix), len(scope.labels))
    show_table(
        table, f"{scope.name}-consistency", "Factors by the consistency of their sign",
        height=620,
        config={
            "factor": st.column_config.TextColumn(pinned=True, width="medium"),
            "mean τ": TAU,
            "deviation": st.column_config.NumberColumn(format="%.4f"),
            "t": st.column_config.NumberColumn(format="%.2f", help="mean / (deviation / √groups)"),
            "same sign": st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=1, help="Share of groups whose τ has the sign of the mean"
            ),
            "coverage": st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=1, help="Share of groups that have a τ"
            ),
        },
    )  # fmt: skip


def _taus(scope: Scope, label: str) -> dict[str, float]:
    column: FloatArray = scope.matrix.taus[:, scope.labels.index(label)]
    at: Indices = np.flatnonzero(~np.isnan(column))
    return {scope.matrix.factors[row]: float(column[row]) for row in at}


def figure_text(value: float | None) -> str:
    """Return a figure with its sign, a dash where it is not known."""
    return f"{value:+.4f}" if value is not None else MISSING
