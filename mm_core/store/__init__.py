"""State that survives: the only home of tinydb."""

from mm_core.store.blobs import BlobDirectory, BlobEntry, BlobMissing
from mm_core.store.contract import RegistryStore, StoreTransaction, StoreView
from mm_core.store.notes import NoteDirectory
from mm_core.store.tinydb_store import TinyDBStore

__all__ = [
    "BlobDirectory",
    "BlobEntry",
    "BlobMissing",
    "NoteDirectory",
    "RegistryStore",
    "StoreTransaction",
    "StoreView",
    "TinyDBStore",
]
