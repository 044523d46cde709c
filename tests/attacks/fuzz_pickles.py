"""Fuzz the pickle reader and its decoders, guided by coverage: ``python tests/attacks/fuzz_pickles.py --seconds 600``.

Each target gets an equal share of the time in a process of its own, which is forked: to note coverage in the readers'
code takes seconds. Inputs change by whole instructions as well as by bytes. The first input that ends in anything but a
value or a refusal, or takes 5 s or 1 GiB, is kept in ``--keep`` and ends the run with status 1. One JSON line a target
says what was done.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import pickletools
import random
import re
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[0] = str(PROJECT)

import atheris  # noqa: E402

with atheris.instrument_imports(include=["mm_core.artifacts"]):
    from tests.attacks.fuzz_targets import (
        SELF_TEST,
        TARGETS,
        TARGETS_AND_SELF_TEST,
        honest_files,
        hostile_shapes,
        seeds_of,
    )

from mm_core.artifacts.pickles.decoding import CannotDecode  # noqa: E402
from mm_core.errors import UnreadableArtifact  # noqa: E402

SECONDS_OF_ONE_INPUT = 5
MEBIBYTES = 1024
LONGEST_INPUT = 16_384
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65_535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63)


class _Mutator:
    """Changes a pickle by its instructions: some go, come twice, change places, or come from another pickle."""

    def __init__(self, seeds: list[bytes]) -> None:
        self._pool = sorted({piece for seed in seeds for piece in _instructions(seed) if len(piece) <= 300})

    def __call__(self, data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        pieces = _instructions(data) if chance.random() < 0.8 else []
        if not pieces or not self._pool:
            return bytes(atheris.Mutate(data, max_size))
        for _ in range(chance.choice((1, 1, 2, 4))):
            self._change(pieces, chance, max_size)
        return b"".join(pieces)[:max_size]

    def _change(self, pieces: list[bytes], chance: random.Random, max_size: int) -> None:
        place = chance.randrange(len(pieces))
        match chance.randrange(7):
            case 0 if len(pieces) > 1:
                del pieces[place]
            case 1:
                pieces.insert(place, pieces[chance.randrange(len(pieces))])
            case 2:
                other = chance.randrange(len(pieces))
                pieces[place], pieces[other] = pieces[other], pieces[place]
            case 3:
                pieces[place] = chance.choice(self._pool)
            case 4:
                pieces.insert(place, chance.choice(self._pool))
            case 5:
                pieces[place] = b"\x8a\x09" + chance.choice(NUMBERS).to_bytes(9, "little", signed=True)
            case _:
                code, argument = pieces[place][:1], pieces[place][1:]
                pieces[place] = code + bytes(atheris.Mutate(argument, min(max_size, len(argument) + 8)))


def _instructions(data: bytes) -> list[bytes]:
    """Return the instructions of a pickle one by one; of a broken one, those that can be told, and the rest."""
    places = []
    try:
        for _, _, place in pickletools.genops(data):
            places.append(place)
    except (ValueError, UnicodeError, IndexError, OverflowError):
        pass
    return [data[start:end] for start, end in itertools.pairwise([*places, len(data)])]


def main() -> int:
    """Fuzz one target, or all of them one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seconds", type=int, default=600, help="time for all targets together")
    arguments.add_argument("--target", choices=TARGETS_AND_SELF_TEST, help="only this one")
    arguments.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="where a failing input goes")
    arguments.add_argument("--seed", type=int, default=0, help="of libFuzzer's choices; 0 takes others each time")
    given = arguments.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    for make_once in (honest_files, hostile_shapes):  # before the children are forked
        make_once()
    names = [given.target] if given.target else list(TARGETS)
    each, more = divmod(given.seconds, len(names))  # atheris takes whole seconds
    shares = [max(1, each + (place < more)) for place in range(len(names))]
    return max([_in_a_child(name, share, given) for name, share in zip(names, shares, strict=True)])


def _fuzz(name: str, seconds: int, keep: Path, seed: int, said: int) -> None:
    """Be the child of a target, which ends when its time is over; what it says goes to a file's descriptor."""
    os.dup2(said, 1)
    os.dup2(said, 2)
    target = TARGETS_AND_SELF_TEST[name]
    seeds = seeds_of(name)

    def one_input(data: bytes) -> None:
        try:
            target.run(data)
        except (UnreadableArtifact, CannotDecode):
            return
        except BaseException:  # on a busy machine libFuzzer may be gone before it keeps the input
            path = keep / f"fuzz-{name}-crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"
            path.write_bytes(data)
            print(f"\nInput written to {path}", flush=True)
            raise

    with tempfile.TemporaryDirectory() as directory:
        for number, content in enumerate(seeds):
            Path(directory, f"seed-{number:04d}").write_bytes(content)
        options = [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-timeout={SECONDS_OF_ONE_INPUT}",
            f"-rss_limit_mb={MEBIBYTES}",
            f"-max_len={LONGEST_INPUT}",
            f"-artifact_prefix={keep}/fuzz-{name}-",
            "-print_final_stats=1",
            directory,
        ]
        mutator = {"custom_mutator": _Mutator(seeds)} if target.is_pickle else {}
        atheris.Setup(options, one_input, **mutator)
        atheris.Fuzz()


def _in_a_child(name: str, seconds: int, given: argparse.Namespace) -> int:
    sys.stdout.flush()
    began = time.monotonic()
    with tempfile.TemporaryFile() as file:
        child = os.fork()
        if not child:
            _fuzz(name, seconds, given.keep, given.seed, file.fileno())
            sys.exit(0)  # as a process ends: libFuzzer says on the way out what it did
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        took = time.monotonic() - began
        file.seek(0)
        said = file.read().decode(errors="replace")
    counts = [int(count) for count in re.findall(r"number_of_executed_units: *(\d+)", said)]
    edges = [int(count) for count in re.findall(r"\bcov: (\d+)", said)]
    kept = sorted(set(re.findall(r"written to (.+)", said)))
    line = {"target": name, "seconds": round(took, 1), "inputs": sum(counts), "edges": [*edges[:1], *edges[-1:]]}
    line["kept"] = kept
    print(json.dumps(line), flush=True)
    if code:
        print("\n".join(row for row in said.splitlines() if not row.startswith(("INFO", "#")))[-4000:], file=sys.stderr)
    return 1 if code or kept else 0


if __name__ == "__main__":
    assert SELF_TEST not in TARGETS
    sys.exit(main())
