"""How long connections are borne with: those that ask nothing, ask slowly, or do not read their answers."""

from __future__ import annotations

import time
from typing import Any

from mm_core.api.refusals import Refusal

SLOWEST_BYTES_A_SECOND = 4096
"""Requests must arrive, and answers be read, no slower on average once the first seconds are over."""

IDLE_SECONDS_WHEN_FULL = 5.0
"""Idle connections make room when no more are accepted."""


class Patience:
    """Ends connections of one listener; the loop calls it once a second."""

    def __init__(self, listener: Any, request_seconds: float, idle_seconds: float) -> None:
        self._listener = listener
        self._request_seconds = request_seconds
        self._idle_seconds = idle_seconds

    def __call__(self) -> None:
        """Look at every connection."""
        is_full = len(self._listener._map) >= self._listener.adj.connection_limit
        idle_seconds = min(self._idle_seconds, IDLE_SECONDS_WHEN_FULL) if is_full else self._idle_seconds
        moment = time.monotonic()
        for channel in list(self._listener.active_channels.values()):
            if channel.lingers_until is not None:
                if moment > channel.lingers_until:
                    channel.handle_close()
                continue
            request = channel.request
            if channel.total_outbufs_len:
                self._look_at_reader(channel, moment)
            if channel.total_outbufs_len or channel.requests:
                if request is not None:
                    request.began = moment  # nothing is read meanwhile: the delay is ours
                continue
            if request is not None:
                received = request.header_bytes_received + request.body_bytes_received
                if self._is_too_slow(moment - request.began, received):
                    channel.give_up(Refusal(408))
                continue
            has_asked = channel.active_at != channel.opened_at
            allowed = idle_seconds if has_asked else min(idle_seconds, self._request_seconds)
            if moment - channel.active_at > allowed:
                channel.will_close = True

    def _look_at_reader(self, channel: Any, moment: float) -> None:
        if channel.behind is None:
            channel.behind = (moment, channel.sent_bytes)
        since, sent = channel.behind
        if self._is_too_slow(moment - since, channel.sent_bytes - sent):
            channel.drop()

    def _is_too_slow(self, seconds: float, moved: int) -> bool:
        return seconds > self._request_seconds + moved / SLOWEST_BYTES_A_SECOND
