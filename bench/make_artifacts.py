"""Write a directory of synthetic artifacts for the benchmark: real boosters, invented data that never traded."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

RETURN_NAME = "mid_chg_1m"
FAMILIES = ("momentum", "volatility", "spread", "imbalance", "volume_ratio", "reversal", "skewness", "trade_count")
TEMPLATES = 2
TRAINING_ROWS = 4000
SPARE_FACTORS = 40
"""Factors of the pool beyond those of one group, so that no two groups have the same list."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a group is."""

    factors: int
    trees: int
    depth: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a run wrote."""

    symbols: tuple[str, ...]
    shape: Shape
    total_bytes: int
    model_bytes: int
    seconds: float

    def __str__(self) -> str:
        """Return a line for the table of facts."""
        return (
            f"synthetic: {len(self.symbols):,} groups of {self.shape.factors} factors and {self.shape.trees} trees "
            f"of depth {self.shape.depth}, {self.total_bytes / 1e6:,.0f} MB"
        )


def symbol_of(number: int) -> str:
    """Return the symbol of the group ``number``, counted from 1."""
    return f"SYM{number:04d}USDT"


def group_key_of(number: int) -> str:
    """Return the group key of the group ``number``, counted from 1."""
    return f"{symbol_of(number)}_{RETURN_NAME}"


def write_directory(directory: Path, groups: int, shape: Shape, seed: int = 1, pickles: int = 0) -> Written:
    """Write ``groups`` groups below ``directory``; the last ``pickles`` of them have a pickled model and no JSON."""
    started = time.perf_counter()
    if not pickles:
        leave_sklearn_out()
    generator = np.random.default_rng(seed)
    directory.mkdir(parents=True, exist_ok=True)
    templates = [train(generator, shape) for _ in range(min(TEMPLATES, groups))]
    pool = [f"{FAMILIES[at % len(FAMILIES)]}_{at // len(FAMILIES) + 1}" for at in range(shape.factors + SPARE_FACTORS)]
    for number in range(1, groups + 1):
        chosen = [pool[at] for at in generator.permutation(len(pool))[: shape.factors]]
        model = perturbed(templates[number % len(templates)], generator)
        _write_group(directory, number, chosen, model, generator, shape, as_pickle=number > groups - pickles)
    sizes = {path: path.stat().st_size for path in directory.iterdir()}
    return Written(
        symbols=tuple(symbol_of(number) for number in range(1, groups + 1)),
        shape=shape,
        total_bytes=sum(sizes.values()),
        model_bytes=sum(size for path, size in sizes.items() if path.name.endswith(("_model.json", "_model.pkl"))),
        seconds=time.perf_counter() - started,
    )


def leave_sklearn_out() -> None:
    """Keep xgboost from importing scikit-learn: that takes most of its start, and pickles alone need it."""
    if "xgboost" not in sys.modules:
        sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]


def train(generator: np.random.Generator, shape: Shape) -> bytes:
    """Return the JSON text of a booster that learned from random numbers."""
    import xgboost  # here: it takes a second, and --help needs none of it

    features = generator.standard_normal((TRAINING_ROWS, shape.factors), dtype=np.float32)
    weights = generator.standard_normal(shape.factors) * (np.arange(shape.factors) < 25)
    label = features @ weights + generator.standard_normal(TRAINING_ROWS)
    parameters = {"max_depth": shape.depth, "eta": 0.05, "tree_method": "hist", "objective": "reg:squarederror"}
    booster = xgboost.train(parameters, xgboost.DMatrix(features, label), num_boost_round=shape.trees)
    return bytes(booster.save_raw("json"))


def perturbed(model_json: bytes, generator: np.random.Generator) -> bytes:
    """Return a booster whose leaf values differ by about a hundredth from those of ``model_json``."""
    document: dict[str, Any] = msgspec.json.decode(model_json)
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        leaves = [at for at, child in enumerate(tree["left_children"]) if child == -1]
        factors = (1.0 + 0.01 * generator.standard_normal(len(leaves))).tolist()
        for at, factor in zip(leaves, factors, strict=True):
            tree["split_conditions"][at] = float(f"{tree['split_conditions'][at] * factor:.7g}")
            tree["base_weights"][at] = float(f"{tree['base_weights'][at] * factor:.7g}")
    return msgspec.json.encode(document)


def replace_file(path: Path, data: bytes) -> None:
    """Write beside, then rename, as a careful training run does; hard links of the old file keep the old bytes."""
    beside = path.with_name("." + path.name)
    beside.write_bytes(data)
    os.replace(beside, path)


def link_groups(directory: Path, smaller: Path, groups: int) -> None:
    """Make a smaller directory of hard links: files are replaced, never written into, so the two stay apart."""
    smaller.mkdir()
    stems = {group_key_of(number) for number in range(1, groups + 1)}
    for path in directory.iterdir():
        if path.name.rpartition("_")[0] in stems:
            os.link(path, smaller / path.name)


def _pickled_regressor(model_json: bytes) -> bytes:
    import xgboost

    try:
        regressor = xgboost.XGBRegressor()
    except ImportError as error:
        raise SystemExit(f"--pickles needs scikit-learn: pip install -r requirements-bench.txt ({error})") from error
    regressor.load_model(bytearray(model_json))
    return pickle.dumps(regressor, protocol=4)


def _write_group(
    directory: Path,
    number: int,
    factors: list[str],
    model_json: bytes,
    generator: np.random.Generator,
    shape: Shape,
    *,
    as_pickle: bool,
) -> None:
    symbol, key = symbol_of(number), group_key_of(number)
    taus = generator.normal(scale=0.04, size=len(factors)).clip(-0.9, 0.9)
    rows = [f"{symbol},{name},{RETURN_NAME},{tau:.10f}" for name, tau in zip(factors, taus.tolist(), strict=True)]
    first_day = datetime.date(2024, 1, 1)
    last_day = first_day + datetime.timedelta(days=int(generator.integers(60, 400)))
    midnight = datetime.datetime.combine(last_day, datetime.time(), datetime.UTC)
    start_ts = int(datetime.datetime.combine(first_day, datetime.time(), datetime.UTC).timestamp())
    info = {
        "symbol": symbol,
        "return_name": RETURN_NAME,
        "train_window": (start_ts, int(midnight.timestamp())),
        "train_start_date": first_day.isoformat(),
        "train_end_date": last_day.isoformat(),
        "train_samples": np.int64(generator.integers(50_000, 500_000)),
        "train_time": np.float64(round(generator.uniform(5, 90), 3)),
        "original_factors_count": len(factors) + SPARE_FACTORS,
        "ic_filtered_count": len(factors) + SPARE_FACTORS // 2,
        "final_factors_count": len(factors),
        "selected_factors": factors,
        "config": {"synthetic": True, "max_depth": shape.depth, "num_boost_round": shape.trees, "eta": 0.05},
        "feature_importance": {name: float(f"{abs(tau):.6g}") for name, tau in zip(factors, taus, strict=True)},
    }
    (directory / f"{key}_factors.txt").write_text("\n".join(factors) + "\n", encoding="utf-8")
    header = "symbol,factor_name,return_name,Kendall_tau\n"
    (directory / f"{key}_ic.csv").write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    (directory / f"{key}_info.pkl").write_bytes(pickle.dumps(info, protocol=4))
    if as_pickle:
        (directory / f"{key}_model.pkl").write_bytes(_pickled_regressor(model_json))
    else:
        (directory / f"{key}_model.json").write_bytes(model_json)


def main() -> None:
    """Write a directory and say how large it became."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="is created; must be empty if it exists")
    parser.add_argument("--groups", type=int, default=500)
    parser.add_argument("--factors", type=int, default=300)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pickles", type=int, default=0, help="so many groups have _model.pkl and no _model.json")
    chosen = parser.parse_args()
    if chosen.directory.exists() and any(chosen.directory.iterdir()):
        parser.error(f"{chosen.directory} is not empty: artifacts are never written over others")
    if not 0 <= chosen.pickles <= chosen.groups or chosen.groups < 1:
        parser.error("--groups must be 1 or more, --pickles at most that")
    shape = Shape(chosen.factors, chosen.trees, chosen.depth)
    written = write_directory(chosen.directory, chosen.groups, shape, chosen.seed, chosen.pickles)
    json.dump(
        {
            "synthetic": True,
            "groups": len(written.symbols),
            "total_mb": round(written.total_bytes / 1e6, 1),
            "model_mb": round(written.model_bytes / 1e6, 1),
            "seconds": round(written.seconds, 1),
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
