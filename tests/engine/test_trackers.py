"""Trackers beside the run's folder: what each package is handed, what a resume finds, what a failure leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.log import RunLog
from engine.runfolder import start_clean
from engine.trackers import IDS, TRACKERS
from options import table
from utils.visualize import encode_png

PICTURE = encode_png(np.full((2, 3, 3), 7, np.uint8))


class Calls(list):
    """What a fake package was called with: (name, arguments, named arguments)."""

    def noting(self, name: str, result: Any = None) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            self.append((name, args, named))
            return result

        return call

    def of(self, name: str) -> list[Any]:
        return [(args, named) for called, args, named in self if called == name]


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **parts: Any) -> None:
    module = ModuleType(name)
    module.__file__ = "fake"
    module.__dict__.update(parts)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    found, note = Calls(), Calls.noting
    run = SimpleNamespace(**{name: note(found, f"run.{name}") for name in ("log", "define_metric", "finish")})
    settings = note(found, "settings", "settings")
    fake(monkeypatch, "wandb", init=note(found, "wandb", run), Settings=settings, Image=lambda x: ("image", x.shape))
    fake(monkeypatch, "trackio", init=note(found, "trackio", run), Image=lambda x: ("image", x.shape))
    names = ("update_run", "log_batch", "log_image", "set_terminated")
    client = SimpleNamespace(**{name: note(found, name) for name in names})
    client.get_experiment_by_name = lambda name: None
    client.create_experiment = note(found, "create_experiment", "7")
    client.create_run = note(found, "create_run", SimpleNamespace(info=SimpleNamespace(run_id="r1")))
    fake(monkeypatch, "mlflow", MlflowClient=lambda: client)
    fake(monkeypatch, "mlflow.entities", Metric=lambda *x: ("metric", x[0], x[1], x[3]), Param=lambda *x: x)
    for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return found


def tracked(folder: Path, *names: str) -> RunLog:
    """One start of a run, with a curve by iterations, one by epochs, and a picture."""
    log = RunLog(folder, track=names)
    log.start({"lr": 0.1, "crop": "64", "folder": "caf\udce9"})
    log.scalars({"train/step_loss": 2.0, "train/lr": 0.1}, 20)
    log.scalars({"val/mean_iu": 0.5}, 1)
    log.picture("a (1)/pred", PICTURE, 1)
    log.close()
    return log


def test_the_table_is_what_the_option_takes() -> None:
    assert (*TRACKERS, "none") == table.TRACKERS


def test_wandb(calls: Calls, tmp_path: Path) -> None:
    tracked(tmp_path / "mine", "wandb")
    tracked(tmp_path / "mine", "wandb")
    (_, first), (_, second) = calls.of("wandb")
    assert first == second and first["id"] and first["resume"] == "allow"
    assert (first["project"], first["name"], first["dir"]) == ("streetscale", "mine", str(tmp_path / "mine"))
    assert first["config"] == {"lr": 0.1, "crop": "64", "folder": "caf\ufffd"}
    assert (("train/lr",), {"step_metric": "iteration"}) in calls.of("run.define_metric")
    logged = [args[0] for args, _ in calls.of("run.log")][:3]
    assert logged[:2] == [{"iteration": 20, "train/step_loss": 2.0, "train/lr": 0.1}, {"epoch": 1, "val/mean_iu": 0.5}]
    assert logged[2] == {"epoch": 1, "a (1)/pred": ("image", (2, 3, 3))}
    assert len(calls.of("run.finish")) == 2
    assert not list((tmp_path / "mine").glob("events*"))


def test_mlflow(calls: Calls, tmp_path: Path) -> None:
    tracked(tmp_path, "mlflow")
    tracked(tmp_path, "mlflow")
    assert calls.of("create_run") == [(("7",), {"run_name": tmp_path.name})]
    assert calls.of("update_run") == [(("r1",), {"status": "RUNNING"})]
    batches = calls.of("log_batch")
    assert batches[0] == (("r1",), {"params": [("lr", "0.1"), ("crop", "64"), ("folder", "caf\ufffd")]})
    assert batches[2] == (("r1",), {"metrics": [("metric", "val/mean_iu", 0.5, 1)]})
    assert calls.of("log_image")[0][1] == {"key": "a _1_/pred", "step": 1}
    assert len(calls.of("set_terminated")) == 2


def test_trackio(calls: Calls, tmp_path: Path) -> None:
    tracked(tmp_path, "trackio")
    tracked(tmp_path, "trackio")
    (_, first), (_, second) = calls.of("trackio")
    assert first["name"] == second["name"] != tmp_path.name and first["resume"] == "allow"
    assert calls.of("run.log")[1] == (({"val/mean_iu": 0.5},), {"step": 1})


def test_a_new_run_in_the_folder_is_tracked_anew(calls: Calls, tmp_path: Path) -> None:
    tracked(tmp_path, "wandb", "mlflow")
    assert json.loads((tmp_path / IDS).read_text()).keys() == {"wandb", "mlflow"}
    start_clean(tmp_path)  # a start that left no result
    assert not (tmp_path / IDS).exists()
    tracked(tmp_path, "wandb", "tensorboard")
    start_clean(tmp_path)
    assert not (tmp_path / IDS).exists()
    tracked(tmp_path, "wandb")
    assert len({named["id"] for _, named in calls.of("wandb")}) == 3


def test_what_is_absent_or_fails_is_one_line(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: Any, **named: Any) -> None:
        raise ConnectionError("no\nroute")

    monkeypatch.setitem(sys.modules, "trackio", None)
    sys.modules["wandb"].__dict__.update(init=broken)
    sys.modules["mlflow"].MlflowClient().log_batch = broken  # type: ignore[attr-defined]
    tracked(tmp_path, "trackio", "wandb", "mlflow", "tensorboard")
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert out[0].startswith("note: --track trackio: the package trackio cannot be imported")
    assert out[0].endswith("pip install trackio; the run goes on without it")
    assert out[1] == "warning: --track wandb: ConnectionError: no route; the run goes on without it"
    assert out[2] == "warning: --track mlflow: ConnectionError: no route; the run goes on without it"
    assert list(tmp_path.glob("events*"))


def test_a_failure_in_the_middle_is_said_once(calls: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(tmp_path, track=["mlflow"])
    log.start({})
    sys.modules["mlflow"].MlflowClient().log_batch = lambda *args, **named: 1 / 0  # type: ignore[attr-defined]
    for step in range(3):
        log.scalars({"train/lr": 0.1}, step)
    log.close()
    assert capsys.readouterr().out == "warning: nothing more for mlflow: ZeroDivisionError: division by zero\n"


def test_other_ranks_and_none_track_nothing(calls: Calls, tmp_path: Path) -> None:
    log = RunLog(tmp_path, main=False, track=["wandb", "tensorboard"])
    log.start({})
    log.scalars({"train/lr": 0.1}, 0)
    log.close()
    tracked(tmp_path, "none")
    assert not calls and not list(tmp_path.glob("events*")) and not (tmp_path / IDS).exists()


def test_a_folder_that_wandb_left_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.MonkeyPatch.delitem(monkeypatch, sys.modules, "trackio", raising=False)
    (tmp_path / "path" / "trackio").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "path")])
    tracked(tmp_path / "run", "trackio")
    assert "the package trackio is not installed: pip install trackio" in capsys.readouterr().out
    sys.modules.pop("trackio", None)


REAL = """
import sys
from pathlib import Path
from engine.log import RunLog
import mlflow
for start in range(2):
    log = RunLog(Path(sys.argv[1]) / "run", track=["mlflow"])
    log.start({"lr": 0.1})
    log.scalars({"train/step_loss": 2.0 - start}, 20 + start)
    log.close()
client = mlflow.MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("streetscale").experiment_id])
assert run.data.params == {"lr": "0.1"} and run.info.status == "FINISHED"
assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "train/step_loss")] == [(20, 2), (21, 1)]
"""


@pytest.mark.slow
def test_the_real_mlflow(tmp_path: Path) -> None:
    """Two starts of a run are one run in a store of files."""
    pytest.importorskip("mlflow", reason="an extra: pip install mlflow")
    root = Path(__file__).parents[2]
    env = {"MLFLOW_TRACKING_URI": (tmp_path / "store").as_uri(), "PATH": "", "PYTHONPATH": str(root)}
    env |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", REAL, str(tmp_path)], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
