"""Which column of a booster is which feature: by the names that it was trained with, held against everybody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_core.domain.versions import SMALLEST_STD, Normalizer
from mm_core.errors import ModelUnusable

_GENERIC = ("Column_", "f")
"""What LightGBM and XGBoost call columns that were given no name, before the column's number."""

MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a booster in the order of its columns, as rows name them.

    ``normalizer`` is in the same order; ``warnings`` are sentences.
    """

    names: tuple[str, ...]
    normalizer: Normalizer | None
    warnings: tuple[str, ...]


def features_of(trained: Sequence[str], named: Sequence[str], normalizer: Normalizer | None) -> Features:
    """Return the features of a booster that was trained with the names ``trained``, `Column_0` … where it had none.

    ``named`` are those of the metadata, or empty. Where the booster has names, the others must be the same ones, in
    whichever order; a space counts as ``_``, as LightGBM writes it. Where it has none, its columns are the features of
    the metadata, else of the normalizer, in their order. Raises `ModelUnusable` where they differ, and where the
    features are called by numbers in another order: then nothing tells whether the booster has names.
    """
    lists = {"metadata": tuple(named), "normalizer": () if normalizer is None else normalizer.feature_names}
    given = {source: names for source, names in lists.items() if names}
    warnings: list[str] = []
    for source, names in given.items():
        if len(names) != len(trained):
            raise ModelUnusable(
                f"The booster has {len(trained)} features, the {source} {len(names)}. "
                "Take the files of one training run."
            )
        if len({_spelled(name) for name in names}) != len(names):
            raise ModelUnusable(f"The {source} names a feature twice. Write each of them once.")
        if _has_no_names(trained) and set(names) == set(trained) and names != tuple(trained):
            raise ModelUnusable(
                f"The booster's columns are called '{trained[0]}' to '{trained[-1]}' by their places, and the {source} "
                "names the same features in another order: nothing tells whether the booster was trained with these "
                "names or with none. Bring them into the order of the columns, or train with other names."
            )
    if _has_no_names(trained) and not any(names == tuple(trained) for names in given.values()):
        names = _in_their_order(given) or tuple(trained)
        taken = [f"those of the {source} are taken, in their order." for source in given]
        warnings.append(
            "The booster was trained without names of features: " + (taken or ["its columns are called as it does."])[0]
        )
    else:
        names = _by_name(trained, given)
    if normalizer is not None:
        normalizer = _ordered(normalizer, names)
        tiny = [name for name, std in zip(names, normalizer.std, strict=True) if 0 < std < SMALLEST_STD]
        if tiny:
            warnings.append(
                f"{len(tiny)} features have a std below {SMALLEST_STD}, such as '{tiny[0]}'; 1 is used for it."
            )
    return Features(names, normalizer, tuple(warnings))


def _has_no_names(trained: Sequence[str]) -> bool:
    return any(all(name == f"{word}{place}" for place, name in enumerate(trained)) for word in _GENERIC)


def _spelled(name: str) -> str:
    return name.replace(" ", "_")


def _in_their_order(given: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    orders = list(given.values())
    if len(orders) == 2 and [*map(_spelled, orders[0])] != [*map(_spelled, orders[1])]:
        raise ModelUnusable(
            "The booster was trained without names of features, and metadata and normalizer have two orders of them: "
            "nothing tells which is the booster's. Take the files of one training run, or train with names."
        )
    return orders[0] if orders else ()


def _by_name(trained: Sequence[str], given: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the booster's features in its order, spelled as whoever gives names does."""
    if len(set(trained)) != len(trained):
        raise ModelUnusable("The booster has two features of one name. Train it with a name for each column.")
    for source, names in given.items():
        theirs, ours = {_spelled(name) for name in names}, {_spelled(name) for name in trained}
        if theirs != ours:
            raise ModelUnusable(
                f"The {source} names other features than the booster: {_some(theirs - ours)} instead of "
                f"{_some(ours - theirs)}. Take the files of one training run."
            )
    if not given:
        return tuple(trained)
    by_spelling = {_spelled(name): name for name in next(iter(given.values()))}
    return tuple(by_spelling[_spelled(name)] for name in trained)


def _ordered(normalizer: Normalizer, names: Sequence[str]) -> Normalizer:
    places = {_spelled(name): place for place, name in enumerate(normalizer.feature_names)}
    order = [places[_spelled(name)] for name in names]
    fills = normalizer.fill_values
    return Normalizer(
        tuple(names),
        tuple(normalizer.mean[place] for place in order),
        tuple(normalizer.std[place] for place in order),
        None if fills is None else tuple(fills[place] for place in order),
    )


def _some(names: set[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(f"'{name[:60]}'" for name in listed[:MOST_NAMED]) + more
