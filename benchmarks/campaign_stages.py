"""The stages of benchmarks/gpu_campaign.py: pieces of work, each with the seconds that it is expected to take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

import config
import network
from benchmarks import campaign_checks as checks
from benchmarks import measure, others, pairs, planner_error, run
from benchmarks.campaign_bench import NARROW, RECIPE, TINY, Bench, Piece, absent, expected
from benchmarks.campaign_small import small
from benchmarks.campaign_trainings import camvid, resume
from benchmarks.pairs import Job
from engine.plan import trace
from inference import eval_rule, export
from runtime import files
from utils.errors import UserError


def correctness(bench: Bench) -> list[Piece]:
    """Every path on the device against the CPU."""
    cfg, device = config.load([*(TINY if bench.tiny else NARROW), "--bs_trn", "2"]), bench.device
    names = checks.NETWORKS[:2] if bench.tiny else checks.NETWORKS
    work: list[tuple[str, float, Callable[[], dict[str, Any]]]] = [
        ("losses and their gradients", 5, partial(checks.losses, device)),
        ("steps", 5, partial(checks.steps, device, cfg, bench.folder)),
        ("networks, float64", 10, partial(checks.networks, device, names, torch.float64)),
        ("networks, float32", 5, partial(checks.networks, device, names, torch.float32)),
        ("networks, float16", 5, partial(checks.networks, device, names, torch.float16)),
        ("networks, bfloat16", 5, partial(checks.networks, device, names, torch.bfloat16)),
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
    common = TINY if bench.tiny else [*RECIPE, "--fp16"]
    settings = {
        "cross entropy": [],
        "RMI": ["--rmi_loss"],
        "checkpoints": ["--grad_ckpt"],
        "float32": ["--fp16", "false"],
    }
    names = ["RMI"] if bench.tiny else list(settings)
    return [Piece(name, expected(bench, 8), partial(_planned, bench, [*common, *settings[name]])) for name in names]


def _planned(bench: Bench, words: Sequence[str]) -> dict[str, Any]:
    size = (64, 96) if bench.tiny else (512, 1024)
    cfg = config.load([*words, "--crop_size", "{},{}".format(*size), "--bs_trn", "2"])
    job = Job(cfg, size, bench.device, bench.folder)
    planned = trace.training(cfg, bench.device).bytes
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
        return planner_error.measured(work)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before


def runtimes(bench: Bench) -> list[Piece]:
    """Exported files on the device against the network there."""
    return [_exporting(bench, f"model{suffix}", suffix) for suffix in (".pt2", ".onnx", ".engine")]


def _exporting(bench: Bench, name: str, suffix: str) -> Piece:
    try:
        export.check(export.find(Path(name)), "fp32", fixed=True)
    except UserError as reason:
        return absent(name, str(reason))
    return Piece(name, expected(bench, 20), partial(_exported, bench, suffix))


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
    return {**found, "runs on": where, "ratio": float(speeds["ratio"]), "ms": 1e3 * float(speeds["ours"]["median"])}


def _loaded(file: Path, image: torch.Tensor, device: torch.device) -> tuple[Callable[[], Any], str]:
    """The file as a call on one image, and what it runs on."""
    if file.suffix == ".pt2":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(torch.export.load(str(file)), str(device)).module()
        there = image.to(device)
        return lambda: program(there), str(device)
    if file.suffix != ".onnx":
        runner, array = export.runner(file), image.numpy()
        return lambda: runner(array)[0], "its own runtime"
    onnxruntime = files.imported("onnxruntime")
    names = dict.fromkeys([f"{device.type.upper()}ExecutionProvider", "CPUExecutionProvider"])
    known = [name for name in names if name in onnxruntime.get_available_providers()]
    session, array = onnxruntime.InferenceSession(str(file), providers=known), image.numpy()
    return lambda: session.run(None, {"image": array})[0], session.get_providers()[0]


STAGES: dict[str, Callable[[Bench], list[Piece]]] = {
    "correctness": correctness,
    "speed": speed,
    "small networks": small,
    "planner": planner,
    "resume": resume,
    "CamVid": camvid,
    "runtimes": runtimes,
}
