"""One group of the demo: factors ranked on the training part alone, a booster, and its files."""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from factors import all_factors, forward_return
from scipy.stats import kendalltau

TRAIN_SHARE = 0.7
LONGEST_WINDOW = 120
PARAMETERS = {
    "n_estimators": 48,
    "max_depth": 3,
    "learning_rate": 0.08,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 20,
    "random_state": 7,
    "n_jobs": 1,
    "tree_method": "hist",
}


@dataclass(frozen=True)
class Split:
    """Row numbers: the training part is ``[start, train_end)``, testing begins ``purged`` rows later.

    The last ``purged`` rows of the training part have labels that reach beyond it: nothing is learned from them.
    """

    start: int
    train_end: int
    purged: int
    rows: int

    @property
    def learned(self) -> slice:
        return slice(self.start, self.train_end - self.purged)

    @property
    def tested(self) -> slice:
        return slice(self.train_end + self.purged, self.rows)


def split_rows(rows: int, horizon: int) -> Split:
    """Return the split of ``rows`` bars; as many are purged as a label reaches ahead, so that none sees a test bar."""
    reach = horizon + 1
    return Split(LONGEST_WINDOW, int(rows * TRAIN_SHARE), reach, rows - reach)


def rank_factors(factors: pd.DataFrame, label: pd.Series, split: Split) -> pd.Series:
    """Return Kendall's tau-b of each factor with the label on the rows that are learned from, the strongest first."""
    rows = split.learned
    target = label.iloc[rows].to_numpy()
    taus = {}
    for name in factors.columns:
        values = factors[name].iloc[rows].to_numpy()
        known = np.isfinite(values) & np.isfinite(target)
        if known.sum() > 100 and np.ptp(values[known]) > 0:
            taus[name] = float(kendalltau(values[known], target[known]).statistic)
    found = pd.Series(taus)
    return found.reindex(found.abs().sort_values(ascending=False, kind="stable").index)


def train_group(
    bars: pd.DataFrame, symbol: str, horizon: int, folder: Path, *, factor_count: int, trees: int, with_json: bool
) -> dict[str, float]:
    """Train one booster and write its files into ``folder``; return figures of the run."""
    started = time.perf_counter()
    return_name = f"mid_chg_{horizon}b"
    stem = folder / f"{symbol}_{return_name}"
    factors, label = all_factors(bars), forward_return(bars, horizon)
    split = split_rows(len(bars), horizon)
    ranked = rank_factors(factors, label, split)
    chosen = list(ranked.index[:factor_count])
    rows = split.learned
    model = xgboost.XGBRegressor(**{**PARAMETERS, "n_estimators": trees})
    model.fit(factors[chosen].iloc[rows].to_numpy(dtype="float32"), label.iloc[rows].to_numpy(dtype="float32"))
    seconds = time.perf_counter() - started
    predicted = model.predict(factors[chosen].iloc[split.tested].to_numpy(dtype="float32"))
    out_of_sample = float(kendalltau(predicted, label.iloc[split.tested]).statistic)
    taus = ranked[chosen].round(6).to_numpy()
    ic_table = pd.DataFrame({"symbol": symbol, "factor_name": chosen, "return_name": return_name, "Kendall_tau": taus})
    gain = model.get_booster().get_score(importance_type="gain")
    times = bars.index[rows]
    info = {
        "symbol": symbol,
        "return_name": return_name,
        "train_window": (int(times[0].timestamp()), int(times[-1].timestamp())),
        "train_start_date": times[0],
        "train_end_date": times[-1],
        "train_samples": len(times),
        "train_time": round(seconds, 3),
        "original_factors_count": factors.shape[1],
        "ic_filtered_count": len(ranked),
        "final_factors_count": len(chosen),
        "selected_factors": chosen,
        "config": {
            **PARAMETERS,
            "n_estimators": trees,
            "train_share": TRAIN_SHARE,
            "purged_bars": split.purged,
            "out_of_sample_tau": round(out_of_sample, 6),
            "out_of_sample_rows": split.tested.stop - split.tested.start,
        },
        "feature_importance": {name: float(gain.get(f"f{at}", 0.0)) for at, name in enumerate(chosen)},
        "ic_df": ic_table,
    }
    folder.mkdir(parents=True, exist_ok=True)
    Path(f"{stem}_factors.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    ic_table.to_csv(f"{stem}_ic.csv", index=False)
    Path(f"{stem}_info.pkl").write_bytes(pickle.dumps(info, protocol=5))
    Path(f"{stem}_model.pkl").write_bytes(pickle.dumps(model, protocol=5))
    if with_json:
        model.get_booster().save_model(f"{stem}_model.json")
    return {"seconds": seconds, "out_of_sample_tau": out_of_sample, "best_tau": float(ranked.iloc[0])}
