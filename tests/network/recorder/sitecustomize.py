"""Every Python process that starts with this folder on its path notes whom it talks to, one JSON line each."""

import json
import os
import sys

WATCHED = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
           "socket.gethostbyaddr", "socket.getnameinfo"}  # fmt: skip
BEHIND_A_SOCKET = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def note(event: str, arguments: tuple[object, ...]) -> None:
    """Append an event with its address to the file that ``SOCKETS_NOTED`` names."""
    if event in WATCHED:
        write(event, arguments[1] if event in BEHIND_A_SOCKET else arguments[0])


def write(event: str, address: object) -> None:
    """Append a line that says which process it is of."""
    line = json.dumps([event, address, sys.orig_argv[:6]], default=str) + "\n"
    descriptor = os.open(os.environ["SOCKETS_NOTED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


sys.addaudithook(note)
write("started", "localhost")
