"""Models whose documents XGBoost would read otherwise than the reader, or not at all."""

from __future__ import annotations

import json
import re
import tarfile
import time
from typing import Any

import numpy as np
import pytest
import xgboost

from mm_core.artifacts.pickles import read_model_json
from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.errors import UnreadableArtifact
from tests.attacks.booster_loader import Loader, is_crash
from tests.attacks.hostile_models import alterations, trees_of
from tests.attacks.test_hostile_models import KINDS
from tests.honest_pickles import EIGHT_GENERATIONS

OF_VECTORS = ("leaf_weights", "loss_changes", "sum_hessian", "split_type")


def _read(model: bytes) -> int:
    return read_booster(model, FileReport("x_model.json")).summary.num_trees


def _refusal(model: bytes) -> UnreadableArtifact:
    with pytest.raises(UnreadableArtifact) as caught:
        _read(model)
    return caught.value


def _is_taken(model: bytes) -> bool:
    try:
        _read(model)
    except UnreadableArtifact:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_taken_out_made_null_renamed_or_emptied_is_refused_or_loads(
    kind: str, models: dict[str, bytes], loader: Loader
) -> None:
    refused, outcomes = 0, {}
    for done, model in alterations(models[kind]):
        if _is_taken(model):
            outcomes[done] = loader.outcome(model)
        else:
            refused += 1
    assert {done: outcome for done, outcome in outcomes.items() if outcome != "well"} == {}
    assert refused >= 40
    assert len(outcomes) > 10


def _vectors(generation: str) -> bytes:
    with tarfile.open(EIGHT_GENERATIONS) as archive:
        content = archive.extractfile(f"./{generation}/vec.p2_model.pkl")
        assert content is not None
        return read_model_json(content.read())


@pytest.mark.parametrize("generation", ["py310_x20_p20_n125", "py312_x30_p23_n22", "py313_x31_p30_n2"])
def test_vector_leaves_of_xgboost_before_3_2_crash_3_2_and_are_refused_with_what_to_do(
    generation: str, loader: Loader
) -> None:
    model = _vectors(generation)
    assert is_crash(loader.outcome(model))
    refusal = _refusal(model)
    assert refusal.code == "unsound-model"
    assert "leaf_weights, loss_changes, sum_hessian" in refusal.detail
    assert "Train the model again with XGBoost 3.2" in refusal.remedy


def test_vector_leaves_of_xgboost_3_2_are_taken_and_load(loader: Loader) -> None:
    model = _vectors("py311_x32_p31_n24")
    assert set(OF_VECTORS) <= set(trees_of(json.loads(model))[0])
    assert _read(model) == len(trees_of(json.loads(model)))
    assert loader.outcome(model) == "well"


@pytest.mark.parametrize("column", OF_VECTORS)
def test_vector_leaves_need_every_column_that_xgboost_3_2_reads(
    column: str, models: dict[str, bytes], loader: Loader
) -> None:
    document = json.loads(models["vector leaves"])
    for tree in trees_of(document):
        del tree[column]
    model = json.dumps(document).encode()
    assert is_crash(loader.outcome(model))
    assert column in _refusal(model).detail


def test_a_linear_model_that_was_never_trained_is_taken_and_loads(loader: Loader) -> None:
    rows = xgboost.DMatrix(np.zeros((4, 3), np.float32), np.zeros(4), nthread=1)
    booster = xgboost.train({"booster": "gblinear", "nthread": 1}, rows, 0)
    model = bytes(booster.save_raw("json"))
    assert b'"weights":[]' in model
    assert _read(model) == 0
    assert loader.outcome(model) == "well"
    assert "0 weights, 4 are needed" in _refusal(model.replace(b'_rounds":0', b'_rounds":2')).detail


@pytest.mark.parametrize("kind", ["plain", "dart", "linear", "vector leaves", "named categories"])
def test_no_name_is_written_with_a_backslash(kind: str, models: dict[str, bytes]) -> None:
    model = models[kind]
    names = set(re.findall(rb'"([a-z_]+)":', model))
    assert len(names) > 15
    for name in names:
        escaped = model.replace(b'"%s":' % name, b'"\\u%04x%s":' % (name[0], name[1:]))
        assert json.loads(escaped) == json.loads(model), "a strict reader sees no difference"
        assert "backslash" in _refusal(escaped).detail, name


def test_a_name_that_only_one_of_two_readers_sees_crashed_xgboost(models: dict[str, bytes], loader: Loader) -> None:
    escaped = models["vector leaves"].replace(b'"leaf_weights":', b'"leaf\\u005fweights":')
    assert is_crash(loader.outcome(escaped))
    assert "backslash" in _refusal(escaped).detail


@pytest.mark.parametrize("escape", [r"\/", r"\b", r"\f"])
def test_an_escape_that_xgboost_does_not_know_is_refused(escape: str, models: dict[str, bytes], loader: Loader) -> None:
    model = models["plain"].replace(b'"attributes":{}', b'"attributes":{"note":"x%sy"}' % escape.encode())
    assert loader.outcome(model).startswith("refused")
    assert f"the escape {escape}" in _refusal(model).detail


def test_text_may_have_every_escape_that_xgboost_knows(models: dict[str, bytes], loader: Loader) -> None:
    model = models["plain"].replace(
        b'"attributes":{}', rb'"attributes":{"note":"\"a\\b\n\r\t\u00e9\\u0061\\\\","more":"\\"}'
    )
    assert _read(model) == 2
    assert loader.outcome(model) == "well"


@pytest.mark.parametrize("place", ["attributes", "feature_names"])
def test_half_a_surrogate_pair_is_refused_as_no_strict_reader_takes_it(place: str, models: dict[str, bytes]) -> None:
    document = json.loads(models["plain"])
    document["learner"][place] = {"note": "\ud800"} if place == "attributes" else ["\ud800", *"abcde"]
    assert "hex escape" in _refusal(json.dumps(document).encode()).detail


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        (b'"name":"gbtree"', rb'"name":"gbtr\u0065e"'),
        (b'"num_feature":"6","num_target"', rb'"num_feature":"\u0036","num_target"'),
        (b'"num_nodes":"7"', rb'"num_nodes":"\u0037"'),
    ],
)
def test_text_that_is_read_is_read_as_xgboost_reads_it(
    plain: bytes, escaped: bytes, models: dict[str, bytes], loader: Loader
) -> None:
    assert plain in models["plain"]
    model = models["plain"].replace(plain, escaped)
    assert loader.outcome(model).startswith("refused")
    assert _refusal(model).code == "bad-model"


REFUSED_BY_XGBOOST: dict[str, tuple[str, tuple[str | int, ...], Any]] = {
    "no target": ("plain", ("learner_model_param", "num_target"), "0"),
    "a base score in other digits": ("plain", ("learner_model_param", "base_score"), "\uff11"),
    "a weight that is no number": ("plain", ("objective", "reg_loss_param", "scale_pos_weight"), "abc"),
    "an alpha above one": ("quantiles", ("objective", "quantile_loss_param", "quantile_alpha"), "[1E-1,2E0]"),
    "a negative weight": ("plain", ("objective", "reg_loss_param", "scale_pos_weight"), "-1"),
    "no alpha": ("quantiles", ("objective", "quantile_loss_param", "quantile_alpha"), ""),
    "no class": ("classes", ("objective", "softmax_multiclass_param", "num_class"), "0"),
    "categories of a type that is none": ("named categories", ("model", "cats", "enc", 7, "type"), 3),
    "another booster within dart": ("dart", ("gradient_booster", "gbtree", "name"), "gblinear"),
}


@pytest.mark.parametrize("what", REFUSED_BY_XGBOOST)
def test_a_value_for_which_xgboost_refuses_a_model_is_a_finding(
    what: str, models: dict[str, bytes], loader: Loader
) -> None:
    kind, place, value = REFUSED_BY_XGBOOST[what]
    document = json.loads(models[kind])
    holder = document["learner"]["gradient_booster"] if place[0] == "model" else document["learner"]
    for step in place[:-1]:
        holder = holder[step]
    assert place[-1] in holder
    holder[place[-1]] = value
    model = json.dumps(document, ensure_ascii=False).encode()
    assert loader.outcome(model).startswith("refused")
    assert _refusal(model).code in {"bad-model", "unsound-model"}


@pytest.mark.parametrize(
    "text", ["1_0", " 1", "1e200", "-", "1e", ".5", "[1E0", "[]", "0x1", "nan"], ids=lambda text: text or "nothing"
)
def test_a_base_score_has_the_one_spelling_of_xgboost(text: str, models: dict[str, bytes]) -> None:
    document = json.loads(models["plain"])
    document["learner"]["learner_model_param"]["base_score"] = text
    assert "base_score is" in _refusal(json.dumps(document).encode()).detail


@pytest.mark.parametrize("name", ["count:poisson", "reg:tweedie", "survival:aft", "reg:quantileerror", "multi:softmax"])
def test_an_objective_has_the_parameters_that_xgboost_asks_of_it(
    name: str, models: dict[str, bytes], loader: Loader
) -> None:
    document = json.loads(models["plain"])
    document["learner"]["objective"] = {"name": name}
    model = json.dumps(document).encode()
    assert loader.outcome(model).startswith("refused")
    assert f"The objective {name} has no" in _refusal(model).detail


def test_ranking_without_bias_has_what_it_learnt_of_positions(loader: Loader) -> None:
    generator = np.random.default_rng(5)
    rows = xgboost.DMatrix(generator.normal(size=(40, 3)), generator.integers(0, 2, 40), nthread=1)
    rows.set_group([20, 20])
    booster = xgboost.train({"objective": "rank:ndcg", "lambdarank_unbiased": True, "nthread": 1}, rows, 2)
    model = bytes(booster.save_raw("json"))
    assert _read(model) == 2
    document = json.loads(model)
    del document["learner"]["objective"]["ti+"]
    cut = json.dumps(document).encode()
    assert loader.outcome(cut).startswith("refused")
    assert "ranks without bias" in _refusal(cut).detail


def _removed(models: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, Any], int, int]:
    """Return a pruned model, a tree of it, a node that was removed and a leaf that the root reaches."""
    document = json.loads(models["pruned"])
    tree = next(tree for tree in trees_of(document) if tree["tree_param"]["num_deleted"] != "0")
    removed = tree["split_indices"].index(2**31 - 1)
    leaf = next(node for node in tree["left_children"] if node > 0 and tree["left_children"][node] == -1)
    return document, tree, removed, leaf


def test_pruning_leaves_nodes_that_the_root_does_not_reach(models: dict[str, bytes], loader: Loader) -> None:
    document, tree, removed, _ = _removed(models)
    tree["default_left"][removed] = 0
    model = json.dumps(document).encode()
    assert loader.outcome(model).startswith("refused")
    assert "is none that pruning leaves" in _refusal(model).detail


def test_a_node_is_reached_or_removed_and_never_both(models: dict[str, bytes], loader: Loader) -> None:
    document, tree, removed, leaf = _removed(models)
    tree["split_indices"][leaf], tree["split_indices"][removed] = 2**31 - 1, 0
    assert "is none that pruning leaves" in _refusal(json.dumps(document).encode()).detail
    document, tree, removed, _ = _removed(models)
    tree["left_children"][removed] = 0
    assert "is none that pruning leaves" in _refusal(json.dumps(document).encode()).detail


def test_names_that_stand_twice_among_thousands_are_found_in_time(models: dict[str, bytes]) -> None:
    many = b",".join(b'"k%d":"v"' % number for number in range(60_000))
    model = models["plain"].replace(b'"attributes":{}', b'"attributes":{%s,"k59999":"v"}' % many)
    begin = time.process_time()
    assert "'k59999' stands twice" in _refusal(model).detail
    assert time.process_time() - begin < 3, "some 50 ms; comparing each with each took 25 seconds"
