{% for name, value in exports %}
export {{ name }}={{ value }}
{% endfor %}
{% for name in cluster.modules %}
module load {{ name }}
{% endfor %}
{% for line in cluster.setup %}
{{ line }}
{% endfor %}
# Where the processes of all nodes meet; the port differs between jobs that share a node.
MASTER_ADDR=$(hostname)
MASTER_PORT=$((20000 + ${SLURM_JOB_ID:-$$} % 20000))
export MASTER_ADDR MASTER_PORT
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # srun does not take it over from sbatch

# One task a node (or as asked) inside a job; without Slurm, or inside a step, the command alone.
launch=()
if [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ]; then launch=(srun --kill-on-bad-exit=1); fi
{% if container %}
launch+=({{ container }})
{% endif %}
command={{ command }}
