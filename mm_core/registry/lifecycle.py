"""Versions of model families: registered, updated, moved between statuses, compared, pinned, imported.

Every change is an event with who and why, in the same transaction as the change itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mm_core.domain.lifecycle import Action, Status, checked_move
from mm_core.domain.version_records import (
    FAMILY_NAME,
    SCORES,
    UPDATABLE,
    Family,
    FieldChange,
    VersionEvent,
    VersionRecord,
    parse_new_version,
    parse_update,
)
from mm_core.domain.versions import is_model_name
from mm_core.errors import (
    AlreadyExists,
    BadRequest,
    IllegalMove,
    InvalidName,
    NothingToUpdate,
)
from mm_core.registry.deploy_checks import check_held, check_predicts, check_stays_found, shared_models
from mm_core.registry.lifecycle_changes import Author, as_it_is_now, created, moved, now_stamp, saved_with, updated
from mm_core.registry.lifecycle_lookups import (
    AbTest,
    ab_tests,
    find_family,
    names_of,
    next_free_version,
    require_family,
)
from mm_core.registry.lifecycle_reading import LifecycleReader
from mm_core.registry.move_plans import DEMOTIONS, MovePlan, check_replaces, planned_move
from mm_core.registry.normalizers import check_set_once
from mm_core.registry.version_import import Imported, imported_registry
from mm_core.store import StoreTransaction, StoreView


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration's record; ``is_new`` is False where an update was asked for and the version was there."""

    record: VersionRecord
    is_new: bool
    warnings: tuple[str, ...]


class Lifecycle(LifecycleReader):
    """Changes what is registered of versions, and where they stand."""

    def register(
        self, document: Mapping[str, Any], author: Author, *, update: bool = False, force: bool = False
    ) -> Registered:
        """Register the version in ``document``; one that is ``deployed`` takes the place of its sibling at once.

        One that runs from then on needs what a move to its status needs: a note, and for ``deployed`` files that can
        predict, unless ``force``.

        With ``update``, the scores and the status that ``document`` has are set where the version is there already.
        Raises `InvalidVersion` with every problem, `AlreadyExists`, `VersionNotFound` where registered roots hold other
        versions of the family and not this one, `AmbiguousVersion` where they hold it twice, and as `move`; nothing is
        stored then.
        """
        new = parse_new_version(document)
        view = self._store.view()
        family = find_family(view, new.model_name)
        known = view.lifecycle.record(family.name, new.model_version) if family is not None else None
        if known is not None:
            return self._registered_again(view, known, document, author, update=update, force=force)
        check_held(self._roots, view, new.model_name, new.model_version)
        if new.status.runs:
            author.require_note(f"{new.model_name} {new.model_version} becomes {new.status}")
        if new.status is Status.DEPLOYED:
            check_predicts(self._roots, view, new.model_name, new.model_version, author, force=force)
        with self._store.transaction() as transaction:
            family = find_family(transaction, new.model_name)
            new = replace(new, model_name=family.name) if family is not None else new
            known = transaction.lifecycle.record(new.model_name, new.model_version)
            if known is not None:
                raise _exists(transaction, known)  # registered by somebody else just now
            if new.status is Status.DEPLOYED:
                check_predicts(self._roots, transaction, new.model_name, new.model_version, author, force=force)
            record = created(transaction, new, author, now_stamp())
            return Registered(record, True, self._warnings(view, record))

    def update(
        self,
        record: VersionRecord,
        changes: Mapping[str, Any],
        author: Author,
        *,
        guard: str | None = None,
        force: bool = False,
    ) -> VersionRecord:
        """Change scores and status of a version, as `parse_update` has them; the status moves as in `move`.

        ``guard`` is the ``updated_at`` that the change was made on; raises `RevisionConflict` where it is another
        one by now, and `NothingToUpdate` where no field is given.
        """
        if not changes:
            raise NothingToUpdate(f"No fields to update. Give one of {', '.join(SCORES)} or status for {record.title}.")
        status = changes.get("status", record.status)
        self._check_move(record, status, author, force=force)

        def change(transaction: StoreTransaction, known: VersionRecord, now: str) -> VersionRecord:
            if "status" in changes:
                self._check_move(known, status, author, force=force, view=transaction)
            return updated(transaction, known, changes, author, now)

        return self._change(record, guard, change)

    def move(
        self,
        record: VersionRecord,
        status: Status,
        author: Author,
        *,
        demote_to: Status = Status.SHADOW,
        guard: str | None = None,
        force: bool = False,
    ) -> VersionRecord:
        """Give a version another status; deployed, it takes the place of its sibling in the same transaction.

        The sibling becomes ``demote_to``. A status that it has already stores nothing. Raises `IllegalMove`,
        `BadRequest` without a note, `VersionUnusable` for a version that is to be deployed and has findings that are
        errors, unless ``force``; and `RevisionConflict` as `update`.
        """
        if demote_to not in DEMOTIONS:
            raise BadRequest(f"demote_to is '{demote_to}', use one of {', '.join(DEMOTIONS)}. Nothing was changed.")
        self._check_move(record, status, author, force=force)

        def change(transaction: StoreTransaction, known: VersionRecord, now: str) -> VersionRecord:
            self._check_move(known, status, author, force=force, view=transaction)
            return moved(transaction, known, status, author, now, demote_to)

        return self._change(record, guard, change)

    def plan_move(self, record: VersionRecord, status: Status, demote_to: Status = Status.SHADOW) -> MovePlan:
        """Return what `move` would do now; nothing is changed."""
        return planned_move(self._roots, self._store.view(), record, status, demote_to)

    def carry_out(self, plan: MovePlan, author: Author, *, force: bool = False) -> VersionRecord:
        """Make the move of a plan; raises as `move`, and `RevisionConflict` where it would do anything else by now."""
        self._check_move(plan.record, plan.status, author, force=force)

        def change(transaction: StoreTransaction, known: VersionRecord, now: str) -> VersionRecord:
            self._check_move(known, plan.status, author, force=force, view=transaction)
            check_replaces(transaction, plan)
            return moved(transaction, known, plan.status, author, now, plan.demote_to)

        return self._change(plan.record, plan.record.updated_at, change)

    def restore(self, record: VersionRecord, author: Author) -> VersionRecord:
        """Make a deprecated version ``validated`` again; raises as `move`, and `IllegalMove` for any other one."""
        if record.status is not Status.DEPRECATED:
            raise IllegalMove(f"{record.title} is '{record.status}': only what is deprecated can be restored.")
        return self.move(record, Status.VALIDATED, author)

    def enable_ab_test(
        self, name: str, champion: str, challenger: str, author: Author, *, force: bool = False
    ) -> AbTest:
        """Deploy one version and run another one as its shadow, in one transaction; raises as `move`."""
        first, second = self.record(name, champion), self.record(name, challenger)
        if first.model_id == second.model_id:
            raise BadRequest(f"{first.title} cannot be its own challenger. Name two versions.")
        author.require_note(f"{first.title} and {second.model_version} are compared")
        self._check_move(first, Status.DEPLOYED, author, force=force)
        with self._store.transaction() as transaction:
            now = now_stamp()
            known = as_it_is_now(transaction, first, None)
            self._check_move(known, Status.DEPLOYED, author, force=force, view=transaction)
            moved(transaction, known, Status.DEPLOYED, author, now, Status.SHADOW)
            moved(transaction, as_it_is_now(transaction, second, None), Status.SHADOW, author, now, Status.SHADOW)
            (found,) = ab_tests(transaction, first.model_name)
            return found

    def set_pinned(self, record: VersionRecord, pinned: bool, author: Author) -> VersionRecord:
        """Keep a version from every cleanup, or no longer; what is so already stores nothing."""

        def change(transaction: StoreTransaction, known: VersionRecord, now: str) -> VersionRecord:
            action = Action.PIN if pinned else Action.UNPIN
            return saved_with(transaction, known, {"pinned": pinned}, action, author, now)

        return self._change(record, None, change)

    def set_alias(self, name: str, alias: str, author: Author, *, remove: bool = False) -> Family:
        """Let another name stand for a family, or no longer.

        Raises `AlreadyExists` where that name is taken, or something is set for one version under both names. What runs
        stays in one directory: raises `AmbiguousVersion` where it would be in several, `CannotPredict` where in none.
        """
        if FAMILY_NAME.fullmatch(alias) is None:
            raise InvalidName(
                f"{alias[:80]!r} cannot name a model. Use 1 to 255 letters, digits, dots, underscores or hyphens."
            )
        self._called(self._store.view(), name, alias, remove)  # before, so that a refusal keeps no writer waiting
        with self._store.transaction() as transaction:
            family, changed = self._called(transaction, name, alias, remove)
            if changed == family:
                return family
            change = FieldChange(", ".join(family.aliases), ", ".join(changed.aliases))
            action = Action.UNALIAS if remove else Action.ALIAS
            event = VersionEvent(
                now_stamp(), author.actor, action, family.name, "", None, None, author.note, {"aliases": change}
            )
            transaction.lifecycle.save_family(changed, event)
            return changed

    def import_file(self, name: str, data: bytes, beside: Mapping[str, Any], author: Author) -> Imported:
        """Register what a `model-registry.json` has of a model, in one transaction.

        ``beside`` has the fields of a registration that such a file does not tell. Raises `BadRequest` for what is no
        such file, and as `register`.
        """
        return imported_registry(self._store, self._roots, name, data, beside, author)

    def _called(self, view: StoreView, name: str, alias: str, remove: bool) -> tuple[Family, Family]:
        """Return a family as it is and as `set_alias` leaves it; raises as that does."""
        family = require_family(view, name)
        taken = find_family(view, alias)
        if taken is not None and (taken.name != family.name or alias == family.name):
            raise AlreadyExists(
                f"'{alias}' is a name of '{taken.name}' already. Choose another one.", {"model_name": taken.name}
            )
        if (alias in family.aliases) is not remove:
            return family, family
        others = tuple(other for other in family.aliases if other != alias)
        changed = Family(family.name, others if remove else (*others, alias))
        check_stays_found(self._roots, view, family, changed, alias)
        if not remove:
            check_set_once(view, family, alias)
        return family, changed

    def _registered_again(
        self,
        view: StoreView,
        known: VersionRecord,
        document: Mapping[str, Any],
        author: Author,
        *,
        update: bool,
        force: bool,
    ) -> Registered:
        if not update:
            raise _exists(view, known)
        changes = parse_update({name: document[name] for name in UPDATABLE if name in document})
        record = self.update(known, changes, author, force=force)
        return Registered(record, False, self._warnings(view, record))

    def _warnings(self, view: StoreView, record: VersionRecord) -> tuple[str, ...]:
        name, version = record.model_name, record.model_version
        found = shared_models(self._roots, view, name, version)
        if not is_model_name(name):
            found.append(
                f"'{name}' is not in kebab-case, such as sentiment-fusion: it must equal the directory's name."
            )
        if not self._roots.paths(view, names_of(view, name)):
            found.append(
                f"No registered root holds versions of '{name}': whether the files of {version} are there is not "
                "known. Register their root."
            )
        return tuple(found)

    def _check_move(
        self, record: VersionRecord, status: Status, author: Author, *, force: bool, view: StoreView | None = None
    ) -> None:
        """Raise what keeps a version from a status.

        It is asked before a transaction, so that what is refused keeps no writer waiting, and within, where nobody can
        change any more what it depends on.
        """
        if status is record.status:
            return
        author.require_note(f"{record.title} becomes {status}")
        checked_move(record.status, status, record.title)
        if status is Status.DEPLOYED:
            view = view or self._store.view()
            check_predicts(self._roots, view, record.model_name, record.model_version, author, force=force)

    def _change(
        self,
        record: VersionRecord,
        guard: str | None,
        change: Callable[[StoreTransaction, VersionRecord, str], VersionRecord],
    ) -> VersionRecord:
        with self._store.transaction() as transaction:
            return change(transaction, as_it_is_now(transaction, record, guard), now_stamp())


def _exists(view: StoreView, record: VersionRecord) -> AlreadyExists:
    free = next_free_version(view, record)
    another = f"register the next version, such as {free}" if free is not None else "register another run"
    return AlreadyExists(
        f"Model {record.title} already exists: id {record.model_id}, status '{record.status}'. Update its scores and "
        f"status (--update, or PATCH /api/versions/{record.model_id}), or {another}.",
        {"model_id": record.model_id, "status": str(record.status)},
    )
