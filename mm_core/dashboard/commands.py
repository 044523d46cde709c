"""Lines to copy into a shell: what a page shows, asked for or changed from outside."""

from __future__ import annotations

import shlex
from urllib.parse import quote


def change_by_http(base: str, model_name: str, subject: str, *, with_token: bool, is_version: bool = False) -> str:
    """Return the lines that read mean and variance, leave them to an editor and put them back.

    Unless somebody was faster: then nothing is stored. The subject is a symbol, or a version.
    """
    place, what = ("versions", "normalizer") if is_version else ("symbols", "factor-config")
    url = shlex.quote(f"{base}/api/models/{quote(model_name, safe='')}/{place}/{quote(subject, safe='')}/{what}")
    token = ' -H "Authorization: Bearer $MODEL_MANAGER_WRITE_TOKEN"' if with_token else ""
    return (
        f"curl -s -D headers.txt -o config.json {url}\n"
        "# edit mean_values and variance_values in config.json, then:\n"
        "curl -s -X PUT -H 'Content-Type: application/json'"
        " -H \"If-Match: $(tr -d '\\r' < headers.txt | sed -n 's/^etag: //Ip')\""
        f"{token} --data-binary @config.json {url}"
    )


def change_by_command_line(model_name: str, subject: str, revision: int, *, is_version: bool = False) -> str:
    """Return the same as commands of ``python -m mm_core``, for a shell beside the data directory."""
    place = f"{shlex.quote(model_name)} {shlex.quote(subject)}"
    command = f".venv/bin/python -m mm_core {'normalizer' if is_version else 'config'}"
    return (
        f"{command} get {place} --json > config.json\n"
        "# edit mean_values and variance_values in config.json, then:\n"
        f"{command} set {place} config.json --expected-revision {revision} --note why"
    )


def pull_by_curl(base: str, model_name: str, symbol: str) -> str:
    """Return the lines that pull a payload, and pull it again only when it is another one."""
    url = shlex.quote(f"{base}/api/models/{quote(model_name, safe='')}/model/{quote(symbol, safe='')}")
    name = shlex.quote(f"{symbol}.json")
    return (
        f"curl -s --compressed -D headers.txt -o {name} {url}\n"
        "tag=$(tr -d '\\r' < headers.txt | sed -n 's/^etag: //Ip')\n"
        f"curl -s --compressed -o /dev/null -w '%{{http_code}}\\n' -H \"If-None-Match: $tag\" {url}"
    )


def pull_by_python(base: str, model_name: str, symbol: str) -> str:
    """Return the lines of a bot that pulls with `mm_core.client` and makes an XGBoost booster of it."""
    return (
        "from mm_core.client import PayloadClient\n"
        "import xgboost\n\n"
        f"with PayloadClient({base!r}, 'payloads') as client:\n"
        f"    payload = client.get({model_name!r}, {symbol!r})\n"
        "booster = xgboost.Booster()\n"
        "booster.load_model(bytearray(payload.model_json, 'utf-8'))\n"
        "# row = payload.normalize({factor: value, ...})"
    )
