"""What a bot holds: the server that it asks and the copies that stand in when that is away."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import httpx

from .asking import Server
from .copies import Copies
from .errors import PayloadNotFound, ServerAway
from .payloads import Payload, StaleCopy, Wanted, parse_payload

_LOG = logging.getLogger("mm_core.client")


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
        timeout = timeout or httpx.Timeout(30.0, connect=2.0)
        self._server = Server(base_url, timeout=timeout, attempts=attempts, max_wait=max_wait, sleep=sleep)
        self._copies = Copies(Path(cache_dir), self._server.name)
        self._max_age, self._max_bytes = max_age, max_bytes
        self._lock = threading.Lock()
        self._turns: dict[Path, threading.Lock] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the local copies stay."""
        self._server.close()

    def get(self, model: str, symbol: str, *, group_key: str | None = None) -> Payload:
        """Return the payload of ``symbol`` as the server has it now or, when the server is away, the last good copy.

        ``group_key`` chooses among the groups of a symbol that has several. Raises what the package's docstring draws.
        """
        if {model, symbol} & {"", ".", ".."}:
            raise ValueError(f"Model {model!r} or symbol {symbol!r} is no name.")
        wanted = Wanted(model, symbol, group_key)
        with self._turn(self._copies.file(wanted)):  # an older answer must not overwrite the copy of a newer one
            copy = self._copies.read(wanted)
            try:
                return self._pull(wanted, copy)
            except ServerAway as away:
                return self._stand_in(wanted, copy, away)

    def _turn(self, file: Path) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault(file, threading.Lock())

    def _pull(self, wanted: Wanted, copy: Payload | None) -> Payload:
        try:
            answer = self._server.ask(wanted.path, copy.etag if copy is not None else None, self._max_bytes)
        except PayloadNotFound as error:
            if error.status == 404 and error.detail:  # withdrawn: an outage later must not bring it back
                self._copies.withdraw(wanted)
            raise
        now = datetime.now(UTC)
        if answer is None:
            assert copy is not None
            self._copies.confirm(wanted, now)
            return replace(copy, fetched_at=now)
        payload = parse_payload(answer.body, answer.etag, now, wanted)
        self._copies.keep(wanted, payload, answer.body)
        return payload

    def _stand_in(self, wanted: Wanted, copy: Payload | None, away: ServerAway) -> Payload:
        if copy is None:
            raise ServerAway(f"{away} No local copy stands in: there is none in '{self._copies.directory}'.") from away
        age = max(datetime.now(UTC) - copy.fetched_at, timedelta(0))
        if self._max_age is not None and age > self._max_age:
            raise ServerAway(f"{away} The local copy is {age} old, above max_age, which is {self._max_age}.") from away
        _LOG.warning("%s The local copy of %s, %s old, stands in.", away, wanted.path, age)
        return replace(copy, stale_copy=StaleCopy(str(away), age))
