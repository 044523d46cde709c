"""``model.txt``: a LightGBM booster in its text form, read without lightgbm and without holding it in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from mm_core.domain.versions import BoosterText
from mm_core.errors import UnreadableArtifact

LONGEST_LINE = 64 << 20
MOST_FEATURES = 1_000_000

_REMEDY = "Save the model again with booster.save_model('model.txt')."
_HEADER_NUMBERS = ("num_class", "num_tree_per_iteration", "max_feature_idx")


@dataclass(slots=True)
class _Tree:
    """The lines of one tree that are looked at."""

    number: int
    leaves: int = 0
    features: list[int] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)


def read_booster_text(file: BinaryIO, progress: Callable[[int], object] | None = None) -> BoosterText:
    """Return what the booster in ``file`` is, reading it line by line; ``progress`` is told the bytes that were read.

    Raises `UnreadableArtifact` for a file that LightGBM did not save or that is cut.
    """
    return _Reader(file, progress).read()


class _Reader:
    def __init__(self, file: BinaryIO, progress: Callable[[int], object] | None) -> None:
        self._file = file
        self._progress = progress
        self._read = 0
        self._line = 0

    def read(self) -> BoosterText:
        lines = self._lines()
        if next(lines, None) != "tree":
            raise self._broken("it does not begin with 'tree'")
        header = self._header(lines)
        names = tuple(header.get("feature_names", "").split(" "))
        numbers = {name: self._whole(header.get(name, ""), name) for name in _HEADER_NUMBERS}
        if not names[0] or len(names) != numbers["max_feature_idx"] + 1:
            raise self._broken(f"it has {len(names)} feature names and claims {numbers['max_feature_idx'] + 1}")
        sizes = header.get("tree_sizes", "").split()
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
            for feature, gained in zip(tree.features, tree.gains, strict=True):
                if not 0 <= feature < len(names):
                    raise self._broken(f"tree {tree.number} splits on feature {feature} of {len(names)}")
                splits[feature] += 1
                gain[feature] += gained
        if sizes and len(sizes) != trees:
            raise self._broken(f"it claims {len(sizes)} trees and holds {trees}: it is cut")
        return BoosterText(
            feature_names=names,
            objective=header.get("objective", ""),
            num_class=numbers["num_class"],
            num_trees=trees,
            num_leaves=leaves,
            splits=tuple(splits),
            gain=tuple(gain),
        )

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(LONGEST_LINE + 1):
            self._line += 1
            self._read += len(line)
            if len(line) > LONGEST_LINE:
                raise self._broken(f"a line is longer than {LONGEST_LINE:,} bytes")
            if self._progress is not None and self._line % 1000 == 0:
                self._progress(self._read)
            try:
                yield line.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                raise self._broken("it is not UTF-8") from None

    def _header(self, lines: Iterator[str]) -> dict[str, str]:
        header: dict[str, str] = {}
        for line in lines:
            if not line:
                return header
            name, _, value = line.partition("=")
            header[name] = value
        raise self._broken("it ends in its header")

    def _trees(self, lines: Iterator[str]) -> Iterator[_Tree]:
        tree: _Tree | None = None
        for line in lines:
            name, _, value = line.partition("=")
            if name == "Tree":
                if tree is not None:
                    yield tree
                tree = _Tree(self._whole(value, "Tree"))
            elif line == "end of trees":
                if tree is not None:
                    yield tree
                return
            elif tree is not None and name == "num_leaves":
                tree.leaves = self._whole(value, name)
            elif tree is not None and name == "split_feature":
                tree.features = [self._whole(number, name) for number in value.split()]
            elif tree is not None and name == "split_gain":
                tree.gains = [self._number(number, name) for number in value.split()]
        raise self._broken("it has no 'end of trees': it is cut")

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
