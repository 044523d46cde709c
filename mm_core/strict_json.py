"""JSON as this project writes and reads it: strict, UTF-8, and fast. The only home of msgspec."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

Decoded = TypeVar("Decoded")

RawJson = msgspec.Raw
"""The type of a part of a document that is checked to be JSON and left undecoded."""


class NotJson(ValueError):
    """The bytes are not strict JSON, or not of the type that was asked for."""


def encode(value: Any) -> bytes:
    """Return ``value`` as compact UTF-8 JSON; numbers that are not finite become ``null``."""
    return msgspec.json.encode(value)


def encode_for_people(value: Any) -> bytes:
    """Return ``value`` as indented UTF-8 JSON that ends with a line feed."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def decode(data: bytes) -> Any:
    """Return the plain value that strict JSON holds; raise `NotJson` otherwise."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error


def decode_as(data: bytes, wanted: type[Decoded]) -> Decoded:
    """Return strict JSON as ``wanted`` (a dataclass or a typed container); raise `NotJson` naming the place."""
    try:
        return msgspec.json.decode(data, type=wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error
