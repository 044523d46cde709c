"""A server in this process, whose parts tests can watch and replace."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mm_core.api.listening import connections_of, run, server_on
from mm_core.settings import Settings


class _End:
    """Ends the loop that asks it."""

    def readable(self) -> bool:
        raise KeyboardInterrupt

    def close(self) -> None:
        """Be closed with the others."""


@contextlib.contextmanager
def served_here(application: Callable[..., Iterable[bytes]], settings: Settings) -> Iterator[str]:
    """Serve an application in this process, and check that its loop runs until the context ends; yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    started: list[Any] = []

    def serve() -> None:
        started.append(server_on([listener], application, settings))
        ready.set()
        run(started[0])

    thread = threading.Thread(target=serve, name="loop", daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert thread.is_alive(), "the loop has ended"
    finally:
        connections_of(started[0])[-1] = _End()
        thread.join(15)
    assert not thread.is_alive()
