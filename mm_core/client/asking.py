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
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, NoReturn

import httpx

from .errors import BadAnswer, DigestMismatch, PayloadError, PayloadNotFound, RequestRefused, ServerAway

_ETAG = re.compile(r'(?:W/)?"([0-9a-f]{64})(?:-gz|-zst)?"')
_FIRST_WAIT_SECONDS = 0.25

MOST_CONNECTIONS = 64
"""Of one client; a thread that finds them all busy waits for one."""


def digest_of(etag: str) -> str | None:
    """Return the SHA-256 that an ETag carries, in hex; None where it carries none."""
    tag = _ETAG.fullmatch(etag)
    return tag[1] if tag is not None else None


class Answer(NamedTuple):
    """A decompressed body, None where it is still the one that the question names; header names without case."""

    etag: str
    body: bytearray | None
    headers: Mapping[str, str]


class Listened(NamedTuple):
    """What a server said after it held its answer back, and for how many seconds it wants to be left alone."""

    body: bytearray
    retry_after: float


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
        limits = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS)
        self._http = httpx.Client(timeout=timeout, headers=headers, limits=limits)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def pause(self, seconds: float) -> None:
        """Wait before the next question."""
        self._sleep(seconds)

    def ask(self, path: str, etag: str | None, max_bytes: int, *, is_patient: bool = True) -> Answer:
        """Return what is at ``path`` unless that is still what ``etag`` names.

        Without patience a server that is away is asked once: for callers that ask again later by themselves.
        Raises `ServerAway`, `PayloadNotFound`, `RequestRefused` or `BadAnswer`.
        """
        for attempt in range(self._attempts - 1):
            try:
                return self._ask_once(path, etag, max_bytes)
            except PayloadError as error:
                if error.retry_in is None or error.retry_in > self._max_wait:
                    raise
                if isinstance(error, ServerAway) and not is_patient:
                    raise
                jitter = random.uniform(0.5, 1.0)  # noqa: S311 - keeps bots from asking in step; guards nothing
                self._sleep(max(error.retry_in, min(_FIRST_WAIT_SECONDS * 2.0**attempt, self._max_wait) * jitter))
        return self._ask_once(path, etag, max_bytes)

    def listen(self, path: str, seconds: float, max_bytes: int) -> Listened:
        """Return what is at ``path``, which the server may hold back for ``seconds``; one attempt, no condition.

        Raises what `ask` raises.
        """
        usual = self._http.timeout
        read = usual.read + seconds if usual.read is not None else None
        timeout = httpx.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)
        answer = self._fetch(path, {}, max_bytes, timeout, is_tagged=False)
        assert answer.body is not None
        return Listened(answer.body, _retry_after(answer.headers.get("Retry-After", "")))

    def _ask_once(self, path: str, etag: str | None, max_bytes: int) -> Answer:
        condition = {"If-None-Match": etag} if etag is not None else {}
        answer = self._fetch(path, condition, max_bytes, self._http.timeout, is_tagged=True)
        if answer.body is not None and hashlib.sha256(answer.body).hexdigest() != digest_of(answer.etag):
            raise DigestMismatch(f"{self.name}{path} sent a body that is not the one its ETag names.", retry_in=0)
        return answer

    def _fetch(
        self, path: str, condition: dict[str, str], max_bytes: int, timeout: httpx.Timeout, *, is_tagged: bool
    ) -> Answer:
        where = f"{self.name}{path}"
        url = self._base_url + path
        try:
            with self._http.stream("GET", url, headers=condition, timeout=timeout) as response:
                is_unchanged = response.status_code == 304 and bool(condition)
                if response.status_code != 200 and not is_unchanged:
                    _refuse(response, where)
                tag = response.headers.get("ETag", "")
                if is_tagged and not is_unchanged and digest_of(tag) is None:
                    raise BadAnswer(f"{where} answers without a SHA-256 in its ETag. Check base_url.")
                return Answer(tag, None if is_unchanged else _limited_body(response, max_bytes), response.headers)
        except httpx.DecodingError as error:
            raise DigestMismatch(f"{where} sent a body that does not decompress: {error}.", retry_in=0) from error
        except httpx.TransportError as error:
            raise ServerAway(f"{where} does not answer: {type(error).__name__}: {error}.", retry_in=0) from error


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
    kind = BadAnswer if status < 400 else PayloadNotFound if status in {400, 404, 409, 422} else RequestRefused
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
            raise BadAnswer(
                f"{response.url.path} has more than {limit} bytes, which is max_bytes or the most for this."
            )
    return body
