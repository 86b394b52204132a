#!/usr/bin/env bash
# Test with one process for each GPU: dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
# Several machines: run it on each with NNODES, NODE_RANK and MASTER_ADDR set. PORT: of the first machine.
# Without a GPU, GPUS is a number of processes on the CPU.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
config=$1 checkpoint=$2 gpus=$3
shift 3

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" --nproc-per-node="$gpus" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
