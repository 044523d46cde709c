"""A bot that pulls while a server is attacked, and tells what it noticed."""

from __future__ import annotations

import http.client
import threading
import time
from typing import NamedTuple
from urllib.parse import urlsplit

PAUSE_SECONDS = 0.05


class Told(NamedTuple):
    """What a bystander noticed."""

    pulls: int
    failures: tuple[str, ...]
    slowest_seconds: float
    slowest_of_all_seconds: float


class Bystander:
    """Pulls one payload every 50 ms on a kept connection and compares it byte for byte, as long as the context lasts.

    A connection is opened anew after ten pulls, so that every worker is asked; ``keeps`` holds one for good.
    """

    def __init__(self, url: str, path: str, body: bytes, *, keeps: bool = False) -> None:
        self._place = urlsplit(url)
        self._path = path
        self._body = body
        self._keeps = keeps
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pull, daemon=True)
        self._pulls = 0
        self._failures: list[str] = []
        self._slowest = 0.0
        self._slowest_of_all = 0.0

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Pull no more."""
        if not self._thread.is_alive() and not self._stop.is_set():
            self._failures.append("the bystander ended by itself")
        self._stop.set()
        self._thread.join()

    def told(self) -> Told:
        """Return what was noticed so far."""
        return Told(self._pulls, tuple(self._failures), round(self._slowest, 3), round(self._slowest_of_all, 3))

    def forget_slowest(self) -> None:
        """Measure the slowest pull from here on."""
        self._slowest = 0.0

    def _pull(self) -> None:
        connection = self._connection()
        while not self._stop.wait(PAUSE_SECONDS):
            started = time.monotonic()
            try:
                connection.request("GET", self._path, headers={"Accept-Encoding": "identity"})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200 or body != self._body:
                    self._failures.append(f"{answer.status}: {body[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                self._failures.append(repr(error))
                connection.close()
            self._pulls += 1
            seconds = time.monotonic() - started
            self._slowest, self._slowest_of_all = max(self._slowest, seconds), max(self._slowest_of_all, seconds)
            if self._pulls % 10 == 0 and not self._keeps:
                connection.close()
                connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        assert self._place.hostname is not None
        return http.client.HTTPConnection(self._place.hostname, self._place.port, timeout=20)
