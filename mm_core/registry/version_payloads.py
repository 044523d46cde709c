"""Payloads of versions: made once for each content, kept on disk, and given to whoever asks by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_version import read_version
from mm_core.artifacts.stable_file import identity_of, open_stable
from mm_core.domain.files import FileRole
from mm_core.domain.lifecycle import Tier
from mm_core.domain.versions import UNKNOWN_SCALER, ModelContent, Version, VersionLayout
from mm_core.errors import (
    AskAgain,
    CannotPredict,
    ModelUnusable,
    PayloadChanged,
    UnreadableArtifact,
    VersionNotFound,
    VersionUnusable,
)
from mm_core.payloads import NOTHING_SET, Coding, VersionPayloadParts, build_version_payload
from mm_core.registry.lifecycle_lookups import checked_version, readable_records
from mm_core.registry.normalizers import effective_normalizer, features_in_files
from mm_core.registry.prepared_bodies import BodyName, PayloadHandle, PreparedBodies
from mm_core.registry.roots import root_to_read_again
from mm_core.registry.version_lookups import HeldVersion, all_held, held_versions, only_held, require_known
from mm_core.registry.version_refusals import refusal, what_keeps
from mm_core.store import BlobDirectory, RegistryStore, StoreView

TOLD_TO_BOTS = frozenset({UNKNOWN_SCALER, "scaler-missing", "stopped-early"})
"""Findings of runs that predictions depend on."""

Asked = tuple[str, str, Tier | None]


class VersionPayloads:
    """Gives bots the model, the feature order and the normalizer of a version that belong together."""

    def __init__(
        self,
        store: RegistryStore,
        model_blobs: BlobDirectory,
        bodies: PreparedBodies,
        limits: ReadingLimits,
        allowed_roots: tuple[Path, ...] | None,
    ) -> None:
        self._store = store
        self._models = model_blobs
        self._bodies = bodies
        self._limits = limits
        self._allowed_roots = allowed_roots
        self._resolved: tuple[int, dict[Asked, PayloadHandle]] = (-1, {})

    def handle(self, name: str, version: str, caller_tier: Tier | None = None) -> PayloadHandle:
        """Return the payload of a version, built now if no process has built it yet.

        Raises `VersionNotFound`, and `VersionUnusable` with every reason where its files have errors.
        """
        view = self._store.view()
        revision, resolved = self._resolved
        if revision != view.revision:
            resolved = {}
            self._resolved = (view.revision, resolved)
        asked = (name, checked_version(version), caller_tier)
        found = resolved.get(asked)
        if found is None:
            found = resolved[asked] = self._made(view, only_held(view, name, version, caller_tier))
        return found

    def body(self, handle: PayloadHandle, coding: Coding) -> bytes:
        """Return the bytes of a payload in ``coding``."""
        return self._bodies.body(handle, coding, lambda: self._made_again(handle))

    def model_file(self, held: HeldVersion) -> tuple[Path, ModelContent]:
        """Return where the bytes of a version's model are kept, as they were scanned, and their digest.

        Raises `PayloadChanged` where they cannot be had again.
        """
        model = _model_of(held)
        location = self._models.location(model.sha256, model.suffix)
        if not location.exists():
            self._keep_again(held, model)
        return location, model

    def make_model_whole(self, held: HeldVersion) -> None:
        """Keep the bytes of a version's model again if what is kept of them is damaged; raises like `model_file`."""
        model = _model_of(held)
        with self._bodies.turn(model.sha256):
            if not self._models.is_whole(model.sha256, model.suffix):
                self._keep_again(held, model)

    def prepare_running(self) -> None:
        """Make the payloads of all versions that are deployed or a shadow, where they can be."""
        view = self._store.view()
        for family, records in readable_records(view):
            for record in records:
                if record.status.runs:
                    # bots are told the same
                    with suppress(AskAgain, VersionNotFound, VersionUnusable):
                        self.handle(family.name, record.model_version)

    def keys(self, view: StoreView) -> Iterator[str]:
        """Yield what names the payload of each version that can have one."""
        for held in all_held(view):
            if held.can_predict:
                try:
                    yield parts_of(view, held).key
                except VersionUnusable:
                    continue

    def _made(self, view: StoreView, held: HeldVersion) -> PayloadHandle:
        parts = parts_of(view, held)
        name = BodyName(parts.key, held.family.name, held.version.name, str(held.directory))
        return self._bodies.made(name, lambda: self._body(held, parts))

    def _made_again(self, handle: PayloadHandle) -> bytes:
        view = self._store.view()
        for held in held_versions(view, handle.model_name, handle.symbol):
            parts = parts_of(view, held)
            if parts.key == handle.key:
                return self._body(held, parts)
        raise PayloadChanged(
            f"The payload of {handle.model_name} {handle.symbol} changed while it was read. Ask again for the new one."
        )

    def _body(self, held: HeldVersion, parts: VersionPayloadParts) -> bytes:
        data = self._models.get(parts.model.sha256, parts.model.suffix)
        if data is None:
            self._keep_again(held, parts.model)
            data = self._models.get(parts.model.sha256, parts.model.suffix)
        if data is None:
            raise _not_kept(held)
        try:
            return build_version_payload(parts, data)
        except UnicodeDecodeError as error:
            raise CannotPredict(
                f"The model of {held.title} is no UTF-8 text ({error.reason}). Save it again.",
                [f"{parts.model.source or 'model.txt'}: no UTF-8"],
            ) from error

    def _keep_again(self, held: HeldVersion, model: ModelContent) -> None:
        """Keep the bytes of a version's model again, where its file still has them."""
        if held.version.layout is VersionLayout.RUNS:
            self._keep_run_again(held, model)
            return
        file = next((file for file in held.version.files if file.role is FileRole.BOOSTER_TEXT), None)
        if file is None:
            raise _not_kept(held)
        limit = self._limits.bytes_for(file.role)
        try:
            with open_stable(self._root_of(held), file.path, limit, identity_of(file)) as content:
                is_kept = self._models.put_file(content, model.sha256, model.suffix)
        except UnreadableArtifact as error:
            raise _not_kept(held) from error
        if not is_kept:
            raise _not_kept(held)

    def _keep_run_again(self, held: HeldVersion, model: ModelContent) -> None:
        known = held.version
        files = VersionFiles(known.layout, known.model_name, known.version_id, known.path, known.files)
        reading = read_version(self._root_of(held), files, self._limits)
        if reading.model_json is None or reading.version.model != model:
            raise _not_kept(held)
        self._models.put(reading.model_json, model.suffix)

    def _root_of(self, held: HeldVersion) -> Path:
        return root_to_read_again(held.model.root_path, self._allowed_roots, f"model of {held.title}")


def parts_of(view: StoreView, held: HeldVersion) -> VersionPayloadParts:
    """Return what the payload of a version is made of; raise what `unavailable` returns for none.

    Its normalizer is that of the files, with what people set at this view laid over it.
    """
    require_known(view, held)
    version = held.version
    is_run = version.layout is VersionLayout.RUNS
    if not held.can_predict or version.booster is None or version.model is None or not (version.normalizer or is_run):
        raise unavailable(held)
    try:
        features = features_in_files(version)
    except ModelUnusable as error:
        raise CannotPredict(f"{held.title} has no payload. {error.detail}", [error.detail]) from error
    normalizer, overrides = features.normalizer, NOTHING_SET
    if normalizer is not None:
        effective = effective_normalizer(view, held, normalizer)
        normalizer, overrides = effective.normalizer, effective.overrides
    return VersionPayloadParts(
        held.family.name,
        held.names,
        held.model.root_path,
        version,
        version.model,
        features.names,
        normalizer,
        (*features.warnings, *run_warnings(version)),
        overrides,
    )


def run_warnings(version: Version) -> tuple[str, ...]:
    """Return what bots have to know of a run: that it has no normalizer, or that not all of its rounds were meant."""
    return tuple(one.sentence for one in version.findings if one.code in TOLD_TO_BOTS)


def unavailable(held: HeldVersion) -> VersionUnusable:
    """Return why bots cannot be given a version's model."""
    reasons = what_keeps(held.findings, scaler_needed=False)
    way_out = "Mend its files, or deploy another version."
    return refusal(held.title, held.directory, reasons, "has no model that bots can be given", way_out)


def _model_of(held: HeldVersion) -> ModelContent:
    if held.version.model is None:
        raise unavailable(held)
    return held.version.model


def _not_kept(held: HeldVersion) -> PayloadChanged:
    model = held.version.model
    file = model.source if model is not None and model.source else f"{held.version.path}/model.txt"
    return PayloadChanged(
        f"The model of {held.title} is no longer kept, and its file '{file}' differs from the one that was scanned. "
        f"Ask again after the next refresh of model '{held.model.name}'."
    )
