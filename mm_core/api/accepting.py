"""How connections are taken in."""

from __future__ import annotations

import errno
import time
from typing import Any

import structlog
from waitress.server import BaseWSGIServer

REST_SECONDS = 1.0
"""Without a look at who waits, when there is no file left for one more: the next look would find the same."""

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger("mm_core.server")


class Accepting:
    """Takes connections in for a listener; where there is no room for one, the others wait in the system's queue."""

    def __init__(self, listener: Any) -> None:
        self._listener = listener
        self._rests_until = 0.0
        listener.accept = self.accept
        listener.readable = self.readable

    def readable(self) -> bool:
        """Return whether to look for connections that wait."""
        return time.monotonic() >= self._rests_until and bool(BaseWSGIServer.readable(self._listener))

    def accept(self) -> tuple[Any, Any] | None:
        """Return the next connection and where it comes from, None where none can be had."""
        try:
            accepted: tuple[Any, Any] = self._listener.socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._rests_until = time.monotonic() + REST_SECONDS
            log.warning("no_room_for_connections", reason=error.strerror, connections=len(self._listener._map))
            return None
        return accepted
