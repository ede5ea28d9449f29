"""The shell entry points: what they start, on how many GPUs, and that shellcheck likes them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import config

SCRIPTS = Path(__file__).parents[2] / "scripts"
SHELL = sorted(SCRIPTS.glob("*.sh"))
RUNS = [path for path in SHELL if path.name != "on_all_gpus.sh"]
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
