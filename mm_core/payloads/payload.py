"""The payload: a model, its factors in dimension order and their normalization, as one body of bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mm_core import strict_json
from mm_core.domain.configs import FactorConfig
from mm_core.domain.groups import Group

FORMAT = 1
"""Grows with every change of the bytes that equal parts give, so that stored bodies of older versions are not used."""


@dataclass(frozen=True, slots=True)
class PayloadParts:
    """Everything that a payload is made of, taken from one revision of the store; ``key`` names the content."""

    model_name: str
    root_path: str
    group: Group
    config: FactorConfig
    config_updated_at: str

    @property
    def key(self) -> str:
        """A digest of the parts: equal keys mean equal bytes. The model's text stands in by its own digest."""
        sha256 = self.group.model.sha256 if self.group.model is not None else ""
        return hashlib.sha256(b"payload %d\n" % FORMAT + strict_json.encode(self.document(sha256))).hexdigest()

    def document(self, model_json: str) -> dict[str, Any]:
        """Return the body as plain values, with ``model_json`` in the place of the model."""
        return {
            "ok": True,
            "message": "ok",
            "payload": {
                "model_json": model_json,
                "metadata": self._metadata(),
                "dim_factors": dimension_factors(self.group),
                "factor_config": factor_config_document(self.config),
            },
        }

    def _metadata(self) -> dict[str, Any]:
        group, training = self.group, self.group.training
        return {
            "model_name": self.model_name,
            "symbol": group.symbol,
            "group_key": group.group_key,
            "return_name": group.return_name,
            "feature_dim": group.feature_dim,
            "train_window_start_ts": training.window_start_ts,
            "train_window_end_ts": training.window_end_ts,
            "train_start_date": training.start_date,
            "train_end_date": training.end_date,
            "train_samples": training.samples,
            "train_time_sec": training.seconds,
            "model_json_path": str(PurePath(self.root_path) / group.model.source) if group.model else None,
            "model_json_sha256": group.model.sha256 if group.model else None,
            "source_root_path": self.root_path,
            "scanned_at": group.read_at,
            "factor_config_updated_at": self.config_updated_at,
        }


def build_payload(parts: PayloadParts, model_json: bytes) -> bytes:
    """Return the body for ``parts`` with the model's JSON text in place."""
    return strict_json.encode(parts.document(model_json.decode("utf-8")))


def dimension_factors(group: Group) -> list[dict[str, Any]]:
    """Return ``[{dim, factor_name, kendall_tau}]`` in model dimension order."""
    pairs = zip(group.factors.names, group.factors.taus, strict=True)
    return [{"dim": dim, "factor_name": name, "kendall_tau": tau} for dim, (name, tau) in enumerate(pairs)]


def factor_config_document(config: FactorConfig) -> dict[str, Any]:
    """Return ``{subject: {factor_names, mean_values, variance_values}}``; the subject is a symbol or a version."""
    return {
        config.subject: {
            "factor_names": config.factor_names,
            "mean_values": config.mean_values,
            "variance_values": config.variance_values,
        }
    }
