"""Small boosters of every family, and their files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from mm_core.prediction import ModelFormat, PredictingModel

NAMES = ("momentum_5", "volatility_20", "spread_3", "volume_z")
ROWS = 240
GROUPS = (20,) * (ROWS // 20)

_GENERATOR = np.random.default_rng(5)
FEATURES: NDArray[np.float64] = _GENERATOR.normal(size=(ROWS, len(NAMES)))
SCORE: NDArray[np.float64] = FEATURES[:, 0] - 0.5 * FEATURES[:, 1] + _GENERATOR.normal(scale=0.2, size=ROWS)
LABELS: Mapping[str, NDArray[np.float64]] = {
    "number": SCORE,
    "positive": np.exp(SCORE / 2),
    "share": 1 / (1 + np.exp(-SCORE)),
    "two": (SCORE > 0).astype(float),
    "three": np.digitize(SCORE, [-0.5, 0.5]).astype(float),
}

LIGHTGBM_LABELS = {
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), "number"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "positive"),
    **dict.fromkeys(("cross_entropy", "cross_entropy_lambda"), "share"),
    "binary": "two",
    **dict.fromkeys(("multiclass", "multiclassova", "lambdarank", "rank_xendcg"), "three"),
}
XGBOOST_LABELS = {
    **dict.fromkeys(("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"), "number"),
    **dict.fromkeys(
        ("count:poisson", "reg:gamma", "reg:tweedie", "reg:squaredlogerror", "survival:cox", "survival:aft"), "positive"
    ),
    "reg:logistic": "share",
    **dict.fromkeys(("binary:logistic", "binary:logitraw", "binary:hinge", "rank:map"), "two"),
    **dict.fromkeys(("multi:softprob", "multi:softmax", "rank:ndcg", "rank:pairwise"), "three"),
}


@cache
def lightgbm_booster(objective: str, names: tuple[str, ...] | None = NAMES, **parameters: Any) -> lightgbm.Booster:
    """Return a booster of a few trees; without ``names`` it was trained on columns alone."""
    label = LIGHTGBM_LABELS[objective]
    settings = {"objective": objective, "verbose": -1, "num_threads": 1, "num_leaves": 5, "seed": 3, **parameters}
    if objective.startswith("multiclass"):
        settings["num_class"] = 3
    group = list(GROUPS) if "rank" in objective else None
    data = lightgbm.Dataset(FEATURES, LABELS[label], group=group, feature_name=list(names) if names else "auto")
    return lightgbm.train(settings, data, 6)


@cache
def xgboost_booster(objective: str, names: tuple[str, ...] | None = NAMES, **parameters: Any) -> xgboost.Booster:
    """Return a booster of a few trees; without ``names`` it was trained on columns alone."""
    label = LABELS[XGBOOST_LABELS[objective]]
    data = xgboost.DMatrix(FEATURES, label, feature_names=names)
    settings = {"objective": objective, "max_depth": 2, "nthread": 1, "verbosity": 0, "seed": 3, **parameters}
    if objective.startswith("multi"):
        settings["num_class"] = 3
    if objective == "reg:quantileerror":
        settings["quantile_alpha"] = [0.1, 0.9]
    if objective.startswith("rank"):
        data.set_group(GROUPS)
    if objective == "survival:aft":
        data.set_float_info("label_lower_bound", label)
        data.set_float_info("label_upper_bound", label)
    return xgboost.train(settings, data, 5)


def rows_of(matrix: NDArray[np.float64], names: Sequence[str] = NAMES) -> list[dict[str, float | None]]:
    """Return rows by feature name; a missing value is None."""
    return [{name: None if np.isnan(x) else float(x) for name, x in zip(names, row, strict=True)} for row in matrix]


@dataclass(frozen=True)
class Files:
    """Writes models where a predictor finds them."""

    folder: Path

    def lightgbm(self, booster: lightgbm.Booster | str | bytes, **more: Any) -> PredictingModel:
        text = booster.model_to_string() if isinstance(booster, lightgbm.Booster) else booster
        return self.write(text if isinstance(text, bytes) else text.encode(), ModelFormat.LIGHTGBM_TEXT, **more)

    def xgboost(self, booster: xgboost.Booster | bytes, **more: Any) -> PredictingModel:
        data = bytes(booster.save_raw("json")) if isinstance(booster, xgboost.Booster) else booster
        return self.write(data, ModelFormat.XGBOOST_JSON, **more)

    def write(self, data: bytes, model_format: ModelFormat, **more: Any) -> PredictingModel:
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / digest
        path.write_bytes(data)
        return PredictingModel(path, digest, model_format, **more)
