"""What the client asks for, what it does when it is refused, and when it asks again."""

from __future__ import annotations

import email.utils
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from mm_core.client import BadAnswer, DimFactor, PayloadClient, PayloadNotFound, RequestRefused, ServerAway
from tests.client.serving import Answer, ScriptedServer, body_of, copies_in, problem, tag_of

PROJECT = Path(__file__).parent.parent.parent


# ── what is asked and what is handed out ──


def test_a_payload_is_handed_out_with_everything_that_belongs_together(
    client: PayloadClient, server: ScriptedServer
) -> None:
    before = datetime.now(UTC)
    payload = client.get("m", "SOL")
    assert (payload.model_name, payload.symbol) == ("m", "SOL")
    assert payload.model_json.startswith('{"learner"')
    assert payload.metadata["group_key"] == "SOL_1m"
    assert payload.dim_factors[1] == DimFactor(1, "volatility_20", 0.25)
    assert payload.factor_names == ("momentum_5", "volatility_20", "spread_3")
    assert payload.mean_values == (0.2, 1.0, -0.5)
    assert payload.variance_values == (1.0, 4.0, 0.25)
    assert payload.etag == tag_of(server.body, "-gz")
    assert (payload.stale, payload.stale_copy) == (False, None)
    assert before <= payload.fetched_at <= datetime.now(UTC)


def test_only_gzip_is_asked_for_and_the_first_request_has_no_condition(
    client: PayloadClient, server: ScriptedServer
) -> None:
    client.get("m", "SOL")
    [(path, headers)] = server.asked
    assert path == "/api/models/m/model/SOL"
    assert headers["accept-encoding"] == "gzip"
    assert "if-none-match" not in headers


def test_the_second_request_is_conditional_and_304_confirms_the_copy(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    first = client.get("m", "SOL")
    os.utime(copies_in(tmp_path)[0], (1_000_000_000, 1_000_000_000))
    second = client.get("m", "SOL")
    assert server.asked[1][1]["if-none-match"] == first.etag
    assert (second.model_json, second.etag, second.stale) == (first.model_json, first.etag, False)
    assert second.fetched_at > first.fetched_at
    assert copies_in(tmp_path)[0].stat().st_mtime == pytest.approx(second.fetched_at.timestamp(), abs=1e-3)


def test_a_changed_payload_replaces_the_copy(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    client.get("m", "SOL")
    server.body = body_of(mean_values=[9, 9, 9])
    assert client.get("m", "SOL").mean_values == (9.0, 9.0, 9.0)
    assert client.get("m", "SOL").mean_values == (9.0, 9.0, 9.0)
    assert server.asked[2][1]["if-none-match"] == tag_of(server.body, "-gz")
    assert len(copies_in(tmp_path)) == 1


@pytest.mark.parametrize("tag", ['"{}"', '"{}-gz"', '"{}-zst"', 'W/"{}-gz"'])
def test_the_etag_carries_the_digest_whatever_the_coding(
    client: PayloadClient, server: ScriptedServer, tag: str
) -> None:
    server.script.append(Answer(200, server.body, {"ETag": tag.format(hashlib.sha256(server.body).hexdigest())}))
    client.get("m", "SOL")
    client.get("m", "SOL")
    assert server.asked[1][1]["if-none-match"] == tag.format(hashlib.sha256(server.body).hexdigest())


@pytest.mark.parametrize("symbol", ["BTC/USDT", "..x", "100%", "%2F", "A?B#C d", "Ünï", "a\\b", "x" * 300])
def test_odd_symbols_reach_the_server_whole_and_stay_inside_the_cache(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path, symbol: str
) -> None:
    server.body = body_of(symbol=symbol)
    client.get("m", symbol)
    assert unquote(server.asked[0][0].removeprefix("/api/models/m/model/")) == symbol
    assert server.asked[0][0].count("/") == 5
    [copy] = (tmp_path / "cache").rglob("*")
    assert len(copy.name) <= 255
    assert copy.name.isascii()
    server.stop()
    assert client.get("m", symbol).symbol == symbol


@pytest.mark.parametrize("symbol", ["", ".", ".."])
def test_a_symbol_that_would_change_the_path_is_refused(client: PayloadClient, symbol: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        client.get("m", symbol)


@pytest.mark.parametrize("url", ["", "host:6300", "ftp://host", "http://", "http://h:port", "http://h/?a=b"])
def test_a_base_url_that_cannot_work_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base_url"):
        PayloadClient(url, tmp_path)


def test_symbols_compare_without_case_and_share_one_copy(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    assert client.get("m", "sol").symbol == "SOL"
    assert client.get("m", "SOL").symbol == "SOL"
    assert len(copies_in(tmp_path)) == 1
    assert "if-none-match" in server.asked[1][1]


def test_a_group_key_is_asked_for_and_checked(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    client.get("m", "SOL", group_key="SOL_1m")
    assert server.asked[0][0] == "/api/models/m/model/SOL?group_key=SOL_1m"
    with pytest.raises(BadAnswer, match="it is of group 'SOL_1m'"):
        client.get("m", "SOL", group_key="SOL_5m")
    assert len(copies_in(tmp_path)) == 1


def test_copies_of_two_servers_do_not_mix(connect: Callable[..., PayloadClient], tmp_path: Path) -> None:
    connect().get("m", "SOL")
    other = ScriptedServer()
    other.stop()
    with (
        PayloadClient(other.url, tmp_path / "cache", sleep=lambda _: None) as elsewhere,
        pytest.raises(ServerAway, match="there is none in"),
    ):
        elsewhere.get("m", "SOL")


# ── refusals ──


def test_404_is_not_masked_by_the_copy(client: PayloadClient, server: ScriptedServer) -> None:
    client.get("m", "SOL")
    server.script.append(problem(404, "No model 'm' among 3. Register it."))
    with pytest.raises(PayloadNotFound, match="Register it") as caught:
        client.get("m", "SOL")
    assert (caught.value.detail, caught.value.status) == ("No model 'm' among 3. Register it.", 404)
    assert len(server.asked) == 2


def test_a_withdrawn_model_does_not_come_back_when_the_server_goes_away(
    client: PayloadClient, server: ScriptedServer
) -> None:
    client.get("m", "SOL")
    server.script.append(problem(404, "Withdrawn."))
    with pytest.raises(PayloadNotFound):
        client.get("m", "SOL")
    server.stop()
    with pytest.raises(ServerAway):
        client.get("m", "SOL")


def test_a_404_that_is_not_the_servers_own_leaves_the_copy(client: PayloadClient, server: ScriptedServer) -> None:
    client.get("m", "SOL")
    server.script.append(Answer(404, b"<html>proxy</html>", {"Content-Type": "text/html"}))
    with pytest.raises(PayloadNotFound, match="Check base_url") as caught:
        client.get("m", "SOL")
    assert caught.value.detail == ""
    server.stop()
    assert client.get("m", "SOL").stale


def test_400_has_the_servers_sentence(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(problem(400, "A model name is letters and digits."))
    with pytest.raises(PayloadNotFound, match="letters and digits") as caught:
        client.get("m", "SOL")
    assert caught.value.status == 400


@pytest.mark.parametrize("status", [401, 403, 406, 410])
def test_other_refusals_are_raised_at_once_despite_a_copy(
    client: PayloadClient, server: ScriptedServer, status: int
) -> None:
    client.get("m", "SOL")
    server.script.append(problem(status, "Not for you."))
    with pytest.raises(RequestRefused, match="Not for you") as caught:
        client.get("m", "SOL")
    assert (caught.value.status, len(server.asked)) == (status, 2)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"title": "x"}', b" " * 100_000])
def test_a_damaged_problem_document_is_still_a_refusal(
    client: PayloadClient, server: ScriptedServer, body: bytes
) -> None:
    server.script.append(Answer(404, body, {"Content-Type": "application/problem+json"}))
    with pytest.raises(PayloadNotFound, match="answered 404"):
        client.get("m", "SOL")


# ── retries ──


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_trouble_that_may_pass_is_tried_again_until_it_does(
    client: PayloadClient, server: ScriptedServer, waits: list[float], status: int
) -> None:
    server.script.extend([Answer(status)] * 3)
    assert not client.get("m", "SOL").stale
    assert len(server.asked) == 4
    assert all(low <= wait <= 2 * low for low, wait in zip([0.125, 0.25, 0.5], waits, strict=True))
    assert waits != [0.25, 0.5, 1.0]  # jitter


def test_attempts_are_bounded(connect: Callable[..., PayloadClient], server: ScriptedServer) -> None:
    server.script.extend([Answer(503)] * 9)
    with pytest.raises(ServerAway, match="answered 503"):
        connect(attempts=2).get("m", "SOL")
    assert len(server.asked) == 2


def test_a_cut_connection_is_tried_again(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(Answer(200, server.body, {"ETag": tag_of(server.body)}, hang_up=100))
    assert client.get("m", "SOL").symbol == "SOL"
    assert len(server.asked) == 2


def test_500_is_not_tried_again(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(problem(500, "A mistake."))
    with pytest.raises(ServerAway, match="answered 500"):
        client.get("m", "SOL")
    assert len(server.asked) == 1


def test_retry_after_in_seconds_is_honoured(client: PayloadClient, server: ScriptedServer, waits: list[float]) -> None:
    server.script.append(Answer(503, headers={"Retry-After": "7"}))
    client.get("m", "SOL")
    assert waits == [7.0]


def test_retry_after_as_a_date_is_honoured(client: PayloadClient, server: ScriptedServer, waits: list[float]) -> None:
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=8), usegmt=True)
    server.script.append(Answer(429, headers={"Retry-After": date}))
    client.get("m", "SOL")
    assert waits[0] == pytest.approx(7.5, abs=1.0)


@pytest.mark.parametrize(
    "header", ["soon", "-5", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 -0000", "1e3"]
)
def test_a_retry_after_that_says_nothing_leaves_the_usual_wait(
    client: PayloadClient, server: ScriptedServer, waits: list[float], header: str
) -> None:
    server.script.append(Answer(503, headers={"Retry-After": header}))
    client.get("m", "SOL")
    assert 0.125 <= waits[0] <= 0.25


@pytest.mark.parametrize("seconds", ["3600", "9" * 400])
def test_a_server_that_asks_for_more_patience_than_allowed_counts_as_away(
    client: PayloadClient, server: ScriptedServer, waits: list[float], seconds: str
) -> None:
    client.get("m", "SOL")
    server.script.append(Answer(503, headers={"Retry-After": seconds}))
    assert client.get("m", "SOL").stale
    assert (len(server.asked), waits) == (2, [])
