"""Versions as values: which one is deployed, and a model with its features and normalizer that belong together."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from .errors import BadAnswer, BadRow
from .payloads import UNREADABLE, CanBeStale, StaleCopy, check_rules, floats_of, number_of

MODEL_FORMATS = frozenset({"lightgbm-text", "xgboost-json"})
SMALLEST_STD = 1e-12
"""A standard deviation below this counts as 1, as in the registry's own predictions."""


@dataclass(frozen=True, slots=True)
class VersionPayload(CanBeStale):
    """A version's model, the features of its columns in their order, and their normalization; they belong together.

    ``model`` is text for ``lightgbm.Booster(model_str=...)`` where ``model_format`` is ``lightgbm-text``, and for
    ``xgboost.Booster.load_model`` (as bytes) where it is ``xgboost-json``. ``mean_values`` and ``std_values`` are None
    for a training run whose normalization is not known, or that has none: ``warnings`` says which. ``fill_values``
    stand for missing values, where the training had some. ``classes`` are in the order of the model's outputs.
    ``fetched_at`` is when the server last sent these bytes or confirmed them, in UTC.
    """

    model_name: str
    version: str
    model_format: str
    model: str
    metadata: dict[str, Any]
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    mean_values: tuple[float, ...] | None
    std_values: tuple[float, ...] | None
    fill_values: tuple[float, ...] | None
    warnings: tuple[str, ...]
    etag: str
    fetched_at: datetime
    stale_copy: StaleCopy | None = None

    @property
    def threshold(self) -> float | None:
        """The probability above which the training predicted the second of two classes, None where it does not say."""
        return number_of(self.metadata.get("prediction_threshold"))

    def normalize(self, row: Mapping[str, float | None]) -> list[float]:
        """Return ``(x - mean) / std`` of each feature, in the order of the model's columns, looked up by name.

        None and NaN are missing values: they become the fill value where there are some, and NaN else. A std of 0 gives
        0, one below `SMALLEST_STD` counts as 1. Features that the model does not use are ignored. Raises `BadRow` with
        all missing features and all values that are not numbers at once, and for every row where the normalization is
        not known.
        """
        if self.mean_values is None or self.std_values is None:
            raise BadRow(
                f"Model '{self.model_name}', version '{self.version}', has no normalizer: {' '.join(self.warnings)} "
                "Take payload.ordered(row) only where the model was trained on features as they are."
            )
        fills = self.fill_values or (math.nan,) * len(self.feature_names)
        columns = zip(self.ordered(row), self.mean_values, self.std_values, fills, strict=True)
        return [
            0.0
            if std == 0
            else ((fill if math.isnan(number) else number) - mean) / (std if std >= SMALLEST_STD else 1.0)
            for number, mean, std, fill in columns
        ]

    def ordered(self, row: Mapping[str, float | None]) -> list[float]:
        """Return the features as they are, NaN for a missing value, in the order of the model's columns.

        Raises `BadRow` with all missing features and all values that are not numbers at once.
        """
        problems: list[str] = []
        found: list[float] = []
        for name in self.feature_names:
            value = row.get(name, "")  # text is no number
            number = math.nan if value is None else number_of(value)
            if number is not None:
                found.append(number)
            else:
                problems.append(f"{name!r} is {value!r}" if name in row else f"{name!r} is missing")
        if problems:
            raise BadRow(
                f"The row does not fit model '{self.model_name}', version '{self.version}': {', '.join(problems)}. "
                "Give every feature of feature_names a number, None for a value that is not known."
            )
        return found


@dataclass(frozen=True, slots=True)
class DeployedVersion(CanBeStale):
    """Which version of a model is deployed, since when (ISO 8601 UTC), and the server's whole record of it."""

    model_name: str
    version: str
    since: str
    record: dict[str, Any]
    etag: str
    fetched_at: datetime
    stale_copy: StaleCopy | None = None


class WantedVersion(NamedTuple):
    """A version that a bot asks for, with or without the leading ``v``."""

    model: str
    version: str

    @property
    def path(self) -> str:
        """Where the server has it, below the base URL."""
        return f"/api/models/{quote(self.model, safe='')}/versions/{quote(self.version, safe='')}/model"

    @property
    def readable(self) -> str:
        """How the file of the copy begins."""
        return f"{self.model}-{_bare(self.version)}"

    @property
    def key(self) -> list[str | None]:
        """What tells this payload from all others of its server."""
        return ["version", self.model, _bare(self.version)]

    @property
    def suffix(self) -> str:
        """How the file of the copy ends."""
        return ".version"

    def header(self, kept: VersionPayload) -> dict[str, str | None]:
        """Return what the file of the copy says of it."""
        return {"model": self.model, "version": kept.version}

    def parse(self, body: bytes | bytearray, etag: str, fetched_at: datetime) -> VersionPayload:
        """Return the payload that a body holds; raise `BadAnswer` with all reasons why it must not be used."""
        try:
            document = json.loads(body)["payload"]
            metadata, normalizer = document["metadata"], document["normalizer"]
            names = tuple(document["feature_names"])
            is_known = normalizer is not None
            fills = normalizer["fill_values"] if is_known else None
            payload = VersionPayload(
                metadata["model_name"],
                metadata["model_version"],
                document["model_format"],
                document["model"],
                metadata,
                tuple(metadata["classes"]),
                names,
                floats_of(normalizer["mean"]) if is_known else None,
                floats_of(normalizer["std"]) if is_known else None,
                None if fills is None else floats_of(fills),
                tuple(document.get("warnings", ())),
                etag,
                fetched_at,
            )
            self._check(payload, tuple(normalizer["feature_names"]) if is_known else names)
        except UNREADABLE as error:
            raise BadAnswer(f"{self.path} is no payload of a version: {type(error).__name__}: {error}.") from error
        return payload

    def _check(self, payload: VersionPayload, normalized: tuple[str, ...]) -> None:
        names, metadata = payload.feature_names, payload.metadata
        means, stds = payload.mean_values, payload.std_values
        columns = (means, stds, payload.fill_values)
        lengths = [len(names), *(len(names if column is None else column) for column in columns)]
        numbers = [number for column in columns for number in column or ()]
        threshold = metadata.get("prediction_threshold")
        is_text = isinstance(payload.model, str) and payload.model != ""
        digest = hashlib.sha256(payload.model.encode("utf-8")).hexdigest() if is_text else ""
        rules = {
            f"it is of model {payload.model_name!r}": self.model in (payload.model_name, *metadata["names"]),
            f"it is of version {payload.version!r}": _bare(payload.version) == _bare(self.version),
            f"its model_format is {payload.model_format!r}": payload.model_format in MODEL_FORMATS,
            "model is not text": is_text,
            "model is not the text that model_sha256 names": digest == metadata["model_sha256"],
            "feature_names names a feature twice, or none": 0 < len(names) == len(set(names)),
            "num_features is not the number of feature_names": metadata["num_features"] == len(names),
            "normalizer does not have the names of feature_names in their order": normalized == names,
            f"normalizer has names, means, stds and fill values of lengths {lengths}": len(set(lengths)) == 1,
            "a number of the normalizer is not finite": all(map(math.isfinite, numbers)),
            "a std is below 0": all(value >= 0 for value in stds or ()),
            "normalizer is null, and it is no training run": means is not None or metadata.get("layout") == "runs",
            f"prediction_threshold is {threshold!r}": threshold is None or _is_share(threshold),
        }
        check_rules(rules, self.path, "version")


class WantedDeployment(NamedTuple):
    """Which version of a model is deployed."""

    model: str

    @property
    def path(self) -> str:
        """Where the server says it, below the base URL."""
        return f"/api/models/{quote(self.model, safe='')}/deployed"

    @property
    def readable(self) -> str:
        """How the file of the copy begins."""
        return self.model

    @property
    def key(self) -> list[str | None]:
        """What tells it from all else of its server."""
        return ["deployed", self.model]

    @property
    def suffix(self) -> str:
        """How the file of the copy ends."""
        return ".deployed"

    def header(self, kept: DeployedVersion) -> dict[str, str | None]:
        """Return what the file of the copy says of it."""
        return {"model": self.model, "version": kept.version}

    def parse(self, body: bytes | bytearray, etag: str, fetched_at: datetime) -> DeployedVersion:
        """Return what a body says; raise `BadAnswer` where it does not say that."""
        try:
            record = json.loads(body)
            name, version, since = record["model_name"], record["model_version"], record["deployment"]["since"]
            if record["status"] != "deployed" or not all(isinstance(text, str) for text in (name, version, since)):
                raise ValueError(f"status is {record['status']!r}, version {version!r}")
        except UNREADABLE as error:
            raise BadAnswer(
                f"{self.path} does not say what is deployed: {type(error).__name__}: {error}. Check base_url."
            ) from error
        return DeployedVersion(name, version, since, record, etag, fetched_at)


def _is_share(value: object) -> bool:
    number = number_of(value)
    return number is not None and 0 <= number <= 1


def _bare(version: str) -> str:
    return version.removeprefix("v")
