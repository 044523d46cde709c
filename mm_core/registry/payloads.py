"""Payload bytes, made once for each content and kept: in memory up to a bound, on disk beyond it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

from mm_core.artifacts.layouts import GroupFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_group import GroupReading, read_group
from mm_core.conversion import OnnxConverter
from mm_core.domain.findings import Severity
from mm_core.domain.groups import Group
from mm_core.domain.models import RegisteredModel
from mm_core.errors import PayloadChanged, PayloadUnavailable
from mm_core.payloads import CacheState, Coding, PayloadParts, build_payload
from mm_core.registry.configs import current_config
from mm_core.registry.lookups import find_only_group, require_scan
from mm_core.registry.prepared_bodies import BodyName, PayloadHandle, PreparedBodies
from mm_core.registry.roots import root_to_read_again
from mm_core.store import BlobDirectory, MappedBlobs, OpenBlob, RegistryStore, StoreView

ONNX_CHECK = 2
"""Grows when conversions are checked more strictly: those that passed an older check are made again."""

ONNX_NOTE = ".onnx-of"
"""The suffix of notes that name the ONNX made of a model."""


@dataclass(frozen=True, slots=True)
class OnnxBody:
    """ONNX bytes with what their headers say."""

    data: bytes
    sha256: str
    feature_dim: int
    model_name: str
    symbol: str


class Payloads:
    """Gives bots the bytes that belong together at one revision of the store."""

    def __init__(
        self,
        store: RegistryStore,
        model_blobs: BlobDirectory,
        payload_blobs: BlobDirectory,
        bodies: PreparedBodies,
        converter: OnnxConverter,
        limits: ReadingLimits,
        allowed_roots: tuple[Path, ...] | None,
        mapped_bytes: int,
    ) -> None:
        self._store = store
        self._models = model_blobs
        self._payloads = payload_blobs
        self._converter = converter
        self._limits = limits
        self._allowed_roots = allowed_roots
        self._bodies = bodies
        self._mapped = MappedBlobs(payload_blobs, mapped_bytes)
        self._resolved: tuple[int, dict[tuple[str, str, str | None], PayloadHandle]] = (-1, {})

    def handle(self, model_name: str, symbol: str, group_key: str | None = None) -> PayloadHandle:
        """Return the payload of a symbol, built now if no process has built it yet.

        Raises `ModelNotFound`, `SymbolNotFound`, `GroupNotFound`, `AmbiguousSymbol` and `PayloadUnavailable`.
        """
        view = self._store.view()
        revision, resolved = self._resolved
        if revision != view.revision:
            resolved = {}
            self._resolved = (view.revision, resolved)
        asked = (model_name, symbol.casefold(), group_key)  # one entry, however many ways to write it
        found = resolved.get(asked)
        if found is None:
            found = resolved[asked] = self._made(self._parts(view, model_name, symbol, group_key))
        return found

    def prepared(self, view: StoreView, model: RegisteredModel, group: Group) -> PayloadHandle:
        """Return the payload of a group of ``view``, built now if no process has built it yet.

        Raises `PayloadUnavailable`.
        """
        return self._made(_parts_of(view, model, group))

    def body(self, handle: PayloadHandle, coding: Coding) -> bytes:
        """Return the bytes of a payload in ``coding``."""
        return self._bodies.body(handle, coding, lambda: self._made_again(handle))

    def ready_body(self, handle: PayloadHandle, coding: Coding) -> bytes | mmap | OpenBlob | None:
        """Return the body of a payload where it is at hand or a file, else None.

        Mappings are kept for the thread that serves; no other one may call this.
        """
        if coding is Coding.IDENTITY:
            return self._bodies.peek(handle, coding)
        stored = handle.stored.get(coding)
        place = (handle.model_name, handle.symbol)
        return self._mapped.get(stored, "." + coding, place) if stored is not None else None

    def onnx(self, model_name: str, symbol: str, group_key: str | None = None) -> OnnxBody:
        """Return a symbol's ONNX bytes: its own file, converted from the booster where it has none.

        Raises like `handle`, `ExtraMissing` where the converter is not installed, `ConversionFailed`.
        """
        parts = self._parts(self._store.view(), model_name, symbol, group_key)
        group = parts.group
        data = self._own_onnx(parts, group.onnx_sha256) if group.onnx_sha256 else self._converted(parts)
        return OnnxBody(data, hashlib.sha256(data).hexdigest(), group.feature_dim, model_name, group.symbol)

    def model_json(self, model_name: str, group: Group) -> bytes:
        """Return the JSON text of a group's booster as it was scanned, also of an earlier scan while it is kept.

        Raises `ModelNotFound` and `PayloadUnavailable`.
        """
        view = self._store.view()
        model, _ = require_scan(view, model_name)
        return self._model_json(_parts_of(view, model, group))

    def cache_state(self) -> CacheState:
        """Return the figures of what this process holds in memory, mapped bodies included."""
        own, mapped = self._bodies.state(), self._mapped
        return CacheState(own.size_bytes + mapped.size_bytes, own.hits + mapped.hits, own.misses + mapped.misses)

    def _parts(self, view: StoreView, model_name: str, symbol: str, group_key: str | None) -> PayloadParts:
        model, scan = require_scan(view, model_name)
        group = find_only_group(scan, model_name, symbol, group_key)
        return _parts_of(view, model, group)

    def _made(self, parts: PayloadParts) -> PayloadHandle:
        _require_model(parts)
        group = parts.group
        name = BodyName(parts.key, parts.model_name, group.symbol, group.group_key)
        return self._bodies.made(name, lambda: build_payload(parts, self._model_json(parts)))

    def _made_again(self, handle: PayloadHandle) -> bytes:
        parts = self._parts(self._store.view(), handle.model_name, handle.symbol, handle.group_key)
        if parts.key != handle.key:
            raise PayloadChanged(
                f"The payload of '{handle.symbol}' changed while it was read. Ask again for the new one."
            )
        return build_payload(parts, self._model_json(parts))

    def _model_json(self, parts: PayloadParts) -> bytes:
        """Return the booster's JSON text as it was scanned; raise `PayloadChanged` when it cannot be had again."""
        sha256 = _require_model(parts)
        data = self._models.get(sha256, ".json")
        if data is not None:
            return data
        reading = self._read_again(parts, "model")
        if reading.model_json is None or reading.group.model is None or reading.group.model.sha256 != sha256:
            raise _not_kept("model", parts)
        self._models.put(reading.model_json, ".json")
        return reading.model_json

    def _own_onnx(self, parts: PayloadParts, sha256: str) -> bytes:
        """Return the group's ONNX file as it was scanned, and never another one; raises like `_model_json`."""
        data = self._models.get(sha256, ".onnx")
        if data is not None:
            return data
        reading = self._read_again(parts, "ONNX file")
        if reading.onnx is None or reading.group.onnx_sha256 != sha256:
            raise _not_kept("ONNX file", parts)
        self._models.put(reading.onnx, ".onnx")
        return reading.onnx

    def _read_again(self, parts: PayloadParts, lost: str) -> GroupReading:
        key = parts.group.group_key
        root = root_to_read_again(parts.root_path, self._allowed_roots, f"{lost} of group '{key}'")
        return read_group(root, GroupFiles(key, parts.group.files), self._limits)

    def _converted(self, parts: PayloadParts) -> bytes:
        sha256 = _require_model(parts)
        note = onnx_note(sha256)
        with self._bodies.turn(note):
            return self._onnx_kept_or_made(note, parts)

    def _onnx_kept_or_made(self, note: str, parts: PayloadParts) -> bytes:
        known = self._payloads.get_named_digest(note, ONNX_NOTE)
        data = self._payloads.get(known, ".onnx") if known is not None else None
        if data is None:
            data = self._converter.convert(self._model_json(parts))
            self._payloads.put_named(note, ONNX_NOTE, self._payloads.put(data, ".onnx").encode("ascii"))
        return data


def onnx_note(sha256: str) -> str:
    """Return the key of the note that says which ONNX was made of a model; ``sha256`` is that of its JSON text."""
    return hashlib.sha256(f"onnx {ONNX_CHECK} {sha256}".encode()).hexdigest()


def _parts_of(view: StoreView, model: RegisteredModel, group: Group) -> PayloadParts:
    current = current_config(view, model.name, group)
    return PayloadParts(model.name, model.root_path, group, current.config, current.record.updated_at)


def _not_kept(what: str, parts: PayloadParts) -> PayloadChanged:
    return PayloadChanged(
        f"The {what} of group '{parts.group.group_key}' is no longer kept, and its file differs from the one that was "
        f"scanned. Ask again after the next refresh of model '{parts.model_name}'."
    )


def _require_model(parts: PayloadParts) -> str:
    """Return the digest of the group's booster; raise `PayloadUnavailable` with the reasons where it has none."""
    group = parts.group
    if group.model is None:
        reasons = [finding.sentence for finding in group.findings if finding.severity is Severity.ERROR]
        raise PayloadUnavailable(
            f"Group '{group.group_key}' of model '{parts.model_name}' has no model that bots can be given. "
            + (" ".join(reasons) or "Neither _model.json nor a convertible _model.pkl was found.")
        )
    return group.model.sha256
