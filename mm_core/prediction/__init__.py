"""Predictions of versions: rows by feature name in, classes, probabilities, confidence and signal out.

The only home of lightgbm, and one of xgboost's; both live in a child process.
"""

from mm_core.domain.predictions import ModelFormat
from mm_core.prediction.features import Features, features_of
from mm_core.prediction.pool import PredictionLimits
from mm_core.prediction.predictor import PredictingModel, Predictor
from mm_core.prediction.rows import Row, decode_rows

__all__ = [
    "Features",
    "ModelFormat",
    "PredictingModel",
    "PredictionLimits",
    "Predictor",
    "Row",
    "decode_rows",
    "features_of",
]
