"""What the files of one training run say of each other: which model bots get, its features and their normalization."""

from __future__ import annotations

from collections.abc import Collection

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.model_checks import first_difference, is_numbered
from mm_core.artifacts.pickles import Scaler
from mm_core.artifacts.version_checks import ONE_TRAINING
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.runs import SCALERS, TRAINING_METADATA, RunMetadata, model_of
from mm_core.domain.versions import BoosterText, Normalizer

MOST_NAMED = 10


class RunChecks:
    """Adds to ``findings`` what is wrong with a run, in the order in which it is asked for."""

    def __init__(self, listed: VersionFiles, findings: list[Finding]) -> None:
        self._listed = listed
        self._findings = findings

    def metadata(self, is_there: bool) -> None:
        """Find a run without metadata."""
        if not is_there:
            self._warn(
                "metadata-missing",
                f"{self._listed.path}/{TRAINING_METADATA}",
                "The file is missing: the training did not end, or an older one did not write it.",
                "Nothing to do for the models; metrics and weights of this run are not known.",
            )

    def served(self, usable: Collection[str], run: RunMetadata | None) -> str | None:
        """Return which of the ``usable`` models bots are given: the one that the metadata names, else the only one."""
        wanted = run.served_model if run is not None else None
        if wanted is not None:
            if wanted in usable:
                return wanted
            self._error(
                "served-model",
                f"{self._listed.path}/{TRAINING_METADATA}",
                f"'served_model' is '{wanted[:60]}', and no XGBoost model of that name can be given to bots "
                f"(there are: {_some(usable)}).",
                "Write the name of one of the run's XGBoost models, or leave it out where there is one alone.",
            )
            return None
        if len(usable) > 1:
            self._warn(
                "several-models",
                self._listed.path,
                f"The run has {len(usable)} models that bots could be given, {_some(usable)}, and does not say which.",
                "Publish the run with served_model='…' in its metadata, or with one of them alone.",
            )
            return None
        if not usable and not any(one.severity is Severity.ERROR for one in self._findings):
            self._without_model()
        return next(iter(usable), None)

    def fitting(
        self, path: str, booster: BoosterText, scaler: Scaler | None, run: RunMetadata | None
    ) -> Normalizer | None:
        """Return the normalizer of a model's features in the order of its columns; find what contradicts it."""
        trained = booster.feature_names
        declared = run.feature_names if run is not None else ()
        self._classes(booster, run)
        if booster.num_trees and booster.is_degenerate:
            self._warn(
                "degenerate-booster",
                path,
                "No tree of the booster splits, or no split gains anything: it predicts the same for every row.",
                "Look at the labels and the parameters of the training.",
            )
        is_named = not is_numbered(trained) or trained in (declared, scaler.feature_names if scaler else ())
        if not is_named and self._are_numbered_otherwise(path, trained, scaler, declared):
            return None
        if not self._agree(path, trained if is_named else (), len(trained), scaler, declared):
            return None
        names = (trained if is_named else ()) or (scaler.feature_names if scaler is not None else ()) or declared
        if not is_named:
            source = SCALERS if scaler is not None and scaler.feature_names else "the metadata"
            taken = f"those of {source} are taken, in their order" if names else "they are called as XGBoost does"
            self._warn(
                "generic-feature-names",
                path,
                f"The booster was trained without names of features: {taken}.",
                "Train with a DataFrame, or with feature_names=[…]: nothing else tells that a column is in its place.",
            )
        scalers = f"{self._listed.path}/{SCALERS}"
        if scaler is None:
            if not any(file.role is FileRole.SCALERS for file in self._listed.files):
                self._add(
                    Severity.INFO,
                    "scaler-missing",
                    scalers,
                    "The run has no scaler: its features go into the model as they are.",
                    "Nothing to do if it was trained so; else pickle the fitted scaler into the run.",
                )
            return None
        if not scaler.feature_names:
            self._warn(
                "normalizer-no-names",
                scalers,
                "The scaler was fitted without names of features: its columns are taken to be the model's, in their "
                "order.",
                "Fit it with a DataFrame: columns in another order give wrong predictions without a sign of it.",
            )
        return Normalizer(names or trained, scaler.centre, scaler.scale)

    def _without_model(self) -> None:
        names = [file.path.rpartition("/")[2] for file in self._listed.files if file.role is FileRole.RUN_MODEL]
        there = [f"{found[0]} ({found[1]})" for found in map(model_of, names) if found is not None]
        self._add(
            Severity.INFO,
            "no-model-for-bots",
            self._listed.path,
            f"None of the run's models can be given to bots: {_some(there) if there else 'there is none'}. They are "
            "listed and never loaded.",
            "Publish an XGBoost model with the run, as xgboost_model.pkl or xgboost_model.json.",
        )

    def _classes(self, booster: BoosterText, run: RunMetadata | None) -> None:
        family = booster.objective.partition(":")[0]
        outputs = {"binary": 2, "multi": booster.num_class}.get(family)
        if outputs is not None and run is not None and run.classes and len(run.classes) != outputs:
            self._error(
                "classes-mismatch",
                f"{self._listed.path}/{TRAINING_METADATA}",
                f"The booster tells {outputs} classes apart, the metadata names {len(run.classes)}.",
                "Write the metadata of the training that made the model.",
            )

    def _are_numbered_otherwise(
        self, path: str, trained: tuple[str, ...], scaler: Scaler | None, declared: tuple[str, ...]
    ) -> bool:
        """Return whether the run calls its features as a booster without names does, in another order; say so."""
        for source, names in ((SCALERS, scaler.feature_names if scaler is not None else ()), ("metadata", declared)):
            if len(names) == len(trained) and set(names) == set(trained):
                self._error(
                    "features-mismatch",
                    path,
                    f"The booster calls its columns '{trained[0]}' to '{trained[-1]}' by their places, and {source} "
                    "names the same features in another order: nothing tells whether it was trained with these names "
                    "or with none.",
                    "Train with the columns in the order of their numbers, or with other names.",
                )
                return True
        return False

    def _agree(
        self, path: str, trained: tuple[str, ...], count: int, scaler: Scaler | None, declared: tuple[str, ...]
    ) -> bool:
        """Return whether all that names or counts features has the same ones in the same order, and say what has not.

        ``trained`` is empty where the booster has no names of its own.
        """
        if not count:
            remedy = "Train it with features; XGBoost itself saves no such model."
            self._error("features-mismatch", path, "The booster takes no feature.", remedy)
            return False
        if len(set(trained)) != len(trained):
            self._error("features-mismatch", path, "The booster has two features of one name.", ONE_TRAINING)
            return False
        counts = {path.rpartition("/")[2]: count}
        if scaler is not None:
            counts[SCALERS] = len(scaler.centre)
        if declared:
            counts[TRAINING_METADATA] = len(declared)
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{number} in {name}" for name, number in counts.items())
            self._error("features-mismatch", path, f"The numbers of features differ: {listed}.", ONE_TRAINING)
            return False
        orders = {
            "the booster": trained,
            SCALERS: scaler.feature_names if scaler is not None else (),
            TRAINING_METADATA: declared,
        }
        named = [(source, names) for source, names in orders.items() if names]
        for source, names in named[1:]:
            first, others = named[0]
            at = first_difference(names, others)
            if at is not None:
                self._error(
                    "features-mismatch",
                    path,
                    f"{source} and {first} do not name the same features in the same order: column {at} is "
                    f"'{names[at][:60]}' in the one, '{others[at][:60]}' in the other.",
                    ONE_TRAINING,
                )
                return False
        return True

    def _warn(self, code: str, file: str, detail: str, remedy: str) -> None:
        self._add(Severity.WARNING, code, file, detail, remedy)

    def _error(self, code: str, file: str, detail: str, remedy: str) -> None:
        self._add(Severity.ERROR, code, file, detail, remedy)

    def _add(self, severity: Severity, code: str, file: str, detail: str, remedy: str) -> None:
        self._findings.append(Finding(severity, code, file, detail, remedy))


def _some(names: Collection[str]) -> str:
    listed = ", ".join(f"'{name[:60]}'" for name in list(names)[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (listed or "none") + more
