"""The trees of a LightGBM model in text form, and whether LightGBM can walk them without leaving its arrays.

LightGBM trusts the numbers in a model file: a child that is no node ends its process, so does a line among the
parameters that stands elsewhere, a class too many is read from other memory, and a wrong count gives numbers that look
like predictions. So the text is checked before LightGBM sees it, in time linear to its size. The rules are those that
hold for whatever LightGBM itself saves (``Tree::ToString``, ``GBDT::SaveModelToString``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from itertools import islice, pairwise

from mm_core.domain.versions import BoosterText
from mm_core.errors import UnreadableArtifact

CATEGORICAL = 1
"""The bit of a ``decision_type`` that tells a split on categories from one on a threshold."""

REMEDY = "Save the model again with booster.save_model('model.txt')."
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


def predicting_text(data: bytes) -> str:
    """Return the part of a sound model's text that predicts: header and trees, for LightGBM to read one by one.

    Parameters of the training and importances stay behind, and so do the sizes of the trees: by these LightGBM reads
    them side by side, and ends its process where one does not parse. Raises `UnreadableArtifact` for a model that was
    trained on columns of categories in pandas, as it does not say which columns they were.
    """
    end = data.find(_END) + len(_END)
    if _CATEGORIES.search(data, end):
        raise UnreadableArtifact(
            "bad-model",
            "The model was trained on columns of categories, and does not say which are which.",
            "Train it with numbers as codes and categorical_feature.",
        )
    return _SIZES.sub(b"\n", data[:end], count=1).decode("utf-8") + "\n"


def check_line_ends(first: bytes) -> None:
    """Raise `UnreadableArtifact` where the first line of a model ends as Windows ends lines."""
    if first.endswith(b"\r"):
        raise unsound("its lines end as Windows ends them, so that the sizes of its trees are wrong")


def add_header_line(header: dict[str, str], line: bytes) -> None:
    """Take a line of a header; raise `UnreadableArtifact` for one that LightGBM does not write, or that was there."""
    _add(header, line, _HEADER, "the header")


def check_header(header: Mapping[str, str], booster: BoosterText) -> None:
    """Raise `UnreadableArtifact` where a header contradicts the ``booster`` that was read with it."""
    outputs = _whole(header.get("num_tree_per_iteration", ""), "num_tree_per_iteration")
    if outputs < 1 or outputs != booster.num_class:
        raise unsound(f"it has {booster.num_class} classes and {outputs} trees an iteration")
    if booster.num_trees % outputs:
        raise unsound(f"it has {booster.num_trees} trees, which do not make whole iterations of {outputs}")
    name, *parameters = booster.objective.split() or [""]
    claimed = [text.partition(":")[2] for text in parameters if text.startswith("num_class:")]
    if name.startswith("multiclass"):
        if claimed != [str(booster.num_class)] or booster.num_class < 2:
            raise unsound(f"its objective '{booster.objective[:60]}' is not one of {booster.num_class} classes")
    elif name and (claimed or booster.num_class != 1):
        raise unsound(f"it has {booster.num_class} classes, and the objective '{booster.objective[:60]}'")
    if len(set(booster.feature_names)) != len(booster.feature_names):
        raise unsound("two of its features have one name")


class TreeText:
    """One tree's lines behind ``Tree=``, of a booster of so many ``features``; blank ones at the end do not count.

    Raises `UnreadableArtifact` for a line that no tree has, or that stands twice.
    """

    def __init__(self, lines: Sequence[bytes], number: int, features: int) -> None:
        self.what = f"tree {number}"
        self.entries: dict[str, str] = {}
        last = len(lines)
        while last and not lines[last - 1]:
            last -= 1
        for line in islice(lines, last):
            if not line.isascii():  # Python parts words at spaces that LightGBM does not know
                raise self._unsound("it has other characters than those of numbers and names")
            _add(self.entries, line, _TREE, self.what)
        self.features = features
        self.leaves = _whole(self.entries.get("num_leaves", ""), f"num_leaves of {self.what}")
        self.splits = self.leaves - 1

    @property
    def split_features(self) -> list[int]:
        """The feature of each node; raises `UnreadableArtifact`."""
        return self._numbers("split_feature")

    @property
    def split_gains(self) -> list[str]:
        """The gain of each node, as it is written."""
        return self._column("split_gain")

    def check(self) -> None:
        """Raise `UnreadableArtifact` where LightGBM would leave its arrays, or walk without end."""
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
        return unsound(f"{self.what}: {what}")


def _add(found: dict[str, str], line: bytes, known: Set[str], what: str) -> None:
    """Take what stands before and after the ``=`` of a line; a line without one is an entry without a value."""
    try:
        name, _, value = line.decode("utf-8").partition("=")
    except UnicodeDecodeError:
        raise unsound(f"{what} is not UTF-8") from None
    if name not in known or name in found:
        raise unsound(f"{what} has '{name[:40]}' in it" + (" twice" if name in found else ""))
    found[name] = value


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise unsound(f"{name} is {text[:40]!r}, no whole number")
    return int(text)


def unsound(what: str) -> UnreadableArtifact:
    """Return the error of a model that LightGBM cannot use."""
    return UnreadableArtifact("bad-model", f"LightGBM cannot use the model: {what}.", REMEDY)
