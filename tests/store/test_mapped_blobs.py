"""Mapped blobs: how many files they keep open, and for how long."""

from __future__ import annotations

import os
from mmap import mmap
from pathlib import Path

import pytest

from mm_core.store import BlobDirectory, MappedBlobs, OpenBlob
from mm_core.store.mapped_blobs import REMEMBERED_MISSES


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
        assert isinstance(content, mmap)
        assert content[:] == body
    assert _open_files(blobs.path) == 1, "a mapping keeps its file open, and the room of a removed one taken"
    assert mapped.size_bytes == len(b"body 49")


def test_a_mapping_that_somebody_still_reads_keeps_nobody_from_the_body_that_takes_its_place(
    blobs: BlobDirectory,
) -> None:
    mapped = MappedBlobs(blobs, 1 << 20)
    earlier = mapped.get(blobs.put(b"earlier", ".gzip"), ".gzip", "m")
    assert isinstance(earlier, mmap)
    read = memoryview(earlier)
    later = mapped.get(blobs.put(b"later", ".gzip"), ".gzip", "m")
    assert isinstance(later, mmap)
    assert (later[:], bytes(read)) == (b"later", b"earlier")
    assert mapped.size_bytes == len(b"later")
    del earlier, read
    assert _open_files(blobs.path) == 1


def test_many_small_bodies_leave_files_for_connections(blobs: BlobDirectory) -> None:
    mapped = MappedBlobs(blobs, 1 << 20, most_files=20)
    digests = [blobs.put(b"body %d" % number, ".gzip") for number in range(60)]
    for number, sha256 in enumerate(digests):
        content = mapped.get(sha256, ".gzip", number)
        assert isinstance(content, mmap if number < 20 else OpenBlob)
    del content
    assert _open_files(blobs.path) == 20
    again = mapped.get(digests[50], ".gzip", 50)
    assert isinstance(again, mmap), "asked for twice among few others"
    assert again[:] == b"body 50"
    assert isinstance(mapped.get(digests[0], ".gzip", 0), OpenBlob), "the one that was not asked for longest went"
    assert _open_files(blobs.path) == 20


def test_a_row_of_many_takes_no_room_from_those_that_are_asked_for(blobs: BlobDirectory) -> None:
    mapped = MappedBlobs(blobs, 10 * 7, most_files=1000)
    digests = [blobs.put(b"%07d" % number, ".gzip") for number in range(REMEMBERED_MISSES + 20)]
    for _ in range(3):
        for number, sha256 in enumerate(digests):
            content = mapped.get(sha256, ".gzip", number)
            assert isinstance(content, mmap if number < 10 else OpenBlob)
            assert len(content) == 7
    assert (mapped.hits, mapped.size_bytes) == (20, 70)


def test_an_open_blob_is_closed_when_nobody_uses_it(blobs: BlobDirectory) -> None:
    mapped = MappedBlobs(blobs, 1)
    content = mapped.get(blobs.put(b"a body", ".gzip"), ".gzip", "place")
    assert isinstance(content, OpenBlob)
    assert os.pread(content.fileno(), len(content), 0) == b"a body"
    assert _open_files(blobs.path) == 1
    del content
    assert _open_files(blobs.path) == 0


def test_a_body_is_mapped_once_for_each_coding_of_a_place(blobs: BlobDirectory) -> None:
    mapped = MappedBlobs(blobs, 1 << 20)
    pair = [(blobs.put(body, suffix), suffix) for body, suffix in ((b"a", ".gzip"), (b"b", ".zstd"))]
    for _ in range(3):
        for sha256, suffix in pair:
            assert mapped.get(sha256, suffix, ("m", "SOLUSDT")) is not None
    assert (mapped.hits, mapped.misses) == (4, 2)
