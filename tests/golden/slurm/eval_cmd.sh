#!/usr/bin/env bash
# Evaluation. `sbatch train_cmd.sh` queues it, `bash train_cmd.sh` runs it here.
#SBATCH --job-name=train_cityscapes_mild-eagle
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:1
#SBATCH --output=/logs/x/run/slurm-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
run=/logs/x/run
export ASSETS_PATH='/data/big files'
export PATH=/env/bin:"$PATH"
# Where the processes of all nodes meet; the port differs between jobs that share a node.
MASTER_ADDR=$(hostname)
MASTER_PORT=$((20000 + ${SLURM_JOB_ID:-$$} % 20000))
export MASTER_ADDR MASTER_PORT
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # srun does not take it over from sbatch

# One task a node (or as asked) inside a job; without Slurm, or inside a step, the command alone.
launch=()
if [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ]; then launch=(srun --kill-on-bad-exit=1); fi
command='python train.py --eval val'

rm -f "$run/exit_code"
"${launch[@]}" bash -c "$command"
status=$?
echo "$status" >"$run/exit_code"
exit "$status"
