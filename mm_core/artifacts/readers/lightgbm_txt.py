"""``model.txt``: a LightGBM booster in its text form, read without lightgbm and without holding it in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import BinaryIO

from mm_core.artifacts.readers.lightgbm_trees import SoundTree, Unsound, checked_header, checked_tree
from mm_core.domain.versions import BoosterText, ModelContent
from mm_core.errors import UnreadableArtifact

LONGEST_LINE = 16 << 20
"""In bytes; LightGBM's largest trees have 131,072 leaves, of which a line takes 25 bytes each at most."""

LARGEST_TREE = 128 << 20
"""In bytes; the largest trees take some 20 MB, and more where their leaves are linear."""

CONTROLS = bytes(range(32))
MOST_HEADER_LINES = 64
MOST_FEATURES = 100_000
TOLD_EVERY = 8 << 20
CHUNK = 1 << 20

_REMEDY = "Save the model again with booster.save_model('model.txt')."
_HEADER_NUMBERS = ("num_class", "num_tree_per_iteration", "max_feature_idx")

Progress = Callable[[int], object]


def read_booster_text(file: BinaryIO, progress: Progress | None = None) -> tuple[BoosterText, ModelContent]:
    """Return what the booster in ``file`` is, and of which bytes; it is read line by line to its end.

    ``progress`` is told the bytes that were read, every few MiB. Raises `UnreadableArtifact` for a file that LightGBM
    did not save, that is cut, or whose trees LightGBM could not walk: see `mm_core.artifacts.readers.lightgbm_trees`.
    """
    return _Reader(file, progress).read()


class _Reader:
    def __init__(self, file: BinaryIO, progress: Progress | None) -> None:
        self._file = file
        self._progress = progress
        self._digest = hashlib.sha256()
        self._read = 0
        self._told = 0
        self._line = 0

    def read(self) -> tuple[BoosterText, ModelContent]:
        try:
            booster = self._booster()
        except Unsound as error:
            raise self._broken(str(error)) from None
        while chunk := self._file.read(CHUNK):  # the parameters of the training follow
            self._count(chunk)
        return booster, ModelContent(self._digest.hexdigest(), self._read)

    def _booster(self) -> BoosterText:
        lines = self._lines()
        first = next(lines, None)
        if first == b"tree\r":
            raise self._broken("its lines end as Windows ends them, so that the sizes of its trees are wrong")
        if first != b"tree":
            raise self._broken("it does not begin with 'tree'")
        header = checked_header(self._header(lines))
        numbers = {name: self._whole(header.get(name, ""), name) for name in _HEADER_NUMBERS}
        names = self._names(header.get("feature_names", ""), numbers["max_feature_idx"] + 1)
        splits = [0] * len(names)
        gain = [0.0] * len(names)
        trees = leaves = 0
        sizes = header["tree_sizes"].split() if "tree_sizes" in header else None
        for text in self._trees(lines):
            tree = self._checked(text, trees, len(names))
            if sizes and trees < len(sizes) and sizes[trees] != str(len(text)):
                raise self._broken(f"tree_sizes claims {sizes[trees][:20]} bytes for tree {trees}, of {len(text)}")
            trees += 1
            leaves += tree.leaves
            for feature, gained in zip(tree.features, tree.gains, strict=True):
                splits[feature] += 1
                gain[feature] += gained
        claimed = len(sizes) if sizes is not None else trees
        if claimed != trees:
            raise self._broken(f"it claims {claimed} trees and holds {trees}: it is cut")
        if trees % numbers["num_tree_per_iteration"]:
            raise self._broken(f"it holds {trees} trees, and {numbers['num_tree_per_iteration']} make a round")
        return BoosterText(
            feature_names=names,
            objective=header.get("objective", ""),
            num_class=numbers["num_class"],
            num_trees=trees,
            num_leaves=leaves,
            splits=tuple(splits),
            gain=tuple(total if math.isfinite(total) else 0.0 for total in gain),
        )

    def _names(self, text: str, claimed: int) -> tuple[str, ...]:
        count = text.count(" ") + 1 if text else 0
        if count != claimed or count > MOST_FEATURES:
            raise self._broken(f"it has {count} feature names and claims {claimed}, of at most {MOST_FEATURES:,}")
        names = tuple(text.split(" "))
        if len(set(names)) != len(names) or "" in names:
            raise self._broken("a feature has no name, or that of another")
        return names

    def _lines(self) -> Iterator[bytes]:
        while line := self._file.readline(LONGEST_LINE + 1):
            self._line += 1
            self._count(line)
            if len(line) > LONGEST_LINE:
                raise self._broken(f"a line is longer than {LONGEST_LINE:,} bytes")
            line = line.removesuffix(b"\n")
            if self._line > 1 and len(line.translate(None, CONTROLS)) != len(line):
                raise self._broken("it has a control character, at which LightGBM may end a line")
            yield line

    def _count(self, data: bytes) -> None:
        self._digest.update(data)
        self._read += len(data)
        if self._progress is not None and self._read - self._told >= TOLD_EVERY:
            self._told = self._read
            self._progress(self._read)

    def _header(self, lines: Iterator[bytes]) -> list[bytes]:
        """Return the lines up to the first empty one."""
        header: list[bytes] = []
        for line in lines:
            if not line:
                return header
            header.append(line)
            if len(header) > MOST_HEADER_LINES:
                raise self._broken(f"its header has more than {MOST_HEADER_LINES} lines")
        raise self._broken("it ends in its header")

    def _trees(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the text of each tree: all lines from its first one up to that of the next tree, or to the end."""
        tree: list[bytes] = []
        size = 0
        for line in lines:
            if line.startswith((b"Tree=", b"end of trees")):
                if tree:
                    yield b"\n".join(tree) + b"\n"
                if line == b"end of trees":
                    return
                tree, size = [], 0
            elif not tree:
                if line:  # LightGBM goes on reading its header here
                    raise self._broken(f"{_told(line)} stands before the first tree")
                continue
            tree.append(line)
            size += len(line)
            if size > LARGEST_TREE:
                raise self._broken(f"a tree is larger than {LARGEST_TREE:,} bytes")
        raise self._broken("it has no 'end of trees': it is cut")

    def _checked(self, text: bytes, number: int, features: int) -> SoundTree:
        first = text[: text.index(b"\n")]
        if first != b"Tree=%d" % number:
            raise self._broken(f"{_told(first)} stands where tree {number} should")
        return checked_tree(text, number, features)

    def _whole(self, text: str, name: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 12:
            raise self._broken(f"{name} is {text[:40]!r}, not a whole number")
        return int(text)

    def _broken(self, what: str) -> UnreadableArtifact:
        return UnreadableArtifact("bad-model", f"The file is no LightGBM model: {what}.", _REMEDY, self._line or None)


def _told(line: bytes) -> str:
    """Return the beginning of a line as a sentence has it."""
    return line[:40].decode(errors="replace").replace("Tree=", "tree ")
