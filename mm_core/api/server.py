"""The payload server: the application under waitress, from start to drained stop."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
import waitress
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import WSGITask

from mm_core.api.app import create_app
from mm_core.api.incoming import LARGEST_BODY
from mm_core.api.pulls import ReadyPulls
from mm_core.errors import SettingsError
from mm_core.logs import configure_logs
from mm_core.settings import Settings
from mm_core.wiring import open_registry

DRAIN_SECONDS = 8.0
"""Longest wait for answers in flight: a supervisor that kills after ten seconds never cuts one that could be sent."""

BACKLOG = 1024
CONNECTIONS = 1000
M_MMAP_THRESHOLD = -3  # malloc.h

GIVEN_BACK_BYTES = 1 << 20
"""Buffers from here on are given back when they are freed: models that are built into payloads have more, the
compressed bodies of most payloads less, and at 256 KiB each of those cost its request twice the processor time."""

log = structlog.get_logger("mm_core.server")


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; return the process's exit code.

    Raises `SettingsError` when the address cannot be bound.
    """
    configure_logs(settings.log_style)
    _give_freed_memory_back()
    if settings.workers != 1:
        raise SettingsError("MODEL_MANAGER_WORKERS: this version runs one payload server process. Set it to 1.")
    registry = open_registry(settings)
    draining = threading.Event()
    application = create_app(registry, settings, draining.is_set)
    server = _bound_server(application, settings)
    for listener in _listeners(server):
        listener.add_task = _ReadyFirst(ReadyPulls(registry, application), listener.add_task)
    stop = _StopSignals(server, draining)
    restoring = threading.Thread(target=_restore, args=(registry.registrations.restore_missing_scans,), daemon=True)
    restoring.start()
    if settings.watch_enabled:
        registry.watcher.start()
    registry.publisher.start()
    log.info("serving", host=settings.http_host, port=settings.http_port, data_dir=str(settings.data_dir))
    with stop:
        server.run()
    registry.watcher.stop()
    registry.publisher.stop()
    log.info("stopped", drained=stop.drained)
    return 0


def _give_freed_memory_back() -> None:
    """Let glibc return large freed buffers to the system; other C libraries do so by themselves.

    Left alone, its threshold grows with each such buffer, up to 32 MiB, and every thread keeps an arena of its own:
    after 200 first pulls the process held 358 MB instead of about 100.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, GIVEN_BACK_BYTES)


def _restore(restore_missing_scans: Callable[[], tuple[str, ...]]) -> None:
    for sentence in restore_missing_scans():
        log.error("model_out_of_service", reason=sentence)


def _bound_server(application: Any, settings: Settings) -> Any:
    try:
        server = waitress.create_server(
            application,
            host=settings.http_host,
            port=settings.http_port,
            threads=settings.threads,
            ident=None,
            backlog=BACKLOG,
            connection_limit=CONNECTIONS,
            max_request_body_size=LARGEST_BODY * 2,
            clear_untrusted_proxy_headers=True,
        )
    except OSError as error:
        reason = "it is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise SettingsError(
            f"Address {settings.http_host}:{settings.http_port} cannot be bound ({reason}). "
            "Stop the other process, or set MODEL_MANAGER_HTTP_PORT."
        ) from error
    for listener in _listeners(server):
        listener.channel_class = _Channel
    return server


class _Task(WSGITask):  # type: ignore[misc]
    """Keeps a connection open after 304: waitress closes it for want of a Content-Length that 304 must not have."""

    def set_close_on_finish(self) -> None:
        asked = self.request.headers.get("CONNECTION", "").lower()
        if self.status.startswith("304") and self.version == "1.1" and asked != "close":
            return
        super().set_close_on_finish()


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task


class _ReadyFirst:
    """Answers pulls of ready payloads on the thread that received them; all else is for the task threads."""

    def __init__(self, ready: ReadyPulls, add_task: Callable[[HTTPChannel], None]) -> None:
        self._ready = ready
        self._add_task = add_task

    def __call__(self, channel: HTTPChannel) -> None:
        """Take the first of the channel's requests; its ``requests_lock`` is held."""
        while channel.requests:
            request = channel.requests[0]
            started = time.perf_counter()
            answer = self._ready.answer(request) if not channel.total_outbufs_len else None
            if answer is None:
                self._add_task(channel)
                return
            _send(channel, answer.head, answer.body)
            self._ready.note(request, answer, started, channel.addr[0])
            request.close()
            channel.requests.pop(0)


def _send(channel: HTTPChannel, head: bytes, body: bytes) -> None:
    """Give the kernel what it takes at once; the channel sends the rest when the client has read."""
    channel.last_activity = time.time()
    try:
        sent = channel.socket.sendmsg((head, body))
    except BlockingIOError:
        sent = 0
    except OSError:
        channel.will_close = True
        return
    rest = len(head) + len(body) - sent
    if rest:
        with channel.outbuf_lock:
            if sent < len(head):
                channel.outbufs[-1].append(head[sent:])
                sent = len(head)
            channel.outbufs[-1].append(body[sent - len(head) :])
            channel.total_outbufs_len += rest
            channel.current_outbuf_count += rest


class _StopSignals:
    """Turns SIGTERM and SIGINT into a drain: no new connections, answers in flight are finished, then the loop ends."""

    def __init__(self, server: Any, draining: threading.Event) -> None:
        self._server = server
        self._draining = draining
        self._ended = threading.Event()
        self.drained = False

    def __enter__(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self._ended.is_set():
            raise KeyboardInterrupt  # what ends waitress's loop
        if self._draining.is_set():
            return
        self._draining.set()
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        for listener in _listeners(self._server):
            listener.accepting = False
        while time.monotonic() < deadline:
            busy = False
            for channel in _channels(self._server):
                with channel.requests_lock:  # nothing is being received and answered meanwhile
                    if channel.requests:
                        busy = True  # its answer may not have begun: closing when flushed would cut it
                    elif channel.total_outbufs_len:
                        busy = True
                        channel.close_when_flushed = True
                    else:
                        channel.will_close = True
            for listener in _listeners(self._server):
                listener.pull_trigger()
            if not busy:
                self.drained = True
                break
            time.sleep(0.02)
        self._ended.set()
        os.kill(os.getpid(), signal.SIGINT)


def _listeners(server: Any) -> list[Any]:
    if isinstance(server, BaseWSGIServer):
        return [server]
    return [entry for entry in list(server.map.values()) if isinstance(entry, BaseWSGIServer)]


def _channels(server: Any) -> list[Any]:
    return [channel for listener in _listeners(server) for channel in list(listener.active_channels.values())]
