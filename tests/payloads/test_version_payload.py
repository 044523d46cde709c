"""Bytes of a version's payload: golden form, and keys by content."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.versions import (
    BoosterText,
    ModelContent,
    Normalizer,
    Version,
    VersionLayout,
    VersionMetadata,
    VersionNumber,
)
from mm_core.payloads import NormalizerOverrides, VersionPayloadParts, build_version_payload

MODEL = ModelContent("ab" * 32, 5)
NORMALIZER = Normalizer(("f1", "f2"), (0.5, 1.0), (2.0, 0.0), (0.25, 0.0))
VERSION = Version(
    "early-signal", "1.1.0", VersionNumber(1, 1, 0), VersionLayout.VERSIONS, "early-signal/1.1.0",
    (ModelFile(FileRole.BOOSTER_TEXT, "early-signal/1.1.0/model.txt", 5, 1, 1, 1),), "2025-10-09", (), "2026-01-01",
    MODEL, BoosterText(("f1", "f2"), "binary sigmoid:1", 1, 3, 9, (1, 2), (0.5, 0.25)), NORMALIZER,
    VersionMetadata(classes=("DOWN", "UP"), algorithm="LightGBM", training_examples=7),
)  # fmt: skip
PARTS = VersionPayloadParts(
    "early-signal",
    ("early-signal", "m"),
    "/roots/m",
    VERSION,
    MODEL,
    ("f1", "f2"),
    NORMALIZER,
    ("A warning.",),
    NormalizerOverrides(("f2",), 3, "2026-02-03"),
)

GOLDEN = (
    '{"ok":true,"message":"ok","payload":{"model_format":"lightgbm-text","model":"tree\\né","feature_names":["f1","f2"],'
    '"normalizer":{"feature_names":["f1","f2"],"mean":[0.5,1.0],"std":[2.0,0.0],"fill_values":[0.25,0.0]},'
    '"metadata":{"model_name":"early-signal","names":["early-signal","m"],"model_version":"v1.1.0",'
    '"version_id":"1.1.0","layout":"versions","created_at":"2025-10-09","model_sha256":"' + "ab" * 32 + '",'
    '"model_size_bytes":5,"model_path":"/roots/m/early-signal/1.1.0/model.txt","source_root_path":"/roots/m",'
    '"scanned_at":"2026-01-01","objective":"binary sigmoid:1","num_features":2,"classes":["DOWN","UP"],'
    '"model_type":null,"algorithm":"LightGBM","training_date":null,"training_examples":7,'
    '"validation_examples":null,"validation_accuracy":null,"normalizer_revision":3,'
    '"normalizer_updated_at":"2026-02-03","normalizer_overridden":["f2"]},"warnings":["A warning."]}}'
)


def test_the_bytes_of_a_versions_payload_are_these() -> None:
    assert build_version_payload(PARTS, "tree\né".encode()).decode() == GOLDEN


def test_the_models_text_is_handed_on_byte_for_byte_or_not_at_all() -> None:
    text = 'tree\r\n\tparameters "quoted" \\ \x7f\u2028é\n'
    assert json.loads(build_version_payload(PARTS, text.encode()))["payload"]["model"] == text
    with pytest.raises(UnicodeDecodeError):
        build_version_payload(PARTS, b"tree\n\xff")


def test_the_key_changes_with_every_part_and_with_nothing_else() -> None:
    others = [
        replace(PARTS, model_name="late-signal"),
        replace(PARTS, names=("early-signal",)),
        replace(PARTS, root_path="/roots/n"),
        replace(PARTS, model=replace(MODEL, sha256="cd" * 32)),
        replace(PARTS, feature_names=("f2", "f1")),
        replace(PARTS, normalizer=replace(NORMALIZER, std=(2.0, 1e-300))),
        replace(PARTS, normalizer=replace(NORMALIZER, fill_values=None)),
        replace(PARTS, version=replace(VERSION, metadata=VersionMetadata(classes=("UP", "DOWN")))),
        replace(PARTS, warnings=()),
    ]
    assert len({PARTS.key, *(parts.key for parts in others)}) == 1 + len(others)
    assert replace(PARTS, version=replace(VERSION, evaluation=None)).key == PARTS.key
