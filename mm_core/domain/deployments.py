"""Who was deployed when: computed from events alone, so that it can be answered for any moment of the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionEvent, VersionRecord, replayed


@dataclass(frozen=True, slots=True)
class Deployment:
    """A time in which a version was deployed: since when, by whom and why; ``until`` is None while it lasts.

    ``first`` and ``last`` number the events that began and ended it, from 1 on.
    """

    version: str
    since: str
    by: str
    why: str
    first: int
    until: str | None = None
    ended_by: str | None = None
    ended_why: str | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class DeployedThen:
    """A deployment, and the version's record as it was at a moment of it."""

    deployment: Deployment
    record: VersionRecord


def deployments(events: Sequence[VersionEvent]) -> tuple[Deployment, ...]:
    """Return every deployment of a family in the order in which they began; ``events`` are all, oldest first."""
    found: list[Deployment] = []
    lasting: dict[str, int] = {}
    for number, event in enumerate(events, 1):
        if event.before is Status.DEPLOYED and event.version in lasting:
            place = lasting.pop(event.version)
            found[place] = replace(
                found[place], until=event.at, ended_by=event.actor, ended_why=event.note, last=number
            )
        elif event.after is Status.DEPLOYED:
            lasting[event.version] = len(found)
            found.append(Deployment(event.version, event.at, event.actor, event.note, number))
    return tuple(found)


def deployed_at(events: Sequence[VersionEvent], moment: datetime) -> DeployedThen | None:
    """Return what was deployed at an aware ``moment``, None where nothing was.

    Events count in the order in which they were made: where the clock was set back between two of them, the later one
    stands for every moment from its time on.
    """
    numbers = [number for number, event in enumerate(events, 1) if datetime.fromisoformat(event.at) <= moment]
    if not numbers:
        return None
    newest = numbers[-1]
    for one in deployments(events):
        if one.first <= newest and (one.last is None or newest < one.last):
            return DeployedThen(one, replayed(events[:newest])[one.version])
    return None
