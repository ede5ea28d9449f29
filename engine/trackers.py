"""Where a run's curves and pictures go beside its own folder: tensorboard's files, wandb, mlflow, trackio.

A package that is not installed, or a tracker that fails, is one line: the run goes on without it. A resumed run goes on
in what was tracked before: `trackers.json` in its folder says what that is called.
"""

from __future__ import annotations

import importlib
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tensorboardX import SummaryWriter

from engine.curves import BY_STEP
from utils import textfile
from utils.errors import in_short
from utils.files import advice, reason, write_file
from utils.names import shown, valid

IDS = "trackers.json"
PROJECT = "streetscale"  # where the tracker's own environment variable names no other
_MOST_PARAMS = 100  # of one call, by mlflow
_LONGEST_UNWRITTEN = 120.0  # seconds that the curve of a long epoch lags behind for who looks at it


class Opening(NamedTuple):
    """What a tracker is opened with: `known` is what it called this run before, empty for a new one."""

    folder: Path
    options: Mapping[str, Any]
    known: str
    say: Callable[[str], None]


class Tracker(Protocol):
    """Takes curves and pictures. `id`: by which the run is found again, empty where its folder says it."""

    id: str

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Take {name: value}, of an iteration for the names in BY_STEP, else of an epoch."""

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """Take an (H, W, 3) uint8 image of an epoch."""

    def close(self) -> None:
        """Hand on what is left."""


class Tensorboard:
    """Event files in the run's folder, opened when they are first needed."""

    id = ""

    def __init__(self, opening: Opening) -> None:
        self._folder, self._say = opening.folder, opening.say
        self._writer: SummaryWriter | None = None
        self._flushed = time.monotonic()

    @property
    def writer(self) -> SummaryWriter:
        """The writer of the files."""
        if self._writer is None:
            # Its names have the second and the machine: one that is started again at once would write over its own.
            self._writer = SummaryWriter(logdir=str(self._folder), filename_suffix=f".{os.getpid()}")
            _outlive(self._writer, lambda why: self._say(f"warning: nothing more for tensorboard: {why}"))
        return self._writer

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """As the protocol says."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        # A kill does not take what is in the file: the scores of an epoch, which is not done again, and its pictures.
        if not values.keys() <= {*BY_STEP} or time.monotonic() - self._flushed > _LONGEST_UNWRITTEN:
            self.writer.flush()
            self._flushed = time.monotonic()

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """As the protocol says."""
        self.writer.add_image(shown(name), image, step, dataformats="HWC")

    def close(self) -> None:
        """As the protocol says."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _outlive(writer: SummaryWriter, say: Callable[[str], None]) -> None:
    """Let a run live where tensorboard's disk is full, and its curves where the run is killed.

    Events are written here at once: what waits for tensorboard's own thread is in no file yet.
    """
    queue: Any = writer.file_writer.event_writer  # type: ignore[union-attr]
    events = queue._ev_writer  # there is no public word for it

    def guarded(act: Callable[..., None]) -> Callable[..., None]:
        def attempt(*args: Any) -> None:
            try:
                act(*args)
            except OSError as error:
                say(f"{reason(error)}; {advice(error)}")

        return attempt

    # What is not closed here is closed once more at the interpreter's end, which would be a traceback.
    events.write_event, events.flush, events.close = map(guarded, (events.write_event, events.flush, events.close))
    queue.add_event = events.write_event


class Wandb:
    """Weights & Biases; WANDB_PROJECT, WANDB_MODE=offline and its other variables do what they do elsewhere."""

    def __init__(self, opening: Opening) -> None:
        self._package, self.id = _package("wandb"), opening.known or uuid.uuid4().hex[:12]
        self._run = self._package.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            dir=str(opening.folder),
            id=self.id,
            name=opening.folder.name,
            config=dict(opening.options),
            resume="allow",
            settings=self._package.Settings(console="off"),  # the terminal's lines are ours
        )
        # Its own steps only ever rise; ours are epochs, and iterations for some.
        self._run.define_metric("*", step_metric="epoch")
        for name in BY_STEP:
            self._run.define_metric(name, step_metric="iteration")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """As the protocol says."""
        for axis, own in (("iteration", True), ("epoch", False)):
            if found := {name: value for name, value in values.items() if (name in BY_STEP) == own}:
                self._run.log({axis: step, **found})

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """As the protocol says."""
        self._run.log({"epoch": step, shown(name): self._package.Image(image)})

    def close(self) -> None:
        """As the protocol says."""
        self._run.finish()


class Mlflow:
    """MLflow at MLFLOW_TRACKING_URI, in the experiment MLFLOW_EXPERIMENT_NAME."""

    def __init__(self, opening: Opening) -> None:
        package = _package("mlflow")
        self._entities, self._client = importlib.import_module("mlflow.entities"), package.MlflowClient()
        if opening.known:
            self.id = opening.known
            self._client.update_run(self.id, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        self.id = self._client.create_run(experiment, run_name=opening.folder.name).info.run_id
        params = [self._entities.Param(key, str(value)[:500]) for key, value in opening.options.items()]
        for first in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self.id, params=params[first : first + _MOST_PARAMS])

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """As the protocol says."""
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(_plain(name), float(value), now, step) for name, value in values.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """As the protocol says."""
        self._client.log_image(self.id, image, key=_plain(name), step=step)

    def close(self) -> None:
        """As the protocol says."""
        self._client.set_terminated(self.id)


def _plain(name: str) -> str:
    """Write a name in the characters that mlflow takes."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. /") else "_" for c in shown(name))


class Trackio:
    """trackio, on this machine or at TRACKIO_SPACE_ID."""

    def __init__(self, opening: Opening) -> None:
        self._package = _package("trackio")
        self.id = opening.known or f"{opening.folder.name}-{uuid.uuid4().hex[:6]}"  # it finds runs by their names
        self._run = self._package.init(
            project=PROJECT, name=self.id, config=dict(opening.options), resume="allow", embed=False
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """As the protocol says."""
        self._run.log(dict(values), step=step)

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """As the protocol says."""
        self._run.log({shown(name): self._package.Image(image)}, step=step)

    def close(self) -> None:
        """As the protocol says."""
        self._run.finish()


TRACKERS: dict[str, Callable[[Opening], Tracker]] = {
    "tensorboard": Tensorboard,
    "wandb": Wandb,
    "mlflow": Mlflow,
    "trackio": Trackio,
}


class _Absent(Exception):
    """A package that is not installed."""


def _package(name: str) -> Any:
    """Import a package; `_Absent` where there is none, or a mere folder of its name (wandb leaves one behind)."""
    try:
        found = importlib.import_module(name)
    except ImportError as error:
        raise _Absent(f"the package {name} cannot be imported ({error}): pip install {name}") from None
    if getattr(found, "__file__", "") is None:
        raise _Absent(f"the package {name} is not installed: pip install {name}")
    return found


class Trackers:
    """Those of `names` that work; each is left alone from its first failure on, which is said once."""

    def __init__(self, folder: Path, names: Sequence[str], say: Callable[[str], None]) -> None:
        self._folder, self._names, self._say = folder, [n for n in names if n in TRACKERS], say
        self._open: dict[str, Tracker] = {}
        if "tensorboard" in self._names:  # it knows no options, and opens its files when it has something
            self._open["tensorboard"] = Tensorboard(Opening(folder, {}, "", say))

    def start(self, options: Mapping[str, Any]) -> None:
        """Open those that record the run's options with it, and note what they call it."""
        ids = _read(self._folder / IDS)
        options = {name: valid(x) if isinstance(x, str) else x for name, x in options.items()}
        for name in self._names:
            if name in self._open:
                continue
            try:
                tracker = TRACKERS[name](Opening(self._folder, options, ids.get(name, ""), self._say))
            except _Absent as error:
                self._say(f"note: --track {name}: {error}; the run goes on without it")
            except Exception as error:  # nobody's training ends for the sake of its curves
                self._say(f"warning: --track {name}: {in_short(error)}; the run goes on without it")
            else:
                self._open[name] = tracker
        known = ids | {name: tracker.id for name, tracker in self._open.items() if tracker.id}
        if known != ids:
            self._note(known)

    def _note(self, ids: Mapping[str, str]) -> None:
        try:
            write_file(self._folder / IDS, f"{json.dumps(ids, indent=1)}\n".encode())
        except Exception as error:
            self._say(f"warning: {IDS} cannot be written, so that a resume is tracked anew: {in_short(error)}")

    def __bool__(self) -> bool:
        return bool(self._open)

    def __getitem__(self, name: str) -> Tracker:
        return self._open[name]

    def each(self, act: Callable[[Tracker], None]) -> None:
        """Let each tracker take something."""
        for name, tracker in [*self._open.items()]:
            try:
                act(tracker)
            except Exception as error:  # as above
                del self._open[name]
                self._say(f"warning: nothing more for {name}: {in_short(error)}")


def _read(file: Path) -> dict[str, str]:
    """Read {tracker: what it calls this run}; none where there is no such file, or no such content."""
    try:
        found = textfile.read_json(file)
    except (OSError, ValueError):
        return {}
    return {name: x for name, x in found.items() if isinstance(x, str)} if isinstance(found, dict) else {}
