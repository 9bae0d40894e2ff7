#!/usr/bin/env bash
# A run on all hosts of an existing Cloud TPU slice:
#   BUCKET=my-runs launch/tpu_vm.sh NAME ZONE \
#     train --config=configs/lensblur.py:base --workdir=/mnt/my-runs/blur
# All hosts need the workdir: a mounted Filestore share, or BUCKET, which is mounted at /mnt/BUCKET
# by gcsfuse (part of the image) and needs a hierarchical namespace, for atomic renames.
# Copies the current commit and installs it with the extra `tpu`, once. Keep this shell open (tmux).
# To save and stop the run:
#   gcloud compute tpus tpu-vm ssh NAME --zone=ZONE --worker=all --command='pkill -TERM depthjax'
# After a preemption delete the suspended request, create a new one (gcloud compute tpus
# queued-resources create NAME --node-id=NAME --zone=ZONE --spot --accelerator-type=...
# --runtime-version=...), wait until it is ACTIVE and run the same command: it resumes from the
# newest checkpoint.
set -euo pipefail
(($# >= 3)) || { echo 'usage: tpu_vm.sh NAME ZONE VERB [FLAGS]' >&2; exit 2; }
name=$1 hosts=(--zone="$2" --worker=all) bucket=${BUCKET:-}
shift 2
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
git -C "$(dirname "$0")/.." archive --format=tar.gz --output="$folder/depthjax.tar.gz" HEAD
gcloud compute tpus tpu-vm scp "$folder/depthjax.tar.gz" "$name:" "${hosts[@]}"
printf -v command ' %q' "$@" --cluster=auto
gcloud compute tpus tpu-vm ssh "$name" "${hosts[@]}" --command="set -e
rm -rf depthjax && mkdir depthjax && tar -xzf depthjax.tar.gz -C depthjax && cd depthjax
if [ ! -x ../depthjax-venv/bin/depthjax ]; then  # uv: the image's Python may be too old.
  PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install -q --user uv
  python3 -m uv venv -q --clear --python 3.12 ../depthjax-venv
  python3 -m uv pip install -q --python ../depthjax-venv -c requirements.lock -e '.[tpu]'
fi
if [ '$bucket' ] && ! mountpoint -q '/mnt/$bucket'; then
  sudo mkdir -p '/mnt/$bucket' && sudo chown \"\$(id -u)\" '/mnt/$bucket'
  gcsfuse --implicit-dirs '$bucket' '/mnt/$bucket'
fi
exec ../depthjax-venv/bin/depthjax$command"
