"""Bodies on their way out: entity tags, codings, conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from bottle import HTTPResponse, request

from mm_core import strict_json
from mm_core.api.incoming import header
from mm_core.api.negotiation import SMALLEST_COMPRESSED, chosen_coding, is_not_modified
from mm_core.payloads import BoundedCache, Coding, compress, entity_tag

JSON = "application/json"


def document_answer(document: Any, cache: BoundedCache, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Answer a GET with a document; it is compressed once for each content as long as ``cache`` keeps it."""
    data = strict_json.encode(document)
    return bytes_answer(data, JSON, cache, headers)


def bytes_answer(
    data: bytes, content_type: str, cache: BoundedCache, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    """Answer a GET with bytes of ``content_type``."""
    digest = hashlib.sha256(data).hexdigest()
    return prepared_answer(
        digest, len(data), lambda coding: encoded(data, digest, coding, cache), content_type, headers
    )


def encoded(data: bytes, digest: str, coding: Coding, cache: BoundedCache) -> bytes:
    """Return bytes in a coding, compressed once for each digest as long as ``cache`` keeps them."""
    if coding is Coding.IDENTITY:
        return data
    return cache.get((digest, coding), lambda: compress(data, coding))


def prepared_answer(
    digest: str,
    size_bytes: int,
    body: Callable[[Coding], bytes],
    content_type: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> HTTPResponse:
    """Answer a GET with bytes that ``body`` has ready in every coding; a 304 never asks for them."""
    coding = Coding.IDENTITY
    if size_bytes >= SMALLEST_COMPRESSED:
        coding = chosen_coding(header("Accept-Encoding"))
    tag = entity_tag(digest, coding)
    head = {"ETag": tag, "Vary": "Accept-Encoding", "Cache-Control": "no-cache", **(headers or {})}
    if is_not_modified(request.environ, tag):
        return HTTPResponse(status=304, headers=head)
    if coding is not Coding.IDENTITY:
        head["Content-Encoding"] = str(coding)
    data = body(coding)
    return HTTPResponse(
        data, status=200, headers={**head, "Content-Type": content_type, "Content-Length": str(len(data))}
    )


def result_answer(document: Any, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Answer a write: nothing of it is cached."""
    return momentary_answer(strict_json.encode(document), JSON, headers)


def momentary_answer(data: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Answer with bytes that are true at this moment alone: nobody keeps them."""
    return HTTPResponse(
        data,
        status=200,
        headers={
            "Content-Type": content_type,
            "Content-Length": str(len(data)),
            "Cache-Control": "no-store",
            **(headers or {}),
        },
    )
