"""A published file of the HRNet family through train.py: lists, resume, evaluation of ours and of theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from runs import ROOT, finish, on_ranks, python, rows, torchrun
from shared import hrnet_file

import config
import network
import train
from compat.hrnet import weights as hrnet
from datasets import cityscapes
from network.layers import kaiming
from network.weights import Weights, read_file

# Ours and theirs, mixed: a narrow network and small images.
NARROW = """MODEL.WIDTH_MULT 0.1 MODEL.EXTRA.STAGE1.NUM_BLOCKS [1] MODEL.EXTRA.STAGE2.NUM_BLOCKS [1,1]
MODEL.EXTRA.STAGE3.NUM_BLOCKS [1,1,1] MODEL.EXTRA.STAGE3.NUM_MODULES 1 MODEL.EXTRA.STAGE4.NUM_MODULES 1
MODEL.EXTRA.STAGE4.NUM_BLOCKS [1,1,1,1] MODEL.EXTRA.STAGE4_2.NUM_MODULES 1 MODEL.EXTRA.STAGE4_2.NUM_BLOCKS [1,1,1,1]
TRAIN.IMAGE_SIZE 96,64 TRAIN.BASE_SIZE 128 TEST.IMAGE_SIZE 128,64 TEST.BASE_SIZE 128 WORKERS 0 PRINT_FREQ 1
TRAIN.BATCH_SIZE_PER_GPU 2 TEST.BATCH_SIZE_PER_GPU 2 LOSS.OHEMKEEP 200 TRAIN.END_EPOCH 2""".split()
CITY = "leftImg8bit/{}/{}/{}_leftImg8bit.png gtFine/{}/{}/{}_gtFine_labelIds.png"
SEVERAL = ["TEST.SCALE_LIST", "0.5,1.0,1.25", "TEST.FLIP_TEST", "True"]


@pytest.fixture
def root(tiny_scenes: Path, tmp_path: Path) -> Path:
    """ROOT as it is there: cityscapes, and its lists beside it."""
    (tmp_path / "data/list/cityscapes").mkdir(parents=True)
    (tmp_path / "data/cityscapes").symlink_to(tiny_scenes)
    for split in ("train", "val"):
        stems = [
            path.name.removesuffix("_leftImg8bit.png") for path in tiny_scenes.glob(f"leftImg8bit/{split}/*/*.png")
        ]
        where = [(split, stem.split("_")[0], stem) * 2 for stem in sorted(stems)]
        lines = [CITY.format(*names) for names in where]
        (tmp_path / f"data/list/cityscapes/{split}.lst").write_text("\n".join(lines) + "\n")
    images = [line.split()[0] for line in lines]
    (tmp_path / "data/list/cityscapes/test.lst").write_text("\n".join(images[:2]) + "\n")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(hrnet_file()))
    return tmp_path


@pytest.fixture
def words(root: Path) -> list[str]:
    """The published file with the data and the output here."""
    return ["--cfg", str(root / "net.yaml"), *NARROW, "DATASET.ROOT", f"{root}/data/", "OUTPUT_DIR", f"{root}/output"]


def scores(folder: Path) -> str:
    return (folder / "confusion.csv").read_text()


@pytest.mark.slow
def test_train_go_on_evaluate(words: list[str], root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest of the run is evaluated where no file is named; a list of test images means predictions."""
    run = root / "output/cityscapes/net"
    assert train.main([*words, "TRAIN.END_EPOCH", "1"]) == 0
    assert train.main(words) == 0  # TRAIN.RESUME true, as published
    output = capsys.readouterr().out
    assert "resumed from" in output and "changed options: TRAIN.MAX_EPOCH 1 -> 2" in output
    assert "warning: without effect: MODEL.PRETRAINED pretrained_models/" in output
    assert [row["epoch"] for row in rows(["--result_dir", str(run)], "train")] == [0, 1]

    # Without a file named: the newest of the run.
    assert train.main(["--eval", "val", *words, *SEVERAL]) == 0
    assert f"weights from {run}/last_checkpoint_ep1.pth" in capsys.readouterr().out and scores(run / "eval_val")

    assert train.main(["--eval", "val", *words, "DATASET.TEST_SET", "list/cityscapes/test.lst"]) == 0
    found = list((run / "eval_test/test_results").glob("*.png"))
    assert len(found) == 2 and not (run / "eval_test/confusion.csv").exists()
    assert {Image.open(path).mode for path in found} == {"P"}
    values = {int(x) for path in found for x in np.unique(np.asarray(Image.open(path)))}
    assert values <= set(cityscapes.SPEC.train_to_id)


@pytest.mark.slow
def test_evaluate_files_of_theirs(words: list[str], root: Path) -> None:
    """Named, and by its place in a folder that they have trained in; with random weights that tell classes apart."""
    torch.manual_seed(0)
    net = network.build(config.load(words))
    for part in net.parts().values():
        kaiming(part)
    folder = root / "output/cityscapes/net"
    folder.mkdir(parents=True)
    torch.save(hrnet.write(Weights(net.state_dict(), "ours"))[""], folder / "final_state.pth")
    assert train.main(["--eval", "val", *words, *SEVERAL]) == 0
    several = scores(folder)
    named = ["TEST.MODEL_FILE", str(folder / "final_state.pth"), "OUTPUT_DIR", f"{root}/named"]
    assert train.main(["--eval", "val", *words, *SEVERAL, *named]) == 0
    assert scores(root / "named/cityscapes/net") == several
    assert train.main(["--eval", "val", *words, *named]) == 0
    assert scores(root / "named/cityscapes/net") != several  # one scale, no mirror images
    seen = [line.split(",") for line in several.splitlines()[1:]]
    assert sum(any(int(row[-19 + i]) for row in seen) for i in range(19)) > 3


@pytest.mark.slow
def test_frozen_parts_come_from_two_files(words: list[str], root: Path) -> None:
    """MODEL.FREEZED_PAR: a plain HRNet gives the first way with its head, another one the stages that exist twice."""
    files = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        net = network.build(config.load([*words, "MODEL.ARCH", "seg_hrnet.HRNet"]))
        files.append(root / f"plain{seed}.pth")
        torch.save(hrnet.write(Weights(net.state_dict(), "ours"))[""], files[-1])
    words += ["MODEL.FREEZED_PAR", "True", "MODEL.PRETRAINED", str(files[0]), "TRAIN.END_EPOCH", "1"]
    assert train.main([*words, "MODEL.OFFSET_PRETRAINED", f"{root}/none.pth"]) == 2
    words += ["OUTPUT_DIR", f"{root}/again", "MODEL.OFFSET_PRETRAINED", str(files[1]), "TRAIN.LR", "1e-9"]
    assert train.main(words) == 0
    first, second = (read_file(path).state for path in files)
    trained = read_file(next((root / "again/cityscapes/net").glob("last_checkpoint_ep0.pth"))).state
    assert all(torch.equal(trained[name], x) for name, x in first.items())
    pairs = [(name.replace("stage4.", "stage4_2."), x) for name, x in second.items() if name.startswith("stage4.")]
    found = [(trained[name], x) for name, x in pairs if name in trained and name.endswith("conv1.weight")]
    assert found and all(torch.allclose(mine, x, atol=1e-4) for mine, x in found)


@pytest.mark.slow
def test_our_recipe_takes_the_same_words(root: Path) -> None:
    """Images from the dataset's folder, without lists; then those of a list that lies beside it."""
    recipe = ["--cfg", str(ROOT / "scripts/cfg/offset_cityscapes.yaml"), "--data_root", f"{root}/data/cityscapes"]
    recipe += ["--result_dir", f"{root}/run", *NARROW]
    assert train.main([*recipe, "TRAIN.END_EPOCH", "1"]) == 0
    (best,) = (root / "run").glob("best_checkpoint_ep0.pth")
    evaluation = ["--eval", "val", *recipe, "TEST.MODEL_FILE", str(best), *SEVERAL]
    assert train.main(evaluation) == 0
    assert len((root / "run/eval_val/per_image.csv").read_text().splitlines()) == 1 + 4
    assert train.main([*evaluation, "DATASET.TEST_SET", "list/cityscapes/test.lst"]) == 0
    assert len(list((root / "run/eval_test/test_results").glob("*.png"))) == 2


@pytest.mark.slow
def test_gpus_of_a_file_are_as_many_processes_as_there_are_ranks(words: list[str], root: Path) -> None:
    finish(*on_ranks([*words, "TRAIN.END_EPOCH", "1"]))
    (row,) = rows(["--result_dir", str(root / "output/cityscapes/net")], "train")
    assert np.isfinite(row["loss"])


@pytest.mark.slow
def test_torchrun_gives_the_ranks(words: list[str], root: Path) -> None:
    """Quick: the same above with the variables that torchrun sets; tests/utils/test_rendezvous.py reads them."""
    finish(python([*words, "TRAIN.END_EPOCH", "1"], *torchrun(2)))
    (row,) = rows(["--result_dir", str(root / "output/cityscapes/net")], "train")
    assert np.isfinite(row["loss"])


def test_lists_of_acdc_have_conditions(words: list[str], root: Path, tiny_scenes: Path) -> None:
    """Read by its lists, its scores come by condition, too."""
    images = sorted(tiny_scenes.glob("leftImg8bit/val/*/*.png"))[:2]
    lines = []
    for condition, image in zip(("fog", "night"), images, strict=True):
        stem = image.name.removesuffix("_leftImg8bit.png")
        label = next(tiny_scenes.glob(f"gtFine/val/*/{stem}_gtFine_labelIds.png"))
        for kind, end, source in (("rgb_anon", "rgb_anon", image), ("gt", "gt_labelIds", label)):
            place = root / f"data/acdc/{kind}/{condition}/val/s/{stem}_{end}.png"
            place.parent.mkdir(parents=True)
            place.write_bytes(source.read_bytes())
        where = (condition, stem)
        lines.append("rgb_anon/{0}/val/s/{1}_rgb_anon.png gt/{0}/val/s/{1}_gt_labelIds.png".format(*where))
    (root / "data/list/acdc").mkdir()
    for name in ("train", "val"):
        (root / f"data/list/acdc/{name}.lst").write_text("\n".join(lines) + "\n")
    words += ["DATASET.DATASET", "acdc", "DATASET.TRAIN_SET", "list/acdc/train.lst"]
    words += ["DATASET.TEST_SET", "list/acdc/val.lst", "TRAIN.END_EPOCH", "1"]
    assert train.main(words) == 0
    table = (root / "output/acdc/net/conditions.csv").read_text()
    assert "fog" in table and "night" in table and "snow" not in table


@pytest.mark.parametrize(
    ("line", "message"),
    [("images/x.png", "val.lst, line 2: 1 columns"), ("a.png b.png", "data/cityscapes/a.png is not there")],
)
def test_a_wrong_list_is_one_line(
    words: list[str], root: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "data/list/cityscapes/val.lst"
    first, *_ = path.read_text().splitlines()
    path.write_text(f"{first}\n{line}\n")
    assert train.main([*words, "TRAIN.END_EPOCH", "1"]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1


def test_a_list_that_is_not_there_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str], root: Path) -> None:
    assert train.main([*words, "DATASET.TRAIN_SET", "list/none.lst"]) == 2
    assert f"cannot read the list {root}/data/list/none.lst: No such file" in capsys.readouterr().err
