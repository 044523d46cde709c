"""``model.txt``: a LightGBM booster in its text form, read without lightgbm and without holding it in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from mm_core.domain.versions import BoosterText, ModelContent
from mm_core.errors import UnreadableArtifact

LONGEST_LINE = 16 << 20
"""In bytes; LightGBM's largest trees have 131,072 leaves, of which a line takes 25 bytes each at most."""

MOST_FEATURES = 100_000
TOLD_EVERY = 8 << 20
CHUNK = 1 << 20

_REMEDY = "Save the model again with booster.save_model('model.txt')."
_HEADER_NUMBERS = ("num_class", "num_tree_per_iteration", "max_feature_idx")
_HEADER = {"feature_names", "objective", "tree_sizes", *_HEADER_NUMBERS}
_TREE = (b"Tree=", b"num_leaves=", b"split_feature=", b"split_gain=")

Progress = Callable[[int], object]


@dataclass(slots=True)
class _Tree:
    """The lines of one tree that are looked at."""

    number: int
    leaves: int = 0
    features: list[int] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)


def read_booster_text(file: BinaryIO, progress: Progress | None = None) -> tuple[BoosterText, ModelContent]:
    """Return what the booster in ``file`` is, and of which bytes; it is read line by line to its end.

    ``progress`` is told the bytes that were read, every few MiB. Raises `UnreadableArtifact` for a file that LightGBM
    did not save or that is cut.
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
        if next(lines, None) != b"tree":
            raise self._broken("it does not begin with 'tree'")
        header = self._header(lines)
        numbers = {name: self._whole(header.get(name, ""), name) for name in _HEADER_NUMBERS}
        names = self._names(header.get("feature_names", ""), numbers["max_feature_idx"] + 1)
        splits = [0] * len(names)
        gain = [0.0] * len(names)
        trees = leaves = 0
        for tree in self._trees(lines):
            if tree.number != trees:
                raise self._broken(f"tree {tree.number} stands where tree {trees} should")
            trees += 1
            leaves += tree.leaves
            if not len(tree.features) == len(tree.gains) == tree.leaves - 1:
                raise self._broken(f"tree {tree.number} has {tree.leaves} leaves and {len(tree.features)} splits")
            if tree.features and max(tree.features) >= len(names):
                raise self._broken(f"tree {tree.number} splits on feature {max(tree.features)} of {len(names)}")
            for feature, gained in zip(tree.features, tree.gains, strict=True):
                splits[feature] += 1
                gain[feature] += gained
        claimed = len(header["tree_sizes"].split()) if "tree_sizes" in header else trees
        if claimed != trees:
            raise self._broken(f"it claims {claimed} trees and holds {trees}: it is cut")
        if trees % (numbers["num_tree_per_iteration"] or 1):
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
            yield line.rstrip(b"\r\n")

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
            name, _, value = self._text(line).partition("=")
            if name in _HEADER:
                header[name] = value
        raise self._broken("it ends in its header")

    def _trees(self, lines: Iterator[bytes]) -> Iterator[_Tree]:
        tree: _Tree | None = None
        for line in lines:
            if line == b"end of trees":
                if tree is not None:
                    yield tree
                return
            if not line.startswith(_TREE):
                continue
            name, _, value = self._text(line).partition("=")
            if name == "Tree":
                if tree is not None:
                    yield tree
                tree = _Tree(self._whole(value, name))
            elif tree is None:
                raise self._broken(f"{name} stands before the first tree")
            elif name == "num_leaves":
                tree.leaves = self._whole(value, name)
            elif name == "split_feature":
                tree.features = [self._whole(number, name) for number in value.split()]
            else:
                tree.gains = [self._number(number, name) for number in value.split()]
        raise self._broken("it has no 'end of trees': it is cut")

    def _text(self, line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise self._broken("it is not UTF-8") from None

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
        return UnreadableArtifact("bad-model", f"The file is no LightGBM model: {what}.", _REMEDY, self._line or None)
