"""The draft of what is edited: begun on what is saved, kept while pages change."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.dashboard.editor.drafts import Draft
from mm_core.dashboard.editor.kept import Place, draft_of, new_draft
from mm_core.dashboard.editor.subjects import EditedSubject
from mm_core.dashboard.session import errors_as_sentences
from mm_core.registry.configs import CurrentConfig


@dataclass(frozen=True, slots=True)
class Editing:
    """What is edited, what is saved for it now, and the session's draft on what was saved when it was begun."""

    subject: EditedSubject
    saved: CurrentConfig
    draft: Draft

    @property
    def key(self) -> Place:
        """The draft's place among the session's drafts."""
        return self.subject.place

    @property
    def is_behind(self) -> bool:
        """Whether somebody saved, or a scan changed factors or files, since the draft was begun."""
        record, config, base = self.saved.record, self.saved.config, self.draft.base
        saved = (record.revision, record.created_at, config, config.defaults)
        return saved != (self.draft.revision, self.draft.created_at, base, base.defaults)


def begin_editing(subject: EditedSubject) -> Editing:
    """Return the draft of a subject; one without edits moves to the newest revision by itself."""
    key = subject.place
    with errors_as_sentences():
        saved = subject.configs.get(key.model_name, key.subject, subject.group_key)
    draft = draft_of(key)
    if draft is None:
        draft = new_draft(key, saved.config, saved.record.revision, saved.record.created_at)
    return Editing(subject, saved, draft)
