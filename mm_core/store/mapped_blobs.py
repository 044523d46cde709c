"""Blobs mapped into memory for sending: every process that serves one shares the kernel's copy."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Hashable
from mmap import MAP_POPULATE, MAP_SHARED, PROT_READ, mmap
from typing import NamedTuple

from mm_core.store.blobs import BlobDirectory
from mm_core.store.storage import identity

READ_BYTES = 1 << 20
MOST_REMEMBERED = 100_000
"""Places whose files are known to be whole."""

MOST_FILES = 1000
"""That are mapped at once: each stays open, and a process may open 4,096, most of them for connections."""

Where = tuple[Hashable, str]
"""A place and a suffix: one blob stands there at a time."""


class _Mapped(NamedTuple):
    sha256: str
    path: str
    identity: tuple[int, int, int]
    content: mmap


class MappedBlobs:
    """The blobs that were asked for last, mapped, up to ``limit_bytes`` and ``most_files``; for one thread alone.

    Each stands in a place, such as a symbol; another one that takes the place ends the mapping of the one before.

    ``hits`` counts what was mapped when it was asked for, ``misses`` what was read, ``size_bytes`` what is mapped now;
    any thread may look at them.

    The next call may end an earlier mapping. A file is hashed when it is mapped for the first time, and again when its
    inode, time or size differ; through reads, as touching a mapping whose file was cut ends the process.
    """

    def __init__(self, blobs: BlobDirectory, limit_bytes: int, most_files: int = MOST_FILES) -> None:
        self._blobs = blobs
        self._limit = limit_bytes
        self._most_files = most_files
        self.size_bytes = self.hits = self.misses = 0
        self._mapped: OrderedDict[Where, _Mapped] = OrderedDict()
        self._whole: dict[Where, tuple[str, tuple[int, int, int]]] = {}

    def get(self, sha256: str, suffix: str, place: Hashable) -> mmap | None:
        """Return the blob that stands in a place; None when it is missing, as damaged content is, which is removed."""
        where: Where = (place, suffix)
        found = self._mapped.get(where)
        if found is not None and found.sha256 == sha256 and _is_unchanged(found):
            self._mapped.move_to_end(where)
            self.hits += 1
            return found.content
        self._forget(where)
        mapped = self._map(sha256, where)
        if mapped is None:
            return None
        self.misses += 1
        self._mapped[where] = mapped
        self.size_bytes += len(mapped.content)
        while len(self._mapped) > 1 and (self.size_bytes > self._limit or len(self._mapped) > self._most_files):
            self._forget(next(iter(self._mapped)))
        return mapped.content

    def _forget(self, where: Where) -> None:
        mapped = self._mapped.pop(where, None)
        if mapped is not None:
            self.size_bytes -= len(mapped.content)
            mapped.content.close()

    def _map(self, sha256: str, where: Where) -> _Mapped | None:
        path = self._blobs.location(sha256, where[1])
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(descriptor)
            checked = (sha256, identity(status))
            if self._whole.get(where) != checked:
                if _digest(descriptor, status.st_size) != sha256:
                    path.unlink(missing_ok=True)
                    return None
                if len(self._whole) >= MOST_REMEMBERED:
                    self._whole.clear()
                self._whole[where] = checked
            # filled at once: one by one, its page faults took a tenth of the processor time of a first pull
            return _Mapped(
                sha256,
                str(path),
                identity(status),
                mmap(descriptor, status.st_size, flags=MAP_SHARED | MAP_POPULATE, prot=PROT_READ),
            )
        finally:
            os.close(descriptor)


def _is_unchanged(mapped: _Mapped) -> bool:
    try:
        return identity(os.stat(mapped.path)) == mapped.identity
    except FileNotFoundError:
        return False


def _digest(descriptor: int, size_bytes: int) -> str:
    digest = hashlib.sha256()
    for offset in range(0, size_bytes, READ_BYTES):
        digest.update(os.pread(descriptor, READ_BYTES, offset))
    return digest.hexdigest()
