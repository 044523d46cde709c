"""What a link names is what its page shows, whatever was looked at before; what is shown stands in the address."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from mm_core.dashboard.words import plain
from mm_core.registry import Registry
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import WriteVersion
from tests.dashboard.conftest import OpenPage
from tests.dashboard.version_states import FAMILY, lightgbm_booster, register, version_state, write_version

__all__ = ["lightgbm_booster", "version_state", "write_version"]

NEWEST, MIDDLE, OLDEST = (f"{FAMILY} / {version}" for version in ("v1.2.0", "v1.1.0", "v1.0.0"))


def _follow(page: AppTest, name: str, **address: str) -> AppTest:
    """Follow a link from the page that is open."""
    page.switch_page(f"pages/{name}.py")
    page.session_state["_model_manager_written"] = {}  # AppTest loses the frame's widgets here; the address counts
    page.query_params = dict(address)
    page.run()
    assert not page.exception
    return page


def _warned(page: AppTest) -> list[str]:
    return [one.value for one in page.warning]


@pytest.fixture
def three_groups(empty_state: dict[str, str], write_group: Callable[..., Path]) -> Registry:
    """Two models, the first of which has two symbols."""
    write_group("BTCUSDT_mid_chg_1m", "first")
    write_group("SOLUSDT_mid_chg_1m", "first")
    root = write_group("SOLUSDT_mid_chg_1m", "second")
    registry = open_registry(load_settings(empty_state))
    for name in ("first", "second"):
        registry.registrations.register(name, str(root / name))
    return registry


@pytest.mark.parametrize("wanted", [NEWEST, MIDDLE, OLDEST])
def test_a_link_to_a_version_opens_it_after_another_one_was_looked_at(
    wanted: str, version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page("version", version=OLDEST if wanted == MIDDLE else MIDDLE)
    _follow(page, "versions")
    _follow(page, "version", version=wanted)
    assert page.selectbox(key="version").value == wanted


@pytest.mark.parametrize("wanted", [NEWEST, OLDEST])
def test_a_link_on_the_same_page_opens_what_it_names(wanted: str, version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=MIDDLE)
    page.query_params = {"version": wanted}
    assert page.run().selectbox(key="version").value == wanted


def test_what_the_reader_chose_stays_after_a_link_brought_them(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=MIDDLE)
    page.selectbox(key="version").set_value(NEWEST).run()
    assert page.run().selectbox(key="version").value == NEWEST
    _follow(page, "versions")
    assert _follow(page, "version").selectbox(key="version").value == NEWEST


def test_a_link_to_compare_groups_names_the_first_and_begins_the_second_anew(
    three_groups: Registry, open_page: OpenPage
) -> None:
    page = open_page("compare", model="first", symbol="BTCUSDT", a="first / BTCUSDT")
    assert [page.selectbox(key=key).value for key in "ab"] == ["first / BTCUSDT", "first / SOLUSDT"]
    page.selectbox(key="b").set_value("second / SOLUSDT").run()
    page.segmented_control(key="what").set_value("Models").run()
    _follow(page, "group", model="first", symbol="SOLUSDT")
    (link,) = [one.proto for one in page.main.get("page_link") if one.proto.label == "Compare"]
    address = dict(part.split("=") for part in link.query_string.replace("+", " ").replace("%2F", "/").split("&"))
    assert address == {"model": "first", "symbol": "SOLUSDT", "what": "Groups", "a": "first / SOLUSDT"}
    _follow(page, "compare", **address)
    assert [page.selectbox(key=key).value for key in "ab"] == ["first / SOLUSDT", "second / SOLUSDT"]
    page.selectbox(key="b").set_value("first / BTCUSDT").run()
    _follow(page, "group", model="first", symbol="SOLUSDT")
    _follow(page, "compare", model="first", symbol="SOLUSDT")
    assert page.selectbox(key="b").value == "first / BTCUSDT", "a way back asks for nothing"


def test_the_editor_of_a_group_is_not_left_at_the_version_that_was_edited_before(
    version_state: Registry, write_group: Callable[..., Path], open_page: OpenPage
) -> None:
    version_state.registrations.register("horizon", str(write_group("BTCUSDT_mid_chg_1m", "horizon")))
    page = open_page("config", model="horizon", symbol="BTCUSDT", of=MIDDLE)
    assert page.selectbox(key="of").value == MIDDLE
    _follow(page, "group", model="horizon", symbol="BTCUSDT")
    (link,) = [one.proto for one in page.main.get("page_link") if one.proto.label == "Edit normalization"]
    assert "of=group+in+the+sidebar" in link.query_string
    _follow(page, "config", model="horizon", symbol="BTCUSDT", of="group in the sidebar")
    assert page.selectbox(key="of").value == "group in the sidebar"


def test_the_address_says_what_is_shown_where_another_choice_moved_what_it_would_begin_with(
    version_state: Registry, open_page: OpenPage
) -> None:
    page = open_page("compare_versions")
    assert [page.selectbox(key=key).value for key in "ab"] == [NEWEST, MIDDLE]
    page.selectbox(key="a").set_value(MIDDLE).run()
    assert page.selectbox(key="b").value == MIDDLE
    assert page.query_params["b"] == MIDDLE, "whoever opens a=v1.1.0 alone sees v1.0.0 as B"


def test_the_address_says_which_group_is_shown_after_the_sidebar_moved_on(
    three_groups: Registry, open_page: OpenPage
) -> None:
    page = open_page("compare", model="first", symbol="BTCUSDT")
    page.selectbox(key="symbol").set_value("SOLUSDT").run()
    assert page.selectbox(key="a").value == page.query_params["a"] == "first / BTCUSDT"


def test_a_version_that_is_gone_while_its_page_is_open_is_told(version_state: Registry, open_page: OpenPage) -> None:
    page = open_page("version", version=NEWEST)
    page.selectbox(key="version").set_value(MIDDLE).run()
    page.selectbox(key="version").set_value(NEWEST).run()
    root = Path(version_state.view().models()[0].root_path)
    shutil.rmtree(root / FAMILY / "v1.2.0")
    version_state.registrations.refresh("fusion")
    page.run()
    assert not page.exception
    assert _warned(page) == [f"There is no version '{plain(NEWEST)}' here."]
    assert page.selectbox(key="version").value == MIDDLE
    assert _warned(page.run()) == []


def test_a_linked_version_that_is_gone_later_is_told_once(
    version_state: Registry, write_version: WriteVersion, open_page: OpenPage
) -> None:
    write_version("v1.3.0")
    version_state.registrations.refresh("fusion")
    label = f"{FAMILY} / v1.2.0"
    page = open_page("version", version=label)
    assert page.run().selectbox(key="version").value == label
    shutil.rmtree(Path(version_state.view().models()[0].root_path) / FAMILY / "v1.2.0")
    version_state.registrations.refresh("fusion")
    page.run()
    assert not page.exception
    assert _warned(page) == [f"There is no version '{plain(label)}' here."]
    assert _warned(page.run()) == []


def test_after_a_registration_the_next_version_is_offered_without_a_complaint(
    version_state: Registry, write_version: WriteVersion, open_page: OpenPage
) -> None:
    for version in ("v1.3.0", "v1.4.0"):
        write_version(version)
    version_state.registrations.refresh("fusion")
    label = f"{FAMILY} / v1.3.0"
    page = open_page("versions", show="Register", unregistered=label)
    typed = {"who": "ann", "target_variable": "direction_3d", "prediction_horizon": "1w"}
    for name, value in typed.items():
        page.text_input(key=f"{label} {name}").set_value(value)
    next(button for button in page.button if button.label == "Register").click().run()
    assert not page.exception
    assert version_state.lifecycle.record(FAMILY, "v1.3.0").target_variable == "direction_3d"
    assert [text for text in _warned(page) if "There is no" in text] == []
    assert page.selectbox(key="unregistered").value == f"{FAMILY} / v1.2.0"
    register(version_state, "v1.2.0")
    page.run()
    assert _warned(page) == [f"There is no version that nobody registered '{plain(NEWEST)}' here."]
    assert page.selectbox(key="unregistered").value == f"{FAMILY} / v1.4.0"


def test_a_link_to_a_tab_opens_it_after_another_one_was_looked_at(three_groups: Registry, open_page: OpenPage) -> None:
    page = open_page("group", model="first", symbol="BTCUSDT", tab="Files")
    _follow(page, "symbols", model="first", symbol="BTCUSDT")
    _follow(page, "group", model="first", symbol="BTCUSDT", tab="Factors")
    assert page.session_state["tab"] == "Factors"
