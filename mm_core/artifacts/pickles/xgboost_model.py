"""XGBoost models in pickles: from the bytes of the file to the JSON that XGBoost itself would save."""

from __future__ import annotations

import json
from typing import NoReturn

from mm_core import strict_json
from mm_core.artifacts.pickles.decoding import CannotDecode, buffer_of
from mm_core.artifacts.pickles.interpreter import DEFAULT_LIMITS, read_pickle
from mm_core.artifacts.pickles.nodes import Call, Global, Items, Pairs
from mm_core.artifacts.pickles.refusals import SAVE_AS_JSON, too_large
from mm_core.artifacts.pickles.ubjson import ubjson_to_json
from mm_core.errors import UnreadableArtifact

_BOOSTER = "xgboost.core.Booster"
_WRAPPERS = frozenset(
    f"XGB{kind}" for kind in ("Model", "Regressor", "Classifier", "Ranker", "RFRegressor", "RFClassifier")
)
_DASK_WRAPPERS = frozenset(f"Dask{name}" for name in _WRAPPERS)
_MODEL = "Model"
MOST_JSON_VALUES = 4_000_000
"""A value takes some hundred bytes of memory, and two or three of the text."""


def read_model_json(data: bytes) -> bytes:
    """Return the model in a pickle as the JSON text that XGBoost would save, without running the pickle.

    A ``Booster``, one of the sklearn wrappers, or a dict that holds one of them under ``booster`` or ``model``. The
    text is UTF-8; its numbers equal XGBoost's own, float32 for float32. Like XGBoost's writer it says ``NaN``,
    ``Infinity`` and ``-Infinity`` for numbers that are not finite, which XGBoost reads and strict JSON does not.

    A wrapper may mention a function of the training script (``__main__.my_objective``): the function is neither needed
    for predictions nor looked up. Raises `UnreadableArtifact`.
    """
    node = read_pickle(data, DEFAULT_LIMITS, script_names=True)
    booster = _booster_of(node)
    return _json_of(_handle_of(booster))


def _booster_of(node: object) -> Call:
    if isinstance(node, Pairs):
        held = _entry(node, "booster")
        if held is None:
            held = _entry(node, "model")
        if held is None:
            _refuse("a dict without 'booster' and 'model'")
        node = held
    if isinstance(node, Call) and _is_wrapper(node.path):
        inner = _entry(node.state, "_Booster")
        if inner is None:
            raise UnreadableArtifact(
                "unfitted-model",
                f"The pickle holds an {_last(node.path)} that was never fitted.",
                "Fit the model, then save it again.",
            )
        node = inner
    if not isinstance(node, Call) or node.path != _BOOSTER:
        _refuse(_what(node))
    return node


def _is_wrapper(path: str) -> bool:
    package, _, name = path.rpartition(".")
    return package.partition(".")[0] == "xgboost" and name in _WRAPPERS | _DASK_WRAPPERS


def _handle_of(booster: Call) -> bytes | bytearray:
    handle = _entry(booster.state, "handle")
    if handle is None:
        raise UnreadableArtifact("unfitted-model", "The pickle holds a Booster without a model in it.", SAVE_AS_JSON)
    try:
        return buffer_of(handle)
    except CannotDecode:
        _refuse("a Booster whose bytes are of an unknown kind")


def _entry(node: object, name: str) -> object:
    if isinstance(node, Pairs):
        for key, value in node.entries:
            if isinstance(key, str) and key == name:
                return value
    return None


def _json_of(handle: bytes | bytearray) -> bytes:
    if handle[:2] == b"{L":
        span = ubjson_to_json(handle, frozenset([_MODEL, "learner"]))
        model = span.entries.get(_MODEL)
        if model is None and "learner" in span.entries:
            model = ubjson_to_json(handle, frozenset()).whole
        if model is None or model[:1] != b"{":
            _refuse("a Booster whose bytes hold no model")
        return model
    if handle[:1] == b"{":
        return _unwrapped(bytes(handle))
    version = "1.0 to 1.2" if handle[:14] == b"CONFIG-offset:" else "before 1.0"
    raise UnreadableArtifact(
        "old-model-format",
        f"The model is in the binary format that XGBoost {version} pickled; current XGBoost cannot read it either."
        if version == "1.0 to 1.2"
        else "The model is in a binary format that XGBoost no longer reads.",
        SAVE_AS_JSON,
    )


def _unwrapped(text: bytes) -> bytes:
    """Return JSON text, or its entry ``Model``, as it was written; with NaN or Infinity, as it is written anew."""
    try:
        text.decode("utf-8")
        document = strict_json.decode_as(text, dict[str, strict_json.RawJson])
        model = document.get(_MODEL)
        kept = text if model is None else bytes(model)
        entries = strict_json.decode_as(kept, dict[str, strict_json.RawJson])
    except (strict_json.NotJson, UnicodeDecodeError) as error:
        if b"NaN" in text or b"Infinity" in text:
            return _rewritten(text)
        raise _damaged(error) from None
    if "learner" not in entries:
        _refuse("a Booster whose bytes hold no model")
    return kept


def _rewritten(text: bytes) -> bytes:
    """Return what `_unwrapped` does for text that strict JSON refuses; doubles keep the value of their text."""
    values = sum(map(text.count, (b",", b"[", b"{")))
    if values > MOST_JSON_VALUES:
        raise too_large(f"its booster has {values} values, {MOST_JSON_VALUES} are read where some are not finite")
    try:
        document = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(error) from None
    model = document.get(_MODEL, document)
    if not isinstance(model, dict) or "learner" not in model:
        _refuse("a Booster whose bytes hold no model")
    try:
        return json.dumps(model, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except (ValueError, RecursionError):
        _refuse("a Booster whose JSON cannot be written again")


def _damaged(error: Exception) -> UnreadableArtifact:
    detail = str(error)[:80].encode("ascii", "backslashreplace").decode("ascii")
    return UnreadableArtifact("broken-pickle", f"The booster's JSON is damaged ({detail}).", SAVE_AS_JSON)


def _what(node: object) -> str:
    if isinstance(node, Call) and node.path:
        path = node.path
        kind = {"sklearn.pipeline.Pipeline": "a scikit-learn pipeline"}.get(path)
        if path == "joblib.numpy_pickle.NumpyArrayWrapper":
            return "a file that joblib wrote"
        return f"{kind} ({path})" if kind else f"an object of {path}"
    if isinstance(node, Global):
        return f"the name {node.known.path}"
    names = {
        list: "a list",
        tuple: "a tuple",
        str: "text",
        Pairs: "a dict",
        Items: "a set",
        Call: "a computed value",
        type(None): "None",
        bool: "a truth value",
    }
    return names.get(type(node), f"a value of type {type(node).__name__}")


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _refuse(what: str) -> NoReturn:
    raise UnreadableArtifact(
        "unsupported-model",
        f"The pickle holds {what}, not an XGBoost Booster or one of its sklearn wrappers.",
        f"Take the booster out of it (model.get_booster()). {SAVE_AS_JSON}",
    )
