"""What the editor edits: the group in hand, or a version that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st

from mm_core.dashboard.addresses import choose
from mm_core.dashboard.editor.kept import THE_GROUP, Place
from mm_core.dashboard.page import OpenGroup, open_group
from mm_core.dashboard.sections.choosing_versions import labels_of
from mm_core.dashboard.sections.group import facts_of
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.sidebar import picked
from mm_core.dashboard.words import plain
from mm_core.domain.versions import Version
from mm_core.evaluation.versions import importance_of
from mm_core.registry import Registry
from mm_core.registry.configs import Configs


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
    options = [THE_GROUP, *labels] if picked().symbol is not None else list(labels)
    if options and (labels or st.query_params.get("of") not in (None, THE_GROUP)):
        if THE_GROUP not in options and st.session_state.get("of") == THE_GROUP:
            st.session_state["of"] = options[0]  # the sidebar has no group any more, and says so
        label = choose("Mean and variance of", options, "of", noun="version")
        if label in labels:
            held = labels[label]
            assert held.files is not None
            return _of_version(registry, Place(held.family, held.name, label), held.files)
    return _of_group(open_group(registry))


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
