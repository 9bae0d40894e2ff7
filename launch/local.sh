#!/usr/bin/env bash
# Several processes of one run on this machine: launch/local.sh COUNT train --config=... --workdir=...
# The first one's output is shown; when one fails, all stop.
set -euo pipefail
count=$1
shift
address="localhost:${PORT:-$((20000 + RANDOM % 20000))}"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
trap 'kill -TERM "${pids[@]}" 2>/dev/null || true; wait; exit 143' TERM INT
for ((index = 0; index < count; index++)); do
  output=/dev/null
  ((index == 0)) && output=/dev/stdout
  depthjax "$@" --cluster="$address,$count,$index" >"$output" &
  pids+=($!)
done
for ((index = 0; index < count; index++)); do
  wait -n
done
