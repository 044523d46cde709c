"""Text as researchers save it: UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs

from mm_core.errors import UnreadableArtifact

_REMEDY = "Save the file as UTF-8."
_OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def decode_text(data: bytes) -> str:
    """Return UTF-8 bytes as text without the byte order mark.

    Raises `UnreadableArtifact` with the line for other encodings and for NUL bytes.
    """
    for mark, encoding in _OTHER_MARKS.items():
        if data.startswith(mark):
            raise UnreadableArtifact("wrong-encoding", f"The file is {encoding}, not UTF-8.", _REMEDY)
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise UnreadableArtifact("wrong-encoding", "The file has NUL bytes: it is binary, or UTF-16.", _REMEDY, line)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableArtifact(
            "wrong-encoding", f"Byte 0x{data[error.start]:02x} is not UTF-8 (Latin-1 perhaps).", _REMEDY, line
        ) from error
