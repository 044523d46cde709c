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
from datetime import UTC, datetime
from pathlib import Path

from .asking import digest_of
from .errors import BadAnswer
from .payloads import Payload, Wanted, parse_payload

_LOG = logging.getLogger("mm_core.client")
_FORMAT = 1
_ORPHAN_SECONDS = 3600.0


class Copies:
    """The copies of one server's payloads in a directory that other servers and processes may share.

    A copy is a JSON header line and the body; the file's time is when the server last sent or confirmed it.
    """

    def __init__(self, directory: Path, server: str) -> None:
        self.directory = directory
        self._server = server

    def file(self, wanted: Wanted) -> Path:
        """Return where the copy of a payload is, or would be."""
        model, symbol, group_key = wanted.model, wanted.symbol.casefold(), wanted.group_key
        key = json.dumps([self._server, model, symbol, group_key]).encode("ascii")
        readable = re.sub(r"[^a-z0-9_-]", "_", f"{model}-{symbol}".casefold())[:80]
        return self.directory / f"{readable}-{hashlib.sha256(key).hexdigest()[:32]}.payload"

    def read(self, wanted: Wanted) -> Payload | None:
        """Return the copy of a payload if there is one and it is whole."""
        path = self.file(wanted)
        try:
            with path.open("rb") as file:
                header, body = json.loads(file.readline()), file.read()
                fetched_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            digest = digest_of(header["etag"])
            if header["format"] != _FORMAT or digest is None or hashlib.sha256(body).hexdigest() != digest:
                raise BadAnswer("it is of another format, or its bytes are not those that its ETag names.")
            return parse_payload(body, header["etag"], fetched_at, wanted)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError, BadAnswer) as error:
            _LOG.warning("The local copy '%s' cannot be used and is fetched anew: %s", path, error)
            return None

    def keep(self, wanted: Wanted, payload: Payload, body: bytearray) -> None:
        """Replace the copy of a payload; warn where the disk takes none."""
        header = {"format": _FORMAT, "etag": payload.etag}
        try:
            _write(self.file(wanted), header, body, payload.fetched_at.timestamp())
        except OSError as error:  # a full disk is no reason to withhold a good payload
            _LOG.warning("%s was fetched, but no local copy could be kept: %s", wanted.path, error)

    def confirm(self, wanted: Wanted, at: datetime) -> None:
        """Note that the server still has these bytes."""
        with contextlib.suppress(OSError):  # the copy then counts as older than it is
            os.utime(self.file(wanted), (at.timestamp(), at.timestamp()))

    def withdraw(self, wanted: Wanted) -> None:
        """Remove the copy of a payload that the server has no more, so that an outage cannot bring it back."""
        with contextlib.suppress(OSError):
            self.file(wanted).unlink(missing_ok=True)


def _write(path: Path, header: dict[str, object], body: bytearray, at: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for orphan in path.parent.glob(f"{path.stem}.*.tmp"):  # left by a process that was killed
        if time.time() - orphan.stat().st_mtime > _ORPHAN_SECONDS:
            orphan.unlink(missing_ok=True)
    handle, temporary = tempfile.mkstemp(".tmp", f"{path.stem}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([(json.dumps(header) + "\n").encode("ascii"), body])
            file.flush()
            os.fsync(file.fileno())
        os.utime(temporary, (at, at))
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
