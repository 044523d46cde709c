"""Register, refresh and delete: from a root on disk to a scan in the store."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mm_core.artifacts.layouts import Listed
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import Listing, list_groups, look_again
from mm_core.artifacts.scan import scan_root
from mm_core.artifacts.stable_file import read_stable
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel, checked_model_name
from mm_core.domain.moments import utc_now
from mm_core.domain.versions import Version
from mm_core.errors import DuplicateSymbols, InvalidRoot, ModelManagerError, ModelNotFound, UnreadableArtifact
from mm_core.logs import get_logger
from mm_core.registry.configs import carry_factor_configs
from mm_core.registry.lookups import require_model
from mm_core.registry.lost_readers import LostReaders
from mm_core.registry.normalizers import carry_normalizers
from mm_core.registry.roots import checked_root, root_identity
from mm_core.store import BlobDirectory, RegistryStore, StoreTransaction

Progress = Callable[[int, int], object]

log = get_logger("mm_core.registration")


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration with the scan that is now in service."""

    model: RegisteredModel
    scan: Scan


@dataclass(frozen=True, slots=True)
class Changed:
    """What a look at a root found: None where nothing is new in service.

    ``waiting`` has the groups and versions that somebody was writing, with the absolute paths of their files: they are
    as before.
    """

    registered: Registered | None
    waiting: Mapping[str, tuple[str, ...]]


class Registrations:
    """Brings roots into the store and keeps them current."""

    def __init__(
        self,
        store: RegistryStore,
        model_blobs: BlobDirectory,
        limits: ReadingLimits,
        allowed_roots: tuple[Path, ...] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._blobs = model_blobs
        self._limits = limits
        self._allowed_roots = allowed_roots
        self._lost_readers = LostReaders(clock)

    def register(self, name: str, root_path: str, progress: Progress | None = None) -> Registered:
        """Scan a root and register it under ``name``; an existing registration of that name gets the new root.

        Where somebody else put something into service under that name meanwhile, the root is looked at again.

        Raises `InvalidName`, `InvalidRoot` and `DuplicateSymbols`; then nothing is stored.
        """
        checked_model_name(name)
        while True:
            root = checked_root(root_path, self._allowed_roots)
            view = self._store.view()
            known = view.model(name)
            previous = view.scan(name) if known is not None and known.root_path == str(root) else None
            scan = self._scan(name, root, previous, list_groups(root, self._limits), progress)
            with self._store.transaction() as transaction:
                if _served(transaction.model(name)) == _served(known):
                    now = utc_now()
                    model = RegisteredModel(name, str(root), known.created_at if known else now, now)
                    return self._put_into_service(transaction, model, scan)

    def refresh(self, name: str, progress: Progress | None = None) -> Registered:
        """Look at a registered root again, as somebody asked for, and put what changed into service.

        When the root cannot be read or a symbol has several groups, the last good scan stays in service, the reason is
        kept with the registration, and `InvalidRoot` or `DuplicateSymbols` is raised.
        """
        while True:
            view = self._store.view()
            model = require_model(view, name)
            previous = view.scan(name)
            with self._reasons_kept(model):
                root = checked_root(model.root_path, self._allowed_roots)
                scan = self._scan(name, root, previous, list_groups(root, self._limits), progress)
            registered = self._put_on_top(model, scan)
            if registered is not None:
                return registered

    def refresh_changed(
        self,
        name: str,
        paths: Collection[str] | None = None,
        *,
        quiet_seconds: float = 0.0,
        impatient_of: Collection[str] = (),
    ) -> Changed:
        """Put what changed below a registered root into service, whole groups and versions that rest.

        ``paths`` are the absolute ones that changed, None where that is not known. What had a file change in the last
        ``quiet_seconds`` stays as it is, unless ``impatient_of`` names it: who replaces files one after the other may
        be between two of them. What ended its reader is read again when it has rested. Raises like `refresh`, and
        `InvalidRoot` where nothing is left of what was read: that may be a disk that is not mounted.
        """
        while True:
            view = self._store.view()
            model = require_model(view, name)
            previous = view.scan(name)
            with self._reasons_kept(model):
                root = checked_root(model.root_path, self._allowed_roots)
                trusted = previous if model.refresh_error is None else None
                listing = None
                if trusted is not None and paths is not None:
                    listing = look_again(root, trusted, paths, self._limits)
                listing = listing or list_groups(root, self._limits)
                _check_not_emptied(model, previous, listing)
                restless: tuple[Listed, ...] = ()
                if previous is not None:
                    now = time.time_ns()  # after the listing, or what changed meanwhile would seem to be of the future
                    since = now - round(quiet_seconds * 1e9)
                    listing, restless = listing.without_restless(previous, since, now, impatient_of)
                waiting = {
                    files.key: tuple(os.path.join(root, file.path) for file in files.files) for files in restless
                }
                is_due = self._lost_readers.is_due(name, previous)
                if trusted is not None and not listing.differs_from(trusted) and not is_due:
                    return Changed(None, waiting)
                resting = self._lost_readers.resting(name, previous)
                scan = self._scan(name, root, previous, listing, None, resting)
            registered = self._put_on_top(model, scan)
            if registered is not None:
                return Changed(registered, waiting)

    def delete(self, name: str) -> None:
        """Forget a registration with its configs; artifacts stay. Raises `ModelNotFound`."""
        with self._store.transaction() as transaction:
            require_model(transaction, name)
            transaction.delete_model(name, utc_now())

    def preview(self, root_path: str, progress: Progress | None = None) -> Scan:
        """Return what registering a root would find; nothing is stored. Raises `InvalidRoot`."""
        root = checked_root(root_path, self._allowed_roots)
        return scan_root(root, limits=self._limits, progress=progress)

    def file_digests(self, name: str, entry: Group | Version) -> dict[str, str]:
        """Return the SHA-256 of each file of a group or a version as it is now, by path; a reason where there is none.

        Raises `ModelNotFound` and `InvalidRoot`.
        """
        root = checked_root(require_model(self._store.view(), name).root_path, self._allowed_roots)
        limit = max(self._limits.model_bytes, self._limits.file_bytes)
        found = {}
        for file in entry.files:
            try:
                found[file.path] = hashlib.sha256(read_stable(root, file.path, limit)).hexdigest()
            except UnreadableArtifact as error:
                found[file.path] = error.detail
        return found

    def has_changed(self, name: str) -> bool:
        """Return whether a registered root differs from its scan by names, sizes or times, or is to be read again.

        It is where it was refused before, and where something ended its reader and has rested.

        Raises `InvalidRoot` when the root cannot be listed.
        """
        view = self._store.view()
        model = require_model(view, name)
        listing = list_groups(checked_root(model.root_path, self._allowed_roots), self._limits)
        scan = view.scan(name)
        is_due = model.refresh_error is not None or self._lost_readers.is_due(name, scan)
        return scan is None or is_due or listing.differs_from(scan)

    def restore_missing_scans(self) -> tuple[str, ...]:
        """Scan every model whose parsed groups are not on disk; return a sentence for each that could not be."""
        failed = []
        for model in self._store.view().models():
            try:
                if self._store.view().scan(model.name) is None:
                    self.refresh_changed(model.name)
            except ModelNotFound:
                continue  # deleted meanwhile
            except ModelManagerError as error:
                failed.append(f"Model '{model.name}' is out of service: {error.detail}")
        return tuple(failed)

    def _scan(
        self,
        name: str,
        root: Path,
        previous: Scan | None,
        listing: Listing,
        progress: Progress | None,
        resting: Collection[str] = (),
    ) -> Scan:
        before = root_identity(root)
        scan = scan_root(
            root,
            previous,
            listing,
            keep=self._blobs.put,
            keep_file=self._blobs.put_file,
            limits=self._limits,
            progress=progress,
            resting=resting,
        )
        registered = {model.name for model in self._store.view().models()}
        for ended, finding in self._lost_readers.note(name, scan, resting, registered):
            which = {"group": ended.group_key} if isinstance(ended, Group) else {"version": ended.path}
            log.warning("reader_ended", model=name, reason=finding.detail, **which)
        if root_identity(root) != before:
            raise InvalidRoot(f"Root '{root}' was replaced while it was read. Refresh again when it rests.")
        duplicates = scan.duplicate_symbols()
        if duplicates:
            raise DuplicateSymbols(name, duplicates)
        return scan

    @contextmanager
    def _reasons_kept(self, model: RegisteredModel) -> Iterator[None]:
        """Keep with a registration why its root cannot be put into service."""
        try:
            yield
        except (InvalidRoot, DuplicateSymbols) as error:
            self._keep_reason(model, error.detail)
            raise

    def _put_on_top(self, model: RegisteredModel, scan: Scan) -> Registered | None:
        """Put a scan into service; return None where another process was faster: look again on top of that."""
        with self._store.transaction() as transaction:
            current = require_model(transaction, model.name)
            if _served(current) != _served(model):
                return None
            return self._put_into_service(transaction, replace(current, updated_at=utc_now(), refresh_error=None), scan)

    def _put_into_service(self, transaction: StoreTransaction, model: RegisteredModel, scan: Scan) -> Registered:
        previous = transaction.scan(model.name)
        transaction.save_model(model)
        transaction.save_scan(model.name, scan)
        carry_factor_configs(transaction, model.name, previous, scan)
        carry_normalizers(transaction, model.name, previous, scan)
        return Registered(model, scan)

    def _keep_reason(self, model: RegisteredModel, reason: str) -> None:
        if model.refresh_error == reason:
            return
        with self._store.transaction() as transaction:
            current = transaction.model(model.name)
            if current is not None and _served(current) == _served(model):
                transaction.save_model(replace(current, updated_at=utc_now(), refresh_error=reason))


def _check_not_emptied(model: RegisteredModel, previous: Scan | None, listing: Listing) -> None:
    """Raise `InvalidRoot` where nothing is left of what a scan found; one that is lost may have found something."""
    if not listing.is_empty or (previous is not None and listing.hidden_of(previous)):
        return
    had_something = model.scan_id is not None if previous is None else bool(previous.groups or previous.versions)
    if had_something:
        raise InvalidRoot(
            f"Root '{model.root_path}' has nothing of what model '{model.name}' was read from: no file below it has a "
            "known suffix, and no directory is a version or a run. Mount its disk or put the files back; if it is "
            f"meant to be empty, refresh the model: `python -m mm_core refresh {model.name}`."
        )


def _served(model: RegisteredModel | None) -> tuple[str | None, str] | None:
    """Return what a registration has in service: who looked at another one looks again."""
    return (model.scan_id, model.root_path) if model is not None else None
