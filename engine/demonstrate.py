"""The demo of a checkpoint alone: demo.py and demo_folder.py with --snapshot."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import inference
from engine import tool
from engine.session import Start, load_for_evaluation, to_device
from inference import from_file, temperature
from runtime import render
from runtime.demo import DONE
from runtime.taken import LOG
from utils import distributed
from utils.errors import UserError
from utils.visualize import to_array

ARCH = "deepv3.DeepWV3Plus"  # what a published command means where it says nothing


@contextmanager
def rendering(args: argparse.Namespace, rest: Sequence[str], command: str) -> Iterator[render.Renderer]:
    """Give the checkpoint's network, ready on its device; at the end write the legend, also after Ctrl-C."""
    argv = ["--eval", "folder", "--eval_folder", ".", "--snapshot", args.snapshot, "--result_dir", str(args.save_dir)]
    cfg, spec, net, _ = from_file.build([*rest, *argv], preferred=ARCH)
    ranks = distributed.init(cfg.TRAIN.LOCAL_RANK)
    if ranks.world > 1:
        raise UserError("a demo is one process: start it with python; train.py --eval folder shares pictures")
    with tool.opened(cfg, spec, ranks, command, LOG) as run:
        run.log.line(f"{cfg.MODEL.ARCH}, {spec.name}, on {ranks.device.type}")
        load_for_evaluation(run, net, Start(Path(cfg.SNAPSHOT)))
        value = 1.0
        if args.confidence:
            value, line = temperature.of(Path(cfg.SNAPSHOT), spec.classes, inference.eval_rule(cfg))
            run.log.line(line)
        net = to_device(run, net)
        predictor = inference.build_predictor(cfg, net, run.precision, run.log.line, temperature=value)

        def predict(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            (found,) = predictor([image])
            return to_array(found.classes), to_array(found.max_prob) if args.confidence else None

        renderer = render.Renderer(
            run.folder, spec, predict, run.log.line, bool(cfg.EVAL.VISUALIZE), cfg.DATASET.IMAGE_BITS
        )
        with render.finishing(renderer):
            yield renderer


def main(script: str, options: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""

    def work(args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
        render.run(args, lambda: rendering(args, rest, command), command)

    return tool.main(script, options, work, "save_dir", argv, DONE)
