"""Use cases: the only door from the edges to files, store and bytes."""

from mm_core.registry.registry import Registry
from mm_core.store import OpenBlob, StoreView

__all__ = ["OpenBlob", "Registry", "StoreView"]
