"""Figures of versions: what their files and their registration report, and how two of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionEvent, VersionRecord
from mm_core.domain.versions import BoosterText, Normalizer, Version, VersionLayout
from mm_core.evaluation.boosters import flat

VALIDATION, TEST, MAJORITY, GAP = "validation accuracy", "test accuracy", "majority baseline", "generalization gap"
REGISTERED = {"validation_score": "registered validation score", "test_score": "registered test score"}


@dataclass(frozen=True, slots=True)
class ReportedMetric:
    """One figure that somebody reported: of one ``model`` of a run, or of the version itself where that is empty.

    ``value`` is None where there is no finite number, ``doubt`` says why it cannot be believed.
    """

    model: str
    metric: str
    value: float | None
    doubt: str = ""

    @property
    def name(self) -> str:
        """Model and metric."""
        return f"{self.model}: {self.metric}" if self.model else self.metric


def reported_metrics(files: Version | None, record: VersionRecord | None) -> tuple[ReportedMetric, ...]:
    """Return every figure that the files or the registration of a version report, each once."""
    found: list[ReportedMetric] = []
    if files is not None:
        evaluation = files.evaluation
        values = {
            VALIDATION: files.metadata.validation_accuracy if files.metadata is not None else None,
            TEST: evaluation.accuracy if evaluation is not None else None,
            MAJORITY: evaluation.majority_baseline if evaluation is not None else None,
            GAP: generalization_gap(files),
        }
        found += [ReportedMetric("", name, value) for name, value in values.items() if value is not None]
        if files.run is not None:
            doubts = {(one.model, one.metric): one.reason for one in files.run.implausible_metrics}
            found += [
                ReportedMetric(model, metric, value, doubts.get((model, metric), ""))
                for model, metrics in files.run.performance_metrics.items()
                for metric, value in metrics.items()
            ]
    if record is not None:
        scores = {name: getattr(record, field) for field, name in REGISTERED.items()}
        found += [ReportedMetric("", name, value) for name, value in scores.items() if value is not None]
    return tuple(found)


def generalization_gap(files: Version) -> float | None:
    """Return validation accuracy minus test accuracy; None unless both are known."""
    if files.metadata is None or files.evaluation is None:
        return None
    validation, test = files.metadata.validation_accuracy, files.evaluation.accuracy
    return validation - test if validation is not None and test is not None else None


def version_parameters(files: Version) -> dict[str, str]:
    """Return what a version says of its training and its model, as text by dotted name."""
    facts: dict[str, object] = {"model.files": len(files.files), "model.bytes": files.size_bytes}
    found: dict[str, str] = {}
    booster, metadata, run = files.booster, files.metadata, files.run
    if booster is not None:
        facts |= {
            "booster.objective": booster.objective,
            "booster.classes": booster.num_class,
            "booster.trees": booster.num_trees,
            "booster.leaves": booster.num_leaves,
            "booster.features": len(booster.feature_names),
        }
    if metadata is not None:
        facts |= {
            "metadata.model_type": metadata.model_type,
            "metadata.algorithm": metadata.algorithm,
            "metadata.objective": metadata.objective,
            "metadata.classes": ", ".join(metadata.classes) or None,
            "training.date": metadata.training_date,
            "training.examples": metadata.training_examples,
            "training.validation_examples": metadata.validation_examples,
            "training.best_iteration": metadata.best_iteration,
            "training.total_iterations": metadata.total_iterations,
        }
        found |= flat(metadata.hyperparameters, "hyperparameters") | flat(metadata.extra, "extra")
    if run is not None:
        facts |= {
            "run.timestamp": run.timestamp,
            "run.prediction_threshold": run.prediction_threshold,
            "run.trained_models": ", ".join(run.trained_models) or None,
        }
        found |= flat(run.ensemble_weights, "weight") | flat(run.model_configs, "config") | flat(run.extra, "extra")
    return {name: str(value) for name, value in facts.items() if value is not None} | found


def feature_names(files: Version) -> tuple[str, ...]:
    """Return the features of a version in its order: of the booster, else of the normalizer, else of the metadata.

    A booster without names, and one that writes them otherwise, has those on which the other files agree.
    """
    booster = files.booster
    normalized = files.normalizer.feature_names if files.normalizer is not None else ()
    others = {names for names in (normalized, files.declared_features) if names}
    if booster is not None and len(others) == 1:
        (names,) = others
        if booster.may_be_called(names) or _are_columns_of_a_run(files, booster, names):
            return names
    trained = booster.feature_names if booster is not None else ()
    return trained or normalized or files.declared_features


def _are_columns_of_a_run(files: Version, booster: BoosterText, names: Sequence[str]) -> bool:
    """Return whether the booster of a run numbers its columns, as XGBoost does, and there are as many names."""
    numbers = tuple(f"f{place}" for place in range(len(names)))
    return files.layout is VersionLayout.RUNS and booster.feature_names == numbers


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """What one feature is to a booster: ``splits`` and ``gain_share`` of its own trees, ``declared`` by its files."""

    feature: str
    splits: int | None
    gain_share: float | None
    declared: float | None


def importance_of(files: Version) -> tuple[FeatureImportance, ...]:
    """Return each feature's importance, largest first; a feature that only the files declare comes along.

    A booster without columns knows nothing of the features that other files name.
    """
    splits: Mapping[str, int] = {}
    shares: Mapping[str, float] = {}
    names: Sequence[str] = ()
    if files.booster is not None and files.booster.feature_names:
        names = feature_names(files)
        splits = dict(zip(names, files.booster.splits, strict=True))
        total = sum(files.booster.gain)
        shares = {name: gain / total if total else 0.0 for name, gain in zip(names, files.booster.gain, strict=True)}
    found = [
        FeatureImportance(name, splits.get(name), shares.get(name), files.importance.get(name))
        for name in dict.fromkeys((*names, *files.importance))
    ]
    return tuple(sorted(found, key=lambda one: (-(one.gain_share or 0.0), -(one.declared or 0.0))))


@dataclass(frozen=True, slots=True)
class FeatureShift:
    """One feature of either of two versions: place in the order, share of gain, mean and std of its normalization."""

    feature: str
    change: str
    places: tuple[int | None, int | None]
    gain_shares: tuple[float | None, float | None]
    means: tuple[float | None, float | None]
    stds: tuple[float | None, float | None]


def feature_shifts(left: Version, right: Version) -> tuple[FeatureShift, ...]:
    """Return every feature of either side: ``gained``, ``lost``, ``moved`` to another place, ``kept``."""
    sides = (left, right)
    places = [{name: at for at, name in enumerate(feature_names(side))} for side in sides]
    shares = [{one.feature: one.gain_share for one in importance_of(side)} for side in sides]
    spreads = [_spreads(side.normalizer) for side in sides]
    found = []
    for name in dict.fromkeys((*places[0], *places[1])):
        at = (places[0].get(name), places[1].get(name))
        one, other = (spread.get(name, (None, None)) for spread in spreads)
        change = "gained" if at[0] is None else "lost" if at[1] is None else "kept" if at[0] == at[1] else "moved"
        found.append(
            FeatureShift(
                name, change, at, (shares[0].get(name), shares[1].get(name)), (one[0], other[0]), (one[1], other[1])
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class StatusSpan:
    """A time in which a version had a status: since when, by whom and why; ``until`` is None while it lasts."""

    version: str
    status: Status
    since: datetime
    until: datetime | None
    by: str
    why: str


def status_spans(events: Sequence[VersionEvent]) -> tuple[StatusSpan, ...]:
    """Return the times of every status of a family's versions, by their beginning; ``events`` are oldest first.

    Where the clock was set back between two events, the time between them is empty.
    """
    lasting: dict[str, StatusSpan] = {}
    found: list[StatusSpan] = []
    for event in events:
        if event.after is None:
            continue
        at = datetime.fromisoformat(event.at)
        before = lasting.get(event.version)
        if before is not None:
            found.append(_ended(before, at))
        lasting[event.version] = StatusSpan(event.version, event.after, at, None, event.actor, event.note)
    return tuple(sorted((*found, *lasting.values()), key=lambda span: span.since))


def _ended(span: StatusSpan, at: datetime) -> StatusSpan:
    return StatusSpan(span.version, span.status, span.since, max(at, span.since), span.by, span.why)


def _spreads(normalizer: Normalizer | None) -> dict[str, tuple[float | None, float | None]]:
    if normalizer is None:
        return {}
    return {
        name: (mean, std)
        for name, mean, std in zip(normalizer.feature_names, normalizer.mean, normalizer.std, strict=True)
    }
