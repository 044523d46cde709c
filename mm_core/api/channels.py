"""Connections: what waitress does for each of them, and how it ends for those who misuse theirs."""

from __future__ import annotations

import socket
import struct
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from mm_core.api.access_log import request_id_of
from mm_core.api.parsing import Refusal, Request
from mm_core.api.problems import problem_parts

RESET = struct.pack("ii", 1, 0)


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
        self.status = f"{refusal.code} {refusal.reason}"
        self.response_headers.extend([*headers.items(), ("X-Request-Id", request_id)])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)
        self.channel.server.refused(self.channel, self.request, refusal.code, len(body), request_id)


class Channel(HTTPChannel):  # type: ignore[misc]
    """Tells the loop what happens to a connection elsewhere, and holds no thread for a client that does not read."""

    request: Any
    task_class = _Task
    error_task_class = _RefusalTask
    sent_bytes = 0
    behind: tuple[float, int] | None = None
    """Since when an answer waits for its reader, and what had been sent by then."""

    _is_put_off = False

    def parser_class(self, adj: Any) -> Request:
        """Return what takes the next request."""
        return Request(adj, self.server.hosts)

    def add_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress's name
        super().add_channel(map)
        self.server.loop.opened(self._fileno)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress's name
        self.server.loop.closed(self._fileno)
        super().del_channel(map)

    def service(self) -> None:
        with self.server.loop.working_for(self._fileno):
            if self.connected and self.total_outbufs_len > self.adj.outbuf_high_watermark:
                self._is_put_off = True
                self.server.pull_trigger()
            else:
                super().service()

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

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close)
        self.sent_bytes += sent
        return sent

    def give_up(self, refusal: Refusal) -> None:
        """Refuse the request that is still arriving; for the loop's thread."""
        with self.requests_lock:
            if self.request is not None and not self.requests:
                self.request.end(refusal)
                self.requests.append(self.request)
                self.request = None
                self.server.add_task(self)

    def drop(self) -> None:
        """End the connection at once, whatever waits to be sent; for the loop's thread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.handle_close()

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Let no thread wait for a reader: what one task makes is kept, in files where it is large; see `service`."""
