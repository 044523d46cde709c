"""Connections: what waitress does for each of them, and how it ends for those who misuse theirs."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import suppress
from mmap import mmap
from typing import Any, NamedTuple

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from mm_core.api.access_log import request_id_of
from mm_core.api.parsing import Request
from mm_core.api.problems import problem_parts
from mm_core.api.refusals import Refusal
from mm_core.registry import OpenBlob

RESET = struct.pack("ii", 1, 0)
RETURN = 0x0D
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER_SECONDS = 2.0
"""After a refusal, for the client to read it: a close with bytes unread resets the connection, and ends the answer."""


class _Task(WSGITask):  # type: ignore[misc]
    """Keeps a connection open after 304: waitress closes it for want of a Content-Length that 304 must not have."""

    def set_close_on_finish(self) -> None:
        asked = self.request.headers.get("CONNECTION", "").lower()
        if self.status.startswith("304") and self.version == "1.1" and asked != "close":
            return
        super().set_close_on_finish()


class _RefusalTask(ErrorTask):  # type: ignore[misc]
    """Answers what never became a request: a problem document, a line in the log, and the end of the connection."""

    def execute(self) -> None:
        error = self.request.error
        refusal = error if isinstance(error, Refusal) else Refusal(error.code)
        request_id = request_id_of(self.request.headers.get("X_REQUEST_ID", ""))
        path = getattr(self.request, "path", "")
        body, headers = problem_parts(refusal.code, refusal.reason, refusal.body, path, request_id)
        if refusal.code == 503:
            headers["Retry-After"] = "1"
        self.status = f"{refusal.code} {refusal.reason}"
        self.response_headers.extend([*headers.items(), ("X-Request-Id", request_id)])
        self.set_close_on_finish()
        self.channel.lingers_at_end = True
        self.content_length = len(body)
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)
        self.channel.server.refused(self.channel, self.request, refusal.code, len(body), request_id)


class _Held:
    """What is left to send of bytes that are kept anyway, as waitress's buffers are: nothing is copied."""

    def __init__(self, rest: memoryview) -> None:
        self._rest = rest

    def __len__(self) -> int:
        return len(self._rest)

    def get(self, size: int) -> memoryview:
        return self._rest[:size]

    def skip(self, size: int, allow_prune: bool = False) -> None:
        self._rest = self._rest[size:]

    def close(self) -> None:
        self._rest = memoryview(b"")


class _PartOfFile(NamedTuple):
    file: OpenBlob
    offset: int
    size_bytes: int


class _HeldFile:
    """What is left to send of a file, as waitress's buffers are: the kernel copies it."""

    def __init__(self, file: OpenBlob, offset: int) -> None:
        self._file: OpenBlob | None = file
        self._offset = offset

    def __len__(self) -> int:
        return len(self._file) - self._offset if self._file is not None else 0

    def get(self, size: int) -> _PartOfFile:
        assert self._file is not None, "nothing is asked of a buffer without length"
        return _PartOfFile(self._file, self._offset, len(self))

    def skip(self, size: int, allow_prune: bool = False) -> None:
        self._offset += size

    def close(self) -> None:
        self._file = None


class Channel(HTTPChannel):  # type: ignore[misc]
    """Tells the loop what happens to a connection elsewhere, and holds no thread for a client that does not read."""

    request: Any
    task_class = _Task
    error_task_class = _RefusalTask
    sent_bytes = 0
    behind: tuple[float, int] | None = None
    """Since when something has been waiting for its reader, and what had been sent by then."""

    opened_at: float
    active_at: float
    """When something was asked or sent last; waitress notes the time of day, which may be set back."""

    lingers_at_end = False
    lingers_until: float | None = None
    _is_put_off = False
    _discarded_bytes = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.opened_at = self.active_at = time.monotonic()
        super().__init__(*arguments, **named)

    def parser_class(self, adj: Any) -> Request:
        """Return what takes the next request."""
        return Request(self.server.heads)

    def add_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress's name
        super().add_channel(map)
        self.server.loop.opened(self._fileno)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress's name
        self.server.loop.forget(self._fileno)
        super().del_channel(map)

    def service(self) -> None:
        with self.server.loop.working_for(self._fileno):
            if self.connected and self.total_outbufs_len > self.adj.outbuf_high_watermark:
                self._is_put_off = True
                self.server.pull_trigger()
            else:
                if self.server.is_ending:
                    self._announce_end()
                super().service()
                self.active_at = time.monotonic()

    def _announce_end(self) -> None:
        """Let the answer to the last request that has come tell that no other will be answered here."""
        with self.requests_lock:
            if len(self.requests) == 1 and self.request is None:
                self.requests[0].headers["CONNECTION"] = "close"
                self.lingers_at_end = True  # what comes all the same is read, or it would reset the answer

    def writable(self) -> bool:
        return bool(self._is_put_off or super().writable())

    def handle_write(self) -> None:
        if self.requests and self.total_outbufs_len:  # an answer does not wait for the one behind it
            self._flush_exception(self._flush_some_if_lockable)
        super().handle_write()
        if self._is_put_off and self.total_outbufs_len <= self.adj.outbuf_high_watermark:
            self._is_put_off = False
            with self.requests_lock:
                if self.connected and self.requests:
                    self.server.add_task(self)

    def send_continue(self) -> None:
        """Ask for the body; the loop sends that, as waitress would end a lost connection in the thread that asks."""
        self.request.expect_continue = False
        self.sent_continue = True
        with self.outbuf_lock:
            if self.connected:
                self.outbufs[-1].append(GO_ON)
                self.current_outbuf_count += len(GO_ON)
                self.total_outbufs_len += len(GO_ON)

    def send(self, data: bytes | _PartOfFile, do_close: bool = True) -> int:
        sent: int
        if isinstance(data, _PartOfFile):
            try:
                sent = os.sendfile(self.socket.fileno(), data.file.fileno(), data.offset, data.size_bytes)
            except BlockingIOError:
                return 0
            except ConnectionError:
                sent = 0
            if sent == 0:  # the client is gone, or the file was cut
                self.will_close = True
        else:
            sent = super().send(data, do_close)
        self.sent_bytes += sent
        return sent

    def send_now(self, head: bytes, body: bytes | mmap | OpenBlob) -> None:
        """Give the kernel what it takes at once, and the rest when the client has read; for the loop's thread."""
        self.active_at = time.monotonic()
        try:
            sent = self._sent_from_file(head, body) if isinstance(body, OpenBlob) else self.socket.sendmsg((head, body))
        except BlockingIOError:
            sent = 0
        except OSError:  # the client is gone, or a file was cut
            self.will_close = True
            return
        self.sent_bytes += sent
        if sent == len(head) + len(body):
            return
        offset = max(sent - len(head), 0)
        rest = _HeldFile(body, offset) if isinstance(body, OpenBlob) else _Held(memoryview(body)[offset:])
        with self.outbuf_lock:
            self.outbufs[-1].append(head[sent:])
            self.outbufs.append(rest)
            self.outbufs.append(OverflowableBuffer(self.adj.outbuf_overflow))
            self.current_outbuf_count = 0
            self.total_outbufs_len += len(head) + len(body) - sent

    def _sent_from_file(self, head: bytes, body: OpenBlob) -> int:
        """Give the kernel a head and as much of a file as it takes at once; return how much that was."""
        sent = self.socket.send(head, socket.MSG_MORE)
        if sent < len(head):
            return int(sent)
        try:
            return int(sent) + os.sendfile(self.socket.fileno(), body.fileno(), 0, len(body))
        except BlockingIOError:
            return int(sent)

    def received(self, data: bytes) -> bool:
        if self.lingers_until is None:
            if data[0] != RETURN or data.strip(b"\r\n"):  # empty lines ask nothing
                self.active_at = time.monotonic()
            return bool(super().received(data))
        self._discarded_bytes += len(data)
        if self._discarded_bytes > self.adj.max_request_body_size:
            self.handle_close()
        return False

    def handle_close(self) -> None:
        if self.lingers_at_end and self.lingers_until is None:
            self.lingers_until = time.monotonic() + LINGER_SECONDS
            self.will_close = False
            with suppress(OSError):  # the client may be gone, which reading tells then
                self.socket.shutdown(socket.SHUT_WR)
        else:
            super().handle_close()

    def is_idle(self) -> bool:
        """Return whether nothing was asked that is not answered, as far as this machine knows."""
        with self.requests_lock:
            if self.requests or self.request is not None or self.total_outbufs_len or self.lingers_until is not None:
                return False
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except OSError:  # nothing is there, or nobody
            return True

    def give_up(self, refusal: Refusal) -> None:
        """Refuse the request that is still arriving; for the loop's thread."""
        with self.requests_lock:
            if self.request is not None and not self.requests and self.lingers_until is None:
                self.request.end(refusal)
                self.requests.append(self.request)
                self.request = None
                self.server.add_task(self)

    def drop(self) -> None:
        """End the connection at once, whatever waits to be sent; for the loop's thread."""
        self.lingers_at_end = False
        with suppress(OSError):  # it is gone already
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.handle_close()

    def _flush_some(self, do_close: bool = True) -> bool:
        """Send what waits, one thread at a time: waitress takes no lock where no request runs, and the thread that has
        just ended one may be asking for the next one's body; both would send the same bytes. What is left for a
        connection that has ended goes nowhere.
        """
        with self.outbuf_lock:
            has_sent = self.socket is not None and bool(super()._flush_some(do_close))
            if not self.total_outbufs_len:
                self.behind = None
        if has_sent:
            self.active_at = time.monotonic()
        return has_sent

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Let no thread wait for a reader: what one task makes is kept, in files where it is large; see `service`."""
