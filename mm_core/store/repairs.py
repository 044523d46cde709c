"""What is wrong with the files of a state, and how the last good copies come back."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from mm_core.errors import StoreCorrupt, StoreError, StoreTooNew
from mm_core.store.config_files import ConfigFiles
from mm_core.store.contract import Repair
from mm_core.store.copies import Copies
from mm_core.store.durable import DIRECTORY_MODE, linked, not_written, write_durably
from mm_core.store.family_files import FamilyFiles
from mm_core.store.revisions import told_revision
from mm_core.store.scans import ScanFiles
from mm_core.store.state import State, checked_state
from mm_core.store.storage import REMEDY, format_tables, parse_tables, read_file

SET_ASIDE = "set-aside"
"""The directory below which damaged files are kept, each in the folder of its repair."""

LOOKS_AT_A_COPY = 3
SECONDS_BETWEEN_LOOKS = 0.02
"""A copy that was lost is written anew in its place, and is damaged until it is whole."""


class Repairs:
    """Finds damage, and mends it from the copies; who calls `execute` holds the store's lock."""

    def __init__(
        self,
        data_dir: Path,
        registry: Path,
        configs: ConfigFiles,
        normalizers: ConfigFiles,
        families: FamilyFiles,
        scans: ScanFiles,
        copies: Copies,
    ) -> None:
        self._data_dir = data_dir
        self._registry = registry
        self._configs = configs
        self._normalizers = normalizers
        self._families = families
        self._scans = scans
        self._copies = copies

    def plan(self) -> tuple[Repair, ...]:
        """Return a repair for each file that is missing, damaged or of a newer version; every file is read.

        Newer commits may take files away before these are read. Their names are not used again, so what the next look
        finds too was taken by none of them.
        """
        found = {repair.path for repair in self._look()}
        return tuple(repair for repair in self._look() if repair.path in found) if found else ()

    def _look(self) -> tuple[Repair, ...]:
        """Return a repair for each file of the newest state that was not as it should be when it was read."""
        try:
            state, found = self._state()
        except StoreError as error:
            return (Repair(self._registry, error.detail, False, None, "There is no good copy: restore a backup."),)
        for name, shards in state.config_shards.items():
            self._configs.walk(name, shards, lambda path: self._copied(path, found))
        for name, shards in state.normalizer_shards.items():
            self._normalizers.walk(name, shards, lambda path: self._copied(path, found))
        for name, index in state.families.items():
            self._families.walk(name, index, lambda path: self._copied(path, found))
        for model in state.models.values():
            for scan_id in (model.scan_id, *(kept.scan_id for kept in model.earlier_scans)):
                if scan_id is not None:
                    self._scans.walk(model.name, scan_id, lambda path: self._scan(path, found))
        return tuple({repair.path: repair for repair in found}.values())

    def execute(self, plan: tuple[Repair, ...]) -> tuple[Repair, ...]:
        """Set aside what is damaged and put the good copies in their places; return what was done."""
        wanted = {repair.path for repair in plan}
        folder = self._data_dir / SET_ASIDE / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        done = []
        for repair in self._look():
            if repair.path in wanted and repair.can_be_made:
                set_aside(repair.path, folder / repair.path.relative_to(self._data_dir))
                if repair.data is not None:
                    write_durably(repair.path, repair.data)
                    if repair.path == self._registry:
                        self._copies.write(repair.path, repair.data)
                else:
                    repair.path.unlink(missing_ok=True)
                done.append(repair)
        return tuple(done)

    def poor_copies(self, state: State) -> tuple[list[Path], set[Path] | None]:
        """Return the whole files of a state that have no whole copy, then every file that people's changes are in.

        None in place of the latter where one is damaged: which files it names is not known then.
        """
        poor, named = [], set()
        is_whole = True

        def look(path: Path) -> bytes | None:
            nonlocal is_whole
            named.add(path)
            data, _ = _usable(path, parse_tables)
            is_whole = is_whole and data is not None
            if data is not None and self._copy_problem(path, data) is not None:
                poor.append(path)
            return data

        if look(self._registry) is not None:
            for name, shards in state.config_shards.items():
                self._configs.walk(name, shards, look)
            for name, shards in state.normalizer_shards.items():
                self._normalizers.walk(name, shards, look)
            for name, index in state.families.items():
                self._families.walk(name, index, look)
        return poor, named - {self._registry} if is_whole else None

    def renew_copy(self, path: Path) -> bool:
        """Make the copy of a file anew if it still lacks one; return whether that was so."""
        data, _ = _usable(path, parse_tables)
        if data is None or self._copy_problem(path, data) is None:
            return False
        self._copies.write(path, data)
        return True

    def _copy_problem(self, path: Path, data: bytes) -> str | None:
        """Return what is wrong with the copy of a file that holds ``data``, None where nothing is."""
        copy = self._copies.of(path)
        kept, problem = _usable(copy, parse_tables)
        if problem is not None:
            return problem.detail
        if kept is None:
            return f"'{copy}' is missing: '{path}' has no second copy. {REMEDY}"
        if path == self._registry and checked_state(kept, copy).revision < checked_state(data, path).revision:
            return f"'{copy}' is older than '{path}'. {REMEDY}"
        return None

    def _state(self) -> tuple[State, list[Repair]]:
        """Return the state to look through, and the repair that it needs; raise `StoreError` where it has no remedy."""
        copy = self._copies.of(self._registry)
        data, problem = _usable(self._registry, checked_state)
        if data is not None:
            return checked_state(data, self._registry), list(self._copy_repairs(self._registry, data))
        kept, _ = _usable(copy, checked_state)
        if kept is None:
            if problem is None:
                return State({}), []
            raise problem
        state = checked_state(kept, copy)
        newest = told_revision(self._registry)
        if newest is not None and newest > state.revision:
            loss = (
                f"Revision {newest} → {state.revision}, put back as revision {newest + 1}: what was saved in between."
            )
            tables = {**state.tables, "meta": {"1": {"revision": newest + 1}}}
            kept = format_tables(tables)
        elif newest == state.revision:
            loss = f"Nothing: both are of revision {newest}."
        else:
            loss = f"Nothing that was acknowledged: the copy, of revision {state.revision}, is written first."
        detail = problem.detail if problem is not None else lost_sentence(self._registry)
        return state, [Repair(self._registry, detail, True, kept, loss)]

    def _copied(self, path: Path, found: list[Repair]) -> bytes | None:
        data, problem = _usable(path, parse_tables)
        if data is not None:
            found += self._copy_repairs(path, data)
            return data
        kept, _ = _usable(self._copies.of(path), parse_tables)
        detail = problem.detail if problem is not None else f"'{path}' is missing. {REMEDY}"
        if kept is not None:
            found.append(Repair(path, detail, True, kept, "Nothing: the copy is of the same commit."))
        else:
            found.append(Repair(path, detail, False, None, "There is no good copy: restore a backup."))
        return kept

    def _copy_repairs(self, path: Path, data: bytes) -> Iterator[Repair]:
        """Yield the repair of a file's copy, where the copies are said to be complete and that one is not whole."""
        if self._copies.were_completed() and (problem := self._settled_problem(path, data)) is not None:
            yield Repair(self._copies.of(path), problem, True, data, "Nothing: the file itself is whole.")

    def _settled_problem(self, path: Path, data: bytes) -> str | None:
        """Return what is wrong with a copy that no writer is just replacing."""
        problem = self._copy_problem(path, data)
        for _ in range(LOOKS_AT_A_COPY):
            if problem is None or self._copies.is_being_replaced(path):
                return None
            time.sleep(SECONDS_BETWEEN_LOOKS)
            problem = self._copy_problem(path, data)
        return problem

    def _scan(self, path: Path, found: list[Repair]) -> bytes | None:
        data, problem = _usable(path, parse_tables)
        if problem is not None:
            found.append(Repair(path, problem.detail, True, None, "Nothing: its groups are read again."))
        return data


def set_aside(path: Path, to: Path) -> None:
    """Keep a file under another name as well, where it exists; raise `StoreError` when that cannot be."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
        if not linked(path, to):
            shutil.copy2(path, to)
    except FileNotFoundError:
        return
    except OSError as error:
        raise not_written(to, error) from error


def lost_sentence(path: Path) -> str:
    """Return what to say of a state whose file is gone while its copy is there."""
    return f"'{path}' is missing. {REMEDY} To begin anew instead, delete the whole data directory."


def _usable(path: Path, parse: Callable[[bytes, Path], object]) -> tuple[bytes | None, StoreError | None]:
    """Return a file's content where it can be used; why not, where there is one."""
    try:
        read = read_file(path)
        if read is not None:
            parse(read[0], path)
    except (StoreCorrupt, StoreTooNew) as error:
        return None, error
    return (read[0], None) if read is not None else (None, None)
