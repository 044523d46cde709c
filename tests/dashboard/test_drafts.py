"""Drafts of a factor config: typing, undo, problems, rebasing, and the document that saving stores."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.dashboard.editor.drafts import (
    MOST_UNDO,
    Cell,
    CellDiff,
    Cells,
    Conflict,
    Draft,
    at_defaults,
    cells_of,
    number_problem,
    parse_number,
    scaled,
)
from mm_core.domain.configs import Defaults, FactorConfig, Normalization, parse_factor_config

NAMES = ("momentum_5", "volatility_20", "spread_3", "obi")
CELL = st.builds(Cell, st.sampled_from(NAMES), st.sampled_from(("mean", "variance")))
NUMBER = st.sampled_from([0.0, 0.2, 1.0, -0.0, 1e-7]) | st.floats(allow_nan=False, allow_infinity=False)
VARIANCE = st.sampled_from([1.0, 5e-324, 2.5]) | st.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False)
ANY_TEXT = st.sampled_from(["1e999", "nan", "inf", "1_000", "", " 7 ", "-1", "0", "1,5"]) | st.text(max_size=8)
TYPED = st.dictionaries(CELL, NUMBER.map(repr) | ANY_TEXT, max_size=5)


@st.composite
def configs(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> FactorConfig:
    size = len(names)
    means, variances = (draw(st.tuples(*[one] * size)) for one in (NUMBER, VARIANCE))
    return FactorConfig("SOLUSDT", names, means, variances)


@st.composite
def valid_cells(draw: st.DrawFn) -> Cells:
    cells = draw(st.sets(CELL, max_size=6))
    return {cell: repr(draw(NUMBER if cell.field == "mean" else VARIANCE)) for cell in sorted(cells)}


def _draft() -> Draft:
    return Draft(FactorConfig("SOLUSDT", ("a", "b"), (0.2, 1e-7), (1.0, 4.0)), 3)


def _saved(config: FactorConfig, cell: Cell) -> float:
    values = config.mean_values if cell.field == "mean" else config.variance_values
    return values[config.factor_names.index(cell.factor)]


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("1e-7", "3e7ad7f29abcaf48"),
        (".07", "3fb1eb851eb851ec"),
        ("1.2345678901234567", "3ff3c0ca428c59fb"),
        ("-0.0", "8000000000000000"),
        ("5e-324", "0000000000000001"),
        (" +2. ", "4000000000000000"),
        ("1.7976931348623157e308", "7fefffffffffffff"),
    ],
)
def test_a_text_is_the_nearest_float_to_the_last_bit(text: str, bits: str) -> None:
    number = parse_number(text)
    assert number is not None
    assert struct.pack(">d", number).hex() == bits
    assert number_problem(text, "mean") is None


@pytest.mark.parametrize("text", ["nan", "1_000", "", "  ", "abc", "1,5", "0x1p3", "1 2", "--1", "1e"])
def test_a_text_that_means_no_number_is_a_problem_for_mean_and_variance(text: str) -> None:
    assert parse_number(text) is None
    for which in ("mean", "variance"):
        assert number_problem(text, which) == f"'{text}' is not a number. Write it like 0.2, -1.5 or 1e-7."


@pytest.mark.parametrize("text", ["1e999", "inf", "-inf", "Infinity", "-1e309"])
def test_an_infinite_number_is_too_large(text: str) -> None:
    assert number_problem(text, "mean") == number_problem(text, "variance") == f"'{text}' is too large for a number."


@pytest.mark.parametrize(("text", "fits"), [("5e-324", True), ("0", False), ("-0.0", False), ("-1e-9", False)])
def test_a_variance_is_above_zero(text: str, fits: bool) -> None:
    assert number_problem(text, "mean") is None
    assert (number_problem(text, "variance") is None) == fits


@given(NUMBER)
def test_every_saved_number_is_shown_with_all_digits(number: float) -> None:
    draft = Draft(FactorConfig("S", ("a",), (number,), (1.0,)), 1)
    assert struct.pack(">d", float(draft.text(Cell("a", "mean")))) == struct.pack(">d", number)


@given(configs(), st.lists(TYPED, max_size=8))
def test_undo_goes_back_through_every_step_to_the_saved_numbers(config: FactorConfig, steps: list[Cells]) -> None:
    draft = Draft(config, 1)
    states = [draft.cells]
    for typed in steps:
        before = draft.epoch
        if draft.type_into(typed):
            assert draft.epoch == before + 1
            states.append(draft.cells)
        else:
            assert (draft.cells, draft.epoch) == (states[-1], before)
    for state in states[-2::-1]:
        draft.undo()
        assert draft.cells == state
    epoch = draft.epoch
    draft.undo()
    assert (draft.cells, draft.undo_steps, draft.epoch) == ({}, [], epoch)


@given(configs(), TYPED)
def test_typing_the_saved_number_takes_a_cell_out(config: FactorConfig, typed: Cells) -> None:
    draft = Draft(config, 1)
    draft.type_into(typed)
    draft.type_into({cell: f" {_saved(config, cell)!r} " for cell in typed})
    assert (draft.cells, draft.diff(), draft.problems()) == ({}, [], [])


def test_another_spelling_of_the_saved_number_is_no_edit() -> None:
    draft = _draft()
    assert not draft.type_into({Cell("a", "mean"): "2e-1", Cell("b", "mean"): ".0000001", Cell("b", "variance"): "+4"})
    assert (draft.cells, draft.undo_steps, draft.epoch) == ({}, [], 0)


def test_only_the_last_fifty_steps_are_kept() -> None:
    draft = _draft()
    for step in range(MOST_UNDO + 10):
        draft.type_into({Cell("a", "mean"): f"{step + 1}"})
    for _ in range(MOST_UNDO + 10):
        draft.undo()
    assert MOST_UNDO == 50
    assert draft.text(Cell("a", "mean")) == "10"


def test_a_step_that_the_grid_shows_already_does_not_redraw_it_but_undo_does() -> None:
    draft = _draft()
    assert draft.type_into({Cell("a", "mean"): "7"}, redraw=False)
    assert draft.epoch == 0
    draft.undo()
    assert (draft.cells, draft.epoch) == ({}, 1)


def test_discard_is_a_step_that_can_be_undone() -> None:
    draft = _draft()
    draft.type_into({Cell("a", "mean"): "7", Cell("b", "variance"): "x"})
    draft.discard()
    assert (draft.cells, draft.diff(), draft.problems()) == ({}, [], [])
    draft.undo()
    assert draft.cells == {Cell("a", "mean"): "7", Cell("b", "variance"): "x"}


def test_diff_and_problems_are_in_dimension_order_and_share_no_cell() -> None:
    draft = _draft()
    typed = {("b", "variance"): "0", ("b", "mean"): "-2", ("a", "variance"): "9", ("a", "mean"): "1_0"}
    draft.type_into({Cell(*cell): text for cell, text in typed.items()})
    assert draft.diff() == [
        CellDiff(0, Cell("a", "variance"), 1.0, 9.0),
        CellDiff(1, Cell("b", "mean"), 1e-7, -2.0),
    ]
    assert [(one.dim, one.cell, one.text) for one in draft.problems()] == [
        (0, Cell("a", "mean"), "1_0"),
        (1, Cell("b", "variance"), "0"),
    ]


@given(configs(), TYPED)
def test_every_edit_is_a_change_or_a_problem(config: FactorConfig, typed: Cells) -> None:
    draft = Draft(config, 1)
    draft.type_into(typed)
    assert sorted([one.cell for one in draft.diff()] + [one.cell for one in draft.problems()]) == sorted(draft.cells)
    assert all(one.old != one.new and math.isfinite(one.new) for one in draft.diff())


@given(configs(), st.lists(valid_cells(), max_size=3))
def test_the_document_of_a_draft_without_problems_is_a_config_with_exactly_the_edits(
    config: FactorConfig, steps: list[Cells]
) -> None:
    draft = Draft(config, 1)
    expected = {cell: float(text) for cell, text in cells_of(config).items()}
    for typed in steps:
        draft.type_into(typed)
        expected |= {cell: float(text) for cell, text in typed.items()}
    assert draft.problems() == []
    parsed = parse_factor_config(draft.document(), "SOLUSDT", NAMES)
    assert {cell: float(text) for cell, text in cells_of(parsed).items()} == expected


@given(configs(), configs(("obi", "new", "momentum_5")), TYPED, st.booleans())
def test_a_rebase_keeps_mine_or_takes_theirs_where_both_changed_a_number(
    base: FactorConfig, current: FactorConfig, typed: Cells, keep_mine: bool
) -> None:
    draft = Draft(base, 1)
    draft.type_into(typed)
    mine, epoch = dict(draft.cells), draft.epoch
    lost = draft.rebase(current, 2, keep_mine=keep_mine)
    assert lost == [cell for cell in mine if cell.factor in ("volatility_20", "spread_3")]
    expected = {cell: repr(_saved(current, cell)) for cell in cells_of(current)}
    for cell, text in mine.items():
        if cell in expected and (keep_mine or _saved(base, cell) == _saved(current, cell)):
            expected[cell] = text
    for cell, text in expected.items():
        found = draft.text(cell)
        assert found == text or parse_number(found) == parse_number(text)
    assert (draft.base, draft.revision, draft.undo_steps, draft.epoch > epoch) == (current, 2, [], True)


def test_conflicts_are_what_others_changed_with_mine_beside_it() -> None:
    draft = _draft()
    draft.type_into({Cell("a", "mean"): "7", Cell("a", "variance"): "8"})
    current = FactorConfig("SOLUSDT", ("b", "a", "new"), (1e-7, 0.3, 0.2), (5.0, 1.0, 2.0))
    assert draft.conflicts_with(current) == [
        Conflict(Cell("a", "mean"), 0.2, 0.3, "7"),
        Conflict(Cell("b", "variance"), 4.0, 5.0, None),
        Conflict(Cell("new", "variance"), None, 2.0, None),
    ]
    assert draft.conflicts_with(draft.base) == []


def test_a_factor_that_one_side_has_alone_is_no_conflict_where_nobody_set_it() -> None:
    def as_in_files(*names: str) -> FactorConfig:
        said = {name: Normalization(0.5, 4.0) for name in names}
        return FactorConfig("v1.1.0", names, (0.5,) * len(names), (4.0,) * len(names), Defaults(said))

    assert Draft(as_in_files("a", "gone"), 0).conflicts_with(as_in_files("a", "new")) == []


def test_a_number_of_a_factor_that_is_gone_was_set_by_somebody_and_changed_by_nobody() -> None:
    draft = _draft()
    draft.type_into({Cell("b", "mean"): "7"})
    conflicts = draft.conflicts_with(FactorConfig("SOLUSDT", ("a",), (0.2,), (1.0,)))
    assert conflicts == [
        Conflict(Cell("b", "mean"), 1e-7, None, "7"),
        Conflict(Cell("b", "variance"), 4.0, None, None),
    ]
    assert not any(one.is_change for one in conflicts)


def test_what_others_saved_as_i_typed_it_is_no_edit_after_a_rebase() -> None:
    draft = _draft()
    draft.type_into({Cell("a", "mean"): "7.0"})
    assert draft.rebase(FactorConfig("SOLUSDT", ("a", "b"), (7.0, 1e-7), (1.0, 4.0)), 4, keep_mine=True) == []
    assert draft.cells == {}


def test_scaling_multiplies_then_shifts_and_leaves_what_is_no_number() -> None:
    draft = _draft()
    draft.type_into({Cell("a", "mean"): "3", Cell("b", "mean"): "x"})
    assert scaled(draft, ["a", "b"], ["mean"], 2.0, 0.5) == {Cell("a", "mean"): "6.5"}
    assert scaled(draft, ["b"], ["variance"], 0.5, 0.0) == {Cell("b", "variance"): "2.0"}
    draft.type_into(scaled(draft, ["b"], ["variance"], 1e308, 1e308))
    assert draft.problems()[-1].why == "'inf' is too large for a number."


def test_defaults_are_those_of_a_new_config() -> None:
    assert at_defaults(["b"]) == {Cell("b", "mean"): "0.2", Cell("b", "variance"): "1.0"}
