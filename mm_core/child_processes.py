"""Child processes of our own that are asked over a socket, and that may die, hang or grow without harm.

`Child` is the parent's side, `serve` the child's; `confine` sets the limits of any child, `environment` is all that it
inherits. What goes over the socket is a frame: a document and a block of raw bytes, either of them may be empty.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

LARGEST_FRAME = 256 << 20
"""Bytes: what a child says about the size of its answer is believed up to here."""

START_SECONDS = 30.0
"""How long a child may take until it greets; an interpreter on a busy machine takes seconds."""

BESIDE_BOOSTERS = ("sklearn", "pandas", "pyarrow", "polars", "dask", "matplotlib", "graphviz")
"""What LightGBM and XGBoost import where it is there, and predict without: 120 MB and more than a second."""

_SIZES = struct.Struct("<QQ")
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl
_GREETING = b"ready"


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a child may take: bytes of address space, its niceness, and the idle seconds after which it ends itself."""

    memory_bytes: int
    niceness: int = 10
    idle_seconds: float = 300.0


class ChildLost(Exception):
    """The child ended before it answered; the message says how, as the end of a sentence.

    ``late`` tells that it was killed because its time was over, ``idle`` that it had ended itself for want of work.
    """

    def __init__(self, how: str, *, late: bool = False, idle: bool = False) -> None:
        super().__init__(how)
        self.late = late
        self.idle = idle


def environment(**more: str) -> dict[str, str]:
    """Return what a child inherits: where programs and this project are, and no secret of the parent's.

    Numeric libraries are told to use one thread: each of theirs would take address space.
    """
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.devnull,
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **more,
    }


def confine(memory_bytes: int, parent: int, *, processor_seconds: int | None = None) -> None:
    """Limit this process, and let it end when the thread that started it does; end at once where that is gone.

    ``parent`` is the parent's process number. No core is ever dumped: it would hold what was asked.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if processor_seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def leave_out_what_boosters_do_without() -> None:
    """Let `BESIDE_BOOSTERS` not be found in this process, which is about to import LightGBM or XGBoost."""
    for name in BESIDE_BOOSTERS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # Python's way to say: not to be found


def end_of(returncode: int | None) -> str:
    """Return how a process ended, as the end of a sentence without its stop."""
    if returncode is None:
        return "the child process does not answer any more"
    if returncode < 0:
        return f"the child process was ended by {signal.Signals(-returncode).name}"
    return f"the child process ended with {returncode}"


class Child:
    """One child process; one question at a time.

    The thread that starts it waits for its end: so it is reaped at once, and the kernel, which ends a child with the
    thread that started it, ends it with this process and not before.
    """

    def __init__(self, module: str, limits: ChildLimits) -> None:
        """Start ``python -m module``, which must call `serve`; raise `ChildLost` where it does not greet."""
        self._late = False
        self._process: subprocess.Popen[bytes] | None = None
        self._refused: OSError | None = None
        self._connection, theirs = socket.socketpair()
        self._started = threading.Event()
        self._holder = threading.Thread(
            target=self._hold, args=(module, limits, theirs), name=f"child {module}", daemon=True
        )
        self._holder.start()
        self._started.wait()
        try:
            document, _ = self._receive(time.monotonic() + START_SECONDS)
        except (OSError, EOFError):
            raise self._lost() from None
        if document != _GREETING:
            self.close()
            raise ChildLost("the child process did not greet")

    def _hold(self, module: str, limits: ChildLimits, theirs: socket.socket) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    *(sys.executable, "-s", "-P", "-m", module),
                    *map(
                        str, (theirs.fileno(), limits.memory_bytes, limits.niceness, limits.idle_seconds, os.getpid())
                    ),
                ],
                cwd=PROJECT,
                env=environment(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self._refused = error
        finally:
            theirs.close()
            self._started.set()
        if self._process is not None:
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process number."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs still."""
        return self._holder.is_alive()

    def ask(self, document: bytes, block: bytes | memoryview, seconds: float) -> tuple[bytes, bytearray]:
        """Return the child's answer; raise `ChildLost` for a child that ended, or that was ended after ``seconds``."""
        deadline = time.monotonic() + seconds
        try:
            self._connection.settimeout(seconds)
            _send(self._connection, document, block)
            answer = self._receive(deadline)
        except TimeoutError:
            self._late = True
            raise self._lost() from None
        except (OSError, EOFError):
            raise self._lost() from None
        return answer

    def kill(self) -> None:
        """End the child, from whichever thread; who waits for its answer learns of its loss."""
        if self._process is not None and self._holder.is_alive():
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def close(self) -> None:
        """End the child and wait until it is gone; a second call changes nothing."""
        self.kill()
        self._holder.join()
        self._connection.close()

    def _receive(self, deadline: float) -> tuple[bytes, bytearray]:
        document, block = _receive(self._connection, deadline)
        return bytes(document), block

    def _lost(self) -> ChildLost:
        """Return how the child was lost; afterwards nothing of it is left."""
        if not self._late:
            self._holder.join(timeout=1.0)  # an answer that ends early is mostly followed by the process's end
        returncode = None if self._process is None else self._process.returncode
        self.close()
        if self._refused is not None:
            return ChildLost(f"the child process cannot be started ({self._refused.strerror})")
        if self._late:
            return ChildLost("its time was over", late=True)
        return ChildLost(end_of(returncode), idle=returncode == 0)


Answering = Callable[[bytes, bytearray], tuple[bytes, bytes | memoryview]]
"""Document and block that were asked with, to document and block of the answer."""


def serve(answer: Answering, **variables: int) -> None:
    """Be the child: obey the limits of the command line, then answer until the parent or the work is gone.

    ``variables`` are more resource limits by their names in `resource`, such as ``RLIMIT_FSIZE``.
    """
    descriptor, memory_bytes, niceness = (int(argument) for argument in sys.argv[1:4])
    idle_seconds, parent = float(sys.argv[4]), int(sys.argv[5])
    os.nice(niceness)
    confine(memory_bytes, parent)
    for name, limit in variables.items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    with socket.socket(fileno=descriptor) as connection:
        _send(connection, _GREETING, b"")
        while True:
            connection.settimeout(idle_seconds)
            try:
                if not connection.recv(1, socket.MSG_PEEK):
                    return
            except TimeoutError:
                return
            connection.settimeout(None)
            document, block = _receive(connection, None)
            _send(connection, *answer(bytes(document), block))


def _send(connection: socket.socket, document: bytes, block: bytes | memoryview) -> None:
    size = memoryview(block).nbytes
    connection.sendall(_SIZES.pack(len(document), size) + document)
    if size:
        connection.sendall(block)


def _receive(connection: socket.socket, deadline: float | None) -> tuple[bytearray, bytearray]:
    document_size, block_size = _SIZES.unpack(_exactly(connection, _SIZES.size, deadline))
    if document_size + block_size > LARGEST_FRAME:
        raise EOFError
    return _exactly(connection, document_size, deadline), _exactly(connection, block_size, deadline)


def _exactly(connection: socket.socket, size: int, deadline: float | None) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        if deadline is not None:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
        taken = connection.recv_into(view)
        if not taken:
            raise EOFError
        view = view[taken:]
    return data
