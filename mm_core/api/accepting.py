"""How connections are taken in, and how that ends."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from waitress import wasyncore
from waitress.server import BaseWSGIServer

from mm_core.logs import get_logger

REST_SECONDS = 1.0
"""Without a look at who waits, when there is no file left for one more: the next look would find the same."""

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_NO_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # the flags of a TCP header
        (0x54, 0, 0, 0x12),  # of these SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone
        (0x06, 0, 0, 0),  # is dropped
        (0x06, 0, 0, 0xFFFFFFFF),  # and all else is taken
    )
)

log = get_logger("mm_core.server")


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

    def take_all(self) -> None:
        """Take in everybody who waits; for the loop's thread."""
        before = -1
        while before != len(self._listener.active_channels):
            before = len(self._listener.active_channels)
            self._listener.handle_accept()

    def end(self) -> None:
        """Take in who waits and listen no longer; for the loop's thread."""
        self.take_all()
        self._listener.loop.forget(self._listener._fileno)
        wasyncore.dispatcher.close(self._listener)


def turn_newcomers_away(sockets: Iterable[socket.socket]) -> None:
    """Let nobody new begin to connect; who has begun is not disturbed.

    A socket that is closed resets those who wait at it, and between a look for them and the close one more may come.
    Where the system takes no filter, those few are lost.
    """
    program = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    given = struct.pack("HL", len(_NO_SYN) // struct.calcsize("HBBI"), ctypes.addressof(program))
    for each in sockets:
        if each.family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, given)
