"""What is said of a state that somebody is writing: beside a healthy writer, nothing, at whatever moment one looks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mm_core.domain.lifecycle import Status
from mm_core.store import TinyDBStore, durable
from tests.store.test_contract import MODEL, make_scan, record
from tests.store.test_lifecycle_contract import put, version
from tests.store.test_normalizer_contract import override

PROJECT = Path(__file__).parent.parent.parent
SECONDS_OF_LOOKING = 3.0

WRITING = ("open", "replace", "rename", "unlink", "link", "mkdir", "rmdir", "fsync", "utime")
LOOKING = ("open", "scandir", "stat", "lstat")

ENDLESS_WRITER = """
import itertools, sys
from pathlib import Path
from mm_core.store import TinyDBStore, durable
from tests.store.test_beside_writers import CHANGES
durable.KEPT_SECONDS = float(sys.argv[2])
state = Path(sys.argv[1])
print("begun", flush=True)
for number in itertools.count(3):
    for name in sys.argv[3].split(","):
        CHANGES[name](TinyDBStore(state, lock_timeout=60), number)
    print(number, flush=True)
"""


def _save_config(store: TinyDBStore, number: int) -> None:
    with store.transaction() as transaction:
        transaction.configs.save(*record(number, float(number)))


def _save_normalizer(store: TinyDBStore, number: int) -> None:
    with store.transaction() as transaction:
        transaction.normalizers.save(*override(number, float(number)))


def _move_version(store: TinyDBStore, number: int) -> None:
    status = Status.DEPLOYED if number % 2 else Status.VALIDATED
    with store.transaction() as transaction:
        put(transaction, version("v1.0.0", status=status))


def _scan(store: TinyDBStore, number: int) -> None:
    with store.transaction() as transaction:
        transaction.save_scan("m", make_scan(number % 5 + 1, versions=1))


def _register_anew(store: TinyDBStore, number: int) -> None:
    _delete(store, number)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(2, versions=1))
        transaction.configs.save(*record(1, 2.0))


def _delete(store: TinyDBStore, number: int) -> None:
    with store.transaction() as transaction:
        transaction.delete_model("m", f"{number}")


def _restore(store: TinyDBStore, number: int) -> None:
    data_dir = store._path.parent
    staged = data_dir.with_name(f"{data_dir.name}-staged-{number}")
    store.read_files(lambda name, data: durable.write_durably(staged / name, data, sync=False))
    _scan(store, number)
    _save_config(store, number)
    store.put_back(staged, data_dir / "before", lambda path: path)
    shutil.rmtree(staged)


def _complete_copies(store: TinyDBStore, number: int) -> None:
    store.complete_copies(again=True)


CHANGES: dict[str, Callable[[TinyDBStore, int], None]] = {
    "config": _save_config,
    "normalizer": _save_normalizer,
    "version": _move_version,
    "scan": _scan,
    "register anew": _register_anew,
    "delete": _delete,
    "restore": _restore,
    "copies": _complete_copies,
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state of several commits, all of whose files have their copies."""
    path = tmp_path / "state"
    store = TinyDBStore(path)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
    for number in (1, 2):
        for name in ("scan", "config", "normalizer", "version"):
            CHANGES[name](store, number)
    store.complete_copies()
    return path


@pytest.fixture
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What newer commits replaced goes at once: so it is in a look that takes longer than it is kept."""
    monkeypatch.setattr(durable, "KEPT_SECONDS", 0.0)
    for name in ("fsync", "sync"):
        monkeypatch.setattr(os, name, lambda *_: None)


@contextmanager
def at_each(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], do: Callable[[], None]) -> Iterator[None]:
    """Call ``do`` before each of these calls of the system, but for its own."""
    is_doing = False

    def wrapped(really: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal is_doing
            if not is_doing:
                is_doing = True
                try:
                    do()
                finally:
                    is_doing = False
            return really(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        for name in names:
            patched.setattr(os, name, wrapped(getattr(os, name)))
        yield


@pytest.mark.usefixtures("nothing_is_kept")
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_wrong_at_any_step_of_a_write(state: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    said: list[tuple[str, ...]] = []
    with at_each(monkeypatch, WRITING, lambda: said.append(TinyDBStore(state).problems())):
        CHANGES[change](TinyDBStore(state), 3)
    assert len(said) > 3
    assert [each for each in said if each] == []


@pytest.mark.usefixtures("nothing_is_kept")
def test_nothing_is_wrong_at_any_step_of_the_first_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []
    looking = at_each(monkeypatch, WRITING, lambda: said.append(TinyDBStore(tmp_path).problems()))
    with looking, TinyDBStore(tmp_path).transaction() as first:
        first.save_model(MODEL)
        first.save_scan("m", make_scan(3))
    assert len(said) > 3
    assert [each for each in said if each] == []


@pytest.mark.usefixtures("nothing_is_kept")
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_wrong_where_a_write_comes_at_any_step_of_a_look(
    state: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    said: list[tuple[str, ...]] = []
    steps, most = 0, 1
    while len(said) < most:
        place, at, steps = state.with_name(f"state-{len(said)}"), len(said) + 1, 0
        shutil.copytree(state, place, copy_function=os.link)

        def step(place: Path = place, at: int = at) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                CHANGES[change](TinyDBStore(place), 3)

        with at_each(monkeypatch, LOOKING, step):
            said.append(TinyDBStore(place).problems())
        most = max(most, steps)
    assert len(said) > 20
    assert {at: each for at, each in enumerate(said) if each} == {}


@pytest.mark.parametrize("kept_seconds", [60.0, 0.0], ids=["as ever", "what is replaced goes at once"])
def test_beside_a_process_that_writes_all_the_time_nothing_is_ever_wrong(state: Path, kept_seconds: float) -> None:
    names = ",".join(name for name in CHANGES if name != "delete")
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_WRITER, str(state), str(kept_seconds), names],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        held, looks = TinyDBStore(state), 0
        said: list[object] = []
        until = time.monotonic() + SECONDS_OF_LOOKING
        while time.monotonic() < until:
            for store in (held, TinyDBStore(state)):
                said += (*store.problems(), *store.plan_repairs())
            looks += 1
        assert writer.poll() is None
    finally:
        writer.kill()
        rounds = writer.communicate()[0].count("\n")
    assert said == []
    assert looks > 3
    assert rounds > 0
