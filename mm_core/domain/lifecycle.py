"""Where a version of a model stands: its status, the moves between statuses, and the stage that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mm_core.errors import IllegalMove


class Status(StrEnum):
    """The truth about a version: ``deployed`` ones count, ``shadow`` ones run without counting, others do not run."""

    TRAINING = "training"
    VALIDATED = "validated"
    SHADOW = "shadow"
    DEPLOYED = "deployed"
    DEPRECATED = "deprecated"

    @property
    def stage(self) -> Stage:
        """The stage of MLflow's old vocabulary that follows; several statuses share one."""
        return _STAGES[self]

    @property
    def runs(self) -> bool:
        """Whether a version of this status predicts."""
        return self in (Status.SHADOW, Status.DEPLOYED)

    @property
    def counts(self) -> bool:
        """Whether what a version of this status predicts takes part in decisions."""
        return self is Status.DEPLOYED


class Stage(StrEnum):
    """A coarser word for a status, derived and never stored."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


class Tier(StrEnum):
    """Who may see a version, from everybody up."""

    FREE = "free"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"

    def sees(self, requirement: Tier) -> bool:
        """Return whether a caller of this tier sees what needs ``requirement``."""
        order = list(Tier)
        return order.index(self) >= order.index(requirement)


class ModelType(StrEnum):
    """What kind of algorithm a version is."""

    LINEAR_REGRESSION = "linear_regression"
    LOGISTIC_REGRESSION = "logistic_regression"
    RANDOM_FOREST = "random_forest"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    LSTM = "lstm"
    TRANSFORMER = "transformer"
    ENSEMBLE = "ensemble"


class Objective(StrEnum):
    """What a version is for; the booster's own objective is another thing."""

    PRICE_PREDICTION = "price_prediction"
    DIRECTION_CLASSIFICATION = "direction_classification"
    VOLATILITY_FORECAST = "volatility_forecast"
    FACTOR_ENHANCEMENT = "factor_enhancement"


class Action(StrEnum):
    """What an event did. ``demote`` is what a deployment does to the version that was deployed before."""

    REGISTER = "register"
    UPDATE = "update"
    VALIDATE = "validate"
    SHADOW = "shadow"
    DEPLOY = "deploy"
    DEMOTE = "demote"
    DEPRECATE = "deprecate"
    RESTORE = "restore"
    PIN = "pin"
    UNPIN = "unpin"
    ALIAS = "alias"
    UNALIAS = "unalias"


LEGAL_MOVES: Mapping[Status, tuple[Status, ...]] = {
    Status.TRAINING: (Status.VALIDATED, Status.DEPRECATED),
    Status.VALIDATED: (Status.SHADOW, Status.DEPLOYED, Status.DEPRECATED),
    Status.SHADOW: (Status.DEPLOYED, Status.DEPRECATED),
    Status.DEPLOYED: (Status.SHADOW, Status.DEPRECATED),
    Status.DEPRECATED: (Status.VALIDATED,),
}
"""Where a version may go from each status."""

_STAGES = {
    Status.TRAINING: Stage.NONE,
    Status.VALIDATED: Stage.STAGING,
    Status.SHADOW: Stage.STAGING,
    Status.DEPLOYED: Stage.PRODUCTION,
    Status.DEPRECATED: Stage.ARCHIVED,
}

_MOVES = {
    (Status.TRAINING, Status.VALIDATED): Action.VALIDATE,
    (Status.DEPRECATED, Status.VALIDATED): Action.RESTORE,
    (Status.DEPLOYED, Status.SHADOW): Action.DEMOTE,
}


def checked_move(before: Status, after: Status, what: str) -> Action:
    """Return what a move of ``what`` (a model and its version) is called; raise `IllegalMove` for one that is not."""
    if after not in LEGAL_MOVES[before]:
        ways = " or ".join(f"'{status}'" for status in LEGAL_MOVES[before])
        between = [one for one in LEGAL_MOVES[before] if after in LEGAL_MOVES[one] and one is not Status.DEPLOYED]
        first = f"Make it '{between[0]}' first" if between else "Register another version"
        raise IllegalMove(
            f"{what} is '{before}' and cannot become '{after}' from there: only {ways}. {first}; nothing was changed."
        )
    if (before, after) in _MOVES:
        return _MOVES[before, after]
    return {Status.SHADOW: Action.SHADOW, Status.DEPLOYED: Action.DEPLOY, Status.DEPRECATED: Action.DEPRECATE}[after]


def status_for(stage: Stage, status: Status, *, was_validated: bool) -> Status:
    """Return the status that a version of ``status`` has to take for a stage; whether it may is another question.

    ``Staging`` leaves a shadow where it is and makes one of what is deployed: from there, no move leads back to
    ``validated``. ``None`` is ``training`` for what never left it, ``validated`` for what did.
    """
    if stage is Stage.PRODUCTION:
        return Status.DEPLOYED
    if stage is Stage.ARCHIVED:
        return Status.DEPRECATED
    if stage is Stage.STAGING:
        return Status.SHADOW if status.runs else Status.VALIDATED
    return Status.VALIDATED if was_validated else Status.TRAINING
