"""Models that are made to crash the XGBoost of the bot that loads them."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_core.artifacts.pickles import read_model_json
from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.errors import PayloadUnavailable, UnreadableArtifact
from mm_core.registry import Registry
from tests.attacks.booster_loader import Loader, is_crash
from tests.attacks.fuzz_models import fuzz
from tests.attacks.hostile_models import chain_of_nodes, trees_of
from tests.honest_pickles import archived

OLD_VECTORS = tuple(f"{generation}/vec.p2_model.pkl" for generation in ("p20_n125", "p23_n22", "p30_n2"))
"""Models on which XGBoost 3.2 crashes, saved by XGBoost 2.0, 3.0 and 3.1."""
KINDS = (
    "plain",
    "dart",
    "linear",
    "pruned",
    "by leaves",
    "forest",
    "classes",
    "targets",
    "vector leaves",
    "quantiles",
    "category codes",
    "named categories",
)

Change = Callable[[dict[str, Any]], object]


def test_every_kind_of_sound_model_is_taken_and_loads(models: dict[str, bytes], loader: Loader) -> None:
    assert tuple(models) == KINDS
    for kind, model in models.items():
        report = FileReport("x_model.json")
        assert read_booster(model, report).summary.num_trees == (
            0 if kind == "linear" else len(trees_of(json.loads(model)))
        )
        assert report.findings() == ()
        assert loader.outcome(model) == "well", kind


def test_no_sound_model_of_eleven_library_generations_is_refused() -> None:
    taken = 0
    for name, content in archived():
        if name.endswith("_model.pkl"):
            taken += _is_taken(content, name)
    assert taken == 282


def _is_taken(pickled: bytes, name: str) -> bool:
    """Whether a pickle holds a model; then it must be read without a refusal."""
    try:
        model = read_model_json(pickled)
    except UnreadableArtifact as error:
        if error.code in {"unfitted-model", "unsupported-model"}:
            return False
        raise
    if name.endswith(OLD_VECTORS):
        return False
    return read_booster(model, FileReport(name)).summary.feature_dim > 0


def test_nothing_that_is_taken_crashes_the_loader() -> None:
    tally = fuzz(700, seed=20, load_all=False)
    assert tally.served_and_crashed == []
    assert tally.counts["taken, well"] >= 60
    assert tally.counts["not taken, not loaded"] >= 400


def _tree(**columns: Any) -> Change:
    return lambda document: trees_of(document)[0].update(columns)


def _without(column: str) -> Change:
    return lambda document: trees_of(document)[0].pop(column)


def _entry(column: str, place: int, value: Any) -> Change:
    return lambda document: trees_of(document)[0][column].__setitem__(place, value)


def _parameter(name: str, value: str) -> Change:
    return lambda document: trees_of(document)[0]["tree_param"].__setitem__(name, value)


def _learner(name: str, value: str) -> Change:
    return lambda document: document["learner"]["learner_model_param"].__setitem__(name, value)


def _model(name: str, value: Any) -> Change:
    return lambda document: document["learner"]["gradient_booster"]["model"].__setitem__(name, value)


ATTACKS: dict[str, tuple[str, Change, str]] = {
    "a child beyond the nodes": ("plain", _entry("left_children", 0, 900), "node 0 has the children 900 and 2"),
    "a child below the nodes": ("plain", _entry("right_children", 1, -7), "node 1 has the children 3 and -7"),
    "the root as a child": ("plain", _entry("left_children", 1, 0), "node 1 has the children 0 and 4"),
    "a loop": ("plain", _entry("left_children", 1, 1), "the children 1 and 4 of node 1 are not its own"),
    "somebody else's child": ("plain", _entry("left_children", 1, 5), "children 5 and 4 of node 1 are not its own"),
    "the same child twice": ("plain", _entry("right_children", 0, 1), "children 1 and 1 of node 0 are not its own"),
    "a wild parent": ("plain", _entry("parents", 3, -2), "parent is none of its nodes"),
    "a root with a parent": ("plain", _entry("parents", 0, 1), "its root has the parent 1"),
    "nodes that nobody reaches": ("plain", _entry("left_children", 1, -1), "5 of 7 nodes are reached"),
    "fewer nodes than columns": ("plain", _parameter("num_nodes", "3"), "7 entries for 3 nodes"),
    "no nodes": ("plain", _parameter("num_nodes", "0"), "it has no nodes"),
    "removed nodes that are none": ("plain", _parameter("num_deleted", "2"), "2 are said to be"),
    "a wild leaf size": ("plain", _parameter("size_leaf_vector", "4294967295"), "a leaf holds 4294967295 numbers"),
    "leaf weights that are cut": (
        "vector leaves",
        lambda document: trees_of(document)[0]["leaf_weights"].pop(),
        "leaf_weights has 7 entries for 4 leaves of 2 numbers",
    ),
    "a leaf beyond the weights": ("vector leaves", _entry("right_children", 6, 100), "beyond leaf_weights"),
    "a feature that is none": ("plain", _entry("split_indices", 0, 6), "splits on feature 6; the model has 6"),
    "a negative feature": ("plain", _entry("split_indices", 0, -1), "splits on feature -1"),
    "a number beyond 64 bits": ("plain", _entry("left_children", 0, 10**30), "node 0 has the children 1000000"),
    "an id that another tree has": ("plain", _tree(id=1), "its id is 1"),
    "a wild id": ("plain", _tree(id=2**31 - 1), "its id is 2147483647"),
    "a direction that is none": ("plain", _entry("default_left", 0, 7), "something else than 0 and 1"),
    "categories that end too early": ("category codes", _tree(categories=[1]), "it has 1 categories, a node takes"),
    "a category that is too large": ("category codes", _entry("categories", 0, 2**31 - 1), "out of range"),
    "a category that is negative": ("category codes", _entry("categories", 0, -1), "out of range"),
    "sizes that are missing": ("category codes", _tree(categories_sizes=[]), "have not one entry"),
    "categories of other nodes": ("category codes", _tree(categories_nodes=[6]), "are not the nodes that split"),
    "a kind of split that is none": ("category codes", _entry("split_type", 0, 3), "something else than 0 and 1"),
    "an output that is none": ("classes", _model("tree_info", [9] * 12), "one of 3 outputs"),
    "a negative output": ("targets", _model("tree_info", [-1, 0, 0, 0]), "one of 2 outputs"),
    "rounds that go backwards": ("plain", _model("iteration_indptr", [0, 9, 2]), "does not divide the 2 trees"),
    "rounds from elsewhere": ("plain", _model("iteration_indptr", [2**31, 1, 2]), "does not divide the 2 trees"),
    "rounds that are none": ("plain", _model("iteration_indptr", []), "does not divide the 2 trees"),
    "rounds that are null": ("plain", _model("iteration_indptr", None), "Expected `array`, got `null`"),
    "categories that are null": ("plain", _model("cats", None), "Expected `object`, got `null`"),
    "columns of categories that are missing": ("plain", _without("categories_sizes"), "categories_sizes is missing"),
    "kinds of splits that are null": ("plain", _tree(split_type=None), "Expected `array`, got `null`"),
    "a feature beyond all": ("plain", _entry("split_indices", 6, 2**31), "splits on feature 2147483648"),
    "a reached leaf that is removed": ("plain", _entry("split_indices", 6, 2**31 - 1), "1 are marked as removed"),
    "a vector for one output": ("vector leaves", _model("tree_info", [0, 1]), "leaves hold all outputs"),
    "weights of trees that are cut": (
        "dart",
        lambda document: document["learner"]["gradient_booster"]["weight_drop"].pop(),
        "2 trees and 1 weights of trees",
    ),
    "weights that are cut": ("linear", _model("weights", [1.0]), "has 1 weights, 7 are needed"),
    "names of categories that are cut": (
        "named categories",
        lambda document: document["learner"]["gradient_booster"]["model"]["cats"]["sorted_idx"].pop(),
        "divided otherwise",
    ),
    "an order of categories that is none": (
        "named categories",
        lambda document: document["learner"]["gradient_booster"]["model"]["cats"]["sorted_idx"].__setitem__(0, 99),
        "do not fit each other",
    ),
    "features without end": ("plain", _learner("num_feature", "4294967295"), "claims 4,294,967,295 features"),
    "classes without end": ("plain", _learner("num_class", "2147483647"), "2,147,483,647 outputs"),
    "classes and targets": ("quantiles", _learner("num_class", "3"), "3 classes and 2 targets"),
    "a base score for nobody": ("classes", _learner("base_score", "[1E0,2E0]"), "base_score is '[1E0,2E0]'"),
    "a base score that is no number": ("plain", _learner("base_score", "NaN"), "base_score is 'NaN'"),
    "a number that is no text": ("plain", _tree(tree_param=5), "Expected `object`, got `int`"),
    "text where numbers stand": ("plain", _entry("left_children", 0, "1"), "Expected `int`, got `str`"),
    "whole numbers for floats": ("plain", _entry("split_conditions", 0, 1), "split_conditions holds whole numbers"),
    "null for a float": ("plain", _entry("base_weights", 0, None), "got `null`"),
    "a column that is missing": ("plain", _without("parents"), "parents"),
    "hessians that are missing": ("plain", _without("sum_hessian"), "sum_hessian is missing"),
    "a type of feature that is none": (
        "plain",
        lambda document: document["learner"].__setitem__("feature_types", ["q"] * 5 + ["abc"]),
        "'abc' is no type of a feature",
    ),
    "too few names": (
        "plain",
        lambda document: document["learner"].__setitem__("feature_names", ["a"]),
        "6 features and 1 feature_names",
    ),
    "a kind of booster that is none": (
        "plain",
        lambda document: document["learner"]["gradient_booster"].__setitem__("name", "gbforest"),
        "of the kind 'gbforest'",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_damaged_model_is_refused_with_what_is_wrong(attack: str, models: dict[str, bytes]) -> None:
    kind, change, sentence = ATTACKS[attack]
    document = json.loads(models[kind])
    change(document)
    with pytest.raises(UnreadableArtifact) as caught:
        read_booster(json.dumps(document).encode(), FileReport("x_model.json"))
    assert sentence in caught.value.detail
    assert caught.value.code in {"bad-model", "unsound-model"}
    assert "save_model" in caught.value.remedy


def test_some_of_the_attacks_crash_xgboost(models: dict[str, bytes], loader: Loader) -> None:
    crashed = []
    for attack, (kind, change, _) in ATTACKS.items():
        document = json.loads(models[kind])
        change(document)
        if is_crash(loader.outcome(json.dumps(document).encode())):
            crashed.append(attack)
    assert len(crashed) >= 8, crashed


TWICE: dict[str, tuple[str, str]] = {
    "in a tree": ('"parents":', '"parents":[9,9,9],"parents":'),
    "in a tree's parameters": ('"num_nodes":', '"num_nodes":"900","num_nodes":'),
    "around the trees": ('"tree_info":', '"tree_info":[7,7],"tree_info":'),
    "trees themselves": ('"trees":', '"trees":[],"trees":'),
    "in the learner": ('"objective":', '"objective":{"name":"other"},"objective":'),
    "outermost": ('"version":', '"version":[1,0,0],"version":'),
    "of no importance": ('"version":', '"other":1,"other":2,"version":'),
}


@pytest.mark.parametrize("where", TWICE)
def test_a_name_that_stands_twice_is_refused(where: str, models: dict[str, bytes]) -> None:
    before, after = TWICE[where]
    text = models["plain"].decode()
    assert before in text
    for spaced in (text, json.dumps(json.loads(text), indent=1)):
        marked = spaced.replace(before, after, 1) if before in spaced else spaced.replace(before[:-1], after[:-1], 1)
        with pytest.raises(UnreadableArtifact, match="twice"):
            read_booster(marked.encode(), FileReport("x_model.json"))


def test_a_second_list_of_trees_cannot_hide_behind_the_first(models: dict[str, bytes]) -> None:
    document = json.loads(models["plain"])
    first, second = (json.dumps(tree) for tree in trees_of(document))
    evil = json.dumps({**json.loads(second), "left_children": [900] * 7})
    text = json.dumps(document)
    listed = f'"trees": [{first}, {second}]'
    assert listed in text
    hidden = text.replace(listed, f'"trees": [{first}, {evil}], {listed}')
    with pytest.raises(UnreadableArtifact, match="'trees' stands twice"):
        read_booster(hidden.encode(), FileReport("x_model.json"))


def test_names_of_features_may_look_like_anything(models: dict[str, bytes], loader: Loader) -> None:
    document = json.loads(models["plain"])
    document["learner"]["feature_names"] = ['"parents":', "left_children", "\\u0061", "{", "\u202eabc", "ß"]
    document["learner"]["attributes"] = {"note": '{"trees":[{"parents":[1]}]}', "parents": "[]"}
    model = json.dumps(document).encode()
    assert read_booster(model, FileReport("x_model.json")).summary.num_trees == 2
    assert (
        read_booster(json.dumps(document, ensure_ascii=False).encode(), FileReport("x_model.json")).summary.num_trees
        == 2
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"learner":' * 100_000 + "1" + "}" * 100_000,
        '{"other":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"learner": {"attributes": {"a": "\\ud800"}}}',
        '{"learner": {"attributes": {"a": "\x00"}}}',
    ],
    ids=["objects", "lists", "a lone surrogate", "a control character"],
)
def test_deep_nesting_and_broken_text_are_refused(text: str) -> None:
    with pytest.raises(UnreadableArtifact) as caught:
        read_booster(text.encode(), FileReport("x_model.json"))
    assert caught.value.code == "bad-model"


def test_what_stands_beside_the_model_may_nest_as_deep_as_is_read(models: dict[str, bytes], loader: Loader) -> None:
    def nested(levels: int) -> bytes:
        return models["plain"].replace(b'"version":', b'"other":' + b"[" * levels + b"]" * levels + b',"version":')

    read_booster(nested(800), FileReport("x_model.json"))
    assert loader.outcome(nested(800)) == "well"
    with pytest.raises(UnreadableArtifact, match="recursion"):
        read_booster(nested(100_000), FileReport("x_model.json"))


def test_a_tree_may_be_deep_and_the_check_takes_time_in_proportion(models: dict[str, bytes], loader: Loader) -> None:
    deep = chain_of_nodes(models["plain"], 4000)
    read_booster(deep, FileReport("x_model.json"))
    assert loader.outcome(deep) == "well"
    with pytest.raises(UnreadableArtifact, match="more than 4096 levels"):
        read_booster(chain_of_nodes(models["plain"], 5000), FileReport("x_model.json"))
    seconds = []
    for times in (20, 200):
        document = json.loads(models["pruned"])
        trees = [{**trees_of(document)[0], "id": number} for number in range(times * 10)]
        model = document["learner"]["gradient_booster"]["model"]
        model["trees"] = trees
        model["gbtree_model_param"]["num_trees"] = str(len(trees))
        model["tree_info"] = [0] * len(trees)
        model["iteration_indptr"] = list(range(len(trees) + 1))
        data = json.dumps(document).encode()
        begin = time.process_time()
        read_booster(data, FileReport("x_model.json"))
        seconds.append(time.process_time() - begin)
    assert seconds[1] < 40 * max(seconds[0], 0.001)  # ten times the size; a square would take a hundred times as long


@pytest.mark.parametrize("piece", ["{},", "[],", "1,", '"",'])
def test_trees_that_are_none_take_no_memory(piece: str, models: dict[str, bytes]) -> None:
    count = 15_000_000 // len(piece)
    data = models["plain"].replace(b'"trees":[', b'"trees":[' + piece.encode() * count, 1)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableArtifact):
            read_booster(data, FileReport("x_model.json"))
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["plain", "vector leaves"])
def test_leaves_that_are_not_finite_are_a_finding(kind: str, models: dict[str, bytes]) -> None:
    document = json.loads(models[kind])
    tree = trees_of(document)[0]
    column = "leaf_weights" if kind == "vector leaves" else "split_conditions"
    tree[column][-1] = float("nan")
    tree[column][-2] = float("inf")
    report = FileReport("x_model.json")
    assert read_booster(json.dumps(document).encode(), report).summary.num_trees == 2
    (finding,) = report.findings()
    assert (finding.code, finding.detail[:24]) == ("leaf-not-finite", "2 leaves of the model ho")


def test_no_bot_is_given_an_unsound_model(
    write_group: Callable[..., Path], registry: Registry, booster_json: bytes
) -> None:
    document = json.loads(booster_json)
    trees_of(document)[0]["left_children"][0] = 900
    root = write_group("BTCUSDT_r", model_json=json.dumps(document).encode())
    write_group("ETHUSDT_r")
    registry.registrations.register("m", str(root))
    with pytest.raises(PayloadUnavailable, match="900"):
        registry.payload("m", "BTCUSDT")
    assert registry.payload("m", "ETHUSDT") is not None
