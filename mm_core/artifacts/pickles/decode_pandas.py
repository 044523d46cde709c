"""pandas' frames, series and indexes, of 0.25 to 3.x, from the nodes of their pickles; pandas itself is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_core.artifacts.pickles.decode_columns import row_lists, values_of
from mm_core.artifacts.pickles.decode_numpy import array_of, whole_numbers
from mm_core.artifacts.pickles.decode_times import NOT_A_TIME, seconds, timestamp_text, zone_of
from mm_core.artifacts.pickles.decoding import TIME_CELLS, CannotDecode, Decoding, written_cells
from mm_core.artifacts.pickles.nodes import Call, Global

_INDEX_MAKERS = frozenset(["pandas._new_Index", "pandas._new_DatetimeIndex", "pandas._new_TimedeltaIndex"])
_BLOCK_MAKERS = frozenset(["pandas._unpickle_block", "pandas.new_block", "pandas.make_block"])
_RESOLUTIONS = {7: "s", 8: "ms", 9: "us", 10: "ns"}


@dataclass(frozen=True, slots=True)
class Index:
    """The labels of one axis, level by level."""

    names: list[str | None]
    levels: list[list[object]]

    def __len__(self) -> int:
        return len(self.levels[0])

    def labels(self) -> list[object]:
        """Return one label for every place; those of several levels become lists."""
        return self.levels[0] if len(self.levels) == 1 else [list(label) for label in zip(*self.levels, strict=True)]


def decode_frame(decoding: Decoding, call: Call) -> list[dict[str, object]]:
    """Return a frame as a list of rows; an index that says something comes before the columns.

    It says something when it has a name, or holds text: the numbers that rows get by themselves do not.
    """
    axes, blocks = _manager_of(decoding, call)
    columns, index = _index_of(decoding, axes[0]), _index_of(decoding, axes[1])
    names = [decoding.key(label) for label in columns.labels()]
    values: list[Sequence[object] | None] = [None] * len(names)
    for content, placement in blocks:
        places = _places(decoding, placement, len(names))
        for place, column in zip(places, _columns(decoding, content, len(places), len(index)), strict=True):
            if len(column) != len(index):
                raise CannotDecode("a column has another length than the index")
            values[place] = column
    if None in values:
        raise CannotDecode("a frame has a column without values")
    named = _index_columns(index) + [(name, column or ()) for name, column in zip(names, values, strict=True)]
    decoding.spend(len(index) * (1 + sum(written_cells(name) for name, _ in named)))
    return [{name: column[row] for name, column in named} for row in range(len(index))]


def _columns(decoding: Decoding, content: object, count: int, rows: int) -> list[list[object]]:
    """Return the columns of a block; one of a kind that is not read costs only itself."""
    try:
        return decoding.attempt(lambda: row_lists(decoding, content))
    except CannotDecode:
        decoding.spend(count * rows)
        return [[decoding.unreadable()] * rows for _ in range(count)]


def _index_columns(index: Index) -> list[tuple[str, Sequence[object]]]:
    if all(name is None for name in index.names):
        says_something = len(index.levels) > 1 or any(isinstance(label, str) for label in index.levels[0])
        if not says_something:
            return []
    if len(index.levels) == 1:
        return [(index.names[0] or "index", index.levels[0])]
    named = enumerate(zip(index.names, index.levels, strict=True))
    return [(name or f"level_{number}", level) for number, (name, level) in named]


def decode_series(decoding: Decoding, call: Call) -> dict[str, object]:
    """Return a series as a dict from label to value."""
    axes, blocks = _manager_of(decoding, call)
    index = _index_of(decoding, axes[0])
    if len(blocks) != 1:
        raise CannotDecode("a series has not one block")
    rows = row_lists(decoding, blocks[0][0])
    if len(rows) != 1 or len(rows[0]) != len(index):
        raise CannotDecode("a series has another length than its index")
    return {decoding.key(label): value for label, value in zip(index.labels(), rows[0], strict=True)}


def decode_index(decoding: Decoding, call: Call) -> list[object]:
    """Return an index as a list of its labels."""
    return _index_of(decoding, call).labels()


def decode_extension_array(decoding: Decoding, call: Call) -> list[object]:
    """Return a pandas array of its own as a list."""
    rows = row_lists(decoding, call)
    return rows[0] if len(rows) == 1 else list(rows)


def decode_timestamp(decoding: Decoding, call: Call) -> str | None:
    """Return a timestamp as ISO text: count since 1970, frequency, zone and, since 1.5, the unit's number."""
    count, _, zone, *resolution = call.arguments
    decoding.spend(TIME_CELLS if zone is None else 3 * TIME_CELLS)
    if not isinstance(count, int):
        raise CannotDecode("a timestamp is no count")
    return (
        None if count == NOT_A_TIME else timestamp_text(count, _unit(resolution), zone_of(decoding, zone, local=True))
    )


def decode_span(decoding: Decoding, call: Call) -> float | None:
    """Return a span of time in seconds."""
    count, *resolution = call.arguments
    decoding.spend(1)
    if not isinstance(count, int):
        raise CannotDecode("a span of time is no count")
    return None if count == NOT_A_TIME else seconds(count, _unit(resolution))


def decode_missing(decoding: Decoding, _: Call) -> None:
    """Return None for NaT and NA."""
    decoding.spend(1)


def _unit(resolution: list[object]) -> str:
    if not resolution:
        return "ns"
    if not isinstance(resolution[0], int) or resolution[0] not in _RESOLUTIONS:
        raise CannotDecode("a time has an unknown unit")
    return _RESOLUTIONS[resolution[0]]


def _manager_of(decoding: Decoding, call: Call) -> tuple[list[object], list[tuple[object, object]]]:
    """Return the axes and the blocks, as contents and placement, of a frame or series."""
    manager = decoding.field(call.state, "_mgr", "_data")
    if not isinstance(manager, Call) or manager.path not in ("pandas.BlockManager", "pandas.SingleBlockManager"):
        raise CannotDecode("a frame has no blocks")
    if isinstance(manager.state, tuple):
        # Before 1.3, and for series until 3.0: three lists of the old kind, then what counts.
        described = decoding.field(manager.state[3], "0.14.1")
        axes, blocks = decoding.field(described, "axes"), decoding.field(described, "blocks")
        if not isinstance(axes, list) or not isinstance(blocks, list):
            raise CannotDecode("a frame has no blocks")
        decoding.spend(len(blocks))
        return axes, [(decoding.field(block, "values"), decoding.field(block, "mgr_locs")) for block in blocks]
    held, axes, *_ = manager.arguments
    if isinstance(held, Call):
        held, axes = (held,), [axes]
    if not isinstance(axes, (list, tuple)) or not isinstance(held, (list, tuple)):
        raise CannotDecode("a frame has no blocks")
    decoding.spend(len(axes) + len(held))
    return list(axes), [_block_parts(block) for block in held]


def _block_parts(block: object) -> tuple[object, object]:
    if not isinstance(block, Call):
        raise CannotDecode("a block is of no known kind")
    # pandas 1.3 writes a partial of its function instead of the function.
    if not isinstance(block.function, Call) and block.path not in _BLOCK_MAKERS:
        raise CannotDecode("a block is of no known kind")
    return block.arguments[0], block.arguments[1]


def _places(decoding: Decoding, placement: object, count: int) -> list[int]:
    if isinstance(placement, Call) and placement.path == "pandas.BlockPlacement":
        placement = placement.arguments[0]
    if isinstance(placement, int):
        places = [placement]
    elif isinstance(placement, Call) and placement.path == "builtins.slice":
        start, stop, step = placement.arguments
        every = range(count)
        chosen = slice(_bound(start), _bound(stop), _bound(step))
        places = list(every[chosen])
    else:
        places = whole_numbers(array_of(decoding, placement))
    decoding.spend(len(places))
    if any(not 0 <= place < count for place in places):
        raise CannotDecode("a block lies outside the columns")
    return places


def _bound(node: object) -> int | None:
    if node is not None and not isinstance(node, int):
        raise CannotDecode("a slice is no numbers")
    return node


def _index_of(decoding: Decoding, node: object) -> Index:
    if not isinstance(node, Call) or node.path not in _INDEX_MAKERS or not isinstance(node.arguments[0], Global):
        raise CannotDecode("an index is of no known kind")
    kind, described = node.arguments[0].known.path, node.arguments[1]
    if kind == "pandas.MultiIndex":
        return _several_levels(decoding, described)
    name = decoding.optional_field(described, "name")
    names = [None if name is None else decoding.key(name)]
    if kind == "pandas.RangeIndex":
        return Index(names, [_counted(decoding, described)])
    zone = zone_of(decoding, decoding.optional_field(described, "tz"), local=False)
    return Index(names, [values_of(decoding, decoding.field(described, "data"), zone)])


def _counted(decoding: Decoding, described: object) -> list[object]:
    bounds = [decoding.field(described, part) for part in ("start", "stop", "step")]
    whole = [bound for bound in bounds if isinstance(bound, int)]
    if len(whole) != 3:
        raise CannotDecode("a range is no numbers")
    counted = range(*whole)
    decoding.spend(len(counted))
    return list(counted)


def _several_levels(decoding: Decoding, described: object) -> Index:
    levels, codes = decoding.field(described, "levels"), decoding.field(described, "codes", "labels")
    names = decoding.field(described, "names")
    if not isinstance(levels, (list, tuple)) or not isinstance(codes, (list, tuple)) or not levels:
        raise CannotDecode("an index has no levels")
    decoding.spend(len(levels) + len(codes))
    labels = [_level_labels(decoding, level) for level in levels]
    chosen = [whole_numbers(array_of(decoding, places)) for places in codes]
    columns: list[list[object]] = []
    for meanings, places in zip(labels, chosen, strict=True):
        columns.append(decoding.chosen(meanings, places))
    if len({len(column) for column in columns}) != 1:
        raise CannotDecode("the levels of an index have different lengths")
    if not isinstance(names, (list, tuple)) or len(names) != len(columns):
        names = [None] * len(columns)
    return Index([None if name is None else decoding.key(name) for name in names], columns)


def _level_labels(decoding: Decoding, level: object) -> list[object]:
    return decoding.deeper(lambda: _index_of(decoding, level)).labels()
