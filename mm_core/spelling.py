"""Characters that mislead readers: those that nobody sees, and those that are drawn like others."""

from __future__ import annotations

import re
import unicodedata

_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
"""Printable by Unicode's categories, drawn as nothing: fillers, joiners and variation selectors."""

_INVISIBLE = re.compile(f"[{_FILLERS}]")

_DRAWN_LIKE_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХԚԜаеорсухіјѕһԁԛԝѵΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳονιϲıɑɡ",
    "ABESIJKMHOPCTYXQWaeopcyxijshdqwvABEZHIKMNOPTYXCjoviciag",
)
"""Letters that fonts draw like one of the Latin alphabet, after the confusables of Unicode Technical Standard 39."""


def is_visible(text: str) -> bool:
    """Return whether every character of ``text`` is drawn: no control, format or line character, no filler."""
    return text.isprintable() and (text.isascii() or _INVISIBLE.search(text) is None)


def visible(text: str) -> str:
    """Return ``text`` with each character that is not drawn, or that steers a terminal or page, as its escape."""
    if is_visible(text):
        return text
    return "".join(one if is_visible(one) else _escape(one) for one in text)


def code_points(text: str) -> str:
    """Return the characters of ``text`` beyond ASCII, each once, as ``'х' U+0445 CYRILLIC SMALL LETTER HA``."""
    return ", ".join(
        f"'{visible(one)}' U+{ord(one):04X} {unicodedata.name(one, 'without a name')}"
        for one in dict.fromkeys(text)
        if not one.isascii()
    )


def mixes_look_alikes(text: str) -> bool:
    """Return whether letters of ``text`` only look like those of its Latin ones."""
    return (
        not text.isascii()
        and any(one.isascii() and one.isalpha() for one in text)
        and any(ord(one) in _DRAWN_LIKE_LATIN for one in text)
    )


def drawn_as(text: str) -> str:
    """Return what stands for all texts that are drawn like ``text``, whatever their case and composition."""
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFKC", text).translate(_DRAWN_LIKE_LATIN).casefold()


def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
