#!/bin/bash
#SBATCH --job-name=nmmo-jax
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8          # one process for each GPU: JAX gives each the one of its number
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120            # two minutes before the end: all save, and end
#SBATCH --requeue

# sbatch docs/examples/jobs/slurm.sh law128 --minutes 600
# The folder must be on a file system that all nodes see. A job that is queued again goes on with the run.
set -euo pipefail
out=${OUT:-runs/job-${SLURM_JOB_ID}}
if [ -e "$out/config.json" ]; then
    set -- --resume "$out"
else
    set -- "$@" --out "$out"
fi
# What a rollout of a GPU has: 32 processes times 1,024 realms, groups for every device, minibatches of 32,768 each.
[ "$1" = --resume ] || set -- "$@" --set realms=32768 groups=32 minibatch=1048576
srun --kill-on-bad-exit=1 nmmo-jax train --distributed "$@"
