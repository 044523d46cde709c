"""The demo's versions and runs: boosters that hang together, a past that knows no future, a life of their own."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from mm_core import versions
from mm_core.artifacts.scan import scan_root
from mm_core.domain.lifecycle import Action, Status
from mm_core.domain.versions import Version
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import VersionFilter
from tests.demo.test_demo import DEMO, PROJECT, random_bars, with_another_future
from tests.processes import environment_with

import train_runs  # isort: skip - beside test_demo's modules
import train_versions  # isort: skip
from demo.register_demo import RUNS, VERSIONS, register_demo  # isort: skip

VERSION_NAMES = ("v1.0.0", "v1.1.0", "v1.2.0")
SMALL = train_versions.Recipe("v9.0.0", 6, 4, "Small.", {"min_data_in_leaf": 5})


@pytest.fixture(scope="module")
def found() -> dict[str, Version]:
    """The versions as they are shipped."""
    return dict(scan_root(DEMO / VERSIONS).versions)


def test_three_versions_are_as_the_guide_says_and_none_beats_the_most_frequent_class(found: dict[str, Version]) -> None:
    assert tuple(found) == VERSION_NAMES
    for version in found.values():
        assert [one.code for one in version.findings] == ["test-not-above-majority"]  # daily prices are honest noise
        assert version.can_predict
        assert len(version.files) == 5


@pytest.mark.parametrize("name", VERSION_NAMES)
def test_the_figures_of_a_version_are_those_of_its_booster(name: str, found: dict[str, Version]) -> None:
    version, folder = found[name], DEMO / VERSIONS / name
    booster = lightgbm.Booster(model_file=folder / "model.txt")
    assert version.booster is not None
    assert version.metadata is not None
    assert version.normalizer is not None
    assert version.evaluation is not None
    assert tuple(booster.feature_name()) == version.normalizer.feature_names == version.metadata.feature_names
    counts = booster.feature_importance("split").tolist()
    assert dict(zip(booster.feature_name(), counts, strict=True)) == version.importance
    assert list(version.importance.values()) == sorted(counts, reverse=True)
    assert booster.num_trees() == 3 * (version.metadata.total_iterations or 0)
    assert version.evaluation.accuracy == pytest.approx(version.evaluation.accuracy_of_matrix)
    document = json.loads((folder / "test_evaluation.json").read_text())
    assert document["test_examples"] == sum(map(sum, version.evaluation.confusion_matrix)) > 1000
    windows = document_of(folder)["windows"]
    assert windows["train"][1] < windows["validation"][0] < windows["validation"][1] < windows["test"][0]


def document_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "metadata.json").read_text())
    return document


def test_four_runs_are_in_a_managed_root_and_latest_is_the_newest() -> None:
    runs = versions.list_versions(DEMO / RUNS)
    assert len(runs) == 4
    latest = versions.current_version(DEMO / RUNS)
    assert (latest.version, latest.source) == (runs[0].version, "link")
    assert {json.loads((DEMO / RUNS / ".model-manager-root.json").read_text())["kind"]} == {"runs"}
    for run in runs:
        assert run.findings == ()
        assert run.available_models == ("lightgbm", "random_forest", "xgboost")
        assert run.metadata is not None
        assert sum(run.metadata.ensemble_weights.values()) == pytest.approx(1)
        assert max(run.metadata.ensemble_weights.values()) <= train_runs.LARGEST_WEIGHT + 1e-9


def _random_rows(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(2).normal(size=(30, len(names))), columns=names)


def _scaled(run: Path, rows: pd.DataFrame) -> pd.DataFrame:
    scaler = pickle.loads((run / "scalers.pkl").read_bytes())  # our own files
    return pd.DataFrame(scaler.transform(rows), columns=rows.columns)


def test_the_models_of_a_run_are_real_and_each_training_is_later_than_the_one_before() -> None:
    windows = []
    for run in versions.list_versions(DEMO / RUNS):
        about = json.loads((run.path / "training_metadata.json").read_text())
        rows = _random_rows(about["feature_names"])
        scaled = _scaled(run.path, rows)
        for name in ("random_forest", "xgboost"):
            chances = pickle.loads((run.path / f"{name}_model.pkl").read_bytes()).predict_proba(scaled)[:, 1]
            assert len(set(chances.tolist())) > 1
        light = lightgbm.Booster(model_file=run.path / "lightgbm_model.txt")
        assert light.feature_name() == about["feature_names"]
        assert about["training_window"][1] < about["validation_window"][0]
        windows.append(about["validation_window"])
    assert all(later[0] > earlier[1] for later, earlier in pairwise(windows))


def test_every_run_gives_bots_its_xgboost_model_with_the_scaler_that_it_was_trained_with() -> None:
    kept: dict[str, bytes] = {}
    scan = scan_root(DEMO / RUNS, keep=lambda data, _: kept.update({hashlib.sha256(data).hexdigest(): data}))
    for path, version in scan.versions.items():
        assert (version.findings, version.run_model) == ((), "xgboost")
        assert version.model is not None
        assert version.normalizer is not None
        rows = _random_rows(list(version.normalizer.feature_names))
        booster = xgboost.Booster()
        booster.load_model(bytearray(kept[version.model.sha256]))
        normalized = (rows.to_numpy() - np.array(version.normalizer.mean)) / np.array(version.normalizer.std)
        given = booster.predict(xgboost.DMatrix(normalized, feature_names=list(version.normalizer.feature_names)))
        trained = pickle.loads((DEMO / RUNS / path / "xgboost_model.pkl").read_bytes())
        own = trained.predict_proba(_scaled(DEMO / RUNS / path, rows))[:, 1]
        assert given.tobytes() == np.ascontiguousarray(own).tobytes()


@pytest.fixture(scope="module")
def several_bars() -> list[pd.DataFrame]:
    """Random walks of two symbols."""
    return [random_bars(seed=21), random_bars(seed=22)]


def _train(bars: list[pd.DataFrame], folder: Path) -> dict[str, float]:
    parts = train_versions.split_parts(bars)
    return train_versions.train_version(parts, train_versions.strongest_factors(parts), SMALL, folder)


def test_a_version_is_the_same_each_time_and_knows_no_bar_of_the_test_part(
    several_bars: list[pd.DataFrame], tmp_path: Path
) -> None:
    test_begins = train_versions.split_parts(several_bars).tested.index[0]
    first = int(several_bars[0].index.searchsorted(test_begins))
    futures = [with_another_future(bars, first) for bars in several_bars]
    once, again, other = (
        _train(bars, tmp_path / name)
        for name, bars in (("once", several_bars), ("again", several_bars), ("other", futures))
    )
    assert once == again
    assert once["tested"] != other["tested"]
    for name in ("model.txt", "normalizer.json", "feature_importance.csv"):
        written = [(tmp_path / folder / name).read_bytes() for folder in ("once", "again", "other")]
        assert written == written[:1] * 3
    undated = [{**document_of(tmp_path / folder), "training_date": ""} for folder in ("once", "again")]
    assert undated[0] == undated[1]


def test_no_label_of_a_part_reaches_into_the_next(several_bars: list[pd.DataFrame]) -> None:
    parts = train_versions.split_parts(several_bars)
    assert parts.trained["known_at"].max() < parts.validated.index.min()
    assert parts.validated["known_at"].max() < parts.tested.index.min()
    low, high = parts.bounds
    shares = np.bincount(np.digitize(parts.trained["return"], [low, high])) / len(parts.trained)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.01)


def test_runs_are_published_anew_in_the_place_of_those_before(tmp_path: Path) -> None:
    bars = random_bars(seed=23)
    bars.index = pd.date_range("2020-01-01", periods=len(bars), freq="B", tz="UTC")
    first = train_runs.publish_runs(bars, tmp_path / "runs", runs=1)
    second = train_runs.publish_runs(bars, tmp_path / "runs", runs=1)
    assert [run.version for run in versions.list_versions(tmp_path / "runs")] == second != first
    assert os.readlink(tmp_path / "runs" / "latest") == second[0]


@pytest.mark.parametrize(
    ("scores", "weights"),
    [((0.5, 0.5, 0.5), (1 / 3, 1 / 3, 1 / 3)), ((0.9, 0.3, 0.3), (0.4, 0.3, 0.3)), ((0.6, 0.6, 0.1), (0.4, 0.4, 0.2))],
)
def test_no_weight_is_above_the_largest_and_all_sum_to_one(
    scores: tuple[float, ...], weights: tuple[float, ...]
) -> None:
    found = train_runs._weights(dict(zip("abc", scores, strict=True)))
    assert tuple(found.values()) == pytest.approx(weights)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copy of what is shipped."""
    return Path(shutil.copytree(DEMO, tmp_path / "demo", symlinks=True))


def test_the_demo_is_registered_and_its_versions_have_lived(registry: Registry, demo: Path) -> None:
    register_demo(registry, demo)
    assert [model.name for model in registry.view().models()] == [
        VERSIONS, "mid_chg_1b", "mid_chg_20b", "mid_chg_5b", RUNS,
    ]  # fmt: skip
    lifecycle = registry.lifecycle
    stands = {one.model_version: one.status for one in lifecycle.list(VersionFilter(model_name=VERSIONS))}
    assert stands == {"v1.0.0": Status.DEPRECATED, "v1.1.0": Status.DEPLOYED, "v1.2.0": Status.SHADOW}
    events = lifecycle.history(VERSIONS)
    assert [(one.action, one.version) for one in events if one.action is not Action.REGISTER] == [
        (Action.VALIDATE, "v1.0.0"), (Action.DEPLOY, "v1.0.0"), (Action.VALIDATE, "v1.1.0"),
        (Action.DEPRECATE, "v1.0.0"), (Action.DEPLOY, "v1.1.0"), (Action.VALIDATE, "v1.2.0"),
        (Action.SHADOW, "v1.2.0"),
    ]  # fmt: skip
    assert all(one.actor == "demo" and (one.note or one.action is Action.REGISTER) for one in events)
    deployed = lifecycle.deployed(RUNS)
    names = [run.version for run in versions.list_versions(demo / RUNS)]
    assert [deployed.record.model_version, *(one.model_version for one in deployed.challengers)] == names[1::-1]
    held = registry.held_version(RUNS, names[1])
    assert held.version.normalizer is not None
    row = dict.fromkeys(held.version.normalizer.feature_names, 0.25)
    try:
        answer = registry.predictions.predict(RUNS, names[1], json.dumps([row]).encode())
    finally:
        registry.predictions.close()
    assert answer.answer.classes == ("DOWN", "UP")
    assert answer.answer.predictions[0].signal in ("BULLISH", "BEARISH")


def test_a_second_start_keeps_what_people_changed(registry: Registry, demo: Path) -> None:
    register_demo(registry, demo)
    lifecycle = registry.lifecycle
    lifecycle.move(lifecycle.record(VERSIONS, "v1.2.0"), Status.DEPLOYED, Author("ann", "It is better."))
    with versions.publish(demo / RUNS) as run:
        (run.path / "lightgbm_model.txt").write_text("mine")
    before = registry.view().revision, lifecycle.history(VERSIONS), lifecycle.history(RUNS)
    register_demo(registry, demo)
    assert (lifecycle.history(VERSIONS), lifecycle.history(RUNS)) == before[1:]
    assert lifecycle.deployed(VERSIONS).record.model_version == "v1.2.0"
    assert len(registry.model(RUNS)[1].versions) == 5


def test_a_cleanup_of_the_demos_runs_takes_what_is_neither_latest_nor_deployed(registry: Registry, demo: Path) -> None:
    register_demo(registry, demo)
    newest, before, *oldest = (run.version for run in versions.list_versions(demo / RUNS))
    plan = versions.plan_cleanup(
        demo / RUNS, 1, lambda version: registry.lifecycle.reason_to_keep(demo / RUNS / version)
    )
    assert [removal.version for removal in plan.removals] == oldest
    assert plan.kept == (newest,)
    assert [(one.version, "is deployed" in one.reason) for one in plan.protected] == [(before, True)]


def test_what_is_refused_ends_the_program_with_a_sentence(tmp_path: Path) -> None:
    environment = environment_with(DATA_DIR=str(tmp_path / "state"), ARTIFACT_ROOTS=str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "demo.register_demo"], cwd=PROJECT, env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr.startswith("error: Root '")) == (1, True), done.stderr
