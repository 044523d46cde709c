"""Text from files, names and addresses as it stands, where streamlit would read markdown."""

from __future__ import annotations

from mm_core.errors import ModelManagerError
from mm_core.spelling import visible

_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]()#+-.!|<>~$:=@^&"})
_BLANKS = str.maketrans("\n\r\t", "   ")


def plain(text: str) -> str:
    """Return ``text`` so that markdown shows each character as itself: no images, hidden links, colours or HTML.

    An address that stands there bare may still become a link to itself. Line feeds and tabs become blanks, as they
    would end a paragraph or begin a block of code; what else nobody sees is shown as an escape.
    """
    return visible(text.translate(_BLANKS)).translate(_MARKS)


def error_sentence(error: ModelManagerError) -> str:
    """Return one of our errors as markdown: its title in bold, then its sentence."""
    return f"**{error.title}.** {plain(error.detail)}"


def counted(count: int, noun: str) -> str:
    """Return ``1 finding``, ``2 findings``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
