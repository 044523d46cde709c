"""Every honest fixture, cut at many places and with bits that flipped."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.attacks.assembling import Answer, Attack
from tests.honest_pickles import honest

CUTS = 7
FLIPS = 5


def cut() -> Iterator[Attack]:
    """Yield each fixture without its end: at its edges, and at places that differ from file to file."""
    for name, content in honest():
        chance = random.Random(name)
        places = {0, 1, 2, len(content) - 1} | {chance.randrange(len(content)) for _ in range(CUTS - 4)}
        for place in sorted(places):
            yield Attack(f"{name} cut at {place}", content[:place], Answer.REFUSED, Answer.REFUSED)


def flipped() -> Iterator[Attack]:
    """Yield each fixture with one bit, or some, that is another one."""
    for name, content in honest():
        chance = random.Random(f"{name} flipped")
        for number in range(FLIPS):
            changed = bytearray(content)
            for _ in range(1 + number % 3):
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            yield Attack(f"{name} flipped {number}", bytes(changed), Answer.ANY, Answer.ANY)
