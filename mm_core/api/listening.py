"""Sockets, and waitress on them."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import waitress
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import BaseWSGIServer

from mm_core.api.accepting import Accepting
from mm_core.api.access_log import AccessLog, Application
from mm_core.api.channels import Channel
from mm_core.api.event_loop import EventLoop
from mm_core.api.hosts import AllowedHosts
from mm_core.api.incoming import LARGEST_BODY
from mm_core.api.parsing import Heads, Request
from mm_core.api.patience import Patience
from mm_core.api.process import connections_that_fit
from mm_core.api.pulls import ReadyPulls
from mm_core.api.refusals import LARGEST_HEAD
from mm_core.errors import SettingsError
from mm_core.settings import Settings

BACKLOG = 1024
CONNECTIONS = 3000
ENDING_SECONDS = 0.2
SEND_BYTES = 256 << 10
"""Of an answer, gathered before they are sent; why, and why the other values: docs/operations.md, "Tuning"."""


def bound_sockets(settings: Settings, processes: int = 1) -> list[list[socket.socket]]:
    """Return for each process a socket on every address of the settings; the system shares new connections out.

    What waits on a process's socket waits for that process, or for the one that takes its place. Raises `SettingsError`
    when an address cannot be bound.
    """
    alone = _bound(settings, shared=False)
    if processes == 1:
        return [alone]
    for probe in alone:  # it told that nobody else listens there: shared sockets would be bound beside those of others
        probe.close()
    return [_bound(settings, shared=True) for _ in range(processes)]


def _bound(settings: Settings, *, shared: bool) -> list[socket.socket]:
    sockets = []
    for family, kind, protocol, address in Adjustments(host=settings.http_host, port=settings.http_port).listen:
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
            if shared:
                bound.listen(BACKLOG)
        except OSError as error:
            reason = "it is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
            raise SettingsError(
                f"Address {settings.http_host}:{settings.http_port} cannot be bound ({reason}). "
                "Stop the other process, or set MODEL_MANAGER_HTTP_PORT."
            ) from error
        sockets.append(bound)
    return sockets


class FrontDoor(NamedTuple):
    """What stands between clients and the application where anybody may connect."""

    hosts: AllowedHosts
    access: AccessLog
    ready: ReadyPulls


def server_on(
    sockets: Sequence[socket.socket], application: Application, settings: Settings, door: FrontDoor | None = None
) -> Any:
    """Return a waitress server on bound sockets; the thread that calls this must be the one that runs it."""
    server = waitress.create_server(
        application,
        sockets=list(sockets),
        threads=settings.threads,
        ident=None,
        backlog=BACKLOG,
        connection_limit=connections_that_fit(CONNECTIONS),
        send_bytes=SEND_BYTES,
        max_request_header_size=LARGEST_HEAD,
        max_request_body_size=LARGEST_BODY + 1,
        clear_untrusted_proxy_headers=True,
    )
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it says each time that a request waits for a thread
    loop = EventLoop(connections_of(server))
    for listener in listeners(server):
        listener.intake = Accepting(listener)
        listener.is_ending = False
        listener.begin_to_end = partial(_begin_to_end, listener)
        listener.channel_class = Channel
        listener.loop = loop
        listener.pull_trigger = partial(_touch_and_pull, loop, listener.trigger)
        listener.heads = Heads(listener.adj, None)
        listener.refused = _note_nothing
        listener.maintenance = _note_nothing  # waitress asks for it by the time of day, which may be set back
        loop.each_second.append(Patience(listener, settings.request_seconds, settings.idle_seconds))
        if door is not None:
            listener.heads = Heads(listener.adj, door.hosts)
            listener.refused = partial(_note_refusal, door.access)
            listener.add_task = _ReadyFirst(door.ready, listener.add_task)
    return server


def _note_nothing(*_: object) -> None:
    """Leave it to whoever passed the request on, or looks after connections."""


def _note_refusal(
    access: AccessLog, channel: Channel, request: Request, status: int, size_bytes: int, request_id: str
) -> None:
    method, path = getattr(request, "command", ""), getattr(request, "path", "")
    seconds = time.monotonic() - request.began
    access.note(request_id, method, path, "refused", status, size_bytes, seconds, channel.addr[0])


def _begin_to_end(listener: Any) -> None:
    """Take in who waits to be, and let answers tell that their connection ends: ready ones do not, threads' do."""
    listener.is_ending = True
    listener.add_task = listener.task_dispatcher.add_task
    listener.intake.take_all()


def run(server: Any) -> None:
    """Serve until SIGINT, or whatever else raises ``KeyboardInterrupt`` or ``SystemExit``, ends it."""
    try:
        listeners(server)[0].loop.run()
    except (KeyboardInterrupt, SystemExit):
        _end_threads(server.task_dispatcher)
        wasyncore.close_all(connections_of(server))


def _end_threads(dispatcher: Any) -> None:
    """End the threads that are idle; those that are not had their time, and end with the process."""
    dispatcher.set_thread_count(0)
    deadline = time.monotonic() + ENDING_SECONDS
    while dispatcher.threads and time.monotonic() < deadline:
        time.sleep(0.005)
    dispatcher.shutdown(timeout=0)


def connections_of(server: Any) -> dict[int, Any]:
    """Return everything that the server's loop looks after, by descriptor."""
    found: dict[int, Any] = server._map if isinstance(server, BaseWSGIServer) else server.map
    return found


def _touch_and_pull(loop: EventLoop, trigger: Any) -> None:
    loop.touch()
    trigger.pull_trigger()


def listeners(server: Any) -> list[Any]:
    """Return what listens: one for each socket."""
    if isinstance(server, BaseWSGIServer):
        return [server]
    return [entry for entry in list(server.map.values()) if isinstance(entry, BaseWSGIServer)]


class _ReadyFirst:
    """Answers pulls of ready payloads on the thread that received them; all else is for the task threads."""

    def __init__(self, ready: ReadyPulls, add_task: Callable[[Channel], None]) -> None:
        self._ready = ready
        self._add_task = add_task
        self._thread_of_loop = threading.get_ident()

    def __call__(self, channel: Channel) -> None:
        """Take the first of the channel's requests; its ``requests_lock`` is held."""
        while channel.requests:
            request = channel.requests[0]
            started = time.perf_counter()
            is_free = threading.get_ident() == self._thread_of_loop and not channel.total_outbufs_len
            answer = self._ready.answer(request) if is_free else None
            if answer is None:
                self._add_task(channel)
                return
            channel.send_now(answer.head, answer.body)
            self._ready.note(request, answer, started, channel.addr[0])
            request.close()
            channel.requests.pop(0)
