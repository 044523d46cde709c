"""Pickle instructions become plain data and inert nodes; nothing is imported, called, compared or hashed.

All instructions of protocols 0 to 5 are known, out-of-band buffers, persistent ids and extension codes are refused.
A name outside the table of `names` ends the reading at once, wherever in the file it is.
"""

from __future__ import annotations

from collections.abc import Callable

from mm_core.artifacts.pickles.names import Role, known_name
from mm_core.artifacts.pickles.nodes import Call, Global, Items, Pairs, PickleLimits
from mm_core.artifacts.pickles.refusals import broken, too_large, unsafe, unsupported
from mm_core.artifacts.pickles.source import Source

HIGHEST_PROTOCOL = 5
DEFAULT_LIMITS = PickleLimits()


def read_pickle(data: bytes, limits: PickleLimits = DEFAULT_LIMITS, *, script_names: bool = False) -> object:
    """Return what a pickle describes, without running it.

    Lists, tuples, text, numbers, bytes, booleans and None are themselves, dicts are `Pairs`, sets are `Items`, and
    everything else is a `Call` or a `Global`. With ``script_names``, functions of the training script (``__main__``)
    may be mentioned, never called. Raises `UnreadableArtifact`.
    """
    if len(data) > limits.file_bytes:
        raise too_large(f"it has {len(data)} bytes, {limits.file_bytes} are read")
    return _Machine(data, limits, script_names).run()


class _Stop(Exception):
    pass


class _Machine:
    """The stack, the marks and the memo that pickle instructions work on."""

    def __init__(self, data: bytes, limits: PickleLimits, script_names: bool) -> None:
        self._source = Source(data, limits)
        self._limits = limits
        self._script_names = script_names
        self._stack: list[object] = []
        self._below: list[list[object]] = []
        self._memo: dict[int, object] = {}
        self._names = 0
        self._actions: list[Callable[[], None] | None] = [None] * 256
        for code, action in self._instructions().items():
            self._actions[code[0]] = action

    def run(self) -> object:
        """Carry out instructions until STOP and return the one value that is left."""
        take = self._source.take
        actions = self._actions
        most = self._limits.stack_entries
        try:
            for _ in range(self._limits.opcodes):
                code = take(1)[0]
                action = actions[code]
                if action is None:
                    raise broken(f"byte {self._source.position - 1} is no instruction (0x{code:02x})")
                action()
                if len(self._stack) > most:
                    raise too_large(f"its stack has more than {most} entries")
        except _Stop:
            if self._below or len(self._stack) != 1:
                raise broken("it does not end with one value") from None
            return self._stack[0]
        finally:
            # They refer to this machine: what a hostile file piled up would stay until the garbage collector comes.
            self._actions = []
        raise too_large(f"it has more than {self._limits.opcodes} instructions")

    def _instructions(self) -> dict[bytes, Callable[[], None]]:
        source = self._source
        constants = {b"N": None, b"\x88": True, b"\x89": False}
        plain: dict[bytes, Callable[[], object]] = {
            b"I": source.integer_line,
            b"L": source.integer_line,
            b"F": source.float_line,
            b"J": source.i32,
            b"K": source.u8,
            b"M": source.u16,
            b"G": source.float64,
            b"\x8a": lambda: source.integer(source.u8()),
            b"\x8b": lambda: source.integer(source.i32()),
            b"S": source.quoted_line,
            b"T": lambda: source.sized(source.signed_length).decode("latin-1"),
            b"U": lambda: source.sized(source.u8).decode("latin-1"),
            b"V": source.escaped_text_line,
            b"X": lambda: source.text(source.u32),
            b"\x8c": lambda: source.text(source.u8),
            b"\x8d": lambda: source.text(source.u64),
            b"B": lambda: source.sized(source.u32),
            b"C": lambda: source.sized(source.u8),
            b"\x8e": lambda: source.sized(source.u64),
            b"\x96": lambda: source.sized(source.u64),
            b")": tuple,
            b"]": list,
            b"}": Pairs,
            b"\x8f": Items,
            b"c": lambda: self._global(source.name(), source.name()),
            b"l": self._pop_mark,
            b"t": lambda: tuple(self._pop_mark()),
            b"\x85": lambda: (self._pop(),),
            b"\x86": lambda: self._pop_tuple(2),
            b"\x87": lambda: self._pop_tuple(3),
            b"\x91": lambda: Items(self._pop_mark()),
            b"d": self._dict,
            b"\x93": self._stack_global,
            b"R": self._reduce,
            b"i": self._inst,
            b"o": self._obj,
            b"\x81": self._newobj,
            b"\x92": self._newobj_ex,
            b"2": self._top,
            b"h": lambda: self._remembered(source.u8()),
            b"j": lambda: self._remembered(source.u32()),
            b"g": lambda: self._remembered(source.index_line()),
        }
        return {
            **{code: self._pushing(lambda value=value: value) for code, value in constants.items()},  # type: ignore[misc]
            **{code: self._pushing(make) for code, make in plain.items()},
            b"\x80": self._protocol,
            b"\x95": source.skip_frame,
            b".": self._stop,
            b"0": self._discard,
            b"1": self._discard_mark,
            b"(": self._mark,
            b"q": lambda: self._remember(source.u8()),
            b"r": lambda: self._remember(source.u32()),
            b"p": lambda: self._remember(source.index_line()),
            b"\x94": lambda: self._remember(len(self._memo)),
            b"a": lambda: self._append([self._pop()]),
            b"e": lambda: self._append(self._pop_mark()),
            b"s": lambda: self._set_items(list(reversed([self._pop(), self._pop()]))),
            b"u": lambda: self._set_items(self._pop_mark()),
            b"\x90": lambda: self._add_items(self._pop_mark()),
            b"b": self._build,
            **{code: self._refused("persistent ids") for code in (b"P", b"Q")},
            **{code: self._refused("extension codes") for code in (b"\x82", b"\x83", b"\x84")},
            **{code: self._refused("out-of-band buffers") for code in (b"\x97", b"\x98")},
        }

    def _pushing(self, make: Callable[[], object]) -> Callable[[], None]:
        def push() -> None:
            value = make()
            self._stack.append(value)

        return push

    @staticmethod
    def _refused(what: str) -> Callable[[], None]:
        def refuse() -> None:
            raise unsupported(f"The pickle uses {what}, which mean nothing outside the program that wrote it.")

        return refuse

    @staticmethod
    def _stop() -> None:
        raise _Stop

    def _protocol(self) -> None:
        protocol = self._source.u8()
        if protocol > HIGHEST_PROTOCOL:
            raise unsupported(f"The pickle has protocol {protocol}; protocols up to {HIGHEST_PROTOCOL} are read.")

    # Stack, marks and memo

    def _pop(self) -> object:
        if not self._stack:
            raise broken("an instruction needs more values than there are")
        return self._stack.pop()

    def _top(self) -> object:
        if not self._stack:
            raise broken("an instruction needs a value and there is none")
        return self._stack[-1]

    def _pop_tuple(self, size: int) -> tuple[object, ...]:
        if len(self._stack) < size:
            raise broken("an instruction needs more values than there are")
        values = tuple(self._stack[-size:])
        del self._stack[-size:]
        return values

    def _mark(self) -> None:
        if len(self._below) >= self._limits.marks:
            raise too_large(f"it nests deeper than {self._limits.marks} marks")
        self._below.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> list[object]:
        if not self._below:
            raise broken("an instruction needs a mark and there is none")
        values = self._stack
        self._stack = self._below.pop()
        return values

    def _discard(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _discard_mark(self) -> None:
        self._pop_mark()

    def _remember(self, index: int) -> None:
        # Honest pickles count their memo from 0, so an index beyond the limit is as much as too many entries.
        if index >= self._limits.memo_entries:
            raise too_large(f"it remembers more than {self._limits.memo_entries} values")
        self._memo[index] = self._top()

    def _remembered(self, index: int) -> object:
        if index not in self._memo:
            raise broken(f"it refers to value {index}, which it never remembered")
        return self._memo[index]

    # Containers

    def _dict(self) -> Pairs:
        return Pairs(_paired(self._pop_mark()))

    def _append(self, values: list[object]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Call):
            target.items.extend(values)
        else:
            raise broken("it appends to something that is no list")

    def _set_items(self, values: list[object]) -> None:
        target = self._top()
        if isinstance(target, Pairs):
            target.entries.extend(_paired(values))
        elif isinstance(target, Call):
            target.pairs.extend(_paired(values))
        else:
            raise broken("it sets items of something that is no dict")

    def _add_items(self, values: list[object]) -> None:
        target = self._top()
        if isinstance(target, Items):
            target.entries.extend(values)
        elif isinstance(target, Call):
            target.items.extend(values)
        else:
            raise broken("it adds to something that is no set")

    # Names, and what would be calls

    def _global(self, module: str, name: str) -> Global:
        # Every protocol writes a name once and remembers it.
        self._names += 1
        if self._names > self._limits.names:
            raise too_large(f"it refers to more than {self._limits.names} names")
        known = known_name(module, name)
        if known is None or (known.role is Role.SCRIPT and not self._script_names):
            raise unsafe(f"{module}.{name}", "which no honest file of its kind needs")
        return Global(known)

    def _stack_global(self) -> Global:
        module, name = self._pop_tuple(2)
        return self._global(self._source.checked_name(module), self._source.checked_name(name))

    def _reduce(self) -> object:
        function, arguments = self._pop_tuple(2)
        return self._call(function, _as_tuple(arguments))

    def _inst(self) -> object:
        function = self._global(self._source.name(), self._source.name())
        return self._call(function, tuple(self._pop_mark()))

    def _obj(self) -> object:
        values = self._pop_mark()
        if not values:
            raise broken("it makes an object of no class")
        return self._call(values[0], tuple(values[1:]))

    def _newobj(self) -> object:
        function, arguments = self._pop_tuple(2)
        return self._call(function, _as_tuple(arguments))

    def _newobj_ex(self) -> object:
        function, arguments, keywords = self._pop_tuple(3)
        if not isinstance(keywords, Pairs):
            raise broken("keyword arguments are no dict")
        made = self._call(function, _as_tuple(arguments))
        if isinstance(made, Call):
            made.keywords = keywords
        return made

    def _call(self, function: object, arguments: tuple[object, ...]) -> Global | Call:
        if isinstance(function, Call) and function.path == "functools.partial" and len(arguments) <= 2:
            return Call(function, arguments)
        if not isinstance(function, Global):
            raise unsafe("a value that it computes itself", "and would call it")
        path = function.known.path
        if len(arguments) > self._limits.arguments:
            raise too_large(f"a call has {len(arguments)} arguments")
        if function.known.role is not Role.CONSTRUCTOR:
            raise unsafe(path, "and would call it")
        if path == "builtins.getattr":
            return self._attribute(arguments)
        if path == "functools.partial":
            _check_partial(arguments)
        if path in ("copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__"):
            return self._rebuilt(path, arguments)
        return Call(function, arguments)

    def _attribute(self, arguments: tuple[object, ...]) -> Global:
        """Return an attribute of a known name as what it is: a longer name, which must be known as well."""
        if len(arguments) != 2 or not isinstance(arguments[0], Global):
            raise unsafe("builtins.getattr", "and would take an attribute of a computed value with it")
        owner, _, name = arguments[0].known.path.rpartition(".")
        return self._global(owner, f"{name}.{self._source.checked_name(arguments[1])}")

    def _rebuilt(self, path: str, arguments: tuple[object, ...]) -> Global | Call:
        if not arguments or not isinstance(arguments[0], Global):
            raise unsafe(path, "and would make an object of a computed class with it")
        rest = arguments[1:] if path == "copyreg.__newobj__" else ()
        return self._call(arguments[0], rest)

    def _build(self) -> None:
        target, state = self._pop_tuple(2)
        if isinstance(target, Global):
            raise unsafe(target.known.path, "and would change it")
        if not isinstance(target, Call):
            raise broken("it sets the state of something that has none")
        target.state = state
        self._stack.append(target)


def _paired(values: list[object]) -> list[tuple[object, object]]:
    if len(values) % 2:
        raise broken("a dict has a key without a value")
    return list(zip(values[::2], values[1::2], strict=True))


def _as_tuple(arguments: object) -> tuple[object, ...]:
    if not isinstance(arguments, tuple):
        raise broken("the arguments of a call are no tuple")
    return arguments


def _check_partial(arguments: tuple[object, ...]) -> None:
    # pandas 1.3 writes its blocks as a partial of one function; any other use of it hides a call.
    wanted = ("pandas.new_block", "pandas._unpickle_block")
    if len(arguments) != 1 or not isinstance(arguments[0], Global) or arguments[0].known.path not in wanted:
        raise unsafe("functools.partial", "and would prepare a call with it")
