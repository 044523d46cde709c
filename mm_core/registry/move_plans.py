"""What a move of a version would do: to itself, and to the version that is deployed now."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionRecord
from mm_core.errors import RevisionConflict, VersionUnusable
from mm_core.registry.deploy_checks import check_predicts
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.version_roots import VersionRoots
from mm_core.store import StoreView

DEMOTIONS = (Status.SHADOW, Status.DEPRECATED)
"""What may become of a deployed version when another one is deployed."""

_NOBODY = Author("plan")


@dataclass(frozen=True, slots=True)
class MovePlan:
    """``record`` as it is now would become ``status``; what is deployed now, ``replaced``, would become ``demote_to``.

    ``replaced`` is None where nothing makes room. ``problems`` say why the version cannot predict: the move needs
    force then.
    """

    record: VersionRecord
    status: Status
    replaced: VersionRecord | None
    demote_to: Status
    problems: tuple[str, ...] = ()


def planned_move(
    roots: VersionRoots, view: StoreView, record: VersionRecord, status: Status, demote_to: Status
) -> MovePlan:
    """Return the plan of a move; whether it is legal is for the move itself."""
    if status is not Status.DEPLOYED:
        return MovePlan(record, status, None, demote_to)
    problems: tuple[str, ...] = ()
    try:
        check_predicts(roots, view, record.model_name, record.model_version, _NOBODY, force=False)
    except VersionUnusable as error:
        problems = error.problems
    return MovePlan(record, status, deployed_beside(view, record), demote_to, problems)


def check_replaces(view: StoreView, plan: MovePlan) -> None:
    """Raise `RevisionConflict` where a move would take the place of another version than the plan says."""
    if plan.status is not Status.DEPLOYED:
        return
    now = deployed_beside(view, plan.record)
    if (now.model_id if now else None) != (plan.replaced.model_id if plan.replaced else None):
        raise RevisionConflict(
            f"{now.title if now else 'Nothing'} is deployed by now, not "
            f"{plan.replaced.title if plan.replaced else 'nothing'}. Look at the plan again; nothing was changed."
        )


def deployed_beside(view: StoreView, record: VersionRecord) -> VersionRecord | None:
    """Return what else is deployed of a version's family, None where nothing is."""
    for other in view.lifecycle.records(record.model_name):
        if other.status is Status.DEPLOYED and other.model_version != record.model_version:
            return other
    return None
