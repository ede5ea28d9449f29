"""Pseudo-labels: teacher -> labels -> a training on them; interruptions, any folder of images, users' mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from forked import ranks
from runs import finish
from runs import folder as folder_of

import config
import datasets
import toyworld
import train
from datasets import cityscapes, folder
from engine.log import RunLog
from evaluation.sinks.coverage import Coverage
from evaluation.sinks.pseudolabels import PseudoLabels, place, thresholds
from scripts import auto_label
from scripts.convert_checkpoint import main as convert_checkpoint
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.files import write_file

LEAST = "0.07"  # a teacher of two steps is hardly surer of anything than by chance, 1/19


@pytest.fixture(scope="session")
def scenes(once: Callable[..., Path]) -> Path:
    """Fine and coarse scenes in the Cityscapes layout."""
    counts = {"train": 8, "val": 2, "train_extra": 4}

    def draw(folder: Path) -> None:
        toyworld.write(folder / "scenes", ("fine", "coarse"), counts=counts, size=(64, 128), workers=1)

    return once("coarse", draw) / "scenes"


@pytest.fixture(scope="session")
def run(scenes: Path, once: Callable[..., Path], tiny_words: Callable[..., list[str]]) -> list[str]:
    """Command line of a teacher that has been trained, for one epoch."""

    def line(folder: Path) -> list[str]:
        return [*tiny_words(scenes, folder), "--max_epoch", "1", "--dataset", "cityscapes"]

    def make(folder: Path) -> None:
        assert train.main(line(folder)) == 0

    return line(once("teacher", make))


@pytest.fixture(scope="session")
def teacher(run: list[str]) -> str:
    """Its checkpoint."""
    return str(next(Path(run[run.index("--result_dir") + 1]).glob("best_checkpoint_ep*.pth")))


def command(teacher: str, images: Path, out: Path, *more: str) -> list[str]:
    """A labeling of `images`."""
    words = ["--snapshot", teacher, "--images", str(images), "--out", str(out), "--threshold", LEAST]
    return [*words, "--num_workers", "0", *more]


def label(*args: Any) -> None:
    """One that has to succeed."""
    assert auto_label.main(command(*args)) == 0


def content(out: Path) -> dict[str, bytes]:
    """All files but those that tell the time."""
    files = {path for path in out.rglob("*") if path.is_file()} - {out / "report.html", out / "auto_label.log"}
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def picture(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None and found.dtype == np.uint8 and found.ndim == 2
    return found


@pytest.fixture(scope="session")
def labeled(teacher: str, scenes: Path, once: Callable[..., Path]) -> Path:
    """train_extra with the labels of the teacher."""
    return once("labels", lambda folder: label(teacher, scenes / "leftImg8bit/train_extra", folder / "auto")) / "auto"


@pytest.mark.slow
def test_unsure_pixels_are_ignored(labeled: Path, scenes: Path) -> None:
    images = sorted((scenes / "leftImg8bit/train_extra").rglob("*.png"))
    kept = total = 0
    for image in images:
        path = labeled / "train_extra" / image.relative_to(scenes / "leftImg8bit/train_extra")
        ids, sure = picture(path), picture(path.with_name(f"{path.stem}_prob.png"))
        np.testing.assert_array_equal(ids == 255, sure < float(LEAST) * 255)
        assert set(np.unique(ids)) <= {*cityscapes.SPEC.train_to_id, 255}
        kept, total = kept + int((ids != 255).sum()), total + ids.size
    assert len(images) == 4 and 0 < kept < total
    assert not list(labeled.rglob("*.part")) and not list(labeled.glob("coverage_*.csv"))


@pytest.mark.slow
def test_coverage_and_report(labeled: Path) -> None:
    lines = (labeled / "coverage.csv").read_text().splitlines()
    assert len(lines) == 5 and lines[0].startswith("image,road predicted,") and lines[1:] == sorted(lines[1:])
    counts = np.array([line.split(",")[1:] for line in lines[1:]], np.int64).reshape(4, 2, 19)
    assert (counts[:, 0].sum(1) == 64 * 128).all() and (counts[:, 1] <= counts[:, 0]).all()
    labels = [path for path in labeled.rglob("*.png") if not path.stem.endswith("_prob")]
    road = sum(int((picture(path) == 7).sum()) for path in labels)
    assert counts[:, 1, 0].sum() == road
    page = (labeled / "report.html").read_text()
    assert "Pseudo-labels by best_checkpoint" in page and "What was kept" in page and "Error: wrong" not in page
    assert f"{counts[:, 1, 0].sum():,}" in page and page.count("<figure>") == 4 * 3
    record = json.loads((labeled / "autolabels.json").read_text())
    assert record["classes"] == list(cityscapes.SPEC.classes) and record["ids"] == list(cityscapes.SPEC.train_to_id)


@pytest.mark.slow
@pytest.mark.in_make_test("between")
@pytest.mark.parametrize("where", ["before", "between", "after"])
def test_interrupted_and_resumed_gives_the_same_files(
    teacher: str, scenes: Path, labeled: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the third image: before its files, between the two, or before it was counted."""
    images, out, count = scenes / "leftImg8bit/train_extra", tmp_path / "auto", 0
    add, files = PseudoLabels.add, PseudoLabels.files

    def interrupted(sink: PseudoLabels, item: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            if where == "between":
                write_file(files(sink, item.name)[1], b"half a file")
            elif where == "after":
                sink.coverage = None
                add(sink, item)
                with open(out / "coverage_0.csv", "a") as file:
                    file.write(f"{item.name},1,2")
            raise KeyboardInterrupt
        add(sink, item)

    with monkeypatch.context() as patched:
        patched.setattr(PseudoLabels, "add", interrupted)
        assert auto_label.main(command(teacher, images, out)) == 130
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert content(out) != content(labeled)
    label(teacher, images, out)
    assert content(out) == content(labeled)
    again = [path for path, time in done.items() if path.stat().st_mtime_ns != time]
    assert len(again) == {"before": 0, "between": 1, "after": 2}[where]
    assert "4 images, 2 of them labeled before" in (out / "auto_label.log").read_text()


@pytest.mark.slow
def test_several_processes_make_the_same_files(teacher: str, scenes: Path, labeled: Path, tmp_path: Path) -> None:
    words = command(teacher, scenes / "leftImg8bit/train_extra", tmp_path / "auto")
    output = finish(*ranks(auto_label.main, words))
    assert "pseudo-labels 2/2" in output and "4 images, 0 of them" in output
    assert content(tmp_path / "auto") == content(labeled)


RECIPE = (
    *("--coarse_boost_classes", "3,4,6,7,9,11,12,13,14,15,16,17,18", "--custom_coarse_dropout_classes", "14,15,16"),
    *("--mask_out_cityscapes", "--max_cu_epoch", "1"),
)


def repeated(scenes: Path, root: Path, count: int) -> None:
    """The scenes with as many fine training images, each of which is there several times under other names."""
    shutil.copytree(scenes, root)
    first = sorted(root.glob("leftImg8bit/train/*/*.png")), sorted(root.glob("gtFine/train/*/*_labelIds.png"))
    for number in range(len(first[0]), count):
        for paths in first:
            source = paths[number % len(paths)]
            _, _, end = source.name.split("_", 2)
            source.with_name(f"{source.parent.name}_9{number:05d}_{end}").write_bytes(source.read_bytes())


@pytest.mark.slow
def test_training_on_the_labels(run: list[str], scenes: Path, labeled: Path, tmp_path: Path) -> None:
    """The published recipe, with coarse images in the first epoch only. Fewer fine ones make no crop of each class."""
    fine, root = 20, tmp_path / "more"
    repeated(scenes, root, fine)
    words = [*run, "--data_root", str(root), "--result_dir", str(tmp_path / "student"), "--max_epoch", "2", *RECIPE]
    words += ["--custom_coarse_prob", "0.05", "DATASET.CITYSCAPES_CUSTOMCOARSE", str(labeled)]
    # A teacher of two steps knows the commonest classes alone, which the recipe does not boost.
    words += ["--class_uniform_pct", "1", "--coarse_boost_classes", ",".join(map(str, range(19)))]
    assert train.main(words) == 0
    loader = datasets.build_train(config.load([*words, "--max_cu_epoch", "30"]), DistributedContext())
    drawn: list[int] = []
    for epoch in range(60):
        loader.set_epoch(epoch)
        drawn.append(max(draw.index for batch in loader.sampler for draw in batch))
    assert max(drawn[:30]) >= fine > max(drawn[30:]), "coarse images are drawn, up to max_cu_epoch"
    rows = RunLog(tmp_path / "student", main=False).history("train")
    assert [row["epoch"] for row in rows] == [0, 1] and all(np.isfinite(row["loss"]) for row in rows)


@pytest.mark.slow
def test_labels_of_any_folder_find_their_images(teacher: str, tmp_path: Path) -> None:
    """Names that another pairing would mix up: suffixes, endings, probability maps."""
    names = ("a/x.png", "a/x.jpg", "x.tif", "foo.png", "foo_L.png", "b.png", "b_prob.png")
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))
    label(teacher, tmp_path / "images", tmp_path / "out", "--scales", "1.0")
    (tmp_path / "link").symlink_to(tmp_path / "out" / "train_extra")
    for labels in ("out", "out/train_extra", "link"):
        found = folder.split(str(tmp_path / "images"), str(tmp_path / labels)).items
        place = tmp_path / ("out/train_extra" if labels == "out" else labels)
        of = {Path(i.image).relative_to(tmp_path / "images").as_posix(): Path(str(i.label)) for i in found}
        expected = {"a/x.png": "a/x_png", "a/x.jpg": "a/x_jpg", "b_prob.png": "b_prob_png"}
        assert of == {name: place / f"{expected.get(name, name[:-4])}.png" for name in names}
        assert not any(item.train_ids for item in found)


@pytest.mark.slow
def test_other_images_of_the_same_names_are_refused(
    teacher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "x.png"), np.zeros((32, 48, 3), np.uint8))
    label(teacher, tmp_path / "one", tmp_path / "out", "--scales", "1.0")
    assert auto_label.main(command(teacher, tmp_path / "two", tmp_path / "out", "--scales", "1.0")) == 2
    assert "made otherwise (images" in capsys.readouterr().err


@pytest.mark.slow
def test_what_has_changed_is_labeled_anew(teacher: str, tmp_path: Path) -> None:
    """An image that was exchanged, a label that is damaged, and one that is as it was."""

    def draw(name: str, size: tuple[int, int]) -> None:
        cv2.imwrite(
            str(tmp_path / f"images/{name}.png"), np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        )

    (tmp_path / "images").mkdir()
    for name in "abc":
        draw(name, (32, 48))
    label(teacher, tmp_path / "images", tmp_path / "out", "--scales", "1.0")
    labels = {name: tmp_path / f"out/train_extra/{name}.png" for name in "abc"}
    draw("a", (48, 32))
    labels["b"].write_bytes(labels["b"].read_bytes()[:-8])
    before = labels["c"].stat().st_mtime_ns
    label(teacher, tmp_path / "images", tmp_path / "out", "--scales", "1.0")
    assert [picture(path).shape for path in labels.values()] == [(48, 32), (32, 48), (32, 48)]
    assert labels["c"].stat().st_mtime_ns == before
    log = (tmp_path / "out/auto_label.log").read_text()
    assert "made anew in" in log and "1 damaged (b.png), 2 whose input has changed (a.png, a_prob.png)" in log
    assert "3 images, 1 of them labeled before" in log


@pytest.mark.slow
def test_any_folder_of_images(teacher: str, tmp_path: Path) -> None:
    sizes = {"x.png": (40, 60), "x.jpg": (33, 71), "deep/er/y.JPG": (64, 32), "deep/z_prob.bmp": (32, 32)}
    for name, size in sizes.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    out = tmp_path / "images/labels"  # its own labels are no images
    for _ in range(2):
        label(teacher, tmp_path / "images", out, "--bs_val", "2", "--do_flip", "--scales", "1.0")
    written = {path.relative_to(out / "train_extra").as_posix(): path for path in out.rglob("train_extra/**/*.png")}
    names = {"x_png": (40, 60), "x_jpg": (33, 71), "deep/er/y": (64, 32), "deep/z_prob_bmp": (32, 32)}
    assert set(written) == {f"{name}{end}.png" for name in names for end in ("", "_prob")}
    assert all(picture(written[f"{name}{end}.png"]).shape == names[name] for name in names for end in ("", "_prob"))


@pytest.mark.slow
def test_single_scale_teacher_averages(
    run: list[str], scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = run.index("--segattn_bot_ch")  # of the attention, which this network has not
    words = [*run[:place], *run[place + 2 :], "--arch", "ocrnet.HRNet", "--result_dir", str(tmp_path / "run")]
    assert train.main(words) == 0
    best = str(next((tmp_path / "run").glob("best_checkpoint_ep*.pth")))
    label(best, scenes / "leftImg8bit/train_extra", tmp_path / "auto")
    made = json.loads((tmp_path / "auto/autolabels.json").read_text())["made"]
    assert made["EVAL.MULTI_SCALE"] and made["EVAL.DEFAULT_SCALE"] == 1.0 and made["EVAL.EXTRA_SCALES"] == "0.5,2.0"
    images, sliding = scenes / "leftImg8bit/train_extra", ("--inference_mode", "sliding", "--scales", "0.5,1")
    label(best, images, tmp_path / "windows", *sliding)
    made = json.loads((tmp_path / "windows/autolabels.json").read_text())["made"]
    assert made["EVAL.INFERENCE_MODE"] == "sliding" and made["EVAL.SCALES"] == "0.5,1.0"
    line = complain(auto_label.main, command(best, images, tmp_path / "windows", *sliding[2:]), capsys)
    assert "EVAL." in line and "made otherwise" in line


@pytest.mark.slow
def test_a_record_from_before_an_option_goes_on(teacher: str, scenes: Path, labeled: Path, tmp_path: Path) -> None:
    out = shutil.copytree(labeled, tmp_path / "old")
    record = json.loads((out / "autolabels.json").read_text())
    del record["made"]["EVAL.INFERENCE_MODE"]
    (out / "autolabels.json").write_text(json.dumps(record))
    label(teacher, scenes / "leftImg8bit/train_extra", out)


@pytest.mark.slow
def test_published_checkpoint_as_teacher(
    teacher: str, run: list[str], scenes: Path, labeled: Path, tmp_path: Path
) -> None:
    """It tells its arch alone; the narrow net's widths are given."""
    assert convert_checkpoint([teacher, str(tmp_path / "theirs.pth"), "--to", "nvidia"]) == 0
    widths = [*run[run.index("--width_mult") : run.index("--crop_size")], *run[run.index("MODEL.OCR.MID_CHANNELS") :]]
    widths = widths[: widths.index("--max_epoch")]
    images = scenes / "leftImg8bit/train_extra"
    label(str(tmp_path / "theirs.pth"), images, tmp_path / "auto", *widths)
    ours, theirs = content(labeled), content(tmp_path / "auto")
    assert {name: ours[name] for name in ours if name.endswith("png")} == {
        name: theirs[name] for name in theirs if name.endswith("png")
    }


# --- mistakes ------------------------------------------------------------------------------------------------------


def complain(main: Callable[[Sequence[str]], int], words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error line of a command line that has to fail."""
    capsys.readouterr()
    assert main(words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ") and "Traceback" not in line
    return line


def test_mistakes(trained: list[str], tiny_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = str(next(folder_of(trained).glob("last_checkpoint_ep*.pth")))
    images, out = tiny_scenes / "leftImg8bit/val", tmp_path / "auto"
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in complain(auto_label.main, command(teacher, tmp_path / "empty", out), capsys)
    assert "/nowhere" in complain(auto_label.main, command(teacher, Path("/nowhere"), out), capsys)
    assert "/no.pth" in complain(auto_label.main, command("/no.pth", images, out), capsys)
    line = complain(auto_label.main, command(teacher, images, out, "--threshold", "roda=0.5"), capsys)
    assert "'roda'" in line and "'road'" in line
    assert "--do_flop" in complain(auto_label.main, command(teacher, images, out, "--do_flop"), capsys)
    assert "--n_scales" in complain(auto_label.main, command(teacher, images, out, "--scales", "0.5"), capsys)
    assert not list(out.rglob("*.png"))


@pytest.mark.slow
def test_labels_of_one_folder_are_made_one_way(
    teacher: str, scenes: Path, labeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = scenes / "leftImg8bit/train_extra"
    line = complain(auto_label.main, command(teacher, images, labeled, "--threshold", "0.5"), capsys)
    assert str(labeled) in line and "thresholds" in line and "--out" in line
    assert "EVAL.DO_FLIP" in complain(auto_label.main, command(teacher, images, labeled, "--do_flip"), capsys)
    # The images themselves lie where the labels would: nothing is overwritten.
    line = complain(auto_label.main, command(teacher, images, scenes / "leftImg8bit"), capsys)
    assert str(scenes / "leftImg8bit/train_extra") in line
    for name in ("a", "b"):
        shutil.copytree(images, tmp_path / "twice" / name)
    assert "same label file" in complain(auto_label.main, command(teacher, tmp_path / "twice", tmp_path / "o"), capsys)


@pytest.mark.slow
def test_labels_for_other_classes(
    run: list[str],
    make_mapillary: Callable[..., Path],
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A Mapillary teacher knows its classes where its dataset is not, too; Cityscapes cannot train on them."""
    maps = ["--dataset", "mapillary", "--data_root", str(make_mapillary(tmp_path / "maps")), "--pre_size", "64"]
    assert train.main([*run, *maps, "--result_dir", str(tmp_path / "run")]) == 0
    best = str(next((tmp_path / "run").glob("best_checkpoint_ep*.pth")))
    out = tmp_path / "auto"
    label(best, scenes / "leftImg8bit/train_extra", out, "--data_root", "/nowhere", "--threshold", "0")
    assert json.loads((out / "autolabels.json").read_text())["classes"][64] == "Class 64"
    words = [*run, "--result_dir", str(tmp_path / "student"), "--custom_coarse_prob", "0.5"]
    line = complain(train.main, [*words, "DATASET.CITYSCAPES_CUSTOMCOARSE", str(out)], capsys)
    assert str(out) in line and "65 other classes" in line and "'Class 0'" in line
    for split in ("train", "val"):
        shutil.copytree(scenes / "leftImg8bit/train_extra", tmp_path / "own" / split / "images")
        shutil.copytree(out, tmp_path / "own" / split / "labels")
    own = ["--dataset", "folder", "--data_root", str(tmp_path / "own"), "--result_dir", str(tmp_path / "third")]
    assert "65 other classes" in complain(train.main, [*run, *own], capsys)


@pytest.mark.slow
def test_damaged_record(run: list[str], labeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(labeled, tmp_path / "auto")
    (tmp_path / "auto/autolabels.json").write_text("{")
    words = [*run, "--result_dir", str(tmp_path / "student"), "--custom_coarse_prob", "0.5"]
    line = complain(train.main, [*words, "DATASET.CITYSCAPES_CUSTOMCOARSE", str(tmp_path / "auto")], capsys)
    assert "autolabels.json" in line


# --- parts ---------------------------------------------------------------------------------------------------------


def test_thresholds() -> None:
    spec = cityscapes.SPEC
    assert thresholds(["0.8"], spec) == [0.8] * 19
    assert thresholds(["road=0.95", "Traffic Light=0.5"], spec)[:8] == [0.95, 0.9, 0.9, 0.9, 0.9, 0.9, 0.5, 0.9]
    assert thresholds(["0.3", "bus=0"], spec)[14:17] == [0.3, 0.0, 0.3]
    for part in ("", "1.5", "road=", "road=high", "nan"):
        with pytest.raises(UserError, match="--threshold takes numbers from 0 to 1"):
            thresholds([part], spec)


def test_places() -> None:
    assert place("x/bonn/bonn_000000_000001_leftImg8bit") == "bonn/bonn_000000_000001_leftImg8bit"
    assert place("a/frame_000000_000001") == "a/frame_000000_000001"


def test_coverage_survives_a_torn_line(tmp_path: Path) -> None:
    first = Coverage(tmp_path, ("a", "b, c"), DistributedContext())
    first.add("x", np.array([3, 4]), np.array([1, 0]))
    first.add("y,z", np.array([5, 6]), np.array([5, 0]))
    with open(tmp_path / "coverage_0.csv", "a") as file:
        file.write("w,1,2,3,1")
    second = Coverage(tmp_path, ("a", "b, c"), DistributedContext())
    assert sorted(second.rows) == ["x", "y,z"] and not (tmp_path / "coverage_0.csv").exists()
    found = second.close(["x", "y,z"])
    assert [(one.name, one.predicted, one.kept, one.images) for one in found] == [("a", 8, 6, 2), ("b, c", 10, 0, 0)]
