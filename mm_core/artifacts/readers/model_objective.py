"""The objective of a booster, with the parameters without which XGBoost does not load it."""

from __future__ import annotations

import math

from mm_core.artifacts.readers.model_numbers import finite_numbers, whole_number
from mm_core.artifacts.readers.model_refusals import bad

Objective = dict[str, str | dict[str, str] | list[float | int]]
"""``objective``: its name, its parameters as text, and for ranking lists of numbers."""

NEEDED: dict[str, tuple[str, str | None]] = {
    "multi:softmax": ("softmax_multiclass_param", "num_class"),
    "multi:softprob": ("softmax_multiclass_param", "num_class"),
    "reg:quantileerror": ("quantile_loss_param", "quantile_alpha"),
    "count:poisson": ("poisson_regression_param", None),
    "reg:tweedie": ("tweedie_regression_param", None),
    "survival:aft": ("aft_loss_param", None),
}
"""The parameters that XGBoost asks of an objective, and the one among them that has no default."""

RANGES: dict[str, tuple[float, float]] = {
    "scale_pos_weight": (0.0, math.inf),
    "max_delta_step": (0.0, math.inf),
    "tweedie_variance_power": (1.0, 2.0),
    "huber_slope": (-math.inf, math.inf),
    "aft_loss_distribution_scale": (-math.inf, math.inf),
    "quantile_alpha": (0.0, 1.0),
}
"""The parameters that are numbers, or lists of them, with the least and the largest that XGBoost takes."""

BIASES = ("ti+", "tj-")
"""What ranking without bias has learnt of positions; XGBoost asks for it where ``lambdarank_unbiased`` is set."""


def objective_name(objective: Objective) -> str:
    """Return the name of an objective whose parameters XGBoost can read; raise `UnreadableArtifact` otherwise.

    A name that XGBoost 3.2 does not know is taken: a bot may have a newer one.
    """
    name = objective.get("name")
    if not isinstance(name, str):
        raise bad("The objective has no name.")
    if name in NEEDED:
        needed, entry = NEEDED[name]
        parameters = objective.get(needed)
        if not isinstance(parameters, dict) or (entry is not None and entry not in parameters):
            raise bad(f"The objective {name} has no {needed}{f' with {entry}' if entry else ''}.")
    for part, parameters in objective.items():
        if isinstance(parameters, dict):
            _check(part, parameters, objective)
        elif part.endswith("_param"):
            raise bad(f"{part} of the objective holds no parameters.")
    return name


def _check(part: str, parameters: dict[str, str], objective: Objective) -> None:
    for name, text in parameters.items():
        least, largest = RANGES.get(name, (0.0, 0.0))
        if name in RANGES and not all(least <= number <= largest for number in finite_numbers(text) or [math.nan]):
            raise bad(f"{name} of the objective is {text[:40]!r}, no number from {least} to {largest}.")
        if name == "num_class" and not whole_number(text, f"num_class of {part}"):
            raise bad(f"num_class of {part} is 0.")
    if parameters.get("lambdarank_unbiased", "0") != "0" and not all(
        isinstance(objective.get(bias), list) for bias in BIASES
    ):
        raise bad("The objective ranks without bias and does not have what it learnt of positions.")
