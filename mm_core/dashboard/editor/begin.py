"""The draft of the group in hand: begun on what is saved, kept while pages change."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.dashboard.editor.drafts import Draft
from mm_core.dashboard.editor.kept import drafts, new_draft
from mm_core.dashboard.page import OpenGroup
from mm_core.dashboard.session import errors_as_sentences
from mm_core.registry.configs import CurrentConfig


@dataclass(frozen=True, slots=True)
class Editing:
    """A group, what is saved for it now, and the session's draft on top of what was saved when it was begun."""

    opened: OpenGroup
    saved: CurrentConfig
    draft: Draft

    @property
    def key(self) -> tuple[str, str]:
        """The draft's place among the session's drafts."""
        return (self.opened.name, self.opened.group.symbol)

    @property
    def is_behind(self) -> bool:
        """Whether somebody saved, or a scan changed the factors, since the draft was begun."""
        saved = (self.saved.record.revision, self.saved.record.created_at, self.saved.config.factor_names)
        return saved != (self.draft.revision, self.draft.created_at, self.draft.base.factor_names)


def begin_editing(opened: OpenGroup) -> Editing:
    """Return the draft of a group; one without edits moves to the newest revision by itself."""
    with errors_as_sentences():
        saved = opened.registry.configs.get(opened.name, opened.group.symbol, opened.group.group_key)
    key = (opened.name, opened.group.symbol)
    draft = drafts().get(key)
    if draft is None:
        draft = new_draft(key, saved.config, saved.record.revision, saved.record.created_at)
    return Editing(opened, saved, draft)
