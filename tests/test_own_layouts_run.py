"""As somebody new would: from a folder in each of ten layouts to masks of new pictures, by three commands."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import own_layouts as drawn
import pytest
from pictures import write_image
from PIL import Image

import demo_folder
import train
from engine import checkpoint
from engine.log import RunLog
from scripts import new_dataset
from utils.runfolders import checkpoint_in

# For seconds, behind the printed command, which plans a training of minutes: a small network, and few steps.
SHORTER = (
    *("--cfg", str(new_dataset.ROOT / "scripts/cfg/quickstart.yaml"), "--max_epoch", "40", "--val_freq", "40"),
    *("--crop_size", "64", "--bs_trn", "4", "--second_scale_from", "30", "--num_workers", "0", "--lr", "0.01"),
    *("--class_uniform_tile", "32", "TRAIN.EMA", "0"),
)
LEARNED = 0.35  # mean IoU; who says ground everywhere gets 0.24


def test_there_are_ten_layouts() -> None:
    wanted = {"gray", "palette", "rgb", "binary", "coco", "labelme", "cvat", "yolo", "cityscapes", "voc"}
    assert {*drawn.LAYOUTS} == wanted


@pytest.mark.slow
@pytest.mark.parametrize("layout", sorted(drawn.LAYOUTS))
def test_a_folder_becomes_masks_of_new_pictures(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn.LAYOUTS[layout](tmp_path / "mine")
    assert new_dataset.main(["mine"]) == 0
    lines = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("  python ")]
    (_, (_, *words), (program, *third)) = lines
    assert train.main([*words, *SHORTER]) == 0
    run = words[words.index("--result_dir") + 1]
    assert RunLog(Path(run), main=False).best("val", "mean_iu") > LEARNED, capsys.readouterr().out[-3000:]

    write_image(tmp_path / "new/one.png", drawn.image(77))
    third[third.index("--demo-folder") + 1] = "new"  # as it was printed but for its folder
    assert Path(program).name == "demo_folder.py" and demo_folder.main(third) == 0
    masks = Path(third[third.index("--save-dir") + 1])
    ids = np.array(Image.open(masks / "pred_mask_one.png"))
    assert ids.shape == (drawn.HEIGHT, drawn.WIDTH) and (masks / "overlap_one.png").is_file()
    assert {*np.unique(ids).tolist()} <= {*checkpoint.load(Path(checkpoint_in(run)[0]))["class_ids"]}
