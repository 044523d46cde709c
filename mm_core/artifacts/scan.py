"""A root becomes a `Scan`: what changed is read, what did not is taken over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

from mm_core.artifacts.layouts import Listed, VersionFiles, version_key
from mm_core.artifacts.limits import MEBIBYTE, ReadingLimits
from mm_core.artifacts.listing import Known, Listing, is_read_by_todays_rules, known_by_key, list_groups
from mm_core.artifacts.read_group import GroupReading, is_torn
from mm_core.artifacts.read_version import with_other_files
from mm_core.artifacts.reading_defects import LOST_READER, UNREAD, is_unread
from mm_core.artifacts.reading_pool import ReadSoFar, booster_bytes, read_listed
from mm_core.artifacts.stable_file import STILL_BEING_WRITTEN, identity_of, open_stable
from mm_core.artifacts.version_files import VersionReading, as_torn
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, Scan
from mm_core.domain.moments import utc_now
from mm_core.domain.sharing import Shared, version_with_shared_values, with_shared_values
from mm_core.domain.versions import Version
from mm_core.errors import UnreadableArtifact

Keep = Callable[[bytes, str], object]
KeepFile = Callable[[BinaryIO, str, str], bool]
Progress = Callable[[int, int], object]

OneOf = TypeVar("OneOf", bound=Group | Version)


def scan_root(
    root: Path,
    previous: Scan | None = None,
    listing: Listing | None = None,
    *,
    keep: Keep | None = None,
    keep_file: KeepFile | None = None,
    limits: ReadingLimits | None = None,
    progress: Progress | None = None,
    resting: Collection[str] = (),
) -> Scan:
    """Return all groups and versions below ``root``; nothing is written there.

    ``listing`` is what is there, where the caller knows. What ``previous`` has is taken over when it was read by the
    same rules and path, size, times and inode of all its files are equal, when somebody wrote them while they were
    read, and when they cannot be read just now or their reader died; by whatever rules, when they cannot be listed just
    now. What ended its reader before is read again, but for ``resting``, the keys of those whose files are as they were
    then.

    ``keep(bytes, suffix)`` is given the JSON text (``.json``) of each group and run that was read and the ONNX content
    (``.onnx``) of each group, ``keep_file(file, sha256, ".txt")`` the model of each version, before the scan is
    returned; it says whether the file has that digest. ``progress(done, total)`` counts what is read: one for a group
    or a version, and one more for each further MiB of a version's model. Raises `InvalidRoot` when the root itself
    cannot be listed.
    """
    limits = limits or ReadingLimits()
    listing = listing or list_groups(root, limits)
    before = known_by_key(previous) if previous is not None else {}
    hidden = listing.hidden_of(previous) if previous is not None else frozenset()
    found: dict[str, Known] = {key: before[key] for key in hidden}
    changed = {}
    for key, files in listing.by_key().items():
        if key in hidden:
            continue
        known = _taken_over(before.get(key), files, key in resting)
        if known is not None:
            found[key] = known
        else:
            changed[key] = files
    shared: Shared = {}
    counted = _Counted(list(changed.values()), progress)
    for reading in read_listed(root, list(changed.values()), limits):
        if isinstance(reading, ReadSoFar):
            counted.reads(reading.key, reading.read_bytes)
        elif isinstance(reading, GroupReading):
            key = reading.group.group_key
            _keep_bytes(reading, keep)
            group_before = before.get(key)
            assert not isinstance(group_before, Version)
            found[key] = _in_service(group_before, with_shared_values(reading.group, shared))
            counted.has_read(key)
        else:
            key = version_key(reading.version.path)
            version_before = before.get(key)
            assert not isinstance(version_before, Group)
            version = _with_kept_model(root, reading, limits, keep, keep_file)
            found[key] = _in_service(version_before, version_with_shared_values(version, shared))
            counted.has_read(key)
    groups = {known.group_key: known for known in found.values() if isinstance(known, Group)}
    versions = {known.path: known for known in found.values() if isinstance(known, Version)}
    return Scan(
        utc_now(),
        {key: groups[key] for key in sorted(groups)},
        listing.findings,
        {path: versions[path] for path in sorted(versions)},
        listing.latest,
    )


@dataclass(slots=True)
class _Counted:
    """Tells how much of what is to be read was read."""

    listed: list[Listed]
    progress: Progress | None
    _steps: dict[str, int] = field(init=False)
    _all: int = field(init=False)
    _reached: dict[str, int] = field(default_factory=dict)
    _done: int = 0

    def __post_init__(self) -> None:
        self._steps = {files.key: 1 + booster_bytes(files) // MEBIBYTE for files in self.listed}
        self._all = sum(self._steps.values())

    def reads(self, key: str, read_bytes: int) -> None:
        self._tell(key, min(read_bytes // MEBIBYTE, self._steps[key] - 1))

    def has_read(self, key: str) -> None:
        self._tell(key, self._steps[key])

    def _tell(self, key: str, steps: int) -> None:
        self._done += steps - self._reached.get(key, 0)
        self._reached[key] = steps
        if self.progress is not None:
            self.progress(self._done, self._all)


def _taken_over(known: Known | None, files: Listed, is_resting: bool) -> Known | None:
    """Return what is known of files that say the same as before, None where they have to be read."""
    if known is None or not (_is_read(known) or (is_resting and is_read_by_todays_rules(known))):
        return None
    if known.files == files.files:
        return known
    if isinstance(known, Version) and isinstance(files, VersionFiles):
        return with_other_files(known, files)
    return None


def _keep_bytes(reading: GroupReading, keep: Keep | None) -> None:
    if keep is not None:
        if reading.model_json is not None:
            keep(reading.model_json, ".json")
        if reading.onnx is not None:
            keep(reading.onnx, ".onnx")


def _with_kept_model(
    root: Path, reading: VersionReading, limits: ReadingLimits, keep: Keep | None, keep_file: KeepFile | None
) -> Version:
    """Keep the bytes of a version's model; a version is torn where they are others than those that were read."""
    version = reading.version
    if reading.model_json is not None:
        if keep is not None:
            keep(reading.model_json, ".json")
        return version
    if keep_file is None or version.model is None:
        return version
    file = next(file for file in version.files if file.role is FileRole.BOOSTER_TEXT)
    try:
        with open_stable(root, file.path, limits.bytes_for(file.role), identity_of(file)) as content:
            is_kept = keep_file(content, version.model.sha256, ".txt")
    except UnreadableArtifact:
        is_kept = False
    return version if is_kept else as_torn(version, file)


def _in_service(known: OneOf | None, read: OneOf) -> OneOf:
    """Return what is in service after a reading: what was before, where the files could not be read to the end.

    What older rules took is never kept: they may have taken what crashes a bot. There is no model then until the files
    can be read by today's.
    """
    if known is None or not (is_torn(read.findings) or (_was_usable(known) and is_unread(read.findings))):
        return read
    if not is_read_by_todays_rules(known):
        return _out_of_service(read)
    return known if is_torn(read.findings) else _still_serving(known, read)


def _out_of_service(read: OneOf) -> OneOf:
    what = "group" if isinstance(read, Group) else "version"
    reasons = tuple(
        replace(
            finding,
            remedy=f"{finding.remedy} Until then the {what} has no model: it was read by rules that no longer hold.",
        )
        if finding.code == STILL_BEING_WRITTEN or finding.code in UNREAD
        else finding
        for finding in read.findings
    )
    if isinstance(read, Group):
        return replace(read, model=None, onnx_sha256=None, findings=reasons)
    return replace(read, model=None, booster=None, findings=reasons)


def _was_usable(known: Known) -> bool:
    return known.payload_ready if isinstance(known, Group) else known.can_predict


def _is_read(known: Known) -> bool:
    """Return whether it says what its files say: it was read by today's rules, and nothing came between."""
    return is_read_by_todays_rules(known) and not is_unread(known.findings) and not is_torn(known.findings)


def _still_serving(known: OneOf, unread: OneOf) -> OneOf:
    """Return what was read before, of which all is of that reading, with what keeps its newer files from being read."""
    reasons = tuple(_beside_what_is_served(finding, known) for finding in unread.findings if finding.code in UNREAD)
    earlier = tuple(finding for finding in known.findings if finding.code not in UNREAD)
    return replace(known, files=unread.files, findings=(*reasons, *earlier))


def _beside_what_is_served(finding: Finding, known: Known) -> Finding:
    """Return a finding about newer files; it takes no version from bots, as an error among its findings would."""
    served = f"What was read at {known.read_at} stays in service."
    if finding.code == LOST_READER:
        served = (
            f"What was read at {known.read_at}, before its files changed, stays in service; they are read again by "
            "themselves after a while, and when the model is refreshed."
        )
    severity = Severity.WARNING if isinstance(known, Version) else finding.severity
    return replace(finding, severity=severity, remedy=f"{finding.remedy} {served}")
