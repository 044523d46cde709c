"""Scalers of scikit-learn in pickles: centre and scale of each column, from the numbers that the file holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mm_core.artifacts.pickles.decode_numpy import array_of
from mm_core.artifacts.pickles.decode_values import new_decoding
from mm_core.artifacts.pickles.decoding import CannotDecode, Decoding
from mm_core.artifacts.pickles.interpreter import read_pickle
from mm_core.artifacts.pickles.nodes import Call, Pairs, PickleLimits
from mm_core.artifacts.pickles.refusals import unsupported

SCALER_LIMITS = PickleLimits(file_bytes=64 << 20)

FOR_ALL_MODELS = ("features", "feature_scaler", "X")
"""Keys of a dict of scalers under which the one of the features stands, where none stands under the model's name."""

SMALLEST_SCALE = 1e-12
"""Whoever is given a smaller one divides by 1 instead, and the training did not."""

_SCALERS = {
    "StandardScaler": ("with_mean", "mean_", "with_std", "scale_"),
    "RobustScaler": ("with_centering", "center_", "with_scaling", "scale_"),
}
"""Those that compute (x - centre) / scale: whether they take the centre and where it is, and the same of the scale."""


@dataclass(frozen=True, slots=True)
class Scaler:
    """(x - ``centre``) / ``scale`` of each column; ``feature_names`` is empty where it was fitted without names."""

    kind: str
    feature_names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]


def read_scaler(data: bytes, model: str) -> Scaler:
    """Return the scaler of a model's features in a pickle, without running the pickle.

    The file holds one scaler, or a dict with one under the model's name or one of `FOR_ALL_MODELS`: which one of
    others is meant is never guessed. Raises `UnreadableArtifact` for anything else than a fitted ``StandardScaler`` or
    ``RobustScaler`` whose numbers are finite and can be divided by.
    """
    node = read_pickle(data, SCALER_LIMITS)
    if isinstance(node, Pairs):
        node = _chosen(_attributes(node), model)
    kind = _kind_of(node)
    if kind is None or not isinstance(node, Call):
        raise unsupported(f"The file holds {_what(node)}; {' and '.join(_SCALERS)} of scikit-learn are read.")
    decoding = new_decoding(SCALER_LIMITS)
    try:
        return decoding.attempt(lambda: _scaler(decoding, kind, node))
    except CannotDecode as error:
        raise unsupported(f"The {kind} cannot be read: {error}.") from None


def _chosen(entries: dict[str, object], model: str) -> object:
    for key in (model, *FOR_ALL_MODELS):
        if key in entries:
            return entries[key]
    listed = ", ".join(repr(key[:40]) for key in list(entries)[:10])
    raise unsupported(
        f"The file holds a dict with {listed or 'nothing'}: none of it is under '{model}' or "
        f"{', '.join(map(repr, FOR_ALL_MODELS))}, and nothing tells which one normalized the features of '{model}'."
    )


def _scaler(decoding: Decoding, kind: str, call: Call) -> Scaler:
    if call.arguments or call.items or call.pairs or call.keywords is not None or not isinstance(call.state, Pairs):
        raise CannotDecode("it is made in a way in which scikit-learn makes none")
    state = _attributes(call.state)
    takes_centre, centre_name, takes_scale, scale_name = _SCALERS[kind]
    centre = _numbers(decoding, state, centre_name) if _flag(decoding, state, takes_centre) else None
    scale = _numbers(decoding, state, scale_name) if _flag(decoding, state, takes_scale) else None
    columns = decoding.plain(state.get("n_features_in_"))
    lengths = {len(column) for column in (centre, scale) if column is not None}
    if isinstance(columns, int) and not isinstance(columns, bool):
        lengths.add(columns)
    if len(lengths) != 1:
        raise CannotDecode(f"nothing tells its number of columns, or two things do ({sorted(lengths)})")
    (count,) = lengths
    names = _names(decoding, state, count)
    if scale is not None and not all(one >= SMALLEST_SCALE for one in scale):
        raise CannotDecode(f"a scale is below {SMALLEST_SCALE}, by which nobody else would divide")
    decoding.spend(2 * count)
    return Scaler(kind, names, centre or (0.0,) * count, scale or (1.0,) * count)


def _attributes(node: Pairs) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in node.entries:
        if not isinstance(key, str) or key in found:
            raise unsupported("A dict of the file has a key that is no text, or one twice.")
        found[key] = value
    return found


def _flag(decoding: Decoding, state: dict[str, object], name: str) -> bool:
    value = decoding.plain(state.get(name))
    if not isinstance(value, bool):
        raise CannotDecode(f"its {name} is neither true nor false")
    return value


def _numbers(decoding: Decoding, state: dict[str, object], name: str) -> tuple[float, ...]:
    if state.get(name) is None:
        raise CannotDecode(f"it has no {name}: it was never fitted")
    array = array_of(decoding, state[name])
    numbers = tuple(number for number in array.values if isinstance(number, float) and math.isfinite(number))
    if array.type.kind != "f" or len(array.shape) != 1 or len(numbers) != len(array.values):
        raise CannotDecode(f"its {name} is no column of finite numbers")
    return numbers


def _names(decoding: Decoding, state: dict[str, object], count: int) -> tuple[str, ...]:
    if state.get("feature_names_in_") is None:
        return ()
    array = array_of(decoding, state["feature_names_in_"])
    names = tuple(name for name in array.values if isinstance(name, str) and name.strip() and name.isprintable())
    if array.type.kind not in "OU" or array.shape != (count,) or len(set(names)) != count:
        raise CannotDecode("its feature_names_in_ is no name for each column")
    return names


def _kind_of(node: object) -> str | None:
    if not isinstance(node, Call) or not node.path.startswith("sklearn.preprocessing."):
        return None
    name = node.path.rpartition(".")[2]
    return name if name in _SCALERS else None


def _what(node: object) -> str:
    return f"an object of {node.path}" if isinstance(node, Call) and node.path else f"a {type(node).__name__}"
