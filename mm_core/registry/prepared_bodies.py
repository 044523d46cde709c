"""Bodies for bots, made once for each content and kept: in memory up to a bound, on disk beyond it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mm_core import strict_json
from mm_core.payloads import BoundedCache, CacheState, Coding, compress, decompress_gzip
from mm_core.store import BlobDirectory

STORED_CODINGS = (Coding.GZIP, Coding.ZSTD)

PRIVATE_BYTES = 16 << 20
"""Of bodies in this process's own memory: those that are not stored as they are sent, and those just made."""


@dataclass(frozen=True, slots=True)
class PayloadHandle:
    """A payload whose bytes exist on disk.

    ``key`` names its parts, ``digest`` is the SHA-256 of the identity body, ``stored`` the digest of the bytes in each
    coding that is kept. ``symbol`` and ``group_key`` are the version and its directory where it is one of a version.
    """

    key: str
    digest: str
    size_bytes: int
    stored: dict[str, str]
    model_name: str
    symbol: str
    group_key: str


@dataclass(frozen=True, slots=True)
class BodyName:
    """What a body is made of, by a digest of its parts, and whose it is."""

    key: str
    model_name: str
    symbol: str
    group_key: str


class PreparedBodies:
    """Keeps each body in every stored coding; any number of threads and processes may ask."""

    def __init__(self, blobs: BlobDirectory) -> None:
        self._blobs = blobs
        self._cache = BoundedCache(PRIVATE_BYTES)
        self._turns: dict[str, threading.Lock] = {}
        self._taking_turns = threading.Lock()

    def made(self, name: BodyName, make: Callable[[], bytes]) -> PayloadHandle:
        """Return the body of a name, made by ``make`` if no process has made it yet; an exception of it passes."""
        with self.turn(name.key):
            return self._stored(name.key) or self._keep(name, make())

    def body(self, handle: PayloadHandle, coding: Coding, make: Callable[[], bytes]) -> bytes:
        """Return the bytes of a body in ``coding``; ``make`` makes it again where they were lost."""
        return self._cache.get((handle.key, coding), lambda: self._from_disk(handle, coding, make))

    def peek(self, handle: PayloadHandle, coding: Coding) -> bytes | None:
        """Return the bytes of a body where they are in memory."""
        return self._cache.peek((handle.key, coding))

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Let one thread at a time make what ``key`` names; others are not held up."""
        with self._taking_turns:
            turn = self._turns.setdefault(key, threading.Lock())
        try:
            with turn:
                yield
        finally:
            with self._taking_turns:
                self._turns.pop(key, None)

    def state(self) -> CacheState:
        """Return the figures of what is in memory."""
        return self._cache.state()

    def _stored(self, key: str) -> PayloadHandle | None:
        note = self._blobs.get_named(key, ".json")
        if note is None:
            return None
        try:
            handle = strict_json.decode_as(note, PayloadHandle)
        except strict_json.NotJson:
            return None
        whole = all(self._blobs.location(sha256, "." + coding).exists() for coding, sha256 in handle.stored.items())
        return handle if whole else None

    def _keep(self, name: BodyName, body: bytes) -> PayloadHandle:
        stored = {str(coding): self._blobs.put(compress(body, coding), "." + coding) for coding in STORED_CODINGS}
        digest = hashlib.sha256(body).hexdigest()
        handle = PayloadHandle(name.key, digest, len(body), stored, name.model_name, name.symbol, name.group_key)
        self._blobs.put_named(name.key, ".json", strict_json.encode(handle))
        return handle

    def _from_disk(self, handle: PayloadHandle, coding: Coding, make: Callable[[], bytes]) -> bytes:
        if coding is Coding.IDENTITY:
            return decompress_gzip(self._from_disk(handle, Coding.GZIP, make))
        data = self._blobs.get(handle.stored[coding], "." + coding)
        if data is not None:
            return data
        name = BodyName(handle.key, handle.model_name, handle.symbol, handle.group_key)
        with self.turn(handle.key):
            rebuilt = self._keep(name, make())
        return self._blobs.location(rebuilt.stored[coding], "." + coding).read_bytes()
