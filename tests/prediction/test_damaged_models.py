"""Models that lie: each is refused with a reason, and none ends the process that predicts."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from mm_core.errors import ModelUnusable
from mm_core.prediction import Predictor
from tests.prediction.training import FEATURES, NAMES, SCORE, Files, lightgbm_booster, rows_of, xgboost_booster

ROWS = rows_of(FEATURES[:5])
SIZES = re.compile(r"tree_sizes=.*\n")


def model_text(objective: str = "multiclass") -> str:
    """Return a model that makes no claim about the sizes of its trees, so that it can be changed."""
    return SIZES.sub("", lightgbm_booster(objective).model_to_string())


def _with(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)


LIES: dict[str, tuple[Callable[[str], str], str]] = {
    "nothing": (lambda _: "", "does not begin with 'tree'"),
    "something else": (lambda _: "\0\1\2" * 100, "no LightGBM model"),
    "cut in the middle": (lambda text: text[: len(text) // 2], "it is cut"),
    "cut between trees": (lambda text: text[: text.index("Tree=6")], "it is cut"),
    "a tree less": (lambda text: re.sub(r"Tree=17\n.*?end of trees", "end of trees", text, flags=re.DOTALL), "trees"),
    "fewer features": (_with("^max_feature_idx=3", "max_feature_idx=1"), "feature"),
    "fewer features and names": (
        lambda text: text.replace("max_feature_idx=3", "max_feature_idx=0").replace(" ".join(NAMES), NAMES[0]),
        "splits on feature",
    ),
    "fewer classes": (_with("^num_class=3", "num_class=2"), "2 classes and 3 trees an iteration"),
    "more classes": (
        lambda text: text.replace("num_class=3", "num_class=9").replace(
            "num_tree_per_iteration=3", "num_tree_per_iteration=9"
        ),
        "objective 'multiclass num_class:3' is not one of 9 classes",
    ),
    "fewer trees an iteration": (
        _with("^num_tree_per_iteration=3", "num_tree_per_iteration=2"),
        "3 classes and 2 trees",
    ),
    "no trees an iteration": (_with("^num_tree_per_iteration=3", "num_tree_per_iteration=0"), "3 classes and 0 trees"),
    "another objective": (_with("^objective=.*", "objective=binary sigmoid:1"), "3 classes, and the objective 'binary"),
    "an objective of more classes": (
        _with("^objective=.*", "objective=multiclass num_class:7"),
        "not one of 3 classes",
    ),
    "a feature that is not there": (_with("^split_feature=.", "split_feature=900000"), "feature 900000 of 4"),
    "a child that is not there": (_with("^left_child=-?\\d+", "left_child=100000000"), "do not hang together"),
    "a leaf that is not there": (_with("^left_child=-?\\d+", "left_child=-100000000"), "do not hang together"),
    "a circle": (_with("^left_child=-?\\d+", "left_child=0"), "do not hang together"),
    "a child that is no number": (_with("^left_child=-?\\d+", "left_child=x"), "something else than whole numbers"),
    "a node less": (_with("^threshold=\\S+ ", "threshold="), "threshold has not 4 entries"),
    "more leaves": (_with("^num_leaves=5", "num_leaves=2000000000"), "2000000000 leaves"),
    "no leaves": (_with("^num_leaves=5", "num_leaves=-1"), "not a whole number|no whole number"),
    "a leaf less": (_with("^leaf_value=\\S+ ", "leaf_value="), "leaves are not as many"),
    "a line twice": (_with("^(leaf_value=.*)$", "\\1\n\\1"), "'leaf_value' in it twice"),
    "a line of the header in a tree": (
        _with("^leaf_value=", "num_class=3\nleaf_value="),
        "tree 0 has 'num_class' in it",
    ),
    "a line of a tree in the header": (_with("^label_index=", "threshold=0.5\nlabel_index="), "header has 'threshold'"),
    "an empty line in a tree": (_with("^leaf_value=", "\nleaf_value="), "tree 0 has '' in it"),
    "a second header after the first": (
        _with("^Tree=0$", "objective=multiclass num_class:9\n\nTree=0"),
        "stands before the first tree",
    ),
    "a line that ends where only LightGBM sees it": (
        _with("^objective=multiclass num_class:3", "objective=multiclass num_class:3\rnum_class=9"),
        "control character",
    ),
    "a space that only others see": (_with("^(leaf_value=\\S+) ", "\\1\u00a0"), "other characters"),
    "a header line twice": (_with("^(num_class=.*)$", "\\1\n\\1"), "'num_class' in it twice"),
    "two features of one name": (lambda text: text.replace(NAMES[1], NAMES[0]), "one name|that of another"),
    "categories that are not there": (_with("^decision_type=\\d", "decision_type=1"), "groups of categories"),
    "linear leaves that are not there": (_with("^is_linear=0", "is_linear=1"), "linear leaves are not as many"),
    "windows": (lambda text: text.replace("\n", "\r\n"), "as Windows ends them"),
    "trees out of order": (lambda text: text.replace("Tree=1\n", "Tree=2\n", 1), "tree 2 stands where|tree 1 is not"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lightgbm_model_that_lies_is_refused_with_a_reason(predictor: Predictor, files: Files, lie: str) -> None:
    change, reason = LIES[lie]
    text = change(model_text())
    assert text != model_text()
    starts = predictor.starts
    with pytest.raises(ModelUnusable, match=f"is damaged.*(?:{reason})"):
        predictor.predict(files.lightgbm(text), ROWS)
    assert predictor.starts == max(starts, 1), "the child died of it"


def test_sizes_of_trees_that_are_not_theirs_are_refused(predictor: Predictor, files: Files) -> None:
    text = lightgbm_booster("multiclass").model_to_string()
    assert predictor.predict(files.lightgbm(text), ROWS).warnings == ()
    sizes = SIZES.findall(text)[0].removeprefix("tree_sizes=").split()
    for wrong in ("99999999", "0", "-5", str(int(sizes[0]) + 1)):
        changed = text.replace(f"tree_sizes={sizes[0]}", f"tree_sizes={wrong}")
        with pytest.raises(ModelUnusable, match="tree_sizes"):
            predictor.predict(files.lightgbm(changed), ROWS)


def test_columns_of_categories_without_their_names_are_refused(predictor: Predictor, files: Files) -> None:
    table = pd.DataFrame(FEATURES, columns=list(NAMES))
    table["side"] = pd.Categorical(np.where(SCORE > 0, "buy", "sell"))
    settings = {"verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(table, SCORE), 2)
    with pytest.raises(ModelUnusable, match="columns of categories"):
        predictor.predict(files.lightgbm(booster), [{**row, "side": 0.0} for row in ROWS])
    data = xgboost.DMatrix(table, SCORE, enable_categorical=True)
    trained = xgboost.train({"nthread": 1}, data, 2)
    with pytest.raises(ModelUnusable, match="categories with names"):
        predictor.predict(files.xgboost(trained), [{**row, "side": 0.0} for row in ROWS])


def test_numbers_of_a_lightgbm_model_changed_at_random_never_end_the_child(predictor: Predictor, files: Files) -> None:
    chance = random.Random(4)
    texts = {name: model_text(name) for name in ("multiclass", "regression")}
    predictor.predict(files.lightgbm(texts["regression"]), ROWS)
    starts, refused, answered = predictor.starts, 0, 0
    for _ in range(250):
        text = texts[chance.choice(sorted(texts))]
        body = text[: text.index("end of trees")]
        places = [found.span() for found in re.finditer(r"(?<=[= ])-?[\d.]+(?:e[-+]\d+)?(?=[ \n])", body)]
        begin, end = chance.choice(places)
        value = chance.choice(
            ["-1", "0", "1", "4", "5", "-6", "999999999", "-2147483648", "4294967296", "1e300", "nan", "x", ""]
        )
        try:
            predictor.predict(files.lightgbm(text[:begin] + value + text[end:]), ROWS)
            answered += 1
        except ModelUnusable:
            refused += 1
    assert predictor.starts == starts
    assert refused > 50
    assert answered > 20


def test_lines_of_a_lightgbm_model_moved_at_random_never_end_the_child(predictor: Predictor, files: Files) -> None:
    chance = random.Random(6)
    whole = lightgbm_booster("binary").model_to_string()
    predictor.predict(files.lightgbm(whole), ROWS)
    starts, refused = predictor.starts, 0
    for turn in range(150):
        lines = (whole if turn % 2 else SIZES.sub("", whole)).split("\n")
        taken, put = chance.randrange(len(lines)), chance.randrange(len(lines))
        line = lines[taken] if turn % 3 else lines.pop(taken)
        lines.insert(put, line)
        try:
            predictor.predict(files.lightgbm("\n".join(lines)), ROWS)
        except ModelUnusable:
            refused += 1
    assert predictor.starts == starts
    assert refused > 40


XGBOOST_LIES: dict[str, Callable[[dict[str, object]], None]] = {
    "a child that is not there": lambda tree: tree["left_children"].__setitem__(0, 9_999_999),  # type: ignore[attr-defined]
    "a feature that is not there": lambda tree: tree["split_indices"].__setitem__(0, 4_000_000),  # type: ignore[attr-defined]
    "a node less": lambda tree: tree["split_conditions"].pop(),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("lie", XGBOOST_LIES)
def test_an_xgboost_model_that_lies_is_refused_with_a_reason(predictor: Predictor, files: Files, lie: str) -> None:
    document = json.loads(bytes(xgboost_booster("reg:squarederror").save_raw("json")))
    XGBOOST_LIES[lie](document["learner"]["gradient_booster"]["model"]["trees"][0])
    starts = predictor.starts
    with pytest.raises(ModelUnusable, match="is damaged"):
        predictor.predict(files.xgboost(json.dumps(document).encode()), ROWS)
    assert predictor.starts == max(starts, 1)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"tree\n", b"\x80", b'{"learner": {}}'])
def test_what_is_no_xgboost_json_is_refused_with_a_reason(predictor: Predictor, files: Files, data: bytes) -> None:
    with pytest.raises(ModelUnusable, match="is no XGBoost JSON"):
        predictor.predict(files.xgboost(data), ROWS)
