"""Content codings: the only home of gzip and zstd."""

from __future__ import annotations

from enum import StrEnum

from backports import zstd
from zlib_ng import gzip_ng

GZIP_LEVEL = 7
ZSTD_LEVEL = 10


class Coding(StrEnum):
    """A content coding by its HTTP name; ``tag`` is what it adds to an entity tag."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def tag(self) -> str:
        return {Coding.IDENTITY: "", Coding.GZIP: "-gz", Coding.ZSTD: "-zst"}[self]


CODINGS: tuple[Coding, ...] = (Coding.ZSTD, Coding.GZIP, Coding.IDENTITY)
"""All codings, the preferred one first."""


def compress(data: bytes, coding: Coding) -> bytes:
    """Return ``data`` in ``coding``; equal input gives equal output."""
    if coding is Coding.GZIP:
        compressed: bytes = gzip_ng.compress(data, GZIP_LEVEL, mtime=0)  # type: ignore[no-untyped-call]
        return compressed
    if coding is Coding.ZSTD:
        return zstd.compress(data, ZSTD_LEVEL)
    return data


def decompress_gzip(data: bytes) -> bytes:
    """Return what `compress` was given."""
    decompressed: bytes = gzip_ng.decompress(data)  # type: ignore[no-untyped-call]
    return decompressed


def entity_tag(digest: str, coding: Coding) -> str:
    """Return the strong entity tag, quoted, of a body whose identity form has ``digest``."""
    return f'"{digest}{coding.tag}"'
