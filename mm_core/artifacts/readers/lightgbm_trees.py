"""The trees of a LightGBM model in text form, and whether LightGBM can walk them without leaving its arrays.

LightGBM trusts the numbers in a model file: a child that is no node ends its process, so does a line among the
parameters that stands elsewhere, a class too many is read from other memory, and a wrong count gives numbers that look
like predictions. So the text is checked before LightGBM sees it, in time linear to its size. The rules are those that
hold for whatever LightGBM itself saves (``Tree::ToString``, ``GBDT::SaveModelToString``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from itertools import pairwise

from mm_core.domain.versions import BoosterText
from mm_core.errors import UnreadableArtifact

CATEGORICAL = 1
"""The bit of a ``decision_type`` that tells a split on categories from one on a threshold."""

_REMEDY = "Save the model again with booster.save_model('model.txt')."
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
_FIRST_LINES = 64


def checked_text(data: bytes, booster: BoosterText) -> str:
    """Return the part of a model's text that predicts: header and trees, for LightGBM to read one after the other.

    ``booster`` was read of ``data``. Parameters of the training and importances stay behind, and so do the sizes of the
    trees: by these LightGBM reads them side by side, and ends its process where one does not parse. Raises
    `UnreadableArtifact` where the text is not sound, and for one that was trained on columns of categories in pandas,
    as it does not say which columns they were.
    """
    check_trees(data, booster)
    end = data.find(_END) + len(_END)
    if _CATEGORIES.search(data, end):
        raise UnreadableArtifact(
            "bad-model",
            "The model was trained on columns of categories, and does not say which are which.",
            "Train it with numbers as codes and categorical_feature.",
        )
    return _SIZES.sub(b"\n", data[:end], count=1).decode("utf-8") + "\n"


def check_trees(data: bytes, booster: BoosterText) -> None:
    """Raise `UnreadableArtifact` where the text in ``data``, of which ``booster`` was read, is not sound."""
    if b"\r\n" in data[:_FIRST_LINES]:
        raise _unsound("its lines end as Windows ends them, so that the sizes of its trees are wrong")
    begin, end = data.find(b"\nTree=0\n") + 1, data.find(_END)
    header = _entries(data[: begin or max(end, 0)].split(b"\n\n", 1)[0].split(b"\n")[1:], _HEADER, "the header")
    _check_header(header, booster)
    if not begin:
        if booster.num_trees:
            raise _unsound("it has trees, and none of them is tree 0")
        return
    places = _places(data, begin, end + 1, booster.num_trees)
    sizes = header.get("tree_sizes", "").split()
    if sizes and [*map(str, (after - before for before, after in pairwise(places)))] != sizes:
        raise _unsound("the sizes of its trees are not those that tree_sizes claims")
    for number, (first, after) in enumerate(pairwise(places)):
        _Tree(data[first:after], number, len(booster.feature_names)).check()


def _check_header(header: Mapping[str, str], booster: BoosterText) -> None:
    outputs = _whole(header.get("num_tree_per_iteration", ""), "num_tree_per_iteration")
    if outputs < 1 or outputs != booster.num_class:
        raise _unsound(f"it has {booster.num_class} classes and {outputs} trees an iteration")
    if booster.num_trees % outputs:
        raise _unsound(f"it has {booster.num_trees} trees, which do not make whole iterations of {outputs}")
    name, *parameters = booster.objective.split() or [""]
    claimed = [text.partition(":")[2] for text in parameters if text.startswith("num_class:")]
    if name.startswith("multiclass"):
        if claimed != [str(booster.num_class)] or booster.num_class < 2:
            raise _unsound(f"its objective '{booster.objective[:60]}' is not one of {booster.num_class} classes")
    elif name and (claimed or booster.num_class != 1):
        raise _unsound(f"it has {booster.num_class} classes, and the objective '{booster.objective[:60]}'")
    if len(set(booster.feature_names)) != len(booster.feature_names):
        raise _unsound("two of its features have one name")


def _places(data: bytes, begin: int, end: int, trees: int) -> list[int]:
    """Return where each tree begins, and where the last one ends."""
    places = [begin]
    for number in range(1, trees):
        place = data.find(b"\nTree=%d\n" % number, places[-1], end) + 1
        if not place:
            raise _unsound(f"tree {number} is not where it should be")
        places.append(place)
    return [*places, end]


class _Tree:
    """One tree's text, from ``Tree=`` to the next one."""

    def __init__(self, text: bytes, number: int, features: int) -> None:
        first, *lines = text.rstrip(b"\n").split(b"\n")
        self.what = f"tree {number}"
        if first != b"Tree=%d" % number:
            raise _unsound(f"{self.what} does not begin as it should")
        self.entries = _entries(lines, _TREE, self.what)
        self.features = features
        self.leaves = _whole(self.entries.get("num_leaves", ""), f"num_leaves of {self.what}")
        self.splits = self.leaves - 1

    def check(self) -> None:
        if self.leaves < 1 or len(self._column("leaf_value")) != self.leaves:
            raise self._unsound("its leaves are not as many as it claims")
        for name in _MORE_LEAF_COLUMNS:
            if self.splits and name in self.entries and len(self._column(name)) != self.leaves:
                raise self._unsound(f"{name} has not {self.leaves} entries")
        for name in _NODE_COLUMNS + _MORE_NODE_COLUMNS:
            needed = self.splits if name in self.entries or name in _NODE_COLUMNS else 0
            if len(self._column(name)) != needed:
                raise self._unsound(f"{name} has not {needed} entries")
        self._check_links()
        self._check_features("split_feature")
        self._check_categories()
        if self.entries.get("is_linear", "0") != "0":
            self._check_linear()

    def _check_links(self) -> None:
        """Each node but the root, and each leaf, has one parent: so no walk from the root leaves them or comes back."""
        if not self.splits:
            return
        children = sorted(self._numbers("left_child") + self._numbers("right_child"))
        if children != [*range(-self.leaves, 0), *range(1, self.splits)]:
            raise self._unsound("its nodes and leaves do not hang together")

    def _check_features(self, name: str) -> None:
        for feature in self._numbers(name):
            if not 0 <= feature < self.features:
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
        for kind, threshold in zip(self._numbers("decision_type"), self._column("threshold"), strict=True):
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
        self._check_features("leaf_features")

    def _column(self, name: str) -> list[str]:
        return self.entries.get(name, "").split()

    def _numbers(self, name: str) -> list[int]:
        try:
            return [*map(int, self._column(name))]
        except ValueError:
            raise self._unsound(f"{name} holds something else than whole numbers") from None

    def _unsound(self, what: str) -> UnreadableArtifact:
        return _unsound(f"{self.what}: {what}")


def _entries(lines: list[bytes], known: Set[str], what: str) -> dict[str, str]:
    """Return what stands before and after the ``=`` of each line; a line without one is an entry without a value."""
    found: dict[str, str] = {}
    for line in lines:
        try:
            name, _, value = line.decode("utf-8").partition("=")
        except UnicodeDecodeError:
            raise _unsound(f"{what} is not UTF-8") from None
        if name not in known or name in found:
            raise _unsound(f"{what} has '{name[:40]}' in it" + (" twice" if name in found else ""))
        found[name] = value
    return found


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise _unsound(f"{name} is {text[:40]!r}, no whole number")
    return int(text)


def _unsound(what: str) -> UnreadableArtifact:
    return UnreadableArtifact("bad-model", f"LightGBM cannot use the model: {what}.", _REMEDY)
