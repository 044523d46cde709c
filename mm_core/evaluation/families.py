"""Factors that share a beginning: ``momentum_5`` and ``momentum_20`` are one family."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[_.\-:/ ]+")
_LETTERS = re.compile(r"\D*")


def family_of(factor_name: str) -> str:
    """Return the words of a factor's name before the first one that has a digit.

    Where already the first word has one, its letters before the digit; where there are none, the whole name.
    """
    words: list[str] = []
    for word in _SEPARATORS.split(factor_name):
        if any(character.isdigit() for character in word):
            break
        words.append(word)
    beginning = _LETTERS.match(factor_name)
    letters = beginning.group().strip("_.-:/ ") if beginning is not None else ""
    return "_".join(filter(None, words)) or letters or factor_name
