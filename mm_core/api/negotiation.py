"""Which coding a client takes, and whether it has the bytes already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import Accept
from werkzeug.http import is_resource_modified, parse_accept_header, parse_etags

from mm_core.payloads import CODINGS, Coding

SMALLEST_COMPRESSED = 1024
"""Bytes from which on a body is compressed: below, headers weigh more than what is saved."""


def chosen_coding(accept_encoding: str | None) -> Coding:
    """Return the coding that an ``Accept-Encoding`` header likes best, ours first among equals.

    Identity when the header is missing or names none of ours; zstd only when it is named, since a client that sends
    ``*`` may well mean gzip.
    """
    if not accept_encoding:
        return Coding.IDENTITY
    offered = parse_accept_header(accept_encoding, Accept)
    named = {value.lower() for value in offered.values()}
    ours = [coding for coding in CODINGS if coding is not Coding.ZSTD or str(coding) in named]
    best = max(ours, key=lambda coding: offered.quality(coding))
    return best if offered.quality(best) > 0 else Coding.IDENTITY


def is_not_modified(environ: Mapping[str, Any], tag: str) -> bool:
    """Return whether ``If-None-Match`` of a GET or HEAD names ``tag``."""
    condition = environ.get("HTTP_IF_NONE_MATCH")
    return condition is not None and not is_resource_modified({"HTTP_IF_NONE_MATCH": condition}, etag=tag)


def if_match_allows(header: str | None, digest: str) -> bool:
    """Return whether ``If-Match`` allows a write: missing, ``*``, or naming the body by its tag in any coding."""
    if header is None:
        return True
    tags = parse_etags(header)
    return tags.star_tag or any(tags.contains(f"{digest}{coding.tag}") for coding in CODINGS)
