"""State that survives: the only home of tinydb."""

from mm_core.store.blobs import BlobDirectory, BlobEntry
from mm_core.store.contract import RegistryStore, StoreTransaction, StoreView
from mm_core.store.tinydb_store import TinyDBStore

__all__ = ["BlobDirectory", "BlobEntry", "RegistryStore", "StoreTransaction", "StoreView", "TinyDBStore"]
