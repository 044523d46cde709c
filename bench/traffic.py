"""Everybody who uses the server in an endurance run: bots of several kinds, an editor of configs, a refresh loop."""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
import traceback
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import peers
from edits import Edits, values_of
from generations import Generations, Trainer
from pairing import Checker, Shown, WrongAnswer

sys.path.insert(0, str(peers.PROJECT))
from mm_core.client import PayloadClient, PayloadError

ANSWER_SECONDS = 30.0
MODEL, EXTRA = "soak", "soak-extra"
CODINGS = ("gzip", "identity", "zstd")
LATE_EVERY = 4
"""Of so many saves an editor tries the tag of one again, which must be refused: its config is no more."""

LONGEST_PAUSE = 0.2
"""Of the debounce, between two files of a group; a busy machine makes it longer."""

KEPT_PROBLEMS = 500
SHOWN_PROBLEMS = 20
WAIT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Pace:
    """How long everybody rests between two things, in seconds."""

    debounce: float
    bot: float = 0.1
    edit: float = 0.4
    refresh: float = 3.0
    extra: float = 2.0


@dataclass
class Run:
    """What all threads of a run share: the server, what was written, what was counted, and what went wrong."""

    port: int
    symbols: tuple[str, ...]
    extra_symbols: tuple[str, ...]
    extra_root: Path
    pace: Pace
    generations: Generations
    edits: Edits
    checker: Checker
    trainer: Trainer
    caches: Path
    ended: threading.Event = field(default_factory=threading.Event)
    writing: threading.Lock = field(default_factory=threading.Lock)
    """Held while a group is replaced and while a refresh is asked for: one asked for by hand reads what is there."""
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[dict[str, object]] = field(default_factory=list)
    pull_seconds: array[float] = field(default_factory=lambda: array("d"))
    unchanged_seconds: array[float] = field(default_factory=lambda: array("d"))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began: float = field(default_factory=time.monotonic)

    def count(self, what: str) -> None:
        """Count one event."""
        with self._lock:
            self.counts[what] += 1

    def wrong(self, kind: str, who: str, detail: str) -> None:
        """Remember that something was not as it has to be."""
        with self._lock:
            self.counts[f"wrong: {kind}"] += 1
            after = round(time.monotonic() - self._began, 3)
            if len(self.problems) < KEPT_PROBLEMS:
                self.problems.append({"after_seconds": after, "kind": kind, "who": who, "detail": detail})
            if len(self.problems) <= SHOWN_PROBLEMS:
                print(f"WRONG after {after} s, {kind}, {who}: {detail}", flush=True)

    def took(self, seconds: float, *, unchanged: bool) -> None:
        """Remember how long a pull took."""
        with self._lock:
            (self.unchanged_seconds if unchanged else self.pull_seconds).append(seconds)

    def rest(self, seconds: float) -> None:
        """Wait between half and one and a half times as long, or until the run ends."""
        self.ended.wait(seconds * random.uniform(0.5, 1.5))


class Connection:
    """A connection that stays open; what does not come is a problem of kind ``transport``."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._connection = http.client.HTTPConnection(peers.HOST, run.port, timeout=ANSWER_SECONDS)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, document: object = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and the body as it came; raise `WrongAnswer` for an answer that did not come whole."""
        body = None if document is None else json.dumps(document)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        try:
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise WrongAnswer("transport", f"{method} {path}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close it; the next question opens another one."""
        self._connection.close()


def pull(
    run: Run, connection: Connection, model: str, symbol: str, coding: str, known: tuple[str, Shown] | None = None
) -> tuple[str, Shown] | None:
    """Pull one payload, on condition where one is ``known``, and check it; return None for a 404 of the extra model."""
    path = f"/api/models/{model}/model/{symbol}"
    headers = {"Accept-Encoding": coding, **({"If-None-Match": known[0]} if known is not None else {})}
    started = time.monotonic()
    status, fields, data = connection.ask("GET", path, headers)
    ended = time.monotonic()
    if status == 404 and model == EXTRA:
        return None
    if status == 304 and known is not None:
        run.took(ended - started, unchanged=True)
        run.count(f"304 {coding}")
        if fields["ETag"] != known[0] or data:
            raise WrongAnswer("digest", f"{path}: 304 to {known[0]} with ETag {fields['ETag']} and {len(data)} bytes")
        run.checker.still(known[1], started, ended)
        return known
    if status != 200:
        raise WrongAnswer("status", f"GET {path}: {status}: {data[:500]!r}")
    run.took(ended - started, unchanged=False)
    if (fields["Content-Encoding"] or "identity") != coding:
        raise WrongAnswer("coding", f"{path}: {coding} was asked for, {fields['Content-Encoding']} came")
    body = run.checker.body(fields["ETag"], coding, data)
    shown = run.checker.payload(model, symbol, body, started, ended)
    run.count(f"200 {coding}")
    return fields["ETag"], shown


@contextmanager
def watched(run: Run, who: str) -> Iterator[None]:
    """Remember what goes wrong, and go on."""
    try:
        yield
    except WrongAnswer as error:
        run.wrong(error.kind, who, str(error))
    except PayloadError as error:
        run.wrong(type(error).__name__, who, str(error))


def raw_bot(run: Run, number: int) -> None:
    """Pull symbols in turn, on condition, on one connection, in a coding of its own."""
    connection, coding = Connection(run), CODINGS[number // 2 % len(CODINGS)]
    known: dict[str, tuple[str, Shown]] = {}
    while not run.ended.is_set():
        symbol = random.choice(run.symbols)
        with watched(run, f"raw bot {number}"):
            found = pull(run, connection, MODEL, symbol, coding, known.pop(symbol, None))
            assert found is not None
            known[symbol] = found
        run.rest(run.pace.bot)
    connection.close()


def client_bot(run: Run, number: int) -> None:
    """Pull symbols by the client for bots, with a cache of its own."""
    with PayloadClient(f"http://{peers.HOST}:{run.port}", run.caches / f"client-{number}", attempts=1) as client:
        while not run.ended.is_set():
            symbol = random.choice(run.symbols)
            with watched(run, f"client bot {number}"):
                _check_client_pull(run, client, symbol, time.monotonic())
            run.rest(run.pace.bot)


def _check_client_pull(run: Run, client: PayloadClient, symbol: str, started: float, *, local: bool = False) -> None:
    payload = client.local(MODEL, symbol) if local else client.get(MODEL, symbol)
    if payload.stale:
        raise WrongAnswer("stale copy", f"{symbol}: {payload.stale_copy}")
    config = (payload.factor_names, payload.mean_values, payload.variance_values)
    run.checker.parts(
        MODEL, symbol, payload.model_json, payload.metadata, payload.dim_factors, config, started, time.monotonic()
    )
    run.count("synced copies" if local else "client pulls")


def syncing_bot(run: Run, number: int) -> None:
    """Keep all symbols current by the client for bots, and check each copy that changed."""
    with PayloadClient(f"http://{peers.HOST}:{run.port}", run.caches / f"sync-{number}", attempts=1) as client:
        while not run.ended.is_set():
            with watched(run, f"syncing bot {number}"):
                started = time.monotonic()
                synced = client.sync(MODEL, wait=WAIT_SECONDS)
                run.count("syncs")
                if synced.stale or synced.failed or synced.withdrawn:
                    raise WrongAnswer("sync", f"{synced.away}; {dict(synced.failed)}; gone: {synced.withdrawn}")
                for symbol in synced.changed:
                    _check_client_pull(run, client, symbol, started, local=True)


def listening_bot(run: Run, number: int) -> None:
    """Wait for changes, ask for the manifest, and hold both against each other."""
    connection = Connection(run)
    while not run.ended.is_set():
        with watched(run, f"listening bot {number}"):
            status, fields, data = connection.ask("GET", f"/api/models/{MODEL}/manifest", {"Accept-Encoding": "gzip"})
            if status != 200:
                raise WrongAnswer("status", f"manifest: {status}: {data[:500]!r}")
            body = run.checker.body(fields["ETag"], fields["Content-Encoding"] or "identity", data)
            items = json.loads(body)["items"]
            if tuple(item["symbol"] for item in items) != run.symbols or not all(
                item["payload_ready"] for item in items
            ):
                raise WrongAnswer("manifest", f"{len(items)} symbols of {len(run.symbols)}, or some are not ready")
            since = int(fields["x-store-revision"])
            path = f"/api/models/{MODEL}/changes?since={since}&wait={WAIT_SECONDS}"
            status, _, data = connection.ask("GET", path)
            document = json.loads(data)
            if status != 200 or (document["symbols"] is None and since < document["revision"] - 10_000):
                raise WrongAnswer("status", f"changes: {status}: {data[:500]!r}")
            if not set(document["symbols"] or ()) <= {symbol.casefold() for symbol in run.symbols} | set(run.symbols):
                raise WrongAnswer("changes", f"{document['symbols']}")
            run.count("changes heard" if document["symbols"] else "no changes heard")
        run.rest(run.pace.bot)
    connection.close()


def train_again(run: Run) -> None:
    """Replace whole groups, file by file; what a group's files are together is there only when they rest."""
    debounce = run.pace.debounce
    while not run.ended.is_set():
        symbol = random.choice(run.symbols)
        moments = []

        def pause(moments: list[float] = moments) -> None:
            moments.append(time.monotonic())
            time.sleep(debounce * random.uniform(0.0, LONGEST_PAUSE))

        with run.writing:
            run.trainer.retrain(symbol, pause)
            moments.append(time.monotonic())
        run.count("generations")
        if max(after - before for before, after in pairwise(moments)) > debounce:
            run.count("generations that paused longer than the debounce")
        run.ended.wait(debounce * random.choice((random.uniform(0.9, 1.3), random.uniform(1.3, 2.5))))


def edit_configs(run: Run, number: int) -> None:
    """Set configs on condition, now and then in a race with another editor or late, and look at what was saved."""
    who, connection, other = f"editor {number}", Connection(run), Connection(run)
    saved = 0
    while not run.ended.is_set():
        symbol = random.choice(run.symbols[: max(2, len(run.symbols) // 5)])
        with watched(run, who):
            path = f"/api/models/{MODEL}/symbols/{symbol}/factor-config"
            started = time.monotonic()
            status, fields, data = connection.ask("GET", path)
            if status != 200:
                raise WrongAnswer("status", f"GET {path}: {status}: {data[:500]!r}")
            config = json.loads(run.checker.body(fields["ETag"], "identity", data))[symbol]
            names = config["factor_names"]
            shown = dict(zip(names, zip(config["mean_values"], config["variance_values"], strict=True), strict=True))
            problem = run.edits.problem(symbol, shown, started, time.monotonic())
            if problem is not None:
                raise WrongAnswer("config", f"GET {path}: {problem}")
            time.sleep(random.uniform(0.0, 0.05))
            if _save(run, connection, path, symbol, names, fields["ETag"]):
                saved += 1
                if saved % LATE_EVERY == 1 and _save(run, connection, path, symbol, names, fields["ETag"]):
                    raise WrongAnswer("status", f"PUT {path}: a tag of before the last edit was taken")
                other.close()  # a new connection may reach another worker than the one that saved
                pull(run, other, MODEL, symbol, "gzip")
        run.rest(run.pace.edit)
    connection.close()
    other.close()


def _save(run: Run, connection: Connection, path: str, symbol: str, names: list[str], tag: str) -> bool:
    edit = run.edits.begin(symbol, names)
    pairs = [values_of(name, edit.number) for name in names]
    document = {symbol: {"factor_names": names, "mean_values": [mean for mean, _ in pairs],
                         "variance_values": [variance for _, variance in pairs]}}  # fmt: skip
    status, _, data = connection.ask("PUT", path, {"If-Match": tag}, document)
    if status == 412:
        run.edits.refuse(edit)
        run.count("edits refused")
        return False
    if status != 200:
        raise WrongAnswer("status", f"PUT {path}: {status}: {data[:500]!r}")
    run.edits.save(edit)
    run.count("edits saved")
    return True


def ask_for_refreshes(run: Run) -> None:
    """Ask for a refresh every few seconds, never while a group is replaced."""
    connection = Connection(run)
    while not run.ended.is_set():
        run.rest(run.pace.refresh)
        with watched(run, "refresh loop"), run.writing:
            status, _, data = connection.ask("POST", f"/api/models/{MODEL}/refresh", document={})
            if status != 200 or json.loads(data)["group_count"] != len(run.symbols):
                raise WrongAnswer("status", f"refresh: {status}: {data[:500]!r}")
            run.count("refreshes")
    connection.close()


def come_and_go(run: Run) -> None:
    """Register another model, pull all of it, and delete it again: afterwards it is gone."""
    connection, coding = Connection(run), "gzip"
    while not run.ended.is_set():
        with watched(run, "registering"):
            document = {"model_name": EXTRA, "root_path": str(run.extra_root)}
            status, _, data = connection.ask("POST", "/api/models", document=document)
            if status != 200:
                raise WrongAnswer("status", f"register: {status}: {data[:500]!r}")
            for symbol in run.extra_symbols:
                if pull(run, connection, EXTRA, symbol, coding) is None:
                    raise WrongAnswer("status", f"{EXTRA}/{symbol} is registered and answers 404")
            run.count("models registered")
            run.rest(run.pace.extra / 2)
            status, _, data = connection.ask("DELETE", f"/api/models/{EXTRA}", document={})
            if status != 200:
                raise WrongAnswer("status", f"delete: {status}: {data[:500]!r}")
            connection.close()
            if pull(run, connection, EXTRA, run.extra_symbols[0], coding) is not None:
                raise WrongAnswer("deleted", f"{EXTRA} was deleted and is still served")
            run.count("models deleted")
        run.rest(run.pace.extra)
    connection.close()


def everybody(run: Run, bots: int, editors: int = 2) -> dict[str, Callable[[], None]]:
    """Return what each thread does, by its name; of sixteen ``bots`` ten are raw, four use the client, one syncs and
    one listens.
    """
    kinds = (*(raw_bot, raw_bot, client_bot) * 4, raw_bot, raw_bot, listening_bot, syncing_bot)
    threads: dict[str, Callable[[], None]] = {}
    for number in range(bots):
        kind = kinds[number % len(kinds)]
        threads[f"{kind.__name__} {number}"] = partial(kind, run, number)
    for number in range(editors):
        threads[f"editor {number}"] = partial(edit_configs, run, number)
    threads["trainer"] = partial(train_again, run)
    threads["refresh loop"] = partial(ask_for_refreshes, run)
    threads["registering"] = partial(come_and_go, run)
    return {name: partial(_until_the_end, run, name, work) for name, work in threads.items()}


def _until_the_end(run: Run, who: str, work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException as error:  # a thread that ends early would make the run look better than it was
        run.wrong("crashed", who, "".join(traceback.format_exception(error)))
        raise
