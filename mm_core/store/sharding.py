"""Which of several files holds what belongs to a name."""

from __future__ import annotations

import zlib


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
