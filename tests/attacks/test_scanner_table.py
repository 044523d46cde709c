"""Pages that count the corpus count the files that there are: one that grows leaves no older figures behind."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.attacks import damage
from tests.attacks.compare_scanners import EVERY, HONEST, ROWS, RUN, files_asked_about
from tests.attacks.hostile_pickles import BY_HAND, CATEGORIES, DAMAGED, attacks_of

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "hostile-pickles.md"
CHANGES = PROJECT / "CHANGELOG.md"
WORDS = {5: "five", 7: "seven", 40: "fortieth"}


@pytest.fixture(scope="module")
def asked() -> Counter[str]:
    """How many files the comparison asks about, by row."""
    return Counter(row for _, _, counted in files_asked_about() for row in counted)


def _text(page: Path) -> str:
    return " ".join(page.read_text(encoding="utf-8").split())


def test_the_table_counts_the_files_that_scanners_are_asked_about(asked: Counter[str]) -> None:
    lines = PAGE.read_text(encoding="utf-8").partition("| category | files |")[2].splitlines()[2:]
    cells = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert [(name.strip(), int(files)) for name, files, *_ in cells] == [(row, asked[row]) for row in ROWS]


def test_no_more_files_of_a_row_are_answered_than_there_are(asked: Counter[str]) -> None:
    for row in ROWS:
        (line,) = re.findall(rf"^\| {row} \| \d+ \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        answers = [[int(count) for count in re.findall(r"\d+", cell)] for cell in line.split("|")]
        assert len(answers) == 4
        assert max(map(sum, answers)) <= asked[row], row


def test_the_text_counts_the_corpus_and_says_what_of_it_is_asked_about(asked: Counter[str]) -> None:
    count = {category: sum(1 for _ in attacks_of(category)) for category in CATEGORIES}
    by_hand, damaged = (sum(map(count.__getitem__, part)) for part in (BY_HAND, DAMAGED))
    for sentence in (
        f"some {by_hand // 100 * 100:,} files by hand and {damaged // 100 * 100:,} damaged ones",
        f"runs the payloads of {asked[RUN]} of them",
        f"each of the {asked[HONEST]:,} honest fixtures",
        f"cut at {WORDS[damage.CUTS]} places and with {WORDS[damage.FLIPS]} sets of bits that flipped",
        f"| {count['other callables']} callables of",
        f"of {count['other callables']} other callables",
        f"every {WORDS[EVERY]} was asked about",
    ):
        assert sentence in _text(PAGE)
    assert f"{by_hand:,} files by hand and {damaged:,} damaged fixtures" in _text(CHANGES)
