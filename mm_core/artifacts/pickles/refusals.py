"""The ways in which a pickle is refused, each with a sentence and a remedy."""

from __future__ import annotations

from mm_core.errors import UnreadableArtifact

MOST_OF_A_NAME = 200
SAVE_PLAINLY = "Pickle plain Python, NumPy or pandas data again, or save a model as XGBoost JSON."
SAVE_AS_JSON = (
    "Load the model where it was trained, with XGBoost 1.3 to 3.0 or later, and save it with "
    "booster.save_model('X_model.json')."
)


def broken(detail: str) -> UnreadableArtifact:
    """Return the refusal of bytes that are no complete pickle."""
    return UnreadableArtifact("broken-pickle", f"The pickle is broken: {detail}.", "Write the file again.")


def unsafe(callable_name: str, reason: str) -> UnreadableArtifact:
    """Return the refusal of a pickle that refers to a callable which no honest file needs."""
    # A name of the file may hold anything: line ends, what moves a terminal's cursor, half surrogate pairs.
    written = ascii(callable_name[:MOST_OF_A_NAME])
    return UnreadableArtifact(
        "unsafe-pickle",
        f"The pickle refers to {written}, {reason}. Nothing of it was run.",
        f"Do not load this file. {SAVE_PLAINLY}",
    )


def unsupported(detail: str) -> UnreadableArtifact:
    """Return the refusal of a pickle that uses something which is not read."""
    return UnreadableArtifact("unsupported-pickle", detail, SAVE_PLAINLY)


def too_large(detail: str) -> UnreadableArtifact:
    """Return the refusal of a pickle that would cost more than a file of its kind may."""
    return UnreadableArtifact("pickle-too-large", f"The pickle is too large: {detail}.", SAVE_PLAINLY)
