"""Names in artifacts: which can be used, and what to say of those that mislead."""

from __future__ import annotations

import hashlib

from mm_core.artifacts.readers.report import FileReport
from mm_core.spelling import code_points, is_visible, mixes_look_alikes

LONGEST_NAME = 512
LONGEST_SYMBOL = 128


def is_name(text: str) -> bool:
    """Return whether a factor, symbol or return may be called ``text``: it hides nothing, and it ends."""
    return bool(text) and len(text) <= LONGEST_NAME and is_visible(text)


def is_symbol(text: str) -> bool:
    """Return whether a symbol can be a part of an address; dots are steps for clients, however they are quoted."""
    return is_visible(text) and "/" not in text and text not in (".", "..") and len(text) <= LONGEST_SYMBOL


def symbol_of_key(group_key: str) -> str:
    """Return the symbol that a group key begins with, however long; the whole key where it begins with none.

    Where characters of it are not drawn, a name made of its digest stands for it and for no other key.
    """
    if not is_visible(group_key):
        return hashlib.sha256(group_key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return group_key.partition("_")[0] or group_key


def warn_of_look_alikes(what: str, name: str, report: FileReport, line: int | None = None) -> None:
    """Report a name that mixes Latin letters with letters that only look like them."""
    if mixes_look_alikes(name):
        report.warn(
            "look-alike-name",
            f"{what} '{name}' has letters that look Latin and are not: {code_points(name)}.",
            "Write the name with the letters that the bot and the other files use.",
            line,
        )
