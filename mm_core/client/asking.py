"""Questions to the server over HTTP: bounded, on condition, tried again where that may help, and checked.

The retry loop is written out, as the client must not need a library for it: bounded, longer waits each time, with
jitter, ``Retry-After`` honoured; connect, read and protocol errors, 429, 502, 503, 504 and damaged bodies are tried
again.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, NoReturn, TypeVar

import httpx

from .errors import BadAnswer, DigestMismatch, PayloadError, PayloadNotFound, RequestRefused, ServerAway

_ETAG = re.compile(r'(?:W/)?"([0-9a-f]{64})(?:-gz|-zst)?"')
_FIRST_WAIT_SECONDS = 0.25
_Answered = TypeVar("_Answered")


def digest_of(etag: str) -> str | None:
    """Return the SHA-256 that an ETag carries, in hex; None where it carries none."""
    tag = _ETAG.fullmatch(etag)
    return tag[1] if tag is not None else None


class Answer(NamedTuple):
    """A body that is the one that its ETag names, decompressed."""

    etag: str
    body: bytearray


class Server:
    """One Model Manager server; `name` is its URL without a password, for messages."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: httpx.Timeout,
        attempts: int,
        max_wait: float,
        sleep: Callable[[float], object],
    ) -> None:
        try:
            url = httpx.URL(base_url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise ValueError(f"base_url {base_url!r} is not a URL: {error}.") from error
        if url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment:
            raise ValueError(f"base_url {base_url!r} must look like http://host:6300, without a query or fragment.")
        self.name = str(url.copy_with(userinfo=b"")).rstrip("/")
        self._base_url = str(url).rstrip("/")
        self._attempts, self._max_wait, self._sleep = attempts, max_wait, sleep
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        self._http = httpx.Client(timeout=timeout, headers=headers)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, path: str, etag: str | None, max_bytes: int) -> Answer | None:
        """Return what is at ``path``, None where that is still what ``etag`` names.

        Raises `ServerAway`, `PayloadNotFound`, `RequestRefused` or `BadAnswer`.
        """
        return self._repeatedly(lambda: self._ask_once(path, etag, max_bytes))

    def _repeatedly(self, ask: Callable[[], _Answered]) -> _Answered:
        for attempt in range(self._attempts - 1):
            try:
                return ask()
            except PayloadError as error:
                if error.retry_in is None or error.retry_in > self._max_wait:
                    raise
                jitter = random.uniform(0.5, 1.0)  # noqa: S311 - keeps bots from asking in step; guards nothing
                self._sleep(max(error.retry_in, min(_FIRST_WAIT_SECONDS * 2.0**attempt, self._max_wait) * jitter))
        return ask()

    def _ask_once(self, path: str, etag: str | None, max_bytes: int) -> Answer | None:
        condition = {"If-None-Match": etag} if etag is not None else {}
        where = f"{self.name}{path}"
        try:
            with self._http.stream("GET", self._base_url + path, headers=condition) as response:
                if response.status_code == 304 and etag is not None:
                    return None
                if response.status_code != 200:
                    _refuse(response, where)
                tag = response.headers.get("ETag", "")
                digest = digest_of(tag)
                if digest is None:
                    raise BadAnswer(f"{where} answers without a SHA-256 in its ETag. Check base_url.")
                body = _limited_body(response, max_bytes)
        except httpx.DecodingError as error:
            raise DigestMismatch(f"{where} sent a body that does not decompress: {error}.", retry_in=0) from error
        except httpx.TransportError as error:
            raise ServerAway(f"{where} does not answer: {type(error).__name__}: {error}.", retry_in=0) from error
        if hashlib.sha256(body).hexdigest() != digest:
            raise DigestMismatch(f"{where} sent a body that is not the one its ETag names.", retry_in=0)
        return Answer(tag, body)


def _refuse(response: httpx.Response, where: str) -> NoReturn:
    status = response.status_code
    if status in {429, 502, 503, 504}:
        wait = _retry_after(response.headers.get("Retry-After", ""))
        raise ServerAway(f"{where} answered {status} (Retry-After: {wait:.0f} s).", retry_in=wait)
    if status >= 500:
        raise ServerAway(f"{where} answered {status}.")
    detail = ""
    if response.headers.get("Content-Type", "").lower().startswith("application/problem+json"):  # RFC 9457
        with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError, httpx.DecodingError, BadAnswer):
            detail = str(json.loads(_limited_body(response, 65_536))["detail"])
    kind = BadAnswer if status < 400 else PayloadNotFound if status in {400, 404} else RequestRefused
    raise kind(f"{where} answered {status}: {detail or 'no problem document. Check base_url.'}", status, detail)


def _retry_after(header: str) -> float:
    """Return the seconds that a Retry-After header asks for, as a number or as an HTTP date; 0 when it does not."""
    if header.isdecimal():
        return float(header)
    try:
        return max((email.utils.parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def _limited_body(response: httpx.Response, limit: int) -> bytearray:
    """Return the decompressed body; raise `BadAnswer` when it has more than ``limit`` bytes."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            raise BadAnswer(f"{response.url.path} has more than {limit} bytes. Raise max_bytes if that is right.")
    return body
