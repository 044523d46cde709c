"""The payload server: one process that does everything, or a supervisor and its workers."""

from __future__ import annotations

import threading

from mm_core.api.accepting import turn_newcomers_away
from mm_core.api.app import create_app
from mm_core.api.draining import StopSignals
from mm_core.api.hosts import allowed_hosts
from mm_core.api.listening import FrontDoor, bound_sockets, run, server_on
from mm_core.api.process import allow_many_files, give_freed_memory_back, kept_current
from mm_core.api.pulls import ReadyPulls
from mm_core.api.supervisor import supervise
from mm_core.logs import configure_logs, get_logger
from mm_core.settings import Settings
from mm_core.wiring import open_registry

log = get_logger("mm_core.server")


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; return the process's exit code.

    Raises `SettingsError` when the address cannot be bound.
    """
    configure_logs(settings.log_style)
    allow_many_files()
    give_freed_memory_back()
    sockets = bound_sockets(settings, settings.workers)
    if settings.workers > 1:
        return supervise(settings, sockets)
    registry = open_registry(settings)
    draining = threading.Event()
    application = create_app(registry, settings, draining.is_set)
    door = FrontDoor(allowed_hosts(settings), application, ReadyPulls(registry, application))
    server = server_on(sockets[0], application, settings, door)
    stop = StopSignals(server, draining, lambda deadline: turn_newcomers_away(sockets[0]))
    with kept_current(registry, settings), stop:
        log.info("serving", host=settings.http_host, port=settings.http_port, data_dir=str(settings.data_dir))
        run(server)
    log.info("stopped", drained=stop.drained)
    return 0
