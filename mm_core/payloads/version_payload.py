"""The payload of a version: a model, its features in column order and their normalization, as one body of bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mm_core import strict_json
from mm_core.domain.files import FileRole
from mm_core.domain.versions import ModelContent, Normalizer, Version, VersionLayout

VERSION_FORMAT = 1
"""Grows with every change of the bytes that equal parts give, so that stored bodies of older versions are not used."""


@dataclass(frozen=True, slots=True)
class NormalizerOverrides:
    """Of which features people set mean and variance, in which revision (0: never) and when, ISO 8601 UTC."""

    features: tuple[str, ...] = ()
    revision: int = 0
    updated_at: str | None = None


NOTHING_SET = NormalizerOverrides()


@dataclass(frozen=True, slots=True)
class VersionPayloadParts:
    """Everything that a version's payload is made of; ``key`` names the content.

    ``model_name`` is the family's, ``names`` all under which it may be asked for. ``feature_names`` are those of the
    model's columns in their order, and ``normalizer`` is in the same one, None where a run has none that can be told;
    ``warnings`` are sentences about both.
    """

    model_name: str
    names: tuple[str, ...]
    root_path: str
    version: Version
    model: ModelContent
    feature_names: tuple[str, ...]
    normalizer: Normalizer | None
    warnings: tuple[str, ...]
    overrides: NormalizerOverrides = NOTHING_SET

    @property
    def key(self) -> str:
        """A digest of the parts: equal keys mean equal bytes. The model's text stands in by its own digest."""
        document = strict_json.encode(self.document(self.model.sha256))
        return hashlib.sha256(b"version payload %d\n" % VERSION_FORMAT + document).hexdigest()

    def document(self, model: str) -> dict[str, Any]:
        """Return the body as plain values, with ``model`` in the place of the model."""
        return {
            "ok": True,
            "message": "ok",
            "payload": {
                "model_format": self.model.model_format,
                "model": model,
                "feature_names": self.feature_names,
                "normalizer": normalizer_document(self.normalizer) if self.normalizer is not None else None,
                "metadata": self._metadata(),
                "warnings": self.warnings,
            },
        }

    def _metadata(self) -> dict[str, Any]:
        version, metadata, booster = self.version, self.version.metadata, self.version.booster
        texts = (file.path for file in version.files if file.role is FileRole.BOOSTER_TEXT)
        source = self.model.source or next(texts, None)
        found = {
            "model_name": self.model_name,
            "names": self.names,
            "model_version": version.name,
            "version_id": version.version_id,
            "layout": version.layout,
            "created_at": version.created_at,
            "model_sha256": self.model.sha256,
            "model_size_bytes": self.model.size_bytes,
            "model_path": str(PurePath(self.root_path) / source) if source is not None else None,
            "source_root_path": self.root_path,
            "scanned_at": version.read_at,
            "objective": booster.objective if booster is not None else None,
            "num_features": len(self.feature_names),
            "classes": version.declared_classes,
            "model_type": metadata.model_type if metadata is not None else None,
            "algorithm": metadata.algorithm if metadata is not None else None,
            "training_date": metadata.training_date if metadata is not None else None,
            "training_examples": metadata.training_examples if metadata is not None else None,
            "validation_examples": metadata.validation_examples if metadata is not None else None,
            "validation_accuracy": metadata.validation_accuracy if metadata is not None else None,
            "normalizer_revision": self.overrides.revision,
            "normalizer_updated_at": self.overrides.updated_at,
            "normalizer_overridden": self.overrides.features,
        }
        return found | self._of_run() if version.layout is VersionLayout.RUNS else found

    def _of_run(self) -> dict[str, Any]:
        """Return what the metadata of a run says of the model, in the place of what a version's does."""
        run, name = self.version.run, self.version.run_model
        if run is None or name is None:
            return {"run_model": name, "prediction_threshold": None, "performance_metrics": {}, "ensemble_weight": None}
        config, metrics = run.model_configs.get(name, {}), run.performance_metrics.get(name, {})
        kind = config.get("model_type")
        return {
            "model_type": kind if isinstance(kind, str) else None,
            "training_date": run.timestamp,
            "validation_accuracy": metrics.get("accuracy"),
            "run_model": name,
            "prediction_threshold": run.prediction_threshold,
            "performance_metrics": metrics,
            "ensemble_weight": run.ensemble_weights.get(name),
        }


def build_version_payload(parts: VersionPayloadParts, model: bytes) -> bytes:
    """Return the body for ``parts`` with the model's text in place; ``UnicodeDecodeError`` where that is no UTF-8."""
    return strict_json.encode(parts.document(model.decode("utf-8")))


def normalizer_document(normalizer: Normalizer) -> dict[str, Any]:
    """Return ``{feature_names, mean, std, fill_values}``."""
    return {
        "feature_names": normalizer.feature_names,
        "mean": normalizer.mean,
        "std": normalizer.std,
        "fill_values": normalizer.fill_values,
    }
