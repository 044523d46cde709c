"""What became of the symbols of a model: a value for bots to act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import PayloadError, ServerAway


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of each symbol in one `PayloadClient.sync`; the payloads are in the local copies.

    Every symbol that was asked for is in one of three: ``changed``, whose copy is another one than this client's last
    sync left, or is one at last; ``unchanged``; and ``failed``, with what kept it from being pulled. A failed symbol
    keeps the copy it had unless the error is `PayloadNotFound`. ``withdrawn`` are those whose copy was removed, since
    the model has them no more. ``revision`` is the store's that this is true for, 0 where the server never told one.
    ``away`` says why the server could not be asked: then ``unchanged`` are the last good copies.
    """

    model: str
    revision: int
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    withdrawn: tuple[str, ...]
    failed: Mapping[str, PayloadError]
    away: ServerAway | None = None

    @property
    def stale(self) -> bool:
        """Whether the last good copies stand in because the server is away."""
        return self.away is not None

    def is_news(self, was_stale: bool, failed_before: Mapping[str, bool]) -> bool:
        """Return whether this is anything but what was known; ``failed_before`` is by casefolded symbol."""
        failed = {symbol.casefold() for symbol in self.failed}
        asked = failed | {symbol.casefold() for symbol in self.unchanged}
        if self.changed or self.withdrawn or self.stale != was_stale:
            return True
        return failed != {symbol for symbol in asked if failed_before.get(symbol)}
