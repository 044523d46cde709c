"""A backup as one file: a zip of a state's files, and a manifest that says what they must be."""

from __future__ import annotations

import os
import re
import stat
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from mm_core import __version__, strict_json
from mm_core.domain.models import MODEL_NAME
from mm_core.domain.version_records import FAMILY_NAME
from mm_core.errors import BackupRefused
from mm_core.store.durable import FILE_MODE, TEMPORARY, linked, not_written, open_new, sync_directory
from mm_core.store.places import FILE_NAME
from mm_core.store.unfinished import hold

FORMAT = 3
"""Format number of backups; newer ones are refused."""

MANIFEST = "manifest.json"
MOST_FILES = 2_000_000
LARGEST_FILE = 256 << 20
LARGEST_MANIFEST = 512 << 20
"""Of as many files as there may be."""

LARGEST_TOTAL = 64 << 30

_MODEL = MODEL_NAME.pattern
_FAMILY = FAMILY_NAME.pattern
_NAME = re.compile(
    rf"registry\.json|configs/{_MODEL}/shards/{FILE_NAME}|configs/{_MODEL}/revisions/[0-9a-f]{{2}}/{FILE_NAME}"
    rf"|normalizers/{_FAMILY}/shards/{FILE_NAME}|normalizers/{_FAMILY}/revisions/[0-9a-f]{{2}}/{FILE_NAME}"
    rf"|lifecycle/{_FAMILY}/(?:current|events)/{FILE_NAME}|scans/{_MODEL}/{FILE_NAME}"
)
"""Names of files that a state can have: nothing else is ever unpacked."""

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What zipfile raises for an archive that is damaged, encrypted, or packed in a way that it does not know."""


@dataclass(frozen=True, slots=True)
class BackedUpFile:
    """What a file of a backup must be."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds: ``created_at`` is ISO 8601 UTC, ``version`` the Model Manager that made it."""

    format: int
    version: str
    created_at: str
    revision: int
    files: dict[str, BackedUpFile]

    @property
    def size_bytes(self) -> int:
        """The bytes of all files together, unpacked."""
        return sum(file.size_bytes for file in self.files.values())


class BackupWriter:
    """Takes the files of a state one by one."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._files: dict[str, BackedUpFile] = {}
        self._size_bytes = 0

    def add(self, name: str, data: bytes) -> None:
        """Put a file into the backup; one that is in it already is not put there twice.

        Raises `BackupRefused` when the state has more than a backup can hold.
        """
        if name in self._files:
            return
        self._files[name] = BackedUpFile(sha256(data).hexdigest(), len(data))
        self._size_bytes += len(data)
        too_much = _too_much(len(self._files), self._size_bytes, len(data))
        if too_much:
            raise BackupRefused(f"The state has {too_much}. Stop the servers and copy the data directory instead.")
        self._write(name, data)

    def finish(self, created_at: str, revision: int) -> Manifest:
        """Add the manifest, and return it."""
        manifest = Manifest(FORMAT, __version__, created_at, revision, self._files)
        self._write(MANIFEST, strict_json.encode(asdict(manifest)))
        return manifest

    def _write(self, name: str, data: bytes) -> None:
        """Put a file in without its time: clocks are set wrong, and zip knows no year before 1980."""
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFREG | FILE_MODE) << 16
        self._archive.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=6)


@contextmanager
def written_backup(path: Path, *, replace: bool) -> Iterator[BackupWriter]:
    """Write a backup that appears under its name once it is whole and on the disk.

    Raises `BackupRefused` when something has that name and ``replace`` is False, `StoreError` when it cannot be
    written.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with os.fdopen(open_new(temporary), "wb") as file:
            hold(file.fileno())
            with zipfile.ZipFile(file, "w") as archive:
                yield BackupWriter(archive)
            file.flush()
            os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                _put_if_free(temporary, path)
        sync_directory(path.parent)
    except FileExistsError as error:
        raise BackupRefused(f"'{path}' exists. Name another file, or replace it with --force.") from error
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unpacked_backup(path: Path, into: Path) -> Manifest:
    """Write the files of a backup below ``into``, each checked against the manifest; return that.

    Raises `BackupRefused` for whatever is no whole backup of a format that is known, or holds anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            manifest = _manifest(path, archive, members)
            for name, file in manifest.files.items():
                data = _content(archive, members[name], file.size_bytes)
                if len(data) != file.size_bytes or sha256(data).hexdigest() != file.sha256:
                    raise _refused(path, f"'{name}' is not what the manifest says")
                _put(into / name, data)
            return manifest
    except FileNotFoundError as error:
        raise BackupRefused(f"'{path}' does not exist. Name a backup.") from error
    except _UNREADABLE as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from error


def _manifest(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Manifest:
    """Return the manifest of an archive whose names, kinds and sizes are those that it lists."""
    if MANIFEST not in members:
        raise _refused(path, f"it has no {MANIFEST}")
    if len(members) != len(archive.infolist()):
        raise _refused(path, "it holds a name twice")
    document = strict_json.decode(_content(archive, members[MANIFEST], LARGEST_MANIFEST))
    number = document.get("format") if isinstance(document, dict) else None
    if isinstance(number, int) and number > FORMAT:
        raise BackupRefused(
            f"'{path}' has backup format {number}, this version reads up to {FORMAT}. Use the newer Model Manager."
        )
    manifest = strict_json.decode_as(strict_json.encode(document), Manifest)
    if set(manifest.files) != members.keys() - {MANIFEST} or "registry.json" not in manifest.files:
        raise _refused(path, "its manifest lists other files than it holds")
    largest = max(file.size_bytes for file in manifest.files.values())
    too_much = _too_much(len(manifest.files), manifest.size_bytes, largest)
    if too_much:
        raise _refused(path, f"it holds {too_much}")
    for name, info in members.items():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name != MANIFEST and not _NAME.fullmatch(name):
            raise _refused(path, f"'{name[:200]}' is no file of a state")
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 1:
            raise _refused(path, f"'{name}' is no plain file")
        if name != MANIFEST and info.file_size != manifest.files[name].size_bytes:
            raise _refused(path, f"'{name}' is not what the manifest says")
    return manifest


def _too_much(files: int, size_bytes: int, largest: int) -> str | None:
    """Return what of a backup is more than this version reads, None where nothing is."""
    if files > MOST_FILES:
        return f"more than {MOST_FILES:,} files"
    if size_bytes > LARGEST_TOTAL:
        return f"more than {LARGEST_TOTAL:,} bytes"
    if largest > LARGEST_FILE:
        return f"a file of more than {LARGEST_FILE:,} bytes"
    return None


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Return a member's content, and no more than a byte above ``limit``, whatever the archive claims."""
    with archive.open(info) as member:
        return member.read(limit + 1)


def _put(path: Path, data: bytes) -> None:
    try:
        with os.fdopen(open_new(path), "wb") as file:
            file.write(data)
    except OSError as error:
        raise not_written(path, error) from error


def _put_if_free(temporary: Path, path: Path) -> None:
    if not linked(temporary, path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        os.replace(temporary, path)


def _refused(path: Path, reason: str) -> BackupRefused:
    return BackupRefused(f"'{path}' is no whole backup: {reason}. Nothing was changed; name another one.")
