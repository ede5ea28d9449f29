"""The command that checks data: planted faults are all found, each with its file, and clean data have none."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from data_faults import draw, plant_all

from scripts import check_data

Rows = list[dict[str, str]]


def checked(root: Path, out: Path, *more: str) -> tuple[int, Rows]:
    """The exit code, and the rows of the table."""
    words = ["--dataset", "folder", "--data_root", str(root), "--classes", str(root / "classes.yaml"), *more]
    code = check_data.main([*words, "--out", str(out), "--workers", "2"])
    return code, list(csv.DictReader((out / "check_data.csv").open())) if code != 2 else []


def check_planted(root: Path, out: Path, count: int) -> None:
    """Everything that is planted is found, with its file, and nothing else."""
    wanted, touched = plant_all(root, count)
    code, rows = checked(root, out)
    found = {(row["kind"], row["file"]) for row in rows}
    lacking = {(kind, str(file)) for file, kind in wanted.items()} - found
    assert not lacking
    assert len({kind for kind, _ in found}) >= 25
    assert not [row for row in rows if row["file"] not in {*map(str, touched)}]
    assert code == 1


@pytest.fixture(scope="module")
def few(once: Callable[..., Path]) -> Path:
    return once("data-faults-clean", lambda root: draw(root, 50))


def test_clean_data_have_no_fault(few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = checked(few, tmp_path, "--strict")
    assert (code, rows) == (0, [])
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "verdict: fine: nothing was found"
    assert "40 train and 10 val images, 4 classes" in printed.out and "images read 50/50" in printed.err
    page = (tmp_path / "check_data.html").read_text()
    assert page.count("<img") == 12 and "What was found" not in page and "What class-uniform sampling does" in page


def test_planted_faults_are_found_each_with_its_file(tmp_path: Path) -> None:
    draw(tmp_path / "data", 50)
    check_planted(tmp_path / "data", tmp_path / "out", 50)
    page = (tmp_path / "out" / "check_data.html").read_text()
    assert "where (red)" in page and "99" in page and "moved by" in page


@pytest.mark.slow
def test_planted_faults_among_500_images(tmp_path: Path) -> None:
    draw(tmp_path / "data", 500)
    assert checked(tmp_path / "data", tmp_path / "out") == (0, [])
    began = time.process_time()
    check_planted(tmp_path / "data", tmp_path / "out", 500)
    print(f"{time.process_time() - began:.1f} s of a processor")
