"""What every process of the payload server does for itself."""

from __future__ import annotations

import ctypes
import gc
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mm_core.logs import get_logger
from mm_core.registry import Registry
from mm_core.registry.background import Trouble
from mm_core.settings import Settings

M_MMAP_THRESHOLD = -3  # malloc.h
M_ARENA_MAX = -8

GIVEN_BACK_BYTES = 1 << 20
"""Buffers from here on are given back when they are freed: models that are built into payloads have more, the
compressed bodies of most payloads less, and at 256 KiB each of those cost its request twice the processor time."""

ARENAS = 2
"""Areas that threads take their memory from: of eight a core, each keeps what is free in it to itself."""

OPEN_FILES = 10_000
"""Of a connection and the two files that its request and its answer may be kept in, as many as there may be."""

ENDING_SECONDS = 0.5
"""For what is being read or made when the server ends; it leaves nothing half written, and is done again later."""

FILES_OF_A_CONNECTION = 3
OTHER_FILES = 1000
"""What else may be open at once, half of all where there are fewer than twice as many."""

log = get_logger("mm_core.server")


@contextmanager
def kept_current(registry: Registry, settings: Settings) -> Iterator[None]:
    """Restore, watch, publish and clean as long as the context lasts: the work of the process that owns the state."""
    settling = threading.Thread(target=_settle, args=(registry,), daemon=True)
    settling.start()
    if settings.watch_enabled:
        registry.watcher.start()
    registry.publisher.start()
    registry.cleaner.start()
    try:
        yield
    finally:
        ending = threading.Thread(target=_end, args=(registry,), daemon=True)
        ending.start()
        ending.join(ENDING_SECONDS)


def _end(registry: Registry) -> None:
    registry.predictions.close()
    registry.cleaner.stop()
    registry.watcher.stop()
    registry.publisher.stop()


def allow_many_files() -> None:
    """Raise the soft limit of open files: every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_that_fit(wanted: int) -> int:
    """Return how many connections the files that may be open are enough for, at most ``wanted``."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return wanted
    fitting = (files - min(OTHER_FILES, files // 2)) // FILES_OF_A_CONNECTION
    if fitting < wanted:
        log.warning("few_open_files", files=files, connections=fitting, wanted_files=OPEN_FILES)
    return min(fitting, wanted)


def give_freed_memory_back() -> None:
    """Let glibc return large freed buffers to the system; other C libraries do so by themselves.

    Left alone, its threshold grows with each such buffer, up to 32 MiB, and every thread keeps an arena of its own:
    after 200 first pulls the process held 358 MB instead of about 100.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, GIVEN_BACK_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def _settle(registry: Registry) -> None:
    """Restore scans that are missing, read the others, and take what was read out of the garbage collector's rounds.

    With 10,000 groups in memory a round took 0.2 s, twice for each changed group.
    """
    Trouble("copies_incomplete").attempt(registry.store.complete_copies)
    Trouble("state_unreadable").attempt(partial(_read_all, registry))  # each request that needs it is told the same
    gc.collect()
    gc.freeze()


def _read_all(registry: Registry) -> None:
    for sentence in registry.registrations.restore_missing_scans():
        log.error("model_out_of_service", reason=sentence)
    view = registry.view()
    for model in view.models():
        view.scan(model.name)
