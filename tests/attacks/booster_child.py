"""A process that hands models to XGBoost as a bot does, each in a fork of its own, and tells what became of it.

Standard input: the length of a model as eight bytes, then the model. Standard output: one line of JSON a model,
``{"ended": "…", "stage": "…"}``, where ``ended`` is ``well``, ``refused`` (XGBoost raised), ``signal N`` or ``late``.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys

import numpy as np
import xgboost

SECONDS = 10.0
MEMORY = 2 << 30
ROWS = 3


def main() -> None:
    """Answer until standard input ends."""
    os.environ["OMP_NUM_THREADS"] = "1"
    while length := sys.stdin.buffer.read(8):
        model = sys.stdin.buffer.read(int.from_bytes(length, "big"))
        print(json.dumps(_outcome(model)), flush=True)


def _outcome(model: bytes) -> dict[str, str]:
    stages, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(stages)
        _use(model, told)
    os.close(told)
    ended = _wait(child)
    with os.fdopen(stages, "rb") as file:
        stage = file.read().decode().split("\n")[-2:]
    return {"ended": ended, "stage": " ".join(stage).strip()}


def _wait(child: int) -> str:
    descriptor = os.pidfd_open(child)
    try:
        if not select.select([descriptor], [], [], SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "late"
    finally:
        os.close(descriptor)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return "well" if os.WEXITSTATUS(status) == 0 else "refused"


def _use(model: bytes, told: int) -> None:
    code = 1
    os.close(2)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.write(told, b"load\n")
        booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(model))
        features = booster.num_features()
        rows = np.linspace(-3, 3, ROWS * features, dtype=np.float32).reshape(ROWS, features)
        rows[0] = np.nan
        os.write(told, b"predict\n")
        booster.set_param({"nthread": 1})
        matrix = xgboost.DMatrix(
            rows, nthread=1, feature_names=booster.feature_names, feature_types=booster.feature_types
        )
        booster.predict(matrix)
        os.write(told, b"inplace_predict\n")
        if b"gblinear" not in model:
            booster.inplace_predict(rows, validate_features=False)
        os.write(told, b"leaves\n")
        if b"gblinear" not in model:
            booster.predict(matrix, pred_leaf=True)
        os.write(told, b"save\n")
        booster.save_raw("ubj")
        code = 0
    except (xgboost.core.XGBoostError, ValueError, TypeError, MemoryError) as error:
        os.write(told, f"{type(error).__name__}: {str(error)[:300]}".replace("\n", " ").encode() + b"\n")
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
