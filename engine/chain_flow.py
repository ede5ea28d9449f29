"""Flow along chains of frames, from the source that a command line names."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from datasets.bit_depth import bits_beside
from datasets.video_clips import Chain
from media.reading import read_image
from network.flow.sources import PREDICTIONS, SOURCES, Flow, Prediction, device_of, flow_source
from utils import digest, flowfile
from utils.errors import UserError

# Flow from the new frame to the old one, and (if it is asked for) the way back: of a chain, its k-th step.
Flows = Callable[[Chain, int, bool], tuple[Tensor, Tensor | None]]
WEIGHTS = {"raft": "raft_checkpoint", "flownet2": "flownet2_checkpoint", "sdcnet": "pretrained"}  # of which source


def add_flags(p: argparse.ArgumentParser) -> None:
    """Add the flags that say where flow comes from."""
    flows = (*SOURCES, *PREDICTIONS, "files")
    p.add_argument("--flow", choices=flows, required=True, help="files: --flow_dir, KITTI's PNGs")
    p.add_argument("--flow_inputs", choices=tuple(SOURCES), default="", help="flow that a prediction starts from")
    p.add_argument("--pretrained", default="", help="weights of SDCNet")
    p.add_argument("--flownet2_checkpoint", default="", help="weights of FlowNet2")
    p.add_argument("--raft_checkpoint", default="", help="torchvision's weights of raft_large or raft_small")
    p.add_argument("--flow_dir", default="", help="<sequence>_<frame>_<other>_flow.png; else flow_sequence/<split>")


@lru_cache(maxsize=8)
def frame_of(path: Path) -> Tensor:
    """Read a frame: (1, 3, H, W) float32 RGB, 0 to 255."""
    bits, _ = bits_beside(path.parent)
    return torch.from_numpy(read_image(str(path), bits=bits)).permute(2, 0, 1)[None].float()


def frames_of(chain: Chain, *numbers: int) -> list[Tensor]:
    """Read the frames of a chain that have these numbers, (1, 3, H, W) each; UserError where their sizes differ."""
    frames = [frame_of(chain.clip.frames[number]) for number in numbers]
    if any(frame.shape != frames[0].shape for frame in frames):
        raise UserError(f"{chain.clip.frames[numbers[-1]]} has another size than the frames before it")
    return frames


def by_source(source: Flow) -> Flows:
    """Make flow between two frames as a source finds it."""

    def flows(chain: Chain, k: int, both: bool) -> tuple[Tensor, Tensor | None]:
        old, new = frames_of(chain, *(chain.start + chain.way * n for n in (k - 1, k)))
        return source(new, old), source(old, new) if both else None

    return flows


def by_prediction(predict: Prediction, between: Flow) -> Flows:
    """Predict flow from three frames, as published: the one behind the label (from the second step on the labeled
    one), the old one and the new one. The way back is that of a source of flow."""

    def flows(chain: Chain, k: int, both: bool) -> tuple[Tensor, Tensor | None]:
        numbers = (chain.start + chain.way * n for n in (-1 if k == 1 else 0, k - 1, k))
        first, old, new = frames_of(chain, *numbers)
        return predict(first, old, new), between(old, new) if both else None

    return flows


def by_files(root: Path) -> Flows:
    """Read flow from files below `root`, in the folders of the frames or side by side."""

    def flows(chain: Chain, k: int, both: bool) -> tuple[Tensor, Tensor | None]:
        old, new = (chain.start + chain.way * n for n in (k - 1, k))
        shape = frame_of(chain.clip.frames[new]).shape[2:]
        found = []
        for path in _files(root, chain, k)[: 1 + both]:
            flow = flowfile.read(path)
            if flow.shape[:2] != shape:
                raise UserError(f"{path} has the size {flow.shape[:2]}, its frame {tuple(shape)}; write it anew")
            found.append(torch.from_numpy(flow).permute(2, 0, 1)[None])
        return found[0], found[1] if both else None

    return flows


def _files(root: Path, chain: Chain, k: int) -> tuple[Path, Path]:
    """Name the files of the flow of a chain's k-th step, and of the way back."""
    old, new = (chain.start + chain.way * n for n in (k - 1, k))
    folder = root / chain.clip.place
    name = partial(flowfile.name, chain.clip.name)
    place = folder if folder.is_dir() else root
    return place / name(new, old), place / name(old, new)


def made_from(args: argparse.Namespace, chain: Chain, k: int) -> list[Path]:
    """Give all files that a chain's k-th step depends on: its label, the frames up to there, and flow that is read."""
    clip = chain.clip
    frames = [chain.start + chain.way * n for n in range(-1, k + 1)]
    files = [clip.labels[chain.start], *(clip.frames[n] for n in frames if n in clip.frames)]
    if args.flow == "files":
        files += [file for n in range(1, k + 1) for file in _files(_root(args), chain, n)]
    return files


def _root(args: argparse.Namespace) -> Path:
    """Tell where --flow files reads."""
    return Path(args.flow_dir or Path(args.source_dir) / "flow_sequence" / args.split)


def weights_digest(args: argparse.Namespace) -> str:
    """Make the digest of the weights that the flow comes from, as far as they are files; empty without any."""
    used = {args.flow, inputs_of(args)} if args.flow in PREDICTIONS else {args.flow}
    files = [Path(weights_of(args, name)) for name in sorted(used) if weights_of(args, name)]
    return " ".join(digest.of_files([file]) for file in files if file.is_file())


def inputs_of(args: argparse.Namespace) -> str:
    """Give the source of flow that a prediction starts from: that whose weights are given, if it is not named."""
    given_ones = [name for name in SOURCES if weights_of(args, name)]
    return args.flow_inputs or (given_ones[0] if given_ones else "dis")


def weights_of(args: argparse.Namespace, name: str) -> str:
    """Give the path of the weights of a source, empty where none are given."""
    return getattr(args, WEIGHTS[name]) if name in WEIGHTS else ""


def ignored_flags(args: argparse.Namespace) -> list[str]:
    """Give the flags of weights that nothing reads."""
    used = {args.flow, inputs_of(args)} if args.flow in PREDICTIONS else {args.flow}
    return [f"--{flag}" for name, flag in WEIGHTS.items() if weights_of(args, name) and name not in used]


def flows_of(args: argparse.Namespace) -> Flows:
    """Tell where flow comes from, as the command line says."""
    device = device_of(args.device)
    if args.flow in PREDICTIONS:
        between = flow_source(inputs_of(args), weights_of(args, inputs_of(args)), device)
        return by_prediction(PREDICTIONS[args.flow](weights_of(args, args.flow), between, device), between)
    if args.flow != "files":
        return by_source(flow_source(args.flow, weights_of(args, args.flow), device))
    root = _root(args)
    if not root.is_dir() or not (args.flow_dir or args.source_dir):
        raise UserError(f"--flow files: {root} is no folder of flow; give --flow_dir")
    return by_files(root)
