"""Four trainings one after the other, each half a year later than the one before, published as runs with `latest`."""

from __future__ import annotations

import pickle
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from factors import all_factors, forward_return
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, precision_score, recall_score
from sklearn.preprocessing import StandardScaler
from train import LONGEST_WINDOW, Split, rank_factors

from mm_core import versions

SYMBOL = "SP500"
HORIZON = 5
RUNS = 4
TRAINING_MONTHS, VALIDATION_MONTHS = 18, 6
FACTORS = 20
CLASSES = ("DOWN", "UP")
THRESHOLD = 0.5
LARGEST_WEIGHT = 0.4
PERIODS_A_YEAR = 252 / HORIZON
CONFIGS: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 16, "max_depth": 3, "min_samples_leaf": 15, "random_state": 7, "n_jobs": 1},
    "xgboost": {
        "n_estimators": 24,
        "max_depth": 2,
        "learning_rate": 0.08,
        "subsample": 0.8,
        "min_child_weight": 10,
        "random_state": 7,
        "n_jobs": 1,
        "tree_method": "hist",
    },
    "lightgbm": {
        "objective": "binary",
        "num_iterations": 24,
        "num_leaves": 4,
        "learning_rate": 0.08,
        "min_data_in_leaf": 20,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 7,
        "verbose": -1,
    },
}
KINDS = {"random_forest": "ensemble", "xgboost": "gradient_boosting", "lightgbm": "gradient_boosting"}


def publish_runs(bars: pd.DataFrame, root: Path, runs: int = RUNS) -> list[str]:
    """Train and publish ``runs`` runs below ``root``, remove those that were there, and return the new names."""
    versions.init(root, with_copies=True)
    table = all_factors(bars)
    table["return"] = forward_return(bars, HORIZON)
    table["known_at"] = pd.Series(bars.index, index=bars.index).shift(-HORIZON - 1)
    table = table.iloc[LONGEST_WINDOW:].dropna()
    last = table.index[-1]
    published = []
    for ago in reversed(range(runs)):
        end = last - pd.DateOffset(months=VALIDATION_MONTHS * ago)
        middle = end - pd.DateOffset(months=VALIDATION_MONTHS)
        begin = middle - pd.DateOffset(months=TRAINING_MONTHS)
        learned = table[(table.index > begin) & (table["known_at"] <= middle)]
        checked = table[(table.index > middle) & (table.index <= end)]
        with versions.publish(root) as run:
            _train(learned, checked, run)
        assert run.version is not None
        published.append(run.version)
        time.sleep(1 - time.time() % 1)  # a run is named by its second
    versions.execute(versions.plan_cleanup(root, keep=runs))
    return published


def _train(learned: pd.DataFrame, checked: pd.DataFrame, run: versions.Publication) -> None:
    ranked = rank_factors(
        learned.drop(columns=["return", "known_at"]), learned["return"], Split(0, len(learned), 0, len(learned))
    )
    names = list(ranked.index[:FACTORS])
    scaler = StandardScaler().fit(learned[names])  # with names: they say which column is which factor
    rows, later = (pd.DataFrame(scaler.transform(part[names]), columns=names) for part in (learned, checked))
    label = (learned["return"] > 0).to_numpy().astype(int)
    forest = RandomForestClassifier(**CONFIGS["random_forest"]).fit(rows, label)
    boosted = xgboost.XGBClassifier(**CONFIGS["xgboost"]).fit(rows, label)
    light = lightgbm.train(CONFIGS["lightgbm"], lightgbm.Dataset(rows, label))
    (run.path / "scalers.pkl").write_bytes(pickle.dumps(scaler, protocol=5))
    (run.path / "random_forest_model.pkl").write_bytes(pickle.dumps(forest, protocol=5))
    (run.path / "xgboost_model.pkl").write_bytes(pickle.dumps(boosted, protocol=5))
    light.save_model(run.path / "lightgbm_model.txt")
    chances = {
        "random_forest": forest.predict_proba(later)[:, 1],
        "xgboost": boosted.predict_proba(later)[:, 1],
        "lightgbm": light.predict(later, num_threads=1),
    }
    metrics = {name: _metrics(checked["return"].to_numpy(), found) for name, found in chances.items()}
    run.save_metadata(
        model_configs={
            name: {
                "name": name,
                "model_type": KINDS[name],
                "parameters": parameters,
                "training_window": TRAINING_MONTHS,
                "validation_window": VALIDATION_MONTHS,
                "lookback_window": LONGEST_WINDOW,
                "feature_count": len(names),
            }
            for name, parameters in CONFIGS.items()
        },
        performance_metrics=metrics,
        ensemble_weights=_weights({name: found["accuracy"] for name, found in metrics.items()}),
        prediction_threshold=THRESHOLD,
        symbol=SYMBOL,
        horizon_bars=HORIZON,
        feature_names=names,
        classes=CLASSES,
        training_window=[str(learned.index[0].date()), str(learned.index[-1].date())],
        validation_window=[str(checked.index[0].date()), str(checked.index[-1].date())],
    )


def _metrics(returns: np.ndarray, chances: np.ndarray) -> dict[str, Any]:
    """Return how a model did: one trade of ``HORIZON`` bars after the other, long above the threshold, else short."""
    rose, said = returns > 0, chances > THRESHOLD
    gains = np.where(said, returns, -returns)[::HORIZON]
    equity = np.cumprod(1 + gains)
    lost = -gains[gains < 0].sum()
    accuracy = float(accuracy_score(rose, said))
    return {
        "accuracy": accuracy,
        "precision": float(precision_score(rose, said, zero_division=0)),
        "recall": float(recall_score(rose, said, zero_division=0)),
        "sharpe_ratio": float(gains.mean() / gains.std(ddof=1) * PERIODS_A_YEAR**0.5),
        "max_drawdown": float((1 - equity / np.maximum.accumulate(np.maximum(equity, 1.0))).max()),
        "win_rate": float((gains > 0).mean()),
        "total_trades": len(gains),
        "profit_factor": float(gains[gains > 0].sum() / lost) if lost else None,
        "validation_score": accuracy,
        "last_updated": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _weights(scores: dict[str, float]) -> dict[str, float]:
    """Return weights that sum to 1 by score, none above `LARGEST_WEIGHT`: what is cut off goes to the others alike."""
    total = sum(scores.values())
    weights = {name: score / total for name, score in scores.items()}
    over = {name for name, weight in weights.items() if weight > LARGEST_WEIGHT}
    rest = sum(weight for name, weight in weights.items() if name not in over)
    left = 1 - LARGEST_WEIGHT * len(over)
    return {name: LARGEST_WEIGHT if name in over else weight / rest * left for name, weight in weights.items()}
