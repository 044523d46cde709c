"""Payload bodies as files that a web server hands out by itself: a link a symbol, a directory a digest."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from mm_core.store.durable import TEMPORARY, make_directory

FILE_NAME = "payload.json.gz"
LONGEST_NAME = 200


class StaticTree:
    """``models/MODEL/SYMBOL`` leads to ``payloads/DIGEST``, which holds the compressed body under one name.

    The digest is that of the uncompressed body, so a web server can tell the entity tag from where a link leads. A link
    is replaced in one step; whoever still reads what it led to keeps the open file. Symbols that cannot be a file's
    name have no link. A body belongs to one symbol, as it names its model and symbol.
    """

    def __init__(self, path: Path) -> None:
        self._models = path / "models"
        self._payloads = path / "payloads"

    def put(self, model_name: str, symbol: str, digest: str, body: Path) -> None:
        """Let a symbol lead to a body, given as a file of the same file system, and to no other one."""
        link = self._link(model_name, symbol)
        if link is None:
            return
        before = _target(link)
        directory = self._payloads / digest
        if before == digest and (directory / FILE_NAME).exists():
            return
        make_directory(directory, sync=False)
        temporary = directory / f"{TEMPORARY}{uuid.uuid4().hex}"
        _link_or_copy(body, temporary)
        os.replace(temporary, directory / FILE_NAME)
        make_directory(link.parent, sync=False)
        temporary = link.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        temporary.symlink_to(Path("..", "..", "payloads", digest))
        os.replace(temporary, link)
        if before is not None and before != digest:
            shutil.rmtree(self._payloads / before, ignore_errors=True)

    def remove(self, model_name: str, symbol: str) -> None:
        """Let a symbol lead nowhere."""
        link = self._link(model_name, symbol)
        before = _target(link) if link is not None else None
        if link is not None and before is not None:
            link.unlink(missing_ok=True)
            shutil.rmtree(self._payloads / before, ignore_errors=True)

    def keep_only(self, symbols: dict[str, set[str]], digests: set[str]) -> None:
        """Remove every link but those of these symbols by model, and every body but these."""
        for folder in _entries(self._models):
            for link in _entries(folder):
                if link.name not in symbols.get(folder.name, ()):
                    link.unlink(missing_ok=True)
            if folder.name not in symbols:
                shutil.rmtree(folder, ignore_errors=True)
        for directory in _entries(self._payloads):
            if directory.name not in digests:
                shutil.rmtree(directory, ignore_errors=True)

    def _link(self, model_name: str, symbol: str) -> Path | None:
        names = (model_name, symbol)
        if any(not name or name.startswith(".") or "/" in name or "\0" in name for name in names):
            return None
        if len(os.fsencode(symbol)) > LONGEST_NAME:
            return None
        return self._models / model_name / symbol


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except PermissionError:  # a file system without hard links
        shutil.copyfile(source, target)


def _target(link: Path) -> str | None:
    try:
        return os.path.basename(os.readlink(link))
    except FileNotFoundError:
        return None


def _entries(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else []
