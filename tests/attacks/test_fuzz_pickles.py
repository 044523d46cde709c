"""A minute of the fuzz that a person runs for ten: the opcode reader and every decoder, guided by coverage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.fuzz_targets import FEWEST_SEEDS, SELF_TEST, TARGETS, seeds_of

SCRIPT = Path(__file__).with_name("fuzz_pickles.py")
SECONDS = 60
"""Of all targets together."""

SECONDS_TO_FIND = 120
"""It ends with what it finds; with the seed below that is within a few thousand inputs."""


@dataclass(frozen=True)
class Fuzzed:
    """What a run said: its exit code, a document for each target, and what it wrote to stderr."""

    status: int
    said: dict[str, dict[str, Any]]
    output: str


def _fuzzed(keep: Path, seconds: int, *options: str) -> Fuzzed:
    command = [sys.executable, str(SCRIPT), "--seconds", str(seconds), "--keep", str(keep), *options]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # with it and a seed, the same inputs come again
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return Fuzzed(done.returncode, {one["target"]: one for one in said}, done.stderr)


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Fuzzed:
    """A minute of all targets, none of which keeps an input."""
    keep = tmp_path_factory.mktemp("kept")
    done = _fuzzed(keep, SECONDS)
    assert done.status == 0, done.output
    assert list(keep.iterdir()) == []
    return done


@pytest.mark.parametrize("target", TARGETS)
def test_fuzzed_bytes_become_a_value_or_a_refusal(target: str, minute: Fuzzed) -> None:
    said = minute.said[target]
    assert said["inputs"] > len(seeds_of(target)), "not even its seeds were tried"
    assert said["edges"][-1] >= said["edges"][0] > 50
    assert said["seconds"] >= SECONDS // len(TARGETS)
    assert said["kept"] == []


def test_the_fuzzer_finds_a_defect_and_keeps_its_input(tmp_path: Path) -> None:
    keep = tmp_path / "not made yet"
    done = _fuzzed(keep, SECONDS_TO_FIND, "--target", SELF_TEST, "--seed", "2")
    assert done.status == 1
    assert "the fuzzer finds what it shall find" in done.output
    (kept,) = done.said[SELF_TEST]["kept"]
    assert [str(path) for path in keep.iterdir()] == [kept]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_of_its_own(target: str) -> None:
    seeds = seeds_of(target)
    assert len(seeds) >= FEWEST_SEEDS
    assert len(set(seeds)) == len(seeds)
