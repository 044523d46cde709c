"""The documentation against the program."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from mm_core.artifacts.layouts import LAYOUTS
from mm_core.artifacts.layouts.flat_groups import SUFFIXES
from mm_core.domain.versions import ALL_FIVE

PROJECT = Path(__file__).parent.parent
PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md"))]
CODE = re.compile(r'"([a-z]+(?:-[a-z]+)+)"')


def _codes_in_the_program() -> set[str]:
    found = set()
    for path in (PROJECT / "mm_core" / "artifacts").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.parts[-2] == "pickles":
            found |= set(re.findall(r'"((?:unsafe|broken|unsupported|unfitted|old)-[a-z-]+|pickle-too-large)"', text))
        else:
            found |= set(CODE.findall(text))
    for name in ("groups.py", "versions.py"):
        found |= set(CODE.findall((PROJECT / "mm_core" / "domain" / name).read_text(encoding="utf-8")))
    return found - {layout.name for layout in LAYOUTS} - {"utf-8", "utf-8-sig"}


def test_every_finding_code_is_in_the_page_of_artifacts() -> None:
    page = (PROJECT / "docs" / "artifacts.md").read_text(encoding="utf-8")
    codes = _codes_in_the_program()
    assert len(codes) > 25
    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_every_layout_and_every_suffix_of_one_is_in_the_page_of_artifacts() -> None:
    page = (PROJECT / "docs" / "artifacts.md").read_text(encoding="utf-8")
    for layout in LAYOUTS:
        assert f"`{layout.name}`" in page
    for name in ALL_FIVE.values():
        assert f"`{name}`" in page
    for suffix, _ in SUFFIXES:
        assert f"`{suffix}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    named = set(
        re.findall(r"`((?:\./)?(?:mm_core|deploy|demo|bench|docs|pages|data/demo)/[\w./-]+\.\w+)`", page.read_text())
    )
    assert {name for name in named if not (PROJECT / name).exists()} == set()


def test_every_page_of_the_dashboard_is_in_its_tour() -> None:
    text = (PROJECT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    pages = runpy.run_path(str(PROJECT / "app.py"))["PAGES"]
    listed = [entry for entries in pages.values() for entry in entries]
    assert sorted(entry.name for entry in listed) == sorted(path.stem for path in (PROJECT / "pages").glob("*.py"))
    for entry in listed:
        assert f"| {entry.title} | `/{entry.name}?" in text, entry


def test_every_tab_that_an_address_can_name_is_in_the_tour() -> None:
    text = (PROJECT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    for name in (
        "pages/group.py",
        "pages/ic.py",
        "pages/compare.py",
        "pages/config.py",
        "pages/versions.py",
        "pages/version.py",
        "pages/compare_versions.py",
        "pages/lifecycle.py",
        "mm_core/dashboard/sections/compare.py",
    ):
        source = (PROJECT / name).read_text(encoding="utf-8")
        tabs = re.findall(r'^ {4,8}"([A-Z][^"]+)":|[{,] ?"([A-Z][^"]+)": \w+\.', source, re.MULTILINE)
        assert tabs, name
        for tab in ("".join(pair) for pair in tabs):
            assert f"`{tab}`" in text, (name, tab)


def test_pages_arrange_and_stay_short() -> None:
    for path in (PROJECT / "pages").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80, path


def test_pictures_of_the_tour_are_small() -> None:
    pictures = list((PROJECT / "docs" / "images").iterdir())
    assert pictures
    assert sum(path.stat().st_size for path in pictures) < 1_000_000
