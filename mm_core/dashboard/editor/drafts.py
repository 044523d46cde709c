"""Unsaved edits of one factor config: what was typed, what is wrong with it, what it would change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mm_core.domain.configs import SAME_FOR_ALL, Defaults, FactorConfig, Normalization

Field = Literal["mean", "variance"]
FIELDS: tuple[Field, Field] = ("mean", "variance")
MOST_UNDO = 50

Cells = dict["Cell", str]


class Cell(NamedTuple):
    """One number of a config: a factor's name, and which of its two numbers."""

    factor: str
    field: Field


class CellProblem(NamedTuple):
    """One cell that cannot be saved: ``text`` as it was typed, ``why`` as a sentence."""

    dim: int
    cell: Cell
    text: str
    why: str


class CellDiff(NamedTuple):
    """One number that saving would change."""

    dim: int
    cell: Cell
    old: float
    new: float


class Conflict(NamedTuple):
    """One number that is another one since the draft was begun; ``mine`` is None where nothing is typed over it.

    ``before`` is None where the model has the factor since then, ``theirs`` where it has it no more.
    """

    cell: Cell
    before: float | None
    theirs: float | None
    mine: str | None

    @property
    def is_change(self) -> bool:
        """Whether both sides have the factor: else nobody changed the number."""
        return self.before is not None and self.theirs is not None


@dataclass(slots=True)
class Draft:
    """Edits on top of one saved revision.

    ``base`` is that revision in dimension order and stays as it is while data arrive; ``created_at`` tells the config
    from one of the same name that was begun anew; ``cells`` has the text of each
    cell that differs from it. ``epoch`` grows whenever the grid must be drawn anew from the draft.
    """

    base: FactorConfig
    revision: int
    cells: Cells = field(default_factory=dict)
    undo_steps: list[Cells] = field(default_factory=list)
    epoch: int = 0
    created_at: str | None = None
    _saved: dict[str, Normalization] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._saved = self.base.normalizations()

    def text(self, cell: Cell) -> str:
        """Return what stands in a cell: what was typed, else the saved number with every digit."""
        typed = self.cells.get(cell)
        return typed if typed is not None else repr(self._saved[cell.factor][FIELDS.index(cell.field)])

    def type_into(self, typed: Mapping[Cell, str], *, redraw: bool = True) -> bool:
        """Put text into cells as one step that can be undone; return whether anything changed.

        Text that means the saved number takes the cell out of the draft. ``redraw`` is False where the grid already
        shows the text.
        """
        cells = {**self.cells}
        for cell, text in typed.items():
            if parse_number(text) == self._saved[cell.factor][FIELDS.index(cell.field)]:
                cells.pop(cell, None)
            else:
                cells[cell] = text.strip()
        return self._step(cells, redraw=redraw)

    def undo(self) -> None:
        """Take the last step back."""
        if self.undo_steps:
            self.cells = self.undo_steps.pop()
            self.epoch += 1

    def discard(self) -> None:
        """Drop all edits, as a step that can be undone."""
        self._step({}, redraw=True)

    def problems(self) -> list[CellProblem]:
        """Return every cell that cannot be saved, in dimension order."""
        found = []
        for dim, cell in self._typed_in_order():
            why = number_problem(self.cells[cell], cell.field, cell.factor, self.base.defaults)
            if why is not None:
                found.append(CellProblem(dim, cell, self.cells[cell], why))
        return found

    def diff(self) -> list[CellDiff]:
        """Return the numbers that saving would change, in dimension order; cells with problems are left out."""
        found = []
        for dim, cell in self._typed_in_order():
            new = parse_number(self.cells[cell])
            if (
                new is not None
                and number_problem(self.cells[cell], cell.field, cell.factor, self.base.defaults) is None
            ):
                found.append(CellDiff(dim, cell, self._saved[cell.factor][FIELDS.index(cell.field)], new))
        return found

    def document(self) -> dict[str, Any]:
        """Return the config that saving would store, in the form that bots and `PUT` use; cells must be valid."""
        values = {name: list(pair) for name, pair in self._saved.items()}
        for change in self.diff():
            values[change.cell.factor][FIELDS.index(change.cell.field)] = change.new
        names = self.base.factor_names
        return config_document(
            self.base.subject, names, [values[name][0] for name in names], [values[name][1] for name in names]
        )

    def conflicts_with(self, current: FactorConfig) -> list[Conflict]:
        """Return the numbers that differ between the draft's base and ``current``, with mine beside theirs.

        Of a factor that one of them has alone, these are the numbers that somebody set.
        """
        mine, theirs = self._saved, current.normalizations()
        found = []
        for name in dict.fromkeys([*mine, *theirs]):
            before, now = mine.get(name), theirs.get(name)
            old, new = before or current.defaults.of(name), now or self.base.defaults.of(name)
            for at, which in enumerate(FIELDS):
                if old[at] != new[at]:
                    cell = Cell(name, which)
                    then, theirs_now = before[at] if before else None, now[at] if now else None
                    found.append(Conflict(cell, then, theirs_now, self.cells.get(cell)))
        return found

    def rebase(
        self, current: FactorConfig, revision: int, *, keep_mine: bool, created_at: str | None = None
    ) -> list[Cell]:
        """Put the edits on top of a newer revision; return those whose factor the model no longer has.

        Where both sides changed the same number, mine stands if ``keep_mine``, else theirs.
        """
        taken = set() if keep_mine else {conflict.cell for conflict in self.conflicts_with(current)}
        names = set(current.factor_names)
        lost = [cell for cell in self.cells if cell.factor not in names]
        kept = {cell: text for cell, text in self.cells.items() if cell.factor in names and cell not in taken}
        self.base, self.revision, self._saved = current, revision, current.normalizations()
        self.created_at = created_at
        self.cells, self.undo_steps = {}, []
        self.type_into(kept)
        self.undo_steps = []
        self.epoch += 1
        return lost

    def _step(self, cells: Cells, *, redraw: bool) -> bool:
        if cells == self.cells:
            return False
        self.undo_steps = [*self.undo_steps, self.cells][-MOST_UNDO:]
        self.cells = cells
        self.epoch += redraw
        return True

    def _typed_in_order(self) -> list[tuple[int, Cell]]:
        dims = {name: dim for dim, name in enumerate(self.base.factor_names)}
        return sorted((dims[cell.factor], cell) for cell in self.cells)


def parse_number(text: str) -> float | None:
    """Return the number that a text means, None where it means none; infinite ones count as numbers here."""
    try:
        number = float(text.strip())
    except ValueError:
        return None
    return None if math.isnan(number) or "_" in text else number


def number_problem(text: str, which: Field, factor: str = "", defaults: Defaults = SAME_FOR_ALL) -> str | None:
    """Return why a text cannot be a mean or a variance of a factor, None where it can."""
    number = parse_number(text)
    if number is None:
        return f"'{text[:40]}' is not a number. Write it like 0.2, -1.5 or 1e-7."
    if math.isinf(number):
        return f"'{text[:40]}' is too large for a number."
    rule = defaults.variance_rule(factor, number) if which == "variance" else None
    if rule is None:
        return None
    return (
        f"{text[:40]} cannot be: {rule}."
        if defaults.are_in_files
        else f"{text[:40]} is not above 0, and a variance must be."
    )


def scaled(draft: Draft, factors: Iterable[str], fields: Sequence[Field], factor: float, shift: float) -> Cells:
    """Return the cells of ``factors`` with ``value * factor + shift``; cells that are no number stay as they are."""
    found = {}
    for name in factors:
        for which in fields:
            cell = Cell(name, which)
            number = parse_number(draft.text(cell))
            if number is not None:
                found[cell] = repr(number * factor + shift)
    return found


def at_defaults(factors: Iterable[str], defaults: Defaults = SAME_FOR_ALL) -> Cells:
    """Return the cells of ``factors`` with what stands where nobody set anything."""
    return {
        Cell(name, which): repr(value)
        for name in factors
        for which, value in zip(FIELDS, defaults.of(name), strict=True)
    }


def cells_of(config: FactorConfig) -> Cells:
    """Return every number of a config as text."""
    return {
        Cell(name, which): repr(value)
        for name, pair in config.normalizations().items()
        for which, value in zip(FIELDS, pair, strict=True)
    }


def config_document(
    symbol: str, names: Sequence[str], means: Sequence[float], variances: Sequence[float]
) -> dict[str, Any]:
    """Return a config in the form of `GET …/factor-config`."""
    return {symbol: {"factor_names": list(names), "mean_values": list(means), "variance_values": list(variances)}}
