#!/usr/bin/env bash
# Train under Slurm, one task for each GPU: slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS come from the environment; PORT is that of the first machine.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
partition=$1 job_name=$2 config=$3
shift 3
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
[ "$gpus" -ge "$per_node" ] || per_node=$gpus
export MASTER_PORT=${PORT:-29500}

# SRUN_ARGS is a list of options: it shall be split
# shellcheck disable=SC2086
exec srun --partition="$partition" --job-name="$job_name" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --gres="gpu:$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" --launcher slurm "$@"
