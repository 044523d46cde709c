"""The inert pickle reader: what a pickle describes, as plain data, without running it.

``pickle.load`` runs what the file says, and a model directory comes from other people. Here a file is read as data: its
instructions are interpreted into nodes (`interpreter`), names outside a table of honest ones refuse the file (`names`),
and decoders that know the shapes of pandas, NumPy and XGBoost turn nodes into values (`decode_*`, `xgboost_model`).
Nothing named in a file is ever imported, called, hashed or compared, and every step has a budget.
"""

from mm_core.artifacts.pickles.scalers import Scaler, read_scaler
from mm_core.artifacts.pickles.training_info import InfoValues, read_info
from mm_core.artifacts.pickles.xgboost_model import read_model_json

__all__ = ["InfoValues", "Scaler", "read_info", "read_model_json", "read_scaler"]
