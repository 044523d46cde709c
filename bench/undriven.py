"""Chromium as people have it: watched through DevTools, without the parts of them that slow a page down.

Playwright and its like switch the Runtime domain on in every page. V8 then needs the source position of each call in
a stack trace that a page's code takes, and parses functions again to get it: of plotly 0.42 s, twice what running it
takes otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability",
    "--metrics-recording-only", "--no-pings", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
"""Routing requests would turn the browser's cache off, so names are kept from resolving instead."""

SIZE = (1280, 900)
STARTING_SECONDS = 20.0
ANSWERING_SECONDS = 10.0

WAIT = """
(async () => {
  const shown = %s;
  const deadline = performance.now() + %d;
  while (performance.now() < deadline) {
    const answer = shown(%s);
    if (answer) return answer;
    await new Promise(requestAnimationFrame);
  }
  return null;
})()
"""


class Chromium:
    """A browser that has a place for its caches; each page that it opens is a tab of its own."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._calls = 0

    def opened(
        self, url: str, shown: str, argument: Any, *, newcomer: bool = False, longest_seconds: float = 30.0
    ) -> float | None:
        """Open an address; return the seconds until the JavaScript function ``shown`` answers, None when it does not.

        The function is asked before each frame is painted and answers with milliseconds since navigation. A
        ``newcomer`` has nothing in the browser's cache.
        """
        where = {"browserContextId": self._call("Target.createBrowserContext")["browserContextId"]} if newcomer else {}
        target = self._call("Target.createTarget", url="about:blank", **where)["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        try:
            self._call("Page.navigate", session, url=url)
            waiting = WAIT % (shown, longest_seconds * 1000, json.dumps(argument))
            answer = self._call(
                "Runtime.evaluate", session, longest_seconds, expression=waiting, awaitPromise=True, returnByValue=True
            )
            if "exceptionDetails" in answer:
                raise RuntimeError(f"{url}: {answer['exceptionDetails']}")
            milliseconds = answer["result"].get("value")
            return None if milliseconds is None else float(milliseconds) / 1000
        finally:
            self._call("Target.closeTarget", targetId=target)
            if newcomer:
                self._call("Target.disposeBrowserContext", **where)

    def close(self) -> None:
        """End the browser as a window's cross does: it tidies up behind itself."""
        self._call("Browser.close")

    def _call(self, method: str, session: str | None = None, seconds: float = 0.0, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        call = {"id": self._calls, "method": method, "params": parameters}
        self._connection.send(json.dumps(call if session is None else call | {"sessionId": session}))
        deadline = time.monotonic() + seconds + ANSWERING_SECONDS
        while True:
            message = json.loads(self._connection.recv(max(deadline - time.monotonic(), 0.0)))
            if message.get("id") == self._calls:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result


@contextmanager
def room_of_its_own() -> Iterator[tuple[Path, dict[str, str]]]:
    """Make a directory for all that a browser writes; give it and the environment for the browser.

    A browser that ends leaves files in the temporary directory now and then: they go with this one. Its path is
    short, because a socket is put into it, whose path has 107 bytes at most.
    """
    with tempfile.TemporaryDirectory(prefix="mm-", ignore_cleanup_errors=True) as room:
        yield Path(room), os.environ | {"TMPDIR": room}


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Run headless Chromium that knows no other machine and has never been anywhere."""
    with room_of_its_own() as (room, environment):
        profile = room / "profile"
        command = [CHROMIUM, "--headless=new", f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        command += [f"--window-size={SIZE[0]},{SIZE[1]}", *OPTIONS]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(process, profile), max_size=None) as connection:
                browser = Chromium(connection)
                yield browser
                browser.close()
                process.wait(STARTING_SECONDS)
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Return where a starting browser takes calls, as it writes it into its profile."""
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        lines = told.read_text().splitlines() if told.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
    raise RuntimeError(f"{CHROMIUM} did not start; its exit code is {process.poll()}.")
