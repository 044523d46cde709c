"""Payloads that are ready: which bytes stand for a symbol at the newest revision, for one look at two files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mm_core import strict_json
from mm_core.payloads import Coding
from mm_core.registry.prepared_bodies import PayloadHandle
from mm_core.store import BlobDirectory, NoteDirectory, RegistryStore, StaticTree

_STATE = ("", "state")


@dataclass(frozen=True, slots=True)
class _State:
    """The store's stamp that the notes of payloads are true for."""

    stamp: tuple[int, ...]


class PublishedPayloads:
    """Handles of payloads by model and symbol, written by one process and read by all.

    A note is true while the store has the stamp that was published with it. A symbol without a note may have a
    payload all the same: whoever finds none asks `Payloads.handle`.
    """

    def __init__(self, store: RegistryStore, notes: NoteDirectory, static: StaticTree, blobs: BlobDirectory) -> None:
        self._store = store
        self._notes = notes
        self._static = static
        self._blobs = blobs
        self._state: _State | None = None

    def find(self, model_name: str, symbol: str) -> PayloadHandle | None:
        """Return the payload of a symbol at the newest revision, None where it is not known to be ready."""
        if self.stamp() != self._store.stamp():
            return None
        return self.note(model_name, symbol)

    def note(self, model_name: str, symbol: str) -> PayloadHandle | None:
        """Return what was published last for a symbol, whether it is true now or not."""
        if not model_name:
            return None  # the folder of the state
        try:
            return self._notes.read(model_name, symbol.casefold(), _handle)
        except strict_json.NotJson:
            return None

    def stamp(self) -> tuple[int, ...] | None:
        """Return the stamp that the notes are true for, None before the first."""
        try:
            state = self._notes.read(*_STATE, _state)
        except strict_json.NotJson:
            return None
        if state is not self._state:  # parsed just now, as somebody committed: models may have been deleted
            self._state = state
            self._notes.forget_removed()
        return state.stamp if state is not None else None

    def handles(self) -> Iterator[PayloadHandle]:
        """Yield everything that is published."""
        for data in self._notes.all():
            try:
                yield _handle(data)
            except strict_json.NotJson:
                continue  # the state, or a note that its writer will replace

    def publish(self, handle: PayloadHandle) -> None:
        """Let a payload stand for its symbol, here and in the files that a web server hands out."""
        body = self._blobs.location(handle.stored[Coding.GZIP], "." + Coding.GZIP)
        self._static.put(handle.model_name, handle.symbol, handle.digest, body)
        if self.note(handle.model_name, handle.symbol) != handle:
            self._notes.write(handle.model_name, handle.symbol.casefold(), strict_json.encode(handle))

    def withdraw(self, model_name: str, symbol: str) -> None:
        """Let nothing stand for a symbol until something is published again."""
        self._static.remove(model_name, symbol)
        self._notes.remove(model_name, symbol.casefold())

    def keep_only(self, symbols: dict[str, set[str]]) -> None:
        """Withdraw whatever does not belong to these symbols by model."""
        kept = {model_name: {symbol.casefold() for symbol in names} for model_name, names in symbols.items()}
        self._notes.keep_only({**kept, _STATE[0]: {_STATE[1]}})
        self._static.keep_only(symbols, {handle.digest for handle in self.handles()})

    def declare(self, stamp: tuple[int, ...]) -> None:
        """Say that all notes are true for a store with this stamp."""
        self._notes.write(*_STATE, strict_json.encode(_State(stamp)))


def _handle(data: bytes) -> PayloadHandle:
    return strict_json.decode_as(data, PayloadHandle)


def _state(data: bytes) -> _State:
    return strict_json.decode_as(data, _State)
