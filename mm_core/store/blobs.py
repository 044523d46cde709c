"""Bytes named by their own digest: rebuildable, verified when read, shared by all processes."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mm_core.errors import StoreError
from mm_core.store.durable import TEMPORARY, not_written, open_new, write_durably

COPIED_BYTES = 1 << 20
"""Of a file that is kept part by part, what is in memory at a time."""

GOING = ".going"
"""The suffix of blobs that are being removed."""

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """One stored blob: ``name`` is a SHA-256 in hex, ``modified_at`` seconds since the epoch."""

    name: str
    suffix: str
    path: Path
    size_bytes: int
    modified_at: float


@dataclass(frozen=True, slots=True)
class BlobDirectory:
    """A directory of blobs; content that is lost or damaged is made again by whoever needs it."""

    path: Path

    def put(self, data: bytes, suffix: str) -> str:
        """Keep ``data`` and return its SHA-256 in hex; content that is there already is not written again.

        Raises `StoreError`.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        location = self.location(sha256, suffix)
        try:
            if location.stat().st_size == len(data):
                os.utime(location)
                return sha256
        except FileNotFoundError:
            pass
        except OSError as error:
            raise not_written(location, error) from error
        write_durably(location, data, sync=False)
        return sha256

    def put_file(self, file: BinaryIO, sha256: str, suffix: str) -> bool:
        """Keep the content of an open file if it has this digest, part by part; return whether it has.

        Content of this name and size that is there already is not written again. Raises `StoreError`, and ``OSError``
        where the file itself cannot be read.
        """
        location = self.location(sha256, suffix)
        size_bytes = os.fstat(file.fileno()).st_size
        try:
            if location.stat().st_size == size_bytes:
                os.utime(location)
                return True
        except FileNotFoundError:
            pass
        except OSError as error:
            raise not_written(location, error) from error
        copy = _Copy(location)
        digest = hashlib.sha256()
        try:
            while chunk := file.read(COPIED_BYTES):
                digest.update(chunk)
                copy.write(chunk)
            if digest.hexdigest() != sha256:
                return False
            copy.put_in_place()
            return True
        finally:
            copy.close()

    def get(self, sha256: str, suffix: str) -> bytes | None:
        """Return the content, None when it is missing; damaged content is removed and counts as missing."""
        location = self.location(sha256, suffix)
        try:
            data = location.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).hexdigest() != sha256:
            location.unlink(missing_ok=True)
            return None
        return data

    def is_whole(self, sha256: str, suffix: str) -> bool:
        """Return whether the content is there, read part by part; damaged content is removed and is not there.

        Content that somebody puts meanwhile stays. Raises `StoreError` where it cannot be read or removed.
        """
        location = self.location(sha256, suffix)
        try:
            with open(location, "rb", opener=_without_waiting) as file:
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode) and hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return True
            self.remove(BlobEntry(sha256, suffix, location, status.st_size, status.st_mtime))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(
                f"'{location}' cannot be read or removed ({error.strerror}). Check permissions and disk."
            ) from error
        return False

    def put_named(self, key: str, suffix: str, data: bytes) -> None:
        """Keep a small note under ``key``, a SHA-256 in hex of something else."""
        write_durably(self.location(key, suffix), data, sync=False)

    def get_named(self, key: str, suffix: str) -> bytes | None:
        """Return a note, None when it is missing."""
        try:
            return self.location(key, suffix).read_bytes()
        except FileNotFoundError:
            return None

    def get_named_digest(self, key: str, suffix: str) -> str | None:
        """Return the digest that a note holds, None when it is missing or holds anything else."""
        note = (self.get_named(key, suffix) or b"").decode("ascii", "replace")
        return note if _HEX_DIGEST.fullmatch(note) else None

    def location(self, name: str, suffix: str) -> Path:
        """Return where a blob is or would be."""
        if not _HEX_DIGEST.fullmatch(name):
            raise ValueError(f"{name!r} is no SHA-256 in hex.")
        return self.path / name[:2] / f"{name}{suffix}"

    def entries(self) -> Iterator[BlobEntry]:
        """Yield every blob, in the order of their names."""
        for folder in sorted(self.path.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                name, dot, rest = path.name.partition(".")
                if path.name.startswith(TEMPORARY) or not _HEX_DIGEST.fullmatch(name):
                    continue
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                yield BlobEntry(name, dot + rest, path, status.st_size, status.st_mtime)

    def remove(self, entry: BlobEntry) -> bool:
        """Delete a blob unless it was put again since it was listed; return whether it was deleted here.

        It is taken aside first: whoever puts it meanwhile has renewed its time, and it goes back, or does not find it
        and writes it anew.
        """
        aside = entry.path.with_name(entry.path.name + GOING)
        try:
            os.rename(entry.path, aside)
            if aside.stat().st_mtime != entry.modified_at:
                os.replace(aside, entry.path)
                return False
            aside.unlink()
        except FileNotFoundError:
            return False  # somebody else removes it
        return True


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, or a pipe in its place, for which nobody may ever write."""
    return os.open(path, flags | os.O_NONBLOCK)


class _Copy:
    """A blob that is being written, under another name."""

    def __init__(self, location: Path) -> None:
        self._location = location
        self._temporary = location.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            self._descriptor = open_new(self._temporary)
        except OSError as error:
            raise not_written(location, error) from error

    def write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise not_written(self._location, error) from error

    def put_in_place(self) -> None:
        try:
            os.replace(self._temporary, self._location)
        except OSError as error:
            raise not_written(self._location, error) from error

    def close(self) -> None:
        os.close(self._descriptor)
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)
