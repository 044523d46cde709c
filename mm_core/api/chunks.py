"""Chunked bodies as RFC 9112, section 7.1, has them and no looser: a proxy before this server finds the same end.

waitress's own receiver takes lines with a newline too many, empty lines before a chunk and anything as a trailer, and
copies what it holds for every chunk.
"""

from __future__ import annotations

import re
from typing import Any

from mm_core.api.refusals import Refusal

LONGEST_LINE = 1024
LONGEST_TRAILER = 8192
SMALL_CHUNKS = 1000
"""So many chunks may be as small as they like; of more, each must have brought `USUAL_CHUNK_BYTES` on average."""

USUAL_CHUNK_BYTES = 64

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_LINE = re.compile(
    rb"(?P<size>[0-9A-Fa-f]+)(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*",
)
_FIELD = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")


class Chunks:
    """Takes a chunked body for waitress: keeps what the chunks bring, and checks every line between them."""

    completed = False
    error: Refusal | None = None

    def __init__(self, buf: Any, largest_chunk: int) -> None:
        self._buf = buf
        self._largest_chunk = largest_chunk
        self._line = b""
        self._left_of_chunk = 0
        self._is_behind_chunk = False
        self._is_behind_last = False
        self._chunks_count = 0
        self._size_bytes = 0
        self._trailer_bytes = 0

    def __len__(self) -> int:
        return int(self._buf.__len__())

    def received(self, data: bytes) -> int:
        """Take bytes and return how many belong to the body; ``completed`` and ``error`` tell when it has ended."""
        held = len(self._line)
        data, position = self._line + data, 0
        self._line = b""
        while not self.completed:
            if self._left_of_chunk:
                piece = data[position : position + self._left_of_chunk]
                if not piece:
                    break
                self._buf.append(piece)
                position += len(piece)
                self._left_of_chunk -= len(piece)
                continue
            end = data.find(b"\r\n", position, position + LONGEST_LINE + 2)
            if end < 0:
                self._line = data[position:]
                position = len(data)
                if len(self._line) > LONGEST_LINE or b"\n" in self._line:
                    self.error = Refusal(400)
                break
            self._take_line(data[position:end])
            if self.error is not None:
                break
            position = end + 2
        return position - held if self.error is None else len(data) - held

    def _take_line(self, line: bytes) -> None:
        if self._is_behind_chunk:
            self._is_behind_chunk = False
            if line:
                self.error = Refusal(400)
        elif self._is_behind_last:
            self._take_trailer(line)
        else:
            self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            self.error = Refusal(400)
            return
        size = int(found["size"], 16)
        self._chunks_count += 1
        self._size_bytes += size
        if size > self._largest_chunk:
            self.error = Refusal(413)
        elif self._chunks_count > SMALL_CHUNKS + self._size_bytes / USUAL_CHUNK_BYTES:
            self.error = Refusal(400, "The body comes in chunks of a few bytes. Send larger ones, or Content-Length.")
        elif size == 0:
            self._is_behind_last = True
        else:
            self._left_of_chunk = size
            self._is_behind_chunk = True

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if not line:
            self.completed = True
        elif self._trailer_bytes > LONGEST_TRAILER or _FIELD.fullmatch(line) is None:
            self.error = Refusal(400)

    def getfile(self) -> Any:
        """Return the body as a file."""
        return self._buf.getfile()

    def getbuf(self) -> Any:
        """Return what keeps the body."""
        return self._buf
