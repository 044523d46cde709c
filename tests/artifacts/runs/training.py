"""Training runs with real models: what XGBoost and scikit-learn pickle, and what they say of rows."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

FEATURES = ("momentum_5d", "volatility_20d", "spread", "volume")
RUN = "20250724_150837"
THRESHOLD = 0.55
KERAS = b"\x89HDF\r\n\x1a\n" + bytes(992)


@dataclass(frozen=True)
class Trained:
    """A classifier of two classes, the scaler of its features, and rows that neither has seen."""

    scaler: StandardScaler
    classifier: xgboost.XGBClassifier
    rows: NDArray[np.float64]

    @property
    def expected(self) -> NDArray[np.float32]:
        """The probability of the second class for each of the rows."""
        return np.asarray(self.classifier.predict_proba(self.scaler.transform(self._given(self.rows)))[:, 1])

    def _given(self, rows: NDArray[np.float64]) -> Any:
        return pd.DataFrame(rows, columns=FEATURES) if hasattr(self.scaler, "feature_names_in_") else rows

    @property
    def row_documents(self) -> list[dict[str, float]]:
        """The rows by feature name."""
        return [dict(zip(FEATURES, row, strict=True)) for row in self.rows.tolist()]


@cache
def trained(with_names: bool = True) -> Trained:
    """Return a classifier on scaled features, with the names of a DataFrame or without any."""
    generator = np.random.default_rng(11)
    rows = generator.normal(loc=[0.1, 20.0, -3.0, 1e6], scale=[0.02, 5.0, 1.0, 2e5], size=(300, len(FEATURES)))
    labels = (rows[:, 0] - 0.1) / 0.02 - (rows[:, 1] - 20) / 10 + generator.normal(scale=0.5, size=300) > 0
    given = pd.DataFrame(rows, columns=FEATURES) if with_names else rows
    scaler = StandardScaler().fit(given)
    scaled = scaler.transform(given)
    scaled = pd.DataFrame(scaled, columns=FEATURES) if with_names else scaled
    classifier = xgboost.XGBClassifier(n_estimators=12, max_depth=3, n_jobs=1, random_state=3).fit(scaled, labels)
    later = generator.normal(loc=[0.1, 20.0, -3.0, 1e6], scale=[0.02, 5.0, 1.0, 2e5], size=(40, len(FEATURES)))
    return Trained(scaler, classifier, later)


def about(**replaced: Any) -> dict[str, Any]:
    """Return what the training of the run writes as metadata."""
    return {
        "timestamp": "2025-07-24T16:02:11+00:00",
        "model_configs": {"xgboost": {"name": "xgboost", "model_type": "gradient_boosting", "parameters": {}}},
        "performance_metrics": {"xgboost": {"accuracy": 0.61, "sharpe_ratio": 1.2}},
        "ensemble_weights": {"xgboost": 1.0},
        "trained_models": ["xgboost"],
        "prediction_threshold": THRESHOLD,
        **replaced,
    }


def write_trained_run(
    root: Path,
    name: str = RUN,
    *,
    model: Trained | None = None,
    metadata: dict[str, Any] | None = None,
    **files: bytes | None,
) -> Path:
    """Write a run of a classifier and its scaler and return its directory.

    ``files`` replaces one, such as ``xgboost_model_pkl``, or leaves it out.
    """
    model = model or trained()
    whole: dict[str, bytes | None] = {
        "xgboost_model_pkl": pickle.dumps(model.classifier),
        "scalers_pkl": pickle.dumps(model.scaler),
        "lstm_model_h5": KERAS,
        "training_metadata_json": json.dumps(about() if metadata is None else metadata).encode(),
        **files,
    }
    directory = root / name
    directory.mkdir(parents=True)
    for written, content in whole.items():
        if content is not None:
            stem, _, ending = written.rpartition("_")
            (directory / f"{stem}.{ending}").write_bytes(content)
    return directory
