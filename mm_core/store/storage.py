"""TinyDB over files that are replaced whole: the only home of tinydb is this room."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from tinydb import TinyDB
from tinydb.storages import Storage

from mm_core import strict_json
from mm_core.errors import StoreCorrupt, StoreError, StoreTooNew

FORMAT = 5
"""Format number of every file; older ones are read, newer ones refused."""

_TABLES = b'"tables":'

REMEDY = "`python -m mm_core doctor --repair` puts the last good copy back; where there is none, restore a backup."

Tables = dict[str, dict[str, Any]]
Row = TypeVar("Row")


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
        raise _damaged(path, error) from error
    digest = document.get("sha256") if isinstance(document, dict) else None
    number = document.get("format") if isinstance(document, dict) else None
    tables = document.get("tables") if isinstance(document, dict) else None
    _check(data, path, digest, number)
    if not isinstance(tables, dict):
        raise StoreCorrupt(f"'{path}' is damaged: it is no file of this store. It was left as it is. {REMEDY}")
    return tables


class _File(strict_json.Record, Generic[Row]):
    """A file of which every document is a ``Row``."""

    format: int
    sha256: str
    tables: dict[str, dict[str, Row]]


def _check(data: bytes, path: Path, digest: object, number: object) -> None:
    """Raise for bytes that do not have the digest that they claim, and for a format that is none, or not ours."""
    if digest is not None and digest != sha256(memoryview(data)[data.find(_TABLES) + len(_TABLES) : -1]).hexdigest():
        raise _damaged(path, "its digest is another one")
    if not isinstance(number, int):
        raise StoreCorrupt(f"'{path}' is damaged: it is no file of this store. It was left as it is. {REMEDY}")
    if number > FORMAT:
        raise StoreTooNew(
            f"'{path}' has format {number}, this version reads up to {FORMAT}. Use the newer version of Model Manager, "
            "or see what `python -m mm_core doctor --repair` would put back."
        )


def _damaged(path: Path, why: object) -> StoreCorrupt:
    return StoreCorrupt(f"'{path}' is damaged ({why}). It was left as it is. {REMEDY}")


def format_tables(tables: Tables) -> bytes:
    """Return the bytes of a store file."""
    content = strict_json.encode(tables)
    return b'{"format":%d,"sha256":"%s",%s%s}' % (FORMAT, sha256(content).hexdigest().encode(), _TABLES, content)


def table_bytes(table: str, documents: Iterable[dict[str, Any]]) -> bytes:
    """Return the bytes of a store file with one table."""
    database, storage = open_tables({})
    database.table(table).insert_multiple(documents)
    return format_tables(storage.tables)


def table_documents(data: bytes, path: Path, table: str) -> list[dict[str, Any]]:
    """Return the documents of one table of a store file's bytes; raise like `parse_tables`."""
    return list(parse_tables(data, path).get(table, {}).values())


def read_table(path: Path, table: str) -> list[dict[str, Any]] | None:
    """Return the documents of one table, None when the file does not exist; raise like `parse_tables`."""
    read = read_file(path)
    return table_documents(read[0], path, table) if read is not None else None


def read_rows(path: Path, table: str, row: type[Row]) -> list[Row] | None:
    """Return the documents of one table, each as ``row``, None when the file does not exist; raise like `parse_tables`.

    Documents that are no such rows are damage.
    """
    read = read_file(path)
    if read is None:
        return None
    data = read[0]
    try:
        file = strict_json.decode_as(data, _File[row])  # type: ignore[valid-type]
    except strict_json.NotJson as error:
        parse_tables(data, path)  # knows whether the file is damaged or newer
        raise _damaged(path, error) from error
    _check(data, path, file.sha256, file.format)
    return list(file.tables.get(table, {}).values())
