#!/usr/bin/env bash
# Several processes of one run on this machine, each with its share of the GPUs if there are any:
#   RESTARTS=3 launch/local.sh COUNT train --config=... --workdir=...
# The first one's output is shown. When one ends badly the others are asked to stop, killed after
# GRACE seconds (60), and all start again from the last checkpoint while RESTARTS (0) are left.
# Exit codes: 0 done; 2 bad config or input and 1 diverged, never restarted; 143 stopped by SIGTERM,
# which all get and may save after; else the code of the first process that crashed.
set -um
[[ $# -ge 2 && $1 =~ ^[1-9][0-9]*$ ]] || { echo 'usage: local.sh COUNT VERB [FLAGS]' >&2; exit 2; }
count=$1 asked='' pids=() && shift
IFS=, read -ra gpus <<<"${CUDA_VISIBLE_DEVICES-$(nvidia-smi -L 2>&1 | grep ^GPU | tr '\n' ,)}"
[[ ${JAX_PLATFORMS-} == cpu ]] && gpus=()
ids=("${!gpus[@]}") share=$((${#gpus[@]} / count))
((share * count == ${#gpus[@]})) || { echo "local.sh: ${#gpus[@]} GPUs do not divide among $count" \
  "processes; choose some in CUDA_VISIBLE_DEVICES, or set JAX_PLATFORMS=cpu" >&2; exit 2; }
exec {null}>/dev/null
# Reads until this shell ends, be it by kill -9, then takes the process groups named last with it.
coproc watch { while read -ra all; do last=("${all[@]}"); done; kill -9 "${last[@]}"; } 2>/dev/null
disown
trap 'asked=1; kill -TERM "${pids[@]}" 2>/dev/null' TERM INT
for ((left = ${RESTARTS:-0}; ; left--)); do
  pids=() done=0 code=127 ends='' address=localhost:${PORT:-$((20000 + RANDOM % 20000))}
  for ((index = 0; index < count; index++)); do
    JAX_LOCAL_DEVICE_IDS=$(IFS=,; echo "${ids[*]:index*share:share}") \
      depthjax "$@" --cluster="$address,$count,$index" >&"$((index ? null : 1))" &
    pids+=($!) && echo "${pids[*]/#/-}" >&"${watch[1]}"
  done
  [[ $asked ]] && kill -TERM "${pids[@]}" 2>/dev/null  # It came while they started.
  while wait -n; status=$?; ((status != 127)); do
    ((status == 0 && ++done == count)) && exit 0
    ((status == 1 || status == 2 || status && (code == 127 || code == 143))) && code=$status
    [[ $status == 0 || $asked || $ends ]] && continue
    ends=1 && sleep 1  # Most of the others find out by themselves, and say what went wrong.
    kill -TERM "${pids[@]}" 2>/dev/null
    for ((s = ${GRACE:-60}; s > 0; s--)); do kill -0 "${pids[@]}" 2>/dev/null && sleep 1; done
    kill -KILL "${pids[@]/#/-}" 2>/dev/null
  done
  [[ $asked || $left -le 0 || $code == [12] || $code == 143 ]] && exit "$code"
  echo "local.sh: a process ended with $code; starting again" >&2
done
