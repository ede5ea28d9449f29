"""A trained network as a file for other runtimes, compared with the network itself before anybody relies on it.

python scripts/export.py --snapshot CKPT --out model.onnx [--output softmax] [--uint8] [--image street.png]
python scripts/export.py --snapshot CKPT --out model.pt2 --size 1024,2048 --fixed

.onnx is for ONNX Runtime, TensorRT, OpenVINO and the like (pip install onnx onnxscript onnxruntime), .pt2 a program of
torch.export. Beside it comes a .json with classes, colors, mean and deviation. Any checkpoint that train.py reads,
with further flags of train.py where they change the network: --arch, --n_scales 0.5,1.0,2.0, ...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import inference
from datasets.bit_depth import bits_of_folder
from datasets.pictures import read_image
from inference import export, from_file
from inference.rule import EvalRule, normalize
from utils.cli import exit_code, place_to_write, start
from utils.errors import UserError
from utils.files import write_file

LISTS = ("mean", "std", "classes", "palette")  # of the .json, also in the file itself
MOST_ERROR, LEAST_SAME = 1e-3, 0.999  # of the largest value; share of pixels that have the same class


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("--snapshot", required=True, help="checkpoint or run folder, which may tell its network and classes")
    p.add_argument("--out", type=place_to_write, required=True, help="file to write: .onnx or .pt2")
    p.add_argument("--output", choices=list(export.OUTPUTS), default="argmax", help="what the file gives [argmax]")
    p.add_argument("--size", default="512,1024", help="height,width of the example that is traced [512,1024]")
    p.add_argument("--fixed", action="store_true", help="take images of --size only, as .pt2 does; else any from 64 on")
    p.add_argument("--uint8", action="store_true", help="take (N, H, W, 3) uint8 RGB, not normalized (N, 3, H, W)")
    p.add_argument("--image", default="", help="picture to compare on as well")
    return p


def run(args: argparse.Namespace, rest: Sequence[str]) -> None:
    """Build, load, write, compare, tell."""
    size = _size(args.size)
    export.check(args.out, args.fixed)
    # Sizes of evaluation that a file records are not asked for here.
    cfg, spec, net, _ = from_file.loaded(args.snapshot, ["--imgSize", "", *rest])
    for note in cfg.NOTES:
        print(note)
    rule = inference.eval_rule(cfg)
    around = rule.scales != (1.0,) or rule.short_edge_sizes or cfg.EVAL.INFERENCE_MODE or cfg.EVAL.FIXED_ASPP_POOL
    if around or len(rule.flips) > 1:
        raise UserError("scales, mirror images and windows around the network are no part of a file: leave them out")
    module = export.Deployed(net, rule, args.output, args.uint8)
    export.check_scores(module, rule, size)
    scales = ",".join(map(str, cfg.MODEL.N_SCALES))
    facts = {"arch": cfg.MODEL.ARCH, "output": args.output, "n_scales": scales, "input": _input(args)}
    about: dict[str, Any] = {**facts, "mean": rule.mean, "std": rule.std}
    about |= {"size": size if args.fixed else None, "classes": spec.classes, "palette": spec.palette}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_name(f".{args.out.name}.tmp{args.out.suffix}")
    try:
        export.save(module, rule, size, partial, args.fixed, facts | {name: json.dumps(about[name]) for name in LISTS})
        compare(args, module, rule, export.runner(partial), size)
        partial.replace(args.out)
    finally:
        partial.unlink(missing_ok=True)
    write_file(args.out.with_suffix(".json"), f"{json.dumps(about, indent=1)}\n".encode())
    print(f"{args.out}: {cfg.MODEL.ARCH}, {len(spec.classes)} classes, {args.out.stat().st_size / 1e6:.1f} MB")


def compare(
    args: argparse.Namespace, module: export.Deployed, rule: EvalRule, run: export.Runner, size: Sequence[int]
) -> None:
    """Print how far the file is from the network; UserError if that is too far."""
    inputs = {"noise": module.example(size, 1, seed=1)}
    if not args.fixed:
        inputs["noise of another size"] = module.example([size[0] // 2 + 32, size[1] // 2 + 64], 1, seed=2)
    if args.image:
        inputs[args.image] = _picture(args, module, rule, size)
    for name, image in inputs.items():
        try:
            error, same = export.distance(module, rule, run, image)
        except Exception as reason:  # each runtime has errors of its own
            text = " ".join(str(reason).split())[:160]
            raise UserError(
                f"the exported file does not run on {name}: try --fixed; nothing was written ({text})"
            ) from None
        far = "" if module.output == "argmax" else f"largest error {error:.1e} of the largest value, "
        print(f"{name}: {far}{100 * same:.3f} % of the pixels the same class")
        if not error <= MOST_ERROR or same < LEAST_SAME:  # NaN is no small error
            raise UserError(
                f"the exported file differs from the network on {name}: nothing was written; "
                "try --fixed, the other format, or another version of torch"
            )


def _picture(args: argparse.Namespace, module: export.Deployed, rule: EvalRule, size: Sequence[int]) -> torch.Tensor:
    """Read a picture's upper left corner of `size`, or all of it where any size is taken."""
    bits, note = bits_of_folder([args.image], 0)
    if note:
        print(note)
    image = read_image(args.image, upright=True, bits=bits)
    height, width = image.shape[:2]
    least = size if args.fixed else [export.SMALLEST] * 2
    if height < least[0] or width < least[1]:
        taken = f"smaller than --size {args.size}" if args.fixed else f"the file takes sides from {least[0]} on"
        raise UserError(f"{args.image} is {width}x{height} pixels, {taken}: give another --image or --size")
    tensor = torch.from_numpy(image[: size[0], : size[1]].copy() if args.fixed else image)[None]  # (1, H, W, 3)
    return tensor if module.raw else normalize(tensor.permute(0, 3, 1, 2), rule)


def _input(args: argparse.Namespace) -> str:
    return "uint8 RGB (N, H, W, 3)" if args.uint8 else "float32 RGB (N, 3, H, W), (image / 255 - mean) / std"


def _size(text: str) -> list[int]:
    try:
        height, width = (int(side) for side in text.split(","))
    except ValueError:
        height = width = 0
    if min(height, width) < export.SMALLEST:
        raise UserError(f"--size {text!r}: give height,width of at least {export.SMALLEST}, for instance 512,1024")
    return [height, width]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    args, rest = parser().parse_known_args(argv)
    return exit_code(lambda: run(args, rest), args.out, "nothing was written")


if __name__ == "__main__":
    sys.exit(start(main))
