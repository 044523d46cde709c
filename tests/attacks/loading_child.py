"""A process in which Python itself loads attacks: ``python -m tests.attacks.loading_child``, in a directory to spare.

It shows that the corpus is no paper tiger, and that the ear which hears nothing of our readers is not deaf. Each attack
is loaded in a fork of its own with limits, in an empty directory; one JSON line an attack says what it left and raised.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import tempfile
from pathlib import Path

import pandas
import xgboost

from mm_core import strict_json
from tests.attacks.assembling import HARM, Attack
from tests.attacks.hostile_pickles import BY_HAND, attacks_of
from tests.attacks.limited_child import Ear

LOADED = (pandas.__name__, xgboost.__name__)
"""What payloads inside honest objects import, loaded once for all forks."""


def _load(attack: Attack, ear: Ear) -> list[str]:
    """Return the audit events of loading ``attack`` in a fork."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        signal.alarm(5)
        events = ear.heard(lambda: _loaded(attack.data))
        os.write(writing, strict_json.encode(events)[:60_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return list(strict_json.decode(said)) if said else []


def _loaded(data: bytes) -> None:
    try:
        pickle.loads(data)
    except BaseException:  # noqa: BLE001 - an attack may raise anything, SystemExit too
        return


def main() -> None:
    """Load every attack that claims to run."""
    ear = Ear()
    for category in BY_HAND:
        for attack in attacks_of(category):
            if attack.runs:
                with tempfile.TemporaryDirectory() as directory:
                    os.chdir(directory)
                    events = _load(attack, ear)
                    said = {"name": attack.name, "harm": Path(directory, HARM).exists(), "events": events}
                    os.chdir("/")
                sys.stdout.buffer.write(strict_json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
