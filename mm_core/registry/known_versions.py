"""Every version that there is: what registered roots hold, and what people registered of it, side by side."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mm_core.domain.findings import Finding, Severity
from mm_core.domain.lifecycle import Status, Tier
from mm_core.domain.version_records import VersionRecord
from mm_core.domain.versions import Version
from mm_core.errors import ModelNotFound
from mm_core.registry.lifecycle_lookups import SHOWN, find_family, readable_records, require_whole
from mm_core.registry.version_lookups import HeldVersion, all_held, held_of, is_visible, with_shared_models
from mm_core.store import StoreView


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """One version of a family: what a registered root holds, what is registered of it, or both; never neither.

    Of several registrations whose roots hold it, ``held`` has the first by name. ``is_alone`` says that no other
    directory holds a version that is called so.
    """

    held: HeldVersion | None
    record: VersionRecord | None
    is_alone: bool = True

    @property
    def family(self) -> str:
        """The name of the family."""
        return self._record.model_name if self.held is None else self.held.family.name

    @property
    def name(self) -> str:
        """The version's name, as people compare it."""
        return self._record.model_version if self.held is None else self.held.version.name

    @property
    def title(self) -> str:
        """The family's name and the version's."""
        return self._record.title if self.held is None else self.held.title

    @property
    def created_at(self) -> str:
        """When it was trained or published, as the files say; when it was registered where there are none."""
        return self._record.created_at if self.held is None else self.held.version.created_at

    @property
    def status(self) -> Status | None:
        """Where it stands; None for a version that nobody registered."""
        return self.record.status if self.record is not None else None

    @property
    def files(self) -> Version | None:
        """What its files say, None where no registered root holds them."""
        return self.held.version if self.held is not None else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with its files, and what it shares with others."""
        return self.held.findings if self.held is not None else ()

    @property
    def registration(self) -> str | None:
        """The name of the registration whose root holds the files."""
        return self.held.model.name if self.held is not None else None

    @property
    def root_path(self) -> str | None:
        """The root that holds the files."""
        return self.held.model.root_path if self.held is not None else None

    @property
    def directory(self) -> str | None:
        """The directory of its files, None where no registered root holds them."""
        return str(self.held.directory) if self.held is not None else None

    @property
    def is_latest(self) -> bool:
        """Whether the root's ``latest`` names it."""
        return self.held is not None and self.held.is_latest

    @property
    def is_known(self) -> bool:
        """Whether anybody can tell what is registered of it."""
        return self.held is None or self.held.is_known

    @property
    def has_editable_normalizer(self) -> bool:
        """Whether people can set numbers over its normalizer, and bots are given them: it alone is called so."""
        files = self.files
        has_one = files is not None and files.normalizer is not None and files.can_predict
        return has_one and self.is_alone and self.is_known

    def count(self, severity: Severity) -> int:
        """Return how many findings of a severity there are."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def _record(self) -> VersionRecord:
        assert self.record is not None, "a version without files is registered"
        return self.record


def known_versions(view: StoreView) -> tuple[KnownVersion, ...]:
    """Return every version of every family: families by name, in each the newest first.

    A directory that several registrations reach is one; a version in two directories is there twice.
    """
    records = (record for _, of_one in readable_records(view) for record in of_one)
    held = with_shared_models(view, all_held(view))
    return tuple(sorted(_newest_first(held, records), key=lambda one: one.family))


def versions_of(view: StoreView, name: str, caller_tier: Tier | None = None) -> tuple[KnownVersion, ...]:
    """Return all versions that ``name`` stands for and a caller sees, the newest first.

    ``name`` is a family's or another name for one; where there is no such family, a registration's: then it is all
    versions of its root. Raises `ModelNotFound` where it is neither.
    """
    held = held_of(view, name)
    family = find_family(view, name)
    if not held and family is None and view.model(name) is None:
        require_whole(view)
        known = ", ".join([family.name for family in view.lifecycle.families()[:SHOWN]]) or "none yet"
        raise ModelNotFound(
            f"No registered root holds versions of '{name[:128]}', and none is registered (known: {known}). "
            "Register the root with POST /api/models, or check the name."
        )
    records = view.lifecycle.records(family.name) if family is not None else ()
    listed = _newest_first(with_shared_models(view, held), records)
    return tuple(one for one in listed if is_visible(one.record, caller_tier) and (caller_tier is None or one.is_known))


def _newest_first(held: Iterable[HeldVersion], records: Iterable[VersionRecord]) -> list[KnownVersion]:
    """Return each directory once, and each record that is of none of them."""
    roots: dict[str, str] = {}
    places: dict[str, HeldVersion] = {}
    for one in held:
        root = one.model.root_path
        if root not in roots:
            roots[root] = os.path.realpath(root)  # a scan follows no link to a directory of versions
        places.setdefault(f"{roots[root]}/{one.version.path}", one)
    titles = Counter((one.family.name, one.version.name) for one in places.values())
    known = [KnownVersion(one, one.record, titles[one.family.name, one.version.name] == 1) for one in places.values()]
    known += [KnownVersion(None, one) for one in records if (one.model_name, one.model_version) not in titles]
    return sorted(known, key=_age, reverse=True)


def _age(one: KnownVersion) -> tuple[str, str, tuple[int, int, int], str]:
    if one.held is None:
        return one.created_at, one.family, (0, 0, 0), one.name
    files = one.held.version
    ranks = (files.number.major, files.number.minor, files.number.patch) if files.number is not None else (0, 0, 0)
    return files.created_at, one.held.family.name, ranks, files.version_id
