"""Small documents that processes leave for each other: replaced whole, parsed once for each replacement."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

from filelock import FileLock, Timeout

from mm_core.store.durable import leave_to_owner, make_directory, not_written, write_durably
from mm_core.store.storage import identity, read_file

Value = TypeVar("Value")

SUFFIX = ".json"


class _Parsed(NamedTuple):
    path: str
    identity: tuple[int, int, int]
    value: object


class NoteDirectory:
    """Notes by folder and name, any text; what is lost is written again by whoever knows it.

    Files are called by digests, so that no name leads anywhere else. Of what is not there nothing stays in memory,
    however many names somebody makes up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parsed: dict[tuple[str, str], _Parsed] = {}
        self._folders_parsed: set[str] = set()

    @property
    def lock_path(self) -> Path:
        """The file that whoever may write here has locked."""
        return self._path / "writer.lock"

    def read(self, folder: str, name: str, parse: Callable[[bytes], Value]) -> Value | None:
        """Return a note, None where there is none; an unchanged one costs one ``stat``. Errors of ``parse`` pass."""
        known = self._parsed.get((folder, name))
        path = known.path if known is not None else self._location(folder, name)
        try:
            now = identity(os.stat(path))
        except FileNotFoundError:
            self._parsed.pop((folder, name), None)
            return None
        if known is not None and known.identity == now:
            return known.value  # type: ignore[return-value]
        read = read_file(Path(path))
        if read is None:
            return None
        value = parse(read[0])
        self._parsed[folder, name] = _Parsed(path, read[1], value)
        self._folders_parsed.add(os.path.dirname(path))  # after it: whoever forgets the folder meanwhile does it again
        return value

    def write(self, folder: str, name: str, data: bytes) -> None:
        """Put or replace a note."""
        write_durably(Path(self._location(folder, name)), data, sync=False)

    def remove(self, folder: str, name: str) -> None:
        """Take a note away; one that is gone already is fine."""
        Path(self._location(folder, name)).unlink(missing_ok=True)
        self._parsed.pop((folder, name), None)

    def keep_only(self, folders: dict[str, set[str]]) -> None:
        """Remove every folder but these, and in them every note but those named."""
        wanted = {
            _file_name(folder): {_file_name(name) + SUFFIX for name in names} for folder, names in folders.items()
        }
        for folder in self._folders():
            if folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for path in list(folder.iterdir()):
                if path.name not in wanted[folder.name]:
                    path.unlink(missing_ok=True)
        for folder_name, name in list(self._parsed):
            if name not in folders.get(folder_name, ()):
                self._parsed.pop((folder_name, name), None)
        self.forget_removed()

    def forget_removed(self) -> None:
        """Keep nothing in memory of folders that are gone, whichever process removed them; costs one listing."""
        try:
            gone = self._folders_parsed.difference(os.path.join(self._path, name) for name in os.listdir(self._path))
        except FileNotFoundError:
            gone = set(self._folders_parsed)
        if gone:
            self._folders_parsed -= gone
            for key, known in list(self._parsed.items()):
                if os.path.dirname(known.path) in gone:
                    self._parsed.pop(key, None)

    def all(self) -> Iterator[bytes]:
        """Yield the content of every note."""
        for folder in self._folders():
            for name in sorted(glob.glob("*" + SUFFIX, root_dir=folder)):  # pathlib's fails where its folder goes
                read = read_file(folder / name)
                if read is not None:
                    yield read[0]

    def take_lock(self) -> FileLock | None:
        """Return the lock of whoever may write here, None while another process holds it; raises `StoreError`."""
        try:
            make_directory(self._path)
            lock = FileLock(self.lock_path, thread_local=False)
            lock.acquire(blocking=False)
            leave_to_owner(self.lock_path)
        except Timeout:
            return None
        except OSError as error:
            raise not_written(self.lock_path, error) from error
        return lock

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._path.glob("*") if path.is_dir()) if self._path.is_dir() else []

    def _location(self, folder: str, name: str) -> str:
        return os.path.join(self._path, _file_name(folder), _file_name(name) + SUFFIX)


def _file_name(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
