"""The trees of a LightGBM model in text form, and whether LightGBM can walk them without leaving its arrays.

LightGBM trusts the numbers in a model file: a child that is no node ends its process, so does a line among the
parameters that stands elsewhere, a class too many is read from other memory, and a wrong count gives numbers that look
like predictions. So the text is checked before LightGBM sees it, in time linear to its size. The rules are those that
hold for whatever LightGBM itself saves (``Tree::ToString``, ``GBDT::SaveModelToString``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from mm_core.errors import UnreadableArtifact

CATEGORICAL = 1
"""The bit of a ``decision_type`` that tells a split on categories from one on a threshold."""

_NODE_COLUMNS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_MORE_NODE_COLUMNS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_MORE_LEAF_COLUMNS = ("leaf_weight", "leaf_count")
_LINEAR = ("is_linear", "leaf_const", "num_features", "leaf_features", "leaf_coeff")
_TREE = frozenset(_NODE_COLUMNS + _MORE_NODE_COLUMNS + _MORE_LEAF_COLUMNS + _LINEAR) | {
    *("num_leaves", "num_cat", "leaf_value", "cat_boundaries", "cat_threshold", "shrinkage")
}
_HEADER = frozenset(
    [
        *("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective"),
        *("average_output", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes"),
    ]
)
_SIZES = re.compile(rb"\ntree_sizes=[^\n]*\n")
_CATEGORIES = re.compile(rb"^pandas_categorical:(?!(?:null|\[\])?\s*$)", re.MULTILINE)
_END = b"\nend of trees"


class Unsound(ValueError):
    """What is wrong with a model's text, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class SoundTree:
    """A tree that was checked: its number of leaves, and by split the feature and what it gained (0 if not finite)."""

    leaves: int
    features: Sequence[int]
    gains: Sequence[float]


def text_that_predicts(data: bytes) -> str:
    """Return the part of a model's text that predicts: header and trees, for LightGBM to read one after the other.

    ``data`` was read by `read_booster_text`, and so is sound. Parameters of the training and importances stay behind,
    and so do the sizes of the trees: by these LightGBM reads them side by side, and ends its process where one does not
    parse. Raises `UnreadableArtifact` for a model that was trained on columns of categories in pandas, as it does not
    say which columns they were.
    """
    end = data.find(_END) + len(_END)
    if _CATEGORIES.search(data, end):
        raise UnreadableArtifact(
            "bad-model",
            "The model was trained on columns of categories, and does not say which are which.",
            "Train it with numbers as codes and categorical_feature.",
        )
    return _SIZES.sub(b"\n", data[:end], count=1).decode("utf-8") + "\n"


def checked_header(lines: Sequence[bytes]) -> dict[str, str]:
    """Return the entries of a header by name; raise `Unsound` where they do not agree."""
    header = _entries(lines, _HEADER, "the header")
    outputs = _whole(header.get("num_tree_per_iteration", ""), "num_tree_per_iteration")
    classes = _whole(header.get("num_class", ""), "num_class")
    objective = header.get("objective", "")
    if outputs < 1 or outputs != classes:
        raise Unsound(f"it has {classes} classes and {outputs} trees an iteration")
    name, *parameters = objective.split() or [""]
    claimed = [text.partition(":")[2] for text in parameters if text.startswith("num_class:")]
    if name.startswith("multiclass"):
        if claimed != [str(classes)] or classes < 2:
            raise Unsound(f"its objective '{objective[:60]}' is not one of {classes} classes")
    elif name and (claimed or classes != 1):
        raise Unsound(f"it has {classes} classes, and the objective '{objective[:60]}'")
    return header


def checked_tree(text: bytes, number: int, features: int) -> SoundTree:
    """Return the tree in ``text``, from ``Tree=`` to the next one; raise `Unsound` for one that is not.

    ``features`` is how many the booster has.
    """
    return _Tree(text, number, features).checked()


class _Tree:
    def __init__(self, text: bytes, number: int, features: int) -> None:
        if not text.isascii():
            raise Unsound(f"tree {number} has other characters than those of numbers and names")
        _, *lines = text.rstrip(b"\n").split(b"\n")
        self.what = f"tree {number}"
        self.entries = _entries(lines, _TREE, self.what)
        self.features = features
        self.leaves = _whole(self.entries.get("num_leaves", ""), f"num_leaves of {self.what}")
        self.splits = self.leaves - 1

    def checked(self) -> SoundTree:
        splits = self._numbers("split_feature")
        if len(splits) != self.splits:
            raise self._unsound(f"it has {self.leaves} leaves and {len(splits)} splits")
        if self._count("leaf_value") != self.leaves:
            raise self._unsound("its leaves are not as many as it claims")
        for name in _MORE_LEAF_COLUMNS:
            if self.splits and name in self.entries and self._count(name) != self.leaves:
                raise self._unsound(f"{name} has not {self.leaves} entries")
        for name in _NODE_COLUMNS + _MORE_NODE_COLUMNS:
            needed = self.splits if name in self.entries or name in _NODE_COLUMNS else 0
            if self._count(name) != needed:
                raise self._unsound(f"{name} has not {needed} entries")
        self._check_links()
        self._check_features(splits)
        self._check_categories()
        if self.entries.get("is_linear", "0") != "0":
            self._check_linear()
        return SoundTree(self.leaves, splits, self._gains())

    def _check_links(self) -> None:
        """Each node but the root, and each leaf, has one parent: so no walk from the root leaves them or comes back."""
        if not self.splits:
            return
        children = sorted(self._numbers("left_child") + self._numbers("right_child"))
        if children != [*range(-self.leaves, 0), *range(1, self.splits)]:
            raise self._unsound("its nodes and leaves do not hang together")

    def _check_features(self, used: Sequence[int]) -> None:
        for feature in (min(used, default=0), max(used, default=0)):
            if used and not 0 <= feature < self.features:
                raise self._unsound(f"it splits on feature {feature} of {self.features}")

    def _check_categories(self) -> None:
        groups = _whole(self.entries.get("num_cat", "0"), f"num_cat of {self.what}")
        boundaries, bits = self._numbers("cat_boundaries"), self._numbers("cat_threshold")
        if groups and not (
            len(boundaries) == groups + 1
            and boundaries[0] == 0
            and boundaries[-1] == len(bits)
            and all(before <= after for before, after in pairwise(boundaries))
        ):
            raise self._unsound("its categories are divided otherwise than it claims")
        kinds = self._column("decision_type")
        if not any(kind & CATEGORICAL for kind in self._whole_numbers(set(kinds), "decision_type")):
            return
        for kind, threshold in zip(map(int, kinds), self._column("threshold"), strict=True):
            if kind & CATEGORICAL and not (threshold.isdigit() and int(threshold) < groups):
                raise self._unsound(f"it splits on group {threshold[:20]} of {groups} groups of categories")

    def _check_linear(self) -> None:
        counts = self._numbers("num_features")
        if len(counts) != self.leaves or len(self._column("leaf_const")) != self.leaves:
            raise self._unsound("its linear leaves are not as many as it claims")
        if any(count < 0 for count in counts) or not (
            len(self._column("leaf_features")) == len(self._column("leaf_coeff")) == sum(counts)
        ):
            raise self._unsound("its linear leaves have other features than they claim")
        self._check_features(self._numbers("leaf_features"))

    def _column(self, name: str) -> list[str]:
        return self.entries.get(name, "").split()

    def _count(self, name: str) -> int:
        """Return how many entries a column has; most are counted by the spaces between them."""
        text = self.entries.get(name, "")
        if not text or text.startswith(" ") or text.endswith(" ") or "  " in text:
            return len(text.split())
        return text.count(" ") + 1

    def _numbers(self, name: str) -> list[int]:
        return self._whole_numbers(self._column(name), name)

    def _whole_numbers(self, texts: Iterable[str], name: str) -> list[int]:
        try:
            return [*map(int, texts)]
        except ValueError:
            raise self._unsound(f"{name} holds something else than whole numbers") from None

    def _gains(self) -> list[float]:
        """Return what each split gained; LightGBM predicts without these numbers."""
        try:
            gains = [*map(float, self._column("split_gain"))]
        except ValueError:
            raise self._unsound("split_gain holds something else than numbers") from None
        return [gain if math.isfinite(gain) else 0.0 for gain in gains] or [0.0] * self.splits

    def _unsound(self, what: str) -> Unsound:
        return Unsound(f"{self.what}: {what}")


def _entries(lines: Sequence[bytes], known: Set[str], what: str) -> dict[str, str]:
    """Return what stands before and after the ``=`` of each line; a line without one is an entry without a value."""
    found: dict[str, str] = {}
    for line in lines:
        try:
            name, _, value = line.decode("utf-8").partition("=")
        except UnicodeDecodeError:
            raise Unsound(f"{what} is not UTF-8") from None
        if name not in known or name in found:
            raise Unsound(f"{what} has '{name[:40]}' in it" + (" twice" if name in found else ""))
        found[name] = value
    return found


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise Unsound(f"{name} is {text[:40]!r}, no whole number")
    return int(text)
