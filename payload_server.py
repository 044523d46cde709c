"""Start the payload server; settings are environment variables."""

import sys

from mm_core.api.server import serve
from mm_core.errors import SettingsError
from mm_core.settings import load_settings

if __name__ == "__main__":
    try:
        raise SystemExit(serve(load_settings()))
    except SettingsError as error:
        print(error.detail, file=sys.stderr)
        raise SystemExit(2) from None
