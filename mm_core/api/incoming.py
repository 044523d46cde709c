"""What clients send: bodies, tokens and where a request comes from."""

from __future__ import annotations

import hmac
from typing import Any, TypeVar

from bottle import request
from werkzeug.http import parse_options_header

from mm_core import strict_json
from mm_core.errors import BadRequest, BodyTooLarge, Forbidden, Unauthorized, UnsupportedMediaType

LARGEST_BODY = 8 << 20
"""Bytes of a request body: a factor config of 50,000 factors has less."""

Wanted = TypeVar("Wanted")


def header(name: str) -> str | None:
    """Return a header as it came, each byte a Latin letter: bottle's own way ends in an error where it is no UTF-8."""
    value: str | None = request.headers.raw(name)
    return value


def check_write(write_token: str | None) -> None:
    """Let a write pass that no page of another site can have sent.

    Raises `Forbidden` for another site's page, `Unauthorized` for a missing or wrong token, and `UnsupportedMediaType`
    for a body that is not declared as JSON: what forms send, and pages without asking first, is always another.
    """
    _check_site()
    if write_token is not None:
        scheme, _, given = (header("Authorization") or "").partition(" ")
        same = hmac.compare_digest(given.strip(" \t").encode("latin-1"), write_token.encode())
        if scheme.lower() != "bearer" or not same:
            raise Unauthorized(
                "Writes need a token here. Send 'Authorization: Bearer …' with MODEL_MANAGER_WRITE_TOKEN."
            )
    content_type = header("Content-Type")
    if content_type is not None or request.content_length > 0:
        _check_media_type(content_type or "")


def check_question() -> None:
    """Let a request with a body pass that changes nothing, so that it needs no token; raises as `check_write` else."""
    _check_site()
    _check_media_type(header("Content-Type") or "")


def _check_site() -> None:
    if _is_of_another_site():
        raise Forbidden("A page of another site may not ask for this. Send the request without a browser.")


def _is_of_another_site() -> bool:
    fetch_site = header("Sec-Fetch-Site")
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return True
    origin = header("Origin")
    if origin is None:
        return False
    scheme, _, host = origin.lower().partition("://")
    if host != (header("Host") or "").lower():
        return True
    return scheme != "http" and not (scheme == "https" and fetch_site == "same-origin")  # TLS ends before this server


def _check_media_type(content_type: str) -> None:
    media_type, _ = parse_options_header(content_type)
    if media_type.lower() != "application/json":
        raise UnsupportedMediaType(
            f"The body's media type is '{media_type[:80]}'. Send JSON with 'Content-Type: application/json'; where no "
            "body is needed, send none and no type."
        )


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
    _check_media_type(header("Content-Type") or "")
    if request.content_length > LARGEST_BODY:
        raise BodyTooLarge(f"The body has {request.content_length:,} bytes, at most {LARGEST_BODY:,} are taken.")
    data: bytes = request.environ["wsgi.input"].read(LARGEST_BODY + 1)
    if len(data) > LARGEST_BODY:
        raise BodyTooLarge(f"The body has more than {LARGEST_BODY:,} bytes, which is the most that is taken.")
    return data
