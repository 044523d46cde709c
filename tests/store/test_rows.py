"""Store files whose documents are decoded by their types: what is no such document is damage, told as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mm_core import strict_json
from mm_core.errors import StoreCorrupt, StoreTooNew
from mm_core.store.storage import FORMAT, format_tables, read_rows, table_bytes


class Row(strict_json.Record):
    """A document of these tests."""

    name: str
    numbers: tuple[float, ...]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two rows."""
    file = tmp_path / "file.json"
    file.write_bytes(table_bytes("rows", [{"name": "b", "numbers": [1.5, 2.0]}, {"name": "a", "numbers": []}]))
    return file


def test_rows_come_in_the_order_in_which_they_were_written(path: Path) -> None:
    assert read_rows(path, "rows", Row) == [Row("b", (1.5, 2.0)), Row("a", ())]
    assert read_rows(path, "other", Row) == []
    assert read_rows(path.with_name("gone.json"), "rows", Row) is None


@pytest.mark.parametrize("document", [{"name": "b"}, {"name": 1, "numbers": []}, {"name": "b", "numbers": ["x"]}, []])
def test_a_document_that_is_no_such_row_is_damage_that_names_the_file(path: Path, document: Any) -> None:
    path.write_bytes(format_tables({"rows": {"1": document}}))
    with pytest.raises(StoreCorrupt, match=r"file\.json' is damaged"):
        read_rows(path, "rows", Row)


def test_a_byte_that_changed_is_damage_though_the_row_is_one(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"2.0", b"3.0"))
    with pytest.raises(StoreCorrupt, match="digest"):
        read_rows(path, "rows", Row)


@pytest.mark.parametrize("document", [{"name": "b", "numbers": []}, {"of": "another kind"}])
def test_a_newer_file_is_refused_as_newer_whatever_its_rows_are(path: Path, document: Any) -> None:
    data = format_tables({"rows": {"1": document}})
    path.write_bytes(data.replace(b'{"format":%d' % FORMAT, b'{"format":%d' % (FORMAT + 1), 1))
    with pytest.raises(StoreTooNew):
        read_rows(path, "rows", Row)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format":4}', b'{"format":"4","sha256":"","tables":{}}', b"\xff"]
)
def test_what_is_no_store_file_is_damage(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt):
        read_rows(path, "rows", Row)
