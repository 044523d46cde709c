"""Models with one damaged value: whatever the reader takes must not crash XGBoost.

Run it by hand for longer: ``python -m tests.attacks.fuzz_models --rounds 10000``.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass, field

from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.errors import UnreadableArtifact
from tests.attacks.booster_loader import Loader, is_crash
from tests.attacks.hostile_models import damaged, sound_models


@dataclass(slots=True)
class Tally:
    """How many damaged models had which end, and those that the reader took though XGBoost crashes on them."""

    counts: Counter[str] = field(default_factory=Counter)
    served_and_crashed: list[str] = field(default_factory=list)


def fuzz(rounds: int, seed: int, *, load_all: bool) -> Tally:
    """Damage a sound model ``rounds`` times, read each, and load with XGBoost those that were taken, or all of them."""
    chance = random.Random(seed)
    models = sound_models()
    tally = Tally()
    with Loader() as loader:
        for _ in range(rounds):
            kind = chance.choice(list(models))
            model, done = damaged(models[kind], chance)
            try:
                read_booster(model, FileReport("x_model.json"))
                taken = "taken"
            except UnreadableArtifact:
                taken = "not taken"
                if not load_all:
                    tally.counts["not taken, not loaded"] += 1
                    continue
            outcome = loader.outcome(model)
            tally.counts[f"{taken}, {'crashed' if is_crash(outcome) else outcome.partition(':')[0]}"] += 1
            if taken == "taken" and is_crash(outcome):
                tally.served_and_crashed.append(f"{kind}: {done}: {outcome}")
    return tally


def main() -> int:
    """Fuzz as the command line says, print the tally, and return 1 when something got through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    tally = fuzz(chosen.rounds, chosen.seed, load_all=True)
    print(f"seed {chosen.seed}, {chosen.rounds} damaged models")
    for end, count in sorted(tally.counts.items()):
        print(f"{count:7} {end}")
    for line in tally.served_and_crashed:
        print("GOT THROUGH:", line)
    return 1 if tally.served_and_crashed else 0


if __name__ == "__main__":
    sys.exit(main())
