"""Normalizers of versions: what their files say, and what people set over it, which the store alone holds."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache

from mm_core.domain.configs import CARRY, CellChange, FactorConfigRecord, FactorConfigRevision
from mm_core.domain.groups import Scan
from mm_core.domain.moments import utc_now
from mm_core.domain.normalizers import (
    defaults_of,
    from_files_in,
    laid_over,
    over,
    overridden_features,
    without_what_files_say,
)
from mm_core.domain.version_records import FAMILY_NAME, Family
from mm_core.domain.versions import Normalizer, Version
from mm_core.errors import AlreadyExists, CannotPredict, ModelUnusable, NormalizerNotFound, StoreCorrupt
from mm_core.payloads import NOTHING_SET, NormalizerOverrides
from mm_core.prediction import Features, features_of
from mm_core.registry.configs import Configs, ConfigSubject
from mm_core.registry.lifecycle_lookups import find_family
from mm_core.registry.version_lookups import HeldVersion, only_held, require_known
from mm_core.registry.version_refusals import refusal, what_keeps
from mm_core.registry.version_roots import ScannedRoots, versions_below
from mm_core.store import ConfigsTransaction, ConfigsView, StoreTransaction, StoreView


@dataclass(frozen=True, slots=True)
class EffectiveNormalizer:
    """What bots are given: the normalizer of the files with what people set laid over it, and what that is."""

    normalizer: Normalizer
    overrides: NormalizerOverrides = NOTHING_SET


class Normalizers(Configs):
    """What people set for versions; raises `VersionNotFound`, `NormalizerNotFound` and `VersionUnusable`."""

    def _subject(self, view: StoreView, model_name: str, name: str, group_key: str | None) -> ConfigSubject:
        held = only_held(view, model_name, name)
        require_known(view, held)
        normalizer = normalizer_in_files(held)
        kept_under = _kept_under(view, _names_of(held.family, held.version, held.model.name), held.version.name)
        return ConfigSubject(
            f"The normalizer of {held.title}",
            kept_under or held.family.name,
            held.version.name,
            normalizer.feature_names,
            held.version.created_at,
            defaults_of(normalizer),
            "" if FAMILY_NAME.fullmatch(held.family.name) else _not_kept(held.family.name),
        )

    def _of(self, view: StoreView) -> ConfigsView:
        return view.normalizers

    def _in(self, transaction: StoreTransaction) -> ConfigsTransaction:
        return transaction.normalizers


def normalizer_in_files(held: HeldVersion) -> Normalizer:
    """Return what a version's files say, in the order of the model's columns and spelled as bots get it.

    Raises `NormalizerNotFound` where a version that can predict has none, else `VersionUnusable` where there is none
    that fits the model.
    """
    try:
        normalizer = features_in_files(held.version).normalizer
    except ModelUnusable as error:
        raise CannotPredict(f"{held.title} has no normalizer. {error.detail}", [error.detail]) from error
    if normalizer is not None:
        return normalizer
    reasons = what_keeps(held.findings, scaler_needed=True)
    if not reasons and held.can_predict:
        raise NormalizerNotFound(
            f"{held.title} in '{held.directory}' has no normalizer: its features are taken as they are. Where it was "
            "trained on normalized ones, publish it again with its scaler."
        )
    raise refusal(held.title, held.directory, reasons, "has no normalizer that can be edited", "Mend its files.")


def features_in_files(version: Version) -> Features:
    """Return which column of a version's model is which feature; raise `ModelUnusable` where its files differ."""
    trained = version.booster.feature_names if version.booster is not None else ()
    if version.booster is None and version.normalizer is not None:
        trained = version.normalizer.feature_names
    return features_of(trained, version.declared_features, version.normalizer)


def effective_normalizer(view: StoreView, held: HeldVersion, normalizer: Normalizer) -> EffectiveNormalizer:
    """Return what bots are given in the place of ``normalizer``, which is that of the files in the model's order."""
    return _effective(view, _names_of(held.family, held.version, held.model.name), held.version.name, normalizer)


def effective_of(view: StoreView, name: str, own_name: str, version: Version) -> Normalizer | None:
    """Return what predictions of a version use, None where its files have no normalizer.

    ``name`` is a family's, ``own_name`` that of its directory. Raises `ModelUnusable` where its files differ.
    """
    if version.normalizer is None:
        return None
    names = _names_of(find_family(view, name) or Family(name), version, own_name)
    if _kept_under(view, names, version.name) is None:
        return version.normalizer
    normalizer = features_in_files(version).normalizer
    assert normalizer is not None
    return _effective(view, names, version.name, normalizer).normalizer


def normalizer_revision(view: StoreView, name: str, version: str) -> int:
    """Return how often people changed the normalizer of a registered version; ``name`` is its family's."""
    family = find_family(view, name) or Family(name)
    stamps = (view.normalizers.stamp(one, version) for one in (family.name, *family.aliases))
    return next((stamp.revision for stamp in stamps if stamp is not None), 0)


def check_set_once(view: StoreView, family: Family, alias: str) -> None:
    """Raise `AlreadyExists` where something is set for a version under ``alias`` and under a name of the family too.

    Of one family only one of both would count, and nobody would be told.
    """
    held = {version.name: version for _, _, version in versions_below(view, (alias,))}
    for version in view.normalizers.stamps(alias):
        kept_under = _kept_under(view, (family.name, *family.aliases), version)
        record = view.normalizers.record(alias, version)
        if kept_under is None or record is None or not _sets_anything(record, held.get(version)):
            continue
        restore = shlex.join(("normalizer", "restore", alias, version, "0"))
        raise AlreadyExists(
            f"Mean and variance of {version} are set under '{kept_under}' and under '{alias}': of one family, what is "
            f"set under '{kept_under}' alone would count. Take back what is set under '{alias}' (`python -m mm_core "
            f"{restore}`), then repeat it; nothing was changed.",
            {"model_name": kept_under, "model_version": version},
        )


def _sets_anything(record: FactorConfigRecord, version: Version | None) -> bool:
    """Return whether a record has numbers for a version; without its files, all that it has may be meant."""
    if version is None or version.normalizer is None:
        return bool(record.values)
    return not record.values.keys().isdisjoint(_as_bots_get_it(version).feature_names)


def carry_normalizers(transaction: StoreTransaction, model_name: str, previous: Scan | None, scan: Scan) -> None:
    """Let what people set follow files of a version that are other ones by now, where they left a number as it was.

    The history of the version says which numbers moved, and which features it got and lost.
    """
    if not transaction.normalizers.names():
        return
    family_of = cache(lambda own: find_family(transaction, own) or Family(own))
    for path, version in scan.versions.items():
        before = previous.versions.get(path) if previous is not None else None
        if before is not None and before.normalizer is None:
            before = None
        if version.normalizer is None or (before is not None and before.normalizer == version.normalizer):
            continue
        try:
            names = _names_of(family_of(version.model_name or model_name), version, model_name)
            _carry(transaction, names, before, version)
        except StoreCorrupt:
            if before is not None:
                raise
            # else no root could be registered and no lost scan made anew beside damage of ours; the numbers that bots
            # are given follow the files all the same, or are refused where they cannot be read


def _carry(transaction: StoreTransaction, names: tuple[str, ...], before: Version | None, version: Version) -> None:
    """Save what is set for a version as it stands over its files; ``before`` had others, None where none are known."""
    kept_under = _kept_under(transaction, names, version.name)
    record = transaction.normalizers.record(kept_under, version.name) if kept_under is not None else None
    if record is None:
        return
    old = _as_bots_get_it(before) if before is not None else None
    if record.from_files is None:
        if old is None:
            return  # nobody knows which numbers were the files'
        record = replace(record, from_files=from_files_in(record.values, defaults_of(old)))
    said = defaults_of(_as_bots_get_it(version))
    moved = over(record, said)
    kept = without_what_files_say(moved, said)
    if kept.values != moved.values and not _is_in_one_directory(transaction, names, record.subject):
        kept = moved  # the other directory may be the one that stays, and its files say something else
    had = frozenset(old.feature_names) if old is not None else _features_then(transaction, record)
    added = tuple(name for name in record.values if name in said.by_name and name not in had)
    dropped = tuple(name for name in record.values if name in had and name not in said.by_name)
    changes = {
        name: CellChange(value, kept.values.get(name))
        for name, value in record.values.items()
        if kept.values.get(name) != value
    }
    if changes or added or dropped:
        now, number = utc_now(), record.revision + 1
        transaction.normalizers.save(
            replace(kept, revision=number, updated_at=now),
            FactorConfigRevision(number, now, "scan", CARRY, "", changes, added, dropped),
        )


def _is_in_one_directory(view: StoreView, names: Collection[str], version: str) -> bool:
    return len(ScannedRoots().paths(view, names).get(version, ())) == 1


def _features_then(view: StoreView, record: FactorConfigRecord) -> frozenset[str]:
    """Return for which features something is set that the version had when a scan last told of its features."""
    had = set(record.values)
    for revision in view.normalizers.history(record.model_name, record.subject):
        had = (had - {*revision.dropped}) | {*revision.added}
    return frozenset(had)


def _effective(view: StoreView, names: tuple[str, ...], version: str, normalizer: Normalizer) -> EffectiveNormalizer:
    kept_under = _kept_under(view, names, version)
    record = view.normalizers.record(kept_under, version) if kept_under is not None else None
    if record is None:
        return EffectiveNormalizer(normalizer)
    record = over(record, defaults_of(normalizer))
    return EffectiveNormalizer(
        laid_over(normalizer, record.values),
        NormalizerOverrides(overridden_features(normalizer, record.values), record.revision, record.updated_at),
    )


def _as_bots_get_it(version: Version) -> Normalizer:
    assert version.normalizer is not None
    try:
        return features_in_files(version).normalizer or version.normalizer
    except ModelUnusable:
        return version.normalizer


def _names_of(family: Family, version: Version, model_name: str) -> tuple[str, ...]:
    """Return under what something may be set for a version: a family's names change, what was set under one stays."""
    return tuple(dict.fromkeys((family.name, version.model_name or model_name, *family.aliases)))


def _not_kept(family: str) -> str:
    return (
        f"Nothing can be set for versions of {family[:200]!r}: a name has letters, digits, dots, hyphens and "
        "underscores. Rename its directory, refresh the model, and repeat the change; nothing was stored."
    )


def _kept_under(view: StoreView, names: tuple[str, ...], version: str) -> str | None:
    return next((name for name in names if view.normalizers.stamp(name, version) is not None), None)
