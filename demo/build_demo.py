"""Train the demo's models on public market data: python demo/build_demo.py --out data/demo"""

from __future__ import annotations

import argparse
from pathlib import Path

import train_runs
import train_versions
from market_data import SOURCES, read_bars
from train import PARAMETERS, train_group

HORIZONS = (1, 5, 20)
PICKLE_ALONE = "EURUSD"
VERSIONS, RUNS = "market-direction", "walk-forward"


def main() -> None:
    """Write one directory a horizon, with one group a symbol; then the versions, and the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/demo"))
    parser.add_argument("--symbols", nargs="*", default=sorted(SOURCES))
    parser.add_argument("--factors", type=int, default=110)
    parser.add_argument("--trees", type=int, default=PARAMETERS["n_estimators"])
    options = parser.parse_args()
    for symbol in options.symbols:
        bars = read_bars(symbol)
        for horizon in HORIZONS:
            figures = train_group(
                bars,
                symbol,
                horizon,
                options.out / f"mid_chg_{horizon}b",
                factor_count=options.factors,
                trees=options.trees,
                with_json=symbol != PICKLE_ALONE,
            )
            shown = "  ".join(f"{name} {value:+.3f}" for name, value in figures.items())
            print(f"{symbol:<7} {horizon:>3} bars  {shown}", flush=True)
    parts = train_versions.split_parts(map(read_bars, train_versions.SYMBOLS))
    ranked = train_versions.strongest_factors(parts)
    for recipe in train_versions.RECIPES:
        accuracies = train_versions.train_version(parts, ranked, recipe, options.out / VERSIONS / recipe.version)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in accuracies.items())
        print(f"{VERSIONS} {recipe.version}  accuracy  {shown}", flush=True)
    for version in train_runs.publish_runs(read_bars(train_runs.SYMBOL), options.out / RUNS):
        print(f"{RUNS} {version}", flush=True)


if __name__ == "__main__":
    main()
