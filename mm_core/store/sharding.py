"""Which of several files holds what belongs to a name."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TypeVar

Held = TypeVar("Held")


def shard_of(name: str, shard_count: int) -> int:
    """Return the number of the shard that holds ``name``."""
    return zlib.crc32(name.encode()) % shard_count


def shard_count_for(names: int, names_per_shard: int, present: int | None) -> int:
    """Return how many shards to use: a power of two, kept while it is within a factor of four of what fits best."""
    best = 1
    while best * names_per_shard < names:
        best *= 2
    if present is not None and best / 4 <= present <= best * 4:
        return present
    return best


def by_shard(held: Mapping[str, Held], shard_count: int) -> dict[int, dict[str, Held]]:
    """Return what belongs to each name, by the number of its shard; shards without a name are left out."""
    shards: dict[int, dict[str, Held]] = {}
    for name, each in held.items():
        shards.setdefault(shard_of(name, shard_count), {})[name] = each
    return shards
