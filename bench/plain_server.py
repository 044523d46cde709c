"""The plain way, for comparison: a FastAPI application that reads, parses, serializes and compresses per request.

It is written as one would write it on a first day, and is not slowed down: the symbol is found by an index made at the
start, the endpoint runs in FastAPI's thread pool, and the compression level is the one Model Manager uses.
It unpickles the training info, so it is for directories that ``make_artifacts.py`` wrote and for nothing else.
"""

from __future__ import annotations

import csv
import datetime
import json
import os
import pickle
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.middleware.gzip import GZipMiddleware

GZIP_LEVEL = 6
SUFFIX = "_model.json"


def create_plain_app(model_name: str, root: Path) -> FastAPI:
    """Return an application that serves the payloads of the groups below ``root``."""
    app = FastAPI()
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=GZIP_LEVEL)
    stems = {path.name.split("_")[0]: str(path).removesuffix(SUFFIX) for path in root.glob("*" + SUFFIX)}

    @app.get("/api/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/models/{asked_model}/model/{symbol}")
    def payload(asked_model: str, symbol: str) -> Response:
        if asked_model != model_name or symbol not in stems:
            raise HTTPException(404, f"No symbol '{symbol}' of model '{asked_model}'.")
        body = json.dumps(payload_document(model_name, root, stems[symbol], symbol))
        return Response(body, media_type="application/json")

    return app


def payload_document(model_name: str, root: Path, stem: str, symbol: str) -> dict[str, Any]:
    """Return the payload of one group as plain values, read from its files."""
    with open(stem + "_factors.txt", encoding="utf-8") as lines:
        factors = [line.strip() for line in lines if line.strip()]
    with open(stem + "_ic.csv", encoding="utf-8", newline="") as table:
        taus = {row["factor_name"]: float(row["Kendall_tau"]) for row in csv.DictReader(table)}
    with open(stem + "_info.pkl", "rb") as pickled:
        info = pickle.load(pickled)
    model_text = Path(stem + SUFFIX).read_text(encoding="utf-8")
    model = json.loads(model_text)
    now = datetime.datetime.now(datetime.UTC).isoformat()
    return {
        "ok": True,
        "message": "ok",
        "payload": {
            "model_json": model_text,
            "metadata": {
                "model_name": model_name,
                "symbol": symbol,
                "return_name": info["return_name"],
                "feature_dim": int(model["learner"]["learner_model_param"]["num_feature"]),
                "train_window_start_ts": info["train_window"][0],
                "train_window_end_ts": info["train_window"][1],
                "train_start_date": info["train_start_date"],
                "train_end_date": info["train_end_date"],
                "train_samples": int(info["train_samples"]),
                "train_time_sec": float(info["train_time"]),
                "model_json_path": stem + SUFFIX,
                "source_root_path": str(root),
                "scanned_at": now,
                "factor_config_updated_at": now,
            },
            "dim_factors": [
                {"dim": dim, "factor_name": name, "kendall_tau": taus.get(name)} for dim, name in enumerate(factors)
            ],
            "factor_config": {
                symbol: {
                    "factor_names": factors,
                    "mean_values": [0.2] * len(factors),
                    "variance_values": [1.0] * len(factors),
                }
            },
        },
    }


if __name__ == "__main__":
    uvicorn.run(
        create_plain_app(os.environ["PLAIN_MODEL_NAME"], Path(os.environ["PLAIN_ROOT"])),
        host="127.0.0.1",
        port=int(os.environ["PLAIN_PORT"]),
        log_level="info",
    )
