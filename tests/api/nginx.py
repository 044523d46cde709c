"""A real nginx with the documented configuration."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.api.conftest import PROJECT
from tests.asking import http
from tests.processes import free_port

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


@contextmanager
def nginx_before(server_url: str, data_dir: Path, place: Path) -> Iterator[str]:
    """Run nginx with deploy/nginx.conf in front of a server, its files below ``place``; yield its address."""
    port = free_port()
    text = (PROJECT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for before, after in (
        ("127.0.0.1:6300", server_url.removeprefix("http://")),
        ("listen 6380", f"listen 127.0.0.1:{port}"),
        ("root /srv/model-manager/data/", f"root {data_dir}/"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    home = place / "nginx"
    home.mkdir()
    (home / "site.conf").write_text(text, encoding="utf-8")
    user = "user root;" if os.geteuid() == 0 else ""
    (home / "nginx.conf").write_text(
        f"{user} worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log;\n"
        f"events {{}}\nhttp {{ access_log {home}/access.log; client_body_temp_path {home}/body;\n"
        f"proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;\n"
        f"scgi_temp_path {home}/s; include {home}/site.conf; }}\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([NGINX, "-p", str(home), "-c", str(home / "nginx.conf")], stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                http.get(url + "/api/health")
                break
            except httpx.TransportError:
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield url
    finally:
        process.send_signal(signal.SIGQUIT)
        process.communicate(timeout=10)
