"""State that survives: the only home of tinydb."""

from filelock import FileLock

from mm_core.store.archives import Manifest as BackupManifest
from mm_core.store.archives import unpacked_backup, written_backup
from mm_core.store.blobs import BlobDirectory, BlobEntry
from mm_core.store.contract import (
    ConfigsTransaction,
    ConfigsView,
    RegistryStore,
    Repair,
    StoreTransaction,
    StoreView,
)
from mm_core.store.mapped_blobs import MappedBlobs, OpenBlob
from mm_core.store.notes import NoteDirectory
from mm_core.store.snapshots import StateMoved
from mm_core.store.static_tree import StaticTree
from mm_core.store.tinydb_store import TinyDBStore
from mm_core.store.unfinished import unfinished_directory

__all__ = [
    "BackupManifest",
    "BlobDirectory",
    "BlobEntry",
    "ConfigsTransaction",
    "ConfigsView",
    "FileLock",
    "MappedBlobs",
    "NoteDirectory",
    "OpenBlob",
    "RegistryStore",
    "Repair",
    "StateMoved",
    "StaticTree",
    "StoreTransaction",
    "StoreView",
    "TinyDBStore",
    "unfinished_directory",
    "unpacked_backup",
    "written_backup",
]
