"""Factor configs check themselves, and values follow their factor's name."""

from __future__ import annotations

import itertools
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.domain.configs import (
    DEFAULT_NORMALIZATION,
    CellChange,
    FactorConfig,
    FactorConfigRecord,
    FactorConfigRevision,
    Normalization,
    changes_between,
    parse_factor_config,
    values_at,
)
from mm_core.errors import InvalidFactorConfig, RevisionNotFound

NAMES = ("a", "b", "c")


def _document(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "factor_names": list(NAMES),
        "mean_values": [0.1, 0.2, 0.3],
        "variance_values": [1, 2, 3],
    }
    return {"S": {**body, **changes}}


def test_a_whole_document_becomes_a_config() -> None:
    config = parse_factor_config(_document(), "S", NAMES)
    assert config == FactorConfig("S", NAMES, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))


def test_factor_names_may_be_left_out_and_the_symbol_may_be_spelled_otherwise() -> None:
    document = {"s": {"mean_values": [0, 0, 0], "variance_values": [1, 1, 1]}}
    assert parse_factor_config(document, "S", NAMES).factor_names == NAMES


def test_every_problem_is_listed_at_once() -> None:
    document = _document(
        factor_names=["a", "c", "b"], mean_values=[0.1, "x", math.nan], variance_values=[0, -1, True, 4], color="red"
    )
    document["T"] = {}
    with pytest.raises(InvalidFactorConfig) as caught:
        parse_factor_config(document, "S", NAMES)
    assert caught.value.problems == (
        "'T' is not the key 'S'",
        "'color' is not a known field, use factor_names, mean_values, variance_values",
        "factor_names[1] is 'c', the model's dimension 1 is 'b'",
        "factor_names[2] is 'b', the model's dimension 2 is 'c'",
        "mean_values[1] (b) is 'x', not a number",
        "mean_values[2] (c) is nan, not a finite number",
        "variance_values has 4 entries, the model has 3 factors",
        "variance_values[0] (a) is 0, a variance must be above 0",
        "variance_values[1] (b) is -1, a variance must be above 0",
        "variance_values[2] (c) is True, not a number",
    )


def test_beyond_a_thousand_problems_the_rest_is_counted() -> None:
    names = tuple(f"f{at}" for at in range(3000))
    with pytest.raises(InvalidFactorConfig) as caught:
        parse_factor_config({"S": {"mean_values": [None] * 3000, "variance_values": [0] * 3000}}, "S", names)
    told = caught.value.problems
    assert (len(told), told[0], told[-1]) == (1001, "mean_values[0] (f0) is None, not a number", "5,000 more problems")
    assert caught.value.detail.startswith("The factor config has 6,000 problem(s), nothing was stored: mean_values[0]")
    assert caught.value.detail.endswith("; 5,000 more problems.")


def test_values_that_belong_to_no_factor_are_counted_alone() -> None:
    with pytest.raises(InvalidFactorConfig) as caught:
        parse_factor_config(_document(mean_values=[None] * 500, factor_names=["a"] * 400), "S", NAMES)
    assert caught.value.problems == (
        "factor_names has 400 entries, the model has 3 factors",
        "factor_names[1] is 'a', the model's dimension 1 is 'b'",
        "factor_names[2] is 'a', the model's dimension 2 is 'c'",
        "mean_values has 500 entries, the model has 3 factors",
        "mean_values[0] (a) is None, not a number",
        "mean_values[1] (b) is None, not a number",
        "mean_values[2] (c) is None, not a number",
    )


@pytest.mark.parametrize(
    "value",
    ["x" * 100_000, [["x"] * 1000] * 1000, {"x" * 100_000: 1}, 10**4000, -(10**4000)],
    ids=["text", "list", "object", "number", "negative"],
)
def test_what_stands_in_a_numbers_place_is_told_in_short(value: object) -> None:
    with pytest.raises(InvalidFactorConfig) as caught:
        document = _document(mean_values=[value, 0, 0], factor_names=[value, "b", "c"], variance_values=[value, 1, 1])
        parse_factor_config({**document, "y" * 100_000: {}}, "S", NAMES)
    assert len(caught.value.problems) == 4
    assert max(map(len, caught.value.problems)) < 300


def test_a_subject_that_is_spelled_in_many_ways_takes_no_longer_than_other_keys() -> None:
    subject = "a" * 16
    spellings = {"".join(pair).ljust(16, "a") for pair in itertools.product("aA", repeat=15)}
    started = time.process_time()
    with pytest.raises(InvalidFactorConfig, match="exactly one object is expected"):
        parse_factor_config(dict.fromkeys(spellings), subject, NAMES)
    assert time.process_time() - started < 2, "each spelling was compared with all others"


@pytest.mark.parametrize(
    "document",
    [None, [], "S", {}, {"S": None}, {"T": {}}, {"S": {"mean_values": "abc"}}, _document(mean_values=[10**400, 0, 0])],
)
def test_documents_of_another_form_are_refused(document: object) -> None:
    with pytest.raises(InvalidFactorConfig):
        parse_factor_config(document, "S", NAMES)


def test_a_config_cannot_exist_with_a_wrong_length_or_variance() -> None:
    with pytest.raises(InvalidFactorConfig) as caught:
        FactorConfig("S", NAMES, (0.0, 0.0), (1.0, 1.0, 0.0))
    assert len(caught.value.problems) == 2


def test_values_follow_the_name_and_new_factors_get_the_defaults() -> None:
    record = FactorConfigRecord("m", "S", 2, "", "", {"a": Normalization(5, 6), "gone": Normalization(7, 8)})
    config = record.config_for(("new", "a"))
    assert (config.mean_values, config.variance_values) == ((0.2, 5), (1.0, 6))
    assert record.config_for(("gone",)).mean_values == (7,)


def test_a_value_set_to_the_default_is_no_change() -> None:
    assert changes_between({}, {"a": DEFAULT_NORMALIZATION}) == {}
    assert changes_between({"a": Normalization(1, 1)}, {}) == {"a": CellChange(Normalization(1, 1), None)}


values = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(Normalization, st.floats(-9, 9), st.floats(0.1, 9)),
)


@given(st.lists(values, min_size=1, max_size=6))
def test_history_replayed_gives_every_state_back(states: list[dict[str, Normalization]]) -> None:
    history = []
    before: dict[str, Normalization] = {}
    for number, state in enumerate(states, 1):
        history.append(FactorConfigRevision(number, "", "cli", "edit", changes=changes_between(before, state)))
        before = state
    for number, state in enumerate(states, 1):
        then = FactorConfigRecord("m", "S", 1, "", "", values_at(history, number))
        assert then.config_for(NAMES) == FactorConfigRecord("m", "S", 1, "", "", state).config_for(NAMES)


def test_an_unknown_revision_is_not_found() -> None:
    with pytest.raises(RevisionNotFound, match="No revision 3"):
        values_at([FactorConfigRevision(1, "", "scan", "create")], 3)
