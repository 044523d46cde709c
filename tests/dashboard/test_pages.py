"""Each page on a real store: what it counts, shows and says."""

from __future__ import annotations

import hashlib
import json
import pickle
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from mm_core.dashboard.words import plain
from mm_core.probe import ServiceState
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.dashboard.conftest import PROJECT, OpenPage

PAGES = sorted(path.stem for path in (PROJECT / "pages").glob("*.py"))


def _metrics(page: AppTest) -> dict[str, str]:
    return {metric.label.replace("\\", ""): metric.value.replace("\\", "") for metric in page.metric}


def _table(page: AppTest, column: str) -> Any:
    """Return the first table that has this column."""
    return next(table.value for table in page.dataframe if column in table.value)


def _figure(page: AppTest, at: int = 0) -> Any:
    return json.loads(page.get("plotly_chart")[at].proto.spec)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_on_a_state_with_groups(name: str, state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page(name)
    assert not page.exception
    assert page.title[0].value


@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_nothing_says_how_to_begin(name: str, empty_state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page(name)
    assert not page.exception
    said = " ".join(element.value for element in [*page.info, *page.code, *page.success])
    assert "./start.sh --demo" in said or name == "service"


@pytest.mark.parametrize("name", PAGES)
def test_a_state_that_cannot_be_read_is_a_sentence_on_every_page(
    name: str, empty_state: dict[str, str], open_page: OpenPage
) -> None:
    data = Path(empty_state["MODEL_MANAGER_DATA_DIR"])
    data.mkdir()
    (data / "registry.json").write_text("{torn", encoding="utf-8")
    page = open_page(name)
    assert not page.exception
    assert page.error
    wrong = [error.value for error in page.error if not error.value.startswith("**Store file damaged.**")]
    assert all(name == "service" and sentence.startswith("**Payload server away.**") for sentence in wrong)


def test_the_overview_counts_models_groups_and_findings(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("overview")
    assert _metrics(page) == {
        "Models": "2", "Groups": "4", "Ready for bots": "3 of 4", "Stale": "4", "Findings": "2",
    }  # fmt: skip
    table = _table(page, "ready for bots")
    assert table["model"].tolist() == ["horizon", "longer"]
    row = table.iloc[0]
    assert (row["symbols"], row["ready for bots"], row["factors"], row["stale"]) == (3, 2, 3, 3)
    assert row["mean |τ|"] == pytest.approx((0.01 + 0.02 + 0.03) / 3)
    assert row["trained until"] == datetime(2024, 5, 1, tzinfo=UTC)


def test_the_overview_names_each_group_that_bots_cannot_be_given_with_the_reason(
    state: dict[str, str], open_page: OpenPage
) -> None:
    page = open_page("overview")
    said = " ".join(text.value.replace("\\", "") for text in page.markdown)
    assert "ETHUSDT_mid_chg_1m_model.json" in said
    assert "Bots get 404" in said


def test_the_overview_tells_what_changed(state: dict[str, str], open_page: OpenPage) -> None:
    what = _table(open_page("overview"), "at")["what"].tolist()
    assert what[0] == "Factor config revision 2 by cli (edit: 3 factors, “by hand”)."
    assert sum(sentence.startswith("Registered from ") for sentence in what) == 2


def test_what_the_name_of_a_directory_hides_is_shown_as_an_escape(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path], tmp_path: Path
) -> None:
    root = write_group().rename(tmp_path / "live\u202emodels")
    open_registry(load_settings()).registrations.register("m", str(root))
    assert _table(open_page("overview"), "directory")["directory"].tolist() == [rf"{tmp_path}/live\u202emodels"]


def test_a_directory_is_looked_at_before_it_is_stored(
    state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    root = write_group("XRPUSDT_mid_chg_9m", "third")
    page = open_page("overview")
    page.text_input(key="register_path").set_value(str(root / "third")).run()
    page.button(key="register_look").click().run()
    assert not page.exception
    assert _table(page, "dimension")["symbol"].tolist() == ["XRPUSDT"]
    assert len(open_registry(load_settings()).view().models()) == 2
    page.text_input(key="register_name").set_value("third").run()
    page.button(key="register_store").click().run()
    assert [model.name for model in open_registry(load_settings()).view().models()] == ["horizon", "longer", "third"]
    assert _metrics(page)["Models"] == "3"
    assert page.run().selectbox(key="model").value == "third"


def test_what_is_looked_at_tells_symbols_that_look_alike(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    write_group("BTCUSDT_r")
    root = write_group("BTCUSD\u0422_r")
    page = open_page("overview")
    page.text_input(key="register_path").set_value(str(root)).run()
    page.button(key="register_look").click().run()
    findings = _table(page, "remedy")
    assert sum("Symbols of this model look alike" in what for what in findings["what"]) == 1


@pytest.mark.parametrize(
    ("path", "said"), [("/no/such/place", "does not exist"), ("relative\0", "NUL"), (__file__, "is not a directory")]
)
def test_a_path_that_cannot_be_registered_is_a_sentence(
    path: str, said: str, empty_state: dict[str, str], open_page: OpenPage
) -> None:
    page = open_page("overview")
    page.text_input(key="register_path").set_value(path).run()
    page.button(key="register_look").click().run()
    assert not page.exception
    assert said in page.error[0].value


def test_a_name_that_bots_cannot_ask_for_is_refused(
    state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    root = write_group("XRPUSDT_mid_chg_9m", "third")
    page = open_page("overview")
    page.text_input(key="register_path").set_value(str(root / "third"))
    page.text_input(key="register_name").set_value("a name").run()
    page.button(key="register_look").click().run()
    page.button(key="register_store").click().run()
    assert "is not allowed" in page.error[0].value
    assert len(open_registry(load_settings()).view().models()) == 2


def test_refresh_reads_what_changed(
    state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path], booster_json: bytes
) -> None:
    page = open_page("overview")
    write_group("ETHUSDT_mid_chg_1m", "horizon", model_json=booster_json)
    page.button(key="refresh").click().run()
    assert not page.exception
    assert _metrics(page)["Ready for bots"] == "4 of 4"


def test_deleting_a_model_needs_its_name(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("overview", model="longer")
    page.button(key="delete").click().run()
    page.button(key="delete_now").click().run()
    assert "Nothing was deleted" in page.error[0].value
    assert _metrics(page)["Models"] == "2"
    page.text_input(key="delete_confirm").set_value("longer").run()
    page.button(key="delete_now").click().run()
    assert not page.exception
    assert _metrics(page)["Models"] == "1"
    page.run()
    assert page.selectbox(key="model").value == "horizon"


def test_symbols_are_one_row_a_group(state: dict[str, str], open_page: OpenPage) -> None:
    table = _table(open_page("symbols", model="horizon"), "dimension")
    assert table["symbol"].tolist() == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert table["ready"].tolist() == ["yes", "no", "yes"]
    assert table["trees"].tolist()[0] == 4
    assert table["samples"].tolist() == [1234] * 3
    assert table["freshness"].tolist() == ["stale"] * 3
    assert table["strongest"].tolist()[2] == "spread_3, volatility_20, momentum_5"
    assert list(table["top factors"].tolist()[2]) == [1.0, 0.6667, 0.3333]


def test_groups_of_which_every_tau_is_0_have_bars_with_room_for_one(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    root = write_group("BTCUSDT_r", ic_csv=b"symbol,factor_name,return_name,Kendall_tau\nBTCUSDT,momentum_5,r,0\n")
    open_registry(load_settings()).registrations.register("m", str(root))
    (table,) = [table for table in open_page("symbols").dataframe if "dimension" in table.value]
    assert table.value["mean |τ|"].tolist() == [0.0]
    bar = json.loads(table.proto.columns)["mean |τ|"]["type_config"]
    assert (bar["min_value"], bar["max_value"]) == (0, 1)


def test_the_search_stands_in_the_address(state: dict[str, str], open_page: OpenPage) -> None:
    assert _table(open_page("symbols", q="sol"), "dimension")["symbol"].tolist() == ["SOLUSDT"]
    assert _table(open_page("symbols", bots="not ready"), "dimension")["symbol"].tolist() == ["ETHUSDT"]
    assert "No group fits" in open_page("symbols", q="nothing like it").info[0].value


def test_the_search_finds_every_factor_of_a_group_not_its_strongest_alone(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    names = ["momentum_5", "volatility_20", "spread_3", "Carry_7"]
    rows = "".join(f"SOLUSDT,{name},r,{0.04 - at / 100:.2f}\n" for at, name in enumerate(names))
    write_group(
        "SOLUSDT_r",
        factors_txt="".join(f"{name}\n" for name in names).encode(),
        ic_csv=f"symbol,factor_name,return_name,Kendall_tau\n{rows}".encode(),
    )
    open_registry(load_settings()).registrations.register("m", str(write_group("BTCUSDT_r")))
    table = _table(open_page("symbols", q="carry"), "dimension")
    assert table["symbol"].tolist() == ["SOLUSDT"]
    assert "Carry_7" not in table["strongest"].tolist()[0]


def test_kinds_that_are_chosen_stand_in_the_address_and_leave_the_others_out(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    today = {"train_end_date": datetime.now(UTC).date().isoformat()}
    write_group("OLDUSDT_r", model_json=b"{", ic_csv=None)
    root = write_group("NEWUSDT_r", info_pkl=pickle.dumps(today), ic_csv=b"symbol,factor_name\n")
    open_registry(load_settings()).registrations.register("m", str(root))
    for age, symbols in (
        ({"age": "fresh"}, ["NEWUSDT"]),
        ({"age": "stale"}, ["OLDUSDT"]),
        ({}, ["NEWUSDT", "OLDUSDT"]),
    ):
        assert _table(open_page("symbols", **age), "dimension")["symbol"].tolist() == symbols
    every, errors, warnings = (
        set(_table(open_page("service", **chosen), "remedy")["severity"])
        for chosen in ({}, {"severity": "error"}, {"severity": "warning"})
    )
    assert (every, errors, warnings) == ({"error", "warning"}, {"error"}, {"warning"})


def test_a_group_shows_its_factors_with_gain_and_normalization(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("group", model="horizon", symbol="SOLUSDT")
    metrics = _metrics(page)
    assert {name: metrics[name] for name in ("Factors", "Trees", "Samples", "Mean |τ|")} == {
        "Factors": "3", "Trees": "4", "Samples": "1,234", "Mean |τ|": "0.0200",
    }  # fmt: skip
    table = _table(page, "gain share")
    assert table["factor"].tolist() == ["momentum_5", "volatility_20", "spread_3"]
    assert table["mean"].tolist() == [1.5, 2.5, 3.5]
    assert table["variance"].tolist() == [4.0, 5.0, 6.0]
    assert table["gain share"].sum() == pytest.approx(1)
    assert table["gain rank"].tolist() == [1, 2, 3]  # what the label was made of: mostly the first, half the second


def test_columns_of_means_and_variances_are_written_with_every_digit(
    state: dict[str, str], open_page: OpenPage
) -> None:
    page = open_page("group", model="horizon", symbol="SOLUSDT")
    columns = next(json.loads(table.proto.columns) for table in page.dataframe if "variance" in table.value)
    for name in ("mean", "variance"):
        written = columns[name]["type_config"]["format"]
        assert [float(written % number) for number in (1e-24, 0.1, 1 / 3, 1e300)] == [1e-24, 0.1, 1 / 3, 1e300]


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2024-05-07T14:24", "fresh: trained until 6 days ago"),
        ("2024-05-02T12:00", "fresh: trained until 1 day ago"),
        ("2024-04-30T18:00", "trained until less than a day ahead"),
        ("2024-04-29T12:00", "trained until 1 day ahead"),
    ],
)
def test_the_age_of_a_group_is_whole_days(
    moment: str, words: str, state: dict[str, str], open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment_there = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    monkeypatch.setattr("mm_core.dashboard.sections.group.now", lambda: moment_there)
    page = open_page("group", model="horizon", symbol="SOLUSDT")  # trained until 2024-05-01
    assert any(f" {words}]" in text.value for text in page.markdown)


@pytest.mark.parametrize(
    ("tab", "figures"),
    [("Factors", 0), ("IC", 2), ("Importance", 3), ("Trees", 3), ("Training", 0), ("Findings", 0), ("Files", 0)],
)
def test_one_side_of_a_group_is_drawn_at_a_time(
    tab: str, figures: int, state: dict[str, str], open_page: OpenPage
) -> None:
    page = open_page("group", model="horizon", symbol="SOLUSDT", tab=tab)
    assert not page.exception
    assert len(page.get("plotly_chart")) == figures


def test_ic_bars_run_from_the_highest_down(state: dict[str, str], open_page: OpenPage) -> None:
    bars = _figure(open_page("group", model="horizon", symbol="SOLUSDT", tab="IC"))["data"][0]
    assert bars["y"] == ["momentum_5", "volatility_20", "spread_3"]  # plotly draws upwards
    assert "No factor has a tau" in open_page("group", model="horizon", symbol="BTCUSDT", tab="IC").info[0].value


def test_taus_that_can_be_none_are_no_figure_of_a_group(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    root = write_group("BTCUSDT_r", ic_csv=b"symbol,factor_name,return_name,Kendall_tau\nBTCUSDT,momentum_5,r,7\n")
    open_registry(load_settings()).registrations.register("m", str(root))
    page = open_page("group", tab="IC")
    assert not page.exception
    assert "No factor has a tau between -1 and 1" in page.info[0].value


def test_a_broken_group_shows_its_finding_with_file_and_remedy(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("group", model="horizon", symbol="ETHUSDT", tab="Findings")
    assert not page.exception
    assert "ETHUSDT_mid_chg_1m_model.json" in page.error[0].value.replace("\\", "")
    place, detail, remedy = page.text[0].value.split("\n")
    assert (place, detail[:27], remedy[:20]) == (
        "ETHUSDT_mid_chg_1m_model.json", "The file is no XGBoost JSON", "Save the model again",
    )  # fmt: skip
    page = open_page("group", model="horizon", symbol="ETHUSDT", tab="Trees")
    assert "no model to look into" in page.info[0].value


def test_files_have_size_time_and_digest(state: dict[str, str], open_page: OpenPage, booster_json: bytes) -> None:
    table = _table(open_page("group", model="horizon", symbol="SOLUSDT", tab="Files"), "SHA-256")
    row = table[table["role"] == "model_json"].iloc[0]
    assert (row["bytes"], row["SHA-256"]) == (len(booster_json), hashlib.sha256(booster_json).hexdigest())


def test_ready_lines_name_this_model_and_symbol(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("group", model="horizon", symbol="SOLUSDT", tab="For bots")
    curl, python = (code.value for code in page.code)
    assert f"http://127.0.0.1:{state['MODEL_MANAGER_HTTP_PORT']}/api/models/horizon/model/SOLUSDT" in curl
    assert "If-None-Match" in curl
    compile(python, "bot", "exec")


def test_the_heat_map_has_each_tau_at_its_place(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("ic", model="horizon", rows="name")
    assert not page.exception
    spec = _figure(page)["data"][0]
    assert spec["y"] == ["momentum_5", "spread_3", "volatility_20"]
    assert spec["x"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


@pytest.mark.parametrize("view", ["Heat map", "One factor", "Consistency", "Agreement", "Distributions", "Families"])
@pytest.mark.parametrize("scope", ["this model", "all models"])
def test_every_view_of_the_explorer_opens(view: str, scope: str, state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("ic", model="horizon", view=view, scope=scope)
    assert not page.exception
    assert page.get("plotly_chart") or page.dataframe or "no factor with a tau in common" in page.info[0].value


def test_two_groups_that_rank_alike_agree(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("ic", view="Agreement", model="horizon", one="ETHUSDT", other="SOLUSDT")
    assert _metrics(page) == {
        "Common factors": "3",
        "Kendall's τ of ranks": "+1.0000",
        "Spearman's ρ": "+1.0000",
        "Shared of the top 3": "100%",
    }
    assert _figure(page)["data"][0]["x"] == [0.01, 0.02, 0.03]


def test_one_factor_is_shown_across_symbols_and_horizons(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("ic", model="horizon", view="One factor", scope="all models", factor="momentum_5")
    assert {bar["name"]: bar["x"] for bar in _figure(page)["data"]} == {
        "mid_chg_1m": ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "mid_chg_5m": ["SOLUSDT"],
    }  # fmt: skip
    assert _metrics(page)["Has a τ in"] == "3 of 4"
    assert _metrics(page)["Mean τ"] == "+0.0200"  # of 0.01, 0.01 and 0.04


def test_two_groups_are_compared_factor_by_factor(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("compare", a="horizon / SOLUSDT", b="longer / SOLUSDT", part="Factors")
    metrics = _metrics(page)
    assert {name: metrics[name] for name in ("Same factors", "Gained", "Lost", "Moved", "Window end")} == {
        "Same factors": "50%", "Gained": "1", "Lost": "1", "Moved": "2", "Window end": "+0 days",
    }  # fmt: skip
    table = _table(page, "Δτ").set_index("factor")
    assert table["change"].to_dict() == {
        "momentum_5": "moved", "volatility_20": "moved", "spread_3": "lost", "carry_7": "gained",
    }  # fmt: skip
    assert table.loc["momentum_5", "Δτ"] == pytest.approx(0.03)
    assert table.loc["volatility_20", "Δτ"] == pytest.approx(-0.07)


def test_gain_that_the_training_info_tells_is_not_subtracted_from_that_of_a_booster(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    told = {"feature_importance": {"momentum_5": 3.0, "volatility_20": 1.0}}
    write_group("BTCUSDT_r", model_json=b"{", info_pkl=pickle.dumps(told))
    open_registry(load_settings()).registrations.register("m", str(write_group("SOLUSDT_r")))
    groups = {"a": "m / BTCUSDT", "b": "m / SOLUSDT"}
    page = open_page("compare", **groups, part="Gain")
    said = "Gain of A is from its training info, that of B from its booster"
    assert page.info[0].value.startswith(said)
    assert not page.get("plotly_chart")
    page = open_page("compare", **groups, part="Factors")
    assert any(caption.value.startswith(said) for caption in page.main.caption)
    table = _table(page, "Δ gain share").set_index("factor")
    assert table.loc["momentum_5", "gain share A"] == 0.75
    assert table["Δ gain share"].isna().all()


def test_two_models_are_compared_symbol_by_symbol(state: dict[str, str], open_page: OpenPage) -> None:
    table = _table(open_page("compare", what="Models"), "factors gained").set_index("symbol")
    assert table["change"].to_dict() == {"BTCUSDT": "lost", "ETHUSDT": "lost", "SOLUSDT": "changed"}
    assert table.loc["SOLUSDT", ["factors gained", "factors lost", "factors moved"]].tolist() == [1, 1, 2]


def test_two_scans_are_compared(state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]) -> None:
    assert "No earlier scan of horizon" in open_page("compare", what="Scans", model="horizon").info[0].value
    write_group("BTCUSDT_mid_chg_1m", "horizon", factors_txt=b"momentum_5\nspread_3\nskew_9\n")
    open_registry(load_settings()).registrations.refresh("horizon")
    page = open_page("compare", what="Scans", model="horizon")
    assert not page.exception
    table = _table(page, "factors gained").set_index("symbol")
    assert table["change"].to_dict() == {"BTCUSDT": "changed", "ETHUSDT": "kept", "SOLUSDT": "kept"}
    assert table.loc["BTCUSDT", ["factors gained", "factors lost", "factors moved"]].tolist() == [1, 1, 1]


def test_one_symbol_of_two_scans_is_looked_into(
    state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    write_group("BTCUSDT_mid_chg_1m", "horizon", factors_txt=b"momentum_5\nspread_3\nskew_9\n")
    open_registry(load_settings()).registrations.refresh("horizon")
    page = open_page("compare", what="Scans", model="horizon", of="One symbol", part="Factors")
    assert page.selectbox(key="into").value == "BTCUSDT", "the first one that changed"
    assert _table(page, "Δτ").set_index("factor")["change"].to_dict() == {
        "momentum_5": "kept", "volatility_20": "lost", "spread_3": "moved", "skew_9": "gained",
    }  # fmt: skip


def test_compared_taus_gains_and_parameters_have_a_tab_each(state: dict[str, str], open_page: OpenPage) -> None:
    groups = {"a": "horizon / SOLUSDT", "b": "longer / SOLUSDT"}
    page = open_page("compare", **groups)
    scatter, bars = _figure(page, 0)["data"][0], _figure(page, 1)["data"][0]
    assert sorted(zip(scatter["x"], scatter["y"], strict=True)) == [(0.01, 0.04), (0.02, -0.05)]
    assert bars["x"] == pytest.approx([-0.07, 0.03])
    page = open_page("compare", **groups, part="Parameters")
    assert any("parameters are the same" in caption.value for caption in page.main.caption)
    page.toggle(key="differing").set_value(False).run()
    assert set(_table(page, "differs")["differs"]) == {""}


@pytest.mark.parametrize(("end", "days"), [("2024-04-30T12:00", "+0 days"), ("2024-04-29T12:00", "-1 days")])
def test_the_window_ends_of_two_groups_are_whole_days_apart(
    end: str, days: str, empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    write_group("BTCUSDT_r", info_pkl=pickle.dumps({"train_end_date": "2024-05-01"}))
    root = write_group("SOLUSDT_r", info_pkl=pickle.dumps({"train_end_date": end}))
    open_registry(load_settings()).registrations.register("m", str(root))
    assert _metrics(open_page("compare", a="m / BTCUSDT", b="m / SOLUSDT"))["Window end"] == days


def test_the_service_page_shows_the_running_payload_server(
    state: dict[str, str], payload_server: str, open_page: OpenPage
) -> None:
    for _ in range(3):
        url = f"{payload_server}/api/models/horizon/model/SOLUSDT"
        urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})).read()
    page = open_page("service")
    assert not page.exception
    metrics = _metrics(page)
    assert metrics["Server"] == "ok"
    assert metrics["From memory"] == "67%"
    routes = _table(page, "mean ms").set_index("route")
    assert routes.loc["/api/models/<model_name>/model/<symbol>", "requests"] == 3


def test_the_service_page_tells_once_what_keeps_a_thread_of_the_server_from_its_work(
    state: dict[str, str], open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = {"mode": "starting", "pending": 0, "refreshes": 1, "last_error": "The store is *damaged*."}
    threads = {
        "watcher": {"running": True, "problem": "The store is *damaged*."},
        "publisher": {"running": True, "problem": "The disk is full."},
        "cleaner": {"running": True, "problem": None},
    }
    health = {"status": "ok", "store_revision": 3, "watcher": watcher, "threads": threads}
    monkeypatch.setattr("mm_core.dashboard.sections.service.probe", lambda _: ServiceState(health, (), {}, 1.0))
    said = [warning.value for warning in open_page("service").warning]
    assert [one for one in said if "last error" in one or "waits" in one] == [
        r"The watcher's last error: The store is \*damaged\*\.",
        r"The publisher waits: The disk is full\.",
    ]


def test_the_service_page_shows_the_server_beside_a_damaged_store(
    state: dict[str, str], payload_server: str, open_page: OpenPage
) -> None:
    store = Path(state["MODEL_MANAGER_DATA_DIR"]) / "registry.json"
    store.write_text(store.read_text(encoding="utf-8")[:40], encoding="utf-8")
    page = open_page("service")
    assert not page.exception
    said = [error.value.partition(".")[0] for error in page.error]
    assert said[:2] == ["**Payload server unwell", "**Store file damaged"]
    assert "Store file damaged" in page.error[0].value


def test_the_service_page_says_when_the_server_is_away(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("service")
    assert page.error[0].value.startswith("**Payload server away.**")
    findings = _table(page, "remedy")
    assert findings["severity"].tolist()[0] == "error"
    assert findings["open"].tolist()[0] == "/group?model=horizon&symbol=ETHUSDT&tab=Findings"


def test_a_link_to_an_unknown_model_or_symbol_says_what_is_shown_instead(
    state: dict[str, str], open_page: OpenPage
) -> None:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60)
    page.query_params["model"] = "gone"
    page.run()
    assert [plain("There is no model 'gone' here; this is horizon.")] == [warning.value for warning in page.warning]
    assert page.selectbox(key="model").value == "horizon"
    page = open_page("group", model="horizon", symbol="NOPE")
    assert [plain("There is no symbol 'NOPE' here; this is BTCUSDT.")] == [warning.value for warning in page.warning]
    assert page.selectbox(key="symbol").value == "BTCUSDT"
    assert page.title[0].value == plain("BTCUSDT · mid_chg_1m")


def test_the_symbol_of_a_link_is_found_whatever_its_case(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("group", model="horizon", symbol="ethusdt")
    assert page.selectbox(key="symbol").value == "ETHUSDT"
    assert not page.warning
    page = open_page("group", model="HORIZON", symbol="SOLUSDT")
    assert [plain("There is no model 'HORIZON' here; this is horizon.")] == [one.value for one in page.warning]


def test_a_link_in_another_case_does_not_hold_the_symbol(state: dict[str, str], open_page: OpenPage) -> None:
    page = open_page("group", model="horizon", symbol="ETHUSDT")
    page.query_params["symbol"] = "ethusdt"
    assert page.run().selectbox(key="symbol").value == "ETHUSDT"
    page.selectbox(key="symbol").set_value("SOLUSDT").run()
    assert page.selectbox(key="symbol").value == "SOLUSDT"


def test_two_models_agree_symbol_by_symbol(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    names = ("momentum_5", "volatility_20", "spread_3")
    rows = "".join(f"BTCUSDT,{name},r,{tau}\n" for name, tau in zip(names, (0.03, 0.02, 0.01), strict=True))
    turned = f"symbol,factor_name,return_name,Kendall_tau\n{rows}".encode()
    for name, files in (("one", {}), ("two", {"ic_csv": turned})):
        write_group("SOLUSDT_r", name)
        root = write_group("BTCUSDT_r", name, **files)
        open_registry(load_settings()).registrations.register(name, str(root / name))
    page = open_page("ic", view="Agreement", scope="all models", sides="models")
    assert _metrics(page) == {
        "Symbols compared": "2 of 2",
        "Median agreement": "+0.0000",
        "Least": "BTCUSDT -1.0000",
        "Most": "SOLUSDT +1.0000",
    }
    agreement = _table(page, "rank agreement").set_index("symbol")["rank agreement"]
    assert agreement.to_dict() == pytest.approx({"BTCUSDT": -1, "SOLUSDT": 1})


def test_two_models_without_three_common_factors_of_a_symbol_cannot_be_compared_by_ranks(
    state: dict[str, str], open_page: OpenPage
) -> None:
    page = open_page("ic", view="Agreement", scope="all models", sides="models")
    assert "no symbol with three common factors" in page.info[0].value  # SOLUSDT has two in both


def test_the_agreement_of_two_models_counts_what_was_compared_of_what_both_have(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    for name in ("one", "two"):
        write_group("SOLUSDT_r", name)
        root = write_group("BTCUSDT_r", name, **({"ic_csv": None} if name == "two" else {}))
        open_registry(load_settings()).registrations.register(name, str(root / name))
    page = open_page("ic", view="Agreement", scope="all models", sides="models")
    assert _metrics(page)["Symbols compared"] == "1 of 2"


def test_many_windows_are_drawn_in_portions(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    for number in range(45):
        info = {"train_start_date": "2024-01-01", "train_end_date": f"2024-03-{number % 28 + 1:02d}"}
        root = write_group(f"S{number:02d}_r", info_pkl=pickle.dumps(info), model_json=None)
    open_registry(load_settings()).registrations.register("many", str(root))
    for choice, count in (("40 freshest", 40), ("40 oldest", 40), ("all 45", 45)):
        page = open_page("symbols", windows=choice)
        assert not page.exception
        assert sum(len(bar["y"]) for bar in _figure(page)["data"]) == count
