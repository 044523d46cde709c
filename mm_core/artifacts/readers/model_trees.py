"""The trees of a booster in XGBoost's JSON form, and whether XGBoost can walk them without leaving its arrays.

XGBoost trusts the numbers in a model file: a child that is no node, a loop or a wild leaf size ends its process. So
each tree is checked before anybody is given it, in time linear to its size. The rules are those that hold for whatever
XGBoost itself saves; they follow from how its trees are laid out (``RegTree`` and ``MultiTargetTree``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from mm_core.artifacts.readers.model_numbers import LARGEST_FLOAT32, whole_number
from mm_core.artifacts.readers.model_refusals import REMEDY, TRAIN_AGAIN, unsound
from mm_core.strict_json import MISSING, Missing

LEAF = -1
"""What stands for the child of a leaf."""

NO_PARENT = frozenset([LEAF, 2**31 - 1])
"""What stands for the parent of the root: the second for trees whose leaves hold one number."""

DELETED = 2**31 - 1
"""The split index of a node that pruning removed, with 1 as its ``default_left``; its place stays in the arrays."""

MOST_LEVELS = 4096
"""Levels of a tree: XGBoost walks some of its trees by recursion."""

LARGEST_CATEGORY = 1 << 24
"""XGBoost's own bound, as categories are held as float32."""

Number = float | int
"""JSON has one kind of number; XGBoost has two, and takes no whole number where it wrote a float."""


@dataclass(slots=True)
class TreeParameters:
    """``tree_param``: whole numbers, written as text."""

    num_nodes: str
    num_deleted: str
    num_feature: str
    size_leaf_vector: str


@dataclass(slots=True)
class Tree:
    """One tree: a column a property, a place a node; node 0 is the root.

    Where leaves hold a vector, XGBoost 3.2 keeps these one after the other in ``leaf_weights``, and needs all of
    ``loss_changes``, ``sum_hessian`` and ``split_type`` too. Before it the vectors stood at the nodes' places in
    ``base_weights`` and none of these four columns was written but the last: XGBoost 3.2 crashes on what is missing.
    Trees without ``split_type`` need no column of categories either.
    """

    tree_param: TreeParameters
    id: int
    left_children: list[int]
    right_children: list[int]
    parents: list[int]
    split_indices: list[int]
    split_conditions: list[Number]
    default_left: list[bool | int]
    base_weights: list[Number]
    loss_changes: list[Number] | Missing = MISSING
    sum_hessian: list[Number] | Missing = MISSING
    split_type: list[int] | Missing = MISSING
    categories: list[int] | Missing = MISSING
    categories_nodes: list[int] | Missing = MISSING
    categories_segments: list[int] | Missing = MISSING
    categories_sizes: list[int] | Missing = MISSING
    leaf_weights: list[Number] | Missing = MISSING


_FLOATS = ("split_conditions", "base_weights", "loss_changes", "sum_hessian", "leaf_weights")
_OF_VECTORS = ("leaf_weights", "loss_changes", "sum_hessian", "split_type")
_OF_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")


def only_floats(column: Iterable[Number]) -> bool:
    """Whether each number is written as a float, ``1E0`` or ``1.0``: XGBoost takes no ``1`` for one."""
    return set(map(type, column)) <= {float}


def check_tree(tree: Tree, number: int, features: int, outputs: int) -> int:
    """Return how many numbers a leaf of ``tree`` holds; raise `UnreadableArtifact` where the tree is not sound.

    ``number`` is the tree's place in the model, ``features`` and ``outputs`` are the model's.
    """
    return _Check(tree, number, features, outputs).run()


class _Check:
    def __init__(self, tree: Tree, number: int, features: int, outputs: int) -> None:
        self.tree = tree
        self.number = number
        self.features = features
        self.outputs = outputs
        parameters = tree.tree_param
        self.nodes = whole_number(parameters.num_nodes, f"num_nodes of tree {number}")
        self.deleted = whole_number(parameters.num_deleted, f"num_deleted of tree {number}")
        whole_number(parameters.num_feature, f"num_feature of tree {number}")
        self.width = max(whole_number(parameters.size_leaf_vector, f"size_leaf_vector of tree {number}"), 1)

    def run(self) -> int:
        if self.nodes < 1:
            self._refuse("it has no nodes")
        if self.tree.id != self.number:
            self._refuse(f"its id is {self.tree.id}")
        if self.width not in {1, self.outputs}:
            self._refuse(f"a leaf holds {self.width} numbers, the model has {self.outputs} outputs")
        self._check_lengths()
        inner = self._walk()
        self._check_splits(inner)
        self._check_categories()
        return self.width

    def _check_lengths(self) -> None:
        tree = self.tree
        self._check_presence()
        columns: list[tuple[str, Sequence[object] | Missing, int]] = [
            ("left_children", tree.left_children, self.nodes),
            ("right_children", tree.right_children, self.nodes),
            ("parents", tree.parents, self.nodes),
            ("split_indices", tree.split_indices, self.nodes),
            ("split_conditions", tree.split_conditions, self.nodes),
            ("default_left", tree.default_left, self.nodes),
            ("base_weights", tree.base_weights, self.nodes * self.width),
            ("loss_changes", tree.loss_changes, self.nodes),
            ("sum_hessian", tree.sum_hessian, self.nodes),
            ("split_type", tree.split_type, self.nodes),
        ]
        for name, column, length in columns:
            if column is not MISSING and len(column) != length:
                self._refuse(f"{name} has {len(column)} entries for {self.nodes} nodes, {length} are needed")
        for name in _FLOATS:
            column = getattr(tree, name)
            if column is not MISSING and not only_floats(column):
                self._refuse(f"{name} holds whole numbers, which XGBoost does not take for floats")

    def _check_presence(self) -> None:
        """Refuse a tree without a column that XGBoost 3.2 looks for in trees of its kind."""
        if self.width > 1 and (missing := self._missing(_OF_VECTORS)):
            self._refuse(
                f"its leaves hold vectors, and it has no {', '.join(missing)}, which XGBoost 3.2 needs and older "
                "ones did not write",
                TRAIN_AGAIN,
            )
        needed = ("loss_changes", "sum_hessian", *(() if self.tree.split_type is MISSING else _OF_CATEGORIES))
        if missing := self._missing(needed):
            self._refuse(f"{missing[0]} is missing")

    def _missing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if getattr(self.tree, name) is MISSING]

    def _walk(self) -> list[int]:
        """Return the nodes that split, each of them reached once from the root; nobody else's children, no loop."""
        left, right, parents = self.tree.left_children, self.tree.right_children, self.tree.parents
        nodes = self.nodes
        if parents[0] not in NO_PARENT:
            self._refuse(f"its root has the parent {parents[0]}")
        if nodes > 1 and not 0 <= min(parents[1:]) <= max(parents[1:]) < nodes:
            self._refuse("a node's parent is none of its nodes")
        inner = []
        level = [0]
        reached = 0
        levels = 0
        while level:
            levels += 1
            reached += len(level)
            if levels > MOST_LEVELS:
                self._refuse(f"it has more than {MOST_LEVELS} levels")
            below: list[int] = []
            for node in level:
                first = left[node]
                if first == LEAF:
                    continue
                second = right[node]
                if not (0 < first < nodes and 0 < second < nodes):
                    self._refuse(f"node {node} has the children {first} and {second}; it has {nodes} nodes")
                if first == second or parents[first] != node or parents[second] != node:
                    self._refuse(f"the children {first} and {second} of node {node} are not its own")
                inner.append(node)
                below += (first, second)
            level = below
        self._check_removed(inner, reached)
        self._check_leaves(inner)
        return inner

    def _check_removed(self, inner: list[int], reached: int) -> None:
        """Refuse nodes that are neither reached from the root nor removed, and those that are both."""
        indices = self.tree.split_indices
        highest = max(indices)
        if highest > DELETED:
            self._refuse(f"a node splits on feature {highest}")
        removed = indices.count(DELETED) if highest == DELETED else 0
        if removed != self.deleted or reached + removed != self.nodes:
            self._refuse(
                f"{reached} of {self.nodes} nodes are reached from the root, {removed} are marked as removed, "
                f"{self.deleted} are said to be"
            )
        if not removed:
            return
        left, right = self.tree.left_children, self.tree.right_children
        at_root = {0, *(left[node] for node in inner), *(right[node] for node in inner)}
        for node, index in enumerate(indices):
            if index == DELETED and (node in at_root or left[node] != LEAF or not self.tree.default_left[node]):
                self._refuse(f"node {node} is marked as removed and is none that pruning leaves")

    def _check_leaves(self, inner: list[int]) -> None:
        right = self.tree.right_children
        weights = self.tree.leaf_weights
        if weights is MISSING or self.width == 1:
            return
        leaves = self.nodes - len(inner)
        if len(weights) != leaves * self.width:
            self._refuse(f"leaf_weights has {len(weights)} entries for {leaves} leaves of {self.width} numbers")
        at_leaves = set(range(self.nodes)).difference(inner)
        if not all(0 <= right[node] < leaves for node in at_leaves):
            self._refuse("a leaf points beyond leaf_weights")

    def _check_splits(self, inner: list[int]) -> None:
        indices = self.tree.split_indices
        for node in inner:
            if not 0 <= indices[node] < self.features:
                self._refuse(f"node {node} splits on feature {indices[node]}; the model has {self.features}")
        if min(indices) < 0:
            self._refuse("a split index is negative")
        if not all(choice in (0, 1) for choice in set(self.tree.default_left)):
            self._refuse("default_left holds something else than 0 and 1")

    def _check_categories(self) -> None:
        tree = self.tree
        kinds = tree.split_type
        listed = tree.categories_nodes or []
        categories, begins, sizes = tree.categories or [], tree.categories_segments or [], tree.categories_sizes or []
        if kinds is not MISSING and not set(kinds) <= {0, 1}:
            self._refuse("split_type holds something else than 0 and 1")
        if kinds is MISSING or 1 not in kinds:
            if listed:
                self._refuse("it lists categories of nodes that split by number")
            return
        if listed != [node for node, kind in enumerate(kinds) if kind == 1]:
            self._refuse("categories_nodes are not the nodes that split by category")
        if not len(listed) == len(begins) == len(sizes):
            self._refuse("categories_segments and categories_sizes have not one entry a node that splits by category")
        for begin, size in zip(begins, sizes, strict=True):
            if begin < 0 or size < 1 or begin + size > len(categories):
                self._refuse(f"it has {len(categories)} categories, a node takes {size} from {begin} on")
        if not 0 <= min(categories) <= max(categories) < LARGEST_CATEGORY:
            self._refuse("a category is out of range")

    def _refuse(self, what: str, remedy: str = REMEDY) -> NoReturn:
        raise unsound(f"Tree {self.number} of the model is not sound: {what}.", remedy)


def leaves_out_of_range(tree: Tree) -> int:
    """Return how many numbers in the leaves of a sound tree no float32 can hold."""
    leaves = [node for node, child in enumerate(tree.left_children) if child == LEAF]
    if len(tree.base_weights) > len(tree.left_children) and tree.leaf_weights is not MISSING:
        values: Iterable[float] = tree.leaf_weights
    else:
        values = (tree.split_conditions[node] for node in leaves)
    return sum(abs(value) > LARGEST_FLOAT32 for value in values)
