"""What the readers accept: by which version of the rules, and how much of a file, a tree or a child process."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.domain.files import FileRole

MEBIBYTE = 1 << 20

READING_RULES = 4
"""Raised when a file would be read otherwise than before: groups that were read by older rules are read again."""

VERSION_RULES = 6
"""The same for the files of versions."""


_MODELS = frozenset(
    {
        FileRole.MODEL_JSON,
        FileRole.MODEL_PICKLE,
        FileRole.MODEL_ONNX,
        FileRole.BOOSTER_TEXT,
        FileRole.RUN_MODEL,
    }
)


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """Sizes in bytes, times in seconds; beyond them a file becomes a finding."""

    model_bytes: int = 512 * MEBIBYTE
    file_bytes: int = 64 * MEBIBYTE
    tree_depth: int = 32
    tree_entries: int = 1_000_000
    group_seconds: float = 120.0
    worker_memory_bytes: int = 8192 * MEBIBYTE

    def bytes_for(self, role: FileRole) -> int:
        """Return the size up to which a file of ``role`` is read."""
        return self.model_bytes if role in _MODELS else self.file_bytes
