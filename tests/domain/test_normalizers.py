"""Normalizers as means and variances: what nobody set is the files' own std, bit for bit."""

from __future__ import annotations

import math
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.domain.configs import FactorConfigRecord, FromFiles, Normalization, parse_factor_config
from mm_core.domain.normalizers import (
    SMALLEST_VARIANCE,
    defaults_of,
    from_files_in,
    laid_over,
    over,
    overridden_features,
    without_what_files_say,
)
from mm_core.domain.versions import SMALLEST_STD, Normalizer
from mm_core.errors import InvalidFactorConfig
from mm_core.prediction.child import normalized

NAMES = ("momentum", "spread", "flat")
NORMALIZER = Normalizer(NAMES, (0.1, -2.0, 7.0), (0.3, 1e-13, 0.0), (0.0, 9.5, 1.0))


def _parsed(means: list[float], variances: list[float]) -> dict[str, Normalization]:
    body = {"v1.0.0": {"factor_names": list(NAMES), "mean_values": means, "variance_values": variances}}
    return parse_factor_config(body, "v1.0.0", NAMES, defaults_of(NORMALIZER)).normalizations()


@given(st.lists(st.floats(0, sys.float_info.max), min_size=3, max_size=3))
def test_a_normalizer_that_nobody_changed_is_the_files_own_bit_for_bit(stds: list[float]) -> None:
    normalizer = Normalizer(NAMES, (0.1, 0.2, 0.3), tuple(stds))
    shown = FactorConfigRecord("m", "v1.0.0", 0, "", "").config_for(NAMES, defaults_of(normalizer))
    laid = laid_over(normalizer, shown.normalizations())
    assert [struct.pack("d", std) for std in laid.std] == [struct.pack("d", std) for std in stds]
    assert overridden_features(normalizer, shown.normalizations()) == ()


@given(st.floats(0, sys.float_info.max), st.floats(-1e300, 1e300))
def test_another_mean_leaves_the_std_as_it_is_bit_for_bit(std: float, mean: float) -> None:
    normalizer = Normalizer(("a",), (0.5,), (std,))
    laid = laid_over(normalizer, {"a": Normalization(mean, defaults_of(normalizer).of("a").variance)})
    assert (laid.mean, struct.pack("d", laid.std[0])) == ((mean,), struct.pack("d", std))


@pytest.mark.parametrize("std", [1.1e-160, 1e-200, 1e200])
def test_the_root_of_the_square_of_a_very_small_or_large_std_would_be_another_number(std: float) -> None:
    normalizer = Normalizer(("a",), (0.0,), (std,))
    shown = defaults_of(normalizer).of("a")
    assert math.sqrt(shown.variance) != std
    assert laid_over(normalizer, {"a": shown}).std == (std,)


def test_what_is_set_is_laid_over_the_files_and_the_rest_stays() -> None:
    laid = laid_over(NORMALIZER, {"spread": Normalization(3.0, 6.25), "gone": Normalization(1.0, 1.0)})
    assert laid == Normalizer(NAMES, (0.1, 3.0, 7.0), (0.3, 2.5, 0.0), NORMALIZER.fill_values)
    assert overridden_features(NORMALIZER, {"spread": Normalization(3.0, 6.25)}) == ("spread",)
    assert laid_over(NORMALIZER, {}) is NORMALIZER


def test_a_std_beyond_the_roots_of_all_numbers_is_shown_as_the_largest_variance() -> None:
    normalizer = Normalizer(("a",), (0.0,), (1e200,))
    assert defaults_of(normalizer).of("a").variance == normalizer.variance[0] == sys.float_info.max


def test_a_variance_of_0_and_a_tiny_one_are_taken_where_the_files_have_them() -> None:
    own = defaults_of(NORMALIZER)
    values = _parsed([5.0, 6.0, 8.0], [0.3 * 0.3, own.of("spread").variance, 0.0])
    laid = laid_over(NORMALIZER, values)
    assert (laid.mean, laid.std) == ((5.0, 6.0, 8.0), NORMALIZER.std)
    assert normalized(np.array([[5.3, 6.5, 99.0]]), laid)[0].tolist() == [pytest.approx(1.0), 0.5, 0.0]


def test_a_feature_without_spread_can_be_given_one() -> None:
    laid = laid_over(NORMALIZER, _parsed([0.1, -2.0, 7.0], [0.3 * 0.3, 1e-26, 4.0]))
    assert normalized(np.array([[0.1, -2.0, 11.0]]), laid).tolist() == [[0.0, 0.0, 2.0]]


@pytest.mark.parametrize("variance", [0.0, -1.0, 1e-25, 5e-324])
def test_a_variance_that_would_switch_a_feature_off_or_count_as_1_is_refused(variance: float) -> None:
    with pytest.raises(InvalidFactorConfig) as raised:
        _parsed([0.1, -2.0, 7.0], [variance, 1e-26, 0.0])
    assert raised.value.problems == (
        f"variance_values[0] (momentum) is {variance}, a variance must be at least 1e-24, or 0.09 as the files have it",
    )


def test_the_smallest_variance_that_is_taken_is_used_as_it_is() -> None:
    laid = laid_over(NORMALIZER, _parsed([0.1, -2.0, 7.0], [SMALLEST_VARIANCE, 1e-26, 0.0]))
    assert laid.std[0] >= SMALLEST_STD
    assert normalized(np.array([[0.1 + 1e-6, -2.0, 0.0]]), laid)[0, 0] == pytest.approx(1e6)


BEFORE = Normalizer(("a", "b", "c", "d"), (1.0, 1.0, 1.0, 1.0), (2.0, 2.0, 2.0, 2.0))
AFTER = Normalizer(("a", "b", "c", "e"), (5.0, 5.0, 5.0, 5.0), (3.0, 3.0, 3.0, 3.0))
VALUES = {
    "a": Normalization(7.0, 4.0),  # its mean alone was set
    "b": Normalization(1.0, 16.0),  # its variance alone
    "c": Normalization(5.0, 4.0),  # its mean, and the files after say the same
    "d": Normalization(7.0, 16.0),
}


def _record(values: dict[str, Normalization], from_files: dict[str, FromFiles] | None) -> FactorConfigRecord:
    return FactorConfigRecord("m", "v1.0.0", 1, "", "", values, from_files)


def test_a_number_that_the_files_say_too_was_set_by_nobody() -> None:
    assert from_files_in(VALUES, defaults_of(BEFORE)) == {
        "a": (False, True), "b": (True, False), "c": (False, True)
    }  # fmt: skip


def test_what_nobody_set_follows_files_that_were_replaced_and_what_somebody_set_stays() -> None:
    record = _record(VALUES, from_files_in(VALUES, defaults_of(BEFORE)))
    moved = over(record, defaults_of(AFTER))
    assert moved.values == {**VALUES, "a": (7.0, 9.0), "b": (5.0, 16.0), "c": (5.0, 9.0)}
    assert over(moved, defaults_of(BEFORE)) == record, "and comes back with them"
    kept = without_what_files_say(moved, defaults_of(AFTER))
    assert (kept.values.keys(), kept.from_files) == ({"a", "b", "d"}, {"a": (False, True), "b": (True, False)})


def test_where_nobody_noted_what_was_set_every_number_stays() -> None:
    record = _record(VALUES, None)
    assert over(record, defaults_of(AFTER)) is record
    assert without_what_files_say(record, defaults_of(AFTER)) == record


def test_a_number_that_somebody_set_stays_one_where_the_files_say_it_by_now() -> None:
    before = _record({"a": Normalization(5.0, 4.0)}, {"a": FromFiles(False, True)})
    edited = {"a": Normalization(5.0, 16.0), "b": Normalization(5.0, 16.0)}
    assert from_files_in(edited, defaults_of(AFTER), before) == {"b": (True, False)}


def test_a_number_that_is_put_back_to_what_the_files_say_follows_them_again() -> None:
    before = _record({"a": Normalization(7.0, 16.0)}, {})
    assert from_files_in({"a": Normalization(5.0, 16.0)}, defaults_of(AFTER), before) == {"a": (True, False)}


def test_what_was_noted_of_a_feature_that_the_files_lost_is_kept() -> None:
    before = _record({"d": Normalization(7.0, 4.0)}, {"d": FromFiles(False, True)})
    assert from_files_in(before.values, defaults_of(AFTER), before) == before.from_files
