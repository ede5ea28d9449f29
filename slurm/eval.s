#!/usr/bin/env bash
# Evaluation. `sbatch {{ file }}` queues it, `bash {{ file }}` runs it here.
{% for line in directives %}
#SBATCH {{ line }}
{% endfor %}
run={{ run }}
{% include "environment.s" %}

rm -f "$run/exit_code"
"${launch[@]}" bash -c "$command"
status=$?
echo "$status" >"$run/exit_code"
exit "$status"
