"""Register a version that a root holds and nobody registered: the guide's fields, begun with what its files say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from mm_core.dashboard.addresses import choose
from mm_core.dashboard.page import refuse_after_rerun, say_after_rerun, show_refusal
from mm_core.dashboard.sections.choosing_versions import labels_of
from mm_core.dashboard.sections.moving import MEANS, WHO
from mm_core.dashboard.words import plain
from mm_core.domain.lifecycle import ModelType, Objective, Status, Tier
from mm_core.domain.version_records import LARGEST_SCORE, LONGEST_TARGET
from mm_core.domain.versions import Version, VersionLayout
from mm_core.errors import ModelManagerError
from mm_core.registry import Registry
from mm_core.registry.known_versions import KnownVersion
from mm_core.registry.lifecycle_changes import LONGEST_ACTOR, LONGEST_NOTE, Author

REGISTER = "register version"
_WARNED = "_model_manager_version_warnings"
MOST = float(LARGEST_SCORE)
CLASSES = ("multi", "binary", "cross_entropy")
"""How objectives of boosters begin that tell classes apart: LightGBM's `multiclass`, XGBoost's `multi:softprob`."""


def register_version(registry: Registry, versions: Sequence[KnownVersion]) -> None:
    """Let a reader choose a version that nobody registered, look at what would be stored, and register it."""
    show_refusal(REGISTER)
    for sentence in st.session_state.pop(_WARNED, ()):
        st.warning(plain(sentence))
    free = [one for one in versions if one.record is None and one.files is not None]
    if not free:
        st.success("Every version that a registered root holds is registered.")
        return
    labels = labels_of(free)
    label = choose("Version that nobody registered", list(labels), "unregistered")
    held = labels[label]
    assert held.files is not None
    begin = begin_with(held.files)
    with st.form(f"register {label}", border=True):
        left, middle, right = st.columns(3)
        _choose(left, "Model type", ModelType, begin["model_type"], label)
        _choose(middle, "Objective", Objective, begin["objective"], label)
        _choose(right, "Tier that it needs", Tier, Tier.PREMIUM, label)
        left.text_input(
            "Target variable", begin["target_variable"], max_chars=LONGEST_TARGET, placeholder="price_direction_3d",
            key=f"{label} target_variable",
        )  # fmt: skip
        middle.text_input(
            "Prediction horizon", begin["prediction_horizon"], placeholder="1w",
            help="A number and one of h, d, w, m, y", key=f"{label} prediction_horizon",
        )  # fmt: skip
        _choose(right, "Status", Status, Status.TRAINING, label)
        for place, name, said in (
            (left, "validation_score", "Validation score"),
            (middle, "test_score", "Test score"),
        ):
            place.number_input(said, -MOST, MOST, begin[name], format="%.6f", step=0.01, key=f"{label} {name}")
        who, why = st.columns([1, 2])
        who.text_input("Who are you?", st.session_state.get(WHO, ""), max_chars=LONGEST_ACTOR, key=f"{label} who")
        why.text_input(
            "Why?", max_chars=min(LONGEST_NOTE, 500), key=f"{label} why",
            placeholder="needed for what runs; kept in the history for good",
        )  # fmt: skip
        st.caption(
            f"{plain(held.title)} in {plain(held.directory or '')}. "
            + " ".join(f"**{status}**: {MEANS[status]}" for status in (Status.SHADOW, Status.DEPLOYED))
        )
        st.form_submit_button(
            "Register", type="primary", icon=":material/how_to_reg:", on_click=_register,
            args=(registry, held, label, _after(labels, label)),
        )  # fmt: skip


def begin_with(files: Version) -> dict[str, Any]:
    """Return what the form begins with: what the files say, and what most versions are where they say nothing."""
    metadata, evaluation, run = files.metadata, files.evaluation, files.run
    extra = {**(run.extra if run is not None else {}), **(metadata.extra if metadata is not None else {})}
    booster = files.booster.objective if files.booster is not None else ""
    objective = (metadata.objective if metadata is not None else None) or booster
    is_run = files.layout is VersionLayout.RUNS
    model_type = ModelType.ENSEMBLE if is_run else ModelType.LIGHTGBM
    if is_run and run is not None and len(run.trained_models) == 1 and run.trained_models[0] in set(ModelType):
        model_type = ModelType(run.trained_models[0])
    return {
        "model_type": model_type,
        "objective": Objective.DIRECTION_CLASSIFICATION
        if objective.startswith(CLASSES)
        else Objective.PRICE_PREDICTION,
        "target_variable": _text(extra, "target_variable", "target", "label"),
        "prediction_horizon": _text(extra, "prediction_horizon", "horizon"),
        "validation_score": _score(metadata.validation_accuracy if metadata is not None else None),
        "test_score": _score(evaluation.accuracy if evaluation is not None else None),
    }


def _text(extra: dict[str, Any], *names: str) -> str:
    return next((extra[name][:LONGEST_TARGET] for name in names if isinstance(extra.get(name), str)), "")


def _score(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= MOST else None


def _choose(place: Any, said: str, kind: Any, first: Any, label: str) -> None:
    options = [str(one) for one in kind]
    place.selectbox(said, options, index=options.index(str(first)), key=f"{label} {kind.__name__}")


def _after(labels: Mapping[str, KnownVersion], label: str) -> str | None:
    """Return the label of the next version, which after the last is the first; None where there is no other one."""
    names, version = list(labels), (labels[label].family, labels[label].name)
    at = names.index(label)
    others = (name for name in names[at:] + names[:at] if (labels[name].family, labels[name].name) != version)
    return next(others, None)


def _register(registry: Registry, held: KnownVersion, label: str, following: str | None) -> None:
    """Register a version as its form says, and choose the ``following`` one: this one is no longer offered."""
    said = {name: st.session_state.get(f"{label} {name}") for name in (
        "ModelType", "Objective", "Tier", "Status", "target_variable", "prediction_horizon", "validation_score",
        "test_score", "who", "why",
    )}  # fmt: skip
    document = {
        "model_name": held.family,
        "model_version": held.name,
        "model_type": said["ModelType"],
        "objective": said["Objective"],
        "tier_requirement": said["Tier"],
        "status": said["Status"],
        **{name: said[name] for name in ("target_variable", "prediction_horizon", "validation_score", "test_score")},
    }
    try:
        done = registry.lifecycle.register(document, Author(said["who"] or "", said["why"] or ""))
    except ModelManagerError as error:
        refuse_after_rerun(REGISTER, error)
        return
    st.session_state[WHO] = said["who"]
    st.session_state[_WARNED] = done.warnings
    if following is not None:
        st.session_state["unregistered"] = following
    say_after_rerun(f"Registered {done.record.title}: it is {done.record.status}.")
