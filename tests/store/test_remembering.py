"""What stays in memory does not grow with the number of changes, however many are made."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_core.domain.configs import FactorConfigRecord, FactorConfigRevision, Normalization
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.groups import Scan
from mm_core.domain.models import RegisteredModel
from mm_core.domain.versions import Version, VersionLayout, VersionNumber
from mm_core.store import BlobDirectory, MappedBlobs, TinyDBStore

NOW = "2026-01-01T00:00:00+00:00"
MORE = 300
SYMBOLS = 60


def _growth(change: Callable[[int], object], below: int, warm_up: int = MORE, more: int = MORE) -> int:
    """Return how many bytes more are held after ``more`` changes on top of those that fill what is bounded.

    Where they are not ``below`` a bound, it is looked at twice more: what else the process does is counted too, and
    what grows with the changes grows each time.
    """
    tracemalloc.start()
    try:
        for number in range(warm_up):
            change(number)
        for begun in range(warm_up, warm_up + 3 * more, more):
            before = tracemalloc.get_traced_memory()[0]
            for number in range(begun, begun + more):
                change(number)
            grown = tracemalloc.get_traced_memory()[0] - before
            if grown < below:
                break
        return grown
    finally:
        tracemalloc.stop()


def test_saved_configs_are_forgotten_with_what_replaced_them(tmp_path: Path) -> None:
    writer, reader = TinyDBStore(tmp_path), TinyDBStore(tmp_path)

    def save(symbol: str, number: int) -> None:
        with writer.transaction() as transaction:
            if transaction.model("m") is None:
                transaction.save_model(RegisteredModel("m", "/root", "2024-01-01", "2024-01-01"))
            values = {"momentum_5": Normalization(float(number), 1.0)}
            record = FactorConfigRecord("m", symbol, number + 1, "2024-01-01", "2024-01-01", values)
            transaction.configs.save(record, FactorConfigRevision(number + 1, "2024-01-01", "api", "edit"))

    for number in range(SYMBOLS):
        save(f"S{number}", 0)

    def change(number: int) -> None:
        save("S0", number)
        view = reader.view()
        assert view.configs.stamps("m")["s0"].revision == number + 1

    assert _growth(change, 200_000, 30, 70) < 200_000, "a shard of 60 symbols has 20 kB, and each change writes one"


@pytest.mark.parametrize("deleted_by", ["the reader", "another process"])
def test_scans_and_configs_of_deleted_models_are_forgotten(tmp_path: Path, deleted_by: str) -> None:
    writer, reader = TinyDBStore(tmp_path), TinyDBStore(tmp_path)
    deleter = reader if deleted_by == "the reader" else writer
    files = tuple(ModelFile(FileRole.OTHER, f"v1.0.0/{number}.log", 1, 2, 3, 4) for number in range(50))
    number = VersionNumber(1, 0, 0)
    version = Version("", "v1.0.0", number, VersionLayout.VERSIONS, "v1.0.0", files, NOW, (), NOW)

    def change(number: int) -> None:
        name = f"run-{number}"
        with writer.transaction() as transaction:
            transaction.save_model(RegisteredModel(name, "/root", NOW, NOW))
            transaction.save_scan(name, Scan(NOW, {}, (), {version.path: version}))
            record = FactorConfigRecord(name, "SOLUSDT", 1, NOW, NOW, {})
            transaction.configs.save(record, FactorConfigRevision(1, NOW, "scan", "create"))
        view = reader.view()
        assert view.scan(name) is not None
        assert view.configs.stamp(name, "SOLUSDT") is not None
        with deleter.transaction() as transaction:
            transaction.delete_model(name, NOW)
        assert reader.view().models() == ()

    assert _growth(change, 60_000, 30, 30) < 60_000, "remembered, each has 4 kB of configs and 9 kB of a scan"


def test_bodies_that_were_checked_are_forgotten_with_what_replaced_them(tmp_path: Path) -> None:
    blobs = BlobDirectory(tmp_path / "blobs")
    mapped = MappedBlobs(blobs, 1 << 20)

    def change(number: int) -> None:
        assert mapped.get(blobs.put(b"body %d" % number, ".gzip"), ".gzip", ("m", "SOLUSDT")) is not None

    assert _growth(change, 20_000) < 20_000
