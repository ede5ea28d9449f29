"""The batch script that a run leaves is of its own command."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm.run_script import write_run_script


def test_a_script_of_another_command_is_renamed(tmp_path: Path) -> None:
    """As that of an evaluation in the folder, or of a start with a mistake in it."""
    assert write_run_script(tmp_path, "python train.py --lr 1", False, 1, 0) == ""
    first = (tmp_path / "train_cmd.sh").read_text()
    assert write_run_script(tmp_path, "python train.py --lr 1", False, 1, 0) == ""
    assert (tmp_path / "train_cmd.sh").read_text() == first and "--lr 1" in first
    line = write_run_script(tmp_path, "python train.py --lr 2", False, 1, 0)
    assert line == f"{tmp_path / 'train_cmd.sh'} was of another command: it is train_cmd.sh.old now"
    assert (tmp_path / "train_cmd.sh.old").read_text() == first
    assert "--lr 2" in (tmp_path / "train_cmd.sh").read_text()


@pytest.mark.parametrize("kept_by", ["job.json", "last_checkpoint_ep3.pth"])
def test_a_job_and_a_run_that_goes_on_keep_theirs(tmp_path: Path, kept_by: str) -> None:
    write_run_script(tmp_path, "python train.py --lr 1", False, 1, 0)
    (tmp_path / kept_by).touch()
    assert write_run_script(tmp_path, "python train.py --lr 2", False, 1, 0) == ""
    assert "--lr 1" in (tmp_path / "train_cmd.sh").read_text()


def test_the_bare_command_of_runx_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "submit_cmd.sh").write_text("cd x; exec python train.py")
    assert write_run_script(tmp_path, "python train.py --lr 2", False, 1, 0) == ""
    assert (tmp_path / "submit_cmd.sh").read_text() == (tmp_path / "train_cmd.sh").read_text()
