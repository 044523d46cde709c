"""The pages of versions on a real store: what they count, show, offer and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import xgboost
from streamlit.testing.v1 import AppTest

from mm_core import versions
from mm_core.dashboard.sections.registering_versions import begin_with
from mm_core.dashboard.words import plain
from mm_core.domain.lifecycle import ModelType, Objective, Status
from mm_core.domain.versions import BoosterText, Version, VersionLayout
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.artifacts.runs.training import FEATURES, RUN, about, trained, write_trained_run
from tests.artifacts.versions.conftest import WriteVersion, metadata
from tests.dashboard.conftest import OpenPage
from tests.dashboard.version_states import (
    ANN,
    FAMILY,
    RUNS,
    lightgbm_booster,
    register,
    runs_state,
    version_state,
    write_version,
)

__all__ = ["lightgbm_booster", "runs_state", "version_state", "write_version"]

PAGES = ("versions", "version", "compare_versions", "lifecycle")
HTML = "<img src=x onerror=alert(1)>"


def _metrics(page: AppTest) -> dict[str, str]:
    return {metric.label.replace("\\", ""): metric.value.replace("\\", "") for metric in page.metric}


def _table(page: AppTest, column: str) -> Any:
    """Return the first table that has this column."""
    return next(table.value for table in page.dataframe if column in table.value)


def _said(page: AppTest) -> str:
    texts = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error, *page.success]
    return " ".join(element.value.replace("\\", "") for element in texts)


def _figure(page: AppTest, at: int = 0) -> Any:
    return json.loads(page.get("plotly_chart")[at].proto.spec)


@pytest.mark.parametrize("name", ["symbols", "group", "ic", "compare"])
def test_pages_about_groups_lead_to_the_versions_of_a_model_without_groups(
    name: str, version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page(name)
    assert not page.exception
    assert page.title[0].value
    assert "Model fusion has versions and no groups." in _said(page)
    (link,) = [one.proto for one in page.main.get("page_link") if "Versions of" in one.proto.label]
    assert (link.page.rpartition("/")[2], link.query_string) == ("versions", "q=fusion")


def test_pages_begin_with_the_first_model_that_has_groups(
    version_state: Registry, write_group: Callable[..., Path], open_page: OpenPage
) -> None:
    version_state.registrations.register("horizon", str(write_group("BTCUSDT_mid_chg_1m", "horizon")))
    assert [model.name for model in version_state.view().models()] == ["fusion", "horizon"]
    page = open_page("symbols")
    assert page.selectbox(key="model").value == "horizon"
    assert _table(page, "group")["group"].tolist() == ["BTCUSDT_mid_chg_1m"]


def test_the_overview_counts_and_tells_what_is_wrong_with_versions(
    version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page("overview")
    row = _table(page, "groups").iloc[0]
    assert (row["model"], row["groups"], row["versions"], row["errors"]) == ("fusion", 0, 3, 1)
    findings = _table(page, "remedy")
    assert len(findings) == sum(version_state.view().scan_summary("fusion").findings.values())
    assert findings.iloc[0]["symbol, version"] == "v1.2.0"
    assert findings.iloc[0]["code"] == "normalizer-missing"
    assert _table(open_page("service"), "remedy").iloc[0]["open"] == "/versions?q=v1.2.0"


def _look_at(page: AppTest, directory: Path) -> None:
    page.text_input(key="register_path").set_value(str(directory)).run()
    page.button(key="register_look").click().run()
    assert not page.exception


def test_a_directory_of_versions_is_looked_at_by_how_many_can_predict_and_has_no_table_of_groups(
    empty_state: dict[str, str], open_page: OpenPage, write_version: WriteVersion
) -> None:
    write_version("v1.0.0")
    root = write_version("v1.1.0", normalizer_json=None)
    page = open_page("overview")
    _look_at(page, root)
    (said,) = [one.value for one in page.markdown if "Nothing is stored yet" in one.value]
    findings = len(_table(page, "remedy"))
    assert said == f"**2 versions**, 1 of which can predict, {findings} findings. Nothing is stored yet."
    assert not [table for table in page.dataframe if "dimension" in table.value]


def test_a_directory_of_groups_and_versions_is_looked_at_by_what_of_both_can_be_used(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path], write_version: WriteVersion
) -> None:
    write_group("ETHUSDT_r", model_json=b"{")
    write_group("SOLUSDT_r")
    write_version("v1.0.0")
    write_version("1.0.0")
    page = open_page("overview")
    _look_at(page, write_version("v1.1.0"))
    said = " ".join(one.value for one in page.markdown)
    assert "**2 groups**, 1 of them ready for bots, and **3 versions**, 2 of which can predict, " in said
    assert len(_table(page, "dimension")) == 2


def _record(version: str) -> Any:
    return open_registry(load_settings()).lifecycle.record(FAMILY, version)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_versions_opens_on_versions(name: str, version_state: Registry, open_page: OpenPage) -> None:
    page = open_page(name)
    assert not page.exception
    assert not page.error


@pytest.mark.parametrize("name", PAGES)
def test_a_state_with_groups_alone_says_what_a_version_is(
    name: str, state: dict[str, str], open_page: OpenPage
) -> None:
    page = open_page(name)
    assert not page.exception
    assert "No registered root holds a version" in _said(page)


def test_the_versions_page_counts_what_is_registered_deployed_and_broken(
    version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page("versions")
    found = _metrics(page)
    size = sum(one.size_bytes for one in version_state.model("fusion")[1].versions.values())
    assert found.pop("On disk") == f"{size / 1000:.1f} KB"
    assert found == {"Models": "1", "Versions": "3", "Registered": "2 of 3", "Deployed": "1", "Cannot predict": "1"}


def test_cards_bear_status_findings_and_figures(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("versions")
    said = _said(page)
    for words in ("deployed", "validated", "not registered", "1 error", "validation accuracy 70.0%", "+8.0 points"):
        assert words in said, words


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ({"q": "V1.1"}, ["v1.1.0"]),
        ({"status": "deployed"}, ["v1.0.0"]),
        ({"status": "not registered"}, ["v1.2.0"]),
        ({"files": "cannot predict"}, ["v1.2.0"]),
        ({"status": "deployed", "files": "cannot predict"}, []),
    ],
)
def test_search_and_filters_stand_in_the_address(
    address: dict[str, str], shown: list[str], version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page("versions", show="Table", **address)
    if shown:
        assert _table(page, "files are")["version"].tolist() == shown
    else:
        assert "No version fits." in _said(page)


def test_the_table_has_what_a_version_reports(version_state: Registry, open_page: OpenPage) -> None:
    table = _table(open_page("versions", show="Table"), "files are").set_index("version")
    row = table.loc["v1.1.0"]
    assert (row["status"], row["stage"], row["files are"]) == ("validated", "Staging", "warnings")
    assert row["validation accuracy"] == pytest.approx(0.7)
    assert row["generalization gap"] == pytest.approx(0.7 - 0.62)
    assert table.loc["v1.2.0", "errors"] == 1


def test_figures_over_time_mark_what_cannot_be_believed(
    runs_state: Callable[..., Registry], open_page: OpenPage
) -> None:
    runs_state()
    page = open_page("versions", show="Over time", metric="sharpe_ratio")
    lines = {line["name"]: line for line in _figure(page)["data"]}
    assert lines["daily: lstm"]["y"] == [1.7, 1.7, 1.7]
    assert page.toggle(key="doubtful").label == "Draw 1 value that cannot be believed"
    lines = {line["name"]: line for line in _figure(page.toggle(key="doubtful").set_value(True).run())["data"]}
    assert set(lines) == {"daily: lstm", "daily: xgboost"}
    assert lines["daily: lstm"]["y"] == [82.96, 1.7, 1.7, 1.7]
    assert lines["daily: lstm"]["marker"]["symbol"] == ["diamond-open", "circle", "circle", "circle"]


def test_disk_use_tells_what_is_in_use(version_state: Registry, open_page: OpenPage) -> None:
    table = _table(open_page("versions", show="Disk use"), "in use")
    scan = version_state.model("fusion")[1]
    sizes = {one.name: one.size_bytes for one in scan.versions.values()}
    assert table["bytes"].tolist() == [sum(sizes.values())]
    assert table["in use"].tolist() == [sizes["v1.0.0"]]


def test_a_cleanup_shows_its_plan_and_deletes_only_when_it_is_confirmed(
    runs_state: Callable[..., Registry], open_page: OpenPage, tmp_path: Path
) -> None:
    registry = runs_state()
    versions.pin(tmp_path / "models", RUNS[0], "the one of the paper")
    page = open_page("versions", show="Cleanup", keep="1")
    plan = _table(page, "plan").set_index("run")["plan"].to_dict()
    assert plan == {RUNS[0]: "stays", RUNS[1]: "goes", RUNS[2]: "goes", RUNS[3]: "stays"}
    assert "the one of the paper" in _table(page, "plan").set_index("run").loc[RUNS[0], "why"]
    page.button(key="cleanup").click().run()
    page.button(key="cleanup_keep").click().run()
    assert all((tmp_path / "models" / name).is_dir() for name in RUNS)
    page.button(key="cleanup").click().run()
    page.button(key="cleanup_now").click().run()
    assert not page.exception
    assert [name for name in RUNS if (tmp_path / "models" / name).exists()] == [RUNS[0], RUNS[3]]
    assert [one.name for one in registry.versions()] == [RUNS[3], RUNS[0]]


def test_a_run_that_is_deployed_after_the_plan_was_shown_stays_and_the_page_says_so(
    runs_state: Callable[..., Registry], open_page: OpenPage, tmp_path: Path
) -> None:
    registry = runs_state()
    page = open_page("versions", show="Cleanup", keep="1")
    page.button(key="cleanup").click().run()
    fields = {
        "model_name": "daily",
        "model_version": RUNS[1],
        "model_type": "lstm",
        "objective": "price_prediction",
        "target_variable": "close",
        "prediction_horizon": "1d",
    }
    record = registry.lifecycle.register(fields, ANN).record
    registry.lifecycle.move(registry.lifecycle.move(record, Status.VALIDATED, ANN), Status.SHADOW, ANN)
    page.button(key="cleanup_now").click().run()
    assert sorted(name for name in RUNS if (tmp_path / "models" / name).exists()) == [RUNS[1], RUNS[3]]
    assert f"{RUNS[1]} stays: daily {RUNS[1]} is shadow" in _said(page)


def test_a_root_that_nobody_manages_is_read_only(runs_state: Callable[..., Registry], open_page: OpenPage) -> None:
    runs_state(is_managed=False)
    page = open_page("versions", show="Cleanup", keep="1")
    assert "python -m mm_core init" in _said(page)
    assert not [button for button in page.button if button.key == "cleanup"]


def test_versions_alone_have_nothing_to_clean_up(version_state: Registry, open_page: OpenPage) -> None:
    assert "No registered root holds training runs." in _said(open_page("versions", show="Cleanup"))


def test_a_version_shows_confusion_classes_and_figures(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    found = _metrics(page)
    assert (found["Validation"], found["Test"], found["Gap"]) == ("70.0%", "62.0%", "+8.0 pts")
    (heat,) = _figure(page)["data"]
    assert heat["x"] == ["DOWN", "NEUTRAL", "UP"]
    assert _table(page, "recall")["examples"].tolist() == [30, 40, 30]
    assert _table(page, "metric").set_index("metric")["value"]["generalization gap"] == pytest.approx(0.08)


def test_a_normalizer_is_shown_with_the_square_of_its_std(version_state: Registry, open_page: OpenPage) -> None:
    table = _table(open_page("version", version=f"{FAMILY} / v1.1.0", tab="Normalizer"), "variance")
    assert table["feature"].tolist() == ["momentum_5d", "volatility_20d", "spread", "volume"]
    assert (table["std"].tolist(), table["variance"].tolist()) == ([2.0] * 4, [4.0] * 4)


def test_importance_is_recomputed_from_the_trees(
    version_state: Registry, open_page: OpenPage, lightgbm_booster: Any
) -> None:
    table = _table(open_page("version", version=f"{FAMILY} / v1.1.0", tab="Importance"), "splits")
    splits = dict(zip(lightgbm_booster.feature_name(), lightgbm_booster.feature_importance("split"), strict=True))
    assert dict(zip(table["feature"], table["splits"], strict=True)) == splits
    gain = lightgbm_booster.feature_importance("gain")
    assert table["gain share"].tolist() == pytest.approx(sorted(gain / gain.sum(), reverse=True))


@pytest.mark.parametrize("with_names", [True, False])
def test_a_run_shows_the_xgboost_model_that_bots_get_its_importance_and_its_scaler(
    with_names: bool, empty_state: dict[str, str], open_page: OpenPage, tmp_path: Path
) -> None:
    model = trained(with_names)
    write_trained_run(tmp_path / "models", model=model, metadata=about(feature_names=list(FEATURES)))
    open_registry(load_settings(empty_state)).registrations.register("daily", str(tmp_path / "models"))
    page = open_page("version", version=f"daily / {RUN}", tab="Importance")
    assert (_metrics(page)["Bots get"], _metrics(page)["Trees"]) == ("xgboost", "12")
    table = _table(page, "splits")
    booster = model.classifier.get_booster()
    names = dict(zip(booster.feature_names or [f"f{at}" for at in range(4)], FEATURES, strict=True))
    weights = {names[name]: int(count) for name, count in booster.get_score(importance_type="weight").items()}
    assert dict(zip(table["feature"], table["splits"], strict=True)) == weights
    normalizer = _table(open_page("version", version=f"daily / {RUN}", tab="Normalizer"), "variance")
    assert normalizer["feature"].tolist() == list(FEATURES)
    assert normalizer["mean"].tolist() == list(model.scaler.mean_)
    parameters = _table(open_page("version", version=f"daily / {RUN}", tab="Parameters"), "parameter")
    assert "booster.objective" in parameters["parameter"].tolist()


def test_a_run_with_a_model_without_features_says_that_its_importance_is_not_known(
    empty_state: dict[str, str], open_page: OpenPage, tmp_path: Path
) -> None:
    document = json.loads(bytes(xgboost.train({}, xgboost.DMatrix([[1.0]], [1.0]), 0).save_raw("json")))
    document["learner"]["learner_model_param"]["num_feature"] = "0"
    untrained, named = json.dumps(document).encode(), about(feature_names=list(FEATURES))
    write_trained_run(tmp_path / "models", metadata=named, xgboost_model_pkl=None, xgboost_model_json=untrained)
    write_trained_run(tmp_path / "models", "20250801_120000")
    registry = open_registry(load_settings(empty_state))
    registry.registrations.register("daily", str(tmp_path / "models"))
    files = {one.name: one.files for one in registry.versions()}[RUN]
    assert files is not None
    assert files.booster is not None
    assert files.booster.feature_names == ()
    page = open_page("version", version=f"daily / {RUN}", tab="Importance")
    assert not page.exception
    assert "Nobody knows the importance: there is no trained booster" in _said(page)
    page = open_page("compare_versions", a=f"daily / {RUN}", b="daily / 20250801_120000", part="Features")
    assert not page.exception
    table = _table(page, "gain share A")
    assert (table["gain share A"].isna().all(), table["gain share B"].notna().all()) == (True, True)


def test_a_run_of_which_bots_get_nothing_says_so_and_why(
    runs_state: Callable[..., Registry], open_page: OpenPage, tmp_path: Path
) -> None:
    registry = runs_state()
    for name in RUNS:
        (tmp_path / "models" / name / "xgboost_model.pkl").unlink()
    registry.registrations.refresh("daily")
    page = open_page("version", version=f"daily / {RUNS[1]}", tab="Findings")
    assert _metrics(page)["Bots get"] == "–"
    assert any("None of the run's models can be given to bots" in text.value for text in page.get("text"))


@pytest.mark.parametrize("tab", ["Findings", "Parameters", "Files", "Events", "Normalizer", "Importance", "Metrics"])
@pytest.mark.parametrize("version", ["v1.0.0", "v1.2.0", "v9.0.0"])
def test_every_side_of_every_kind_of_version_says_something(
    tab: str, version: str, version_state: Registry, open_page: OpenPage, write_version: WriteVersion, tmp_path: Path
) -> None:
    if version == "v9.0.0":  # registered, and its files are gone
        write_version("v9.0.0")
        version_state.registrations.refresh("fusion")
        register(version_state, "v9.0.0")
        (tmp_path / "root" / FAMILY / "v9.0.0").rename(tmp_path / "elsewhere")
        version_state.registrations.refresh("fusion")
    page = open_page("version", version=f"{FAMILY} / {version}", tab=tab)
    assert not page.exception
    assert not page.error
    assert len(page.info) + len(page.dataframe) + len(page.text) + len(page.success) > 0


def test_findings_of_a_version_are_exported_under_the_name_of_what_stands_there(
    version_state: Registry, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Any] = []
    monkeypatch.setattr("mm_core.dashboard.sections.version.offer_exports", lambda table, _: exported.append(table))
    open_page("version", version=f"{FAMILY} / v1.2.0", tab="Findings")
    assert list(exported[0].columns[:3]) == ["severity", "model", "version"]
    assert set(exported[0]["version"]) == {"v1.2.0"}


def test_a_version_that_is_gone_is_told_and_another_one_shown(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=f"{FAMILY} / v7.7.7")
    assert f"There is no version '{FAMILY} / v7.7.7' here." in _said(page)
    assert not page.exception


def test_promoting_shows_who_is_demoted_and_does_both_in_one_step(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    page.button(key="move_deployed").click().run()
    assert f"{FAMILY} v1.0.0** is demoted by this: deployed → **shadow**" in _said(page)
    page.text_input(key="move_who").set_value("ann")
    page.text_input(key="move_note").set_value("beats v1.0.0 by 2 points")
    page.button(key="move_now").click().run()
    assert not page.exception
    assert (_record("v1.1.0").status, _record("v1.0.0").status) == (Status.DEPLOYED, Status.SHADOW)
    last = version_state.lifecycle.history(FAMILY)[-1]
    assert (last.actor, last.note) == ("ann", "beats v1.0.0 by 2 points")


def test_the_demoted_version_becomes_what_was_chosen(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    page.button(key="move_deployed").click().run()
    page.segmented_control(key="move_demote_to").set_value("deprecated").run()
    assert "deployed → **deprecated**" in _said(page)
    page.text_input(key="move_who").set_value("ann")
    page.text_input(key="move_note").set_value("v1.0.0 is wrong")
    page.button(key="move_now").click().run()
    assert (_record("v1.1.0").status, _record("v1.0.0").status) == (Status.DEPLOYED, Status.DEPRECATED)


@pytest.mark.parametrize(("who", "why"), [("", "because"), ("ann", " ")])
def test_nothing_moves_without_who_and_why(who: str, why: str, version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    page.button(key="move_deployed").click().run()
    page.text_input(key="move_who").set_value(who)
    page.text_input(key="move_note").set_value(why)
    page.button(key="move_now").click().run()
    assert "Say who you are and why" in _said(page)
    assert _record("v1.1.0").status is Status.VALIDATED


def test_a_version_that_cannot_predict_needs_force(
    version_state: Registry, open_page: OpenPage, tmp_path: Path
) -> None:
    (tmp_path / "root" / FAMILY / "v1.1.0" / "normalizer.json").unlink()
    version_state.registrations.refresh("fusion")
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    page.button(key="move_deployed").click().run()
    assert "It cannot predict" in _said(page)
    assert page.button(key="move_now").disabled
    page.checkbox(key="move_force").check().run()
    page.text_input(key="move_who").set_value("ann")
    page.text_input(key="move_note").set_value("its normalizer is inside")
    page.button(key="move_now").click().run()
    assert _record("v1.1.0").status is Status.DEPLOYED


@pytest.mark.parametrize(
    ("status", "labels"),
    [
        (Status.TRAINING, ["Validate …", "Deprecate …"]),
        (Status.VALIDATED, ["Run as shadow …", "Promote …", "Deprecate …"]),
        (Status.DEPLOYED, ["Demote to shadow …", "Deprecate …"]),
    ],
)
def test_only_legal_moves_are_offered(
    status: Status, labels: list[str], version_state: Registry, open_page: OpenPage, write_version: WriteVersion
) -> None:
    write_version("v2.0.0")
    version_state.registrations.refresh("fusion")
    register(version_state, "v2.0.0", status)
    page = open_page("version", version=f"{FAMILY} / v2.0.0")
    assert [button.label for button in page.button if str(button.key).startswith("move_")] == labels


def test_a_version_that_nobody_registered_says_how(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=f"{FAMILY} / v1.2.0")
    assert "Nobody registered this version" in _said(page)
    assert f"lifecycle register {FAMILY} v1.2.0" in page.code[0].value


def test_the_lifecycle_answers_what_was_deployed_at_a_moment(version_state: Registry, open_page: OpenPage) -> None:
    lifecycle = version_state.lifecycle
    lifecycle.move(_record("v1.1.0"), Status.DEPLOYED, Author("cai", "better in shadow"))
    page = open_page("lifecycle", family=FAMILY)
    assert _metrics(page) == {
        "Deployed now": "v1.1.0",
        "For": "today",
        "By": "cai",
        "Shadows": "1",
        "Deployments": "2",
        "Versions": "2",
    }
    ahead = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=2)
    page.get("datetime_input")[0].set_value(ahead).run()
    said = _said(page)
    assert "That moment is still to come" in said
    assert "by **cai**: “better in shadow”" in said
    page.get("datetime_input")[0].set_value(datetime(2024, 4, 3, 14, 30)).run()
    assert f"**Nothing** of {FAMILY} was deployed at 2024-04-03 14:30 UTC." in _said(page)


def test_the_timeline_has_every_status_of_every_version(version_state: Registry, open_page: OpenPage) -> None:
    version_state.lifecycle.move(_record("v1.1.0"), Status.DEPLOYED, Author("cai", "better in shadow"))
    page = open_page("lifecycle", family=FAMILY)
    bars = {bar["name"]: bar["y"] for bar in _figure(page)["data"]}
    assert bars == {
        "training (2)": ["v1.0.0", "v1.1.0"],
        "validated (2)": ["v1.0.0", "v1.1.0"],
        "shadow (1)": ["v1.0.0"],
        "deployed (2)": ["v1.0.0", "v1.1.0"],
    }
    deployments = _table(page, "ended by")
    assert deployments["version"].tolist() == ["v1.1.0", "v1.0.0"]
    assert deployments["ended by"].tolist() == ["", "cai"]


def test_two_versions_are_compared_by_figures_gap_parameters_and_features(
    version_state: Registry, open_page: OpenPage
) -> None:
    address = {"a": f"{FAMILY} / v1.0.0", "b": f"{FAMILY} / v1.1.0"}
    page = open_page("compare_versions", **address)
    assert (_metrics(page)["Gap of A"], _metrics(page)["Gap of B"]) == ("+0.0 pts", "+8.0 pts")
    table = _table(page, "Δ").set_index("metric")
    assert table.loc["validation accuracy", "Δ"] == pytest.approx(0.05)
    assert table.loc["test accuracy", "Δ"] == pytest.approx(-0.03)
    page = open_page("compare_versions", **address, part="Generalization gap")
    assert {bar["name"]: bar["x"] for bar in _figure(page)["data"]} == {
        "validation": [0.7, 0.65],
        "test": [0.62, 0.65],
    }
    page = open_page("compare_versions", **address, part="Parameters")
    assert "hyperparameters.num_leaves" in _table(page, "parameter")["parameter"].tolist()
    page = open_page("compare_versions", **address, part="Features")
    assert _table(page, "change")["change"].tolist() == ["kept"] * 4


def test_a_version_of_which_nobody_knows_the_gain_did_not_lose_it(
    version_state: Registry, open_page: OpenPage, write_version: WriteVersion
) -> None:
    write_version("v2.0.0", model_txt=None)
    version_state.registrations.refresh("fusion")
    page = open_page("compare_versions", a=f"{FAMILY} / v1.0.0", b=f"{FAMILY} / v2.0.0", part="Features")
    table = _table(page, "gain share A")
    assert (table["gain share A"].notna().all(), table["gain share B"].isna().all()) == (True, True)
    assert not page.get("plotly_chart")


def test_features_that_are_gained_and_lost_have_their_share_of_gain_as_a_bar(
    version_state: Registry, open_page: OpenPage, write_version: WriteVersion, lightgbm_booster: Any
) -> None:
    text = lightgbm_booster.model_to_string().replace("momentum_5d", "carry_5d")
    write_version("v2.0.0", model_txt=text, normalizer_json=None, feature_importance_csv=None)
    version_state.registrations.refresh("fusion")
    page = open_page("compare_versions", a=f"{FAMILY} / v1.0.0", b=f"{FAMILY} / v2.0.0", part="Features")
    assert _figure(page)["data"][0]["y"] == ["momentum_5d", "carry_5d"]  # plotly draws upwards
    assert _table(page, "change").set_index("feature")["change"][["momentum_5d", "carry_5d"]].tolist() == [
        "lost", "gained",
    ]  # fmt: skip


def test_names_and_notes_that_look_like_html_and_are_long_are_shown_as_they_are(
    empty_state: dict[str, str], open_page: OpenPage, write_version: WriteVersion
) -> None:
    long = "m" * 180
    write_version("v1.0.0", HTML)
    root = write_version("v1.0.0", long)
    registry = open_registry(load_settings(empty_state))
    registry.registrations.register("odd", str(root))
    assert {one.family for one in registry.versions()} == {HTML, long}
    about = {"model_type": "lightgbm", "objective": "price_prediction", "target_variable": "r"}
    fields = {**about, "model_name": long, "model_version": "v1.0.0", "prediction_horizon": "1d", "status": "deployed"}
    registry.lifecycle.register(fields, Author("ann", HTML))

    def texts(page: AppTest) -> list[str]:
        assert not page.exception
        return [text.value for text in [*page.markdown, *page.caption, *page.subheader]]

    for name in PAGES[:3]:
        for family in (HTML, long):
            address = f"{family} / v1.0.0"
            page = open_page(name, version=address, a=address)
            assert [text for text in texts(page) if HTML in text] == [], name
            if name == "compare_versions":
                assert page.selectbox(key="a").value == address
            else:
                assert any(plain(family) in text for text in texts(page)), (name, family)
    page = open_page("version", version=f"{long} / v1.0.0", tab="Events")
    assert _table(page, "why")["why"].tolist() == [HTML]
    page = open_page("lifecycle", family=long)
    ahead = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=2)
    page.get("datetime_input")[0].set_value(ahead).run()
    assert [text for text in texts(page) if HTML in text] == []
    assert any(f"by **ann**: “{plain(HTML)}”" in text for text in texts(page))
    assert _table(page, "why")["why"].tolist() == [HTML]


def test_a_version_in_two_directories_can_be_told_apart(
    empty_state: dict[str, str], open_page: OpenPage, write_version: WriteVersion
) -> None:
    write_version("v1.0.0")
    root = write_version("1.0.0")
    open_registry(load_settings(empty_state)).registrations.register("fusion", str(root))
    page = open_page("version")
    options = next(box for box in page.selectbox if box.key == "version").options
    assert sorted(options) == [
        f"{FAMILY} / v1.0.0 (fusion: {FAMILY}/1.0.0)",
        f"{FAMILY} / v1.0.0 (fusion: {FAMILY}/v1.0.0)",
    ]


def test_a_version_in_two_directories_shows_what_its_files_say_and_leads_to_no_editor(
    empty_state: dict[str, str], open_page: OpenPage, write_version: WriteVersion
) -> None:
    write_version("v1.0.0")
    open_registry(load_settings(empty_state)).registrations.register("fusion", str(write_version("1.0.0")))
    page = open_page("version", version=f"{FAMILY} / v1.0.0 (fusion: {FAMILY}/v1.0.0)", tab="Normalizer")
    assert not page.error
    assert _table(page, "std")["mean"].tolist() == [0.5] * 4
    assert "Edit normalization" not in [link.proto.label for link in page.main.get("page_link")]
    page = open_page("config")
    assert not page.error
    assert not [box for box in page.selectbox if box.key == "of"]
    assert "Model fusion has versions and no groups." in _said(page)


@pytest.mark.parametrize("name", ["versions", "lifecycle"])
def test_a_family_that_cannot_be_read_is_named_with_the_remedy_and_the_others_are_shown(
    name: str, version_state: Registry, open_page: OpenPage
) -> None:
    record = _record("v1.0.0")
    fields = ("model_type", "objective", "target_variable", "prediction_horizon")
    about = {field: getattr(record, field) for field in fields}
    version_state.lifecycle.register({**about, "model_name": "broken", "model_version": "v1.0.0"}, ANN)
    for path in (load_settings().data_dir / "lifecycle" / "broken" / "current").glob("index-*.json"):
        path.write_bytes(b"{")
    page = open_page(name)
    assert not page.exception
    (error,) = page.error
    assert "broken" in error.value
    assert "doctor --repair" in error.value.replace("\\", "")
    assert FAMILY in _said(page) or FAMILY in page.selectbox[0].options


def _act(page: AppTest, button: str, who: str, why: str) -> None:
    page.text_input(key=f"{button.split('_')[0]}_who").set_value(who)
    page.text_input(key=f"{button.split('_')[0]}_note").set_value(why)
    page.button(key=button).click().run()
    assert not page.exception


def test_a_version_is_pinned_and_unpinned_behind_a_dialog_that_asks_who_and_why(
    version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    assert page.button(key="pin").label == "Pin …"
    page.button(key="pin").click().run()
    assert "no cleanup takes it until somebody takes the pin off" in _said(page)
    _act(page, "pin_now", "ann", " ")
    assert "Say who you are and why" in _said(page)
    assert not _record("v1.1.0").pinned
    _act(page, "pin_now", "ann", "the audit needs it")
    assert _record("v1.1.0").pinned
    last = version_state.lifecycle.history(FAMILY)[-1]
    assert (last.actor, str(last.action), last.note) == ("ann", "pin", "the audit needs it")
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    assert page.button(key="pin").label == "Unpin …"
    page.button(key="pin").click().run()
    assert "the next cleanup may delete its files" in _said(page)
    _act(page, "pin_now", "bob", "the audit is over")
    assert not _record("v1.1.0").pinned


def test_a_promotion_whose_plan_somebody_overtook_is_refused_and_loses_nothing(
    version_state: Registry, open_page: OpenPage, write_version: WriteVersion
) -> None:
    write_version("v2.0.0")
    version_state.registrations.refresh("fusion")
    register(version_state, "v2.0.0", Status.VALIDATED)
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    page.button(key="move_deployed").click().run()
    assert f"{FAMILY} v1.0.0** is demoted by this" in _said(page)
    version_state.lifecycle.move(_record("v2.0.0"), Status.DEPLOYED, Author("cai", "was faster"))
    before = version_state.lifecycle.history(FAMILY)
    _act(page, "move_now", "ann", "better")
    (error,) = page.error
    assert "v2.0.0 is deployed by now, not sentiment-fusion v1.0.0. Look at the plan again" in error.value.replace(
        "\\", ""
    )
    assert version_state.lifecycle.history(FAMILY) == before
    assert (_record("v1.1.0").status, _record("v2.0.0").status) == (Status.VALIDATED, Status.DEPLOYED)


def test_a_move_of_a_version_that_somebody_changed_is_refused_and_loses_nothing(
    version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page("version", version=f"{FAMILY} / v1.1.0")
    page.button(key="move_deployed").click().run()
    version_state.lifecycle.update(_record("v1.1.0"), {"test_score": 0.1}, Author("cai", "measured again"))
    before = version_state.lifecycle.history(FAMILY)
    _act(page, "move_now", "ann", "better")
    (error,) = page.error
    assert "Read it again and repeat the change" in error.value.replace("\\", "")
    assert version_state.lifecycle.history(FAMILY) == before
    assert _record("v1.1.0").test_score == 0.1


@pytest.mark.parametrize("what", ["deployed", "pinned", "latest"])
def test_a_run_that_somebody_needs_since_the_cleanup_was_shown_stays_and_the_page_says_why(
    what: str, runs_state: Callable[..., Registry], open_page: OpenPage, tmp_path: Path
) -> None:
    registry = runs_state()
    page = open_page("versions", show="Cleanup", keep="2")
    page.button(key="cleanup").click().run()
    root = tmp_path / "models"
    if what == "deployed":
        about = {"model_type": "lstm", "objective": "price_prediction", "target_variable": "r"}
        fields = {**about, "model_name": "daily", "model_version": RUNS[0], "prediction_horizon": "1d"}
        registry.lifecycle.register({**fields, "status": "shadow"}, ANN)
    elif what == "pinned":
        versions.pin(root, RUNS[0], "the audit needs it")
    else:
        versions.move_latest(root, RUNS[0])
    page.button(key="cleanup_now").click().run()
    assert not page.exception
    why = {"deployed": "is shadow", "pinned": "it is pinned: the audit needs it", "latest": "'latest' stands for it"}
    assert f"{RUNS[0]} stays:" in _said(page)
    assert why[what] in _said(page)
    assert sorted(path.name for path in root.glob("2025*")) == [RUNS[0], *RUNS[2:]]
    assert (root / RUNS[0] / "lstm_model.h5").exists()


def _form(page: AppTest, label: str) -> dict[str, Any]:
    elements = [*page.selectbox, *page.text_input, *page.number_input]
    return {str(one.key).removeprefix(f"{label} "): one for one in elements if str(one.key).startswith(label)}


def test_a_version_that_nobody_registered_is_registered_by_a_form_that_begins_with_its_files(
    version_state: Registry, open_page: OpenPage, write_version: WriteVersion
) -> None:
    about = {"prediction_horizon": "3d", "target_variable": "direction_3d"}
    write_version("v2.0.0", metadata_json=metadata("v2.0.0", **about))
    version_state.registrations.refresh("fusion")
    label = f"{FAMILY} / v2.0.0"
    page = open_page("versions", show="Register", unregistered=label)
    form = _form(page, label)
    assert {name: one.value for name, one in form.items()} == {
        "ModelType": "lightgbm", "Objective": "direction_classification", "Tier": "premium", "Status": "training",
        "target_variable": "direction_3d", "prediction_horizon": "3d", "validation_score": 0.65, "test_score": 0.65,
        "who": "", "why": "",
    }  # fmt: skip
    assert form["ModelType"].options == list(map(str, ModelType))
    assert form["Status"].options == list(map(str, Status))
    _submit(page)
    assert "The actor must be 1 to 100 visible characters" in _said(page)
    _form(page, label)["who"].set_value("ann")
    _form(page, label)["prediction_horizon"].set_value("1 week")
    _submit(page)
    assert "must be a number and one of h, d, w, m, y" in _said(page)
    assert _form(page, label)["who"].value == "ann", "what was typed stays"
    _form(page, label)["prediction_horizon"].set_value("1w")
    _form(page, label)["why"].set_value("of Monday's training")
    _form(page, label)["Tier"].set_value("free")
    _submit(page)
    assert not page.error
    record = _record("v2.0.0")
    assert (record.prediction_horizon, record.target_variable, record.tier_requirement, record.validation_score) == (
        "1w", "direction_3d", "free", 0.65
    )  # fmt: skip
    last = version_state.lifecycle.history(FAMILY)[-1]
    assert (last.actor, last.after, last.note) == ("ann", Status.TRAINING, "of Monday's training")
    assert "has the same model, byte for byte" in _said(page)


@pytest.mark.parametrize(
    ("booster", "objective"),
    [
        ("multi:softprob", Objective.DIRECTION_CLASSIFICATION),
        ("multi:softmax", Objective.DIRECTION_CLASSIFICATION),
        ("multiclassova num_class:3", Objective.DIRECTION_CLASSIFICATION),
        ("binary:logistic", Objective.DIRECTION_CLASSIFICATION),
        ("reg:squarederror", Objective.PRICE_PREDICTION),
    ],
)
def test_the_form_begins_with_a_classification_where_the_booster_tells_classes_apart(
    booster: str, objective: Objective
) -> None:
    at = "2025-07-01T12:00:00+00:00"
    text = BoosterText(("a",), booster, 3, 1, 2, (1,), (1.0,))
    files = Version("daily", RUNS[0], None, VersionLayout.RUNS, RUNS[0], (), at, (), at, booster=text)
    assert begin_with(files)["objective"] is objective


def test_what_the_form_registers_as_deployed_needs_a_reason_and_what_somebody_registered_meanwhile_is_told(
    version_state: Registry, open_page: OpenPage, write_version: WriteVersion
) -> None:
    write_version("v2.0.0")
    version_state.registrations.refresh("fusion")
    label = f"{FAMILY} / v2.0.0"
    page = open_page("versions", show="Register", unregistered=label)
    for name, value in (("who", "ann"), ("Status", "deployed"), ("target_variable", "d"), ("prediction_horizon", "1w")):
        _form(page, label)[name].set_value(value)
    _submit(page)
    assert "v2.0.0 becomes deployed: a note is needed" in _said(page)
    register(version_state, "v2.0.0")
    before = version_state.lifecycle.history(FAMILY)
    _form(page, label)["why"].set_value("because")
    _submit(page)
    assert "v2.0.0 already exists" in _said(page)
    assert version_state.lifecycle.history(FAMILY) == before


def _submit(page: AppTest) -> None:
    next(button for button in page.button if button.label == "Register").click().run()
    assert not page.exception


def test_where_every_version_is_registered_there_is_no_form(version_state: Registry, open_page: OpenPage) -> None:
    register(version_state, "v1.2.0")
    page = open_page("versions", show="Register")
    assert "Every version that a registered root holds is registered." in _said(page)
