"""Groups that are trained again and again: each generation's files can be told from every other one's."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from make_artifacts import RETURN_NAME, Shape, leave_sklearn_out, replace_file, train

FACTOR_COUNTS = (0, -3, 5)
"""What is added to the usual number of factors: three boosters are trained, generations take one of them."""

FIRST_SAMPLES = 100_000
RENAMED_SHARE = 0.7
"""Of files that are written beside and renamed; the others are written in place, as careless runs do."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What belongs together: each of the four files of a group says which generation it is of."""

    symbol: str
    number: int
    factors: tuple[str, ...]
    taus: tuple[float, ...]
    samples: int
    model_sha256: str


class Generations:
    """Remembers every generation that was written, by the digest of its model; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_digest: dict[str, Generation] = {}
        self._finished: dict[str, tuple[int, float]] = {}
        self.written = 0

    def begin(self, generation: Generation) -> None:
        """Remember a generation whose files begin to appear."""
        with self._lock:
            self._by_digest[generation.model_sha256] = generation

    def finish(self, generation: Generation) -> None:
        """Remember that all files of a generation are in place."""
        with self._lock:
            self._finished[generation.symbol] = (generation.number, time.monotonic())
            self.written += 1

    def of_model(self, sha256: str) -> Generation | None:
        """Return the generation that a model is of, None where nobody wrote it."""
        with self._lock:
            return self._by_digest.get(sha256)

    def finished(self, symbol: str) -> tuple[int, float]:
        """Return the number of the newest whole generation of a symbol, and when it was whole."""
        with self._lock:
            return self._finished[symbol]


class Trainer:
    """Writes generations of groups into a directory."""

    def __init__(self, directory: Path, shape: Shape, known: Generations, seed: int) -> None:
        leave_sklearn_out()
        self._directory = directory
        self._known = known
        self._numbers: dict[str, int] = {}
        generator = np.random.default_rng(seed)
        self._generator = generator
        self._pool = [f"factor_{at:03d}" for at in range(shape.factors + 2 * max(FACTOR_COUNTS))]
        self._boosters = {}
        for added in FACTOR_COUNTS:
            count = shape.factors + added
            self._boosters[count] = json.loads(train(generator, Shape(count, shape.trees, shape.depth)))

    def retrain(self, symbol: str, pause: Callable[[], object] = lambda: None) -> Generation:
        """Replace all files of a symbol's group, in any order, with a ``pause`` between two of them."""
        number = self._numbers[symbol] = self._numbers.get(symbol, 0) + 1
        generation, files = self._made(symbol, number)
        self._known.begin(generation)
        for at, position in enumerate(self._generator.permutation(len(files)).tolist()):
            name, data = files[position]
            if at:
                pause()
            path = self._directory / name
            if self._generator.random() < RENAMED_SHARE:
                replace_file(path, data)
            else:
                path.write_bytes(data)
        self._known.finish(generation)
        return generation

    def _made(self, symbol: str, number: int) -> tuple[Generation, Sequence[tuple[str, bytes]]]:
        count = int(self._generator.choice(list(self._boosters)))
        factors = tuple(self._pool[at] for at in self._generator.permutation(len(self._pool))[:count].tolist())
        taus = tuple(tau_of(name, number) for name in factors)
        document = self._boosters[count]
        document["learner"]["attributes"] = {"symbol": symbol, "generation": str(number)}
        model = json.dumps(document).encode()
        generation = Generation(
            symbol, number, factors, taus, FIRST_SAMPLES + number, hashlib.sha256(model).hexdigest()
        )
        rows = [f"{symbol},{name},{RETURN_NAME},{tau}" for name, tau in zip(factors, taus, strict=True)]
        info = {"symbol": symbol, "return_name": RETURN_NAME, "train_samples": generation.samples}
        key = f"{symbol}_{RETURN_NAME}"
        return generation, (
            (f"{key}_factors.txt", ("\n".join(factors) + "\n").encode()),
            (f"{key}_ic.csv", ("symbol,factor_name,return_name,Kendall_tau\n" + "\n".join(rows) + "\n").encode()),
            (f"{key}_info.pkl", pickle.dumps(info, protocol=4)),
            (f"{key}_model.json", model),
        )


def tau_of(factor_name: str, number: int) -> float:
    """Return the tau of a factor in a generation: a function of both, so that a table of another one shows."""
    return zlib.crc32(f"{factor_name} {number}".encode()) % 1_800_000 / 2_000_000 - 0.45
