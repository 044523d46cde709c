#!/usr/bin/env bash
# Run the payload server in the foreground with the project's own interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec .venv/bin/python payload_server.py
