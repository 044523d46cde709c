"""Where a dashboard process finds the payload server beside it."""

from __future__ import annotations

import pytest

from mm_core.dashboard.session import own_api_address


@pytest.mark.parametrize(
    ("bound_to", "host"),
    [
        ("0.0.0.0", "127.0.0.1"), ("*", "127.0.0.1"), ("::", "[::1]"),
        ("10.0.0.5", "10.0.0.5"), ("fd00::1", "[fd00::1]"), ("models.example", "models.example"),
    ],
)  # fmt: skip
def test_a_server_on_every_address_is_asked_on_the_loopback_one_and_any_other_where_it_listens(
    empty_state: dict[str, str], monkeypatch: pytest.MonkeyPatch, bound_to: str, host: str
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_HTTP_HOST", bound_to)
    assert own_api_address() == f"http://{host}:{empty_state['MODEL_MANAGER_HTTP_PORT']}"
