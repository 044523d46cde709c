"""A minute of the fuzz that a person runs for ten: the opcode reader and every decoder, guided by coverage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.fuzz_targets import FEWEST_SEEDS, SELF_TEST, TARGETS, seeds_of

SCRIPT = Path(__file__).with_name("fuzz_pickles.py")
SECONDS = 60
"""Of all targets together; each has whole seconds, so some have one more."""

SECONDS_TO_FIND = 40
"""It ends with what it finds."""


def _shares() -> list[tuple[str, int]]:
    """Return each target and its share of the minute."""
    each, more = divmod(SECONDS, len(TARGETS))
    return [(target, each + (place < more)) for place, target in enumerate(TARGETS)]


def _fuzz(target: str, keep: Path, seconds: int) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, str(SCRIPT), "--target", target, "--seconds", str(seconds), "--keep", str(keep)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(("target", "seconds"), _shares())
def test_fuzzed_bytes_become_a_value_or_a_refusal(target: str, seconds: int, tmp_path: Path) -> None:
    status, said, output = _fuzz(target, tmp_path, seconds)
    assert status == 0, output
    assert list(tmp_path.iterdir()) == []
    assert said["inputs"] > len(seeds_of(target)), "not even its seeds were tried"
    assert said["edges"][-1] >= said["edges"][0] > 50


def test_the_fuzzer_finds_a_defect_and_keeps_its_input(tmp_path: Path) -> None:
    status, said, output = _fuzz(SELF_TEST, tmp_path, SECONDS_TO_FIND)
    assert status == 1
    assert "the fuzzer finds what it shall find" in output
    assert [Path(path).parent for path in said["kept"]] == [tmp_path]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_of_its_own(target: str) -> None:
    seeds = seeds_of(target)
    assert len(seeds) >= FEWEST_SEEDS
    assert len(set(seeds)) == len(seeds)
