#!/usr/bin/env bash
# scripts/on_all_gpus.sh WORDS...: train.py with these words, a process on each GPU of this machine; GPUS=n says how many.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
gpus="${GPUS:-$(python -c 'import torch; print(torch.cuda.device_count())')}"
if [ "$gpus" -gt 1 ]; then
  exec torchrun --standalone --nproc_per_node="$gpus" "$root/train.py" "$@"
fi
exec python "$root/train.py" "$@"
