"""The last good copy of each payload: a file that appears whole or not at all, and is checked when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from .asking import digest_of
from .errors import BadAnswer
from .locking import held
from .manifests import Manifest, parse_manifest
from .payloads import Asked, CopiedT, Place, Wanted

_LOG = logging.getLogger("mm_core.client")
_FORMAT = 1
_LONGEST_HEADER = 65_536
_ORPHAN_SECONDS = 3600.0
_UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, BadAnswer)


class WholeCopy(NamedTuple):
    """A copy whose bytes are those that its ETag names."""

    digest: str
    fetched_at: datetime


class Mark(NamedTuple):
    """What tells whether a file is still the one that was seen, and nobody confirmed it since."""

    inode: int
    size_bytes: int
    modified_ns: int


class Copies:
    """The copies of what one server has in a directory that other servers and processes may share.

    A copy is a JSON header line and the body; the file's time is when the server last sent or confirmed it. The last
    manifest of a model is kept in the same way. An answer replaces what was there when its question was asked, and
    nothing else: of two processes that ask at once, the slow one may have the older answer.
    """

    def __init__(self, directory: Path, server: str) -> None:
        self.directory = directory
        self._server = server
        self._checked: dict[Path, tuple[Mark, str]] = {}

    def file(self, wanted: Place) -> Path:
        """Return where the copy of a payload is, or would be."""
        return self._path(wanted.readable, [self._server, *wanted.key], wanted.suffix)

    def read(self, wanted: Asked[CopiedT]) -> CopiedT | None:
        """Return the copy of a payload if there is one and it is whole."""
        path = self.file(wanted)
        try:
            with path.open("rb") as file:
                header, body = _read(file)
                fetched_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            return wanted.parse(body, header["etag"], fetched_at)
        except FileNotFoundError:
            return None
        except _UNUSABLE as error:
            self._checked.pop(path, None)
            _LOG.warning("The local copy '%s' cannot be used until it is fetched anew: %s", path, error)
            return None

    def whole(self, wanted: Wanted) -> WholeCopy | None:
        """Return what the copy of a payload holds if it is whole; a file that did not change is not read again."""
        path = self.file(wanted)
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                mark, fetched_at = _mark(status), datetime.fromtimestamp(status.st_mtime, UTC)
                checked = self._checked.get(path)
                if checked is None or checked[0] != mark:
                    checked = self._checked[path] = (mark, _check(file))
            return WholeCopy(checked[1], fetched_at)
        except _UNUSABLE:  # `read`, which comes before it is fetched anew, says why
            self._checked.pop(path, None)
            return None

    def seen(self, wanted: Place) -> Mark | None:
        """Return what tells whether the copy of a payload is still the one of now; None where there is none."""
        return _seen(self.file(wanted))

    def keep(self, wanted: Asked[CopiedT], payload: CopiedT, body: bytearray, seen: Mark | None) -> bool:
        """Replace the copy that was ``seen`` before the server was asked; return whether it holds these bytes now.

        It does not where it became another one meanwhile, or where the disk takes none, which is warned of.
        """
        path = self.file(wanted)
        header = {"format": _FORMAT, "etag": payload.etag, **wanted.header(payload)}
        try:
            if _write(path, header, body, payload.fetched_at, seen):
                return True
        except OSError as error:  # a full disk is no reason to withhold a good payload
            _LOG.warning("%s was fetched, but no local copy could be kept: %s", wanted.path, error)
            return False
        return self.confirm(wanted, digest_of(payload.etag), payload.fetched_at)

    def confirm(self, wanted: Place, digest: str | None, at: datetime) -> bool:
        """Note that the server still has the bytes of this digest; return whether they are those of the copy."""
        path = self.file(wanted)
        with held(self.directory):
            if _named_digest(path) != digest:
                return False
            with contextlib.suppress(OSError):  # the copy then counts as older than it is
                os.utime(path, (at.timestamp(), at.timestamp()))
                if (checked := self._checked.get(path)) is not None:
                    self._checked[path] = (checked[0]._replace(modified_ns=path.stat().st_mtime_ns), checked[1])
        return True

    def withdraw(self, wanted: Place, seen: Mark | None) -> None:
        """Remove the copy that was ``seen``: the server has it no more, and an outage must not bring it back."""
        path = self.file(wanted)
        with held(self.directory):
            if _seen(path) == seen:
                self._checked.pop(path, None)
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def of_model(self, model: str, but: Set[Path] = frozenset()) -> list[Wanted]:
        """Return the payloads of a model that have a copy, whole or not, in a file other than these."""
        found = []
        for path in sorted(set(self.directory.glob(f"{_readable(f'{model}-')}*.payload")) - but):
            with contextlib.suppress(*_UNUSABLE), path.open("rb") as file:
                header = json.loads(file.readline(_LONGEST_HEADER))
                wanted = Wanted(header["model"], header["symbol"], header["group_key"])
                if wanted.model == model and self.file(wanted) == path:  # else it is of another server
                    found.append(wanted)
        return found

    def read_manifest(self, model: str) -> Manifest | None:
        """Return the manifest of a model that was kept last, if it is whole."""
        path = self._manifest_file(model)
        try:
            with path.open("rb") as file:
                header, body = _read(file)
            return parse_manifest(body, header["etag"], header["revision"], model)
        except FileNotFoundError:
            return None
        except _UNUSABLE as error:
            _LOG.warning("The local manifest '%s' cannot be used and is fetched anew: %s", path, error)
            return None

    def seen_manifest(self, model: str) -> Mark | None:
        """Return what tells whether the manifest that was kept last is still the one of now."""
        return _seen(self._manifest_file(model))

    def keep_manifest(self, manifest: Manifest, body: bytearray, seen: Mark | None) -> None:
        """Replace the manifest that was ``seen`` before the server was asked; warn where the disk takes none."""
        header = {"format": _FORMAT, "etag": manifest.etag, "revision": str(manifest.revision)}
        try:
            _write(self._manifest_file(manifest.model), header, body, datetime.now(UTC), seen)
        except OSError as error:
            _LOG.warning("The manifest of model '%s' could not be kept: %s", manifest.model, error)

    def withdraw_model(self, model: str) -> None:
        """Remove everything of a model that the server has no more."""
        for wanted in self.of_model(model):
            self.withdraw(wanted, self.seen(wanted))
        with contextlib.suppress(OSError):
            self._manifest_file(model).unlink(missing_ok=True)

    def _manifest_file(self, model: str) -> Path:
        return self._path(model, [self._server, model], ".manifest")

    def _path(self, name: str, key: list[str | None], suffix: str) -> Path:
        digest = hashlib.sha256(json.dumps(key).encode("ascii")).hexdigest()
        return self.directory / f"{_readable(name)}-{digest[:32]}{suffix}"


def _readable(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "_", name.casefold())[:80]


def _mark(status: os.stat_result) -> Mark:
    return Mark(status.st_ino, status.st_size, status.st_mtime_ns)


def _seen(path: Path) -> Mark | None:
    try:
        return _mark(path.stat())
    except OSError:
        return None


def _read(file: BufferedReader) -> tuple[dict[str, str], bytes]:
    """Return the header and the body of a file; raise `BadAnswer` where they are not of one piece."""
    header, body = json.loads(file.readline(_LONGEST_HEADER)), file.read()
    _require_whole(header, hashlib.sha256(body).hexdigest())
    return header, body


def _check(file: BufferedReader) -> str:
    """Return the digest of the body of a file, which may be big; raise `BadAnswer` as `_read` does."""
    header = json.loads(file.readline(_LONGEST_HEADER))
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    _require_whole(header, digest)
    return digest


def _require_whole(header: dict[str, object], digest: str) -> None:
    if header["format"] != _FORMAT or digest_of(str(header["etag"])) != digest:
        raise BadAnswer("it is of another format, or its bytes are not those that its ETag names.")


def _named_digest(path: Path) -> str | None:
    """Return the digest that the header of a file names, None where there is none; the body is not looked at."""
    try:
        with path.open("rb") as file:
            return digest_of(json.loads(file.readline(_LONGEST_HEADER))["etag"])
    except _UNUSABLE:
        return None


def _write(path: Path, header: Mapping[str, object], body: bytearray, at: datetime, seen: Mark | None) -> bool:
    """Replace a file unless it is another one than was ``seen``; return whether it was replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for orphan in path.parent.glob(f"{path.stem}.*.tmp"):  # left by a process that was killed, or by one at work
        with contextlib.suppress(FileNotFoundError):
            if time.time() - orphan.stat().st_mtime > _ORPHAN_SECONDS:
                orphan.unlink()
    handle, temporary = tempfile.mkstemp(".tmp", f"{path.stem}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([(json.dumps(header) + "\n").encode("ascii"), body])
            file.flush()
            os.fsync(file.fileno())
        os.utime(temporary, (at.timestamp(), at.timestamp()))
        with held(path.parent):
            if is_that := _seen(path) == seen:
                os.replace(temporary, path)
        return is_that
    finally:
        Path(temporary).unlink(missing_ok=True)
