"""``model.txt``: a LightGBM booster in its text form, read without lightgbm and without holding it in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import BinaryIO

from mm_core.artifacts.readers.lightgbm_trees import (
    REMEDY,
    TreeText,
    add_header_line,
    check_header,
    check_line_ends,
    unsound,
)
from mm_core.domain.versions import BoosterText, ModelContent
from mm_core.errors import UnreadableArtifact

LONGEST_LINE = 16 << 20
"""In bytes; LightGBM's largest trees have 131,072 leaves, of which a line takes 25 bytes each at most."""

LARGEST_TREE = 64 << 20
"""In bytes; such a tree has 12 lines of that length at most."""

CONTROLS = bytes(range(32))
MOST_FEATURES = 100_000
TOLD_EVERY = 8 << 20
CHUNK = 1 << 20

_HEADER_NUMBERS = ("num_class", "num_tree_per_iteration", "max_feature_idx")

Progress = Callable[[int], object]


def read_booster_text(file: BinaryIO, progress: Progress | None = None) -> tuple[BoosterText, ModelContent]:
    """Return what the booster in ``file`` is, and of which bytes; it is read line by line to its end.

    ``progress`` is told the bytes that were read, every few MiB. Raises `UnreadableArtifact` for a file that LightGBM
    did not save, that is cut, or of which a tree would lead LightGBM astray: that ends the process of whoever loads it.
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
        booster = self._booster()
        while chunk := self._file.read(CHUNK):  # the parameters of the training follow
            self._count(chunk)
        return booster, ModelContent(self._digest.hexdigest(), self._read)

    def _booster(self) -> BoosterText:
        lines = self._lines()
        first = next(lines, b"")
        check_line_ends(first)
        if first != b"tree":
            raise self._broken("it does not begin with 'tree'")
        header = self._header(lines)
        numbers = {name: self._whole(header.get(name, ""), name) for name in _HEADER_NUMBERS}
        names = self._names(header.get("feature_names", ""), numbers["max_feature_idx"] + 1)
        splits = [0] * len(names)
        gain = [0.0] * len(names)
        sizes: list[str] = []
        leaves = 0
        for tree, size in self._trees(lines, len(names)):
            leaves += tree.leaves
            for feature, gained in zip(tree.split_features, tree.split_gains, strict=True):
                splits[feature] += 1
                gain[feature] += self._number(gained, "split_gain")
            sizes.append(str(size))
        claimed = header["tree_sizes"].split() if "tree_sizes" in header else sizes
        if len(claimed) != len(sizes):
            raise self._broken(f"it claims {len(claimed)} trees and holds {len(sizes)}: it is cut")
        if claimed != sizes:
            raise unsound("the sizes of its trees are not those that tree_sizes claims")
        if len(sizes) % (numbers["num_tree_per_iteration"] or 1):
            raise self._broken(f"it holds {len(sizes)} trees, and {numbers['num_tree_per_iteration']} make a round")
        booster = BoosterText(
            feature_names=names,
            objective=header.get("objective", ""),
            num_class=numbers["num_class"],
            num_trees=len(sizes),
            num_leaves=leaves,
            splits=tuple(splits),
            gain=tuple(total if math.isfinite(total) else 0.0 for total in gain),
        )
        check_header(header, booster)
        return booster

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

    def _header(self, lines: Iterator[bytes]) -> dict[str, str]:
        header: dict[str, str] = {}
        for line in lines:
            if not line:
                return header
            add_header_line(header, line)
        raise self._broken("it ends in its header")

    def _trees(self, lines: Iterator[bytes], features: int) -> Iterator[tuple[TreeText, int]]:
        """Yield each tree, checked, and how many bytes it has."""
        tree: list[bytes] = []
        trees = size = 0
        for line in lines:
            is_end = line == b"end of trees"
            if is_end or line.startswith(b"Tree="):
                if tree:
                    yield self._checked(tree, trees, features), size
                    trees += 1
                if is_end:
                    return
                tree, size = [], 0
            elif not tree and line:
                raise self._broken(f"{line[:40]!r} stands before the first tree")
            if tree or line:
                tree.append(line)
                size += len(line) + 1
            if size > LARGEST_TREE:
                raise self._broken(f"tree {trees} has more than {LARGEST_TREE:,} bytes")
        raise self._broken("it has no 'end of trees': it is cut")

    def _checked(self, text: list[bytes], number: int, features: int) -> TreeText:
        first, *lines = text
        if first != b"Tree=%d" % number:
            raise self._broken(f"tree {first[5:45].decode('utf-8', 'replace')} stands where tree {number} should")
        tree = TreeText(lines, number, features)
        nodes = tree.split_features
        if not len(nodes) == len(tree.split_gains) == tree.splits:
            raise self._broken(f"tree {number} has {tree.leaves} leaves and {len(nodes)} splits")
        tree.check()
        return tree

    def _whole(self, text: str, name: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 12:
            raise self._broken(f"{name} is {text[:40]!r}, not a whole number")
        return int(text)

    def _number(self, text: str, name: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise self._broken(f"{name} holds {text[:40]!r}") from None
        return number if math.isfinite(number) else 0.0

    def _broken(self, what: str) -> UnreadableArtifact:
        return UnreadableArtifact("bad-model", f"The file is no LightGBM model: {what}.", REMEDY, self._line or None)
