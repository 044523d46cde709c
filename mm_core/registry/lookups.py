"""Names that callers use, resolved against one view of the store."""

from __future__ import annotations

import shlex

from mm_core.domain.groups import Group, Scan, preferred_group
from mm_core.domain.models import RegisteredModel
from mm_core.errors import AmbiguousSymbol, GroupNotFound, ModelNotFound, ScanMissing, SymbolNotFound
from mm_core.store import StoreView


def require_model(view: StoreView, name: str) -> RegisteredModel:
    """Return a registration; raise `ModelNotFound`."""
    model = view.model(name)
    if model is None:
        known = ", ".join(model.name for model in view.models()[:10]) or "none yet"
        raise ModelNotFound(
            f"No model '{name[:128]}' is registered (known: {known}). Register it with POST /api/models."
        )
    return model


def require_scan(view: StoreView, name: str) -> tuple[RegisteredModel, Scan]:
    """Return a registration and its scan; raise `ModelNotFound`, and `ScanMissing` for one that is not on disk."""
    model = require_model(view, name)
    scan = view.scan(name)
    if scan is None:
        raise scan_missing(model)
    return model, scan


def listed_models(view: StoreView) -> list[tuple[RegisteredModel, Scan]]:
    """Return every registration with its scan; in a list, one that is not on disk counts as empty."""
    return [(model, view.scan(model.name) or Scan(model.created_at)) for model in view.models()]


def scan_missing(model: RegisteredModel) -> ScanMissing:
    """Return the error about a model of which nobody knows what its root holds until it is read again."""
    return ScanMissing(
        f"What the last refresh of model '{model.name}' found is not on disk any more, or damaged: nobody knows what "
        f"it has until '{model.root_path}' is read again. Ask again in a moment. If it goes on, see that the directory "
        f"is there and refresh the model: `python -m mm_core refresh {shlex.quote(model.name)}`."
    )


def check_all_scans(view: StoreView) -> None:
    """Raise `ScanMissing` where a scan is not on disk: what is found nowhere else may be in its root."""
    for model in view.models():
        if view.scan(model.name) is None:
            raise scan_missing(model)


def find_group(scan: Scan, model_name: str, symbol: str, group_key: str | None) -> Group:
    """Return the group of ``symbol`` that ``group_key`` names, or the one that stands for the symbol.

    Raises `SymbolNotFound` and `GroupNotFound`.
    """
    groups = _groups_of(scan, model_name, symbol)
    if group_key is None:
        return preferred_group(groups)
    return _named(groups, symbol, group_key)


def find_only_group(scan: Scan, model_name: str, symbol: str, group_key: str | None) -> Group:
    """Return the group of ``symbol`` where there can be no doubt; raise `AmbiguousSymbol` where there is."""
    groups = _groups_of(scan, model_name, symbol)
    if group_key is not None:
        return _named(groups, symbol, group_key)
    if len(groups) > 1:
        listed = ", ".join(group.group_key for group in groups)
        raise AmbiguousSymbol(
            f"Symbol '{symbol}' of model '{model_name}' has {len(groups)} groups ({listed}). "
            "Keep one below the root and refresh, or ask for ?group_key=."
        )
    return groups[0]


def _groups_of(scan: Scan, model_name: str, symbol: str) -> tuple[Group, ...]:
    groups = scan.groups_of(symbol)
    if not groups:
        known = ", ".join(scan.symbols()[:10]) or "none"
        raise SymbolNotFound(
            f"No symbol '{symbol[:128]}' among {len(scan.symbols())} of model '{model_name}' (such as {known}). "
            "Refresh the model or check the symbol."
        )
    return groups


def _named(groups: tuple[Group, ...], symbol: str, group_key: str) -> Group:
    for group in groups:
        if group.group_key == group_key:
            return group
    listed = ", ".join(group.group_key for group in groups)
    raise GroupNotFound(f"No group '{group_key[:256]}' of symbol '{symbol}' (it has {listed}). Leave group_key out.")
