#!/usr/bin/env bash
# Several processes of one run on this machine; divides its GPUs among them:
#   RESTARTS=3 launch/local.sh COUNT train --config=... --workdir=...
# Prints the output of the first process. When one fails, the others get SIGTERM and, after GRACE
# seconds (60), SIGKILL; all restart at most RESTARTS (0) times, but not after the exit codes 1 and
# 2. SIGTERM and Ctrl-C are forwarded to all processes; a second Ctrl-C kills them (130).
set -um
[[ $# -ge 2 && $1 =~ ^[1-9][0-9]*$ ]] || { echo 'usage: local.sh COUNT VERB [FLAGS]' >&2; exit 2; }
count=$1 asked='' pids=() && shift
IFS=, read -ra gpus <<<"${CUDA_VISIBLE_DEVICES-$(nvidia-smi -L 2>&1 | grep ^GPU | tr '\n' ,)}"
[[ ${JAX_PLATFORMS-} == cpu ]] && gpus=()
ids=("${!gpus[@]}") each=$((${#gpus[@]} / count))
((each * count == ${#gpus[@]})) || { echo "local.sh: ${#gpus[@]} GPUs cannot be divided among" \
  "$count processes; set CUDA_VISIBLE_DEVICES to a multiple, or JAX_PLATFORMS=cpu" >&2; exit 2; }
exec {null}>/dev/null
# Reads until this shell ends, also by kill -9; then kills the process groups it read last.
coproc watch { while read -ra all; do last=("${all[@]}"); done; kill -9 "${last[@]}"; } 2>/dev/null
disown
stop() { asked=1; kill -TERM "${pids[@]}" 2>/dev/null; } && trap stop TERM
trap '[[ $asked ]] && { kill -KILL "${pids[@]/#/-}"; exit 130; } 2>/dev/null; stop' INT
for ((left = ${RESTARTS:-0}; ; left--)); do
  pids=() done=0 code=127 ends='' address=localhost:${PORT:-$((20000 + RANDOM % 20000))}
  for ((index = 0; index < count; index++)); do
    JAX_LOCAL_DEVICE_IDS=$(IFS=,; echo "${ids[*]:index*each:each}") \
      depthjax "$@" --cluster="$address,$count,$index" >&"$((index ? null : 1))" &
    pids+=($!) && echo "${pids[*]/#/-}" >&"${watch[1]}"
  done
  [[ $asked ]] && kill -TERM "${pids[@]}" 2>/dev/null  # Signal during the start.
  while wait -n; status=$?; ((status != 127)); do
    ((status == 0 && ++done == count)) && exit 0
    ((status == 1 || status == 2 || status && (code == 127 || code == 143))) && code=$status
    [[ $status == 0 || $asked || $ends ]] && continue
    ends=1 && sleep 1  # Most others notice and exit with their own message.
    kill -TERM "${pids[@]}" 2>/dev/null
    for ((s = ${GRACE:-60}; s > 0; s--)); do kill -0 "${pids[@]}" 2>/dev/null && sleep 1; done
    kill -KILL "${pids[@]/#/-}" 2>/dev/null
  done
  [[ $asked || $left -le 0 || $code == [12] || $code == 143 ]] && exit "$code"
  echo "local.sh: a process exited with code $code; restarting all" >&2
done
