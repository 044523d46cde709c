"""The embedded backend: registrations in one TinyDB file, configs and scans in files that it names."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mm_core.errors import StoreBusy, StoreError
from mm_core.store.config_files import ConfigFiles
from mm_core.store.durable import DIRECTORY_MODE, TEMPORARY, write_durably
from mm_core.store.scans import ScanFiles
from mm_core.store.state import State
from mm_core.store.storage import format_tables, identity, parse_tables, read_file
from mm_core.store.views import TinyDBTransaction, TinyDBView

LEAST_FREE_BYTES = 100 << 20


class TinyDBStore:
    """State below one directory, shared by any number of processes; see the contract for what callers may rely on."""

    def __init__(self, data_dir: Path, lock_timeout: float = 10.0) -> None:
        self._path = data_dir / "registry.json"
        self._lock_path = data_dir / "registry.lock"
        self._lock_timeout = lock_timeout
        self._threads = threading.Lock()
        self._scans = ScanFiles(data_dir / "scans")
        self._configs = ConfigFiles(data_dir / "configs")
        self._seen: tuple[tuple[int, int, int] | None, State] = (None, State({}))

    def view(self) -> TinyDBView:
        """Return the newest state; an unchanged file costs one ``stat``."""
        return TinyDBView(self._state(), self._scans, self._configs, self._state)

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
        if not self._threads.acquire(timeout=self._lock_timeout):
            raise StoreBusy(self._busy_sentence())
        try:
            with self._process_lock():
                transaction = TinyDBTransaction(self._state(), self._scans, self._configs, self._state)
                yield transaction
                if transaction.has_changes:
                    self._commit(transaction)
        finally:
            self._threads.release()

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
        places = ("", "scans/*/", "configs/*/shards/", "configs/*/revisions/*/")
        leftovers = [path for place in places for path in directory.glob(f"{place}{TEMPORARY}*")]
        found += [f"'{path}' is left over from a write that never ended. Delete it." for path in sorted(leftovers)]
        try:
            view = self.view()
            found += [
                f"The parsed groups of model '{model.name}' are not on disk. Refresh the model."
                for model in view.models()
                if view.scan_summary(model.name) is None
            ]
            found += [
                f"'{path}' is missing: the factor configs in it cannot be read. Put a backup in its place."
                for name, shards in self._state().config_shards.items()
                for path in self._configs.missing(name, shards)
            ]
        except StoreError as error:
            found.append(error.detail)
        return tuple(found)

    def _state(self) -> State:
        now = self.stamp()
        if not now:
            return State({})
        seen, state = self._seen
        if seen == now:
            return state
        read = read_file(self._path)
        if read is None:
            return State({})
        state = State(parse_tables(read[0], self._path))
        self._seen = (read[1], state)
        return state

    @contextmanager
    def _process_lock(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
            lock = FileLock(self._lock_path, timeout=self._lock_timeout, thread_local=False)
            lock.acquire()
        except Timeout as error:
            raise StoreBusy(self._busy_sentence()) from error
        except OSError as error:
            raise StoreError(
                f"'{self._lock_path}' cannot be locked ({error.strerror}). Give this user the data directory."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _commit(self, transaction: TinyDBTransaction) -> None:
        tables = transaction.committed_tables()
        write_durably(self._path, format_tables(tables))
        self._seen = (identity(os.stat(self._path)), State(tables))
        transaction.clean_up()

    def _busy_sentence(self) -> str:
        return (
            f"Another writer held '{self._lock_path}' for more than {self._lock_timeout:g} s. Nothing was stored; "
            "try again."
        )
