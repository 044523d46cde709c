"""What the query of a request asks for."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from bottle import request

from mm_core.domain.lifecycle import Tier
from mm_core.errors import BadRequest

Choice = TypeVar("Choice", bound=StrEnum)


def query_text(name: str) -> str | None:
    """Return what the query says, None where it says nothing; raise `BadRequest` for bytes that are no text.

    To bottle such bytes would be nothing.
    """
    if name not in request.query:
        return None
    text: str | None = request.query.getunicode(name)
    if text is None:
        raise BadRequest(f"?{name}= is no text in UTF-8. Write it so, or leave it out.")
    return text


def asked(kind: type[Choice], name: str) -> Choice | None:
    """Return the member of an enumeration that the query names, None where it names none; raise `BadRequest`."""
    text = query_text(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise BadRequest(f"?{name}= is {text[:80]!r}. Use one of {', '.join(kind)}, or leave it out.") from error


def asked_caller_tier() -> Tier | None:
    """Return the tier of the caller, None for one who sees all."""
    return asked(Tier, "caller_tier")
