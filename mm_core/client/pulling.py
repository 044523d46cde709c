"""One payload at a time: asked for on condition, checked, kept, and replaced by its copy when the server is away."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .asking import Server, digest_of
from .copies import Copies, Mark
from .errors import NoLocalCopy, PayloadError, PayloadNotFound, ServerAway
from .payloads import Asked, CopiedT, Place, StaleCopy

_LOG = logging.getLogger("mm_core.client")


LOSSES_IN_A_ROW = 8
"""Pulls in a row that find no server, after which it counts as lost."""

MOST_ROUNDS = 3
"""Of questions for one payload whose copy other processes replace while the answer is on its way."""


class Pulls:
    """Pulls payloads from one server into their copies, and knows which copies the server did not confirm."""

    def __init__(self, server: Server, copies: Copies, max_age: timedelta | None, max_bytes: int) -> None:
        self._server, self.copies = server, copies
        self._max_age, self._max_bytes = max_age, max_bytes
        self._lock = threading.Lock()
        self._turns: dict[Path, threading.Lock] = {}
        self._unconfirmed: dict[Path, str] = {}

    def turn(self, wanted: Place) -> threading.Lock:
        """Return the lock to hold while a payload is asked for and its copy replaced: threads do so in turn."""
        with self._lock:
            return self._turns.setdefault(self.copies.file(wanted), threading.Lock())

    def get(self, wanted: Asked[CopiedT]) -> CopiedT:
        """Return the payload as the server has it now or, when the server is away, the last good copy."""
        with self.turn(wanted):
            try:
                return self.pull(wanted)
            except ServerAway as away:
                return self._stand_in(wanted, away)

    def pull(self, wanted: Asked[CopiedT]) -> CopiedT:
        """Return the payload as the server has it now, and keep it; the caller holds its `turn`.

        What another process put in place of the copy while the answer was on its way may be newer or older than that:
        then the server is asked again.
        """
        try:
            for _ in range(MOST_ROUNDS):
                seen = self.copies.seen(wanted)
                payload, is_kept = self._ask(wanted, seen)
                if is_kept or self.copies.seen(wanted) == seen:  # the latter where the disk took none
                    break
        except PayloadError as error:
            self.doubt(wanted, str(error))
            raise
        if is_kept:
            self._unconfirmed.pop(self.copies.file(wanted), None)
        else:
            self.doubt(wanted, f"{wanted.path} was fetched, and is not in the local copy.")
        return payload

    def confirm(self, wanted: Place, digest: str) -> bool:
        """Note that the server just named the bytes of this digest; return whether they are those of the copy."""
        if not self.copies.confirm(wanted, digest, datetime.now(UTC)):
            return False
        self._unconfirmed.pop(self.copies.file(wanted), None)
        return True

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

    def _ask(self, wanted: Asked[CopiedT], seen: Mark | None) -> tuple[CopiedT, bool]:
        """Return the payload as the server has it now, and whether that is in the copy, which was ``seen`` before."""
        copy = self.copies.read(wanted)
        try:
            answer = self._server.ask(wanted.path, copy.etag if copy is not None else None, self._max_bytes)
        except PayloadNotFound as error:
            if error.is_withdrawal:
                self.copies.withdraw(wanted, seen)
            raise
        now = datetime.now(UTC)
        if answer.body is None:
            assert copy is not None
            return replace(copy, fetched_at=now), self.copies.confirm(wanted, digest_of(copy.etag), now)
        payload = wanted.parse(answer.body, answer.etag, now)
        return payload, self.copies.keep(wanted, payload, answer.body, seen)

    def _stand_in(self, wanted: Asked[CopiedT], away: ServerAway) -> CopiedT:
        copy = self.copies.read(wanted)
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
