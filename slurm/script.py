"""The text of a batch script: a pure function of a job and of the cluster's settings.

`#SBATCH` lines, environment and start command come from here; what a job does between start and end stands in the
templates `train.s` and `eval.s`.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from utils import files, yamlfile
from utils.errors import UserError, nearest

HERE = Path(__file__).parent
SETTINGS = HERE / "cluster.yaml"
NAME = "train_cmd.sh"
COPY = "submit_cmd.sh"  # runx writes a bare command of this name; it is replaced
ARRAY = "array_cmd.sh"
LEAST_LEAD = 20  # seconds
# Resources that sbatch calls by the same names.
_AS_SBATCH = ("mem", "time", "partition", "account", "qos", "constraint", "exclude", "reservation")


@dataclass(frozen=True)
class Resources:
    """What a job asks for; 0 and "" leave it to Slurm. `help` and further names serve submit_job's flags."""

    nodes: int = field(default=1, metadata={"help": "nodes"})
    gpus: int = field(default=0, metadata={"help": "GPUs of each node", "also": ("gpu",)})
    tasks: int = field(default=1, metadata={"help": "tasks of each node: 1 for torchrun, one a GPU for plain python"})
    cpus: int = field(default=0, metadata={"help": "CPU cores of each task", "also": ("cpu", "cores")})
    mem: str = field(default="", metadata={"help": "memory of each node: 200G"})
    time: str = field(default="", metadata={"help": "time limit: 24:00:00", "also": ("duration",)})
    partition: str = field(default="", metadata={"help": "partition"})
    account: str = field(default="", metadata={"help": "account"})
    qos: str = field(default="", metadata={"help": "quality of service"})
    constraint: str = field(default="", metadata={"help": "features that nodes must have"})
    exclude: str = field(default="", metadata={"help": "nodes to stay away from"})
    reservation: str = field(default="", metadata={"help": "reservation"})


@dataclass(frozen=True)
class Container:
    """Image that commands run in; none if `image` is empty."""

    runtime: str = "apptainer"
    image: str = ""
    overlay: tuple[str, ...] = ()
    bind: tuple[str, ...] = ()

    def command(self, needed: Sequence[str]) -> str:
        """Quote the words before the command for the shell; `needed`: folders that it has to see ("": none)."""
        words = [self.runtime, "exec", "--nv"]
        for flag, values in (("--overlay", self.overlay), ("--bind", (*self.bind, *filter(None, needed)))):
            for value in values:
                words += [flag, value]
        return " ".join(map(shlex.quote, [*words, self.image])) if self.image else ""


@dataclass(frozen=True)
class Cluster:
    """Settings of a cluster, as in `cluster.yaml`, where they are explained."""

    resources: Mapping[str, Any] = field(default_factory=dict)
    gpus_as: str = "gres"
    gpu_type: str = ""
    signal_lead: int = 120
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    container: Container = Container()


@dataclass(frozen=True)
class Job:
    """One run: `command` is a line for the shell, `run` the absolute run folder, `environment` what is exported.

    `evaluates`: there is nothing to resume.
    """

    name: str
    run: Path
    command: str
    evaluates: bool = False
    resources: Resources = Resources()
    environment: Mapping[str, str] = field(default_factory=dict)


def render(job: Job, cluster: Cluster) -> str:
    """Write the batch script of `job`, for sbatch and for bash. UserError for what Slurm cannot be told."""
    for what, text in (("name", job.name), ("run folder", str(job.run)), ("command", job.command)):
        if "\n" in text or (what != "command" and "\\" in text):
            raise UserError(f"the job's {what} {text!r} holds a line break or a backslash: choose another")
    environment = Environment(
        loader=FileSystemLoader(HERE),
        trim_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # the text is no HTML; values are quoted for the shell here
    )
    return environment.get_template("eval.s" if job.evaluates else "train.s").render(
        file=NAME,
        directives=directives(job, cluster),
        run=shlex.quote(str(job.run)),
        exports=[(name, _export(name, value)) for name, value in job.environment.items()],
        cluster=cluster,
        container=cluster.container.command([str(job.run), job.environment.get("ASSETS_PATH", "")]),
        command=shlex.quote(job.command.strip()),
        patience=cluster.signal_lead * 3 // 4,
    )


def render_array(experiment: Path, runs: Sequence[Path], head: Sequence[str], limit: int) -> str:
    """Write the batch script of a job array, a task a run; `head`: their `#SBATCH` lines, `limit`: at a time."""
    tasks = f"0-{len(runs) - 1}" + (f"%{limit}" if limit else "")
    folder = str(experiment).replace("%", "%%")
    lines = [
        "#!/usr/bin/env bash",
        f"# {len(runs)} runs as one job array: the signals of Slurm reach the script of each run.",
        f"#SBATCH --array={tasks}",
        f"#SBATCH --job-name={quoted(experiment.name)}",
        f"#SBATCH --output={quoted(folder + '/slurm-%A_%a.out')}",
        *head,
        "runs=(",
        *(f"  {shlex.quote(str(run))}" for run in runs),
        ")",
        f'exec bash "${{runs[$SLURM_ARRAY_TASK_ID]}}/{NAME}"',
    ]
    return "\n".join(lines) + "\n"


def directives(job: Job, cluster: Cluster) -> list[str]:
    """Write the options of the `#SBATCH` lines, quoted as sbatch reads them."""
    asked = job.resources
    gpus = f"{cluster.gpu_type}:{asked.gpus}" if cluster.gpu_type else asked.gpus
    output = str(job.run).replace("%", "%%") + "/slurm-%j.out"
    options = {
        "job-name": job.name,
        "nodes": asked.nodes,
        "ntasks-per-node": asked.tasks,
        "gres": f"gpu:{gpus}" if asked.gpus and cluster.gpus_as == "gres" else "",
        "gpus-per-node": gpus if asked.gpus and cluster.gpus_as == "gpus" else "",
        "cpus-per-task": asked.cpus,
        **{name: getattr(asked, name) for name in _AS_SBATCH},
        "signal": "" if job.evaluates else f"B:USR1@{cluster.signal_lead}",
        "output": output,
        "open-mode": "append",
    }
    return [f"--{name}={quoted(str(value))}" for name, value in options.items() if value not in ("", 0)] + ["--requeue"]


def quoted(text: str) -> str:
    r"""`text` for a `#SBATCH` line: to sbatch a backslash is always an escape, and blanks and # end a word."""
    if re.fullmatch(r"[\w@%+=:,./-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def environment(cluster: Cluster) -> dict[str, str]:
    """List what a job has to find again, be it queued from another shell: folder of large files, and this Python."""
    kept = {name: os.environ[name] for name in ("ASSETS_PATH",) if name in os.environ}
    if not cluster.container.image:
        kept["PATH"] = str(Path(sys.executable).parent)
    return kept


def _export(name: str, value: str) -> str:
    return f'{shlex.quote(value)}:"$PATH"' if name == "PATH" else shlex.quote(value)


def read_cluster(path: Path = SETTINGS) -> Cluster:
    """Read the settings of `path`. UserError for what is no setting, or of another type."""
    tree = yamlfile.load(path, f"cluster settings {path}", text=_texts())
    tree = {} if tree is None else tree
    values = _known(tree, Cluster, str(path))
    container = Container(**_known(values.get("container") or {}, Container, f"{path}: container"))
    if container.runtime not in ("apptainer", "singularity"):
        raise UserError(f"{path}: container: runtime is apptainer or singularity, not {container.runtime!r}")
    if values.get("gpus_as", "gres") not in ("gres", "gpus"):
        raise UserError(f"{path}: gpus_as is gres or gpus, not {values['gpus_as']!r}")
    if (lead := values.get("signal_lead", LEAST_LEAD)) < LEAST_LEAD:
        raise UserError(f"{path}: signal_lead {lead}: saving takes time, at least {LEAST_LEAD} seconds")
    asked = _known(values.get("resources") or {}, Resources, f"{path}: resources")
    return Cluster(**{**values, "container": container, "resources": asked})


def _texts() -> set[str]:
    """Name the settings that are text: an account 0123 is no number."""
    parts = {"": Cluster, "resources.": Resources, "container.": Container}
    kinds = ((f"{part}{f.name}", f.default) for part, kind in parts.items() for f in dataclasses.fields(kind))
    return {name for name, default in kinds if isinstance(default, (str, tuple))}


def _known(tree: Any, kind: type, where: str) -> dict[str, Any]:
    """Give {field: value} of a mapping, checked against the dataclass `kind`; empty values are left out."""
    if not isinstance(tree, dict):
        raise UserError(f"{where}: expected names and values, found {type(tree).__name__}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    values = {}
    for name, value in tree.items():
        if name not in fields:
            raise UserError(
                f"{where}: unknown setting {name!r}{nearest(str(name), fields)}; known: {', '.join(fields)}"
            )
        default = fields[name].default
        if value is None or value in ("", []):
            continue
        if isinstance(default, tuple):
            if not isinstance(value, list):
                raise UserError(f"{where}: {name} takes a list, not {value!r}")
            values[name] = tuple(map(str, value))
        elif isinstance(default, int) and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise UserError(f"{where}: {name} takes a whole number, not {value!r}")
        else:
            if isinstance(default, str) and isinstance(value, (list, dict)):
                raise UserError(f"{where}: {name} takes text, not {value!r}")
            values[name] = str(value) if isinstance(default, str) else value
    return values


def write(job: Job, cluster: Cluster) -> Path:
    """Put the script into the run folder, and a copy in place of runx's bare command. Gives its path."""
    text = render(job, cluster)
    job.run.mkdir(parents=True, exist_ok=True)
    for name in (COPY, NAME):
        with files.whole(job.run / name) as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))  # a shell takes names as bytes
            mode = os.stat(stream.name).st_mode
            os.chmod(stream.name, mode | (mode & 0o444) >> 2)  # whoever may read it may run it
    return job.run / NAME
