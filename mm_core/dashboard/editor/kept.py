"""What a session keeps of its unsaved factor configs, from run to run and from page to page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from mm_core.dashboard.editor.drafts import FIELDS, Cell, Cells, Draft
from mm_core.domain.configs import FactorConfig

_DRAFTS = "_model_manager_drafts"
_PINNED = "_model_manager_pinned"
_EPOCHS = "_model_manager_epochs"
EPOCHS_APART = 1_000_000
"""More redraws than one draft will see."""


THE_GROUP = "group in the sidebar"
"""What the editor's choice says where it is no version."""


class Place(NamedTuple):
    """Whose draft it is: a model's symbol, or a family's version, which addresses call ``label``."""

    model_name: str
    subject: str
    label: str = ""

    @property
    def address(self) -> dict[str, str]:
        """What leads the editor there."""
        if self.label:
            return {"of": self.label}
        return {"of": THE_GROUP, "model": self.model_name, "symbol": self.subject}

    def is_respelled(self, other: Place) -> bool:
        """Return whether both are one symbol of one model, whose case alone differs."""
        if self.label or other.label or self == other:
            return False
        return self.model_name == other.model_name and self.subject.casefold() == other.subject.casefold()


@dataclass(frozen=True, slots=True)
class PinnedGrid:
    """The rows that a grid was given under ``key``: they stay while the key lives, whatever arrives meanwhile.

    ``epoch`` is that of the draft when they were given.
    """

    key: str
    place: Place
    epoch: int
    table: pd.DataFrame


def drafts() -> dict[Place, Draft]:
    """Return the session's drafts."""
    kept: dict[Place, Draft] = st.session_state.setdefault(_DRAFTS, {})
    return kept


def draft_of(place: Place) -> Draft | None:
    """Return the draft of a place; one that was begun before a refresh respelled its symbol is moved there."""
    kept = drafts()
    older = next((one for one in kept if one.is_respelled(place)), None)
    if older is not None and place not in kept:
        draft = kept[place] = kept.pop(older)
        draft.base = replace(draft.base, subject=place.subject)
    return kept.get(place)


def new_draft(place: Place, base: FactorConfig, revision: int, created_at: str) -> Draft:
    """Begin a draft, under an epoch that no grid of this session has had."""
    epoch = st.session_state[_EPOCHS] = st.session_state.get(_EPOCHS, 0) + EPOCHS_APART
    draft = drafts()[place] = Draft(base, revision, epoch=epoch, created_at=created_at)
    return draft


def pinned_grid() -> PinnedGrid | None:
    """Return the rows of the grid that was drawn last."""
    pinned: PinnedGrid | None = st.session_state.get(_PINNED)
    return pinned


def pin_grid(grid: PinnedGrid) -> None:
    """Keep the rows of a grid."""
    st.session_state[_PINNED] = grid


def take_typed() -> None:
    """Take what was typed into the grid since the last run over into its draft.

    This comes first in a run, and first in each callback that changes the draft: whatever looks at the draft, takes a
    step back or moves it to a newer revision, must know of it. A draft that has been redrawn since has nothing to take.
    """
    grid = pinned_grid()
    draft = drafts().get(grid.place) if grid is not None else None
    if grid is not None and draft is not None and draft.epoch == grid.epoch:
        draft.type_into(typed_cells(grid.table, st.session_state.get(grid.key)), redraw=False)


def typed_cells(table: pd.DataFrame, state: Any) -> Cells:
    """Return the cells that a grid's state says were typed, by the rows that it was given."""
    factors = table["factor"].tolist()
    return {
        Cell(factors[row], which): str(edited[which])
        for row, edited in (state or {}).get("edited_rows", {}).items()
        for which in FIELDS
        if edited.get(which) is not None
    }
