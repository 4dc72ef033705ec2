#!/bin/bash
# A slice of Cloud TPU: the same command on all of its hosts, which find each other by what the slice tells them.
#
#   TPU=my-slice ZONE=us-east5-a RUNS=/mnt/runs docs/examples/jobs/tpu.sh law128 --minutes 600
#   TPU=my-slice ZONE=us-east5-a RUNS=/mnt/runs docs/examples/jobs/tpu.sh --resume   # after a host was lost, or all
#
# Every host has the package, in ~/nmmo-jax, and mounts the folder in which runs are kept (Filestore, say, or gcsfuse).
set -euo pipefail
: "${TPU:?the name of the slice}" "${ZONE:?its zone}" "${RUNS:?a folder that all hosts see}"
out=$RUNS/run-$TPU
if [ "${1:-}" = --resume ]; then
    shift
    set -- --resume "$out" "$@"
else
    set -- "$@" --out "$out"
fi
printf -v arguments ' %q' "$@"
gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command \
    "cd ~/nmmo-jax && .venv/bin/nmmo-jax train --distributed$arguments"
