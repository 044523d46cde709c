"""Hostile pickles in the places of a training run's model and scaler: findings, no code, nothing for bots."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sklearn.preprocessing import StandardScaler

from mm_core.artifacts.pickles import read_scaler
from mm_core.artifacts.scan import scan_root
from mm_core.domain.findings import Severity
from mm_core.errors import UnreadableArtifact
from tests.artifacts.runs.training import trained, write_trained_run
from tests.attacks.assembling import HARM, Answer, Attack, data, name, real, text
from tests.attacks.hostile_pickles import attacks_of

CATEGORIES = (
    "instructions that name or call",
    "a call in every place",
    "other callables",
    "names with tricks",
    "gadgets",
    "states of honest classes",
    "memo",
    "nesting and cycles",
)


def _names() -> Iterator[str]:
    at = datetime(2025, 1, 1)
    while True:
        yield f"{at:%Y%m%d_%H%M%S}"
        at += timedelta(seconds=1)


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_hostile_pickle_in_a_run_is_carried_out_and_each_is_told(
    category: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, root = tmp_path / "here", tmp_path / "root"
    here.mkdir()
    monkeypatch.chdir(here)
    attacks: dict[str, tuple[Attack, str]] = {}
    sound = pickle.dumps(trained().classifier)
    for attack, run in zip(attacks_of(category), names := _names(), strict=False):
        write_trained_run(root, run, xgboost_model_pkl=attack.data, lstm_model_h5=None)
        attacks[run] = (attack, "xgboost_model.pkl")
        run = next(names)
        write_trained_run(root, run, xgboost_model_pkl=sound, scalers_pkl=attack.data, lstm_model_h5=None)
        attacks[run] = (attack, "scalers.pkl")
    scan = scan_root(root)
    assert list(here.iterdir()) == []
    assert not list(root.rglob(HARM))
    assert set(scan.versions) == set(attacks)
    for run, (attack, place) in attacks.items():
        version = scan.versions[run]
        told = {(one.severity, one.code) for one in version.findings if one.file == f"{run}/{place}"}
        owed = attack.model if place == "xgboost_model.pkl" else attack.info
        assert len(told) == 1, (attack.name, place, version.findings)
        if owed is Answer.UNSAFE:
            assert told == {(Severity.ERROR, "unsafe-pickle")}, (attack.name, place)
        assert version.normalizer is None, attack.name
        if place == "xgboost_model.pkl":
            assert (version.model, version.can_predict) == (None, False), attack.name


SCALER = name("sklearn.preprocessing._data", "StandardScaler")


def _state(**replaced: bytes) -> bytes:
    """Return a pickle of a StandardScaler by hand, with parts of its state replaced."""
    array = pickle.dumps(StandardScaler().fit([[1.0, 2.0], [3.0, 5.0]]).mean_, protocol=2)[2:-1]
    parts = {"with_mean": b"\x88", "with_std": b"\x88", "mean_": array, "scale_": array, **replaced}
    return b"}(" + b"".join(text(key) + value for key, value in parts.items()) + b"u"


def test_a_scaler_by_hand_is_read_so_that_the_lies_below_are_refused_for_what_they_are() -> None:
    scaler = read_scaler(SCALER + b")\x81" + _state() + b"b.", "xgboost")
    assert (scaler.centre, scaler.scale) == ((2.0, 3.5), (2.0, 3.5))


@pytest.mark.parametrize(
    "pickled",
    [
        SCALER + b")\x81" + _state(mean_=real(2.0)) + b"b.",
        SCALER + b")\x81" + _state(mean_=b"](" + real(2.0) + real(1.0) + b"e") + b"b.",
        SCALER + b")\x81" + _state(with_mean=b"K\x01") + b"b.",
        SCALER + b")\x81" + _state(with_mean=text("yes")) + b"b.",
        SCALER + b")\x81" + _state(n_features_in_=b"K\x03") + b"b.",
        SCALER + b")\x81" + _state()[:-1] + text("mean_") + real(9.0) + b"ub.",
        SCALER + b"(" + real(1.0) + b"t\x81" + _state() + b"b.",
        SCALER + b")\x81" + _state() + b"b(" + text("mean_") + real(9.0) + b"u.",
        SCALER + b")\x81" + b"(" + _state() + b"tb.",
        SCALER + b")\x81" + data(b"no state") + b"b.",
        SCALER + b")\x81" + _state(feature_names_in_=b"](" + text("a") + text("b") + b"e") + b"b.",
        SCALER + b".",
        name("sklearn.preprocessing._data", "PowerTransformer") + b")\x81" + _state() + b"b.",
        name("sklearn.linear_model", "StandardScaler") + b")\x81" + _state() + b"b.",
        b"}(" + text("xgboost") + real(1.0) + text("xgboost") + SCALER + b")\x81" + _state() + b"bu.",
    ],
)
def test_a_scaler_that_is_written_as_scikit_learn_writes_none_is_refused(pickled: bytes) -> None:
    with pytest.raises(UnreadableArtifact):
        read_scaler(pickled, "xgboost")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, 1e-13])
def test_a_scale_that_nobody_can_divide_by_is_refused(value: float) -> None:
    scaler = StandardScaler().fit([[1.0, 2.0], [3.0, 5.0]])
    scaler.scale_[1] = value
    with pytest.raises(UnreadableArtifact):
        read_scaler(pickle.dumps(scaler), "xgboost")


@pytest.mark.parametrize("protocol", range(6))
def test_a_damaged_scaler_is_a_value_or_a_refusal_whatever_the_damage(protocol: int) -> None:
    generator = random.Random(protocol)
    honest = pickle.dumps({"xgboost": trained().scaler, "lstm": trained(False).scaler}, protocol=protocol)
    refused = 0
    for _ in range(700):
        damaged = bytearray(honest)
        for _ in range(generator.choice((1, 1, 2, 8))):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        cut = bytes(damaged[: generator.choice((len(damaged), generator.randrange(1, len(damaged))))])
        try:
            scaler = read_scaler(cut, "xgboost")
        except UnreadableArtifact:
            refused += 1
            continue
        assert len(scaler.centre) == len(scaler.scale) > 0
        assert all(one >= 1e-12 and one < float("inf") for one in scaler.scale)
        assert len(set(scaler.feature_names)) in (0, len(scaler.centre))
    assert refused > 300
