"""One payload at a time: asked for on condition, checked, kept, and replaced by its copy when the server is away."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .asking import Server
from .copies import Copies
from .errors import NoLocalCopy, PayloadError, PayloadNotFound, ServerAway
from .payloads import Asked, CopiedT, Place, StaleCopy

_LOG = logging.getLogger("mm_core.client")


LOSSES_IN_A_ROW = 8
"""Pulls in a row that find no server, after which it counts as lost."""


class Pulls:
    """Pulls payloads from one server into their copies, and knows which copies the server did not confirm."""

    def __init__(self, server: Server, copies: Copies, max_age: timedelta | None, max_bytes: int) -> None:
        self._server, self.copies = server, copies
        self._max_age, self._max_bytes = max_age, max_bytes
        self._lock = threading.Lock()
        self._turns: dict[Path, threading.Lock] = {}
        self._unconfirmed: dict[Path, str] = {}

    def turn(self, wanted: Place) -> threading.Lock:
        """Return the lock to hold while the copy of a payload is replaced: an older answer must not follow a newer."""
        with self._lock:
            return self._turns.setdefault(self.copies.file(wanted), threading.Lock())

    def get(self, wanted: Asked[CopiedT]) -> CopiedT:
        """Return the payload as the server has it now or, when the server is away, the last good copy."""
        with self.turn(wanted):
            copy = self.copies.read(wanted)
            try:
                return self.pull(wanted, copy)
            except ServerAway as away:
                return self._stand_in(wanted, copy, away)

    def pull(self, wanted: Asked[CopiedT], copy: CopiedT | None) -> CopiedT:
        """Return the payload as the server has it now, and keep it; the caller holds its `turn`."""
        try:
            payload = self._pull(wanted, copy)
        except PayloadError as error:
            self.doubt(wanted, str(error))
            raise
        self._unconfirmed.pop(self.copies.file(wanted), None)
        return payload

    def confirm(self, wanted: Place) -> None:
        """Note that the server just named the bytes of this copy."""
        self.copies.confirm(wanted, datetime.now(UTC))
        self._unconfirmed.pop(self.copies.file(wanted), None)

    def doubt(self, wanted: Place, reason: str) -> None:
        """Note that the server did not confirm this copy when it was asked last, and why."""
        self._unconfirmed[self.copies.file(wanted)] = reason

    def local(self, wanted: Asked[CopiedT]) -> CopiedT:
        """Return the copy without asking the server; raise `NoLocalCopy` where none may be used."""
        copy = self.copies.read(wanted)
        if copy is None:
            raise NoLocalCopy(f"{wanted.path} has no whole copy in '{self.copies.directory}'. Call get or sync first.")
        if problem := self.too_old(copy.fetched_at):
            raise NoLocalCopy(f"{wanted.path}: {problem}")
        reason = self._unconfirmed.get(self.copies.file(wanted))
        return copy if reason is None else replace(copy, stale_copy=StaleCopy(reason, _age(copy.fetched_at)))

    def too_old(self, fetched_at: datetime) -> str:
        """Return why a copy of that time must not be used, or nothing."""
        if self._max_age is None or (age := _age(fetched_at)) <= self._max_age:
            return ""
        return f"The local copy is {age} old, above max_age, which is {self._max_age}."

    def _pull(self, wanted: Asked[CopiedT], copy: CopiedT | None) -> CopiedT:
        try:
            answer = self._server.ask(wanted.path, copy.etag if copy is not None else None, self._max_bytes)
        except PayloadNotFound as error:
            if error.is_withdrawal:
                self.copies.withdraw(wanted)
            raise
        now = datetime.now(UTC)
        if answer.body is None:
            assert copy is not None
            self.copies.confirm(wanted, now)
            return replace(copy, fetched_at=now)
        payload = wanted.parse(answer.body, answer.etag, now)
        self.copies.keep(wanted, payload, answer.body)
        return payload

    def _stand_in(self, wanted: Asked[CopiedT], copy: CopiedT | None, away: ServerAway) -> CopiedT:
        if copy is None:
            raise ServerAway(f"{away} No local copy stands in: there is none in '{self.copies.directory}'.") from away
        if problem := self.too_old(copy.fetched_at):
            raise ServerAway(f"{away} {problem}") from away
        age = _age(copy.fetched_at)
        _LOG.warning("%s The local copy of %s, %s old, stands in.", away, wanted.path, age)
        return replace(copy, stale_copy=StaleCopy(str(away), age))


class Losses:
    """Counts pulls in a row that found no server, so that hundreds of symbols do not wait for it one after another."""

    def __init__(self, most: int) -> None:
        self._most, self._in_a_row = most, 0
        self._last = ""
        self._lock = threading.Lock()

    def require_server(self) -> None:
        """Raise `ServerAway` once the server counts as lost."""
        with self._lock:
            if self._in_a_row >= self._most:
                raise ServerAway(f"{self._last} After {self._most} such pulls in a row, no more are tried now.")

    def note(self, error: PayloadError | None) -> None:
        """Note how a pull ended; what one symbol alone may cause does not count."""
        with self._lock:
            if isinstance(error, ServerAway) and error.retry_in is not None:
                self._in_a_row, self._last = self._in_a_row + 1, str(error)
            else:
                self._in_a_row = 0


def _age(fetched_at: datetime) -> timedelta:
    return max(datetime.now(UTC) - fetched_at, timedelta(0))
