#!/usr/bin/env bash
# Run the payload server alone, in the foreground, with the project's own interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [ ! -x .venv/bin/python ]; then
    echo "start_model_manager: .venv is missing. Run ./setup.sh first." >&2
    exit 1
fi
exec .venv/bin/python payload_server.py
