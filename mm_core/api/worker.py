"""A worker: serves ready payloads from the notes that the owner publishes, and passes everything else on."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time

from mm_core.api.access_log import AccessLog
from mm_core.api.draining import StopSignals
from mm_core.api.forwarding import Forwarding
from mm_core.api.hosts import allowed_hosts
from mm_core.api.listening import FrontDoor, run, server_on
from mm_core.api.metrics import Metrics, share_figures
from mm_core.api.process import allow_many_files, give_freed_memory_back
from mm_core.api.pulls import ReadyPulls
from mm_core.logs import configure_logs, get_logger
from mm_core.settings import load_settings
from mm_core.wiring import open_registry

PAUSE_SECONDS = 0.5
"""Between two looks at what a worker holds in memory, and whether its owner is there."""

log = get_logger("mm_core.worker")


def work(owner: int, owner_socket: str, descriptors: list[int]) -> int:
    """Serve on inherited listening sockets until SIGTERM, or until process ``owner`` is gone; return the exit code."""
    settings = load_settings()
    configure_logs(settings.log_style)
    allow_many_files()
    give_freed_memory_back()
    registry = open_registry(settings)
    share_figures()
    metrics = Metrics(registry)
    application = AccessLog(Forwarding(owner_socket), metrics)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    door = FrontDoor(allowed_hosts(settings), application, ReadyPulls(registry, application))
    server = server_on(sockets, application, settings, door)
    stop = StopSignals(server, threading.Event())
    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    threading.Thread(target=_tell_memory, args=(metrics,), daemon=True).start()
    with stop:
        log.info("worker_serving", pid=os.getpid())
        run(server)
    log.info("worker_stopped", pid=os.getpid(), drained=stop.drained)
    return 0


def _end_with(owner: int) -> None:
    """End this worker when its owner is gone: what it would serve from then on grows stale."""
    while os.getppid() == owner:
        time.sleep(PAUSE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _tell_memory(metrics: Metrics) -> None:
    """Keep the figures of this worker's memory up to date."""
    while True:
        metrics.tell_memory()
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    raise SystemExit(work(int(sys.argv[1]), sys.argv[2], [int(number) for number in sys.argv[3:]]))
