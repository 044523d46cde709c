"""Lines to copy into a shell: what a page shows, asked for or changed from outside."""

from __future__ import annotations

import shlex
from urllib.parse import quote


def change_by_http(base: str, model_name: str, symbol: str, *, with_token: bool) -> str:
    """Return the lines that read a factor config, leave it to an editor and put it back unless somebody was faster."""
    url = shlex.quote(f"{base}/api/models/{quote(model_name, safe='')}/symbols/{quote(symbol, safe='')}/factor-config")
    token = ' -H "Authorization: Bearer $MODEL_MANAGER_WRITE_TOKEN"' if with_token else ""
    return (
        f"curl -s -D headers.txt -o config.json {url}\n"
        "# edit mean_values and variance_values in config.json, then:\n"
        "curl -s -X PUT -H 'Content-Type: application/json'"
        " -H \"If-Match: $(tr -d '\\r' < headers.txt | sed -n 's/^etag: //Ip')\""
        f"{token} --data-binary @config.json {url}"
    )


def change_by_command_line(model_name: str, symbol: str, revision: int) -> str:
    """Return the same as commands of ``python -m mm_core``, for a shell beside the data directory."""
    place = f"{shlex.quote(model_name)} {shlex.quote(symbol)}"
    return (
        f".venv/bin/python -m mm_core config get {place} --json > config.json\n"
        "# edit mean_values and variance_values in config.json, then:\n"
        f".venv/bin/python -m mm_core config set {place} config.json --expected-revision {revision} --note why"
    )
