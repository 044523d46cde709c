"""What a model may cost before it is decoded: a value takes many times its text, so texts are bounded first."""

from __future__ import annotations

from mm_core import strict_json
from mm_core.artifacts.readers.model_numbers import whole_number
from mm_core.artifacts.readers.model_refusals import bad
from mm_core.artifacts.readers.model_trees import TreeParameters

LARGEST_BESIDE_TREES = 64 << 20
MOST_VALUES_BESIDE_TREES = 4_000_000
"""Bytes and values of a document without its trees: a million names of features with their types are two million."""

LARGEST_UNMEASURED_TREE = 1 << 20
"""Bytes of a tree that is decoded before its columns are counted: a tree of this size has some ten thousand nodes."""


class _Columns(strict_json.Record):
    """A tree whose columns are left as text."""

    tree_param: TreeParameters
    left_children: strict_json.RawJson = strict_json.RawJson()
    right_children: strict_json.RawJson = strict_json.RawJson()
    parents: strict_json.RawJson = strict_json.RawJson()
    split_indices: strict_json.RawJson = strict_json.RawJson()
    split_conditions: strict_json.RawJson = strict_json.RawJson()
    default_left: strict_json.RawJson = strict_json.RawJson()
    base_weights: strict_json.RawJson = strict_json.RawJson()
    loss_changes: strict_json.RawJson = strict_json.RawJson()
    sum_hessian: strict_json.RawJson = strict_json.RawJson()
    split_type: strict_json.RawJson = strict_json.RawJson()
    categories_nodes: strict_json.RawJson = strict_json.RawJson()
    categories_segments: strict_json.RawJson = strict_json.RawJson()
    categories_sizes: strict_json.RawJson = strict_json.RawJson()
    leaf_weights: strict_json.RawJson = strict_json.RawJson()


_COLUMNS = tuple(name for name in _Columns.__annotations__ if name != "tree_param")


def check_beside_trees(text: bytes) -> None:
    """Raise `UnreadableArtifact` where a model without its trees is larger than any that was trained."""
    values = sum(map(text.count, (b",", b"[", b"{")))
    if len(text) > LARGEST_BESIDE_TREES or values > MOST_VALUES_BESIDE_TREES:
        raise bad(
            f"What stands beside the trees has {len(text):,} bytes and {values:,} values; {LARGEST_BESIDE_TREES:,} and "
            f"{MOST_VALUES_BESIDE_TREES:,} are read."
        )


def check_columns(tree: bytes, number: int) -> None:
    """Raise `UnreadableArtifact` where a large tree has columns that are longer than its nodes need.

    Raises `NotJson` for text that is no tree.
    """
    if len(tree) <= LARGEST_UNMEASURED_TREE:
        return
    columns = strict_json.decode_as(tree, _Columns)
    nodes = whole_number(columns.tree_param.num_nodes, f"num_nodes of tree {number}")
    width = max(whole_number(columns.tree_param.size_leaf_vector, f"size_leaf_vector of tree {number}"), 1)
    for name in _COLUMNS:
        entries = bytes(getattr(columns, name)).count(b",") + 1
        needed = nodes * width if name in {"base_weights", "leaf_weights"} else nodes
        if entries > max(needed, 1):
            raise bad(f"{name} of tree {number} has {entries:,} entries for {nodes:,} nodes.")
