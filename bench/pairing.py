"""What a payload has to be for its parts to belong together: every answer is held against what was written."""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backports import zstd
from edits import Edits
from generations import Generations
from make_artifacts import RETURN_NAME

TAGS = {"identity": "", "gzip": "-gz", "zstd": "-zst"}
REMEMBERED_TAGS = 20_000
REMEMBERED_GENERATIONS = 8


class WrongAnswer(Exception):
    """An answer that must not be: ``kind`` is one word for counting, the text says what and where."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Shown:
    """What an answer says: its generation, and mean and variance by factor name."""

    symbol: str
    generation: int
    values: Mapping[str, tuple[float, float]]


class Checker:
    """Holds answers against everything that was written; threads may share it.

    ``longest_seconds`` is how long after its files were whole a generation may still not be served.
    """

    def __init__(self, generations: Generations, edits: Edits, longest_seconds: float) -> None:
        self._generations = generations
        self._edits = edits
        self._longest = longest_seconds
        self._lock = threading.Lock()
        self._bytes_of_tag: OrderedDict[str, bytes] = OrderedDict()
        self._first_shown: dict[str, deque[tuple[int, float]]] = {}
        self.delays: list[float] = []
        """Seconds from a whole generation until an answer with it was there."""

    def body(self, etag: str, coding: str, data: bytes) -> bytes:
        """Return a whole, decoded body; raise `WrongAnswer` where it is not the one that its entity tag names."""
        try:
            plain = decoded(coding, data)
        except (zlib.error, zstd.ZstdError, EOFError) as error:
            raise WrongAnswer("torn", f"{len(data)} bytes of {coding} do not decompress: {error}") from error
        expected = f'"{hashlib.sha256(plain).hexdigest()}{TAGS[coding]}"'
        if etag != expected:
            raise WrongAnswer("digest", f"the body's digest makes {expected}, the answer says {etag}")
        digest = hashlib.sha256(data).digest()
        with self._lock:
            if self._bytes_of_tag.setdefault(etag, digest) != digest:
                raise WrongAnswer("digest", f"{etag} stood for other bytes before")
            if len(self._bytes_of_tag) > REMEMBERED_TAGS:
                self._bytes_of_tag.popitem(last=False)
        return plain

    def payload(self, model: str, symbol: str, body: bytes, started: float, ended: float) -> Shown:
        """Return what a payload shows; raise `WrongAnswer` where its parts do not belong together or are too old."""
        try:
            payload = json.loads(body)["payload"]
            config = payload["factor_config"][symbol]
            return self.parts(
                model,
                symbol,
                payload["model_json"],
                payload["metadata"],
                [(row["dim"], row["factor_name"], row["kendall_tau"]) for row in payload["dim_factors"]],
                (config["factor_names"], config["mean_values"], config["variance_values"]),
                started,
                ended,
            )
        except (ValueError, LookupError, TypeError) as error:
            raise WrongAnswer("torn", f"no payload: {type(error).__name__}: {error}") from error

    def parts(
        self,
        model: str,
        symbol: str,
        model_json: str,
        metadata: Mapping[str, Any],
        dims: Sequence[tuple[int, str, float | None]],
        config: tuple[Sequence[str], Sequence[float], Sequence[float]],
        started: float,
        ended: float,
    ) -> Shown:
        """Check the parts of a payload as `payload` does."""
        sha256 = hashlib.sha256(model_json.encode()).hexdigest()
        generation = self._generations.of_model(sha256)
        if generation is None or generation.symbol != symbol:
            whose = "nobody" if generation is None else generation.symbol
            raise WrongAnswer("pairing", f"{symbol} got a model (SHA-256 {sha256}) that {whose} wrote for it")
        names, means, variances = config
        count = len(generation.factors)
        of_group = f"{model}/{symbol}, generation {generation.number}"
        facts = {
            "factors": (tuple(name for _, name, _ in dims), generation.factors),
            "dimensions": ([dim for dim, _, _ in dims], list(range(count))),
            "taus": (tuple(tau for _, _, tau in dims), generation.taus),
            "train_samples": (metadata["train_samples"], generation.samples),
            "feature_dim": (metadata["feature_dim"], count),
            "model_json_sha256": (metadata["model_json_sha256"], sha256),
            "group": (
                (metadata["model_name"], metadata["symbol"], metadata["group_key"]),
                (model, symbol, f"{symbol}_{RETURN_NAME}"),
            ),
            "names of the config": (tuple(names), generation.factors),
            "lengths of the config": ((len(means), len(variances)), (count, count)),
        }
        for what, (found, expected) in facts.items():
            if found != expected:
                raise WrongAnswer("pairing", f"{of_group}: {what} are {_brief(found)}, not {_brief(expected)}")
        values = {name: (mean, variance) for name, mean, variance in zip(names, means, variances, strict=True)}
        shown = Shown(symbol, generation.number, values)
        self.still(shown, started, ended)
        self._note(shown, ended)
        return shown

    def still(self, shown: Shown, started: float, ended: float) -> None:
        """Raise `WrongAnswer` where a pull from ``started`` to ``ended`` must not show this any more (or not yet)."""
        problem = self._edits.problem(shown.symbol, shown.values, started, ended)
        if problem is not None:
            raise WrongAnswer("config", f"{shown.symbol}, generation {shown.generation}: {problem}")
        with self._lock:
            newer = [at for number, at in self._first_shown.get(shown.symbol, ()) if number > shown.generation]
        if any(at < started for at in newer):
            raise WrongAnswer("backwards", f"{shown.symbol} shows generation {shown.generation} after a newer one")
        number, finished = self._generations.finished(shown.symbol)
        if shown.generation < number and finished + self._longest < started:
            raise WrongAnswer(
                "stale",
                f"{shown.symbol} shows generation {shown.generation}, {started - finished:.1f} s after {number}",
            )

    def _note(self, shown: Shown, ended: float) -> None:
        with self._lock:
            known = self._first_shown.setdefault(shown.symbol, deque(maxlen=REMEMBERED_GENERATIONS))
            if not known or shown.generation > known[-1][0]:
                known.append((shown.generation, ended))
                number, finished = self._generations.finished(shown.symbol)
                if number == shown.generation and len(known) > 1:
                    self.delays.append(ended - finished)


def decoded(coding: str, data: bytes) -> bytes:
    """Return the identity form of a body; what is cut, or goes on behind its end, raises."""
    if coding == "gzip":
        reader = zlib.decompressobj(wbits=31)
        plain = reader.decompress(data)
        if not reader.eof or reader.unused_data:
            raise EOFError("the gzip body does not end where it should")
        return plain
    if coding == "zstd":
        return zstd.decompress(data)
    return data


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
