"""The embedded backend: registrations in one TinyDB file, configs, versions and scans in files that it names."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mm_core.errors import StoreBusy, StoreCorrupt, StoreError, StoreTooNew
from mm_core.store.config_files import configs_below, normalizers_below
from mm_core.store.contract import Repair
from mm_core.store.copies import Copies
from mm_core.store.durable import leave_to_owner, make_directory, not_written, write_durably
from mm_core.store.family_files import FamilyFiles
from mm_core.store.repairs import Repairs, lost_sentence
from mm_core.store.revisions import told_revision, unseen_revision
from mm_core.store.scans import ScanFiles
from mm_core.store.snapshots import (
    StateFiles,
    check_state,
    put_files,
    read_state,
    set_all_aside,
    what_is_not_of,
)
from mm_core.store.state import State, checked_state
from mm_core.store.storage import format_tables, identity, read_file
from mm_core.store.unfinished import is_left_alone, left_over
from mm_core.store.views import Files, TinyDBTransaction, TinyDBView

LEAST_FREE_BYTES = 100 << 20


class TinyDBStore:
    """State below one directory, shared by any number of processes; see the contract for what callers may rely on."""

    def __init__(self, data_dir: Path, lock_timeout: float = 10.0) -> None:
        self._path = data_dir / "registry.json"
        self._lock_path = data_dir / "registry.lock"
        self._lock_timeout = lock_timeout
        self._threads = threading.Lock()
        self._scans = ScanFiles(data_dir / "scans")
        self._copies = Copies(data_dir)
        self._configs = configs_below(data_dir, self._copies)
        self._normalizers = normalizers_below(data_dir, self._copies)
        self._families = FamilyFiles(data_dir / "lifecycle", self._copies)
        self._files = Files(self._scans, self._configs, self._normalizers, self._families)
        self._repairs = Repairs(
            data_dir, self._path, self._configs, self._normalizers, self._families, self._scans, self._copies
        )
        self._pending = (self._configs.pending, self._normalizers.pending, self._families.pending, self._scans.pending)
        self._seen: tuple[tuple[int, int, int] | None, State] = (None, State({}))

    def view(self) -> TinyDBView:
        """Return the newest state; an unchanged file costs one ``stat``."""
        return TinyDBView(self._state(), self._files, self._state)

    def stamp(self) -> tuple[int, ...]:
        """Return what differs after every commit; empty before the first."""
        try:
            return identity(os.stat(self._path))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"'{self._path}' cannot be looked at ({error.strerror}). Check permissions.") from error

    @contextmanager
    def transaction(self) -> Iterator[TinyDBTransaction]:
        """Open a write transaction, one at a time among all threads and processes."""
        with self._alone():
            transaction = TinyDBTransaction(self._state(), self._files, self._state)
            try:
                yield transaction
                if transaction.has_changes:
                    self._commit(transaction)
            finally:
                for written in self._pending:
                    written.take_back()  # on a disk that is nearly full, each refusal would take of what is left

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with files, permissions and space."""
        directory = self._path.parent
        if not directory.exists():
            return ()
        found = []
        if not os.access(directory, os.W_OK | os.X_OK):
            found.append(f"'{directory}' is not writable. Give it to the user of this service.")
        free = shutil.disk_usage(directory).free
        if free < LEAST_FREE_BYTES:
            found.append(f"Only {free:,} bytes are free below '{directory}'. Free some space.")
        places = ["", "scans/*/", "lifecycle/*/*/"]
        places += [f"{name}/*/{place}" for name in ("configs", "normalizers") for place in ("shards/", "revisions/*/")]
        leftovers = left_over(directory, places)
        found += [f"'{path}' is left over from a write that never ended. Delete it." for path in leftovers]
        found += [repair.problem for repair in self._repairs.plan()]
        try:
            unread = self._unread_scans()
            if unread:  # newer commits may have taken these away meanwhile, and then the next look does not miss them
                unread &= self._unread_scans()
            found += [
                f"The parsed groups of model '{name}' are not on disk. Refresh the model." for name, _ in sorted(unread)
            ]
        except StoreError as error:
            found += [error.detail] if error.detail not in found else []
        return tuple(found)

    def plan_repairs(self) -> tuple[Repair, ...]:
        """Return which files are damaged, what can be put in their places, and what is lost by that."""
        return self._repairs.plan()

    def repair(self, plan: tuple[Repair, ...]) -> tuple[Repair, ...]:
        """Do what ``plan`` says as far as it is still so, and return that; no other writer is let in meanwhile."""
        if not plan:
            return ()
        with self._alone():
            return self._repairs.execute(plan)

    def lacks_copies(self) -> bool:
        """Return whether there is a state and no second copy of it: there never was one, or all were deleted."""
        has_copies = self._copies.were_completed() or self._copies.of(self._path).exists()
        return self._path.exists() and not has_copies

    def complete_copies(self, *, again: bool = False) -> int:
        """Make the copies that are missing or damaged, and delete what writes that never ended left; return how many.

        That they are complete is noted with the boot of this machine, so that it costs nothing the next time, unless
        the power may have been cut since or they are looked at ``again``. Writers wait for none of the reading. While a
        file is damaged nothing is deleted: what it names looks like what nobody names.
        """
        if self._copies.are_complete() and not again:
            return 0
        state = self._state()
        if not state.revision:
            return 0
        poor, named = self._repairs.poor_copies(state)
        made = 0
        for path in poor:
            with self._alone():
                made += self._repairs.renew_copy(path)
        with self._alone():
            if named is not None and self._state().revision == state.revision:
                for name in state.config_shards:
                    self._configs.clear_unnamed(name, named)
                for name in state.normalizer_shards:
                    self._normalizers.clear_unnamed(name, named)
                for name in state.families:
                    self._families.clear_unnamed(name, named)
        self._copies.note_complete()
        self.clear_unknown()
        return made

    def clear_unknown(self) -> int:
        """Delete what belongs to models and families that the newest state lacks, once it is old; return how much.

        Refused commits and killed writers leave that. A state that is gone deletes nothing: it would lack all.
        """
        if not self._unknown():  # as a rule, and then no writer is kept out
            return 0
        with self._alone():
            unknown = self._unknown()
            self._scans.remember_only(self._state().models)
            for directory in unknown:
                shutil.rmtree(directory, ignore_errors=True)
            return len(unknown)

    def read_files(self, keep: Callable[[str, bytes], None]) -> int:
        """Give ``keep`` every file of the newest state by name; return its revision, 0 where there is none.

        Raises `StateMoved` when newer commits took one away meanwhile, `StoreCorrupt` when one is damaged.
        """
        stamp = self.stamp()
        files = self._state_files()
        return read_state(files, lambda: self.stamp() == stamp, keep)

    def check_files(self) -> tuple[int, set[str]]:
        """Read every file of the state as the values that it holds; return its revision and the files' names.

        Raises `StoreError`.
        """
        state, names = check_state(self._state_files())
        return state.revision, names

    def put_back(self, staged: Path, kept: Path, keep: Callable[[Path], Path]) -> tuple[int | None, int, Path | None]:
        """Make the checked files below ``staged`` the newest state; return the revisions before and after.

        ``keep`` is called with ``kept`` to save the present state and returns where; where that is damaged, its files
        are set aside there as they are. That place is the third thing returned, None where there was no state.
        """
        with self._alone():
            state, _ = check_state(StateFiles.below(staged))
            place: Path | None = kept
            before: int | None = None
            try:
                before = self._state().revision
                place = keep(kept) if before else None
            except (StoreCorrupt, StoreTooNew):
                set_all_aside(self._path.parent, kept)
            told = (told_revision(path) or 0 for path in (self._path, self._copies.of(self._path)))
            revision = unseen_revision(state.revision, before, max(before or 0, *told))
            put_files(staged, self._path.parent)
            self._copies.note_incomplete()
            self._replace(format_tables({**state.tables, "meta": {"1": {"revision": revision}}}))
            for path in self._repairs.poor_copies(self._state())[0]:
                self._repairs.renew_copy(path)
            self._copies.note_complete()
            for directory in what_is_not_of(state, self._path.parent):
                shutil.rmtree(directory, ignore_errors=True)
            return before, revision, place

    def _unknown(self) -> list[Path]:
        """Return the directories of models and families that the newest state lacks and nobody writes to."""
        state = self._state()
        found = what_is_not_of(state, self._path.parent) if state.revision else []
        return [directory for directory in found if is_left_alone(directory)]

    def _unread_scans(self) -> set[tuple[str, str]]:
        """Return the models whose scans are not on disk, each with its scan's id."""
        view = self.view()
        return {(each.name, each.scan_id or "") for each in view.models() if view.scan_summary(each.name) is None}

    def _state_files(self) -> StateFiles:
        return StateFiles(self._path.parent, self._configs, self._normalizers, self._families, self._scans)

    def _state(self) -> State:
        now = self.stamp()
        seen, state = self._seen
        if now and seen == now:
            return state
        read = read_file(self._path)
        if read is None:
            if self._copies.of(self._path).exists() and not self._path.exists():
                raise StoreCorrupt(lost_sentence(self._path))
            return State({})
        state = checked_state(read[0], self._path)
        self._take_in(read[1], state)
        return state

    def _take_in(self, identity_of_file: tuple[int, int, int], state: State) -> None:
        """Keep the newest state in memory, and nothing of models that it has no more, whoever deleted them."""
        _, before = self._seen
        self._seen = (identity_of_file, state)
        if before.models.keys() - state.models.keys():
            self._scans.remember_only(state.models)
            self._configs.remember_only(state.models)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep out every other writer, in this process and in others."""
        if not self._threads.acquire(timeout=self._lock_timeout):
            raise StoreBusy(self._busy_sentence())
        try:
            with self._process_lock():
                yield
        finally:
            self._threads.release()

    @contextmanager
    def _process_lock(self) -> Iterator[None]:
        try:
            make_directory(self._path.parent)
            lock = FileLock(self._lock_path, timeout=self._lock_timeout, thread_local=False)
            lock.acquire()
            leave_to_owner(self._lock_path)
        except Timeout as error:
            raise StoreBusy(self._busy_sentence()) from error
        except OSError as error:
            raise not_written(self._lock_path, error) from error
        try:
            yield
        finally:
            lock.release()

    def _commit(self, transaction: TinyDBTransaction) -> None:
        tables = transaction.committed_tables()
        self._replace(format_tables(tables))
        self._take_in(identity(os.stat(self._path)), State(tables))
        with suppress(OSError):  # what is not cleaned up now is with the next commit
            transaction.clean_up()

    def _replace(self, data: bytes) -> None:
        """Put a state in the place of the present one; the copy never is the older of the two."""
        is_first = not self._path.exists()
        if not is_first:
            self._copies.write(self._path, data)
        for written in self._pending:
            written.forget()  # a write of the state that fails may have come through all the same
        write_durably(self._path, data)
        if is_first:  # a copy alone means that the state was lost
            with suppress(StoreError):
                self._copies.write(self._path, data)

    def _busy_sentence(self) -> str:
        return (
            f"Another writer held '{self._lock_path}' for more than {self._lock_timeout:g} s. Nothing was stored; "
            "try again."
        )
