"""Bytes for bots: how a payload is made, encoded and kept at hand."""

from mm_core.payloads.cache import BoundedCache, CacheState
from mm_core.payloads.encodings import CODINGS, Coding, compress, decompress_gzip, entity_tag
from mm_core.payloads.payload import PayloadParts, build_payload, dimension_factors, factor_config_document
from mm_core.payloads.version_payload import (
    NOTHING_SET,
    NormalizerOverrides,
    VersionPayloadParts,
    build_version_payload,
    normalizer_document,
)

__all__ = [
    "CODINGS",
    "NOTHING_SET",
    "BoundedCache",
    "CacheState",
    "Coding",
    "NormalizerOverrides",
    "PayloadParts",
    "VersionPayloadParts",
    "build_payload",
    "build_version_payload",
    "compress",
    "decompress_gzip",
    "dimension_factors",
    "entity_tag",
    "factor_config_document",
    "normalizer_document",
]
