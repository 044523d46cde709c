"""JSON as this project writes and reads it: strict, UTF-8, and fast. The only home of msgspec."""

from __future__ import annotations

import re
import threading
from typing import Any, TypeVar

import msgspec

from mm_core.spelling import is_visible

Decoded = TypeVar("Decoded")

Record = msgspec.Struct
"""A typed object of which a part may be `RawJson`; a dataclass may have that in lists alone."""

RawJson = msgspec.Raw
"""The type of a part of a document that is checked to be JSON and left undecoded."""

Missing = msgspec.UnsetType
"""The type of a part that a document need not have; ``null`` is not that."""

MISSING = msgspec.UNSET

_NOT_ASCII = re.compile(r"[^\x00-\x7e]")


class NotJson(ValueError):
    """The bytes are not strict JSON, or not of the type that was asked for."""


def encode(value: Any) -> bytes:
    """Return ``value`` as compact UTF-8 JSON; numbers that are not finite become ``null``."""
    return msgspec.json.encode(value)


def encode_for_people(value: Any) -> bytes:
    """Return ``value`` as indented UTF-8 JSON that ends with a line feed; characters nobody sees are escapes."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return (text if text.isascii() else _NOT_ASCII.sub(_visible_or_escaped, text)).encode() + b"\n"


def _visible_or_escaped(character: re.Match[str]) -> str:
    text = character[0]
    if is_visible(text):
        return text
    pairs = text.encode("utf-16-be").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))


def decode(data: bytes) -> Any:
    """Return the plain value that strict JSON holds; raise `NotJson` otherwise."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error


def plain(value: Any) -> Any:
    """Return a value made of dataclasses as dicts, lists, texts and numbers; those that are not finite stay."""
    return msgspec.to_builtins(value)


def typed(value: Any, wanted: type[Decoded]) -> Decoded:
    """Return what `plain` made as ``wanted`` again; raise `NotJson` naming the place."""
    _decoder_of(wanted)
    try:
        return msgspec.convert(value, wanted)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NotJson(str(error)) from error


def decode_as(data: bytes, wanted: type[Decoded]) -> Decoded:
    """Return strict JSON as ``wanted`` (a dataclass or a typed container); raise `NotJson` naming the place."""
    try:
        return _decoder_of(wanted).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error


def _decoder_of(wanted: type[Decoded]) -> msgspec.json.Decoder[Decoded]:
    """Return the decoder of a type, made by one thread at a time.

    msgspec 0.22 notes what it knows of a class on the class before it has looked at all of its fields, and other
    threads may run meanwhile: one that used the same class then ended the process with SIGSEGV.
    """
    decoder = _decoders.get(wanted)
    if decoder is None:
        with _making:
            decoder = _decoders.get(wanted)
            if decoder is None:
                decoder = _decoders[wanted] = msgspec.json.Decoder(wanted)
    return decoder


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()
