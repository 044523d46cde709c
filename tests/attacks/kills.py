"""Kill writers and a reader with SIGKILL at random moments, and look whether anything acknowledged is lost.

python -m tests.attacks.kills --rounds 1000 [--seed N]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mm_core.errors import BackupRefused
from mm_core.registry.lifecycle_changes import Author
from mm_core.store.durable import TEMPORARY
from tests.attacks.killed_writer import (
    FACTORS,
    FAMILY,
    SHARED,
    SYMBOLS,
    VERSIONS,
    KilledWriter,
    Reader,
    checked,
    opened,
)

ROUNDS_OF_A_STATE = 20
"""Rounds on one data directory; then a new one is begun, so that histories stay short enough to be read each time: on
the disk and in memory in turns, where writes are slow and where they are quick."""

LONGEST_LIFE_SECONDS = 0.3

TREE = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx={last}
objective=regression
feature_names={names}
feature_infos={infos}

Tree=0
num_leaves=2
num_cat=0
split_feature=3
split_gain=13485
threshold=30.5
decision_type=2
left_child=-1
right_child=-2
leaf_value=28.05 31.05
leaf_weight=31 29
leaf_count=31 29
internal_value=29.5
internal_weight=60
internal_count=60
is_linear=0
shrinkage=1


end of trees
"""
"""A booster of LightGBM, of one split."""


@dataclass
class Expected:
    """What writers were told, and what they had begun when they were killed."""

    saved: dict[str, dict[int, str]] = field(default_factory=dict)
    """The value that was acknowledged for each revision of each symbol's config."""

    registered: dict[str, set[bool]] = field(default_factory=dict)
    """Whether each writer's own model may be there."""

    factors: dict[str, set[int]] = field(default_factory=dict)
    """How many factors the group that each writer changes may have."""

    promoted: set[str] = field(default_factory=set)
    """The notes of acknowledged promotions."""

    counts: Counter[str] = field(default_factory=Counter)

    def take(self, lines: list[str]) -> None:
        """Take over what one writer told before it was killed."""
        for line in lines:
            state, what, subject, mark = line.split()
            done = state == "did"
            self.counts[what] += done
            if what == "save" and done:
                revision, _, value = mark.partition("=")
                known = self.saved.setdefault(subject, {}).setdefault(int(revision), value)
                assert known == value, f"{subject}: revision {revision} was acknowledged for {known} and for {value}"
            elif what == "promote" and done:
                self.promoted.add(mark)
            elif what in ("register", "delete"):
                known_states = self.registered.setdefault(subject, {False})
                after = {what == "register"}
                self.registered[subject] = after if done else known_states | after
            elif what == "refresh":
                known_factors = self.factors.setdefault(subject, {1})
                self.factors[subject] = {int(mark)} if done else known_factors | {int(mark)}


def main() -> int:
    """Run the rounds and print what they did; the exit code is 1 when anything was lost or torn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.rounds} rounds", flush=True)
    dice, started, counts = random.Random(given.seed), time.monotonic(), Counter[str]()
    places = [directory for directory in (tempfile.gettempdir(), "/dev/shm") if Path(directory).is_dir()]
    number = 0
    while number < given.rounds:
        place = Path(tempfile.mkdtemp(prefix="kills-", dir=places[number // ROUNDS_OF_A_STATE % len(places)]))
        expected = Expected()
        _begin(place)
        for _ in range(min(ROUNDS_OF_A_STATE, given.rounds - number)):
            number += 1
            try:
                _round(place, dice, expected)
            except AssertionError as error:
                print(f"round {number}: {error}; the state is kept: {place}", flush=True)
                return 1
        counts += expected.counts
        shutil.rmtree(place)
        print(f"{number} rounds, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    acknowledged = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"{number} rounds in {time.monotonic() - started:.1f} s: nothing lost, nothing torn, no lock left behind.")
    print(f"Acknowledged: {acknowledged}.")
    return 0


def _begin(place: Path) -> None:
    """Write roots and register them."""
    symbols = [SHARED, *(f"{symbol}{name}" for symbol in SYMBOLS for name in "XY")]
    for symbol in symbols:
        _write_group(place / "roots" / "m", f"{symbol}_r", FACTORS)
    registry = opened(place / "data")
    registry.registrations.register("m", str(place / "roots" / "m"))
    for version in VERSIONS.values():
        _write_version(place / "roots" / FAMILY / version, version)
    registry.registrations.register(FAMILY, str(place / "roots" / FAMILY))
    for name in "XY":
        _write_group(place / "roots" / name, "ZZZ_r", 1)
        registry.registrations.register(f"of{name}", str(place / "roots" / name))
        version = {
            "model_name": FAMILY,
            "model_version": VERSIONS[name],
            "model_type": "lightgbm",
            "status": "deployed",
        }
        told = {"objective": "price_prediction", "target_variable": "t", "prediction_horizon": "1d"}
        registry.lifecycle.register({**version, **told}, Author("beginning", "to begin with"))


def _write_group(root: Path, key: str, factors: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / f"{key}_factors.txt").write_text("".join(f"f{number}\n" for number in range(factors)))
    (root / f"{key}_model.json").write_bytes(_booster(factors))


def _write_version(directory: Path, version: str) -> None:
    directory.mkdir(parents=True)
    names = [f"f{number}" for number in range(FACTORS)]
    (directory / "model.txt").write_text(TREE.format(last=FACTORS - 1, names=" ".join(names), infos="[0:9] " * FACTORS))
    (directory / "normalizer.json").write_text(json.dumps({name: {"mean": 0.5, "std": 2.0} for name in names}))
    (directory / "metadata.json").write_text(
        json.dumps(
            {
                "model_version": version,
                "model_type": FAMILY,
                "algorithm": "LightGBM",
                "objective": "regression",
                "training_date": "2025-10-09T21:09:18",
                "training_examples": 60,
                "validation_examples": 20,
                "num_features": FACTORS,
                "performance": {"best_iteration": 1, "total_iterations": 1},
            }
        )
    )


def _booster(factors: int) -> bytes:
    """A booster of XGBoost 3 without a tree."""
    return (
        b'{"learner":{"attributes":{},"feature_names":[],"feature_types":[],"gradient_booster":{"model":'
        b'{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"0"},"iteration_indptr":[0],"tree_info":[],'
        b'"trees":[]},"name":"gbtree"},"learner_model_param":{"base_score":"5E-1","boost_from_average":"1",'
        b'"num_class":"0","num_feature":"%d","num_target":"1"},"objective":{"name":"reg:squarederror",'
        b'"reg_loss_param":{"scale_pos_weight":"1"}}},"version":[3,0,0]}' % factors
    )


def _round(place: Path, dice: random.Random, expected: Expected) -> None:
    children = {name: _forked(partial(_write, place, name, dice.randrange(10**9))) for name in "XY"}
    children["reader"] = _forked(lambda told: Reader(place / "data", told).run())
    for pid, _ in dice.sample(list(children.values()), len(children)):
        time.sleep(dice.uniform(0.0, LONGEST_LIFE_SECONDS / len(children)))
        os.kill(pid, signal.SIGKILL)
    for name, (pid, told) in children.items():
        _, status = os.waitpid(pid, 0)
        lines = _read_all(told)
        ended = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if name == "reader":
            wrong = [line for line in lines if line != "read"]
            assert ended, f"the reader ended by itself: {status}"
            assert wrong == [], f"the reader: {wrong}"
            expected.counts["read"] += len(lines)
        else:
            assert ended, f"writer {name} ended by itself: {lines[-3:]}"
            expected.take(lines)
    _look(place, expected)


def _write(place: Path, name: str, seed: int, told: int) -> None:
    KilledWriter(place / "data", place / "roots", name, seed, told).run()


def _look(place: Path, expected: Expected) -> None:
    """Look at the state as the next process finds it."""
    registry = opened(place / "data")
    revision = checked(registry, 0)
    view = registry.view()
    for symbol, acknowledged in expected.saved.items():
        configs, name = (view.normalizers, FAMILY) if symbol in VERSIONS.values() else (view.configs, "m")
        record = configs.record(name, symbol)
        assert record is not None, f"{symbol}: no config"
        newest = max(acknowledged)
        assert record.revision >= newest, f"{symbol}: {newest} was acknowledged, not {record.revision}"
        history = configs.history(name, symbol)
        notes = {one.number: one.note for one in history}
        assert {number: notes[number] for number in acknowledged} == acknowledged, f"{symbol}: another value was kept"
        assert [one.number for one in history] == list(range(1, record.revision + 1)), f"{symbol}: a gap"
        if record.revision > 1:
            assert repr(next(iter(record.values.values())).mean) == history[-1].note, f"{symbol}: not what was saved"
    notes = {event.note for event in view.lifecycle.events(FAMILY)}
    assert expected.promoted <= notes, f"acknowledged promotions are lost: {expected.promoted - notes}"
    for name, may_be in expected.registered.items():
        is_there = view.model(name) is not None
        assert is_there in may_be, f"{name}: {is_there} instead of {may_be}"
        expected.registered[name] = {is_there}
    for name, counts in expected.factors.items():
        scan = view.scan(name)
        assert scan is not None, f"{name}: no scan"
        found = len(scan.groups["ZZZ_r"].factors)
        assert found in counts, f"{name}: {found} factors instead of {counts}"
        expected.factors[name] = counts | {found}
    assert registry.store.plan_repairs() == (), "damage"
    registry.registrations.register("next", str(place / "roots" / "X"))  # raises StoreBusy where a lock was left behind
    registry.registrations.delete("next")
    assert registry.view().revision == revision + 2
    registry.publisher.publish_all()
    lock = opened(place / "data").publisher._notes.take_lock()
    assert lock is not None, "the publisher's lock was left behind"
    lock.release()
    for backup in place.glob("backup-*.zip"):
        try:
            registry.backups.check(backup)
        except BackupRefused as error:
            raise AssertionError(f"a torn backup: {error}") from error
    for leftover in place.rglob(f"{TEMPORARY}*"):  # of the write that was killed; doctor names those in the state
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _forked(run: Callable[[int], None]) -> tuple[int, int]:
    """Run something in a child process; return its id, and the end of the pipe through which it tells."""
    told, tells = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tells)
        return pid, told
    try:
        os.close(told)
        run(tells)
        signal.pause()  # the reader found something wrong and waits to be killed
    except BaseException as error:  # noqa: BLE001 - whatever ends a child is told
        os.write(tells, f"ended by {type(error).__name__}: {error!s:.300}\n".replace("\n", " ").encode() + b"\n")
    finally:
        os._exit(3)


def _read_all(descriptor: int) -> list[str]:
    with os.fdopen(descriptor, encoding="utf-8") as file:
        return file.read().splitlines()


if __name__ == "__main__":
    sys.exit(main())
