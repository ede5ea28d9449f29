"""The work of scripts/export.py: load, write, compare, and only then give the file its name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import inference
from engine.export import data, gate
from inference import export, from_file
from inference.from_file import Trained
from inference.passes import evaluating
from inference.rule import EvalRule
from media.bits import bits_of_folder
from media.reading import read_image
from network.trunk import timm_nets
from runtime.facts import LISTS, Facts
from utils import digest
from utils.cli import check_free
from utils.errors import UserError, in_short
from utils.files import folder_beside, write_file

DEFAULT_SIZE = (512, 1024)
FILES = "files"  # the fact beside an exported file that has the sum of each of its parts

Shown = dict[str, gate.Watched]  # {name of a picture: what is compared on it}


@dataclass(frozen=True)
class Request:
    """What the command line asks for, in the code's terms. `size`: of the example; `fixed`: the file takes no other."""

    args: argparse.Namespace
    argv: Sequence[str]
    target: export.Target
    precision: str
    size: tuple[int, int]
    fixed: bool

    @classmethod
    def of(cls, args: argparse.Namespace, argv: Sequence[str]) -> Request:
        """Check everything that can be known before a network is built; UserError for what cannot be."""
        size = _size(args.size) if args.size else DEFAULT_SIZE
        fixed = args.fixed or (bool(args.size) and not args.dynamic)
        if args.fixed and args.dynamic:
            raise UserError("--dynamic takes any size, --fixed one: leave out one of them")
        if args.half and args.int8:
            raise UserError("--half and --int8 are two precisions: leave out one of them")
        if args.calibration and not args.int8:
            raise UserError("--calibration is of --int8: add that, or leave it out")
        precision = "fp16" if args.half else "int8" if args.int8 else "fp32"
        target = export.find(args.out, args.runtime)
        export.check(target, precision, fixed)
        return cls(args, argv, target, precision, size, fixed)


def run(args: argparse.Namespace, rest: Sequence[str]) -> None:
    """Build, load, write, compare, tell."""
    request = Request.of(args, rest)
    check_free([args.out, _beside(args.out)], args.overwrite)
    # Sizes of evaluation that a file records are not asked for here.
    argv = ["--imgSize", "", *rest]
    trained = from_file.loaded(args.snapshot, argv)
    for note in notes(trained):
        print(note)
    rule = _rule(trained)
    timm_nets.join_branches(trained.net)
    module = export.Deployed(trained.net, rule, args.output, args.uint8).eval()
    export.check_scores(module, rule, request.size)
    limits = gate.LIMITS[request.precision]
    limits = limits if args.max_drop is None else limits._replace(drop=args.max_drop)
    passing = gate.Gate(module, rule, trained.spec, limits)
    with folder_beside(args.out) as folder:
        layers = Job(request, trained, passing, folder, argv).write()
        _record(request, trained, passing, layers, folder)
        ready = {path: args.out.with_name(path.name) for path in folder.iterdir()}
        check_free(ready.values(), args.overwrite)
        for path, target in ready.items():
            path.replace(target)
    size = sum(path.stat().st_size for path in ready.values()) / 1e6
    print(f"{args.out}: {trained.cfg.MODEL.ARCH}, {len(trained.spec.classes)} classes, {size:.1f} MB")


def notes(trained: Trained) -> list[str]:
    """Say what was guessed, and what of the checkpoint's own evaluation is no part of a file."""
    sizes = trained.metadata.get("DATASET.IMG_SIZES")
    line = f"the checkpoint's own evaluation resizes to short sides {sizes}; a file takes pictures as they are"
    return [*trained.cfg.NOTES, *([line] if sizes else [])]


@dataclass
class Job:
    """One file on its way: written into `folder`, compared there."""

    request: Request
    trained: Trained
    passing: gate.Gate
    folder: Path
    argv: Sequence[str]

    def write(self) -> export.Layers:
        """Write and compare; UserError where the file differs, with the layer. Gives what was quantized."""
        pictures = self._labeled()
        reference = self.passing.score(self.passing.reference, pictures.pairs) if pictures.pairs else 0.0
        images = gate.three_sizes(pictures.images, self.request.size, self.request.fixed) | self._own_picture()
        shown = self.passing.watched(images)
        order = self._order(pictures, shown, reference)
        with evaluating(order.module, self.passing.rule):
            layers = self._written(order)
            self._check_int8(layers)
            try:
                self._compare(order.path, pictures, shown, reference)
            except gate.Missed as missed:
                image = self._input(missed.image)
                order = replace(order, example=torch.from_numpy(image))
                layer = export.first_difference(self.request.target, order, self.passing.module.net, self.folder)
                raise UserError(f"{missed}: nothing was written; {layer}") from None
        return layers

    def _written(self, order: export.Order) -> export.Layers:
        """Write the file; UserError for what the exporter cannot do, or a compiler that is not there."""
        try:
            return self.request.target.write(order)
        except (UserError, OSError):
            raise
        except Exception as reason:  # each exporter has errors of its own
            advice = "try --size, or another target" if not self.request.fixed else "try another target"
            raise UserError(
                f"the network cannot be written as {order.path.suffix}: {advice} ({in_short(reason)})"
            ) from reason

    def _compare(self, path: Path, pictures: data.Pictures, shown: Shown, reference: float) -> None:
        """Let the file through the gate, with a line for each measure."""
        run = self.request.target.open(path, self.request.precision)
        for line in self.passing.pictures(run, shown):
            print(line)
        if pictures.pairs:
            print(self.passing.labeled(run, pictures.name, pictures.pairs, reference))
        else:
            print(f"mean IoU is not compared: {pictures.name} have no labels of its classes; name some with --labeled")

    def _order(self, pictures: data.Pictures, shown: Shown, reference: float) -> export.Order:
        request, module = self.request, self.passing.module
        calibration = None
        if request.precision == "int8":
            inputs = [self._input(image) for image in self._calibrating()]

            def lost(run: export.Runner, pairs: Iterable[data.Pair]) -> float:
                return self.passing.lost(run, [*pairs], shown.values(), reference)

            calibration = export.Calibration(inputs, lost, pictures.pairs, self.passing.limits.drop)
        path, rule = self.folder / request.args.out.name, self.passing.rule
        about = facts(request, self.trained, rule)
        return export.order_of(
            request.target, module, rule, request.size, path, request.fixed, about, request.precision, calibration
        )

    def _labeled(self) -> data.Pictures:
        """Read the labeled pictures: --labeled's, or the embedded scenes."""
        args = self.request.args
        if args.labeled:
            found = data.of_dataset(args.labeled, "val", self.trained, self.argv, args.images)
            if not found.labels:
                raise UserError(f"--labeled {args.labeled} has no labels: name a data set that has")
        else:
            found = data.scenes(self.trained.spec, args.images, "val")
        return found.of_size(self.request.size) if self.request.fixed else found

    def _calibrating(self) -> list[np.ndarray]:
        """Read what int8 is calibrated with: --calibration's training pictures, or scenes of the training split.

        A file for any size sees each at the size of the example too: ranges depend on the size.
        """
        args = self.request.args
        if not args.calibration:
            print(f"int8 is calibrated on {data.SCENES}: name pictures like those that it will see, --calibration")
            found = data.scenes(self.trained.spec, args.images, "train").images
        else:
            found = data.of_dataset(args.calibration, "trn", self.trained, self.argv, args.images).images
        small = [data.resized(image, self.request.size) for image in found]
        return small if self.request.fixed else [image for both in zip(small, found, strict=True) for image in both]

    def _own_picture(self) -> dict[str, np.ndarray]:
        """Read the picture of --image, of a size that the file takes."""
        name = self.request.args.image
        if not name:
            return {}
        bits, note = bits_of_folder([name], 0)
        if note:
            print(note)
        image = read_image(name, upright=True, bits=bits)
        least = (max(side, export.SMALLEST) for side in image.shape[:2])
        return {name: data.resized(image, self.request.size if self.request.fixed else (*least,))}

    def _input(self, image: np.ndarray) -> np.ndarray:
        image = data.resized(image, self.request.size) if self.request.fixed else image
        return self.passing.module.input(image, self.passing.rule)

    def _check_int8(self, layers: export.Layers) -> None:
        """Say which layers stay in float; UserError where all do: that is no file in int8."""
        if self.request.precision != "int8":
            return
        if len(layers.in_float) == layers.count:
            limits = self.passing.limits
            lost = f"{limits.drop:g} points of mean IoU, or of {100 * (1 - limits.same):.0f} % of the pixels the class"
            cure = "give --calibration pictures like those of --labeled, or take --half"
            raise UserError(f"{layers.told}: with any, more than {lost} is lost: nothing was written; {cure}")
        rest = f"; in float: {', '.join(layers.in_float)}" if layers.in_float else ""
        print(f"{layers.told}{rest}")


def facts(request: Request, trained: Trained, rule: EvalRule) -> dict[str, str]:
    """Tell what a file says of itself, {key: text}, lists as JSON."""
    args, model, spec = request.args, trained.cfg.MODEL, trained.spec
    source = Path(trained.cfg.SNAPSHOT)
    size = request.size if request.fixed else None
    says = Facts(spec, args.output, args.uint8, rule.mean, rule.std, size, request.precision)
    return {
        "arch": model.ARCH,
        "n_scales": ",".join(map(str, model.N_SCALES)),
        "source": source.name,
        "source_sha256": digest.sha256([source]) if source.is_file() else "",
        **says.written(),
    }


def _record(request: Request, trained: Trained, passing: gate.Gate, layers: export.Layers, folder: Path) -> None:
    """Write the facts, the proof, the versions and the sums of all files of `folder` beside them."""
    about: dict[str, Any] = facts(request, trained, passing.rule)
    about |= {export.INT8: layers.told} if layers.count else {}
    about[FILES] = {path.name: digest.sha256([path]) for path in sorted(folder.iterdir())}
    about |= {name: json.loads(about[name]) for name in LISTS}
    limits = {name: value for name, value in passing.limits._asdict().items() if np.isfinite(value)}
    used = [name for name in request.target.packages.values() if name != "nncf" or request.precision == "int8"]
    packages = {name: version(name) for name in ("torch", *used)}
    about |= {"in_float": [*layers.in_float], "proof": passing.proof, "limits": limits, "versions": packages}
    write_file(folder / _beside(request.args.out).name, f"{json.dumps(about, indent=1)}\n".encode())


def _beside(out: Path) -> Path:
    """Name the file of facts beside a file."""
    return out.with_name(f"{out.name}.json")


def _rule(trained: Trained) -> EvalRule:
    """Give the rule of the network's evaluation; UserError where it does more than one pass."""
    rule, options = inference.eval_rule(trained.cfg), trained.cfg.EVAL
    scaled = rule.scales != (1.0,) or rule.short_edge_sizes or rule.base_long_edge
    if scaled or options.INFERENCE_MODE or options.FIXED_ASPP_POOL or len(rule.flips) > 1:
        raise UserError("scales, mirror images and windows around the network are no part of a file: leave them out")
    return rule


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in text.split(","))
    except ValueError:
        height = width = 0
    if min(height, width) < export.SMALLEST:
        raise UserError(f"--size {text!r}: give height,width of at least {export.SMALLEST}, for instance 512,1024")
    return height, width
