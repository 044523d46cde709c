"""Mapped blobs: how many files they keep open, and for how long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mm_core.store import BlobDirectory, MappedBlobs


@pytest.fixture
def blobs(tmp_path: Path) -> BlobDirectory:
    return BlobDirectory(tmp_path / "blobs")


def _open_files(directory: Path) -> int:
    return sum(
        os.readlink(f"/proc/self/fd/{number}").startswith(f"{directory}/")
        for number in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{number}")
    )


def test_a_body_that_takes_the_place_of_another_one_ends_its_mapping(blobs: BlobDirectory) -> None:
    mapped = MappedBlobs(blobs, 1 << 20)
    for number in range(50):
        body = b"body %d" % number
        content = mapped.get(blobs.put(body, ".gzip"), ".gzip", ("m", "SOLUSDT"))
        assert content is not None
        assert content[:] == body
    assert _open_files(blobs.path) == 1, "a mapping keeps its file open, and the room of a removed one taken"
    assert mapped.size_bytes == len(b"body 49")


def test_many_small_bodies_leave_files_for_connections(blobs: BlobDirectory) -> None:
    mapped = MappedBlobs(blobs, 1 << 20, most_files=20)
    digests = [blobs.put(b"body %d" % number, ".gzip") for number in range(60)]
    for number, sha256 in enumerate(digests):
        assert mapped.get(sha256, ".gzip", number) is not None
    assert _open_files(blobs.path) == 20
    before = mapped.misses
    assert mapped.get(digests[-1], ".gzip", 59) is not None
    assert mapped.misses == before, "the ones that were asked for last are those that are kept"
    content = mapped.get(digests[0], ".gzip", 0)
    assert content is not None
    assert content[:] == b"body 0"
    assert _open_files(blobs.path) == 20


def test_a_body_is_mapped_once_for_each_coding_of_a_place(blobs: BlobDirectory) -> None:
    mapped = MappedBlobs(blobs, 1 << 20)
    pair = [(blobs.put(body, suffix), suffix) for body, suffix in ((b"a", ".gzip"), (b"b", ".zstd"))]
    for _ in range(3):
        for sha256, suffix in pair:
            assert mapped.get(sha256, suffix, ("m", "SOLUSDT")) is not None
    assert (mapped.hits, mapped.misses) == (4, 2)
