"""The editor on versions: chosen beside groups, begun on what the files say, as careful as with groups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mm_core.dashboard.editor.drafts import Cell
from mm_core.dashboard.editor.pasting import OTHER_FILES, Pasted, read_json
from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import FEATURES, WriteVersion
from tests.dashboard.conftest import OpenPage
from tests.dashboard.test_config_page import _grid, _save, _tables, _type
from tests.dashboard.version_states import FAMILY, lightgbm_booster, version_state, write_version

__all__ = ["lightgbm_booster", "version_state", "write_version"]

V = "v1.1.0"
OF = f"{FAMILY} / {V}"


@pytest.fixture
def editor(version_state: Registry, open_page: OpenPage) -> AppTest:
    """The editor of v1.1.0: every mean 0.5, every variance 4, revision 0."""
    return open_page("config", of=OF)


def _others_save(registry: Registry, **values: tuple[float, float]) -> None:
    pairs = [values.get(name, (0.5, 4.0)) for name in FEATURES]
    body = {"mean_values": [mean for mean, _ in pairs], "variance_values": [variance for _, variance in pairs]}
    registry.normalizers.save(FAMILY, V, {V: body}, by="api")


def _captions(page: AppTest) -> str:
    return " ".join(one.value for one in page.caption)


def test_the_grid_shows_what_the_files_say_beside_what_is_edited(editor: AppTest) -> None:
    assert not editor.exception
    grid = _grid(editor)
    assert grid["factor"].tolist() == list(FEATURES)
    assert (grid["mean"].tolist(), grid["variance"].tolist()) == (["0.5"] * 4, ["4.0"] * 4)
    assert (grid["mean in files"].tolist(), grid["variance in files"].tolist()) == ([0.5] * 4, [4.0] * 4)
    assert "Kendall τ" not in grid
    assert "revision 0, as its files say" in _captions(editor)


def test_versions_that_can_be_edited_are_offered_and_no_other_ones(editor: AppTest) -> None:
    assert editor.selectbox(key="of").options == [OF, f"{FAMILY} / v1.0.0"]


def test_a_group_is_edited_unless_a_version_is_chosen(
    state: dict[str, str], open_page: OpenPage, version_of_state: str
) -> None:
    page = open_page("config", model="horizon", symbol="SOLUSDT")
    assert _grid(page)["factor"].tolist() == ["momentum_5", "volatility_20", "spread_3"]
    page.selectbox(key="of").set_value(version_of_state).run()
    assert _grid(page)["factor"].tolist() == list(FEATURES)
    _type(page, {0: {"mean": "7"}})
    page.selectbox(key="of").set_value(page.selectbox(key="of").options[0]).run()
    assert _grid(page)["factor"].tolist() == ["momentum_5", "volatility_20", "spread_3"]
    page.selectbox(key="of").set_value(version_of_state).run()
    assert _grid(page)["mean"].tolist()[0] == "7", "edits wait"


@pytest.fixture
def version_of_state(state: dict[str, str], write_version: WriteVersion) -> str:
    """A version beside the groups of the state; how it is called."""
    open_registry(load_settings()).registrations.register(FAMILY, str(write_version(V) / FAMILY))
    return OF


def test_what_is_saved_is_in_force_and_marked_as_overridden(editor: AppTest, version_state: Registry) -> None:
    _type(editor, {0: {"mean": "1e-7"}, 2: {"variance": "6.25"}})
    _save(editor, "drift")
    current = version_state.normalizers.get(FAMILY, V)
    assert (current.record.revision, current.config.overridden) == (1, ("momentum_5d", "spread"))
    assert version_state.normalizers.history(FAMILY, V)[0].note == "drift"
    assert "2 features with other numbers than the files" in " ".join(one.value for one in editor.markdown)


def test_a_variance_of_0_is_refused_where_the_files_have_a_spread(editor: AppTest) -> None:
    _type(editor, {1: {"variance": "0"}, 2: {"variance": "1e-30"}})
    problems = _tables(editor)["dim factor field what is wrong"]
    assert problems["what is wrong"].tolist() == [
        "0 cannot be: a variance must be at least 1e-24, or 4.0 as the files have it.",
        "1e-30 cannot be: a variance must be at least 1e-24, or 4.0 as the files have it.",
    ]
    assert editor.button(key="save").disabled


def test_defaults_are_what_the_files_say(editor: AppTest, version_state: Registry) -> None:
    _others_save(version_state, spread=(9.0, 1.0))
    editor.run()
    assert _grid(editor)["mean"].tolist() == ["0.5", "0.5", "9.0", "0.5"]
    editor.button(key="defaults").click().run()
    _save(editor)
    assert version_state.normalizers.get(FAMILY, V).config.overridden == ()
    assert version_state.normalizers.get(FAMILY, V).record.revision == 2


def test_pasted_columns_and_documents_go_by_the_rules_of_the_version(editor: AppTest) -> None:
    editor.text_area(key="paste_text").set_value("spread,1,0\nvolume,2,3").run()
    editor.button(key="paste_apply").click().run()
    assert "1 problem" in editor.error[0].value
    editor.text_area(key="paste_text").set_value("spread,1,2\nvolume,2,3").run()
    editor.button(key="paste_apply").click().run()
    assert _grid(editor)["mean"].tolist() == ["0.5", "0.5", "1", "2"]


def test_somebody_who_was_faster_is_shown_beside_what_is_typed(editor: AppTest, version_state: Registry) -> None:
    _type(editor, {0: {"mean": "7"}})
    _others_save(version_state, momentum_5d=(8.0, 4.0))
    editor.run()
    assert "revision 1 is saved, you edit revision 0" in editor.warning[0].value
    editor.button(key="rebase_mine").click().run()
    _save(editor)
    assert version_state.normalizers.get(FAMILY, V).config.mean_values[0] == 7.0


def test_files_that_were_replaced_under_a_draft_are_shown_before_anything_is_saved(
    editor: AppTest, version_state: Registry, tmp_path: Path
) -> None:
    _type(editor, {0: {"mean": "7"}})
    new = {name: {"mean": 1.5, "std": 1.0} for name in FEATURES}
    (tmp_path / "root" / FAMILY / V / "normalizer.json").write_text(json.dumps(new))
    version_state.registrations.refresh("fusion")
    editor.run()
    assert editor.button(key="save").disabled
    editor.button(key="rebase_mine").click().run()
    _save(editor)
    config = version_state.normalizers.get(FAMILY, V).config
    assert (config.mean_values, config.variance_values) == ((7.0, 1.5, 1.5, 1.5), (1.0,) * 4)


def _unsaved_links(page: AppTest) -> list[str]:
    labels = [link.proto.label.replace("\\", "") for link in page.sidebar.get("page_link")]
    return [label for label in labels if "unsaved" in label]


@pytest.mark.parametrize("what", ["loses its normalizer", "lies in two directories", "is gone"])
def test_edits_of_a_version_that_the_editor_does_not_offer_any_more_can_be_dropped_and_no_link_leads_to_them(
    what: str, editor: AppTest, version_state: Registry, write_version: WriteVersion, tmp_path: Path
) -> None:
    _type(editor, {0: {"mean": "7"}})
    directory = tmp_path / "root" / FAMILY / V
    assert _unsaved_links(editor) == [f"{FAMILY} {V}: 1 unsaved"]
    if what == "loses its normalizer":
        (directory / "normalizer.json").unlink()
    elif what == "lies in two directories":
        write_version("1.1.0")
    else:
        directory.rename(tmp_path / "elsewhere")
    version_state.registrations.refresh("fusion")
    editor.run()
    assert not editor.exception
    assert _unsaved_links(editor) == []
    why = "there is no such version now" if what == "is gone" else "this version cannot be edited now"
    assert [one.value.replace("\\", "") for one in editor.sidebar.warning] == [f"{FAMILY} {V}: 1 unsaved, but {why}."]
    editor.button(key=f"drop_{FAMILY}_{V}_{OF}").click().run()
    assert not editor.exception
    assert not editor.sidebar.warning
    assert not any(draft.cells for draft in editor.session_state["_model_manager_drafts"].values())


def test_edits_of_a_version_whose_family_cannot_be_read_wait_beside_every_page_and_can_be_dropped(
    editor: AppTest, version_state: Registry
) -> None:
    _type(editor, {0: {"mean": "7"}})
    for path in (load_settings().data_dir / "lifecycle" / FAMILY / "current").glob("index-*.json"):
        path.write_bytes(b"{")
    st.cache_resource.clear()  # the dashboard remembers what it read of families; not of all for good
    for name in ("overview", "versions", "config"):
        editor.switch_page(f"pages/{name}.py").run()
        assert not editor.exception, name
        assert _unsaved_links(editor) == []
        assert [one.value.replace("\\", "") for one in editor.sidebar.warning] == [
            f"{FAMILY} {V}: 1 unsaved, but what is kept of it cannot be read now; the edits wait."
        ]
    editor.button(key=f"drop_{FAMILY}_{V}_{OF}").click().run()
    assert not editor.exception
    assert not editor.sidebar.warning


def _trained_anew(registry: Registry, tmp_path: Path, mean: float = 1.5) -> None:
    new = {name: {"mean": mean, "std": 1.0} for name in FEATURES}
    (tmp_path / "root" / FAMILY / V / "normalizer.json").write_text(json.dumps(new))
    registry.registrations.refresh("fusion")


def test_files_that_are_replaced_while_the_dialog_is_open_are_shown_before_anything_is_saved(
    editor: AppTest, version_state: Registry, tmp_path: Path
) -> None:
    _type(editor, {0: {"mean": "7"}})
    editor.button(key="save").click().run()
    _trained_anew(version_state, tmp_path)
    editor.button(key="save_now").click().run()
    assert version_state.normalizers.get(FAMILY, V).record.revision == 0
    assert "files of this version were replaced" in editor.warning[0].value
    editor.button(key="rebase_mine").click().run()
    _save(editor)
    config = version_state.normalizers.get(FAMILY, V).config
    assert (config.mean_values, config.variance_values) == ((7.0, 1.5, 1.5, 1.5), (1.0,) * 4)


def test_files_that_are_replaced_below_numbers_that_were_all_set_are_told_too(
    editor: AppTest, version_state: Registry, tmp_path: Path
) -> None:
    _others_save(version_state, **dict.fromkeys(FEATURES, (9.0, 6.25)))
    _type(editor.run(), {0: {"mean": "7"}})
    editor.button(key="save").click().run()
    _trained_anew(version_state, tmp_path)
    editor.button(key="save_now").click().run()
    assert version_state.normalizers.get(FAMILY, V).record.revision == 1
    assert "files of this version were replaced" in editor.warning[0].value
    editor.button(key="rebase_mine").click().run()
    assert _grid(editor)["mean in files"].tolist() == [1.5] * 4
    _save(editor)
    assert version_state.normalizers.get(FAMILY, V).config.mean_values == (7.0, 9.0, 9.0, 9.0)


def test_a_download_is_taken_back_while_the_files_are_those_it_was_made_of(
    editor: AppTest, version_state: Registry, tmp_path: Path
) -> None:
    download = json.loads(next(one.value for one in editor.code if one.value.startswith("{")))
    download[V]["mean_values"][0] = 7.0
    config = version_state.normalizers.get(FAMILY, V).config
    pasted = read_json(json.dumps(download).encode(), V, FEATURES, config.defaults)
    assert (pasted.problems, pasted.cells[Cell("momentum_5d", "mean")]) == ((), "7.0")
    _trained_anew(version_state, tmp_path)
    config = version_state.normalizers.get(FAMILY, V).config
    assert read_json(json.dumps(download).encode(), V, FEATURES, config.defaults) == Pasted({}, (OTHER_FILES,))


def test_two_versions_are_compared_by_the_normalization_that_bots_get(
    version_state: Registry, open_page: OpenPage
) -> None:
    _others_save(version_state, spread=(9.0, 6.25))
    page = open_page("compare_versions", a=OF, b=f"{FAMILY} / v1.0.0", part="Features")
    (table,) = [one.value for one in page.dataframe if "std A" in one.value]
    assert (table["mean A"].tolist(), table["std A"].tolist()) == ([0.5, 0.5, 9.0, 0.5], [2.0, 2.0, 2.5, 2.0])
    assert (table["mean B"].tolist(), table["std B"].tolist()) == ([0.5] * 4, [2.0] * 4)
    assert "Mean and std are what people set, else what the files say." in _captions(page)


def test_columns_of_means_stds_and_variances_are_written_with_every_digit(
    version_state: Registry, open_page: OpenPage
) -> None:
    _others_save(version_state, spread=(9.0, 6.25))
    written: dict[str, str] = {}
    compared = open_page("compare_versions", a=OF, b=f"{FAMILY} / v1.0.0", part="Features")
    for page in (open_page("config", of=OF), open_page("version", version=OF, tab="Normalizer"), compared):
        for table in page.dataframe:
            columns = json.loads(table.proto.columns)
            written |= {name: one.get("type_config", {}).get("format") for name, one in columns.items()}
    names = ("saved mean", "saved variance", "mean in files", "variance in files", "mean", "std", "std in files")
    for name in (*names, "mean A", "mean B", "std A", "std B"):
        numbers = [1e-24, 0.1, 1 / 3, 1e300]
        assert [float(written[name] % number) for number in numbers] == numbers, name


def test_the_page_of_a_version_tells_what_is_overridden(version_state: Registry, open_page: OpenPage) -> None:
    _others_save(version_state, spread=(9.0, 6.25))
    page = open_page("version", version=OF, tab="Normalizer")
    (table,) = [one.value for one in page.dataframe if "std" in one.value]
    assert table["overridden"].tolist() == ["", "", "yes", ""]
    assert (table["mean"].tolist(), table["std"].tolist()) == ([0.5, 0.5, 9.0, 0.5], [2.0, 2.0, 2.5, 2.0])
    assert (table["mean in files"].tolist(), table["std in files"].tolist()) == ([0.5] * 4, [2.0] * 4)
    assert not page.exception
