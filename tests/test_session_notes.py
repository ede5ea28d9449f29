"""What listing files has to say reaches the log, once a run, from training and from evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import write_image

import config
import datasets
import network
from engine import checkpoint, session, validation
from engine.log import RunLog
from utils import amp
from utils.distributed import DistributedContext

GUESS = (
    "note: labels are read as train ids, since no label that was looked at (2 of {0}) has a value from 19 to 33; "
    "--label_ids raw reads Cityscapes' own ids\n"
)
TWICE = "note: {0}: 1 line repeats an image and counts once, line 3 as line 1"


@pytest.mark.parametrize("words", [[], ["--eval", "val", "--snapshot", "x.pth"]])
def test_notes_are_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    for name in "ab":
        write_image(tmp_path / f"{name}.png", np.zeros((32, 32, 3), np.uint8))
        write_image(tmp_path / f"{name}_label.png", np.zeros((32, 32), np.uint8))
    path = tmp_path / "x.lst"
    path.write_text("a.png a_label.png\nb.png b_label.png\na.png a_label.png\n")
    lists = ["--data_root", str(tmp_path), "--list_train", str(path), "--list_val", str(path)]
    base = ["--arch", "basic.HRNet", "--crop_size", "16", "--num_workers", "0", "--class_uniform_pct", "0"]
    cfg = config.load([*base, *lists, *words])
    log, ranks = RunLog(tmp_path / "run"), DistributedContext()
    run = session.Run(cfg, datasets.spec(cfg), ranks, log, amp.build(False, "O1", ranks.device), "")
    if not words:
        for line in datasets.audit_labels(cfg, ranks, datasets.build_train(cfg, ranks)):
            log.once(line)
    for _ in range(2):
        assert len(validation.validation(run, "val").dataset) == 2
    log.close()
    printed = capsys.readouterr().out
    assert printed.count(TWICE.format(path)) == printed.count(GUESS.format(path)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("ids", "said"), [([9, 3], "'class 0' was 9 in the labels, in list it is 0"), ([0, 1], "")])
def test_an_evaluation_says_that_label_values_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: list[int], said: str
) -> None:
    """The masks of a folder would hold others than those of the training."""
    words = ["--arch", "basic.HRNet", "--width_mult", "0.05", "--dataset", "list", "--num_class", "2"]
    (tmp_path / "pictures").mkdir()
    write_image(tmp_path / "pictures/a.png", np.zeros((32, 32, 3), np.uint8))
    cfg = config.load([*words, "--eval", "folder", "--eval_folder", str(tmp_path / "pictures"), "--snapshot", "x.pth"])
    net, spec, ranks = network.build(cfg), datasets.spec(cfg), DistributedContext()
    facts = {"arch": cfg.MODEL.ARCH, "class_names": list(spec.classes), "class_ids": ids, "config": config.flat(cfg)}
    checkpoint.save({"net": net.state_dict(), **facts}, tmp_path / "x.pth")
    run = session.Run(cfg, spec, ranks, RunLog(tmp_path / "run"), amp.build(False, "O1", ranks.device), "")
    session.load_for_evaluation(run, net, session.Start(tmp_path / "x.pth"))
    run.close()
    printed = capsys.readouterr().out
    assert (f"warning: other label values than in training: {said}" in printed) == bool(said)
