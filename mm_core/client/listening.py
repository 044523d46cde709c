"""Waiting for a change without asking for it again and again."""

from __future__ import annotations

import math
import time

from .asking import Server
from .errors import PayloadNotFound, ServerAway
from .manifests import changes_path, may_have_changed

SHORTEST_PAUSE_SECONDS = 1.0
"""Between two questions, whatever the server answers."""

_AWAY_PAUSE_SECONDS = 5.0
_LONGEST_HELD_SECONDS = 25  # what the server allows
_LARGEST_ANSWER = 8 << 20


def wait_for_change(server: Server, model: str, revision: int, seconds: float, look_after: float = math.inf) -> float:
    """Return what is left of ``seconds`` when a model may have changed after ``revision``, or after ``look_after``.

    It is 0 where neither came. While the server is away it is waited for. Raises `BadAnswer` and `RequestRefused`.
    """
    left = seconds
    while (patience := min(left, look_after - (seconds - left))) > 0:
        longest = min(math.ceil(patience), _LONGEST_HELD_SECONDS)
        path = changes_path(model, revision, longest)
        began = time.monotonic()
        try:
            told = server.listen(path, longest, _LARGEST_ANSWER)
            may_have, pause = may_have_changed(told.body, path), told.retry_after
        except PayloadNotFound:
            may_have, pause = True, 0.0  # the manifest says whether the model is gone
        except ServerAway as away:
            may_have, pause = False, max(away.retry_in or 0.0, _AWAY_PAUSE_SECONDS)
        spent = time.monotonic() - began
        left -= spent
        if may_have:
            break
        pause = min(max(pause, SHORTEST_PAUSE_SECONDS - spent), patience - spent)
        if pause > 0:
            server.pause(pause)
            left -= pause
    return max(left, 0.0)
