"""From a command to a Slurm job: `script.render` writes the batch script, `submit` hands it to sbatch."""
