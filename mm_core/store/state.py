"""The parsed tables of `registry.json` at one revision."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from mm_core.domain.models import DeletedModel, RegisteredModel
from mm_core.errors import InvalidName, StoreCorrupt
from mm_core.store.config_files import ConfigRow, ConfigShards
from mm_core.store.documents import model_value
from mm_core.store.storage import REMEDY, Tables, parse_tables

OLD_CONFIGS, OLD_REVISIONS = "factor_configs", "factor_config_revisions"
"""Tables of the formats 1 and 2, which held configs and revisions themselves."""


class State:
    """Tables of one revision, indexed when first asked for, never changed."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    @cached_property
    def revision(self) -> int:
        """The number of commits so far."""
        return int(self.tables.get("meta", {}).get("1", {}).get("revision", 0))

    @cached_property
    def models(self) -> dict[str, RegisteredModel]:
        """Registrations by name, in the order of their names."""
        values = (model_value(document) for document in self._rows("models"))
        return {model.name: model for model in sorted(values, key=lambda model: model.name)}

    @cached_property
    def deleted_models(self) -> tuple[DeletedModel, ...]:
        """The last registrations that were deleted, oldest first."""
        return tuple(DeletedModel(**document) for document in self._rows("deleted_models"))

    @cached_property
    def config_shards(self) -> dict[str, ConfigShards]:
        """Where each model's factor configs are."""
        return self._shards("config_shards")

    @cached_property
    def normalizer_shards(self) -> dict[str, ConfigShards]:
        """Where what is set for the versions of each family is; none before format 5."""
        return self._shards("normalizer_shards")

    @cached_property
    def families(self) -> dict[str, str]:
        """The file of each family's index, in the order of the families' names; none before format 4."""
        return {document["name"]: document["file"] for document in self._rows("families")}

    @cached_property
    def old_configs(self) -> dict[str, dict[str, ConfigRow]]:
        """Where each symbol (casefolded) of each model stands in a file of the formats 1 and 2; else empty."""
        revisions: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for document in sorted(self._rows(OLD_REVISIONS), key=lambda document: int(document["number"])):
            revisions.setdefault(_key_of(document), []).append(document)
        found: dict[str, dict[str, ConfigRow]] = {}
        for document in self._rows(OLD_CONFIGS):
            model_name, symbol = _key_of(document)
            standing = {
                "values": document["values"],
                "revisions": revisions.get((model_name, symbol), []),
                "previous": None,
            }
            found.setdefault(model_name, {})[symbol] = ConfigRow(
                document["symbol"], document["revision"], document["created_at"], document["updated_at"], standing
            )
        return found

    def _shards(self, table: str) -> dict[str, ConfigShards]:
        return {
            document["model_name"]: ConfigShards(
                document["count"],
                document["symbols"],
                {int(number): file for number, file in document["files"].items()},
            )
            for document in self._rows(table)
        }

    def _rows(self, table: str) -> list[dict[str, Any]]:
        return list(self.tables.get(table, {}).values())


def checked_state(data: bytes, path: Path) -> State:
    """Return the state in the bytes of a `registry.json`; raise `StoreCorrupt` or `StoreTooNew`, naming it."""
    state = State(parse_tables(data, path))
    try:
        _ = state.revision, state.models, state.deleted_models, state.config_shards, state.old_configs, state.families
        _ = state.normalizer_shards
    except (KeyError, TypeError, ValueError, AttributeError, InvalidName) as error:
        raise StoreCorrupt(
            f"'{path}' is damaged: it holds no state ({type(error).__name__}: {error}). It was left as it is. {REMEDY}"
        ) from error
    return state


def shards_document(model_name: str, shards: ConfigShards) -> dict[str, Any]:
    """Return where the configs of a model or a family are as a document."""
    return {
        "model_name": model_name,
        "count": shards.count,
        "symbols": shards.symbols,
        "files": {str(number): file for number, file in shards.files.items()},
    }


def _key_of(document: Mapping[str, Any]) -> tuple[str, str]:
    return (document["model_name"], document["symbol"].casefold())
