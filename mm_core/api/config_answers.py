"""What is set for a subject, as answers: shown with its revision, and changed on the condition of If-Match."""

from __future__ import annotations

import hashlib

from bottle import HTTPResponse

from mm_core import strict_json
from mm_core.api.answers import document_answer, result_answer
from mm_core.api.incoming import header, json_body
from mm_core.api.negotiation import if_match_allows
from mm_core.domain.configs import FactorConfig
from mm_core.errors import RevisionConflict
from mm_core.payloads import BoundedCache, Coding, entity_tag, factor_config_document
from mm_core.registry.configs import Configs, CurrentConfig

REVISION = "x-factor-config-revision"


def config_answer(current: CurrentConfig, cache: BoundedCache) -> HTTPResponse:
    """Answer a GET with what is set now."""
    return document_answer(factor_config_document(current.config), cache, {REVISION: str(current.record.revision)})


def saved_answer(configs: Configs, model_name: str, name: str, group_key: str | None = None) -> HTTPResponse:
    """Save what the request's body says for a subject, and answer with it; raises like `Configs.save`."""
    document = json_body()
    current = configs.get(model_name, name, group_key)
    condition = header("If-Match")
    if not if_match_allows(condition, _digest(current.config)):
        raise RevisionConflict(
            f"What is set for '{current.config.subject}' is not what If-Match names: it is at revision "
            f"{current.record.revision}. Read it again and repeat the change; nothing was stored."
        )
    saved = configs.save(
        model_name,
        name,
        document,
        by="api",
        group_key=group_key,
        expected_revision=current.record.revision if condition is not None else None,
        expected_files=current.config.defaults.digest if condition is not None else None,
    )
    headers = {"ETag": entity_tag(_digest(saved.config), Coding.IDENTITY), REVISION: str(saved.record.revision)}
    return result_answer(factor_config_document(saved.config), headers)


def _digest(config: FactorConfig) -> str:
    return hashlib.sha256(strict_json.encode(factor_config_document(config))).hexdigest()
