"""Blobs ready for sending, mapped into memory or open: every process that serves one shares the kernel's copy."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from mmap import MAP_POPULATE, MAP_SHARED, PROT_READ, mmap
from pathlib import Path
from typing import NamedTuple

from mm_core.store.blobs import BlobDirectory
from mm_core.store.storage import identity

READ_BYTES = 1 << 20
MOST_REMEMBERED = 100_000
"""Places whose files are known to be whole."""

REMEMBERED_MISSES = 64
"""Of places that had no room: one that is asked for again among so many others takes the room of the least used."""

MOST_FILES = 1000
"""That are mapped at once: each stays open, and a process may open 4,096, most of them for connections."""

Where = tuple[Hashable, str]
"""A place and a suffix: one blob stands there at a time."""


class OpenBlob:
    """A blob that is sent from its file, which is open as long as this value is in use."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes

    def __del__(self) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return self._size_bytes

    def fileno(self) -> int:
        """Return the descriptor that the system copies from."""
        return self._descriptor


class _Mapped(NamedTuple):
    sha256: str
    path: str
    identity: tuple[int, int, int]
    content: mmap


class MappedBlobs:
    """Blobs, mapped up to ``limit_bytes`` and ``most_files``, open beyond that; for one thread alone.

    What finds room is mapped, and so is what is asked for again soon, in the room of what was not for longest. A long
    row of others takes nobody's room: to map and unmap each of them takes longer than to send it from its file.

    Each stands in a place, such as a symbol; another one that takes the place ends the mapping of the one before.

    ``hits`` counts what was mapped when it was asked for, ``misses`` what was read, ``size_bytes`` what is mapped now;
    any thread may look at them.

    The next call may end an earlier mapping that no view is in use of. A file is hashed when it is mapped for the first
    time, and again when its inode, time or size differ; through reads, as touching a mapping whose file was cut ends
    the process.
    """

    def __init__(self, blobs: BlobDirectory, limit_bytes: int, most_files: int = MOST_FILES) -> None:
        self._blobs = blobs
        self._limit = limit_bytes
        self._most_files = most_files
        self.size_bytes = self.hits = self.misses = 0
        self._mapped: OrderedDict[Where, _Mapped] = OrderedDict()
        self._whole: dict[Where, tuple[str, tuple[int, int, int]]] = {}
        self._missed: OrderedDict[Where, None] = OrderedDict()

    def get(self, sha256: str, suffix: str, place: Hashable) -> mmap | OpenBlob | None:
        """Return the blob that stands in a place; None when it is missing, as damaged content is, which is removed."""
        where: Where = (place, suffix)
        found = self._mapped.get(where)
        if found is not None and found.sha256 == sha256 and _is_unchanged(found):
            self._mapped.move_to_end(where)
            self.hits += 1
            return found.content
        self._forget(where)
        path = self._blobs.location(sha256, suffix)
        opened = self._opened(sha256, where, path)
        if opened is None:
            return None
        self.misses += 1
        descriptor, status = opened
        if not self._has_room(status.st_size) and not (status.st_size <= self._limit and self._was_missed(where)):
            return OpenBlob(descriptor, status.st_size)
        try:
            # filled at once: one by one, its page faults took a tenth of the processor time of a first pull
            content = mmap(descriptor, status.st_size, flags=MAP_SHARED | MAP_POPULATE, prot=PROT_READ)
        finally:
            os.close(descriptor)
        self._mapped[where] = _Mapped(sha256, str(path), identity(status), content)
        self.size_bytes += len(content)
        while len(self._mapped) > 1 and not self._has_room(0, 0):
            self._forget(next(iter(self._mapped)))
        return content

    def _has_room(self, size_bytes: int, files: int = 1) -> bool:
        return self.size_bytes + size_bytes <= self._limit and len(self._mapped) + files <= self._most_files

    def _was_missed(self, where: Where) -> bool:
        """Note that a place had no room; return whether it is among those that had none just before."""
        if where in self._missed:
            del self._missed[where]
            return True
        self._missed[where] = None
        if len(self._missed) > REMEMBERED_MISSES:
            self._missed.popitem(last=False)
        return False

    def _forget(self, where: Where) -> None:
        mapped = self._mapped.pop(where, None)
        if mapped is not None:
            self.size_bytes -= len(mapped.content)
            with suppress(BufferError):  # a slow reader still has a part of it: it ends with the last such view
                mapped.content.close()

    def _opened(self, sha256: str, where: Where, path: Path) -> tuple[int, os.stat_result] | None:
        """Return the descriptor of a whole blob and its status, None where there is none."""
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
                    os.close(descriptor)
                    return None
                if len(self._whole) >= MOST_REMEMBERED:
                    self._whole.clear()
                self._whole[where] = checked
        except OSError:
            os.close(descriptor)
            raise
        return descriptor, status


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
