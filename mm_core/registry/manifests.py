"""Everything that bots can pull of a model, in one document."""

from __future__ import annotations

from typing import Any

from mm_core.payloads import Coding, entity_tag
from mm_core.registry.lookups import require_scan
from mm_core.registry.published import PublishedPayloads
from mm_core.store import RegistryStore


def manifest_document(
    store: RegistryStore, published: PublishedPayloads, model_name: str
) -> tuple[int, dict[str, Any]]:
    """Return the store's revision, and every group of a model with what names its payload; raise `ModelNotFound`.

    ``etag`` is that of the uncompressed payload, None while a payload that is ``payload_ready`` is still to be made:
    asking for it makes it. Without ``payload_ready`` bots get 404.
    """
    view = store.view()
    _, scan = require_scan(view, model_name)
    items = []
    for group in sorted(scan.groups.values(), key=lambda group: group.symbol.casefold()):
        handle = published.find(model_name, group.symbol) if group.payload_ready else None
        stamp = view.factor_config_stamp(model_name, group.symbol)
        items.append(
            {
                "symbol": group.symbol,
                "group_key": group.group_key,
                "payload_ready": group.payload_ready,
                "etag": entity_tag(handle.digest, Coding.IDENTITY) if handle is not None else None,
                "sha256": handle.digest if handle is not None else None,
                "size_bytes": handle.size_bytes if handle is not None else None,
                "config_revision": stamp[0] if stamp is not None else 0,
            }
        )
    return view.revision, {"model_name": model_name, "items": items}
