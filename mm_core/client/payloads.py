"""Payloads as values: read from a body, checked to belong together, and applied to a row of factors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass
from datetime import datetime, timedelta
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

from .errors import BadAnswer, BadRow

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a body raises that is not what it should be."""


class StaleCopy(NamedTuple):
    """Why a local copy stands in for the server, and how long ago the server last sent or confirmed it."""

    reason: str
    age: timedelta


class DimFactor(NamedTuple):
    """The factor of one model dimension."""

    dim: int
    factor_name: str
    kendall_tau: float | None


class CanBeStale:
    """A value that says whether it is the last good copy."""

    __slots__ = ()

    stale_copy: StaleCopy | None

    @property
    def stale(self) -> bool:
        """Whether this is the last good copy, since the server could not give or confirm the newest."""
        return self.stale_copy is not None


class Copied(Protocol):
    """What a copy is read into: a frozen dataclass that tells when the server last sent or confirmed its bytes."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def etag(self) -> str:
        """What names the bytes."""

    @property
    def fetched_at(self) -> datetime:
        """When the server last sent or confirmed them, in UTC."""


class Place(Protocol):
    """Where a server has something, and what the file of its copy is called."""

    @property
    def path(self) -> str:
        """Where the server has it, below the base URL."""

    @property
    def readable(self) -> str:
        """How the file's name begins."""

    @property
    def key(self) -> list[str | None]:
        """What tells it from everything else of its server."""

    @property
    def suffix(self) -> str:
        """How the file's name ends."""


CopiedT = TypeVar("CopiedT", bound=Copied)


class Asked(Place, Protocol[CopiedT]):
    """Something that can be asked for and kept: how its body is read, and what the file says of it."""

    def parse(self, body: bytes | bytearray, etag: str, fetched_at: datetime) -> CopiedT:
        """Return what a body holds; raise `BadAnswer` with all reasons why it must not be used."""

    def header(self, kept: CopiedT) -> dict[str, str | None]:
        """Return what the file says of what it holds."""


class Wanted(NamedTuple):
    """What a bot asks for; ``group_key`` is None where the server chooses the group."""

    model: str
    symbol: str
    group_key: str | None = None

    @property
    def path(self) -> str:
        """Where the server has it, below the base URL."""
        query = "" if self.group_key is None else f"?group_key={quote(self.group_key, safe='')}"
        return f"/api/models/{quote(self.model, safe='')}/model/{quote(self.symbol, safe='')}{query}"

    @property
    def readable(self) -> str:
        """How the file of the copy begins."""
        return f"{self.model}-{self.symbol}"

    @property
    def key(self) -> list[str | None]:
        """What tells this payload from all others of its server."""
        return [self.model, self.symbol.casefold(), self.group_key]

    @property
    def suffix(self) -> str:
        """How the file of the copy ends."""
        return ".payload"

    def header(self, kept: Payload) -> dict[str, str | None]:
        """Return what the file of the copy says of it."""
        return {"model": self.model, "symbol": kept.symbol, "group_key": self.group_key}

    def parse(self, body: bytes | bytearray, etag: str, fetched_at: datetime) -> Payload:
        """Return the payload that a body holds; raise `BadAnswer` with all reasons why it must not be used."""
        return parse_payload(body, etag, fetched_at, self)


@dataclass(frozen=True, slots=True)
class Payload(CanBeStale):
    """A model, its factors in dimension order and their normalization; the three belong together.

    ``fetched_at`` is when the server last sent these bytes or confirmed them, in UTC.
    """

    model_name: str
    symbol: str
    model_json: str
    metadata: dict[str, Any]
    dim_factors: tuple[DimFactor, ...]
    factor_names: tuple[str, ...]
    mean_values: tuple[float, ...]
    variance_values: tuple[float, ...]
    etag: str
    fetched_at: datetime
    stale_copy: StaleCopy | None = None

    def normalize(self, row: Mapping[str, float]) -> list[float]:
        """Return ``(x - mean) / sqrt(variance)`` of each factor, in model dimension order, looked up by name.

        Factors that the model does not use are ignored. NaN stays NaN, which XGBoost treats as missing, and infinity
        stays infinity. Raises `BadRow` with all missing factors and all values that are not numbers at once.
        """
        problems: list[str] = []
        normalized: list[float] = []
        for name, mean, variance in zip(self.factor_names, self.mean_values, self.variance_values, strict=True):
            number = number_of(row[name]) if name in row else None
            if number is not None:
                normalized.append((number - mean) / math.sqrt(variance))
            else:
                problems.append(f"{name!r} is {row[name]!r}" if name in row else f"{name!r} is missing")
        if problems:
            raise BadRow(
                f"The row does not fit model '{self.model_name}', symbol '{self.symbol}': {', '.join(problems)}. "
                "Give every factor of factor_names a number, NaN for a value that is not known."
            )
        return normalized


def parse_payload(body: bytes | bytearray, etag: str, fetched_at: datetime, wanted: Wanted) -> Payload:
    """Return the payload that ``body`` holds; raise `BadAnswer` with all reasons why it must not be used."""
    try:
        document = json.loads(body)["payload"]
        model_json, metadata = document["model_json"], document["metadata"]
        model, symbol = metadata["model_name"], metadata["symbol"]
        rows, config = document["dim_factors"], document["factor_config"][symbol]
        factors = tuple(DimFactor(row["dim"], row["factor_name"], number_of(row["kendall_tau"])) for row in rows)
        names, means = tuple(config["factor_names"]), floats_of(config["mean_values"])
        variances = floats_of(config["variance_values"])
        payload = Payload(model, symbol, model_json, metadata, factors, names, means, variances, etag, fetched_at)
        _check_pairing(payload, wanted)
    except UNREADABLE as error:
        raise BadAnswer(f"{wanted.path} is not a payload: {type(error).__name__}: {error}.") from error
    return payload


def _check_pairing(payload: Payload, wanted: Wanted) -> None:
    model, symbol, group_key = payload.model_name, payload.symbol, payload.metadata.get("group_key")
    is_wanted = (model, symbol.casefold()) == (wanted.model, wanted.symbol.casefold())
    names = [factor.factor_name for factor in payload.dim_factors]
    lengths = [len(payload.factor_names), len(payload.mean_values), len(payload.variance_values)]
    rules = {
        f"it is of model {model!r}, symbol {symbol!r}": is_wanted,
        f"it is of group {group_key!r}": wanted.group_key is None or group_key in {None, wanted.group_key},
        "model_json is not text": isinstance(payload.model_json, str) and payload.model_json != "",
        "dim_factors does not count from 0": [f.dim for f in payload.dim_factors] == list(range(len(names))),
        "dim_factors names a factor twice": len(set(names)) == len(names),
        "feature_dim is not the number of dim_factors": payload.metadata["feature_dim"] == len(names),
        "factor_config does not have the names of dim_factors in their order": list(payload.factor_names) == names,
        f"factor_config has names, means and variances of lengths {lengths}": len(set(lengths)) == 1,
        "a mean is not a finite number": all(map(math.isfinite, payload.mean_values)),
        "a variance is not a finite number above 0": all(0 < value < math.inf for value in payload.variance_values),
    }
    check_rules(rules, wanted.path, "model")


def check_rules(rules: Mapping[str, bool], path: str, kind: str) -> None:
    """Raise `BadAnswer` with every rule of a body that is broken: each is called by what is wrong then."""
    if problems := [problem for problem, kept in rules.items() if not kept]:
        raise BadAnswer(f"{path} must not be used: {'; '.join(problems)}. Check the {kind} on the server.")


def number_of(value: object) -> float | None:
    """Return any real number, NumPy's included, as a float; None for everything else, truth values too."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def floats_of(values: Iterable[object]) -> tuple[float, ...]:
    return tuple(math.nan if (number := number_of(value)) is None else number for value in values)
