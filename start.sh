#!/usr/bin/env bash
# Run payload server and dashboard in the foreground; SIGTERM or Ctrl-C stops both cleanly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
usage: ./start.sh [--demo] [--web-host HOST] [--web-port PORT]

  --demo            register the demo's three models first
  --web-host HOST   address of the payload server (MODEL_MANAGER_HTTP_HOST)
  --web-port PORT   port of the payload server (MODEL_MANAGER_HTTP_PORT)
TEXT
}

demo=
while [ $# -gt 0 ]; do
    case $1 in
        --demo) demo=1 ;;
        --web-host | --web-port)
            [ $# -ge 2 ] || { echo "start: $1 needs a value" >&2; usage >&2; exit 2; }
            if [ "$1" = --web-host ]; then export MODEL_MANAGER_HTTP_HOST=$2; else export MODEL_MANAGER_HTTP_PORT=$2; fi
            shift
            ;;
        --help | -h) usage; exit 0 ;;
        *) echo "start: unknown option '$1'" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

[ -x .venv/bin/python ] && [ -f .venv/.installed-requirements.txt ] || ./setup.sh

host=${MODEL_MANAGER_HTTP_HOST:-0.0.0.0}
port=${MODEL_MANAGER_HTTP_PORT:-6300}
dashboard_port=${MODEL_MANAGER_DASHBOARD_PORT:-6301}
shown=$host
[ "$host" = 0.0.0.0 ] && shown=127.0.0.1

if [ -n "$demo" ]; then
    for model in mid_chg_1b mid_chg_5b mid_chg_20b; do
        .venv/bin/python -m mm_core register "$model" "data/demo/$model" >/dev/null
    done
fi

mkdir -p run
pid_file=run/model_manager.pid
server=
dashboard=
stopping=

stop() {
    stopping=1
    [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
    [ -z "$dashboard" ] || kill -TERM "$dashboard" 2>/dev/null || true
}
trap stop TERM INT

.venv/bin/python payload_server.py &
server=$!
.venv/bin/python -m streamlit run app.py --server.address "$host" --server.port "$dashboard_port" &
dashboard=$!
echo $$ >"$pid_file"

cat <<TEXT
start: payload server  http://$shown:$port/api/health
start: dashboard       http://$shown:$dashboard_port/
start: try             curl -s http://$shown:$port/api/models
TEXT

code=0
wait -n "$server" "$dashboard" || code=$?
if [ -z "$stopping" ]; then
    echo "start: one of the two processes ended by itself (exit code $code); stopping the other" >&2
    [ "$code" -ne 0 ] || code=1
    stop
else
    code=0
fi

for _ in $(seq 150); do
    kill -0 "$server" 2>/dev/null || kill -0 "$dashboard" 2>/dev/null || break
    sleep 0.1
done
kill -KILL "$server" "$dashboard" 2>/dev/null || true
wait || true
rm -f "$pid_file"
exit "$code"
