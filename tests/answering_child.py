"""A child process that does as it is told, well or badly."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import sys
import time

from mm_core.child_processes import serve


def answer(document: bytes, block: bytearray) -> tuple[bytes, bytes | memoryview]:
    """Do what the document says."""
    match document.decode():
        case "sleep":
            time.sleep(60)
        case "sleep uninterrupted":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "fault":
            os.abort()
        case "exit":
            os._exit(3)
        case "claim":
            connection = socket.socket(fileno=os.dup(int(sys.argv[1])))
            connection.sendall(struct.pack("<QQ", 1 << 60, 1 << 60))
        case "half":
            connection = socket.socket(fileno=os.dup(int(sys.argv[1])))
            connection.sendall(struct.pack("<QQ", 10, 0) + b"half")
            os._exit(4)
        case "environment":
            return json.dumps(dict(os.environ)).encode(), b""
        case "limits":
            names = ("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_FSIZE")
            limits = {name: resource.getrlimit(getattr(resource, name))[0] for name in names}
            return json.dumps({**limits, "nice": os.nice(0), "path": sys.path}).encode(), b""
    return document, bytes(reversed(block))


if __name__ == "__main__":
    serve(answer, RLIMIT_FSIZE=0)
