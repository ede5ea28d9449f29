#!/usr/bin/env bash
# Training. `sbatch {{ file }}` queues it, `bash {{ file }}` runs it here; both go on from the last checkpoint.
{% for line in directives %}
#SBATCH {{ line }}
{% endfor %}
run={{ run }}
{% include "environment.s" %}
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
    (sleep {{ patience }} && scancel --signal=KILL "$SLURM_JOB_ID.0") >/dev/null 2>&1 9>&- &
    watchdog=$!
  fi
}
checkpoints() { stat -c '%n %Y' "$run"/last_checkpoint_ep*.pth 2>/dev/null; }

rm -f "$run/preempt" "$run/exit_code"
trap 'stop USR1' USR1 # {{ cluster.signal_lead }} s ahead of the time limit
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
