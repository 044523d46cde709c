"""The corpus: hostile pickles by category, all made by hand, and honest ones with damages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.attacks import arrow_and_times, calling, damage, expansion, gadgets, memos, other_callables, shapes, sizes
from tests.attacks.assembling import Attack

Make = Callable[[], Iterator[Attack]]

BY_HAND: dict[str, tuple[Make, ...]] = {
    "instructions that name or call": (calling.by_every_instruction,),
    "a call in every place": (calling.in_every_place,),
    "other callables": (other_callables.by_other_callables,),
    "names with tricks": (calling.by_names_with_tricks,),
    "gadgets": (gadgets.by_attributes, gadgets.by_functions_that_call, gadgets.through_reconstructors),
    "states of honest classes": (gadgets.through_states,),
    "memo": (memos.with_the_memo,),
    "frames and protocols": (memos.with_frames_and_protocols, memos.with_more_than_one_pickle),
    "expansion": (expansion.that_repeat_themselves,),
    "slow paths": (expansion.that_meet_slow_paths,),
    "sizes": (sizes.that_promise_sizes,),
    "nesting and cycles": (expansion.that_nest_or_hold_themselves,),
    "shapes": (
        shapes.of_every_constructor,
        shapes.of_arrays,
        shapes.of_frames,
        arrow_and_times.of_arrow,
        arrow_and_times.of_times,
    ),
}
DAMAGED: dict[str, tuple[Make, ...]] = {"cut fixtures": (damage.cut,), "flipped bits": (damage.flipped,)}
CATEGORIES = {**BY_HAND, **DAMAGED}


def attacks_of(category: str) -> Iterator[Attack]:
    """Yield the attacks of one category."""
    for make in CATEGORIES[category]:
        yield from make()


def write_attacks(directory: Path, category: str) -> list[str]:
    """Write each attack as ``NUMBER_info.pkl`` and ``NUMBER_model.pkl`` into ``directory``; return their names."""
    names = []
    for number, attack in enumerate(attacks_of(category)):
        names.append(attack.name)
        info = directory / f"{number:05d}_info.pkl"
        info.write_bytes(attack.data)
        (directory / f"{number:05d}_model.pkl").hardlink_to(info)
    return names
