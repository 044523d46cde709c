"""Pages of other sites, by their browser's own requests, by forms, and by a name that they point at this machine."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.api.hosts import AllowedHosts, allowed_hosts
from mm_core.errors import SettingsError
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from tests.api.conftest import PROJECT
from tests.asking import http
from tests.attacks.conftest import PAYLOAD, Target
from tests.attacks.raw_http import exchange, request

TOKEN = "open-sesame-é"
SETTINGS = {"WRITE_TOKEN": TOKEN, "ALLOWED_HOSTS": "Models.Example, desk"}
CONFIG = "/api/models/m/symbols/SOLUSDT/factor-config"
CONFIG_BODY = b'{"SOLUSDT": {"mean_values": [0.2, 0.2, 0.2], "variance_values": [1, 1, 1]}}'
WRITES: dict[str, tuple[str, str, bytes]] = {
    "register": ("POST", "/api/models", b'{"model_name": "gone", "root_path": "/nowhere"}'),
    "refresh": ("POST", "/api/models/m/refresh", b""),
    "save": ("PUT", CONFIG, CONFIG_BODY),
    "delete": ("DELETE", "/api/models/gone", b""),
}
ACCEPTED = {"register": 400, "refresh": 200, "save": 200, "delete": 404}


def _write(target: Target, kind: str, **headers: str) -> int:
    method, path, body = WRITES[kind]
    given = {"Host": target.url.removeprefix("http://"), "Authorization": f"Bearer {TOKEN}"}
    if body:
        given["Content_Type"] = "application/json"
    (answer,) = exchange(target.url, request(path, method, body, **{**given, **headers}))
    return answer.status


@pytest.mark.parametrize("kind", WRITES)
def test_writes_of_no_page_pass(target: Target, kind: str) -> None:
    assert _write(target, kind) == ACCEPTED[kind]


@pytest.mark.parametrize("kind", WRITES)
def test_a_write_of_another_site_is_refused_with_the_right_token_too(target: Target, kind: str) -> None:
    own = target.url.removeprefix("http://")
    host, _, port = own.partition(":")
    origins = [
        "https://evil.example", "null", "", "*", "http://", "http://[", f"https://{own}", f"http://{host}",
        f"http://{host}:{int(port) + 1}", f"http://{own}.evil.example", f"http://{own}@evil.example",
        f"http://evil.example/{own}", f"http://{own}, http://evil.example", f"ftp://{own}", own,
        "file://", "chrome-extension://abc", f"http://localhost:{port}",
    ]  # fmt: skip
    for origin in origins:
        assert _write(target, kind, Origin=origin) == 403, origin
    for site in ("cross-site", "same-site", "Cross-Site", "", "same-origin, cross-site", "anything"):
        assert _write(target, kind, Sec_Fetch_Site=site) == 403, site
        assert _write(target, kind, Sec_Fetch_Site=site, Origin=target.url) == 403, site
    assert _write(target, kind, Origin="https://evil.example", Sec_Fetch_Site="same-origin") == 403
    for site in ("same-origin", "none"):
        assert _write(target, kind, Sec_Fetch_Site=site, Origin=target.url) == ACCEPTED[kind]
    behind_tls = _write(target, kind, Sec_Fetch_Site="same-origin", Origin=f"https://{own}")
    assert behind_tls == ACCEPTED[kind], "a page of this host, TLS ends before the server"


@pytest.mark.parametrize("kind", WRITES)
def test_no_page_is_told_that_it_may_ask(target: Target, kind: str) -> None:
    method, path, _ = WRITES[kind]
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": method}
    for answer in (
        http.options(target.url + path, headers=headers),
        http.get(target.url + PAYLOAD, headers={"Origin": "https://evil.example"}),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert http.options(target.url + path, headers=headers).status_code == 405


FORMS = [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a",
    "text/plain; application/json",
    "text/plain;charset=utf-8", "text/plain, application/json", "application/json, text/plain", "application/jsonp",
    "application/ld+json", "*/*", "application", "", "text/json", "application/json\tx", "application /json",
]  # fmt: skip


@pytest.mark.parametrize("kind", WRITES)
def test_bodies_that_a_form_can_send_are_refused(target: Target, kind: str) -> None:
    for media_type in FORMS:
        assert _write(target, kind, Content_Type=media_type) == 415, media_type
    method, path, body = WRITES[kind]
    plain, json_ = b"Content-Type: text/plain\r\n", b"Content-Type: application/json\r\n"
    for lines in (plain + json_, json_ + plain, b""):
        data = request(path, method, body or b"a=b", Authorization=f"Bearer {TOKEN}").replace(
            b"Host:", lines + b"Host:"
        )
        assert [answer.status for answer in exchange(target.url, data)] == [415], lines


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;"]
)
def test_json_by_any_of_its_names_passes(target: Target, kind: str, media_type: str) -> None:
    assert _write(target, kind, Content_Type=media_type) == ACCEPTED[kind]


def test_a_form_cannot_post_a_refresh_where_no_token_is_set_and_its_browser_tells_nothing(
    registry: Registry, settings: Settings
) -> None:
    client = Client(create_app(registry, settings))
    for media_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=a"):
        assert client.post("/api/models/m/refresh", content_type=media_type).status_code == 415
        assert client.delete("/api/models/m", content_type=media_type).status_code == 415
    assert client.post("/api/models/m/refresh").status_code == 404, "as curl -X POST asks: no body, no type"


def _own_names(target: Target) -> list[str]:
    port = target.url.rsplit(":", 1)[1]
    names = ["127.0.0.1", "10.1.2.3", "[::1]", "[fe80::1]", "localhost", "LOCALHOST", "localhost.", "desk"]
    names += ["models.example", "MODELS.EXAMPLE", "models.example.", socket.gethostname()]
    return [*names, *(f"{name}:{port}" for name in names), "localhost:"]


STRANGERS = [
    "evil.example", "evil.example:6300", "127.0.0.1.evil.example", "localhost.evil.example", "models.example.evil",
    "notmodels.example", "a.models.example", "0x7f000001", "2130706433", "127.1", "017700000001", "127.0.0.1.nip.io",
    "[::1].evil", "", "desk.example", "xn--e1afmkfd.example",
]  # fmt: skip
PATHS = [PAYLOAD, PAYLOAD + "?group_key=SOLUSDT_mid_chg_1m", "/api/models", "/api/health", "/metrics", "/", "/nothing"]


def test_names_of_this_server_are_answered(target: Target) -> None:
    for host in _own_names(target):
        (answer,) = exchange(target.url, request(PAYLOAD, Host=host))
        assert (answer.status, answer.body) == (200, target.body), host
    assert exchange(target.url, f"GET {PAYLOAD} HTTP/1.0\r\n\r\n".encode())[0].status == 200, "no browser asks so"


@pytest.mark.parametrize("path", PATHS)
def test_other_names_are_not_whatever_is_asked_for(target: Target, path: str) -> None:
    for host in STRANGERS:
        (answer,) = exchange(target.url, request(path, Host=host))
        assert answer.status in ({421, 400} if host == "[::1].evil" else {421}), host
        assert b"MODEL_MANAGER_ALLOWED_HOSTS" in answer.body or answer.status == 400
        assert host.encode() not in answer.body or not host
    (answer,) = exchange(target.url, request(f"http://evil.example{path}"))
    assert answer.status == 421, "the target's host counts, not the header's"
    (answer,) = exchange(target.url, request(path, "POST", b"{}", Host="evil.example", Content_Type="application/json"))
    assert answer.status == 421


def test_a_page_that_points_its_name_here_reads_nothing_after_a_pull_was_answered(target: Target) -> None:
    honest, rebound = request(PAYLOAD), request(PAYLOAD, Host="evil.example", Origin="http://evil.example")
    answers = exchange(target.url, honest + honest + rebound + honest)
    assert [answer.status for answer in answers] == [200, 200, 421]


def test_the_way_to_the_dashboard_leads_to_no_host_that_was_made_up(target: Target) -> None:
    for path in ("/", "/config"):
        (answer,) = exchange(target.url, request(path, Host="Desk:6300"))
        assert answer.headers["location"] == f"http://desk:6301{path}"
        (answer,) = exchange(target.url, request(path, Host="[::1]"))
        assert answer.headers["location"] == f"http://[::1]:6301{path}"
        for host in ("evil.example", "a b", "desk@evil.example", "desk/evil", "desk?", "desk#", 'desk"', "desk\\x"):
            (answer,) = exchange(target.url, request(path, Host=host))
            assert answer.status in {400, 421}, host
            assert "location" not in answer.headers


def test_nginx_passes_the_name_on(front: str) -> None:
    assert http.get(front + "/api/models").status_code == 200
    assert http.get(front + "/api/models", headers={"Host": "models.example"}).status_code == 200
    assert http.get(front + "/api/models", headers={"Host": "evil.example"}).status_code == 421


def test_without_list_and_token_any_name_is_answered() -> None:
    hosts = allowed_hosts(load_settings({}))
    assert all(hosts.allows(host) for host in ("evil.example", "127.0.0.1", "models:6300"))
    anything = load_settings({"MODEL_MANAGER_ALLOWED_HOSTS": "*", "MODEL_MANAGER_WRITE_TOKEN": "x"})
    assert allowed_hosts(anything).allows("evil.example")


def test_a_token_alone_lets_no_other_names_in() -> None:
    hosts = allowed_hosts(load_settings({"MODEL_MANAGER_WRITE_TOKEN": "x", "MODEL_MANAGER_HTTP_HOST": "models.lan"}))
    assert all(hosts.allows(name) for name in ("models.lan:6300", "10.0.0.1", "localhost:1", socket.gethostname()))
    assert not hosts.allows("evil.example")


def test_a_list_without_a_token_is_kept_to() -> None:
    hosts = allowed_hosts(load_settings({"MODEL_MANAGER_ALLOWED_HOSTS": "models.example"}))
    assert hosts.allows("models.example:6300")
    assert not hosts.allows("evil.example")


@pytest.mark.parametrize("address", ["*", "0.0.0.0", "::", "[::]", "127.0.0.1", ""])
def test_an_address_to_bind_to_is_no_name_that_anybody_may_ask_by(address: str) -> None:
    hosts = allowed_hosts(replace(load_settings({"MODEL_MANAGER_WRITE_TOKEN": "x"}), http_host=address))
    assert hosts.allows("127.0.0.1:6300")
    assert not any(map(hosts.allows, ("evil.example", "*", "", ":80", "...")))


def test_a_million_made_up_names_stay_in_no_memory() -> None:
    hosts = AllowedHosts({"localhost"})
    for number in range(1000):
        assert not hosts.allows(f"{number}.evil.example")
    assert hosts.allows.cache_info().currsize <= 256


@pytest.mark.parametrize("value", ["", " , ", "http://models.example", "models.example:6300", "a b", "a/b", "*.a"])
def test_a_list_of_hosts_that_makes_no_sense_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="MODEL_MANAGER_ALLOWED_HOSTS"):
        load_settings({"MODEL_MANAGER_ALLOWED_HOSTS": value})


@pytest.mark.parametrize(
    ("hosts", "token", "address", "allowed"),
    [
        ("models.example, [fd00::1]", None, "0.0.0.0", {"models.example", "fd00::1", "localhost", os.uname().nodename}),
        ("models.example", None, "127.0.0.1", {"models.example", "localhost", "127.0.0.1", "::1", os.uname().nodename}),
        (None, "secret", "0.0.0.0", {"localhost", "127.0.0.1", "::1", os.uname().nodename}),
        (None, None, "0.0.0.0", {"*"}),
        (None, None, "127.0.0.1", set()),
        ("models.example", None, "*", {"models.example", "localhost", "127.0.0.1", "::1", os.uname().nodename}),
        (None, None, "*", {"*"}),
    ],
)  # fmt: skip
def test_the_dashboard_is_started_with_the_same_names(
    tmp_path: Path, hosts: str | None, token: str | None, address: str, allowed: set[str]
) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(PROJECT / "start.sh", tmp_path)
    python = '[ "$1" != payload_server.py ] || exec sleep 20; printf "%s\\n" "$@" >>"$0.$2.calls"'
    for name, program in (("setup.sh", "exit 0"), (".venv/bin/python", python)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "MODEL_MANAGER_HTTP_HOST": address}
    if hosts is not None:
        environment["MODEL_MANAGER_ALLOWED_HOSTS"] = hosts
    if token is not None:
        environment["MODEL_MANAGER_WRITE_TOKEN"] = token
    done = subprocess.run([str(tmp_path / "start.sh")], env=environment, capture_output=True, text=True, timeout=30)
    words = (tmp_path / ".venv" / "bin" / "python.streamlit.calls").read_text().split("\n")
    given = {value for name, value in itertools.pairwise(words) if name == "--server.allowedHosts"}
    assert allowed <= given
    assert ("*" in given) == (allowed == {"*"})
    assert bool(given) == bool(allowed)
    assert ("--server.address", "0.0.0.0" if address == "*" else address) in itertools.pairwise(words)
    assert "http://127.0.0.1:6301/" in done.stdout
