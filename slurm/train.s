#!/usr/bin/env bash
# Training. `sbatch {{ file }}` queues it, `bash {{ file }}` runs it here; both go on from the last checkpoint.
{% for line in directives %}
#SBATCH {{ line }}
{% endfor %}
run={{ run }}
{% include "environment.s" %}

# The run looks for the file `preempt` at every iteration; it then saves on all ranks and ends.
# The counter tells a `wait` that a signal broke off from one that saw the step end.
signals=0 asked='' watchdog=''
stop() {
  signals=$((signals + 1)) asked=$1
  echo "$1: asked to stop"
  touch "$run/preempt"
  # What does not end of itself (a long validation) is ended: its checkpoint was written before.
  if [ "$1" = USR1 ]; then
    (sleep {{ patience }} && kill "$step") &
    watchdog=$!
  fi
}
trap 'stop USR1' USR1 # {{ cluster.signal_lead }} s ahead of the time limit
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
