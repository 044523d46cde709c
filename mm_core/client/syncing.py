"""All symbols of a model at once: what the manifest names, pulled where the local copy is another one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from .asking import Server, digest_of
from .errors import NoLocalCopy, PayloadError, PayloadNotFound, ServerAway
from .listening import SHORTEST_PAUSE_SECONDS, wait_for_change
from .looks import Looks
from .manifests import Entry, Manifest, manifest_path, parse_manifest, parse_revision
from .payloads import Wanted
from .pulling import LOSSES_IN_A_ROW, Losses, Pulls
from .synced import Synced

_LOG = logging.getLogger("mm_core.client")
_LARGEST_MANIFEST = 64 << 20


class Syncing:
    """Keeps the local copies of one model current, and remembers the manifest that it saw last."""

    def __init__(self, model: str, server: Server, pulls: Pulls) -> None:
        self._model, self._server, self._pulls = model, server, pulls
        self._copies = pulls.copies
        self._turn = threading.Lock()
        self._manifest: Manifest | None = None
        self._looks = Looks()
        self._told: dict[str, str] = {}  # digests of the copies as the last sync left them: others may replace them
        # failed when asked for last: first again, they could have the server count as lost
        self._late: set[str] = set()

    def sync(self, names: Mapping[str, str] | None, workers: int, wait: float) -> Synced:
        """Bring copies up to date; see `PayloadClient.sync`. ``names`` are symbols as given, by casefolded symbol."""
        failed, was_stale = self._looks.failed(), self._looks.are_stale(names)
        may_wait = wait > 0 and self._looks.have_seen(names)
        while True:
            if may_wait:
                wait = self._rest(names, wait)
            began = time.monotonic()
            synced = self._look(names, workers, is_patient=not (may_wait and self._looks.are_stale(names)))
            wait -= time.monotonic() - began
            if not may_wait or wait <= 0 or synced.is_news(was_stale, failed):
                return synced
            pause = min(wait, SHORTEST_PAUSE_SECONDS)
            self._server.pause(pause)
            wait -= pause

    def _rest(self, names: Mapping[str, str] | None, wait: float) -> float:
        """Return what is left of ``wait`` when there may be news, or when it is time to try again what is open."""
        if self._lacks_copy(names):
            return wait
        due_in = self._looks.due_in(names)
        if not self._looks.are_stale(names):
            return wait_for_change(self._server, self._model, self._looks.revision(names), wait, due_in)
        pause = min(wait, max(due_in, 0.0))
        if pause > 0:
            self._server.pause(pause)
        return wait - pause

    def _lacks_copy(self, names: Mapping[str, str] | None) -> bool:
        """Return whether somebody removed or damaged a copy since the last look."""
        failed = self._looks.failed()
        ready = [entry for entry in self._entries(self._manifest, names) if entry.is_ready]
        well = [Wanted(self._model, entry.symbol) for entry in ready if not failed.get(entry.symbol.casefold())]
        return any(self._copies.whole(wanted) is None for wanted in well)

    def _look(self, names: Mapping[str, str] | None, workers: int, *, is_patient: bool) -> Synced:
        with self._turn:
            try:
                synced = self._bring_all_up_to_date(names, workers, is_patient)
            except PayloadError as error:
                self._looks.note_error(names, error)
                raise
            self._looks.note(synced, of_all=names is None)
            return synced

    def _bring_all_up_to_date(self, names: Mapping[str, str] | None, workers: int, is_patient: bool) -> Synced:
        self._manifest = self._manifest or self._copies.read_manifest(self._model)
        try:
            self._manifest = self._ask_manifest(self._manifest, is_patient)
        except ServerAway as away:
            return self._stand_in(names, away)
        except PayloadNotFound as error:
            if error.is_withdrawal:
                self._copies.withdraw_model(self._model)
                self._manifest = None
                self._looks.forget()
                self._told.clear()
            raise
        return self._pull_all(self._manifest, names, workers)

    def _ask_manifest(self, known: Manifest | None, is_patient: bool) -> Manifest:
        path = manifest_path(self._model)
        seen = self._copies.seen_manifest(self._model)
        etag = known.etag if known is not None else None
        answer = self._server.ask(path, etag, _LARGEST_MANIFEST, is_patient=is_patient)
        revision = answer.headers.get("x-store-revision", "")
        if answer.body is None:
            assert known is not None
            number = parse_revision(revision)
            return known if number is None else replace(known, revision=number)
        manifest = parse_manifest(answer.body, answer.etag, revision, self._model)
        self._copies.keep_manifest(manifest, answer.body, seen)
        return manifest

    def _pull_all(self, manifest: Manifest, names: Mapping[str, str] | None, workers: int) -> Synced:
        withdrawn = self._withdraw_others(manifest)
        entries = self._entries(manifest, names)
        in_turn = sorted(entries, key=lambda entry: entry.symbol in self._late)
        losses = Losses(max(workers, LOSSES_IN_A_ROW))
        pool = ThreadPoolExecutor(max(1, min(workers, len(entries))), "sync")
        try:
            futures = {entry.symbol: pool.submit(self._tend, entry, losses) for entry in in_turn}
            outcomes = {entry.symbol: futures[entry.symbol].result() for entry in entries}
        finally:
            pool.shutdown(cancel_futures=True)
        return Synced(
            self._model,
            manifest.revision,
            tuple(symbol for symbol, outcome in outcomes.items() if outcome.has_changed),
            tuple(symbol for symbol, outcome in outcomes.items() if not outcome.has_changed and outcome.error is None),
            tuple(sorted(withdrawn | {symbol for symbol, outcome in outcomes.items() if outcome.has_lost_copy})),
            {symbol: outcome.error for symbol, outcome in outcomes.items() if outcome.error is not None},
        )

    def _entries(self, manifest: Manifest | None, names: Mapping[str, str] | None) -> list[Entry]:
        if names is None and manifest is None:
            return [Entry(copy.symbol, True, None) for copy in self._copies.of_model(self._model) if not copy.group_key]
        if names is None and manifest is not None:
            return list(manifest.entries.values())
        known = manifest.entries if manifest is not None else {}
        return [known.get(folded, Entry(name, False, None)) for folded, name in (names or {}).items()]

    def _withdraw_others(self, manifest: Manifest) -> set[str]:
        """Remove the copies of symbols that bots cannot be given any more, and return these."""
        ready = [Wanted(self._model, entry.symbol) for entry in manifest.entries.values() if entry.is_ready]
        here = {wanted.symbol.casefold() for wanted in ready}
        withdrawn = {}
        for wanted in self._copies.of_model(self._model, {self._copies.file(wanted) for wanted in ready}):
            if wanted.symbol.casefold() not in here:
                with self._pulls.turn(wanted):
                    self._copies.withdraw(wanted, self._copies.seen(wanted))
                withdrawn[wanted.symbol.casefold()] = wanted.symbol
        for symbol in [symbol for symbol in self._told if symbol.casefold() not in here]:
            del self._told[symbol]
            withdrawn[symbol.casefold()] = symbol  # also where another process removed the copy
        return set(withdrawn.values())

    def _tend(self, entry: Entry, losses: Losses) -> _Outcome:
        wanted = Wanted(self._model, entry.symbol)
        with self._pulls.turn(wanted):
            whole = self._copies.whole(wanted)
            before = whole.digest if whole is not None else None
            try:
                now = self._bring_up_to_date(wanted, entry, before, losses)
                told = self._told.get(wanted.symbol, before)
                self._told[wanted.symbol] = now
                return _Outcome(now != before or now != told)
            except PayloadError as error:
                self._pulls.doubt(wanted, str(error))
                has_lost_copy = whole is not None and self._copies.whole(wanted) is None
                if has_lost_copy:
                    self._told.pop(wanted.symbol, None)
                return _Outcome(False, _without_frames(error), has_lost_copy)

    def _bring_up_to_date(self, wanted: Wanted, entry: Entry, before: str | None, losses: Losses) -> str:
        """Return the digest of the copy now; ``before`` is what it was, None where there is none."""
        if not entry.is_ready:
            raise _not_served(wanted)
        if before is not None and before == entry.digest and self._pulls.confirm(wanted, before):
            return before
        losses.require_server()
        try:
            payload = self._pulls.pull(wanted)
        except PayloadError as error:
            self._late.add(entry.symbol)
            losses.note(error)
            raise
        self._late.discard(entry.symbol)
        losses.note(None)
        pulled = digest_of(payload.etag)  # not always what the manifest names: the server may have a newer one by now
        kept = self._copies.whole(wanted)
        if kept is None or (kept.digest == before and pulled != before):
            raise NoLocalCopy(
                f"{wanted.path} was fetched, but no local copy could be kept in '{self._copies.directory}'. "
                "Make room there, or make it writable."
            )
        return kept.digest

    def _stand_in(self, names: Mapping[str, str] | None, away: ServerAway) -> Synced:
        standing: dict[str, datetime] = {}
        failed: dict[str, PayloadError] = {}
        for entry in self._entries(self._manifest, names):
            wanted = Wanted(self._model, entry.symbol)
            self._pulls.doubt(wanted, str(away))
            whole = self._copies.whole(wanted)
            problem = self._pulls.too_old(whole.fetched_at) if whole is not None else "It has no whole local copy."
            if whole is not None and not problem:
                standing[entry.symbol] = whole.fetched_at
            elif self._manifest is not None and not entry.is_ready:
                failed[entry.symbol] = _not_served(wanted)
            else:
                failed[entry.symbol] = ServerAway(f"{away} {wanted.path}: {problem}")
        if not standing:
            first = str(next(iter(failed.values()), away))
            raise ServerAway(
                f"{first} None of '{self._model}' stands in, of {len(failed)} that should.", retry_in=away.retry_in
            ) from away
        age = datetime.now(UTC) - min(standing.values())
        _LOG.warning("%s %d local copies of '%s', up to %s old, stand in.", away, len(standing), self._model, age)
        revision = self._manifest.revision if self._manifest is not None else 0
        told = ServerAway(str(away), retry_in=away.retry_in)
        return Synced(self._model, revision, (), tuple(standing), (), failed, told)


class _Outcome(NamedTuple):
    has_changed: bool
    error: PayloadError | None = None
    has_lost_copy: bool = False


def _not_served(wanted: Wanted) -> PayloadNotFound:
    return PayloadNotFound(
        f"The manifest of model '{wanted.model}' has no payload of symbol '{wanted.symbol}'. Check the symbol, and "
        "the model's findings on the server."
    )


def _without_frames(error: PayloadError) -> PayloadError:
    """Return an error that does not keep the bodies alive which its frames hold."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
