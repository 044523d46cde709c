"""TinyDB over files that are replaced whole: the only home of tinydb is this room."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from tinydb import TinyDB
from tinydb.storages import Storage

from mm_core import strict_json
from mm_core.errors import StoreCorrupt, StoreError, StoreTooNew
from mm_core.store.durable import write_durably

FORMAT = 4
"""Format number of every file; older ones are read, newer ones refused."""

_TABLES = b'"tables":'

REMEDY = "`python -m mm_core doctor --repair` puts the last good copy back; where there is none, restore a backup."

Tables = dict[str, dict[str, Any]]


class LoadedTables(Storage):
    """Tables in memory on behalf of one file: read once before, written once after."""

    def __init__(self, tables: Tables) -> None:
        self.tables: Tables = tables

    def read(self) -> Tables:
        """Return the tables as TinyDB left them."""
        return self.tables

    def write(self, data: Tables) -> None:
        """Take over what TinyDB changed."""
        self.tables = data


def open_tables(tables: Tables) -> tuple[TinyDB, LoadedTables]:
    """Return a TinyDB over ``tables`` and the storage that holds what it changes."""
    database = TinyDB(tables, storage=LoadedTables)
    storage = database.storage
    assert isinstance(storage, LoadedTables)
    return database, storage


def read_file(path: Path) -> tuple[bytes, tuple[int, int, int]] | None:
    """Return a file's bytes with its identity (inode, time, size), None when it does not exist."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"'{path}' cannot be opened ({error.strerror}). Check permissions and disk.") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        return file.read(), identity(status)


def identity(status: os.stat_result) -> tuple[int, int, int]:
    """Return what changes when a file is replaced."""
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def parse_tables(data: bytes, path: Path) -> Tables:
    """Return the tables of a store file; raise `StoreCorrupt` or `StoreTooNew`, naming it."""
    try:
        document = strict_json.decode(data)
    except strict_json.NotJson as error:
        raise StoreCorrupt(f"'{path}' is damaged ({error}). It was left as it is. {REMEDY}") from error
    digest = document.get("sha256") if isinstance(document, dict) else None
    if digest is not None and digest != sha256(data[data.find(_TABLES) + len(_TABLES) : -1]).hexdigest():
        raise StoreCorrupt(f"'{path}' is damaged (its digest is another one). It was left as it is. {REMEDY}")
    number = document.get("format") if isinstance(document, dict) else None
    tables = document.get("tables") if isinstance(document, dict) else None
    if not isinstance(number, int) or not isinstance(tables, dict):
        raise StoreCorrupt(f"'{path}' is damaged: it is no file of this store. It was left as it is. {REMEDY}")
    if number > FORMAT:
        raise StoreTooNew(
            f"'{path}' has format {number}, this version reads up to {FORMAT}. Use the newer version of Model Manager, "
            "or see what `python -m mm_core doctor --repair` would put back."
        )
    return tables


def format_tables(tables: Tables) -> bytes:
    """Return the bytes of a store file."""
    content = strict_json.encode(tables)
    return b'{"format":%d,"sha256":"%s",%s%s}' % (FORMAT, sha256(content).hexdigest().encode(), _TABLES, content)


def table_bytes(table: str, documents: Iterable[dict[str, Any]]) -> bytes:
    """Return the bytes of a store file with one table."""
    database, storage = open_tables({})
    database.table(table).insert_multiple(documents)
    return format_tables(storage.tables)


def write_table(path: Path, table: str, documents: Iterable[dict[str, Any]]) -> None:
    """Write a store file with one table; raise `StoreError` when it cannot be written."""
    write_durably(path, table_bytes(table, documents))


def table_documents(data: bytes, path: Path, table: str) -> list[dict[str, Any]]:
    """Return the documents of one table of a store file's bytes; raise like `parse_tables`."""
    database, _ = open_tables(parse_tables(data, path))
    return [dict(document) for document in database.table(table).all()]


def read_table(path: Path, table: str) -> list[dict[str, Any]] | None:
    """Return the documents of one table, None when the file does not exist; raise like `parse_tables`."""
    read = read_file(path)
    return table_documents(read[0], path, table) if read is not None else None
