{% for name in cluster.modules %}
module load {{ name }}
{% endfor %}
{% for line in cluster.setup %}
{{ line }}
{% endfor %}
{% for name, value in exports %}
export {{ name }}={{ value }}
{% endfor %}

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
{% if container %}
launch+=({{ container }})
{% endif %}
command={{ command }}

# One at a time in a run folder; file systems without locks let all pass.
exec 9>"$run/lock"
flock --timeout 5 --conflict-exit-code 75 9
if [ $? = 75 ]; then
  echo "error: another job runs in $run" >&2
  exit 1
fi
echo "$job" >"$run/job_id"
