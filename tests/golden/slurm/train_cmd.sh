#!/usr/bin/env bash
# Training. `sbatch train_cmd.sh` queues it, `bash train_cmd.sh` runs it here; both go on from the last checkpoint.
#SBATCH --job-name=train_cityscapes_mild-eagle
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:h100:8
#SBATCH --cpus-per-task=32
#SBATCH --mem=300G
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --output=/logs/x/run/slurm-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
run=/logs/x/run
export ASSETS_PATH='/data/big files'
export PATH=/env/bin:"$PATH"
module load cuda/12.4
export NCCL_SOCKET_IFNAME=ib0
# Where the processes of all nodes meet; the port differs between jobs that share a node.
MASTER_ADDR=$(hostname)
MASTER_PORT=$((20000 + ${SLURM_JOB_ID:-$$} % 20000))
export MASTER_ADDR MASTER_PORT
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # srun does not take it over from sbatch

# One task a node (or as asked) inside a job; without Slurm, or inside a step, the command alone.
launch=()
if [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ]; then launch=(srun --kill-on-bad-exit=1); fi
launch+=(apptainer exec --nv --overlay /scratch/extra.ext3:ro --bind /data --bind /scratch /images/streetscale.sif)
command='cd /logs/x/run/code; PYTHONPATH=/logs/x/run/code exec torchrun --nnodes "${SLURM_JOB_NUM_NODES:-1}" --rdzv-backend c10d --rdzv-endpoint "$MASTER_ADDR:$MASTER_PORT" --rdzv-id "${SLURM_JOB_ID:-0}" --nproc_per_node=8 train.py --resume auto --lr 5e-3 --result_dir /logs/x/run'

# The run looks for the file `preempt` at every iteration; it then saves on all ranks and ends.
# The counter tells a `wait` that a signal broke off from one that saw the step end.
signals=0 asked='' watchdog=''
stop() {
  signals=$((signals + 1)) asked=$1
  echo "$1: asked to stop"
  touch "$run/preempt"
  # What does not end of itself (a long validation) is ended: its checkpoint was written before.
  if [ "$1" = USR1 ]; then
    (sleep 80 && kill "$step") &
    watchdog=$!
  fi
}
trap 'stop USR1' USR1 # 120 s ahead of the time limit
trap 'stop TERM' TERM # preemption, scancel --full
trap 'stop INT' INT
checkpoints() { stat -c '%n %Y' "$run"/last_checkpoint_ep*.pth 2>/dev/null; }

rm -f "$run/preempt" "$run/exit_code"
before=$(checkpoints)
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then echo "restart $SLURM_RESTART_COUNT"; fi
(exec "${launch[@]}" bash -c "$command") &
step=$!
while :; do
  seen=$signals
  wait "$step"
  status=$?
  if [ "$seen" = "$signals" ]; then break; fi
done
if [ -n "$watchdog" ]; then kill "$watchdog" 2>/dev/null; fi
rm -f "$run/preempt"

if [ "$asked" = USR1 ] && [ "$status" -ne 0 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
  if [ "$(checkpoints)" = "$before" ]; then
    echo "not queued again: no checkpoint was written since the start; give the job a longer --time" >&2
  else
    # An array has the number of its first task: only the pair names this one.
    job=$SLURM_JOB_ID
    if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi
    echo "queued again"
    if scontrol requeue "$job"; then sleep 60; fi # Slurm ends this script
  fi
fi
echo "$status" >"$run/exit_code"
exit "$status"
