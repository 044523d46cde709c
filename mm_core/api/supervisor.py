"""The process that owns the state and keeps workers on its sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import mm_core
from mm_core.api.accepting import turn_newcomers_away
from mm_core.api.app import create_routes
from mm_core.api.draining import StopSignals
from mm_core.api.forwarding import Owned
from mm_core.api.listening import BACKLOG, run, server_on
from mm_core.api.metrics import Metrics
from mm_core.api.process import kept_current
from mm_core.logs import get_logger
from mm_core.registry.background import Trouble
from mm_core.settings import PREFIX, Settings
from mm_core.wiring import open_registry

SHORTEST_LIFE_SECONDS = 1.0
"""A worker that ends sooner is not replaced at once: what ends it may be there for a while."""

LONGEST_PAUSE_SECONDS = 5.0
LONGEST_PLACE = 64
"""Bytes of a directory's path: a socket's whole path has at most 107."""

STOPPING_SECONDS = 0.5
"""More than the drain that a worker is given before it is killed."""

log = get_logger("mm_core.server")


def supervise(settings: Settings, sockets: Sequence[Sequence[socket.socket]]) -> int:
    """Own the state and let a worker serve on each set of ``sockets`` until SIGTERM or SIGINT; return the exit code."""
    with ExitStack() as stack:
        place = _place_of_sockets()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model-manager-", dir=place)))
        figures = directory / "figures"
        figures.mkdir()
        registry = open_registry(settings)
        draining = threading.Event()
        metrics = Metrics(registry, figures)
        workers = _Workers(settings, sockets, directory / "owner", figures, metrics.forget)
        application = Owned(create_routes(registry, settings, metrics, draining.is_set, workers.running))
        server = server_on([_owner_socket(directory / "owner")], application, settings)
        stop = StopSignals(server, draining, workers.stop)
        stack.enter_context(kept_current(registry, settings))
        stack.enter_context(stop)
        workers.start()
        log.info(
            "serving",
            host=settings.http_host,
            port=settings.http_port,
            data_dir=str(settings.data_dir),
            workers=settings.workers,
        )
        run(server)
    log.info("stopped", drained=stop.drained)
    return 0


def _place_of_sockets() -> str:
    """Return the directory of temporary files, the usual one where its path is too long for a socket in it."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= LONGEST_PLACE else "/tmp"  # noqa: S108 - a private directory is made there


def _owner_socket(path: Path) -> socket.socket:
    owner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    owner.bind(str(path))  # its directory is for this user alone
    owner.listen(BACKLOG)
    return owner


class _Workers:
    """Processes that serve: each is replaced when it ends by itself."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[Sequence[socket.socket]],
        owner: Path,
        figures: Path,
        ended: Callable[[int], None],
    ) -> None:
        self._sockets = [each for one in sockets for each in one]
        self._descriptors = [[each.fileno() for each in one] for one in sockets]
        self._owner = str(owner)
        project = str(Path(mm_core.__file__).parent.parent)
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH", "")])),
            "PROMETHEUS_MULTIPROC_DIR": str(figures),
            f"{PREFIX}DATA_DIR": str(settings.data_dir.absolute()),  # the command line may have named another one
        }
        self._ended = ended
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._keepers: list[threading.Thread] = []

    def start(self) -> None:
        """Start every worker, and a thread for each that replaces it."""
        for number in range(len(self._descriptors)):
            keeper = threading.Thread(target=self._keep, args=(number,), name=f"worker-{number}", daemon=True)
            keeper.start()
            self._keepers.append(keeper)

    def running(self) -> int:
        """Return how many workers run."""
        with self._lock:
            return len(self._running)

    def stop(self, deadline: float) -> None:
        """Let every worker answer who has connected to it, and wait for that; those that do not end are killed."""
        self._stopping.set()
        turn_newcomers_away(self._sockets)
        with self._lock:
            for process in self._running.values():
                process.send_signal(signal.SIGTERM)
        for each in self._sockets:  # the workers' own copies last until they have taken in who waits
            each.close()
        for keeper in self._keepers:
            keeper.join(max(deadline + STOPPING_SECONDS - time.monotonic(), 0.0))
        with self._lock:
            for process in self._running.values():
                process.kill()

    def _keep(self, number: int) -> None:
        trouble, pause = Trouble("worker_not_kept"), 0.0
        while not self._stopping.wait(pause):
            started = time.monotonic()
            trouble.attempt(partial(self._run_one, number), worker=number)
            lived = time.monotonic() - started
            pause = min(max(pause * 2, 0.1), LONGEST_PAUSE_SECONDS) if lived < SHORTEST_LIFE_SECONDS else 0.0

    def _run_one(self, number: int) -> None:
        """Start a worker and wait for its end."""
        with self._lock:
            if self._stopping.is_set():
                return
            process = self._running[number] = self._started(self._descriptors[number])
        code = process.wait()
        with self._lock:
            del self._running[number]
        if not self._stopping.is_set():
            log.error("worker_ended", pid=process.pid, code=code)
        self._ended(process.pid)

    def _started(self, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own module, our own paths
            [sys.executable, "-m", "mm_core.api.worker", str(os.getpid()), self._owner, *map(str, descriptors)],
            env=self._environment,
            pass_fds=descriptors,
        )
