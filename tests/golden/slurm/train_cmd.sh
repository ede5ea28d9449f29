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
module load cuda/12.4
export NCCL_SOCKET_IFNAME=ib0
export ASSETS_PATH='/data/big files'
export PATH=/env/bin:"$PATH"

job=local launch=()
# In the batch script of a job: one task a node (or as asked), which meet on this node, the first. The port differs
# between jobs that share a node. PET_* say to torchrun what --nnodes, --rdzv-backend c10d, ... would; plain python reads
# MASTER_*. Anywhere else the command runs alone, here.
if [ "${SLURM_TASK_PID:-}" = $$ ]; then
  job=$SLURM_JOB_ID
  # An array has the number of its first task: only the pair names one of them.
  if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi
  launch=(srun --kill-on-bad-exit=1)
  MASTER_ADDR=$(hostname) MASTER_PORT=$((20000 + SLURM_JOB_ID % 12000))
  export MASTER_ADDR MASTER_PORT
  export PET_NNODES=$SLURM_JOB_NUM_NODES PET_RDZV_BACKEND=c10d PET_RDZV_ID=$job
  export PET_RDZV_ENDPOINT=$MASTER_ADDR:$MASTER_PORT
  # srun does not take it over from sbatch.
  if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi
fi
launch+=(apptainer exec --nv --overlay /scratch/extra.ext3:ro --bind /data --bind /scratch --bind /logs/x/run --bind '/data/big files' /images/streetscale.sif)
command='cd /logs/x/run/code; PYTHONPATH=/logs/x/run/code exec torchrun --nproc_per_node=8 train.py --lr 5e-3 --result_dir /logs/x/run'

# One at a time in a run folder; file systems without locks let all pass.
exec 9>"$run/lock"
flock --timeout 5 --conflict-exit-code 75 9
if [ $? = 75 ]; then
  echo "error: another job runs in $run" >&2
  exit 1
fi
echo "$job" >"$run/job_id"
export STREETSCALE_RESUME=auto # a checkpoint in the run folder wins over what the command starts from

# The run looks for the file `preempt` at every iteration; it then saves on all ranks and ends.
# The counter tells a `wait` that a signal broke off from one that saw the step end.
signals=0 asked='' watchdog=''
stop() {
  signals=$((signals + 1))
  if [ "$asked" != USR1 ]; then asked=$1; fi
  echo "$1: asked to stop"
  touch "$run/preempt"
  # What does not end in time (a long validation) is ended: its checkpoint was written before.
  if [ "$1" = USR1 ] && [ "$job" != local ] && [ -z "$watchdog" ]; then
    (sleep 90 && scancel --signal=KILL "$SLURM_JOB_ID.0") >/dev/null 2>&1 9>&- &
    watchdog=$!
  fi
}
checkpoints() { stat -c '%n %Y' "$run"/last_checkpoint_ep*.pth 2>/dev/null; }

rm -f "$run/preempt" "$run/exit_code"
trap 'stop USR1' USR1 # 120 s ahead of the time limit
trap 'stop TERM' TERM # preemption, scancel --full
trap 'stop INT' INT
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

# A run that was asked to make room saves and ends, before Slurm would queue it again by itself.
preempted() { scontrol show job "$job" 2>/dev/null | grep -q 'PreemptTime=[0-9]'; }
if [ "$job" != local ] && [ "$status" -ne 0 ] && { [ "$asked" = USR1 ] || preempted; }; then
  if [ "$(checkpoints)" = "$before" ]; then
    echo "error: not queued again: no checkpoint was written since the start; give the job a longer --time" >&2
  else
    echo "asks to be queued again"
    if scontrol requeue "$job"; then sleep 60; fi # Slurm ends this script
  fi
fi
echo "$status" >"$run/exit_code"
exit "$status"
