"""No hostile pickle runs, imports, opens, connects, stays or crashes: every one of them is answered by a finding."""

from __future__ import annotations

import json
import os
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mm_core.artifacts.scan import scan_root
from tests.attacks.assembling import Answer, Attack
from tests.attacks.hostile_pickles import BY_HAND, CATEGORIES, DAMAGED, attacks_of, write_attacks
from tests.attacks.limited_child import SECONDS
from tests.honest_pickles import GOLDEN, honest

PROJECT = Path(__file__).parents[2]
MOST_MEBIBYTES = 512
LONGEST_SENTENCE = 1000
CALLING = frozenset(
    {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX"}
    | {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}
)
"""Every instruction that can name or call something."""


def _run(
    module: str, directory: Path, *arguments: str
) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[bytes]]:
    """Run a child in an empty ``directory`` of its own, and return its lines."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=240,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done


def test_the_corpus_has_hundreds_of_files_by_hand_and_every_honest_fixture_damaged() -> None:
    names = [attack.name for category in BY_HAND for attack in attacks_of(category)]
    assert len(names) >= 2000
    assert len(set(names)) == len(names)
    fixtures = [name for name, _ in honest()]
    assert len(fixtures) > 1300
    for category in DAMAGED:
        damaged = [attack.name for attack in attacks_of(category)]
        assert len(damaged) >= 5 * len(fixtures)
        assert {name.rsplit(" ", 3 if "cut" in category else 2)[0] for name in damaged} == set(fixtures)


def test_the_corpus_uses_every_instruction_that_can_name_or_call() -> None:
    used: set[str] = set()
    for attack in attacks_of("instructions that name or call"):
        used |= {code.name for code, _, _ in pickletools.genops(attack.data)}
    assert used >= CALLING


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_attack_is_answered_without_harm_and_within_limits(category: str, tmp_path: Path) -> None:
    lines, done = _run("tests.attacks.limited_child", tmp_path, category)
    begun, ended = lines[::2], lines[1::2]
    assert done.returncode == 0, f"{begun[-1]['name']} ended the reader:\n{done.stderr.decode()[-2000:]}"
    assert not done.stderr
    assert list(tmp_path.iterdir()) == []
    attacks = list(attacks_of(category))
    assert [line["name"] for line in begun] == [attack.name for attack in attacks]
    wrong = {
        attack.name: problems for attack, said in zip(attacks, ended, strict=True) if (problems := _wrong(attack, said))
    }
    assert wrong == {}


def _wrong(attack: Attack, said: dict[str, Any]) -> list[str]:
    problems = [f"it made the event {event}" for event in said["events"]]
    if said["seconds"] > SECONDS:
        problems.append(f"it took {said['seconds']} s")
    if said["peak_mib"] > MOST_MEBIBYTES:
        problems.append(f"it took {said['peak_mib']} MiB")
    if said["longest_sentence"] > LONGEST_SENTENCE:
        problems.append(f"a finding has {said['longest_sentence']} characters")
    for reader, owed in (("info", attack.info), ("model", attack.model)):
        findings = said[reader]
        codes = [code for code, _, _ in findings]
        if not all(all(finding) for finding in findings):
            problems.append(f"{reader}: a finding without code, detail or remedy")
        if owed is Answer.UNSAFE and codes != ["unsafe-pickle"]:
            problems.append(f"{reader}: {codes} instead of unsafe-pickle")
        if owed is Answer.REFUSED and len(codes) != 1:
            problems.append(f"{reader}: {codes} instead of a refusal")
        if owed is Answer.HARMLESS and codes:
            problems.append(f"{reader}: {codes} instead of plain data")
    if said["model"] and said["model_bytes"] is not None:
        problems.append("model: both a finding and a model")
    if attack.config is not None and said["config"] != attack.config:
        problems.append(f"info: {said['config']} instead of {attack.config}")
    return problems


def test_python_itself_runs_the_attacks_and_the_ear_hears_it(tmp_path: Path) -> None:
    lines, done = _run("tests.attacks.loading_child", tmp_path)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    claimed = [attack.name for category in BY_HAND for attack in attacks_of(category) if attack.runs]
    assert [line["name"] for line in lines] == claimed
    assert len(claimed) > 150
    assert [line["name"] for line in lines if not line["harm"]] == []
    assert [line["name"] for line in lines if not line["events"]] == []


def test_a_sound_group_among_hostile_ones_is_served(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    attacks = write_attacks(root, "instructions that name or call")
    for path in GOLDEN.glob("BTCUSDT_*"):
        (root / path.name).write_bytes(path.read_bytes())
    scan = scan_root(root)
    sound = scan.groups.pop("BTCUSDT_ret_1m")
    assert sound.model is not None
    assert sound.training.samples
    assert len(scan.groups) == len(attacks)
    for group in scan.groups.values():
        assert group.model is None
        errors = [finding for finding in group.findings if finding.severity == "error"]
        assert {finding.code for finding in errors} <= {"unsafe-pickle", "unsupported-pickle"}
        assert len(errors) == 2, group.group_key
