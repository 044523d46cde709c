"""A bot: pull a model with its factors and normalization, predict one row, print it."""

from __future__ import annotations

import argparse

import numpy as np
import xgboost

from mm_core.client import PayloadClient


def main() -> None:
    """Pull, check, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="mid_chg_5b")
    parser.add_argument("symbol", nargs="?", default="AAPL")
    parser.add_argument("--url", default="http://127.0.0.1:6300")
    parser.add_argument("--cache", default="run/bot-cache")
    options = parser.parse_args()

    with PayloadClient(options.url, options.cache) as client:
        payload = client.get(options.model, options.symbol)
    booster = xgboost.Booster()
    booster.load_model(bytearray(payload.model_json, "utf-8"))

    market = dict.fromkeys(payload.factor_names, 0.25)  # a real bot computes its factors here
    row = np.array([payload.normalize(market)], dtype="float32")
    (prediction,) = booster.inplace_predict(row)
    state = "stale copy" if payload.stale else "fresh"
    print(f"{payload.model_name} {payload.symbol}: {prediction:+.6f}  ({len(payload.factor_names)} factors, {state})")


if __name__ == "__main__":
    main()
