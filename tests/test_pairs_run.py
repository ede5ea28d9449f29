"""Published pairs of an encoder's and a decoder's file: training, evaluation, demo, export, and what they tell."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import parsing_pairs
import pytest
import torch
from parsing_pairs import SMALL
from pictures import write_image
from PIL import Image
from runs import ROOT
from shared import shared_path
from yacs.config import CfgNode

import config
import demo
import inference
import network
import train
from engine import checkpoint, labeling
from inference import Predictor, from_file
from media.reading import read_image
from network.weights import layouts, metadata
from scripts import auto_label, export
from utils import digest
from utils.contracts import id_table

SIZES = {"IMG_SIZES": (300, 375, 450, 525, 600), "IMG_MAX_SIZE": 1000, "PADDING": 8}
NAMED = ["--arch_encoder", SMALL[0], "--arch_decoder", SMALL[1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parsing_pairs.write(tmp_path_factory.mktemp("pairs") / f"ade20k-{SMALL[0]}-{SMALL[1]}")


@pytest.fixture(scope="module")
def nameless(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("pairs") / "ckpt"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    small = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    write_image(tmp_path / "pictures" / "x.png", small.repeat(8, 0).repeat(8, 1))
    return tmp_path / "pictures" / "x.png"


def expected(cfg: CfgNode, image: np.ndarray) -> np.ndarray:
    """(H, W) classes by a network that was filled part by part from the files' own contents."""
    net = network.build(cfg)
    for part, name in ((net.encoder, SMALL[2]), (net.decoder, SMALL[3])):
        part.load_state_dict(parsing_pairs.state(name), strict=False)  # type: ignore[union-attr, operator]
    gpu = torch.cuda.is_available()
    layout = torch.contiguous_format if gpu else torch.channels_last
    placed = net.eval().to("cuda" if gpu else "cpu", memory_format=layout)  # type: ignore[call-overload]
    (prediction,) = Predictor(placed, inference.eval_rule(cfg))([image])
    return prediction.classes.cpu().numpy()


def complaint(code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command line that has to fail."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert code == 2 and line.startswith("error: ")
    return line


def sizes(cfg: CfgNode) -> dict[str, object]:
    return {key: cfg.DATASET[key] for key in SIZES}


class TestTold:
    def test_by_the_folder(self, folder: Path) -> None:
        found = from_file.build(["--snapshot", str(folder)])
        assert (found.cfg.MODEL.ARCH, found.cfg.MODEL.ENCODER, found.cfg.MODEL.DECODER) == (
            "encoder_decoder",
            *SMALL[:2],
        )
        assert found.spec.name == "ade20k" and sizes(found.cfg) == SIZES

    def test_the_rest_where_the_line_names_the_network(self, nameless: Path) -> None:
        files = ",".join(str(nameless / f"{kind}_epoch_20.pth") for kind in ("encoder", "decoder"))
        found = from_file.build(["--snapshot", files, "--arch_encoder", SMALL[0]])
        assert (found.cfg.MODEL.ENCODER, found.cfg.MODEL.DECODER) == SMALL[:2]
        assert found.spec.name == "ade20k" and sizes(found.cfg) == SIZES

    @pytest.mark.parametrize(
        ("words", "key", "value"),
        [
            (["--imgSize", "200", "300"], "IMG_SIZES", (200, 300)),
            (["--imgSize", ""], "IMG_SIZES", ()),
            (["--padding_constant", "32"], "PADDING", 32),
            (["DATASET.IMG_MAX_SIZE", "700"], "IMG_MAX_SIZE", 700),
            (["--dataset", "ade20k"], "PADDING", 8),
            (["--dataset", "toy"], "IMG_SIZES", ()),  # sizes are those of the file's own dataset
        ],
    )
    def test_the_line_wins(self, folder: Path, words: Sequence[str], key: str, value: object) -> None:
        cfg = config.load(words, metadata.of_start(folder, ""))
        assert sizes(cfg) == (SIZES | ({"IMG_SIZES": ()} if "toy" in words else {})) | {key: value}

    def test_by_a_checkpoint_of_ours(self, tmp_path: Path) -> None:
        words = [
            "--dataset",
            "ade20k",
            *NAMED,
            "--imgSize",
            "24",
            "32",
            "--imgMaxSize",
            "80",
            "--padding_constant",
            "16",
        ]
        cfg = config.load(words)
        checkpoint.save({"net": {"x": torch.zeros(1)}, "config": config.flat(cfg)}, tmp_path / "own.pth")
        again = config.load([], metadata.of_start(tmp_path / "own.pth", ""))
        assert sizes(again) == {"IMG_SIZES": (24, 32), "IMG_MAX_SIZE": 80, "PADDING": 16}
        assert again.DATASET.NAME == "ade20k" and again.MODEL.ENCODER == SMALL[0]
        assert metadata.of_start(tmp_path / "own.pth", "encoder_decoder") == {}


@pytest.mark.slow
def test_a_demo(folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = picture.parent / "out"
    words = ["--dataset", "ade20k", "--demo-image", str(picture), "--snapshot", str(folder), "--save-dir", str(out)]
    assert demo.main([*words, "--visualize"]) == 0
    found = from_file.build(["--snapshot", str(folder)])
    classes = expected(found.cfg, read_image(str(picture)))
    with Image.open(out / "pred_mask.png") as stored:
        assert np.array_equal(np.array(stored), id_table(found.spec)[classes])
    printed = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines() if " %  #" in line]
    shares = {found.spec.classes[k]: (classes == k).mean() for k in np.unique(classes)}
    assert {words[3]: words[0] for words in printed} == {
        name: f"{100 * share:.2f}" for name, share in shares.items() if share > 0.001
    }
    colors = np.array(found.spec.palette, np.uint8)[classes]
    assert np.array_equal(read_image(str(out / "result.png")), np.hstack([read_image(str(picture)), colors]))


@pytest.mark.slow
def test_an_evaluation(nameless: Path, picture: Path) -> None:
    """Of pictures in a folder; the report of what was loaded is one line, without the files' further buffers."""
    out, words = picture.parents[1] / "run", ["--snapshot", str(nameless), *NAMED]
    evaluated = ["--eval", "folder", "--eval_folder", str(picture.parent), "--dump_for_submission"]
    assert train.main([*words, *evaluated, "--num_workers", "0", "--result_dir", str(out)]) == 0
    classes = expected(from_file.build(words).cfg, read_image(str(picture)))
    (written,) = (out / "submit").rglob("x.png")
    with Image.open(written) as stored:
        assert np.array_equal(np.array(stored), classes + 1)
    log = (out / "train.log").read_text()
    assert "entries of the network\nevaluated by" in log and "ade20k" in log


@pytest.mark.slow
def test_the_page_s_own_lines(folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The snippet in docs/coming_from_csail.md, with this folder and picture."""
    page = (ROOT / "docs" / "coming_from_csail.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    code = code.replace("ckpt/ade20k-resnet50dilated-ppm_deepsup", str(folder)).replace("room.jpg", str(picture))
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["logits"].shape == (1, 150, 8, 8) and found["prediction"].classes.shape == (48, 72)
    assert found["spec"].classes[int(found["prediction"].classes[0, 0])] in capsys.readouterr().out


@pytest.mark.slow
def test_a_photograph(folder: Path, tmp_path: Path) -> None:
    photo = tmp_path / "nyc.png"
    write_image(photo, read_image(str(shared_path("data/photos/nyc.jpg")))[::2, ::2])
    words = ["--demo-image", str(photo), "--snapshot", str(folder), "--save-dir", str(tmp_path)]
    assert demo.main(words) == 0
    classes = expected(from_file.build(["--snapshot", str(folder)]).cfg, read_image(str(photo)))
    with Image.open(tmp_path / "pred_mask.png") as stored:
        assert np.array_equal(np.array(stored), classes + 1)


def test_a_training_starts_from_it(folder: Path, tiny_scenes: Path, tmp_path: Path) -> None:
    """On other classes: all but the two classifiers is taken over. What it writes goes back into a pair's layout."""
    words = ["--snapshot", str(folder), "--dataset", "toy", "--data_root", str(tiny_scenes), "--crop_size", "64"]
    words += ["--bs_trn", "8", "--max_epoch", "1", "--num_workers", "0", "--do_eval", "false", "--lr", "1e-9"]
    words += ["--class_uniform_pct", "0", "--result_dir", str(tmp_path / "run")]
    assert train.main(words) == 0
    log = (tmp_path / "run" / "train.log").read_text()
    assert "  4 skipped, other shape: decoder.conv_last.weight" in log and "in the file alone" not in log
    net = checkpoint.load(tmp_path / "run" / "last_checkpoint_ep0.pth")["net"]
    for kind, name in (("encoder", SMALL[2]), ("decoder", SMALL[3])):
        there = parsing_pairs.state(name)
        weights = [key for key in there if key.endswith(".weight") and "conv_last" not in key]
        assert all(torch.allclose(net[f"{kind}.{key}"], there[key], atol=1e-6) for key in weights)


@pytest.mark.slow
def test_export(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--snapshot", str(folder), "--out", str(tmp_path / "x.pt2"), "--fixed", "--size", "64,96"]
    assert export.main(words) == 0
    assert "encoder_decoder, 150 classes" in capsys.readouterr().out


def test_a_teacher_has_its_own_sizes(folder: Path, tmp_path: Path) -> None:
    words = ["--snapshot", str(folder), "--images", str(tmp_path), "--out", str(tmp_path / "out")]
    cfg = labeling.teacher(auto_label.parser().parse_args(words), []).cfg
    assert cfg.DATASET.IMG_SIZES == SIZES["IMG_SIZES"] and not cfg.EVAL.MULTI_SCALE
    cfg = labeling.teacher(auto_label.parser().parse_args(words), ["--imgSize", ""]).cfg
    assert cfg.EVAL.MULTI_SCALE and cfg.EVAL.EXTRA_SCALES == (0.5, 2.0)


def test_a_teacher_is_told_by_both_files(folder: Path, nameless: Path, tmp_path: Path) -> None:
    other = parsing_pairs.write(tmp_path / "other", epoch=20)
    torch.save({"conv_last.bias": torch.zeros(150)}, other / "decoder_epoch_20.pth")
    codes = [digest.of_files(layouts.files(path)) for path in (folder, nameless, other)]
    assert codes[0] == codes[1] != codes[2]


class TestMistakes:
    @pytest.mark.parametrize(
        ("named", "message"),
        [
            (["--arch_decoder", "ppm_deepsup"], "does not fill encoder_decoder"),
            (["--arch_encoder", "resnet18dilated"], "entries fit the network"),
            (["--arch_encoder", "resnet18dilated", "--arch_decoder", "ppn"], "unknown --arch_decoder 'ppn'"),
        ],
    )
    def test_of_another_network(
        self, folder: Path, picture: Path, named: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = ["--save-dir", str(picture.parent / "out")]
        code = demo.main(["--demo-image", str(picture), "--snapshot", str(folder), *out, *named])
        assert message in complaint(code, capsys)

    @pytest.mark.parametrize("words", [["--eval", "folder", "--eval_folder", "."], []])
    def test_untold(self, nameless: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code = train.main(["--snapshot", str(nameless), "--result_dir", str(tmp_path / "run"), *words])
        line = complaint(code, capsys)
        assert f"{nameless} does not name its network: give both --arch_encoder mobilenetv2," in line
        assert line.endswith("--arch_decoder c1_deepsup") and not (tmp_path / "run").exists()

    def test_dilation_untold(self, nameless: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["--snapshot", str(nameless), "--result_dir", str(tmp_path / "run"), "--arch_decoder", SMALL[1]]
        assert "dilation: give --arch_encoder" in complaint(train.main(words), capsys)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--snapshot", "FOLDER", "--restore_optimizer"], "FOLDER holds no optimizer state"),
            (["--resume", "FOLDER"], "FOLDER holds no optimizer state"),
            (["--snapshot", "EMPTY"], "EMPTY: there is a folder here, without a pair"),
        ],
    )
    def test_what_it_does_not_hold(
        self,
        folder: Path,
        tiny_scenes: Path,
        tmp_path: Path,
        words: list[str],
        message: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "empty").mkdir()
        places = {"FOLDER": str(folder), "EMPTY": str(tmp_path / "empty")}
        words = [places.get(word, word) for word in words]
        more = ["--dataset", "toy", "--data_root", str(tiny_scenes), "--class_uniform_pct", "0", "--num_workers", "0"]
        line = complaint(train.main([*words, *more, "--result_dir", str(tmp_path / "run")]), capsys)
        name = message.split(" ")[0].rstrip(":")
        assert message.replace(name, places[name]) in line
