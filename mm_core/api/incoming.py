"""What clients send: bodies, tokens and where a request comes from."""

from __future__ import annotations

import hmac
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bottle import request
from werkzeug.http import parse_options_header

from mm_core import strict_json
from mm_core.errors import BadRequest, BodyTooLarge, Forbidden, Unauthorized, UnsupportedMediaType

LARGEST_BODY = 8 << 20
"""Bytes of a request body: a factor config of 50,000 factors has less."""

Wanted = TypeVar("Wanted")


def check_write(write_token: str | None) -> None:
    """Let a write pass; raise `Forbidden` for another site's page and `Unauthorized` for a missing or wrong token."""
    origin = request.get_header("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != (request.get_header("Host") or "").lower():
        raise Forbidden("A page of another site may not write here. Send the request without a browser.")
    if request.get_header("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        raise Forbidden("A page of another site may not write here. Send the request without a browser.")
    if write_token is None:
        return
    scheme, _, given = (request.get_header("Authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), write_token.encode()):
        raise Unauthorized("Writes need a token here. Send 'Authorization: Bearer …' with MODEL_MANAGER_WRITE_TOKEN.")


def json_body() -> Any:
    """Return the request's body as plain values; raise `UnsupportedMediaType`, `BodyTooLarge` or `BadRequest`."""
    data = _body()
    try:
        return strict_json.decode(data)
    except strict_json.NotJson as error:
        raise BadRequest(f"The body is not strict JSON ({error}). Send one JSON document in UTF-8.") from error


def json_body_as(wanted: type[Wanted], example: str) -> Wanted:
    """Return the request's body as ``wanted``; raise as `json_body`, with ``example`` in the sentence."""
    data = _body()
    try:
        return strict_json.decode_as(data, wanted)
    except strict_json.NotJson as error:
        raise BadRequest(f"The body does not fit ({error}). Send {example}.") from error


def _body() -> bytes:
    media_type, _ = parse_options_header(request.get_header("Content-Type"))
    if media_type.lower() != "application/json":
        raise UnsupportedMediaType(
            f"The body's media type is '{media_type[:80]}'. Send JSON with 'Content-Type: application/json'."
        )
    if request.content_length > LARGEST_BODY:
        raise BodyTooLarge(f"The body has {request.content_length:,} bytes, at most {LARGEST_BODY:,} are taken.")
    data: bytes = request.environ["wsgi.input"].read(LARGEST_BODY + 1)
    if len(data) > LARGEST_BODY:
        raise BodyTooLarge(f"The body has more than {LARGEST_BODY:,} bytes, which is the most that is taken.")
    return data
