"""Consumers of an evaluation: the right files with the right values, on one rank and on two."""

from __future__ import annotations

import csv
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from compat.csail.sinks import SideBySide
from compat.paddleseg.sinks import PseudoColor
from compat.sdcnet.sinks import Folders
from evaluation import sinks
from evaluation.metrics import ConfusionMatrix, Scores
from evaluation.sinks import (
    EvalItem,
    Gallery,
    Images,
    LabelMaps,
    PerImage,
    PseudoLabels,
    ScaleGain,
    ScaleScores,
    Sink,
    StaleResults,
    Submission,
    Worst,
    images,
)
from evaluation.sinks.confidence import ConfidenceMaps
from utils.contracts import DatasetSpec, Prediction
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.visualize import error_map

SPEC = DatasetSpec(
    "test", ("road", "car", "train"), ((128, 64, 128), (0, 0, 142), (0, 80, 100)), train_to_id=(7, 26, 31)
)


def item(name: str, wrong: int = 0, labeled: bool = True, size: tuple[int, int] = (8, 20)) -> EvalItem:
    """Left half road, right half car; the first `wrong` road pixels are called car, and the last pixel is ignored."""
    label = np.zeros(size, np.uint8)
    label[:, size[1] // 2 :] = 1
    label[-1, -1] = 255
    classes = np.where(label == 255, 2, label).astype(np.uint8)
    classes.reshape(-1)[np.flatnonzero(label == 0)[:wrong]] = 1
    extras = {"attn_05x": torch.full((1, 4, 10), 0.5), "pred_05x": torch.eye(3)[:, :, None].repeat(1, 1, 5)}
    prediction = Prediction(torch.from_numpy(classes), torch.full(size, 0.999), None, extras)
    image = np.random.default_rng(len(name)).integers(0, 256, (*size, 3), dtype=np.uint8)
    counts = ConfusionMatrix(3).update(classes, label).numpy() if labeled else None
    return EvalItem(name, image, label if labeled else None, prediction, counts)


def read(path: Path) -> np.ndarray:
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(array, cv2.COLOR_BGR2RGB) if array.ndim == 3 else array


@dataclass(frozen=True)
class Threads(DistributedContext):
    """Two ranks as two threads."""

    meet: Any = None
    box: dict[int, Any] = field(default_factory=dict)

    def barrier(self) -> None:
        self.meet.wait(10)

    def gather(self, value: Any) -> list[Any]:
        self.box[self.rank] = value
        self.barrier()
        values = [self.box[r] for r in range(self.world)]
        self.barrier()
        return values


def on_two_ranks(work: Callable[[DistributedContext], None]) -> None:
    meet, box, errors = threading.Barrier(2), {}, []

    def run(rank: int) -> None:
        try:
            work(Threads(rank, 2, meet=meet, box=box))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
            meet.abort()

    threads = [threading.Thread(target=run, args=(r,)) for r in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    if errors:
        raise errors[0]


def test_submission_has_the_ids_the_names_and_the_archive(tmp_path: Path) -> None:
    sink = Submission(tmp_path, SPEC, expected=2)
    names = ["berlin_000001_000019_leftImg8bit", "berlin_000002_000019_leftImg8bit"]
    for name in names:
        sink.add(item(name, wrong=3))
    (line,) = sink.results().lines
    with zipfile.ZipFile(tmp_path / "submit.zip") as archive:
        assert archive.namelist() == [f"{name}.png" for name in names]
        ids = cv2.imdecode(np.frombuffer(archive.read(f"{names[0]}.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert ids.dtype == np.uint8 and ids.shape == (8, 20)
    assert np.array_equal(ids, np.array(SPEC.train_to_id)[item("", wrong=3).prediction.classes.numpy()])
    assert set(np.unique(ids)) == {7, 26, 31}
    assert line is not None and line.startswith("2 predictions in ")


@pytest.mark.parametrize(
    ("names", "expected", "message"),
    [(["a"], 2, "has 1 predictions, but the split has 2 images"), (["a", "a"], 2, "share a name, for instance a.png")],
)
def test_an_incomplete_submission_is_not_packed(tmp_path: Path, names: list[str], expected: int, message: str) -> None:
    sink = Submission(tmp_path, SPEC, expected)
    for name in names:
        sink.add(item(name))
    with pytest.raises(UserError, match=message):
        sink.results()
    assert not (tmp_path / "submit.zip").exists()


def test_a_submission_leaves_out_what_an_older_run_left(tmp_path: Path) -> None:
    (tmp_path / "submit").mkdir()
    (tmp_path / "submit" / "old.png").write_bytes(b"")
    sink = Submission(tmp_path, SPEC, expected=1)
    sink.add(item("new"))
    sink.results()
    assert zipfile.ZipFile(tmp_path / "submit.zip").namelist() == ["new.png"]


def test_pseudo_labels_lie_where_the_coarse_reader_looks(tmp_path: Path) -> None:
    sink = PseudoLabels(tmp_path / "autolabelled", SPEC)
    sink.add(item("troisdorf_000000_000073_leftImg8bit", wrong=2))
    sink.add(item("holiday"))
    sink.results()
    stem = tmp_path / "autolabelled" / "train_extra" / "troisdorf" / "troisdorf_000000_000073_leftImg8bit"
    ids = read(stem.with_suffix(".png"))
    assert ids[0, :3].tolist() == [26, 26, 7]
    sure = read(stem.with_name(stem.name + "_prob.png"))
    assert sure.dtype == np.uint8 and set(np.unique(sure)) == {254}  # 0.999 is not certain
    assert (tmp_path / "autolabelled" / "train_extra" / "holiday.png").exists()


def test_pictures_are_drawn_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together those of a large image would be several times its size."""
    monkeypatch.setattr(images, "error_map", lambda *_: pytest.fail("it was drawn before it was asked for"))
    drawn = images.pictures_of(item("a", wrong=3), SPEC)
    assert [next(drawn)[0] for _ in range(3)] == ["input", "truth", "prediction"]


@pytest.mark.parametrize(("expected", "everything", "written"), [(40, False, 10), (3, False, 3), (40, True, 40)])
def test_about_ten_images_or_all(tmp_path: Path, expected: int, everything: bool, written: int) -> None:
    sink = Images(tmp_path, SPEC, expected, everything)
    for number in range(expected):
        sink.add(item(f"n{number:02d}"))
    assert len(list(tmp_path.glob("*_prediction.png"))) == written
    assert sink.results().lines == [f"{written} images in {tmp_path}"]


def test_image_files_hold_what_they_say(tmp_path: Path) -> None:
    sink = Images(tmp_path, SPEC, 1, extras=("attn_05x", "pred_05x", "pred_10x"))
    one = item("city/one.png", wrong=4)
    before = one.image.copy(), one.prediction.classes.clone()
    sink.add(one)
    kinds = {p.name.removeprefix("city__one_").removesuffix(".png") for p in tmp_path.iterdir()}
    assert kinds == {"input", "prediction", "composite", "confidence", "truth", "error", "attn_05x", "pred_05x"}
    got = {kind: read(tmp_path / f"city__one_{kind}.png") for kind in kinds}
    assert np.array_equal(got["input"], one.image)
    assert got["prediction"][0, 0].tolist() == [0, 0, 142] and got["truth"][0, 0].tolist() == [128, 64, 128]
    assert got["truth"][-1, -1].tolist() == [0, 0, 0]
    assert np.array_equal(got["error"], error_map(one.image, one.prediction.classes, one.label, 255))  # type: ignore[arg-type]
    assert got["pred_05x"][:, 0].tolist() == [list(c) for c in SPEC.palette]
    assert got["attn_05x"].shape == (4, 10, 3)
    assert np.array_equal(one.image, before[0]) and torch.equal(one.prediction.classes, before[1])


def test_image_truth_and_prediction_lie_in_a_row(tmp_path: Path) -> None:
    sink, one = SideBySide(tmp_path / "result", SPEC), item("val/one.jpg", wrong=9)
    sink.add(one)
    sink.add(item("two", labeled=False))
    (line,) = sink.results().lines
    assert line.startswith("2 images") and line.endswith(str(tmp_path / "result"))
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["two.png", "val__one.png"]
    colors = np.array([*SPEC.palette, *[(0, 0, 0)] * 253], np.uint8)
    assert one.label is not None and one.label[-1, -1] == 255
    want = [one.image, colors[one.label], colors[one.prediction.classes.numpy()]]
    assert np.array_equal(read(tmp_path / "result" / "val__one.png"), np.concatenate(want, axis=1))
    assert read(tmp_path / "result" / "two.png").shape == (8, 40, 3)


def test_pictures_as_the_sdcnet_branch_writes_them(tmp_path: Path) -> None:
    sink, one = Folders(tmp_path, SPEC), item("city/one_leftImg8bit.png", wrong=9)
    sink.add(one)
    sink.add(item("two", labeled=False))
    assert sink.results().lines == [f"2 images in rgb, pred, compose and diff of {tmp_path}"]
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    stem = "city__one_leftImg8bit"
    kinds = ("rgb/{}_color.png", "pred/{}.png", "compose/{}_compose.png", "diff/{}_diff.png")
    assert names == {kind.format(stem) for kind in kinds} | {kind.format("two") for kind in kinds[:3]}
    classes, colors = one.prediction.classes.numpy(), np.array(SPEC.palette, np.uint8)
    with Image.open(tmp_path / f"rgb/{stem}_color.png") as picture:
        assert picture.mode == "P" and np.array_equal(np.array(picture), classes)
        assert np.array_equal(np.array(picture.convert("RGB")), colors[classes])
    with Image.open(tmp_path / f"pred/{stem}.png") as picture:
        assert picture.mode == "L" and np.array_equal(np.array(picture), np.array(SPEC.train_to_id)[classes])
    with Image.open(tmp_path / f"compose/{stem}_compose.png") as picture:
        assert picture.mode == "RGBA"
        blend = np.array(picture)
    assert np.abs(blend[..., :3] - (one.image / 2 + colors[classes] / 2)).max() <= 0.5 and (blend[..., 3] == 255).all()
    assert one.label is not None
    wrong = (classes != one.label) & (one.label != 255)
    diff = read(tmp_path / f"diff/{stem}_diff.png")
    assert wrong.sum() == 9 and np.array_equal(diff[wrong], blend[wrong, :3]) and (diff[~wrong] == 255).all()


def test_pictures_as_paddleseg_writes_them(tmp_path: Path) -> None:
    sink, one = PseudoColor(tmp_path), item("city/one.jpg")
    sink.add(one)
    assert sink.results().lines == [f"1 image in {tmp_path}/added_prediction and {tmp_path}/pseudo_color_prediction"]
    with Image.open(tmp_path / "pseudo_color_prediction" / "city__one.png") as picture:
        assert picture.mode == "P" and np.array_equal(np.array(picture), one.prediction.classes.numpy())
        colors = np.array(picture.getpalette()).reshape(-1, 3)
    # Pascal VOC's list from its second entry on.
    assert colors[:5].tolist() == [[128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]]
    assert colors[14].tolist() == [192, 128, 128] and colors[19].tolist() == [0, 64, 128]
    assert len({tuple(color) for color in colors.tolist()}) == 256 == len(colors)
    added = read(tmp_path / "added_prediction" / "city__one.png").astype(float)
    want = 0.6 * one.image + 0.4 * colors[one.prediction.classes.numpy()]
    assert np.abs(added - want).max() <= 0.5


@pytest.mark.parametrize("ids", [(7, 26, 31), ()])
def test_label_maps_have_ids_in_the_colors_of_their_classes(tmp_path: Path, ids: tuple[int, ...]) -> None:
    spec, one = replace(SPEC, train_to_id=ids), item("city/one.png", wrong=9)
    sink = LabelMaps(tmp_path / "test_results", spec)
    sink.add(one)
    assert sink.results().lines == [f"1 label map with colors in {tmp_path}/test_results"]
    classes, values = one.prediction.classes.numpy(), np.array(ids or (0, 1, 2))
    with Image.open(tmp_path / "test_results" / "city__one.png") as picture:
        assert picture.mode == "P" and np.array_equal(np.array(picture), values[classes])
        colors = np.array(picture.getpalette()).reshape(-1, 3)
        assert np.array_equal(np.array(picture.convert("RGB")), np.array(SPEC.palette)[classes])
    assert colors[values].tolist() == [list(color) for color in SPEC.palette]
    assert not np.delete(colors, values, axis=0).any()


def test_certainties_are_probabilities_times_255(tmp_path: Path) -> None:
    one = item("city/one.png")
    one.prediction.max_prob = torch.linspace(0, 1, one.label.size).reshape(one.label.shape)  # type: ignore[union-attr]
    sink = ConfidenceMaps(tmp_path / "confidence")
    sink.add(one)
    assert sink.results().lines == [f"certainty (probability * 255) of 1 image in {tmp_path}/confidence"]
    with Image.open(tmp_path / "confidence" / "city__one.png") as picture:
        assert picture.mode == "L" and np.array_equal(np.array(picture), np.rint(one.prediction.max_prob * 255))


def test_iou_of_every_image(tmp_path: Path) -> None:
    path = tmp_path / "per_image.csv"

    def work(ranks: DistributedContext) -> None:
        sink = PerImage(path, SPEC)
        for number in range(ranks.rank, 3, 2):
            sink.add(item(f"image{number}", wrong=10 * number))
        sink.add(item("unlabeled", labeled=False))
        sink.results(ranks)

    on_two_ranks(work)
    rows = list(csv.reader(path.open()))
    assert rows[0] == ["image", "mean_iou", "pixels", "wrong", "road", "car", "train"]
    assert [row[0] for row in rows[1:]] == ["image0", "image1", "image2"]
    # 80 road and 79 car pixels; 20 road pixels are called car.
    assert rows[3] == ["image2", f"{(60 / 80 + 79 / 99) / 2:.6f}", "159", "20", f"{60 / 80:.6f}", f"{79 / 99:.6f}", ""]


def test_the_worst_images_of_each_class(tmp_path: Path) -> None:
    wrongs = [5, 9, 0, 7, 30, 1, 8]

    def work(ranks: DistributedContext) -> None:
        sink = Worst(tmp_path, SPEC, count=3)
        for number in range(ranks.rank, len(wrongs), ranks.world):
            sink.add(item(f"i{number}", wrong=wrongs[number]))
        sink.results(ranks)

    on_two_ranks(work)
    rows = list(csv.reader((tmp_path / "index.csv").open()))[1:]
    order = [["i4", "30"], ["i1", "9"], ["i6", "8"]]
    for name in ("road", "car"):  # missed road is invented car
        assert [[row[3], row[2]] for row in rows if row[0] == name] == order
    assert not [row for row in rows if row[0] == "train"]
    assert {p.name.split("_")[0] for p in tmp_path.glob("*_error.png")} == {"i1", "i4", "i6"}, "others are removed"
    assert len(list(tmp_path.glob("*_input.jpg"))) == 3
    page = (tmp_path / "index.html").read_text()
    assert page.index("i4: 30 wrong") < page.index("i1: 9 wrong")


def test_all_pictures_of_the_worst_are_kept_if_asked(tmp_path: Path) -> None:
    sink = Worst(tmp_path, SPEC, count=1, everything=True)
    for number in range(4):
        sink.add(item(f"i{number}", wrong=number))
    sink.results()
    assert len(list(tmp_path.glob("*_error.png"))) == 4
    assert len((tmp_path / "index.csv").read_text().splitlines()) == 1 + 2


def test_the_gallery_has_the_worst_first_and_some_more(tmp_path: Path) -> None:
    found: list[Any] = []

    def work(ranks: DistributedContext) -> None:
        sink = Gallery(SPEC, worst=3, some=2, long_edge=10, extras=("attn_05x",))
        for number in range(ranks.rank, 20, ranks.world):
            sink.add(item(f"i{number:02d}", wrong=number))
        rows = sink.results(ranks).rows
        found.extend(rows)
        assert ranks.is_main or not rows

    on_two_ranks(work)
    assert [row.name for row in found[:3]] == ["i19", "i18", "i17"] and len(found) == 5
    assert len({row.name for row in found}) == 5
    assert found[0].error_rate == 19 / 159
    assert list(found[0].panels) == ["image", "truth", "prediction", "error", "attention 0.5x"]
    for data in found[0].panels.values():
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (4, 10, 3)


def test_a_gallery_without_labels_is_random_and_reaches_the_end() -> None:
    sink = Gallery(SPEC, worst=2, some=2)
    for number in range(200):
        sink.add(item(f"i{number:03d}", labeled=False))
    rows = sink.results().rows
    names = [row.name for row in rows]
    assert len(names) == 4 and names[-1] > "i020", "a reservoir does not only hold the first ones"
    assert list(rows[0].panels) == ["image", "prediction"] and rows[0].error_rate is None


def test_scores_of_single_scales_over_two_ranks() -> None:
    found: list[Mapping[str, Scores]] = []

    def work(ranks: DistributedContext) -> None:
        sink = ScaleScores(SPEC, ("pred_05x", "pred_20x"))
        one = item("a")
        if ranks.is_main:  # the small map says car on the left: wrong there, and right on the right
            one.prediction.extras["pred_05x"] = torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1).expand(3, 4, 10)
            sink.add(one)
        else:
            one.prediction.extras["pred_05x"] = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1).expand(3, 4, 10)
            sink.add(one)
            sink.add(item("b", labeled=False))
        found.append(sink.results(ranks).scale_scores)

    on_two_ranks(work)
    for scores in found:
        assert list(scores) == ["pred_05x"]
        assert scores["pred_05x"].counts.tolist() == [[80, 80, 0], [79, 79, 0], [0, 0, 0]]


def scaled(name: str, small: int, large: int, found: int, flips: bool = False) -> EvalItem:
    """A road with a car of a pixel and one of a quarter; each scale has one class everywhere, `found` is predicted."""
    label = np.zeros((40, 40), np.uint8)
    label[:20, 20:] = 1
    label[30, 5] = 1

    def everywhere(k: int, score: float) -> torch.Tensor:
        return (score * torch.eye(3)[k]).view(3, 1, 1).expand(3, 20, 20)

    extras = {"pred_05x": everywhere(small, 1.0), "pred_10x": everywhere(large, 2.0)}
    extras |= {"unflipped": everywhere(found, 1.0)} if flips else {}
    prediction = Prediction(torch.full((40, 40), found, dtype=torch.uint8), torch.ones(40, 40), None, extras)
    return EvalItem(name, np.zeros((40, 40, 3), np.uint8), label, prediction, None)


@pytest.mark.parametrize("flips", [False, True])
def test_what_the_scales_bring_over_two_ranks(tmp_path: Path, flips: bool) -> None:
    """Scores of each way to predict, and the mean share found of objects by size; a table beside the report."""
    found: list[Any] = []

    def work(ranks: DistributedContext) -> None:
        sink = ScaleGain(tmp_path / "scales.csv", SPEC, ("pred_05x", "pred_10x"), flips)
        assert ("unflipped" in sink.extras) == flips
        if ranks.is_main:
            sink.add(scaled("a", small=1, large=0, found=0, flips=flips))
        else:
            sink.add(scaled("b", small=1, large=0, found=1, flips=flips))
            sink.add(item("no label", labeled=False))
            sink.add(replace(item("one scale"), prediction=replace(item("x").prediction, extras={})))
        found.append(sink.results(ranks))

    on_two_ranks(work)
    ways = ["pred_05x", "pred_10x", "averaged", "attention", *(["attention + flip"] if flips else [])]
    for results in found:
        table = results.scales
        assert list(table.scores) == list(results.scale_scores) == ways
        assert table.objects == {"small": 2, "medium": 0, "large": 4}  # a car of a pixel; a car and the road, twice
        assert table.found["pred_05x"]["small"] == 1 and table.found["pred_10x"]["small"] == 0
        assert table.found["averaged"]["small"] == 0  # the larger scale is surer
        assert table.found["pred_05x"]["large"] == table.found["pred_10x"]["large"] == 0.5
        assert np.isnan(table.found["averaged"]["medium"]) and table.found["attention"]["small"] == 0.5
        assert table.scores["pred_10x"].counts[0].tolist() == [2 * 1199, 0, 0]
    with open(tmp_path / "scales.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["", *ways] and rows[1][0] == "mean IoU" and rows[2][0] == "road"
    assert rows[-3][0] == "found of small objects (2)" and rows[-3][1] == "1.000000"


def test_a_table_of_scales_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    """A network of one scale, or one that keeps its scales' scores to itself."""
    sink = ScaleGain(tmp_path / "scales.csv", SPEC, ("pred_05x", "pred_10x"), False)
    sink.add(replace(item("a"), prediction=replace(item("a").prediction, extras={})))
    results = sink.results()
    assert results.scales is None and not (tmp_path / "scales.csv").exists()
    assert [*results.lines] == [
        "--scale_table: no table, since the network gave no scores of several scales by themselves"
    ]


def options(sizes: tuple[int, ...] = (), **changes: Any) -> Any:
    values = dict.fromkeys(
        (
            "NO_METRICS",
            "DUMP_ASSETS",
            "DUMP_ALL_IMAGES",
            "DUMP_PSEUDO_COLOR",
            "DUMP_IMAGES",
            "DUMP_PALETTE",
            "DUMP_CONFIDENCE",
            "VISUALIZE",
            "SINGLE_SCALE",
            "DUMP_TOPN_ALL",
            "DUMP_FOR_SUBMISSION",
            "MULTI_SCALE",
            "LOG_MSINF_TO_TB",
            "SCALE_TABLE",
            "DO_FLIP",
        ),
        False,
    )
    values |= {"DUMP_FOR_AUTO_LABELLING": False, "DUMP_TOPN": 0, "DEFAULT_SCALE": 1.0, "EXTRA_SCALES": (0.5, 2.0)}
    values |= {"MODE": "", "INFERENCE_MODE": "", "SCALES": (0.5, 1.0, 2.0)}
    model = SimpleNamespace(N_SCALES=(), MSCALE_LO_SCALE=0.5)
    return SimpleNamespace(
        EVAL=SimpleNamespace(**(values | changes)), MODEL=model, DATASET=SimpleNamespace(IMG_SIZES=sizes), SEED=0
    )


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, [Gallery, PerImage]),
        ({"NO_METRICS": True}, [Gallery, PerImage]),  # the flag is one of --eval
        ({"NO_METRICS": True, "MODE": "val"}, [Gallery, StaleResults]),
        ({"LOG_MSINF_TO_TB": True}, [Gallery, PerImage, ScaleScores]),
        ({"SCALE_TABLE": True}, [Gallery, PerImage, ScaleGain]),
        ({"SCALE_TABLE": True, "NO_METRICS": True, "MODE": "val"}, [Gallery, StaleResults]),
        ({"DUMP_ASSETS": True}, [Gallery, PerImage, Images]),
        ({"DUMP_ALL_IMAGES": True, "DUMP_TOPN": 5}, [Gallery, PerImage, Images, Worst]),
        ({"DUMP_PSEUDO_COLOR": True}, [Gallery, PerImage, PseudoColor]),
        ({"DUMP_IMAGES": True}, [Gallery, PerImage, Folders]),
        ({"DUMP_PALETTE": True}, [Gallery, PerImage, LabelMaps]),
        ({"DUMP_CONFIDENCE": True}, [Gallery, PerImage, ConfidenceMaps]),
        ({"VISUALIZE": True}, [Gallery, PerImage, SideBySide]),
        ({"DUMP_FOR_SUBMISSION": True, "NO_METRICS": True, "MODE": "val"}, [Gallery, Submission, StaleResults]),
        ({"DUMP_FOR_AUTO_LABELLING": True}, [Gallery, PerImage, PseudoLabels]),
    ],
)
def test_options_choose_the_sinks(tmp_path: Path, changes: dict[str, Any], kinds: list[type[Sink]]) -> None:
    assert [type(sink) for sink in sinks.build(options(**changes), SPEC, tmp_path, 10)] == kinds


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"MULTI_SCALE": True}, {"pred_10x", "pred_05x", "pred_20x"}),
        ({"sizes": (300, 375)}, {"pred_10x", "pred_05x", "pred_300", "pred_375"}),
        ({"INFERENCE_MODE": "sliding", "SCALES": (0.5, 1.5)}, {"pred_05x", "pred_10x", "pred_15x"}),
        ({"INFERENCE_MODE": "sliding", "SINGLE_SCALE": True}, {"pred_05x", "pred_10x"}),  # the network's own
    ],
)
def test_scores_of_the_averaged_scales(tmp_path: Path, changes: dict[str, Any], asked: set[str]) -> None:
    built = sinks.build(options(LOG_MSINF_TO_TB=True, **changes), SPEC, tmp_path, 10)
    assert {name for sink in built if isinstance(sink, ScaleScores) for name in sink.extras} == asked


@pytest.mark.parametrize("images", [0, 2])
def test_all_files_lie_in_the_folder_that_was_not_there(tmp_path: Path, images: int) -> None:
    flags = ("DUMP_ASSETS", "DUMP_ALL_IMAGES", "DUMP_FOR_SUBMISSION", "DUMP_FOR_AUTO_LABELLING", "LOG_MSINF_TO_TB")
    folder = tmp_path / "run" / "eval"
    writers = sinks.build(options(**dict.fromkeys(flags, True), DUMP_TOPN=3), SPEC, folder, images)
    assert len(writers) == 7
    for number in range(images):
        writers.add(item(f"i{number}", wrong=3))
    writers.results()
    assert [path.name for path in tmp_path.rglob("*") if folder not in path.parents] == ["run", "eval"]
    written = {path.name for path in folder.iterdir()}
    always = {"topn", "submit.zip"}
    assert written == always | {"per_image.csv", "images", "submit", "autolabelled"} if images else written == always


def test_what_the_sinks_want_to_see_of_the_network(tmp_path: Path) -> None:
    plain = sinks.build(options(), SPEC, tmp_path, 10)
    seeds = ("initial", "seed", "offset", "confidence")
    assert plain.extras == ("attn_05x", "attn_10x", *seeds)
    assets = sinks.build(options(DUMP_ASSETS=True, MULTI_SCALE=True), SPEC, tmp_path, 10)
    assert assets.extras == ("attn_05x", "attn_10x", *seeds, "pred_05x", "pred_10x", "pred_20x")


@pytest.mark.parametrize(
    ("changes", "single"),
    [
        ({}, ""),
        ({"EXTRA_SCALES": (0.5,)}, ""),
        ({"MULTI_SCALE": True, "EXTRA_SCALES": (1.0,)}, ""),
        ({"MULTI_SCALE": True, "DEFAULT_SCALE": 0.75}, "scale 0.75x"),
        ({"INFERENCE_MODE": "sliding", "SCALES": (0.5, 1.5)}, "scale 0.5x"),
        ({"INFERENCE_MODE": "sliding", "SINGLE_SCALE": True}, ""),
        ({"sizes": (300,)}, ""),
        ({"sizes": (300, 375)}, "short side 300"),
    ],
)
def test_the_gallery_is_told_of_which_scale_seeds_are(tmp_path: Path, changes: dict[str, Any], single: str) -> None:
    gallery = sinks.build(options(**changes), SPEC, tmp_path, 10)[0]
    assert isinstance(gallery, Gallery) and gallery.single == single


def test_items_of_a_batch_come_in_their_order_and_uncounted() -> None:
    one, other = item("a", wrong=2), item("b", labeled=False)
    batch = {
        "image": [one.image, other.image], "label": [one.label, None], "name": ["a", "b"], "size": [(8, 20), (8, 20)]
    }  # fmt: skip
    got = list(sinks.items(batch, [one.prediction, other.prediction]))  # type: ignore[arg-type]
    assert [found.name for found in got] == ["a", "b"] and got[0].counts is None
    assert got[0].label is one.label and got[1].label is None and got[1].prediction is other.prediction


def test_counts_of_a_device_come_with_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads a batch's counts before the device has the next one to do; the order stays."""
    read: list[str] = []

    class Coming:
        coming = True

        def __init__(self, counts: torch.Tensor) -> None:
            self.counts = counts

        def numpy(self) -> np.ndarray:
            read.append("counts")
            return self.counts.numpy()

    class Names(Sink):
        def add(self, found: EvalItem) -> None:
            assert found.counts is None or isinstance(found.counts, np.ndarray)
            read.append(found.name)

    monkeypatch.setattr(sinks, "HostCopy", Coming)
    both = sinks.Sinks([Names()])
    for name, labeled in (("a", True), ("b", False), ("c", True)):
        one = item(name, labeled=labeled)
        one.counts = torch.from_numpy(one.counts) if labeled else None
        both.add_batch([one])
        read.append("next")
    both.results()
    assert read == ["next", "counts", "a", "next", "b", "next", "counts", "c"]


def test_counts_of_the_host_come_at_once() -> None:
    gallery = sinks.Sinks([PerImage(Path("unused.csv"), SPEC)])
    one = item("a")
    one.counts = torch.from_numpy(one.counts)
    gallery.add_batch([one])
    assert isinstance(one.counts, np.ndarray)
