"""Everything that bots can pull of a model, in one document that is made once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mm_core import strict_json
from mm_core.payloads import Coding, entity_tag
from mm_core.registry.lookups import require_scan
from mm_core.registry.prepared_bodies import PayloadHandle
from mm_core.registry.published import PublishedPayloads
from mm_core.store import RegistryStore, StoreView

ALIGNING_SECONDS = 0.5
PAUSE_SECONDS = 0.01

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bytes of a manifest, their SHA-256, and the store's revision that they are true for."""

    data: bytes
    sha256: str
    revision: int


class Manifests:
    """Makes manifests, and keeps the last one of each model as long as nothing changes."""

    def __init__(self, store: RegistryStore, published: PublishedPayloads) -> None:
        self._store = store
        self._published = published
        self._kept: tuple[Stamp, dict[str, Manifest]] = ((), {})

    def get(self, model_name: str) -> Manifest:
        """Return what bots can pull of a model; raise `ModelNotFound`.

        A document with ``model_name`` and ``items``, every group in the order of the symbols, with what names its
        payload. ``etag`` is that of the uncompressed payload, None while a payload that is ``payload_ready`` is still
        to be made: asking for it makes it. Without ``payload_ready`` bots get 404.

        Waits a moment for the publisher, which looks at a commit after it was made: without that a manifest asked for
        in this moment would tell bots to pull everything. Where others commit all the time, it does.
        """
        deadline = time.monotonic() + ALIGNING_SECONDS
        while True:
            stamp, published = self._stamps()
            kept = self._kept_at(stamp)
            if model_name in kept:
                return kept[model_name]
            view = self._store.view()
            if published == stamp:
                manifest, is_complete = _made(view, model_name, partial(self._published.note, model_name))
                if self._stamps() == (stamp, stamp):  # nobody committed since: view and notes are of one revision
                    if is_complete:
                        kept[model_name] = manifest
                    return manifest
            if published is None or time.monotonic() >= deadline:
                return _made(view, model_name, lambda _: None)[0]
            time.sleep(PAUSE_SECONDS)

    def _kept_at(self, stamp: Stamp) -> dict[str, Manifest]:
        """Return the manifests that are true at a stamp by model; the first look at a stamp forgets all older ones."""
        true_at, kept = self._kept
        if true_at != stamp:
            kept = {}
            self._kept = (stamp, kept)
        return kept

    def _stamps(self) -> tuple[Stamp, Stamp | None]:
        """Return the stamps of the store and of what is published."""
        return self._store.stamp(), self._published.stamp()


def _made(view: StoreView, model_name: str, handle_of: Callable[[str], PayloadHandle | None]) -> tuple[Manifest, bool]:
    """Return the manifest of a view, and whether every payload that can be is in it."""
    _, scan = require_scan(view, model_name)
    stamps = view.configs.stamps(model_name)
    items, is_complete = [], True
    for group in sorted(scan.groups.values(), key=lambda group: group.symbol.casefold()):
        handle = handle_of(group.symbol) if group.payload_ready else None
        is_complete &= handle is not None or not group.payload_ready
        config = stamps.get(group.symbol.casefold())
        items.append(
            {
                "symbol": group.symbol,
                "group_key": group.group_key,
                "payload_ready": group.payload_ready,
                "etag": entity_tag(handle.digest, Coding.IDENTITY) if handle is not None else None,
                "sha256": handle.digest if handle is not None else None,
                "size_bytes": handle.size_bytes if handle is not None else None,
                "config_revision": config.revision if config is not None else 0,
            }
        )
    data = strict_json.encode({"model_name": model_name, "items": items})
    return Manifest(data, hashlib.sha256(data).hexdigest(), view.revision), is_complete
