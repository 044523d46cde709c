"""Normalization of factors: a mean and a variance for each, checked, revised and carried by name."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mm_core.errors import MOST_SHOWN, InvalidFactorConfig, Problems, RevisionNotFound, in_short

DEFAULT_MEAN = 0.2
DEFAULT_VARIANCE = 1.0

CARRY = "carry"
"""The action of a revision that takes what was set on to other files."""

AS_IN_FILES = 0
"""The number of the revision before all others, where files say what nobody set."""

FILES_DIGEST = "files_digest"
"""The field of a version's document that tells what its files said when it was read, as `Defaults.digest`."""


class Normalization(NamedTuple):
    """How one factor is normalized: ``(x - mean) / sqrt(variance)``."""

    mean: float
    variance: float


DEFAULT_NORMALIZATION = Normalization(DEFAULT_MEAN, DEFAULT_VARIANCE)


class FromFiles(NamedTuple):
    """Which of a factor's two numbers nobody set: such a number is what the files say, whatever that is by now."""

    mean: bool
    variance: bool


@dataclass(frozen=True, slots=True)
class Defaults:
    """What stands for a factor that nobody set: ``by_name`` what files say of each, else one normalization for all.

    A variance is above 0. Where files say something, it is at least ``smallest_variance``, or what they say themselves.
    """

    by_name: Mapping[str, Normalization] = field(default_factory=dict)
    smallest_variance: float = 0.0

    @property
    def are_in_files(self) -> bool:
        """Whether files say what nobody set."""
        return bool(self.by_name)

    @property
    def digest(self) -> str:
        """The SHA-256 of what files say in hex, which is another one when they say something else."""
        said = [[name, float(each.mean), float(each.variance)] for name, each in self.by_name.items()]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def of(self, name: str) -> Normalization:
        """Return what stands for a factor that nobody set."""
        return self.by_name.get(name, DEFAULT_NORMALIZATION)

    def variance_rule(self, name: str, variance: float) -> str | None:
        """Return what a variance of this factor must be, None for one that is so."""
        if variance > 0 and variance >= self.smallest_variance:
            return None
        own = self.by_name.get(name)
        if own is None:
            return "a variance must be above 0"
        if variance == own.variance:
            return None
        return f"a variance must be at least {self.smallest_variance}, or {own.variance} as the files have it"


SAME_FOR_ALL = Defaults()
"""Mean 0.2 and variance 1 for every factor."""


@dataclass(frozen=True, slots=True)
class FactorConfig:
    """Mean and variance of every factor of one subject, in model dimension order; it refuses to exist otherwise.

    The ``subject`` is a symbol of a registration or a version of a family.
    """

    subject: str
    factor_names: tuple[str, ...]
    mean_values: tuple[float, ...]
    variance_values: tuple[float, ...]
    defaults: Defaults = field(default=SAME_FOR_ALL, compare=False, repr=False)

    def __post_init__(self) -> None:
        problems = Problems(_length_problems("mean_values", self.mean_values, self.factor_names))
        problems.add(_length_problems("variance_values", self.variance_values, self.factor_names))
        problems.add(_number_problems("mean_values", self.mean_values, self.factor_names))
        problems.add(_number_problems("variance_values", self.variance_values, self.factor_names, self.defaults))
        if problems:
            raise InvalidFactorConfig(problems)

    @property
    def overridden(self) -> tuple[str, ...]:
        """The factors that are not as they are where nobody set anything."""
        return tuple(name for name, pair in self.normalizations().items() if pair != self.defaults.of(name))

    def normalizations(self) -> dict[str, Normalization]:
        """Return each factor's mean and variance by name."""
        pairs = zip(self.mean_values, self.variance_values, strict=True)
        return {name: Normalization(*pair) for name, pair in zip(self.factor_names, pairs, strict=True)}


def parse_factor_config(
    document: Any, subject: str, factor_names: Sequence[str], defaults: Defaults = SAME_FOR_ALL
) -> FactorConfig:
    """Return the config that ``{subject: {factor_names, mean_values, variance_values}}`` holds for this model.

    ``factor_names`` of the document may be left out; where they are given, they must be the model's in the model's
    order. Where files say what nobody set, it may have `FILES_DIGEST` too. Raises `InvalidFactorConfig` with every
    problem of the document at once; values beyond the model's factors are counted and not looked at.
    """
    problems = Problems()
    if not isinstance(document, Mapping):
        problems.add([f"the body must be an object with the one key '{subject}'"])
        raise InvalidFactorConfig(problems)
    keys = _keys_of(document, subject)
    problems.add(
        f"'{_key_in_short(key)}' is not the key '{subject}'" for key in document if not _names_subject(key, subject)
    )
    if len(keys) != 1 or not isinstance(document[keys[0]], Mapping):
        problems.add([f"exactly one object is expected under the key '{subject}'"])
        raise InvalidFactorConfig(problems)
    body = document[keys[0]]
    known = ("factor_names", "mean_values", "variance_values", *((FILES_DIGEST,) if defaults.are_in_files else ()))
    problems.add(
        f"'{_key_in_short(key)}' is not a known field, use {', '.join(known)}" for key in body if key not in known
    )
    names = tuple(factor_names)
    if "factor_names" in body:
        problems.add(_name_problems(body["factor_names"], names))
    if FILES_DIGEST in known and not isinstance(body.get(FILES_DIGEST, ""), str):
        problems.add([f"{FILES_DIGEST} must be text, as it was read"])
    values: dict[str, tuple[float, ...]] = {}
    for key in ("mean_values", "variance_values"):
        given = body.get(key)
        if not isinstance(given, Sequence) or isinstance(given, str):
            problems.add([f"{key} is missing" if key not in body else f"{key} must be a list of numbers"])
            continue
        problems.add(_length_problems(key, given, names))
        problems.add(_number_problems(key, given, names, defaults if key == "variance_values" else None))
        if not problems:
            values[key] = tuple(float(value) for value in given)
    if problems:
        raise InvalidFactorConfig(problems)
    return FactorConfig(subject, names, values["mean_values"], values["variance_values"], defaults)


def files_digest_of(document: Any, subject: str) -> str | None:
    """Return what a document says that files said when it was read, None where it does not say that."""
    keys = _keys_of(document, subject) if isinstance(document, Mapping) else []
    body = document[keys[0]] if len(keys) == 1 else None
    digest = body.get(FILES_DIGEST) if isinstance(body, Mapping) else None
    return digest if isinstance(digest, str) else None


def _keys_of(document: Mapping[Any, Any], subject: str) -> list[str]:
    return [key for key in document if _names_subject(key, subject)]


def _names_subject(key: object, subject: str) -> bool:
    return isinstance(key, str) and key.casefold() == subject.casefold()


def _key_in_short(key: object) -> str:
    return str(key)[:MOST_SHOWN]


def _length_problems(key: str, values: Sequence[Any], names: Sequence[str]) -> list[str]:
    if len(values) == len(names):
        return []
    return [f"{key} has {len(values)} entries, the model has {len(names)} factors"]


def _name_problems(given: Any, names: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        yield "factor_names must be a list of names"
        return
    yield from _length_problems("factor_names", given, names)
    for index, (mine, theirs) in enumerate(zip(names, given, strict=False)):
        if mine != theirs:
            yield f"factor_names[{index}] is {in_short(theirs)}, the model's dimension {index} is '{mine}'"


def _number_problems(
    key: str, values: Sequence[Any], names: Sequence[str], defaults: Defaults | None = None
) -> Iterator[str]:
    """Yield what is wrong with the numbers of factors; those are variances where ``defaults`` are given."""
    for index, (name, value) in enumerate(zip(names, values, strict=False)):
        wrong: str | None = None
        if isinstance(value, bool) or not isinstance(value, int | float):
            wrong = "not a number"
        elif not _is_finite(value):
            wrong = "not a finite number"
        elif defaults is not None:
            wrong = defaults.variance_rule(name, value)
        if wrong is not None:
            yield f"{key}[{index}] ({name}) is {in_short(value)}, {wrong}"


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


class CellChange(NamedTuple):
    """One factor's normalization before and after; None stands for the default that nobody had set."""

    before: Normalization | None
    after: Normalization | None


@dataclass(frozen=True, slots=True)
class FactorConfigRevision:
    """One change of a factor config: who (``api``, ``dashboard``, ``cli`` or ``scan``), when, what.

    ``added`` and ``dropped`` are the factors that a scan brought or took away.
    """

    number: int
    at: str
    by: str
    action: str
    note: str = ""
    changes: Mapping[str, CellChange] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


class FactorConfigStamp(NamedTuple):
    """How far the config of a subject is, without its values; ``updated_at`` is ISO 8601 UTC."""

    subject: str
    revision: int
    updated_at: str


@dataclass(frozen=True, slots=True)
class FactorConfigRecord:
    """What people set for one subject, by factor name; factors that the model dropped stay until they come back.

    ``model_name`` is a registration's and ``subject`` a symbol, or they are a family's and a version.

    ``from_files`` has the factors of ``values`` of which nobody set both numbers. It is None where that was not noted:
    for symbols, and for versions of which nothing was saved since it is.

    The config that bots get is derived: `config_for` lays these values over the defaults in the model's own order, so
    it can never have another length or order than the model.
    """

    model_name: str
    subject: str
    revision: int
    created_at: str
    updated_at: str
    values: Mapping[str, Normalization] = field(default_factory=dict)
    from_files: Mapping[str, FromFiles] | None = None

    def config_for(self, factor_names: Sequence[str], defaults: Defaults = SAME_FOR_ALL) -> FactorConfig:
        """Return the config of a model with these factors, defaults where nothing was set."""
        chosen = [self.values.get(name) or defaults.of(name) for name in factor_names]
        return FactorConfig(
            self.subject,
            tuple(factor_names),
            tuple(normalization.mean for normalization in chosen),
            tuple(normalization.variance for normalization in chosen),
            defaults,
        )


def changes_between(
    before: Mapping[str, Normalization], after: Mapping[str, Normalization], defaults: Defaults = SAME_FOR_ALL
) -> dict[str, CellChange]:
    """Return the factors whose values differ, with both sides; a side without a value is the default."""
    changes = {}
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if (old or defaults.of(name)) != (new or defaults.of(name)):
            changes[name] = CellChange(old, new)
    return changes


def values_at(history: Sequence[FactorConfigRevision], number: int) -> dict[str, Normalization]:
    """Return what was set when revision ``number`` had been saved; raise `RevisionNotFound` for an unknown one."""
    numbers = [revision.number for revision in history]
    if number not in numbers:
        raise RevisionNotFound(f"No revision {number} among {numbers[:1]}…{numbers[-1:]}. List the history first.")
    values: dict[str, Normalization] = {}
    for revision in history[: numbers.index(number) + 1]:
        for name, change in revision.changes.items():
            if change.after is None:
                values.pop(name, None)
            else:
                values[name] = change.after
    return values
