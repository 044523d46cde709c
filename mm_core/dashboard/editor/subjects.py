"""What the editor edits: the group in hand, or a version that was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from mm_core.dashboard.editor.kept import THE_GROUP, Place
from mm_core.dashboard.page import OpenGroup, open_group
from mm_core.dashboard.sections.choosing_versions import choose, labels_of
from mm_core.dashboard.sections.group import facts_of
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.sidebar import picked
from mm_core.dashboard.words import plain
from mm_core.domain.versions import Version
from mm_core.evaluation.versions import importance_of
from mm_core.registry import Registry
from mm_core.registry.configs import Configs

_CHOSEN = "_model_manager_edited"


@dataclass(frozen=True, slots=True)
class EditedSubject:
    """Whose mean and variance are edited, through which use cases, and what is known of its factors by name.

    ``kind`` and ``described`` are words of sentences; ``group_key`` is None where it is a version.
    """

    configs: Configs
    place: Place
    kind: str
    described: str
    group_key: str | None = None
    taus: Mapping[str, float | None] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Model and symbol, or family and version."""
        return f"{self.place.model_name} {self.place.subject}"


def open_subject(registry: Registry) -> EditedSubject:
    """Return what is chosen: the group in hand unless it is a version; say how to get one where there is nothing."""
    with errors_as_sentences():
        labels = {label: held for label, held in labels_of(registry.versions()).items() if held.has_editable_normalizer}
    if labels:
        options = [THE_GROUP, *labels] if picked().symbol is not None else list(labels)
        label = _chosen(options)
        if label in labels:
            held = labels[label]
            assert held.files is not None
            return _of_version(registry, Place(held.family, held.name, label), held.files)
    return _of_group(open_group(registry))


def _chosen(options: Sequence[str]) -> str:
    """Return what is chosen; a link within the page, as to another draft, chooses too: a bound widget ignores it."""
    asked = st.query_params.get("of")
    if asked in options and asked != st.session_state.get(_CHOSEN):
        st.session_state["of"] = asked
    label = choose("Mean and variance of", options, "of")
    st.session_state[_CHOSEN] = label
    return label


def _of_group(opened: OpenGroup) -> EditedSubject:
    group, importance = opened.group, facts_of(opened).importance
    names = group.factors.names
    return EditedSubject(
        opened.registry.configs,
        Place(opened.name, group.symbol),
        "factor",
        f"**{plain(group.symbol)}** of **{plain(opened.name)}**, group {plain(group.group_key)}",
        group.group_key,
        dict(zip(names, group.factors.taus, strict=True)),
        dict(zip(names, importance.share.tolist(), strict=True)) if importance is not None else {},
    )


def _of_version(registry: Registry, place: Place, files: Version) -> EditedSubject:
    shares = {one.feature: one.gain_share for one in importance_of(files) if one.gain_share is not None}
    return EditedSubject(
        registry.normalizers,
        place,
        "feature",
        f"Version **{plain(place.subject)}** of **{plain(place.model_name)}**",
        shares=shares,
    )
