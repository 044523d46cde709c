"""Three versions of one LightGBM model: in which third of all moves will a stock's next week be?"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from factors import all_factors, forward_return
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score
from train import LONGEST_WINDOW, Split, rank_factors

SYMBOLS = ("AAPL", "AMZN", "GOOG", "META", "NFLX", "NVDA")
HORIZON = 5
CLASSES = ("DOWN", "FLAT", "UP")
TRAINED_SHARE, VALIDATED_SHARE = 0.6, 0.8
"""Where the validation part begins, and the test part, as shares of all dates."""

TOP = 15
PARAMETERS: Mapping[str, Any] = {
    "objective": "multiclass",
    "num_class": len(CLASSES),
    "num_leaves": 7,
    "learning_rate": 0.08,
    "min_data_in_leaf": 60,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 7,
    "verbose": -1,
}


@dataclass(frozen=True)
class Recipe:
    """How one version is trained; ``parameters`` stand beside `PARAMETERS`."""

    version: str
    factors: int
    rounds: int
    notes: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


RECIPES = (
    Recipe("v1.0.0", 15, 30, "The 15 strongest factors."),
    Recipe("v1.1.0", 45, 30, "The 45 strongest factors."),
    Recipe(
        "v1.2.0",
        45,
        40,
        "Half of the factors and rows for each tree, and smaller leaf values.",
        {"feature_fraction": 0.5, "bagging_fraction": 0.5, "bagging_freq": 1, "lambda_l2": 20.0, "learning_rate": 0.05},
    ),
)


@dataclass(frozen=True)
class Parts:
    """Factors and returns of all symbols by date, in three parts; no label of one reaches into the next."""

    trained: pd.DataFrame
    validated: pd.DataFrame
    tested: pd.DataFrame

    @property
    def bounds(self) -> tuple[float, float]:
        """The returns between which a move is flat: a third of those that are learned from is on each side."""
        low, high = np.quantile(self.trained["return"], [1 / 3, 2 / 3])
        return float(low), float(high)


def split_parts(bars: Iterable[pd.DataFrame]) -> Parts:
    """Return the bars of several symbols as parts; a row without every factor, or without a label, is left out."""
    tables = []
    for each in bars:
        table = all_factors(each)
        table["return"] = forward_return(each, HORIZON)
        table["known_at"] = pd.Series(each.index, index=each.index).shift(-HORIZON - 1)
        tables.append(table.iloc[LONGEST_WINDOW:].dropna())
    rows = pd.concat(tables).sort_index(kind="stable")
    dates = rows.index.unique()
    validation, test = (dates[int(len(dates) * share)] for share in (TRAINED_SHARE, VALIDATED_SHARE))
    return Parts(
        rows[rows["known_at"] < validation],
        rows[(rows.index >= validation) & (rows["known_at"] < test)],
        rows[rows.index >= test],
    )


def strongest_factors(parts: Parts) -> list[str]:
    """Return the factors by the size of their Kendall's tau with the return, on what is learned from."""
    rows = len(parts.trained)
    factors = parts.trained.drop(columns=["return", "known_at"])
    return list(rank_factors(factors, parts.trained["return"], Split(0, rows, 0, rows)).index)


def train_version(parts: Parts, ranked: list[str], recipe: Recipe, folder: Path) -> dict[str, float]:
    """Train one version and write its five files into ``folder``; return its accuracies."""
    names = ranked[: recipe.factors]
    mean, std = parts.trained[names].mean(), parts.trained[names].std()
    rows = {
        name: ((part[names] - mean) / std).to_numpy()
        for name, part in (("trained", parts.trained), ("validated", parts.validated), ("tested", parts.tested))
    }
    labels = {name: np.digitize(getattr(parts, name)["return"], parts.bounds) for name in rows}
    learned = lightgbm.Dataset(rows["trained"], labels["trained"], feature_name=names)
    checked = lightgbm.Dataset(rows["validated"], labels["validated"], reference=learned)
    losses: dict[str, dict[str, list[float]]] = {}
    booster = lightgbm.train(
        {**PARAMETERS, **recipe.parameters},
        learned,
        recipe.rounds,
        valid_sets=[checked],
        valid_names=["validation"],
        callbacks=[lightgbm.record_evaluation(losses)],
    )
    predicted = {name: booster.predict(part, num_threads=1) for name, part in rows.items()}
    accuracy = {name: float(accuracy_score(labels[name], predicted[name].argmax(axis=1))) for name in rows}
    importance = sorted(
        zip(names, booster.feature_importance("split").tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])
    )
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.txt")
    _write_json(
        folder / "normalizer.json", {name: {"mean": float(mean[name]), "std": float(std[name])} for name in names}
    )
    _write_json(
        folder / "metadata.json",
        {
            "model_version": recipe.version,
            "model_type": "lightgbm",
            "algorithm": "LightGBM gradient boosting",
            "objective": "multiclass",
            "num_classes": len(CLASSES),
            "classes": CLASSES,
            "training_date": datetime.now(UTC).isoformat(timespec="seconds"),
            "training_examples": len(parts.trained),
            "validation_examples": len(parts.validated),
            "num_features": len(names),
            "performance": {
                "validation_accuracy": accuracy["validated"],
                "best_iteration": int(np.argmin(losses["validation"]["multi_logloss"])) + 1,
                "total_iterations": recipe.rounds,
            },
            "feature_names": names,
            "feature_categories": _by_family(names),
            "top_features": [{"feature": name, "importance": count} for name, count in importance[:TOP]],
            "hyperparameters": {**PARAMETERS, **recipe.parameters},
            "notes": recipe.notes,
            "train_accuracy": accuracy["trained"],
            "horizon_bars": HORIZON,
            "flat_between": parts.bounds,
            "windows": {
                name: [str(part.index[0].date()), str(part.index[-1].date())]
                for name, part in (("train", parts.trained), ("validation", parts.validated), ("test", parts.tested))
            },
        },
    )
    _write_json(folder / "test_evaluation.json", _evaluation(labels["tested"], predicted["tested"]))
    with open(folder / "feature_importance.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("feature", "importance"), *importance])
    return accuracy


def _evaluation(labels: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    numbers = list(range(len(CLASSES)))
    guesses = predicted.argmax(axis=1)
    matrix = confusion_matrix(labels, guesses, labels=numbers)
    columns = precision_recall_fscore_support(labels, guesses, labels=numbers, zero_division=0)
    accuracy = float(accuracy_score(labels, guesses))
    random, majority = 1 / len(CLASSES), float(matrix.sum(axis=1).max() / matrix.sum())
    return {
        "test_examples": len(labels),
        "accuracy": accuracy,
        "baseline_random": random,
        "baseline_majority": majority,
        "improvement_over_random": accuracy - random,
        "improvement_over_majority": accuracy - majority,
        "per_class_metrics": {
            name: {"precision": precision, "recall": recall, "f1_score": f1_score, "support": support}
            for name, precision, recall, f1_score, support in zip(
                CLASSES, *(column.tolist() for column in columns), strict=True
            )
        },
        "confusion_matrix": matrix.tolist(),
        "prediction_distribution": dict(zip(CLASSES, matrix.sum(axis=0).tolist(), strict=True)),
        "true_distribution": dict(zip(CLASSES, matrix.sum(axis=1).tolist(), strict=True)),
        "macro_roc_auc": float(roc_auc_score(labels, predicted, multi_class="ovr", average="macro")),
    }


def _by_family(names: list[str]) -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.rpartition("_")[0], []).append(name)
    return families


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
