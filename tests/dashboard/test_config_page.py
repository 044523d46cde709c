"""The factor config editor: what is typed, what is saved, what is never lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from mm_core.dashboard.editor.kept import Place
from mm_core.dashboard.words import plain
from mm_core.domain.configs import FactorConfig
from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.conftest import write_group_below
from tests.dashboard.conftest import OpenPage

FACTORS = ["momentum_5", "volatility_20", "spread_3"]


@pytest.fixture
def editor(state: dict[str, str], open_page: OpenPage) -> AppTest:
    """The editor of SOLUSDT: means 1.5, 2.5, 3.5, variances 4, 5, 6, revision 2."""
    return open_page("config", model="horizon", symbol="SOLUSDT")


def _type(page: AppTest, rows: dict[int, dict[str, str]]) -> AppTest:
    """Type into the grid as the browser does: on top of what was typed since it was drawn."""
    key = _grid_key(page)
    before = page.session_state[key]["edited_rows"] if key in page.session_state else {}
    page.session_state[key] = {"edited_rows": {**before, **rows}, "added_rows": [], "deleted_rows": []}
    return page.run()


def _grid_key(page: AppTest) -> str:
    return str(page.session_state["_model_manager_pinned"].key)


def _grid(page: AppTest) -> Any:
    return page.session_state["_model_manager_pinned"].table


def _registry() -> Registry:
    return open_registry(load_settings())


def _saved() -> FactorConfig:
    return _registry().configs.get("horizon", "SOLUSDT").config


def _save(page: AppTest, note: str = "") -> AppTest:
    page.button(key="save").click().run()
    page.text_input(key="save_note").set_value(note).run()
    return page.button(key="save_now").click().run()


def _others_save(means: list[float]) -> None:
    document = {"SOLUSDT": {"mean_values": means, "variance_values": [4, 5, 6]}}
    _registry().configs.save("horizon", "SOLUSDT", document, by="api")


def _tables(page: AppTest) -> dict[str, Any]:
    return {" ".join(map(str, table.value.columns)): table.value for table in page.dataframe}


def test_the_grid_shows_what_bots_get_in_dimension_order(editor: AppTest) -> None:
    assert not editor.exception
    grid = _grid(editor)
    assert grid["factor"].tolist() == FACTORS
    assert grid["mean"].tolist() == ["1.5", "2.5", "3.5"]
    assert grid["variance"].tolist() == ["4.0", "5.0", "6.0"]
    assert grid["Kendall τ"].tolist() == [0.01, 0.02, 0.03]
    assert grid["gain share"].sum() == pytest.approx(1)


@pytest.mark.parametrize("text", ["1e-7", ".07", "-1.2345678901234567", "1.5e-9", "-0", "3"])
def test_a_number_is_saved_with_every_digit_that_was_typed(editor: AppTest, text: str) -> None:
    _save(_type(editor, {0: {"mean": text}}))
    assert not editor.exception
    assert _saved().mean_values == (float(text), 2.5, 3.5)


def test_a_save_is_a_revision_with_who_and_why(editor: AppTest) -> None:
    _save(_type(editor, {0: {"mean": "9"}, 2: {"variance": "0.25"}}), "vol rescale")
    revision = _registry().configs.history("horizon", "SOLUSDT")[-1]
    assert (revision.number, revision.by, revision.note) == (3, "dashboard", "vol rescale")
    assert sorted(revision.changes) == ["momentum_5", "spread_3"]
    assert (_saved().mean_values, _saved().variance_values) == ((9.0, 2.5, 3.5), (4.0, 5.0, 0.25))
    assert editor.toast[0].value == plain("Saved revision 3 of horizon SOLUSDT.")
    assert editor.button(key="save").disabled


def test_the_diff_is_shown_before_anything_is_saved(editor: AppTest) -> None:
    _type(editor, {1: {"mean": "7", "variance": "8"}})
    diff = _tables(editor)["dim factor field saved new change"]
    assert diff[["factor", "field", "saved", "new"]].to_numpy().tolist() == [
        ["volatility_20", "mean", "2.5", "7.0"], ["volatility_20", "variance", "5.0", "8.0"],
    ]  # fmt: skip
    editor.button(key="save").click().run()
    assert _saved().mean_values == (1.5, 2.5, 3.5)


def test_all_problems_are_listed_and_nothing_is_stored_until_they_are_gone(editor: AppTest) -> None:
    _type(editor, {0: {"mean": "1e999"}, 1: {"variance": "0"}, 2: {"variance": "-1"}})
    problems = _tables(editor)["dim factor field what is wrong"]
    assert problems["factor"].tolist() == FACTORS
    assert "3 numbers cannot be saved" in editor.error[0].value
    assert editor.button(key="save").disabled
    _type(editor, {0: {"mean": "1"}, 1: {"variance": "1"}, 2: {"variance": "1"}})
    assert not editor.error
    assert not editor.button(key="save").disabled


def test_undo_takes_one_step_back_and_discard_is_a_step(editor: AppTest) -> None:
    _type(editor, {0: {"mean": "7"}})
    _type(editor, {1: {"mean": "8"}})
    editor.button(key="undo").click().run()
    assert _grid(editor)["mean"].tolist() == ["7", "2.5", "3.5"]
    editor.button(key="discard").click().run()
    assert _grid(editor)["mean"].tolist() == ["1.5", "2.5", "3.5"]
    editor.button(key="undo").click().run()
    assert _grid(editor)["mean"].tolist() == ["7", "2.5", "3.5"]


def test_a_draft_survives_other_pages_and_the_sidebar_says_so(editor: AppTest) -> None:
    _type(editor, {0: {"mean": "7"}})
    editor.switch_page("pages/symbols.py").run()
    assert [link.proto.label.replace("\\", "") for link in editor.sidebar.get("page_link")][11:] == [
        "horizon SOLUSDT: 1 unsaved"
    ], "below the links to the eleven pages"
    editor.switch_page("pages/config.py")
    editor.query_params["symbol"] = "SOLUSDT"
    editor.run()
    assert _grid(editor)["mean"].tolist() == ["7", "2.5", "3.5"]


def test_edits_of_a_symbol_that_a_refresh_respelled_are_found_and_saved_under_its_new_spelling(
    editor: AppTest, tmp_path: Path, booster_json: bytes
) -> None:
    _type(editor, {0: {"mean": "7"}})
    for path in (tmp_path / "root" / "horizon").glob("SOLUSDT_*"):
        path.unlink()
    write_group_below(tmp_path / "root", booster_json, "solusdt_mid_chg_1m", "horizon")
    _registry().registrations.refresh("horizon")
    editor.run()
    assert editor.selectbox(key="symbol").value == "solusdt"
    assert _grid(editor)["mean"].tolist() == ["7", "2.5", "3.5"]
    assert not editor.warning
    _save(editor)
    assert not editor.exception
    assert _saved().mean_values == (7.0, 2.5, 3.5)
    assert not [link for link in editor.run().sidebar.get("page_link") if "unsaved" in link.proto.label]


def test_search_narrows_the_grid_and_edits_keep_their_factor(editor: AppTest) -> None:
    editor.text_input(key="find").set_value("spread").run()
    assert _grid(editor)["factor"].tolist() == ["spread_3"]
    _save(_type(editor, {0: {"mean": "42"}}))
    assert _saved().mean_values == (1.5, 2.5, 42.0)


def test_a_group_without_factors_says_so_and_blames_no_search(
    empty_state: dict[str, str], open_page: OpenPage, write_group: Callable[..., Path]
) -> None:
    _registry().registrations.register("m", str(write_group("BTCUSDT_r", factors_txt=b"", ic_csv=None)))
    page = open_page("config", model="m", symbol="BTCUSDT")
    assert not page.exception
    assert [one.value for one in page.info] == ["m BTCUSDT has no factors: there is nothing to normalize."]


def test_a_search_that_nothing_fits_says_so(editor: AppTest) -> None:
    editor.text_input(key="find").set_value("nothing like it").run()
    assert [one.value for one in editor.info] == ["Nothing fits the search. Clear it to see all of them."]


def test_defaults_and_scaling_reach_the_factors_that_are_shown(editor: AppTest) -> None:
    editor.text_input(key="find").set_value("vol").run()
    editor.button(key="defaults").click().run()
    assert _grid(editor)[["mean", "variance"]].to_numpy().tolist() == [["0.2", "1.0"]]
    editor.text_input(key="find").set_value("").run()
    editor.text_input(key="scale_factor").set_value("0.5").run()
    editor.button(key="scale_apply").click().run()
    assert _grid(editor)["variance"].tolist() == ["2.0", "0.5", "3.0"]


def test_scaling_by_a_word_is_said(editor: AppTest) -> None:
    editor.text_input(key="scale_factor").set_value("half").run()
    assert "must be numbers" in editor.error[0].value


def test_pasted_columns_fill_the_grid_and_wrong_ones_are_all_listed(editor: AppTest) -> None:
    editor.text_area(key="paste_text").set_value("spread_3\t7\t8\nmomentum_5\t5\t6\n").run()
    editor.button(key="paste_apply").click().run()
    assert _grid(editor)["mean"].tolist() == ["5", "2.5", "7"]
    editor.text_area(key="paste_text").set_value("spread_3\tx\t8\nunknown\t5\t-6\n").run()
    editor.button(key="paste_apply").click().run()
    assert len(_tables(editor)["what is wrong"]) == 3
    assert _grid(editor)["mean"].tolist() == ["5", "2.5", "7"]


def test_a_json_file_in_the_form_of_the_api_fills_the_grid(editor: AppTest) -> None:
    body = {"factor_names": FACTORS, "mean_values": [1, 2, 3], "variance_values": [1, 2, 3]}
    editor.file_uploader(key="paste_file").upload("config.json", json.dumps({"SOLUSDT": body}).encode()).run()
    editor.button(key="file_apply").click().run()
    assert not editor.exception
    assert [float(text) for text in _grid(editor)["mean"]] == [1, 2, 3]


def test_the_json_to_copy_is_what_the_api_takes(editor: AppTest) -> None:
    shown = next(code.value for code in editor.code if "factor_names" in code.value)
    assert json.loads(shown) == {
        "SOLUSDT": {"factor_names": FACTORS, "mean_values": [1.5, 2.5, 3.5], "variance_values": [4.0, 5.0, 6.0]}
    }


def test_a_draft_without_edits_follows_what_others_save(editor: AppTest) -> None:
    _others_save([8, 2.5, 3.5])
    editor.run()
    assert _grid(editor)["mean"].tolist() == ["8.0", "2.5", "3.5"]


def test_an_edit_that_arrives_together_with_a_newer_revision_is_not_lost(editor: AppTest) -> None:
    _others_save([8, 2.5, 3.5])
    _type(editor, {1: {"mean": "7"}})
    assert _grid(editor)["mean"].tolist()[0] == "1.5"  # the base under the typist stays
    conflicts = _tables(editor)["factor field when you began saved now yours"]
    assert conflicts.to_numpy().tolist() == [["momentum_5", "mean", "1.5", "8.0", ""]]
    assert editor.button(key="save").disabled
    editor.button(key="rebase_mine").click().run()
    assert _grid(editor)["mean"].tolist() == ["8.0", "7", "3.5"]
    _save(editor)
    assert _saved().mean_values == (8.0, 7.0, 3.5)


def test_nothing_that_comes_or_goes_above_the_buttons_moves_them(editor: AppTest) -> None:
    """What moves is there twice for a while, and loses the focus."""

    def place() -> int:
        blocks = {at: block for at, block in editor.main.children.items() if isinstance(block, Block)}
        return next(at for at, block in blocks.items() if "save" in [button.key for button in block.button])

    before = place()
    _type(editor, {0: {"mean": "1e999"}})
    assert "1 number cannot be saved" in editor.error[0].value
    assert place() == before
    _others_save([8, 2.5, 3.5])
    editor.run()
    assert "revision 3 is saved" in editor.warning[0].value
    assert place() == before


@pytest.mark.parametrize(("button", "mean"), [("rebase_mine", "7"), ("rebase_theirs", "8.0"), ("rebase_drop", "8.0")])
def test_a_conflict_is_shown_side_by_side_and_decided_by_the_reader(editor: AppTest, button: str, mean: str) -> None:
    _type(editor, {0: {"mean": "7"}})
    _others_save([8, 2.5, 3.5])
    editor.run()
    assert "revision 3 is saved, you edit revision 2" in editor.warning[0].value
    editor.button(key=button).click().run()
    assert _grid(editor)["mean"].tolist()[0] == mean
    assert not editor.warning
    assert _saved().mean_values[0] == 8.0


def test_a_save_in_the_moment_of_another_shows_the_conflict_and_stores_nothing(editor: AppTest) -> None:
    _type(editor, {0: {"mean": "7"}})
    editor.button(key="save").click().run()
    _others_save([8, 2.5, 3.5])
    editor.button(key="save_now").click().run()
    assert _saved().mean_values[0] == 8.0
    assert "revision 3 is saved, you edit revision 2" in editor.warning[0].value
    assert editor.session_state["_model_manager_drafts"][Place("horizon", "SOLUSDT")].cells


def test_a_config_that_was_begun_anew_is_a_conflict_at_the_same_revision(editor: AppTest) -> None:
    _type(editor, {0: {"mean": "7"}})
    registry = _registry()
    root = registry.model("horizon")[0].root_path
    registry.registrations.delete("horizon")
    registry.registrations.register("horizon", root)
    _others_save([500, 500, 500])
    editor.run()
    assert _registry().configs.get("horizon", "SOLUSDT").record.revision == 2  # as when the edit was begun
    assert "Somebody else was faster" in editor.warning[0].value
    assert editor.button(key="save").disabled
    editor.button(key="rebase_mine").click().run()
    _save(editor)
    assert _saved().mean_values == (7.0, 500.0, 500.0)


def test_a_scan_that_takes_a_factor_away_keeps_the_other_edits(
    editor: AppTest, write_group: Callable[..., Path]
) -> None:
    _type(editor, {0: {"mean": "7"}, 2: {"mean": "9"}})
    write_group("SOLUSDT_mid_chg_1m", "horizon", factors_txt=b"momentum_5\nvolatility_20\nskew_9\n")
    _registry().registrations.refresh("horizon")
    editor.run()
    editor.button(key="rebase_mine").click().run()
    assert not editor.exception
    assert _grid(editor)["factor"].tolist() == ["momentum_5", "volatility_20", "skew_9"]
    assert _grid(editor)["mean"].tolist() == ["7", "2.5", "0.2"]
    assert plain("no longer has spread_3") in editor.toast[0].value


def test_a_factor_that_a_scan_took_away_is_named_and_counts_as_no_changed_number(
    editor: AppTest, write_group: Callable[..., Path]
) -> None:
    _type(editor, {2: {"mean": "9"}})
    write_group("SOLUSDT_mid_chg_1m", "horizon", factors_txt=b"momentum_5\nvolatility_20\nskew_9\n")
    _registry().registrations.refresh("horizon")
    editor.run()
    said = editor.warning[0].value.replace("\\", "")
    assert "No number changed. The model has 1 new factor: skew_9. It no longer has spread_3." in said
    conflicts = _tables(editor)["factor field when you began saved now yours"]
    assert conflicts[["factor", "field", "when you began", "yours"]].to_numpy().tolist() == [
        ["spread_3", "mean", "3.5", "9"], ["spread_3", "variance", "6.0", ""],
    ]  # fmt: skip
    assert conflicts["saved now"].isna().all()
    assert editor.button(key="rebase_theirs").disabled


def test_an_earlier_revision_is_compared_and_restored(editor: AppTest) -> None:
    editor.session_state["under"] = "History"
    editor.run()
    history = _tables(editor)["revision at by action what note"]
    assert history["revision"].tolist() == [2, 1]
    changes = _tables(editor)["dim factor field then now"]
    assert changes[["factor", "field", "then", "now"]].to_numpy().tolist()[0] == ["momentum_5", "mean", "0.2", "1.5"]
    editor.button(key="restore").click().run()
    editor.button(key="restore_now").click().run()
    assert _saved().mean_values == (0.2, 0.2, 0.2)
    assert _registry().configs.history("horizon", "SOLUSDT")[-1].action == "restore"


def test_lines_from_outside_refuse_to_overwrite_a_newer_revision(editor: AppTest) -> None:
    editor.session_state["under"] = "From outside"
    editor.run()
    lines = [code.value for code in editor.code]
    assert any("If-Match" in line and "/api/models/horizon/symbols/SOLUSDT/factor-config" in line for line in lines)
    assert any("--expected-revision 2" in line for line in lines)
