"""README's section on one's own images: every command in it runs, in its order, on a folder of drawn streets."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import own_layouts
import pytest
from pictures import write_image

import demo_folder
import train
from scripts import check_data, compare, find_label_errors, new_dataset

ROOT = Path(__file__).parents[1]
# For seconds: a small network and few steps in place of a planned training of minutes.
SHORTER = (
    *("--cfg", str(ROOT / "scripts/cfg/quickstart.yaml"), "--max_epoch", "4", "--val_freq", "4", "--crop_size", "64"),
    *("--bs_trn", "4", "--second_scale_from", "2", "--num_workers", "0", "--class_uniform_tile", "32"),
)
PROGRAMS = {
    "scripts/new_dataset.py": new_dataset.main,
    "scripts/check_data.py": check_data.main,
    "train.py": train.main,
    "demo_folder.py": demo_folder.main,
    "scripts/find_label_errors.py": find_label_errors.main,
    "scripts/compare.py": compare.main,
}


def commands() -> list[list[str]]:
    """The words of each command of the section."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Your own images") :].split("\n## ")[0]
    blocks = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def test_every_program_of_the_section_is_known() -> None:
    named = {words[1] for words in commands() if words[0] == "python"}
    assert named == {*PROGRAMS, "scripts/serve.py"}
    assert [words for words in commands() if words[0] != "python"] == [
        ["pip", "install", "-r", "requirements-serve.txt"]
    ]


@pytest.mark.slow
def test_the_section_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own_layouts.LAYOUTS["gray"](tmp_path / "streets")
    write_image(tmp_path / "pictures" / "new.png", own_layouts.image(77))
    for _, program, *words in (words for words in commands() if words[0] == "python"):
        if program == "scripts/serve.py":
            look_at_the_page(words)
            continue
        if program == "scripts/compare.py":
            longer = ["--dataset", "streets.yaml", "--result_dir", "logs/longer", *SHORTER, "--max_epoch", "8"]
            assert train.main(longer) == 0
        assert PROGRAMS[program]([*words, *(SHORTER if "--auto" in words else ())]) == 0, program
    assert (tmp_path / "streets.yaml").is_file() and list(tmp_path.glob("masks/**/*new*"))
    assert (tmp_path / "logs/streets/report.html").is_file() and (tmp_path / "logs/compared/compare.html").is_file()
    assert (tmp_path / "logs/streets/labels/label_errors.html").is_file() and list(
        tmp_path.glob("logs/pictures/**/*.png")
    )


def look_at_the_page(words: list[str]) -> None:
    """The page opens at the address that is printed, and Ctrl-C ends it."""
    command = [sys.executable, str(ROOT / "scripts/serve.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(line.split()[0] for line in process.stdout if line.startswith("http://"))
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert b"Drop a picture" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
