"""The ways in which a model in XGBoost's JSON form is refused, each with a sentence and a remedy."""

from __future__ import annotations

from mm_core.errors import UnreadableArtifact

REMEDY = "Save the model again with booster.save_model('…_model.json')."


def bad(detail: str) -> UnreadableArtifact:
    """Return the refusal of a file that is not what XGBoost saves."""
    return UnreadableArtifact("bad-model", detail, REMEDY)


def unsound(detail: str) -> UnreadableArtifact:
    """Return the refusal of a model that XGBoost may crash on."""
    return UnreadableArtifact("unsound-model", f"{detail} XGBoost may crash on it, so no bot is given it.", REMEDY)


def whole_number(text: str, name: str) -> int:
    """Return a number that XGBoost writes as text; raise `UnreadableArtifact` that names it."""
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise bad(f"{name} is {text[:40]!r}, not a whole number.")
    return int(text)
