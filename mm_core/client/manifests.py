"""What a model has for bots, and what changed of it: read from the server's answers, and checked to be that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from .asking import digest_of
from .errors import BadAnswer

_REVISION = re.compile(r"[0-9]{1,15}")


NO_NAMES = frozenset({"", ".", ".."})
"""What would change the path of a URL."""


class Entry(NamedTuple):
    """A symbol of a model; ``digest`` is its payload's, None while the server has still to make that.

    One that is not ready cannot be asked for.
    """

    symbol: str
    is_ready: bool
    digest: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The entries of a model by casefolded symbol, in the server's order, true for a revision of its store."""

    model: str
    etag: str
    revision: int
    entries: Mapping[str, Entry]


def manifest_path(model: str) -> str:
    """Return where a server has the manifest of a model, below the base URL."""
    return f"/api/models/{quote(model, safe='')}/manifest"


def changes_path(model: str, since: int, wait_seconds: int) -> str:
    """Return where a server tells what changed after a revision, below the base URL."""
    return f"/api/models/{quote(model, safe='')}/changes?since={since}&wait={wait_seconds}"


def parse_revision(text: str) -> int | None:
    """Return the revision that a header holds; None where it holds none."""
    return int(text) if _REVISION.fullmatch(text) else None


def parse_manifest(body: bytes | bytearray, etag: str, revision: str, model: str) -> Manifest:
    """Return the manifest that ``body`` holds; raise `BadAnswer` where it is none of ``model``."""
    try:
        document = json.loads(body)
        number = parse_revision(revision)
        if document["model_name"] != model or number is None:
            raise ValueError(f"it is of model {document['model_name']!r} at revision {revision!r}")
        entries: dict[str, Entry] = {}
        for item in document["items"]:
            entry = _entry(item)
            folded = entry.symbol.casefold()
            # Several groups of one symbol: the server refuses such a pull, and says which groups there are.
            entries[folded] = entry if folded not in entries else Entry(entry.symbol, True, None)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        path = manifest_path(model)
        raise BadAnswer(f"{path} is not a manifest: {type(error).__name__}: {error}. Check base_url.") from error
    return Manifest(model, etag, number, entries)


def _entry(item: Mapping[str, object]) -> Entry:
    symbol, is_ready, etag = item["symbol"], item["payload_ready"], item["etag"]
    digest = digest_of(etag) if isinstance(etag, str) else None
    if not isinstance(symbol, str) or not isinstance(is_ready, bool):
        raise ValueError(f"symbol {symbol!r} with payload_ready {is_ready!r}")
    if digest is None and etag is not None:
        raise ValueError(f"symbol {symbol!r} with etag {etag!r}")
    symbol.encode("utf-8")
    return Entry(symbol, is_ready and symbol not in NO_NAMES, digest)


def may_have_changed(body: bytes | bytearray, path: str) -> bool:
    """Return whether something may have changed; raise `BadAnswer` where ``body`` is no answer to that."""
    try:
        symbols = json.loads(body)["symbols"]
        if symbols is not None and not isinstance(symbols, list):
            raise ValueError(f"symbols is {type(symbols).__name__}")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadAnswer(f"{path} does not tell changes: {type(error).__name__}: {error}. Check base_url.") from error
    return symbols is None or len(symbols) > 0  # null: the server's memory does not reach back so far
