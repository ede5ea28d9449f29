"""docs/extending.md is true: its blocks are written, its rows added, and what all five make is trained and scored."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
PARTS = ("a loss", "a dataset", "a trunk", "a head", "a sink")
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "logs", "assets", "docs", "tests")


def place_of(context: str, lines: list[str], name: str) -> int:
    """Where the one line `context` ends in a file; behind ` ...` it may go on."""
    start = context.removesuffix(" ...")
    found = [i for i, line in enumerate(lines) if line == context or (start != context and line.startswith(start))]
    assert len(found) == 1, f"{name} has {len(found)} lines {context!r}"
    return found[0] + 1


def add_rows(block: str, root: Path) -> None:
    """Apply a difference: lines with `+` follow the line above them."""
    for part in block.split("--- ")[1:]:
        name, *rows = part.splitlines()
        lines, place = (root / name).read_text().split("\n"), 0
        for row in rows:
            if not row.startswith("+"):
                place = place_of(row[1:], lines, name)
                continue
            lines.insert(place, row[1:])
            place += 1
        (root / name).write_text("\n".join(lines))


def squares(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Bright squares on dark ground, 32 x 32, with a border of ignored pixels in the mask."""
    folder.mkdir(parents=True)
    for number in range(count):
        image = rng.integers(0, 90, (32, 32, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        top, left = rng.integers(2, 14, 2)
        mask[top - 1 : top + 17, left - 1 : left + 17] = 9
        mask[top : top + 16, left : left + 16] = 1
        image[top : top + 16, left : left + 16] += 160
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
        cv2.imwrite(str(folder / f"{number}_mask.png"), mask)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A copy of the code with what the page adds to it, and the names of the new files."""
    root = tmp_path_factory.mktemp("extended") / "house"
    shutil.copytree(ROOT, root, ignore=NOT_COPIED)
    names = []
    for kind, block in re.findall(r"```(python|diff)\n(.*?)```", PAGE, re.S):
        if kind == "diff":
            add_rows(block, root)
            continue
        first, _, text = block.partition("\n")
        names.append(first.removeprefix("# "))
        assert not (root / names[-1]).exists(), f"{names[-1]} is there already"
        (root / names[-1]).write_text(text)
    rng = np.random.default_rng(0)
    squares(root / "squares/train", 8, rng)
    squares(root / "squares/val", 4, rng)
    return root, names


def run(root: Path, *words: str) -> str:
    """Output of a command in the copy, which has to succeed."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, *words], cwd=root, env=env, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_part_has_one_file_and_its_rows(house: tuple[Path, list[str]]) -> None:
    _, names = house
    assert len(names) == len(PARTS) == len(set(names))
    sections = re.split(r"^## ", PAGE, flags=re.M)
    for part in PARTS:
        section = next(text for text in sections if text.lower().startswith(part))
        assert section.count("```python\n") == 1 and section.count("```diff\n") == 1, part
        (rows,) = re.findall(r"```diff\n(.*?)```", section, re.S)
        if part in ("a trunk", "a head"):
            assert rows.count("\n+") == 1, part


@pytest.mark.slow
def test_a_network_of_all_five_is_trained_and_scored(house: tuple[Path, list[str]]) -> None:
    root, names = house
    (line,) = re.findall(r"```\npython (train\.py .*?)```", PAGE.replace("\\\n", " "), re.S)
    words = shlex.split(line)
    folder = root / words[words.index("--result_dir") + 1]
    output = run(root, *words)
    rows = [row for row in csv.reader((folder / "metrics.csv").read_text().splitlines()) if row[0] == "val"]
    score = float(rows[-1][rows[-1].index("mean_iu") + 1])
    assert score > 0.8, output  # ground alone has 0.4
    (path,) = folder.glob("last_checkpoint_ep*.pth")
    state = torch.load(path, weights_only=True)
    assert state["class_names"] == ["ground", "square"]
    assert {"backbone.fine.0.weight", "scores.1.weight"} <= set(state["net"])
    assert state["config"]["LOSS.TERMS"], "the new loss was not asked for"
    shares = (folder / "shares.csv").read_text().splitlines()
    assert shares[0] == "image,ground,square" and len(shares) == 5


def test_every_output_of_the_heads_row_has_a_loss_by_itself(house: tuple[Path, list[str]]) -> None:
    """Without --loss_terms; and --ocr_alpha weighs it."""
    root, _ = house
    words = "--dataset toy --trunk tiny --head summed --ocr_alpha 0.3".split()
    program = (
        "import config, loss, sys; print([(t.outputs, t.weight) for t in loss.build(config.load(sys.argv[1:])).terms])"
    )
    assert run(root, "-c", program, *words) == "[(('pred',), 1.0), (('aux',), 0.3)]\n"


def test_the_new_files_are_in_the_houses_style(house: tuple[Path, list[str]]) -> None:
    root, names = house
    run(root, "-m", "ruff", "check", "--no-cache", *names)
    run(root, "-m", "ruff", "format", "--no-cache", "--check", *names)
