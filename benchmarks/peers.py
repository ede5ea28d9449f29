"""The same training by segmentation_models_pytorch and by ours: scores, seconds and memory side by side.

python benchmarks/peers.py --data_root /data/CamVid --out logs/peers --seeds 0,1,2 [further words for train.py]

Both read the crops of one loader (--cfg scripts/cfg/camvid_trial.yaml), start from one trunk's weights, and take
as many steps of one optimizer at one schedule. A peer is used as its documentation does: its own network, a plain loop,
cross entropy over all pixels. --equal_time trains each peer once more, for as many epochs as fit into the processor
time of our first network. Each training is a process of its own, whose time and peak memory are told. Started again it
goes on.
Needs: pip install -r requirements-peers.txt -r requirements-pretrained.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import config
import datasets
from evaluation.metrics import ConfusionMatrix
from loss import schedule
from network.weights import read_file, sources, timm_names
from scripts.compare import final, spread
from utils.cli import comma_list, exit_code, place_to_write, start
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.files import write_file
from utils.normalization import Normalization

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ["--cfg", "scripts/cfg/camvid_trial.yaml", "--num_workers", "0", "--val_freq", "1000"]  # one, at the end
ENCODER = "tu-tf_efficientnet_lite0"  # timm's, as the peer calls it
OURS = {
    "ours, hierarchical": ["--scale_table"],
    "ours at one scale": ["--arch", "timm:tf_efficientnet_lite0+plain"],
}
PEERS = {"smp DeepLabV3Plus": "DeepLabV3Plus", "smp UPerNet": "UPerNet"}
PEERS_WORDS = ["--label_stride", "1"]  # its logits have the image's size


def peer_network(kind: str, cfg: Any) -> nn.Module:
    """The peer's network with the trunk's weights that ours starts from."""
    smp = _package()
    net = getattr(smp, kind)(ENCODER, encoder_weights=None, classes=cfg.DATASET.NUM_CLASSES)
    body = net.encoder.model
    state = read_file(sources.file(cfg.MODEL.TRUNK_WEIGHTS)).state
    *_, (ours, _) = timm_names.readings(state, body)
    missing = body.load_state_dict({k: x for k, x in ours.items() if k in body.state_dict()}, strict=False).missing_keys
    if missing:
        raise UserError(f"{kind}: {len(missing)} entries of its encoder are not in the file, {missing[0]} first")
    return net


def train_peer(kind: str, folder: Path, argv: Sequence[str]) -> None:
    """Train and score one of the peer's networks, and write `result.json`."""
    cfg, ranks = config.load([*argv, "--result_dir", str(folder)]), DistributedContext()
    torch.manual_seed(cfg.SEED)
    net, loader = peer_network(kind, cfg), datasets.build_train(cfg, ranks, folder)
    normalize = Normalization(cfg.DATASET.MEAN, cfg.DATASET.STD, ranks.device)
    optimizer = torch.optim.AdamW(net.parameters(), cfg.OPTIM.LR, weight_decay=cfg.OPTIM.WEIGHT_DECAY)
    rate = schedule.rate_function(cfg)
    for epoch in range(cfg.TRAIN.MAX_EPOCH):
        loader.set_epoch(epoch)
        net.train()
        for iteration, batch in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = rate(epoch, iteration, len(loader))
            logits = net(normalize(batch["image"]))  # (N, K, H, W)
            optimizer.zero_grad()
            F.cross_entropy(logits, batch["label"], ignore_index=cfg.DATASET.IGNORE_LABEL).backward()
            optimizer.step()
        print(f"{kind}, seed {cfg.SEED}: epoch {epoch + 1} of {cfg.TRAIN.MAX_EPOCH}", flush=True)
    write_file(folder / "result.json", json.dumps({"mean_iu": score(net, cfg, normalize)}).encode())


@torch.inference_mode()
def score(net: nn.Module, cfg: Any, normalize: nn.Module) -> float:
    """Mean IoU over the validation images, whole, at one scale."""
    net.eval()
    loader = datasets.build_val(cfg, DistributedContext(), "val")
    confusion = ConfusionMatrix(cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL)
    for batch in loader:
        for image, label in zip(batch["image"], batch["label"], strict=True):
            x = normalize(torch.from_numpy(image).permute(2, 0, 1)[None])
            confusion.update(padded(net, x).argmax(1)[0].to(torch.uint8), label)  # type: ignore[arg-type]
    return float(confusion.scores().mean_iu)


def padded(net: nn.Module, image: Tensor, multiple: int = 32) -> Tensor:
    """(N, 3, H, W) -> (N, K, H, W): the peer takes sides of multiples of 32."""
    height, width = image.shape[-2:]
    return net(F.pad(image, (0, -width % multiple, 0, -height % multiple)))[..., :height, :width]


def measured(name: str, folder: Path, argv: Sequence[str]) -> dict[str, float]:
    """One training in a process of its own, if it is not done yet: score, seconds, and the process's peak of memory."""
    done, said = folder / "measured.json", shlex.join(argv)
    if not done.exists():
        if name in PEERS:
            used = _call([__file__, "--peer", PEERS[name], "--out", str(folder), *argv, *PEERS_WORDS])
            found = json.loads((folder / "result.json").read_text())
        else:
            used = _call(["train.py", *argv, *OURS[name], "--result_dir", str(folder)])
            found = {"mean_iu": final(folder)}
        write_file(done, json.dumps({**found, **used, "words": said}).encode())
    measured = json.loads(done.read_text())
    if (before := measured.pop("words")) != said:
        raise UserError(f"{folder} has a training of other words: {before}; give another --out, or delete it")
    return measured


def _call(words: Sequence[str]) -> dict[str, float]:
    """Run a command of ours: seconds by the clock and of the processors, and the peak of its resident bytes."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise UserError(f"{shlex.join(words)} ended with {code}; its own words stand above")
    used = {"seconds": time.perf_counter() - began, "cpu": usage.ru_utime + usage.ru_stime}
    return {**used, "memory": usage.ru_maxrss * 1024}


def _package() -> Any:
    try:
        import segmentation_models_pytorch as smp  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"the peer is not installed ({error}): pip install segmentation-models-pytorch") from None
    return smp


def compare(args: argparse.Namespace, more: Sequence[str]) -> None:
    """All trainings that are not there yet, seed after seed, then the table."""
    results: dict[str, list[dict[str, float]]] = {}

    def one(name: str, title: str, seed: str, words: Sequence[str]) -> float:
        """A training's seconds of the processors."""
        found = measured(name, place(args.out, title, seed), words)
        results.setdefault(title, []).append(found)
        return found["cpu"]

    for seed in args.seeds:
        argv = [*RECIPE, "--data_root", str(Path(args.data_root).resolve()), "--seed", seed, *more]
        epochs = config.load(argv, dry=True).TRAIN.MAX_EPOCH
        allowed, *_ = [one(name, name, seed, argv) for name in OURS]
        for name in PEERS:
            taken = one(name, name, seed, argv)
            if args.equal_time:
                one(name, f"{name}, equal time", seed, [*argv, "--max_epoch", str(round(epochs * allowed / taken))])
    print(table(results))


def place(out: Path, name: str, seed: str) -> Path:
    """Folder of a training."""
    return out.resolve() / name.replace(" ", "_").replace(",", "") / f"seed{seed}"


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: a row a network, means over the seeds."""
    lines = ["| network | val mIoU, each seed | mean +- sd | wall, s | CPU, s | peak memory, GiB |", "|---" * 6 + "|"]
    for name, found in results.items():
        scores = [100 * one["mean_iu"] for one in found]
        wall, cpu = (sum(one[key] for one in found) / len(found) for key in ("seconds", "cpu"))
        memory = max(one["memory"] for one in found) / 2**30
        each = ", ".join(f"{score:.2f}" for score in scores)
        lines.append(f"| {name} | {each} | {spread(scores)} | {wall:.0f} | {cpu:.0f} | {memory:.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line for a user's mistake."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    flags.add_argument("--out", type=place_to_write, required=True, help="folder of the runs: OUT/NETWORK/seedN")
    flags.add_argument("--data_root", required=True, help="CamVid in the SegNet layout")
    flags.add_argument("--seeds", type=comma_list, default="0,1,2", help="one training of each network a seed")
    flags.add_argument("--equal_time", action="store_true", help="each peer also for as long as our first network")
    flags.add_argument("--peer", choices=sorted(PEERS.values()), help="train this one alone, into --out")
    args, more = flags.parse_known_args(argv)
    if args.peer:
        return exit_code(lambda: train_peer(args.peer, args.out, [*more, "--data_root", args.data_root]), args.out)
    return exit_code(lambda: compare(args, more), args.out)


if __name__ == "__main__":
    sys.exit(start(main))
