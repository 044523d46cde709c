"""The floor: files that are ready, sent with ``os.sendfile`` on connections that stay open, and nothing besides.

One thread a process waits with epoll, cuts the address out of the request, and lets the kernel copy from the open file
into the socket. It does not look at conditions, codings or methods, writes no log and never looks at the disk again: it
is what Python can do when it does nothing but send, and no server that anybody should run.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
BACKLOG = 1024
END = b"\r\n\r\n"
PARENT_SECONDS = 1.0
HEALTHY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status": "ok"}'
UNKNOWN = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class File:
    """An open file and the header that goes before it."""

    descriptor: int
    size: int
    head: bytes


class Connection:
    """One client: what it asked so far, and how much of a file it still has to get."""

    def __init__(self, accepted: socket.socket, files: dict[bytes, File]) -> None:
        self.socket = accepted
        self._files = files
        self._asked = b""
        self._file: File | None = None
        self._offset = 0

    def receive(self) -> bool:
        """Take what arrived; return whether the client is still there."""
        data = self.socket.recv(65536)
        self._asked += data
        return bool(data)

    def send(self) -> bool:
        """Answer until the socket is full or nothing is asked; return whether it is full."""
        while True:
            if self._file is not None:
                if not self._copy(self._file):
                    return True
                self._file = None
            head, end, rest = self._asked.partition(END)
            if not end:
                return False
            self._asked = rest
            path = head.split(b" ", 2)[1]
            self._file, self._offset = self._files.get(path), 0
            if self._file is not None:
                self.socket.send(self._file.head, socket.MSG_MORE)
            else:
                self.socket.send(HEALTHY if path == b"/api/health" else UNKNOWN)

    def _copy(self, file: File) -> bool:
        while self._offset < file.size:
            try:
                left = file.size - self._offset
                self._offset += os.sendfile(self.socket.fileno(), file.descriptor, self._offset, left)
            except BlockingIOError:
                return False
        return True


def serve(listener: socket.socket, files: dict[bytes, File], parent: int) -> None:
    """Serve until ``parent`` is gone."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    while os.getppid() == parent:
        for descriptor, _ in poll.poll(PARENT_SECONDS):
            if descriptor == listener.fileno():
                accepted, _ = listener.accept()
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[accepted.fileno()] = Connection(accepted, files)
                poll.register(accepted, select.EPOLLIN)
                continue
            connection = connections[descriptor]
            try:
                is_there = connection.receive()
            except BlockingIOError:  # it was woken because there is room to send
                is_there = True
            except OSError:
                is_there = False
            try:
                if is_there:
                    is_full = connection.send()
                    poll.modify(descriptor, select.EPOLLIN | (select.EPOLLOUT if is_full else 0))
                    continue
            except OSError:  # it went away meanwhile
                pass
            poll.unregister(descriptor)
            connections.pop(descriptor).socket.close()


def open_files(directory: Path) -> dict[bytes, File]:
    """Open every gzip file below ``directory``; its address is its path without the ending."""
    files = {}
    for path in directory.rglob("*.gz"):
        size = path.stat().st_size
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
            f"Vary: Accept-Encoding\r\nCache-Control: no-cache\r\nContent-Length: {size}\r\n\r\n"
        )
        address = "/" + str(path.relative_to(directory).with_suffix(""))
        files[address.encode()] = File(os.open(path, os.O_RDONLY), size, head.encode())
    return files


def main() -> None:
    """Serve a directory on a port with so many processes."""
    directory, port, processes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files = open_files(directory)
    parent = os.getppid()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    for _ in range(processes - 1):
        first = os.getpid()
        if os.fork() == 0:
            parent = first
            listener = socket.socket()  # of its own on the same port: the system shares new connections out
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            break
    listener.bind((HOST, port))
    listener.listen(BACKLOG)
    serve(listener, files, parent)


if __name__ == "__main__":
    main()
