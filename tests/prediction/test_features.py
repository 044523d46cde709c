"""Columns of a booster and the names that metadata and normalizer have for them."""

from __future__ import annotations

import pytest

from mm_core.domain.versions import Normalizer
from mm_core.errors import ModelUnusable
from mm_core.prediction.features import features_of

TRAINED = ("price_momentum", "rsi", "volume")


def _normalizer(*names: str) -> Normalizer:
    return Normalizer(names, tuple(map(float, range(len(names)))), (1.0,) * len(names), (9.0,) * len(names))


def test_a_booster_alone_has_its_own_names() -> None:
    found = features_of(TRAINED, (), None)
    assert (found.names, found.normalizer, found.warnings) == (TRAINED, None, ())


def test_a_normalizer_in_another_order_is_brought_into_the_booster_s() -> None:
    found = features_of(TRAINED, (), _normalizer("volume", "price momentum", "rsi"))
    assert found.names == ("price momentum", "rsi", "volume")  # as the normalizer spells them
    assert found.normalizer == Normalizer(found.names, (1.0, 2.0, 0.0), (1.0,) * 3, (9.0,) * 3)


def test_the_metadata_s_spelling_comes_first() -> None:
    found = features_of(TRAINED, ("rsi", "volume", "price momentum"), _normalizer(*TRAINED))
    assert found.names == ("price momentum", "rsi", "volume")
    assert found.normalizer is not None
    assert (found.normalizer.feature_names, found.normalizer.mean) == (found.names, (0.0, 1.0, 2.0))


@pytest.mark.parametrize("trained", [("Column_0", "Column_1"), ("f0", "f1")])
def test_a_booster_without_names_has_those_of_the_others_in_their_order_and_a_warning(trained: tuple[str, ...]) -> None:
    found = features_of(trained, (), _normalizer("b", "a"))
    assert found.names == ("b", "a")
    assert "without names of features: those of the normalizer" in found.warnings[0]
    assert features_of(trained, ("x", "y"), None).names == ("x", "y")
    alone = features_of(trained, (), None)
    assert alone.names == trained
    assert "as it does" in alone.warnings[0]


@pytest.mark.parametrize("trained", [("f2", "f0", "f1"), ("Column_1", "Column_0", "Column_2"), ("f1", "f2", "f3")])
def test_names_that_the_other_files_have_too_are_names_however_they_look(trained: tuple[str, ...]) -> None:
    others = tuple(sorted(trained, reverse=True))
    found = features_of(trained, others, _normalizer(*others))
    assert (found.names, found.warnings) == (trained, ())
    assert found.normalizer is not None
    assert found.normalizer.mean == tuple(float(others.index(name)) for name in trained)


@pytest.mark.parametrize("word", ["f", "Column_"])
def test_features_called_by_numbers_in_another_order_do_not_tell_whether_the_booster_has_names(word: str) -> None:
    trained = tuple(f"{word}{place}" for place in range(12))
    as_text = tuple(sorted(trained))
    assert as_text[2] == f"{word}10", "if the booster has no names, its column 2 is this one"
    for named, normalizer in ((as_text, None), ((), _normalizer(*as_text)), (trained, _normalizer(*as_text))):
        with pytest.raises(ModelUnusable, match="the same features in another order: nothing tells"):
            features_of(trained, named, normalizer)
    found = features_of(trained, trained, _normalizer(*trained))
    assert (found.names, found.warnings) == (trained, ())


@pytest.mark.parametrize("trained", [("f1", "f2"), ("Column_0", "f1"), ("Column_1", "Column_0")])
def test_columns_that_are_not_numbered_as_they_stand_have_names(trained: tuple[str, ...]) -> None:
    with pytest.raises(ModelUnusable, match="names other features than the booster"):
        features_of(trained, ("x", "y"), None)


def test_two_orders_of_a_booster_without_names_are_refused() -> None:
    with pytest.raises(ModelUnusable, match="two orders"):
        features_of(("Column_0", "Column_1"), ("a", "b"), _normalizer("b", "a"))


@pytest.mark.parametrize(
    ("named", "normalizer", "message"),
    [
        (("rsi", "volume"), None, "has 3 features, the metadata 2"),
        ((), _normalizer("rsi", "volume", "price_momentum", "x"), "has 3 features, the normalizer 4"),
        ((), _normalizer("rsi", "volume", "macd"), "'macd' instead of 'price_momentum'"),
        (("rsi", "volume", "volume"), None, "metadata names a feature twice"),
        (("rsi", "a b", "a_b"), None, "metadata names a feature twice"),
    ],
)
def test_other_features_than_the_booster_has_are_refused(
    named: tuple[str, ...], normalizer: Normalizer | None, message: str
) -> None:
    with pytest.raises(ModelUnusable, match=message):
        features_of(TRAINED, named, normalizer)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ModelUnusable, match="two features of one name"):
        features_of(("rsi", "rsi"), (), None)


def test_a_std_that_is_smaller_than_rounding_is_a_warning() -> None:
    found = features_of(("a", "b"), (), Normalizer(("a", "b"), (0.0, 0.0), (5e-17, 0.0)))
    assert found.warnings == ("1 features have a std below 1e-12, such as 'a'; 1 is used for it.",)
