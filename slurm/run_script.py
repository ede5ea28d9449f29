"""The batch script that a run leaves in its folder, where no job was made for it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from slurm import script
from slurm.submit import RECORD
from utils.errors import UserError

OLD = script.NAME + ".old"


def write_run_script(run: Path, command: str, evaluates: bool, nodes: int, gpus: int) -> str:
    """Write `train_cmd.sh` into the folder `run`, which runs or queues `command` again from here. Gives a line or none.

    One that submit_job has written stays, and so does that of a training which goes on. Another command's is renamed.
    runx leaves a bare command line in `submit_cmd.sh`; it is replaced by a copy that sbatch accepts.
    """
    command, file, note = f"cd {shlex.quote(os.getcwd())}; exec {command}", run / script.NAME, ""
    bare = (run / script.COPY).exists() and not (run / script.COPY).read_bytes().startswith(b"#!")
    if file.exists() and not bare:
        if (run / RECORD).exists() or any(run.glob("last_checkpoint_ep*.pth")) or _is_of(file, command):
            return ""
        file.replace(run / OLD)  # not written over: a shell may be reading it
        note = f"{file} was of another command: it is {OLD} now"
    try:
        cluster = script.read_cluster()
        asked = script.Resources(**{**cluster.resources, "nodes": nodes, "gpus": gpus})
        name, found = run.resolve().name, script.environment(cluster)
        script.write(script.Job(name, run.resolve(), command, evaluates, asked, found), cluster)
    except UserError as error:
        return f"warning: no {script.NAME}: {error}"
    return note


def _is_of(file: Path, command: str) -> bool:
    return f"command={shlex.quote(command)}\n" in file.read_text(encoding="utf-8", errors="surrogateescape")
