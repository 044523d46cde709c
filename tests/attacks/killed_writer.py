"""What the processes of one round do until they are killed: two that write, one that reads.

A writer tells through a pipe what it is about to do, and again when the call has returned. The reader tells of the
first thing that is not whole. A line is shorter than what a pipe takes in one step, so none is ever cut.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import replayed
from mm_core.errors import ModelManagerError, NotFound
from mm_core.payloads import Coding
from mm_core.registry import Registry
from mm_core.registry.configs import Configs
from mm_core.registry.lifecycle_changes import Author
from mm_core.settings import load_settings
from mm_core.wiring import open_registry

FACTORS = 6
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
SHARED = "SHARED"
FAMILY, VERSIONS = "traded", {"X": "v1.0.0", "Y": "v2.0.0"}
"""A family of two versions, and the writer that promotes each."""


def opened(data_dir: Path) -> Registry:
    """Return a registry as a process of its own opens it."""
    return open_registry(load_settings({"MODEL_MANAGER_DATA_DIR": str(data_dir)}))


class KilledWriter:
    """Saves, sets normalizers, registers, refreshes, deletes, promotes, publishes, cleans and backs up, by its dice."""

    def __init__(self, data_dir: Path, roots: Path, name: str, seed: int, told: int) -> None:
        self._registry = opened(data_dir)
        self._data_dir = data_dir
        self._roots = roots
        self._name = name
        self._dice = random.Random(seed)
        self._told = told
        self._count = 0

    def run(self) -> None:
        """Work for ever."""
        while True:
            self._dice.choices(
                [self._save, self._save_shared, self._normalize, self._register, self._delete, self._refresh,
                 self._promote, self._tidy, self._back_up],
                [30, 15, 15, 8, 4, 8, 10, 6, 3],
            )[0]()  # fmt: skip

    def _done(self, what: str, subject: str, mark: int | str, act: Callable[[], object]) -> None:
        self._tell("begins", what, subject, mark)
        result = act()
        self._tell("did", what, subject, mark if result is None else result)

    def _tell(self, *words: object) -> None:
        os.write(self._told, (" ".join(map(str, words)) + "\n").encode())

    def _save(self) -> None:
        self._saved(self._registry.configs, "m", f"{self._dice.choice(SYMBOLS)}{self._name}")

    def _save_shared(self) -> None:
        self._saved(self._registry.configs, "m", SHARED)

    def _normalize(self) -> None:
        self._saved(self._registry.normalizers, FAMILY, self._dice.choice(list(VERSIONS.values())))

    def _saved(self, configs: Configs, model_name: str, subject: str) -> None:
        self._count += 1
        value = time.time_ns() % 10**9 + self._count / 16

        def act() -> str:
            document = {subject: {"mean_values": [value] * FACTORS, "variance_values": [value + 1] * FACTORS}}
            saved = configs.save(model_name, subject, document, by="api", note=repr(value))
            return f"{saved.record.revision}={value!r}"

        self._done("save", subject, 0, act)

    def _promote(self) -> None:
        lifecycle = self._registry.lifecycle
        record = lifecycle.record(FAMILY, VERSIONS[self._name])
        if record.status is not Status.DEPLOYED:
            mark = time.time_ns()
            author = Author(self._name, str(mark))
            self._done("promote", FAMILY, mark, lambda: lifecycle.move(record, Status.DEPLOYED, author) and mark)

    def _register(self) -> None:
        name = f"own{self._name}"
        self._done(
            "register", name, 0, lambda: self._registry.registrations.register(name, str(self._roots / "m")) and 0
        )

    def _delete(self) -> None:
        name = f"own{self._name}"

        def act() -> None:
            try:
                self._registry.registrations.delete(name)
            except NotFound:
                return

        self._done("delete", name, 0, act)

    def _refresh(self) -> None:
        root = self._roots / self._name
        size = self._dice.randrange(1, 4000)

        def act() -> None:
            (root / "ZZZ_r_factors.txt").write_text("".join(f"f{number}\n" for number in range(size % 50 + 1)))
            self._registry.registrations.refresh(f"of{self._name}")

        self._done("refresh", f"of{self._name}", size % 50 + 1, act)

    def _tidy(self) -> None:
        if self._name == "X":
            with suppress(FileNotFoundError):  # a blob that the other writer took, without the hour of grace: made anew
                self._registry.publisher.publish_all()  # of several processes, one publishes
        else:
            housekeeping = self._registry.housekeeping
            housekeeping.execute(housekeeping.plan_cleanup(0.0))

    def _back_up(self) -> None:
        path = self._data_dir.parent / f"backup-{self._name}.zip"
        self._done("backup", self._name, 0, lambda: self._registry.backups.create(path, replace=True).revision)


class Reader:
    """Reads everything again and again, and tells what is not whole."""

    def __init__(self, data_dir: Path, told: int) -> None:
        self._registry = opened(data_dir)
        self._told = told

    def run(self) -> None:
        """Read for ever, or until something is wrong."""
        newest = 0
        while True:
            try:
                newest = checked(self._registry, newest)
                self._check_payloads()
            except (AssertionError, ModelManagerError, ValueError, KeyError, OSError) as error:
                os.write(self._told, f"wrong {type(error).__name__}: {error}"[:400].encode() + b"\n")
                return
            os.write(self._told, b"read\n")

    def _check_payloads(self) -> None:
        for symbol in (SHARED, *(f"{symbol}X" for symbol in SYMBOLS)):
            handle = self._registry.payload("m", symbol)
            try:
                body = json.loads(self._registry.payloads.body(handle, Coding.IDENTITY))
            except (NotFound, FileNotFoundError):
                continue  # another process changed it or cleaned it away between the two looks; the next pull has it
            config = body["payload"]["factor_config"][symbol]
            assert len(set(config["mean_values"])) == 1, f"a payload of two configs: {config}"


def checked(registry: Registry, newest: int) -> int:
    """Read every document of the newest state and return its revision; fail on what is not whole or goes back."""
    view = registry.view()
    assert view.revision >= newest, f"revision {view.revision} after {newest}"
    for model in view.models():
        view.scan(model.name)
        for symbol, stamp in view.configs.stamps(model.name).items():
            record = view.configs.record(model.name, symbol)
            assert record is not None
            means = {value.mean for value in record.values.values()}
            assert len(means) <= 1, f"a config of two saves: {means}"
            assert record.revision >= stamp.revision, (record.revision, stamp)
    for name in view.normalizers.names():
        for version in view.normalizers.stamps(name):
            record = view.normalizers.record(name, version)
            assert record is not None
            assert len({value.mean for value in record.values.values()}) <= 1, f"a normalizer of two saves: {record}"
    for family in view.lifecycle.families():
        records = {record.model_version: record for record in view.lifecycle.records(family.name)}
        assert sum(record.status is Status.DEPLOYED for record in records.values()) == 1, records
        assert replayed(view.lifecycle.events(family.name)) == records, "events that lead to other records"
    return view.revision
