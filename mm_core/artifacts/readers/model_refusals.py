"""The ways in which a model in XGBoost's JSON form is refused, each with a sentence and a remedy."""

from __future__ import annotations

from mm_core.errors import UnreadableArtifact

REMEDY = "Save the model again with booster.save_model('…_model.json')."
TRAIN_AGAIN = (
    "Train the model again with XGBoost 3.2, which cannot load this one either, or with one_output_per_tree as its "
    "multi_strategy."
)


def bad(detail: str) -> UnreadableArtifact:
    """Return the refusal of a file that is not what XGBoost saves."""
    return UnreadableArtifact("bad-model", detail, REMEDY)


def unsound(detail: str, remedy: str = REMEDY) -> UnreadableArtifact:
    """Return the refusal of a model that XGBoost may crash on."""
    return UnreadableArtifact("unsound-model", f"{detail} XGBoost may crash on it, so no bot is given it.", remedy)
