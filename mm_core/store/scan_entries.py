"""What a scan holds, as documents: how groups and versions are written, by which key, and which bytes they refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from mm_core.domain.groups import Group, Scan
from mm_core.domain.sharing import Shared, with_shared_values
from mm_core.domain.versions import Version
from mm_core.store.documents import Document, group_document, group_value
from mm_core.store.storage import read_rows, read_table
from mm_core.store.version_documents import VersionRow, version_document, version_value

Entry = TypeVar("Entry", bound=Group | Version)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Entry]):
    """How one kind of entries is stored: in the ``table`` of files that begin with ``prefix``, by the field ``key``,
    which an entry has too.

    ``read`` returns the rows of a file's table, of which ``value`` makes entries.
    ``shards`` and ``shard_count`` are the fields of a scan's index that say in which files.
    """

    table: str
    prefix: str
    key: str
    shards: str
    shard_count: str
    document: Callable[[Entry], Document]
    read: Callable[[Path, str], list[Any] | None]
    value: Callable[[Any, Shared], Entry]
    digests: Callable[[Mapping[str, Any]], Iterable[str | None]]
    entries_of: Callable[[Scan], Mapping[str, Entry]]


def _group_digests(document: Mapping[str, Any]) -> Iterable[str | None]:
    return (*_version_digests(document), document["onnx_sha256"])


def _version_digests(document: Mapping[str, Any]) -> Iterable[str | None]:
    model = document["model"]
    return (model["sha256"] if model is not None else None,)


GROUPS: Kind[Group] = Kind(
    table="groups",
    prefix="shard",
    key="group_key",
    shards="shards",
    shard_count="shard_count",
    document=group_document,
    read=read_table,
    value=lambda document, shared: with_shared_values(group_value(document), shared),
    digests=_group_digests,
    entries_of=lambda scan: scan.groups,
)
VERSIONS: Kind[Version] = Kind(
    table="versions",
    prefix="versions",
    key="path",
    shards="version_shards",
    shard_count="version_shard_count",
    document=version_document,
    read=partial(read_rows, row=VersionRow),
    value=version_value,
    digests=_version_digests,
    entries_of=lambda scan: scan.versions,
)
