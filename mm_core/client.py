"""The client for bots: one file that needs ``httpx`` alone, so that it can be copied to where a bot runs.

    with PayloadClient("http://127.0.0.1:6300", "payloads") as client:
        payload = client.get("mid_chg_5b", "AAPL")
    booster = xgboost.Booster()
    booster.load_model(bytearray(payload.model_json, "utf-8"))
    prediction = booster.inplace_predict(numpy.array([payload.normalize(row)]))

`PayloadClient.get` asks on condition (``If-None-Match``), checks the digest that the server's ``ETag`` carries and
that model, factors and normalization pair up, and keeps the last good copy. When the server is away it hands out that
copy, says so in `Payload.stale` and warns in the log ``mm_core.client``.

    PayloadError
    ├── ServerAway          no usable answer after all attempts, and no copy that may stand in
    ├── PayloadNotFound     404 or 400, with the server's sentence; a copy never stands in for these
    ├── RequestRefused      any other 4xx
    ├── BadAnswer           an answer that must not be used: not a payload, or one whose parts do not pair up
    │   └── DigestMismatch  the body is not the one that the ETag names, in every attempt
    └── BadRow              a row of factors that cannot be normalized; names every problem

Arguments that make no sense raise `ValueError`. The retry loop is written out, as this file must not need a library
for it: bounded, longer waits each time, with jitter, ``Retry-After`` honoured; connect, read and protocol errors, 429,
502, 503, 504 and damaged bodies are tried again.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import json
import logging
import math
import os
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self
from urllib.parse import quote

import httpx

_LOG = logging.getLogger("mm_core.client")
_ETAG = re.compile(r'(?:W/)?"([0-9a-f]{64})(?:-gz|-zst)?"')
_COPY_FORMAT = 1
_FIRST_WAIT_SECONDS = 0.25


class PayloadError(Exception):
    """What kept a bot from its payload; ``status`` and ``detail`` are the server's, where it refused."""

    def __init__(self, message: str, status: int = 0, detail: str = "", retry_in: float | None = None) -> None:
        super().__init__(message)
        self.status, self.detail = status, detail
        self.retry_in = retry_in  # seconds at least; None where another attempt would end the same way


class ServerAway(PayloadError):
    """The server gave no usable answer, and no local copy may stand in."""


class PayloadNotFound(PayloadError):
    """The server knows no such payload, or cannot serve it; ``detail`` says why."""


class RequestRefused(PayloadError):
    """The server, or something before it, refuses the request."""


class BadAnswer(PayloadError):
    """The server answered with something that must not be used."""


class DigestMismatch(BadAnswer):
    """The body is not the one that its ETag names."""


class BadRow(PayloadError):
    """A row lacks factors or holds values that are not numbers; the message names all of them."""


class StaleCopy(NamedTuple):
    """Why a local copy stands in for the server, and how long ago the server last sent or confirmed it."""

    reason: str
    age: timedelta


class DimFactor(NamedTuple):
    """The factor of one model dimension."""

    dim: int
    factor_name: str
    kendall_tau: float | None


@dataclass(frozen=True, slots=True)
class Payload:
    """A model, its factors in dimension order and their normalization; the three belong together.

    ``fetched_at`` is when the server last sent these bytes or confirmed them with 304, in UTC.
    """

    model_name: str
    symbol: str
    model_json: str
    metadata: dict[str, Any]
    dim_factors: tuple[DimFactor, ...]
    factor_names: tuple[str, ...]
    mean_values: tuple[float, ...]
    variance_values: tuple[float, ...]
    etag: str
    fetched_at: datetime
    stale_copy: StaleCopy | None = None

    @property
    def stale(self) -> bool:
        """Whether this is the last good copy because the server is away."""
        return self.stale_copy is not None

    def normalize(self, row: Mapping[str, float]) -> list[float]:
        """Return ``(x - mean) / sqrt(variance)`` of each factor, in model dimension order, looked up by name.

        Factors that the model does not use are ignored. NaN stays NaN, which XGBoost treats as missing, and infinity
        stays infinity. Raises `BadRow` with all missing factors and all values that are not numbers at once.
        """
        problems: list[str] = []
        normalized: list[float] = []
        for name, mean, variance in zip(self.factor_names, self.mean_values, self.variance_values, strict=True):
            number = _number(row[name]) if name in row else None
            if number is not None:
                normalized.append((number - mean) / math.sqrt(variance))
            else:
                problems.append(f"{name!r} is {row[name]!r}" if name in row else f"{name!r} is missing")
        if problems:
            raise BadRow(
                f"The row does not fit model '{self.model_name}', symbol '{self.symbol}': {', '.join(problems)}. "
                "Give every factor of factor_names a number, NaN for a value that is not known."
            )
        return normalized


class PayloadClient:
    """Pulls payloads from one Model Manager server and keeps the last good copy of each in ``cache_dir``.

    It may be shared by threads, and ``cache_dir`` by processes. ``attempts`` bounds the requests of one `get`, and
    ``max_wait`` each wait in seconds: a server that asks for more patience counts as away. A copy that the server
    last confirmed longer than ``max_age`` ago does not stand in. A body above ``max_bytes`` is refused.
    """

    def __init__(
        self,
        base_url: str,
        cache_dir: str | os.PathLike[str],
        *,
        timeout: httpx.Timeout | None = None,
        attempts: int = 4,
        max_wait: float = 10.0,
        max_age: timedelta | None = None,
        max_bytes: int = 1 << 30,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        try:
            url = httpx.URL(base_url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise ValueError(f"base_url {base_url!r} is not a URL: {error}.") from error
        if url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment:
            raise ValueError(f"base_url {base_url!r} must look like http://host:6300, without a query or fragment.")
        self._base_url = str(url).rstrip("/")
        self._server = str(url.copy_with(userinfo=b"")).rstrip("/")  # for messages: no password
        self._cache_dir = Path(cache_dir)
        self._attempts, self._max_wait, self._sleep = attempts, max_wait, sleep
        self._max_age, self._max_bytes = max_age, max_bytes
        self._lock = threading.Lock()
        self._turns: dict[Path, threading.Lock] = {}
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        self._http = httpx.Client(timeout=timeout or httpx.Timeout(30.0, connect=2.0), headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the local copies stay."""
        self._http.close()

    def get(self, model: str, symbol: str, *, group_key: str | None = None) -> Payload:
        """Return the payload of ``symbol`` as the server has it now or, when the server is away, the last good copy.

        ``group_key`` chooses among the groups of a symbol that has several. Raises what the module's docstring draws.
        """
        if {model, symbol} & {"", ".", ".."}:
            raise ValueError(f"Model {model!r} or symbol {symbol!r} is no name.")
        wanted = self._wanted(model, symbol, group_key)
        with self._lock:
            turn = self._turns.setdefault(wanted.file, threading.Lock())
        with turn:  # an older answer must not overwrite the copy of a newer one
            copy = _read_copy(wanted)
            try:
                return self._ask_repeatedly(wanted, copy)
            except ServerAway as away:
                return self._stand_in(wanted, copy, away)
            except PayloadNotFound as error:
                if error.status == 404 and error.detail:  # withdrawn: an outage later must not bring it back
                    with contextlib.suppress(OSError):
                        wanted.file.unlink(missing_ok=True)
                raise

    def _wanted(self, model: str, symbol: str, group_key: str | None) -> _Wanted:
        query = "" if group_key is None else f"?group_key={quote(group_key, safe='')}"
        path = f"/api/models/{quote(model, safe='')}/model/{quote(symbol, safe='')}{query}"
        key = json.dumps([self._server, model, symbol.casefold(), group_key]).encode("ascii")
        readable = re.sub(r"[^a-z0-9_-]", "_", f"{model}-{symbol}".casefold())[:80]
        file = self._cache_dir / f"{readable}-{hashlib.sha256(key).hexdigest()[:32]}.payload"
        return _Wanted(model, symbol.casefold(), group_key, path, file)

    def _stand_in(self, wanted: _Wanted, copy: Payload | None, away: ServerAway) -> Payload:
        if copy is None:
            raise ServerAway(f"{away} No local copy stands in: there is none in '{self._cache_dir}'.") from away
        age = max(datetime.now(UTC) - copy.fetched_at, timedelta(0))
        if self._max_age is not None and age > self._max_age:
            raise ServerAway(f"{away} The local copy is {age} old, above max_age, which is {self._max_age}.") from away
        _LOG.warning("%s The local copy of %s, %s old, stands in.", away, wanted.path, age)
        return replace(copy, stale_copy=StaleCopy(str(away), age))

    def _ask_repeatedly(self, wanted: _Wanted, copy: Payload | None) -> Payload:
        for attempt in range(self._attempts - 1):
            try:
                return self._ask(wanted, copy)
            except PayloadError as error:
                if error.retry_in is None or error.retry_in > self._max_wait:
                    raise
                jitter = random.uniform(0.5, 1.0)  # noqa: S311 - keeps bots from asking in step; guards nothing
                self._sleep(max(error.retry_in, min(_FIRST_WAIT_SECONDS * 2.0**attempt, self._max_wait) * jitter))
        return self._ask(wanted, copy)

    def _ask(self, wanted: _Wanted, copy: Payload | None) -> Payload:
        condition = {"If-None-Match": copy.etag} if copy is not None else {}
        where = f"{self._server}{wanted.path}"
        try:
            with self._http.stream("GET", self._base_url + wanted.path, headers=condition) as response:
                if response.status_code == 304 and copy is not None:
                    now = datetime.now(UTC)
                    with contextlib.suppress(OSError):  # the copy then counts as older than it is
                        os.utime(wanted.file, (now.timestamp(), now.timestamp()))
                    return replace(copy, fetched_at=now)
                if response.status_code != 200:
                    _refuse(response, where)
                tag = _ETAG.fullmatch(response.headers.get("ETag", ""))
                if tag is None:
                    raise BadAnswer(f"{where} answers without a SHA-256 in its ETag. Check base_url.")
                body = _limited_body(response, self._max_bytes)
        except httpx.DecodingError as error:
            raise DigestMismatch(f"{where} sent a body that does not decompress: {error}.", retry_in=0) from error
        except httpx.TransportError as error:
            raise ServerAway(f"{where} does not answer: {type(error).__name__}: {error}.", retry_in=0) from error
        if hashlib.sha256(body).hexdigest() != tag[1]:
            raise DigestMismatch(f"{where} sent a body that is not the one its ETag names.", retry_in=0)
        payload = _parse(body, tag[0], datetime.now(UTC), wanted)
        try:
            _write_copy(wanted.file, payload, body)
        except OSError as error:  # a full disk is no reason to withhold a good payload
            _LOG.warning("%s was fetched, but no local copy could be kept: %s", where, error)
        return payload


class _Wanted(NamedTuple):
    model: str
    symbol: str  # casefolded, as symbols compare without case
    group_key: str | None
    path: str
    file: Path


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


def _read_copy(wanted: _Wanted) -> Payload | None:
    """Return the local copy if it is whole: a JSON header line, the body; the file's time is ``fetched_at``."""
    try:
        with wanted.file.open("rb") as file:
            header, body = json.loads(file.readline()), file.read()
            fetched_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        tag = _ETAG.fullmatch(header["etag"])
        if header["format"] != _COPY_FORMAT or tag is None or hashlib.sha256(body).hexdigest() != tag[1]:
            raise BadAnswer("it is of another format, or its bytes are not those that its ETag names.")
        return _parse(body, tag[0], fetched_at, wanted)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError, BadAnswer) as error:
        _LOG.warning("The local copy '%s' cannot be used and is fetched anew: %s", wanted.file, error)
        return None


def _write_copy(path: Path, payload: Payload, body: bytearray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for orphan in path.parent.glob(f"{path.stem}.*.tmp"):  # left by a process that was killed
        if time.time() - orphan.stat().st_mtime > 3600:
            orphan.unlink(missing_ok=True)
    handle, temporary = tempfile.mkstemp(".tmp", f"{path.stem}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            header = json.dumps({"format": _COPY_FORMAT, "etag": payload.etag}) + "\n"
            file.writelines([header.encode("ascii"), body])
            file.flush()
            os.fsync(file.fileno())
        os.utime(temporary, (payload.fetched_at.timestamp(), payload.fetched_at.timestamp()))
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _parse(body: bytes | bytearray, etag: str, fetched_at: datetime, wanted: _Wanted) -> Payload:
    """Return the payload that ``body`` holds; raise `BadAnswer` with all reasons why it must not be used."""
    try:
        document = json.loads(body)["payload"]
        model_json, metadata = document["model_json"], document["metadata"]
        model, symbol = metadata["model_name"], metadata["symbol"]
        rows, config = document["dim_factors"], document["factor_config"][symbol]
        factors = tuple(DimFactor(row["dim"], row["factor_name"], _number(row["kendall_tau"])) for row in rows)
        names, means = tuple(config["factor_names"]), _floats(config["mean_values"])
        variances = _floats(config["variance_values"])
        payload = Payload(model, symbol, model_json, metadata, factors, names, means, variances, etag, fetched_at)
        _check_pairing(payload, wanted)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadAnswer(f"{wanted.path} is not a payload: {type(error).__name__}: {error}.") from error
    return payload


def _check_pairing(payload: Payload, wanted: _Wanted) -> None:
    model, symbol, group_key = payload.model_name, payload.symbol, payload.metadata.get("group_key")
    names = [factor.factor_name for factor in payload.dim_factors]
    lengths = [len(payload.factor_names), len(payload.mean_values), len(payload.variance_values)]
    rules = {
        f"it is of model {model!r}, symbol {symbol!r}": (model, symbol.casefold()) == wanted[:2],
        f"it is of group {group_key!r}": wanted.group_key is None or group_key in {None, wanted.group_key},
        "model_json is not text": isinstance(payload.model_json, str) and payload.model_json != "",
        "dim_factors does not count from 0": [f.dim for f in payload.dim_factors] == list(range(len(names))),
        "dim_factors names a factor twice": len(set(names)) == len(names),
        "feature_dim is not the number of dim_factors": payload.metadata["feature_dim"] == len(names),
        "factor_config does not have the names of dim_factors in their order": list(payload.factor_names) == names,
        f"factor_config has names, means and variances of lengths {lengths}": len(set(lengths)) == 1,
        "a mean is not a finite number": all(map(math.isfinite, payload.mean_values)),
        "a variance is not a finite number above 0": all(0 < value < math.inf for value in payload.variance_values),
    }
    if problems := [problem for problem, kept in rules.items() if not kept]:
        raise BadAnswer(f"{wanted.path} must not be used: {'; '.join(problems)}. Check the model on the server.")


def _number(value: object) -> float | None:
    """Return any real number, NumPy's included, as a float; None for everything else, truth values too."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def _floats(values: Iterable[object]) -> tuple[float, ...]:
    return tuple(math.nan if (number := _number(value)) is None else number for value in values)


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
