"""The shell entry points: what they start, on how many GPUs, and that shellcheck likes them."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from shared import GOLDEN

import config
from options import table

SCRIPTS = Path(__file__).parents[2] / "scripts"
SHELL = sorted(SCRIPTS.glob("*.sh"))
RUNS = [path for path in SHELL if '/on_all_gpus.sh" ' in path.read_text(encoding="utf-8")]
ECHO = '#!/bin/sh\necho "$(basename "$0")"\nfor word in "$@"; do echo "$word"; done\n'


def started(script: Path, words: list[str], folder: Path, gpus: int = 1) -> list[str]:
    """Program and words that a script starts on a machine with so many GPUs, with stand-ins for the programs."""
    for name in ("python", "torchrun"):
        (folder / name).write_text(ECHO, encoding="utf-8")
        (folder / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "GPUS": str(gpus)}
    done = subprocess.run([script, *words], env=env, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck (apt install shellcheck)")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", *map(str, SHELL)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert all(os.access(path, os.X_OK) for path in SHELL)


def test_scripts_are_there() -> None:
    assert len(RUNS) >= 8 and len(SHELL) >= len(RUNS) + 4


@pytest.mark.parametrize("script", RUNS, ids=lambda path: path.stem)
def test_a_script_is_a_command_line_of_ours(script: Path, tmp_path: Path) -> None:
    fresh, evaluates = script.stem.startswith("train_mapillary"), not script.stem.startswith("train")
    given = ["weights.pth"] * (not fresh) + ["out"] * evaluates
    words = started(script, [*given, "--seed", "7"], tmp_path)
    assert words[:2] == ["python", str(SCRIPTS.parent / "train.py")]
    cfg = config.load(words[2:])
    assert cfg.SEED == 7
    assert cfg.SNAPSHOT == ("" if fresh else "weights.pth")
    assert cfg.MODEL.ARCH == ("deepv3.DeepWV3Plus" if "WideResNet38" in script.stem else "deepv3.DeepSRNX50V3PlusD_m1")
    assert f"_{cfg.DATASET.NAME}_" in script.stem
    assert bool(cfg.EVAL.MODE) == (cfg.EVAL.INFERENCE_MODE == "sliding") == (cfg.RESULT_DIR == "out") == evaluates


@pytest.mark.parametrize("script", [path for path in RUNS if path.stem.startswith("train")], ids=lambda path: path.stem)
def test_a_training_has_the_published_options(script: Path, tmp_path: Path) -> None:
    """Those that the published line names, and those that it leaves at other defaults than ours."""
    published = json.loads((GOLDEN / "sdcnet" / "options.json").read_text())
    p = argparse.ArgumentParser()
    for option in published["entry_points"]["train.py"]:
        if option.get("action") == "store_true":
            p.add_argument(*option["flags"], default=option["default"], action="store_true")
        else:
            kind = {"int": int, "float": float, "str": str}[option["type"]]
            p.add_argument(*option["flags"], default=option["default"], type=kind)
    there = vars(p.parse_args(shlex.split(published["scripts"][script.name].split("train.py ")[1])))
    fresh = script.stem.startswith("train_mapillary")
    cfg = config.load(started(script, [] if fresh else ["weights.pth"], tmp_path)[2:])
    ours = {name: config.flat(cfg)[option.key] for name, option in table.flags().items()}
    # The process group replaces apex; coarse images, which max_cu_epoch ends, are Cityscapes' alone.
    renamed = {"arch", "snapshot", "apex"} | ({"max_cu_epoch"} if cfg.DATASET.NAME != "cityscapes" else set())
    compared = {name for name in there if f"--{name}" in ours} - renamed
    assert len(compared) > 30
    for name in compared:
        want, have = there[name], ours[f"--{name}"]
        assert have == (type(have)() if want is None else type(have)(want)), name
    assert cfg.MODEL.ARCH == there["arch"].removeprefix("network.")
    assert cfg.TRAIN.BATCH_SIZE == there["bs_mult"] and cfg.OPTIM.NAME == "sgd"


@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_a_process_on_each_gpu(gpus: int, tmp_path: Path) -> None:
    words = started(SCRIPTS / "on_all_gpus.sh", ["--a", "b c"], tmp_path, gpus)
    train = str(SCRIPTS.parent / "train.py")
    alone = ["python", train, "--a", "b c"]
    assert words == (["torchrun", "--standalone", "--nproc_per_node=4", *alone[1:]] if gpus > 1 else alone)


@pytest.mark.parametrize(
    "script",
    [path for path in RUNS if not path.stem.startswith(("train_kitti", "train_mapillary"))],
    ids=lambda p: p.stem,
)
def test_without_weights_a_line_says_how_to_call_it(script: Path) -> None:
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode and "usage: scripts/" + script.name in done.stderr
