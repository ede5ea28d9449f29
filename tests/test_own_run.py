"""From a dataset's file to a trained step, its evaluation and masks of new pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets_own import CLASSES, make, written

import demo_folder
import train
from engine import checkpoint

SETS = {
    "gray": f"images: images\nlabels: {{kind: gray, path: gray}}\n{CLASSES}cut: 64\n",
    "binary": "images: images\nlabels: {kind: binary, path: binary}\nclasses: [road, car]\n",
    "other": "images: images\nlabels: {kind: gray, path: gray}\nclasses: [{name: road, id: 1}, {name: van, id: 2}]\n",
    "more": "images: images\nlabels: {kind: gray, path: gray}\nclasses: [a, b, c]\n",
    "all": "sets: [gray.yaml, {file: binary.yaml, use: train}]\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gray", "all"])
def test_a_file_trains_scores_and_colors_new_pictures(
    name: str, tiny_words: Callable[[Path, Path], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path / "own", 8)
    for one, text in SETS.items():
        written(root, text, f"{one}.yaml")
    words = tiny_words(root, tmp_path)
    words[words.index("toy")] = str(root / f"{name}.yaml")
    words[words.index("--max_epoch") + 1] = "1"
    assert train.main(words) == 0
    (snapshot,) = (tmp_path / "run").glob("last_checkpoint_ep*.pth")
    content = checkpoint.load(snapshot)
    assert content["class_names"] == ["road", "car"] and content["class_colors"] == [[10, 20, 30], [40, 50, 60]]

    scored = ["--eval", "val", "--snapshot", str(snapshot), "--num_workers", "0", "--result_dir", str(tmp_path / "val")]
    capsys.readouterr()
    assert train.main([*scored, "--dataset", str(root / f"{name}.yaml"), "--dump_all_images"]) == 0
    assert "mean IoU" in capsys.readouterr().out and len([*(tmp_path / "val").rglob("*.png")]) > 1
    for other, line in (("other", "'car' there is 'van' in other here"), ("more", "2 there, 3 in more here")):
        assert train.main([*scored, "--dataset", str(root / f"{other}.yaml")]) == 2
        assert line in capsys.readouterr().err

    # Neither the file nor the data need be there.
    (root / "images").rename(tmp_path / "pictures")
    for path in [*root.glob("*.yaml")]:
        path.unlink()
    argv = [
        "--demo-folder",
        str(tmp_path / "pictures"),
        "--snapshot",
        str(snapshot),
        "--save-dir",
        str(tmp_path / "demo"),
    ]
    assert demo_folder.main(argv) == 0
    mask = cv2.imread(str(next((tmp_path / "demo").glob("color_mask_*.png"))))[..., ::-1]
    assert {*map(tuple, np.unique(mask.reshape(-1, 3), axis=0).tolist())} <= {(10, 20, 30), (40, 50, 60)}
    ids = cv2.imread(str(next((tmp_path / "demo").glob("pred_mask_*.png"))), cv2.IMREAD_UNCHANGED)
    assert {*np.unique(ids)} <= ({1, 2} if name == "gray" else {0, 1})
