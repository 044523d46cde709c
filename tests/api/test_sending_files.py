"""A body that is sent from its file: every byte in its place however slowly it is read, and the end when it was cut."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from waitress.adjustments import Adjustments

from mm_core.api.channels import Channel
from mm_core.store import OpenBlob

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
BODY = random.Random(1).randbytes(3 << 20)


@pytest.fixture
def blob(tmp_path: Path) -> OpenBlob:
    path = tmp_path / "blob"
    path.write_bytes(BODY)
    return OpenBlob(os.open(path, os.O_RDONLY), len(BODY))


@pytest.fixture
def connection() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel and the client's end; between the two there is room for a few kilobytes."""
    ours, theirs = socket.socketpair()
    for each, option in ((ours, socket.SO_SNDBUF), (theirs, socket.SO_RCVBUF)):
        each.setsockopt(socket.SOL_SOCKET, option, 4096)
    loop = SimpleNamespace(opened=lambda _: None, closed=lambda _: None, forget=lambda _: None)
    server = SimpleNamespace(active_channels={}, loop=loop, pull_trigger=lambda: None)
    channel = Channel(server, ours, ("", 0), Adjustments(), {})
    theirs.settimeout(10)
    with ours, theirs:
        yield channel, theirs


def _read(channel: Channel, client: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and not channel.will_close:
        if channel.writable():
            channel.handle_write()
        if not channel.will_close:
            received += client.recv(min(50_000, size - len(received)))
    return received


def test_every_byte_comes_in_its_place(connection: tuple[Channel, socket.socket], blob: OpenBlob) -> None:
    channel, client = connection
    channel.send_now(HEAD, blob)
    assert 0 < channel.total_outbufs_len < len(HEAD) + len(BODY), "a part was taken at once"
    assert _read(channel, client, len(HEAD) + len(BODY)) == HEAD + BODY
    assert (channel.total_outbufs_len, channel.sent_bytes) == (0, len(HEAD) + len(BODY))


def test_what_follows_a_file_comes_after_it(connection: tuple[Channel, socket.socket], blob: OpenBlob) -> None:
    channel, client = connection
    channel.send_now(HEAD, blob)
    channel.write_soon(b"the next answer")
    assert _read(channel, client, len(HEAD) + len(BODY) + 15) == HEAD + BODY + b"the next answer"


def test_the_file_is_closed_when_it_was_sent_and_when_the_client_went(
    connection: tuple[Channel, socket.socket], tmp_path: Path
) -> None:
    channel, _ = connection
    (tmp_path / "blob").write_bytes(BODY)
    descriptor = os.open(tmp_path / "blob", os.O_RDONLY)
    channel.send_now(HEAD, OpenBlob(descriptor, len(BODY)))
    assert os.readlink(f"/proc/self/fd/{descriptor}") == str(tmp_path / "blob")
    channel.handle_close()
    assert not os.path.lexists(f"/proc/self/fd/{descriptor}")


@pytest.mark.parametrize("left", [0, 100_000])
def test_a_file_that_was_cut_ends_the_connection(
    connection: tuple[Channel, socket.socket], tmp_path: Path, blob: OpenBlob, left: int
) -> None:
    channel, client = connection
    channel.send_now(HEAD, blob)
    os.truncate(tmp_path / "blob", left)
    received = _read(channel, client, len(HEAD) + len(BODY))
    assert len(received) < len(HEAD) + len(BODY)
    assert not channel.connected


def test_a_client_that_goes_while_a_file_is_sent_is_no_error(
    connection: tuple[Channel, socket.socket], blob: OpenBlob, caplog: pytest.LogCaptureFixture
) -> None:
    channel, client = connection
    channel.send_now(HEAD, blob)
    client.close()
    channel.handle_write()
    assert not channel.connected
    assert caplog.records == []
