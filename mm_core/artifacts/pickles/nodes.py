"""What a pickle turns into when nobody runs it: plain data and inert nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from mm_core.artifacts.pickles.names import KnownName


@dataclass(frozen=True, slots=True)
class PickleLimits:
    """How much of a machine one pickle may cost; sizes in bytes, the rest counted.

    Hostile files are small programs, so every loop and every container has a ceiling of its own. A million
    instructions are some ten times what a training info of 10,000 factors needs.
    """

    file_bytes: int = 512 << 20
    opcodes: int = 1_000_000
    memo_entries: int = 500_000
    stack_entries: int = 500_000
    marks: int = 1_000
    integer_bytes: int = 512
    names: int = 20_000
    name_characters: int = 256
    line_bytes: int = 16 << 20
    cells: int = 2_000_000
    arguments: int = 256
    depth: int = 32


@dataclass(slots=True, eq=False)
class Global:
    """A name that the file refers to; nothing is imported for it."""

    known: KnownName


@dataclass(slots=True, eq=False)
class Pairs:
    """A dict as the list of its pairs: a key of the file is never hashed."""

    entries: list[tuple[object, object]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Items:
    """A set or frozenset as the list of its items."""

    entries: list[object] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Call:
    """What the file would have called, with what: a description, never an execution."""

    function: Global | Call
    arguments: tuple[object, ...]
    keywords: Pairs | None = None
    state: object = None
    items: list[object] = field(default_factory=list)
    pairs: list[tuple[object, object]] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The canonical name of what would be called; empty for a call of a computed value."""
        return self.function.known.path if isinstance(self.function, Global) else ""
