"""Factors from past bars alone: sixteen families over up to twenty windows.

The families are common knowledge of technical analysis: momentum and moving averages, realized, Parkinson (1980) and
Garman-Klass (1980) volatility, Wilder's relative strength index (1978), Amihud's illiquidity (2002), and simple
statistics of returns, ranges and volume.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

WINDOWS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 20, 25, 30, 36, 42, 50, 60, 75, 90, 120)
LONG_WINDOWS = tuple(window for window in WINDOWS if window >= 5)

Family = Callable[[pd.DataFrame, int], pd.Series]


def momentum(bars: pd.DataFrame, window: int) -> pd.Series:
    """Relative change of the close over ``window`` bars."""
    return bars["close"].pct_change(window)


def distance_to_mean(bars: pd.DataFrame, window: int) -> pd.Series:
    """Distance of the close from its moving average, relative to it."""
    mean = bars["close"].rolling(window).mean()
    return bars["close"] / mean - 1


def realized_volatility(bars: pd.DataFrame, window: int) -> pd.Series:
    """Standard deviation of one-bar log returns."""
    return _log_returns(bars).rolling(window).std()


def parkinson_volatility(bars: pd.DataFrame, window: int) -> pd.Series:
    """Parkinson's range volatility: sqrt(mean(ln(high/low)^2) / (4 ln 2))."""
    squared = np.log(bars["high"] / bars["low"]) ** 2
    return np.sqrt(squared.rolling(window).mean() / (4 * np.log(2)))


def garman_klass_volatility(bars: pd.DataFrame, window: int) -> pd.Series:
    """Garman-Klass volatility: sqrt(mean(0.5 ln(high/low)^2 - (2 ln 2 - 1) ln(close/open)^2))."""
    ranges = 0.5 * np.log(bars["high"] / bars["low"]) ** 2
    bodies = (2 * np.log(2) - 1) * np.log(bars["close"] / bars["open"]) ** 2
    return np.sqrt((ranges - bodies).rolling(window).mean().clip(lower=0))


def downside_volatility(bars: pd.DataFrame, window: int) -> pd.Series:
    """Root mean square of negative log returns."""
    return np.sqrt((_log_returns(bars).clip(upper=0) ** 2).rolling(window).mean())


def return_skew(bars: pd.DataFrame, window: int) -> pd.Series:
    """Skewness of one-bar log returns."""
    return _log_returns(bars).rolling(window).skew()


def relative_strength(bars: pd.DataFrame, window: int) -> pd.Series:
    """Wilder's relative strength index in [0, 1]: smoothed gains over gains and losses."""
    change = bars["close"].diff()
    gains = change.clip(lower=0).ewm(alpha=1 / window, min_periods=window).mean()
    losses = (-change).clip(lower=0).ewm(alpha=1 / window, min_periods=window).mean()
    return gains / (gains + losses)


def channel_position(bars: pd.DataFrame, window: int) -> pd.Series:
    """Where the close stands between the lowest low (0) and the highest high (1)."""
    low, high = bars["low"].rolling(window).min(), bars["high"].rolling(window).max()
    return (bars["close"] - low) / (high - low)


def drawdown(bars: pd.DataFrame, window: int) -> pd.Series:
    """Fall of the close from the highest close of the window."""
    return bars["close"] / bars["close"].rolling(window).max() - 1


def trend_strength(bars: pd.DataFrame, window: int) -> pd.Series:
    """Net change over the sum of absolute changes (Kaufman's efficiency ratio), with its sign."""
    change = bars["close"].diff()
    return change.rolling(window).sum() / change.abs().rolling(window).sum()


def volume_ratio(bars: pd.DataFrame, window: int) -> pd.Series:
    """Volume over its moving average, as a logarithm."""
    volume = bars["volume"].replace(0, np.nan)
    return np.log(volume / volume.rolling(window, min_periods=1).mean())


def volume_trend(bars: pd.DataFrame, window: int) -> pd.Series:
    """Share of volume that traded on rising bars, minus the share on falling ones."""
    signed = bars["volume"] * np.sign(bars["close"].diff())
    return signed.rolling(window).sum() / bars["volume"].rolling(window).sum()


def illiquidity(bars: pd.DataFrame, window: int) -> pd.Series:
    """Amihud's ratio of absolute return to volume, as the logarithm of its mean."""
    ratio = _log_returns(bars).abs() / bars["volume"].replace(0, np.nan)
    return np.log(ratio.rolling(window).mean().replace(0, np.nan))


def body_share(bars: pd.DataFrame, window: int) -> pd.Series:
    """Mean of the bar's body over its range, with its sign."""
    ranges = (bars["high"] - bars["low"]).replace(0, np.nan)
    return ((bars["close"] - bars["open"]) / ranges).rolling(window, min_periods=max(1, window // 2)).mean()


def autocorrelation(bars: pd.DataFrame, window: int) -> pd.Series:
    """Correlation of one-bar returns with those of the bar before."""
    returns = _log_returns(bars)
    return returns.rolling(window).corr(returns.shift(1))


FAMILIES: dict[str, tuple[Family, tuple[int, ...]]] = {
    "momentum": (momentum, WINDOWS),
    "distance_to_mean": (distance_to_mean, WINDOWS),
    "realized_volatility": (realized_volatility, WINDOWS),
    "parkinson_volatility": (parkinson_volatility, WINDOWS),
    "garman_klass_volatility": (garman_klass_volatility, WINDOWS),
    "downside_volatility": (downside_volatility, WINDOWS),
    "return_skew": (return_skew, LONG_WINDOWS),
    "relative_strength": (relative_strength, WINDOWS),
    "channel_position": (channel_position, WINDOWS),
    "drawdown": (drawdown, WINDOWS),
    "trend_strength": (trend_strength, WINDOWS),
    "volume_ratio": (volume_ratio, WINDOWS),
    "volume_trend": (volume_trend, WINDOWS),
    "illiquidity": (illiquidity, WINDOWS),
    "body_share": (body_share, WINDOWS),
    "autocorrelation": (autocorrelation, LONG_WINDOWS),
}


def all_factors(bars: pd.DataFrame) -> pd.DataFrame:
    """Return every factor of every family: one row a bar, one column a factor; values at a bar use no later bar."""
    columns = {
        f"{name}_{window}": family(bars, window).replace([np.inf, -np.inf], np.nan)
        for name, (family, windows) in FAMILIES.items()
        for window in windows
    }
    return pd.DataFrame(columns, index=bars.index)


def forward_return(bars: pd.DataFrame, horizon: int) -> pd.Series:
    """Return the relative change of the mid price, (high + low) / 2, over ``horizon`` bars from the next bar on.

    It begins one bar later than the factors end: the close that factors know is part of the present bar's mid, and a
    label that began there would be known in part.
    """
    mid = (bars["high"] + bars["low"]) / 2
    return mid.shift(-horizon - 1) / mid.shift(-1) - 1


def _log_returns(bars: pd.DataFrame) -> pd.Series:
    return np.log(bars["close"]).diff()
