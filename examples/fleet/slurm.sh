#!/bin/sh
# One share of a list for each task of a Slurm array:
#
#   sbatch examples/fleet/slurm.sh refs.txt
#   sbatch --array=0-63%16 examples/fleet/slurm.sh refs.txt     64 shares, 16 of them at a time
#
# The list is a file that all nodes see. What is done and what failed is beside it, in a directory for the shares; a
# task that Slurm starts again, or an array that is submitted again, does what is missing. The number of shares has to
# stay the same then. STRATA_JOB is a script with its options, and STRATA_TO where results go.
#SBATCH --job-name=strata
#SBATCH --array=0-15
#SBATCH --cpus-per-task=1
#SBATCH --mem=256M
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu

[ $# -eq 1 ] || { echo "usage: sbatch $0 LIST" >&2; exit 1; }
: "${SLURM_ARRAY_TASK_ID:?it is set in a job of sbatch --array}"

# sbatch runs a copy of this file: the directory that the job was submitted from is the project's.
fleet=${STRATA_FLEET:-${SLURM_SUBMIT_DIR:-.}/examples/fleet}
state=$1.state
mkdir -p "$state"
target='docker://{host}/{repository}:{tag}-labelled'
name=$SLURM_ARRAY_TASK_ID-of-${SLURM_ARRAY_TASK_COUNT:?}

# shellcheck disable=SC2086 # words: a script, and options NAME=VALUE
exec "$fleet/shard" --refs "$1" --to "${STRATA_TO:-$target}" --done "$state/$name.done" \
	--failed "$state/$name.failed" -- ${STRATA_JOB:-label org.example.fleet=yes}
