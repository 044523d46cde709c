"""How pages of versions begin: which family, which version, and what they say where there is none."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import streamlit as st

from mm_core.dashboard.addresses import page_path
from mm_core.dashboard.page import nothing_registered
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.tables.versions import BAD, DOUBTFUL, NO_FILES, SOUND, state_words, status_words
from mm_core.dashboard.words import counted, plain
from mm_core.domain.findings import Severity
from mm_core.domain.lifecycle import Status
from mm_core.domain.versions import VersionNumber
from mm_core.registry import Registry
from mm_core.registry.known_versions import KnownVersion

Color = Literal["green", "blue", "violet", "gray", "orange", "red"]

STATUS_LOOKS: dict[Status, tuple[str, Color]] = {
    Status.TRAINING: (":material/model_training:", "gray"),
    Status.VALIDATED: (":material/verified:", "violet"),
    Status.SHADOW: (":material/visibility:", "blue"),
    Status.DEPLOYED: (":material/rocket_launch:", "green"),
    Status.DEPRECATED: (":material/archive:", "orange"),
}
STATE_LOOKS: dict[str, tuple[str, Color]] = {
    BAD: (":material/block:", "red"),
    DOUBTFUL: (":material/warning:", "orange"),
    NO_FILES: (":material/folder_off:", "gray"),
    SOUND: (":material/check:", "green"),
}


def all_versions(registry: Registry) -> tuple[KnownVersion, ...]:
    """Return every version, or say how to get one and end the page."""
    with errors_as_sentences():
        found = registry.versions()
        damaged = registry.lifecycle.damaged()
        registered = registry.view().models()
    for name, detail in damaged.items():
        st.error(f"What is registered of **{plain(name)}** cannot be read. {plain(detail)}")
    if not found and not registered:
        nothing_registered()
        st.stop()
    if not found:
        st.info(
            "No registered root holds a version of a model, and none is registered. A version is a directory such as "
            "`sentiment-fusion/v1.1.0` with `model.txt`, `normalizer.json` and `metadata.json`, or a training run such "
            "as `models/20250724_150837`. Register the directory around them on the overview, or start the demo with "
            "`./start.sh --demo`."
        )
        st.page_link(page_path("overview"), label="Register a directory", icon=":material/create_new_folder:")
        st.stop()
    return found


def labels_of(versions: Sequence[KnownVersion]) -> dict[str, KnownVersion]:
    """Return versions by what addresses call them: ``family / version``, and where it is if two are called so."""
    names = Counter((held.family, held.name) for held in versions)
    found: dict[str, KnownVersion] = {}
    for held in versions:
        label = f"{held.family} / {held.name}"
        if names[held.family, held.name] > 1 and held.files is not None:
            label += f" ({held.registration}: {held.files.path})"
        found[label] = held
    return found


def labels_among(everything: Sequence[KnownVersion], shown: Sequence[KnownVersion]) -> list[str]:
    """Return the labels that some versions have among all of them."""
    by_identity = {id(held): label for label, held in labels_of(everything).items()}
    return [by_identity[id(held)] for held in shown]


def badges(held: KnownVersion) -> None:
    """Show where a version stands and what is known of its files; call it in a horizontal container."""
    if held.status is not None:
        icon, color = STATUS_LOOKS[held.status]
        st.badge(status_words(held), icon=icon, color=color)
    else:
        st.badge(status_words(held), icon=":material/person_off:", color="gray")
    state = state_words(held)
    icon, color = STATE_LOOKS[state]
    errors, warnings = held.count(Severity.ERROR), held.count(Severity.WARNING)
    if errors or warnings:
        words = [counted(errors, "error")] if errors else []
        words += [counted(warnings, "warning")] if warnings else []
        st.badge(", ".join(words), icon=icon, color=color)
    elif state == NO_FILES:
        st.badge(state, icon=icon, color=color)
    if held.is_latest:
        st.badge("latest", icon=":material/new_releases:", color="blue")
    if held.record is not None and held.record.pinned:
        st.badge("pinned", icon=":material/keep:", color="gray")


def how_to_register(held: KnownVersion) -> None:
    """Say how a version is registered that nobody registered."""
    st.info("Nobody registered this version: it has no status, and nothing runs it. In a shell beside the data:")
    is_run = VersionNumber.parse(held.name) is None
    example = (
        "--type ensemble --objective price_prediction --target close --horizon 1d"
        if is_run
        else "--type lightgbm --objective direction_classification --target price_direction_3d --horizon 1w"
    )
    st.code(
        f".venv/bin/python -m mm_core lifecycle register {shlex.quote(held.family)} {shlex.quote(held.name)} \\\n"
        f"    {example}",
        language="bash",
    )
