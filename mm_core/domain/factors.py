"""Factors, and how well each one ranks with the future return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IcTable:
    """Information coefficients as columns of equal length, in file order.

    ``taus`` are Kendall rank correlations in [-1, 1], None where the file had no finite number. ``extra`` keeps the
    text of further columns by their header.
    """

    symbols: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    return_names: tuple[str, ...] = ()
    taus: tuple[float | None, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.symbols), len(self.factor_names), len(self.return_names), len(self.taus)}
        lengths.update(len(column) for column in self.extra.values())
        if len(lengths) > 1:
            raise ValueError(f"The columns of an IC table must have one length, not {sorted(lengths)}.")

    def __len__(self) -> int:
        return len(self.factor_names)

    def tau_by_factor(self, symbol: str, return_name: str) -> dict[str, float | None]:
        """Return each factor's tau, that of `row_by_factor`."""
        return {name: self.taus[row] for name, row in self.row_by_factor(symbol, return_name).items()}

    def row_by_factor(self, symbol: str, return_name: str) -> dict[str, int]:
        """Return each factor's row, preferring rows of ``symbol`` and ``return_name`` over rows of others.

        The symbol counts more; rows that leave one of the two out come before those that name another. Among rows of
        equal fit the first one counts.
        """
        best: dict[str, tuple[int, int]] = {}
        wanted_symbol = symbol.casefold()
        for row, name in enumerate(self.factor_names):
            fit = 3 * _fit(self.symbols[row].casefold(), wanted_symbol) + _fit(self.return_names[row], return_name)
            if name not in best or fit > best[name][0]:
                best[name] = (fit, row)
        return {name: row for name, (_, row) in best.items()}

    def is_of_others(self, row: int, symbol: str, return_name: str) -> bool:
        """Return whether a row names another symbol or another return."""
        return not (_fit(self.symbols[row].casefold(), symbol.casefold()) and _fit(self.return_names[row], return_name))


def _fit(written: str, wanted: str) -> int:
    """Return 2 for what is wanted, 1 for a cell that says nothing, 0 for anything else."""
    return 2 if written == wanted else int(not written)


@dataclass(frozen=True, slots=True)
class FactorTable:
    """The factors of one model in dimension order, each with its Kendall tau where the IC table has one."""

    names: tuple[str, ...] = ()
    taus: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.taus):
            raise ValueError(f"{len(self.names)} factor names cannot pair with {len(self.taus)} taus.")
        if len(set(self.names)) != len(self.names):
            raise ValueError("A factor name stands twice in a factor table.")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def joined(cls, names: Sequence[str], tau_by_factor: Mapping[str, float | None]) -> FactorTable:
        """Return ``names`` with each one's tau from ``tau_by_factor``, None where it has none."""
        return cls(tuple(names), tuple(tau_by_factor.get(name) for name in names))
