"""What is in a run folder is of this run: leftovers of all kinds, where an evaluation goes, a run that goes back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from engine import curves
from engine.log import RunLog
from engine.runfolder import enter, go_back
from engine.runlock import FolderLock
from utils.errors import UserError

START = "start,start/step,0,timestamp,1\n"
TRAIN, VAL = "train,loss,1.5,epoch,{0},timestamp,2\n", "val,mean_iu,0.{0}5,epoch,{0},timestamp,2\n"


def rows(*epochs: int) -> str:
    return START + "".join(row.format(epoch) for epoch in epochs for row in (TRAIN, VAL))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def names(folder: Path) -> set[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if name != "run.lock"}


def started(folder: Path, mode: str = "", start: Path | None = None, resumes: bool = False) -> tuple[Path, str]:
    """Where a run writes, and what it says."""
    with FolderLock() as lock:
        place, notes = enter(folder, lock, "x", mode, start, resumes)
    return place, "\n".join(notes)


EVALUATED = {"metrics.csv": START + VAL.format(9), "report.html": "", "hparams.json": "", "train.log": "old"}
LEFT = [
    EVALUATED,
    {"metrics.csv": rows(0, 1), "train.log": "", "hparams.json": "{}"},  # its checkpoints were deleted
    {"best_checkpoint_ep3.pth": "x", "metrics.csv": rows(3)},
    {"events.out.tfevents.1.host": "", "train.log": ""},  # ended within its first epoch
    {"checkpoint_ep4.pth": ""},
    {"best_checkpoint_ep1.pth": "", "last_checkpoint_ep2.pth.part": "", "last_checkpoint_ep3.pth.tmp7": ""},
    {"confusion.csv": "", "per_image.csv": "", "train_cmd.sh": "old"},
    {"metrics.csv": "val,mean_iu,0.", "train.log": ""},  # torn
]


@pytest.mark.parametrize("files", LEFT, ids=lambda files: "+".join(files))
def test_leftovers_are_set_aside(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    place, note = started(tmp_path)
    assert place == tmp_path and note.startswith(f"{tmp_path} has files of an earlier run, which are no part of this")
    (aside,) = tmp_path.glob("before-*")
    assert names(tmp_path) == {f"{aside.name}/{name}" for name in files}
    assert f"set aside in {aside}: " in note and "\n" not in note
    assert RunLog(tmp_path, main=False).best("val", "mean_iu") == 0.0
    assert started(tmp_path) == (tmp_path, "")  # and once only


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"train.log": "error: no images", "hparams.json": "{}", "metrics.csv": START},  # a mistake in the command
        {"job.json": "", "job_id": "7", "train_cmd.sh": "", "submit_cmd.sh": "", "slurm-7.out": "", "lock": ""},
        {"code/train.py": "", "images/a.png": "", "best.pth": ""},
    ],
)
def test_what_is_no_result_stays(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    assert started(tmp_path)[1] == ""
    assert names(tmp_path) == set(files) - {"metrics.csv"}


@pytest.mark.parametrize("place", ["file", "file/run", "link"])
@pytest.mark.parametrize("mode", ["", "val"])
def test_a_folder_that_is_none_is_named(tmp_path: Path, place: str, mode: str) -> None:
    """It is the log that says so, and what to do."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    folder, note = started(tmp_path / place, mode)
    assert folder == tmp_path / place and note.startswith(f"warning: {folder} cannot be locked")
    with pytest.raises(UserError, match=f"the output folder {folder} cannot be written: .*; .*choose another folder"):
        RunLog(folder)


def test_what_belongs_to_the_job_stays(tmp_path: Path) -> None:
    write(tmp_path, {"job.json": "", "train_cmd.sh": "", **EVALUATED})
    assert started(tmp_path)[1]
    assert {"job.json", "train_cmd.sh"} <= names(tmp_path)


def test_aside_twice_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runfolder.time.strftime", lambda form: "before-1")
    for _ in range(3):
        write(tmp_path, EVALUATED)
        started(tmp_path)
    assert {path.name for path in tmp_path.glob("before*")} == {"before-1", "before-1_2", "before-1_3"}


@pytest.mark.parametrize("start", ["last_checkpoint_ep1.pth", "checkpoint_ep1.pth", "best_checkpoint_ep1.pth"])
def test_a_run_that_goes_on_keeps_all(tmp_path: Path, start: str) -> None:
    """As a job that was queued again does."""
    files = {**EVALUATED, start: "", "events.out.tfevents.1": ""}
    write(tmp_path, files)
    assert started(tmp_path, start=tmp_path / start, resumes=True) == (tmp_path, "")
    assert names(tmp_path) == set(files)


def test_a_run_of_another_folder_that_goes_on_here(tmp_path: Path) -> None:
    write(tmp_path, {"a/checkpoint_ep1.pth": "", **{f"b/{name}": text for name, text in EVALUATED.items()}})
    assert "set aside" in started(tmp_path / "b", start=tmp_path / "a/checkpoint_ep1.pth", resumes=True)[1]
    assert "a/checkpoint_ep1.pth" in names(tmp_path)


def test_a_start_from_the_folder_itself(tmp_path: Path) -> None:
    write(tmp_path, {"best_checkpoint_ep3.pth": "x", "teacher.pth": ""})
    with pytest.raises(UserError, match="best_checkpoint_ep3.pth stands where the new run's checkpoints will"):
        started(tmp_path, start=tmp_path / "best_checkpoint_ep3.pth")
    assert names(tmp_path) == {"best_checkpoint_ep3.pth", "teacher.pth"}
    (tmp_path / "best_checkpoint_ep3.pth").unlink()
    assert started(tmp_path, start=tmp_path / "teacher.pth") == (tmp_path, "")


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"last_checkpoint_ep0.pth": ""}, "eval_val"),
        ({"best_checkpoint_ep0.pth": ""}, "eval_val"),
        ({"metrics.csv": rows(0)}, "eval_val"),
        ({"metrics.csv": START + VAL.format(0)}, "."),
        ({}, "."),
    ],
)
def test_an_evaluation_does_not_touch_a_training(tmp_path: Path, files: dict[str, str], place: str) -> None:
    write(tmp_path, files)
    assert started(tmp_path, "val")[0] == tmp_path / place
    assert set(files) <= names(tmp_path) or place == "."


def test_an_evaluation_is_not_mixed_with_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, EVALUATED)
    assert "set aside" in started(tmp_path, "val")[1] and not (tmp_path / "metrics.csv").exists()


def test_parts_of_an_evaluation_share_a_folder(tmp_path: Path) -> None:
    write(tmp_path, EVALUATED)
    with FolderLock() as one, FolderLock() as two:
        for lock, part in ((one, "part0of2"), (two, "part1of2")):
            assert enter(tmp_path, lock, "x", "val", None, False, part) == (tmp_path, [])
        with FolderLock() as again, pytest.raises(UserError, match="is in use by"):
            enter(tmp_path, again, "x", "val", None, False, "part1of2")


def points(folder: Path) -> list[tuple[str, int]]:
    """(tag, step) of all that tensorboard would read."""
    found: Iterable[Event] = (
        event for file in folder.glob("events*") for _, event in curves._records(file.read_bytes())
    )
    return sorted((value.tag, event.step) for event in found for value in event.summary.value)


@pytest.mark.parametrize("torn", [b"", b"half"])
def test_curves_have_each_step_once(tmp_path: Path, torn: bytes) -> None:
    """Epochs of 4 steps; killed in the third one, whose first steps come again; then back to the first."""
    log = RunLog(tmp_path)
    for epoch in range(3):
        for step in range(1, 5 if epoch < 2 else 3):
            log.scalars({"train/step_loss": 1.0, "train/lr": 0.1}, 4 * epoch + step)
        if epoch < 2:
            log.metric("train", {"loss": 1.0}, epoch)
            log.metric("val", {"mean_iu": 0.5}, epoch)
    log.close()
    (file,) = tmp_path.glob("events*")
    file.write_bytes(file.read_bytes() + torn)
    last = write(tmp_path, {"last_checkpoint_ep1.pth": "", "best_checkpoint_ep0.pth": ""}) / "last_checkpoint_ep1.pth"
    write(tmp_path, {"best_checkpoint_ep1.pth": ""})
    table = (tmp_path / "metrics.csv").read_text()
    assert go_back(tmp_path, last, 1, 8).startswith("4 points of tensorboard's curves came after the checkpoint")
    assert [step for tag, step in points(tmp_path) if tag == "train/lr"] == list(range(1, 9))
    assert (tmp_path / "metrics.csv").read_text() == table and not list(tmp_path.glob("before*"))
    assert go_back(tmp_path, last, 1, 8) == ""
    write(tmp_path, {"checkpoint_ep0.pth": "0", "best_checkpoint_ep1.pth": "1"})
    note = go_back(tmp_path, tmp_path / "checkpoint_ep0.pth", 0, 4)
    assert "goes back to epoch 0, and does the later ones again: set aside in" in note
    assert [(tag, step) for tag, step in points(tmp_path) if not tag.startswith("train/s")] == [
        *(("train/loss", 0),) , *(("train/lr", step) for step in range(1, 5)), ("val/mean_iu", 0),
    ]  # fmt: skip
    assert [row["epoch"] for phase in ("train", "val") for row in RunLog(tmp_path, main=False).history(phase)] == [0, 0]
    (aside,) = tmp_path.glob("before*")
    later = {"best_checkpoint_ep1.pth", "last_checkpoint_ep1.pth"}
    assert names(aside) == {*later, "metrics.csv"} and (aside / "metrics.csv").read_text() == table
    assert "checkpoint_ep0.pth" in names(tmp_path)


@pytest.mark.parametrize("place", ["pathlib.Path.mkdir", "shutil.move", "engine.curves.cut_rows", "os.replace"])
def test_a_kill_on_the_way_back_loses_no_score(tmp_path: Path, place: str) -> None:
    table = rows(0, 1, 2)
    write(tmp_path, {"metrics.csv": table, "checkpoint_ep0.pth": "", "last_checkpoint_ep2.pth": ""})
    start = tmp_path / "checkpoint_ep0.pth"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        go_back(tmp_path, start, 0, 4)
    go_back(tmp_path, start, 0, 4)
    assert (tmp_path / "metrics.csv").read_text() == rows(0)
    assert table in [file.read_text() for file in tmp_path.glob("before*/metrics.csv")]
    assert [file.name for file in tmp_path.rglob("last_*")] == ["last_checkpoint_ep2.pth"]


@pytest.mark.parametrize("scored", [False, True])
def test_curves_of_a_validation_that_comes_again(tmp_path: Path, scored: bool) -> None:
    """Killed behind its curves and before its row, which is written last."""
    log = RunLog(tmp_path)
    log.metric("train", {"loss": 1.0}, 0)
    log.scalars({"val/mean_iu": 0.5}, 0)
    if scored:
        log.metric("val", {"acc": 0.5}, 0)
    log.close()
    go_back(tmp_path, write(tmp_path, {"checkpoint_ep0.pth": ""}) / "checkpoint_ep0.pth", 0, 4)
    found = [tag for tag, _ in points(tmp_path)]
    assert found == ["train/loss", "val/acc", "val/mean_iu"][: 3 if scored else 1]


@pytest.mark.parametrize("torn", ["train,loss,1.5,ep", "val", "val,mean_iu,0.5,epoch,1"])
def test_rows_that_come_again(tmp_path: Path, torn: str) -> None:
    """Of an epoch without its checkpoint: nothing is kept of them."""
    checkpoints = {"last_checkpoint_ep0.pth": "", "best_checkpoint_ep0.pth": ""}
    write(tmp_path, {"metrics.csv": rows(0) + TRAIN.format(1) + torn, **checkpoints})
    assert go_back(tmp_path, tmp_path / "last_checkpoint_ep0.pth", 0, 4) == "" or torn.endswith("epoch,1")
    assert (tmp_path / "metrics.csv").read_text() == rows(0)


@pytest.mark.parametrize(
    ("scores", "best", "start", "again"),
    [
        ((0.3, 0.5), 0, "last_checkpoint_ep1.pth", True),  # killed while the best of epoch 1 was written
        ((0.3, 0.3), 0, "last_checkpoint_ep1.pth", True),
        ((0.3, 0.5), 1, "last_checkpoint_ep1.pth", False),
        ((0.5, 0.3), 0, "last_checkpoint_ep1.pth", False),
        ((0.3, float("nan")), 0, "last_checkpoint_ep1.pth", False),
        ((0.3, 0.5), 0, "last_checkpoint_ep2.pth", False),  # of the middle of epoch 2
        ((0.3, 0.5), 0, "checkpoint_ep1.pth", False),
    ],
)
def test_a_score_without_its_best_checkpoint(
    tmp_path: Path, scores: tuple[float, ...], best: int, start: str, again: bool
) -> None:
    """It is made again, and the curves have it once."""
    log = RunLog(tmp_path)
    for epoch, score in enumerate(scores):
        log.metric("train", {"loss": 1.0}, epoch)
        log.metric("val", {"mean_iu": score}, epoch)
    log.close()
    write(tmp_path, {start: "", f"best_checkpoint_ep{best}.pth": ""})
    note = go_back(tmp_path, tmp_path / start, 1, 8)
    assert ("epoch 1 is validated again: its best checkpoint was not written" in note) == again
    left = 1 if again else 2
    assert len(RunLog(tmp_path, main=False).history("val")) == left
    assert [tag for tag, _ in points(tmp_path)].count("val/mean_iu") == left
    assert len(RunLog(tmp_path, main=False).history("train")) == 2 and not list(tmp_path.glob("before*"))
