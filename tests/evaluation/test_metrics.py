"""Counts and scores: cases by hand, the golden file, and the official Cityscapes evaluation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import labels
from torch._subclasses.fake_tensor import FakeTensorMode

from evaluation.metrics import ConfusionMatrix, Scores, format_table
from utils.distributed import DistributedContext

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "nvidia" / "metrics.json").read_text())
KINDS = [np.uint8, np.int64]  # two ways of counting


def counted(pred: object, label: object, k: int = 2, kind: type = np.int64, ignore: int = 255) -> ConfusionMatrix:
    matrix = ConfusionMatrix(k, ignore)
    matrix.update(np.asarray(pred, kind), np.asarray(label, kind))
    return matrix


@pytest.mark.parametrize("kind", KINDS)
def test_an_asymmetric_case_by_hand(kind: type) -> None:
    # Of four 0s one is called 1; of two 1s none is called 0; one pixel is ignored.
    label = [[0, 0, 0, 0], [1, 1, 255, 255]]
    pred = [[0, 0, 0, 1], [1, 1, 0, 1]]
    matrix = counted(pred, label, kind=kind)
    assert matrix.counts.tolist() == [[3, 1], [0, 2]] and matrix.counts.dtype == torch.int64
    scores = matrix.scores()
    assert scores.iou.tolist() == [3 / 4, 2 / 3]
    assert scores.precision.tolist() == [1.0, 2 / 3]
    assert scores.recall.tolist() == [3 / 4, 1.0]
    assert scores.share.tolist() == [4 / 6, 2 / 6]
    assert (scores.fn.tolist(), scores.fp.tolist()) == ([1, 0], [0, 1])
    assert scores.acc == 5 / 6 and scores.acc_cls == 7 / 8 and scores.errors == 1 and scores.pixels == 6
    assert scores.fwavacc == pytest.approx(4 / 6 * 3 / 4 + 2 / 6 * 2 / 3)


def arrays(case: dict) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth from the recipe in the golden file."""
    name = {"cityscapes": "metrics", "absent_classes": "metrics_absent", "mapillary": "metrics65"}[case["name"]]
    k, ignore, shape = case["num_classes"], case["ignore"], (1 if case["num_classes"] == 65 else 2, 128, 256)
    truth = labels(f"{name}.gt", shape, k, ignore)
    other, keep = labels(f"{name}.pred", shape, k, 0), labels(f"{name}.keep", shape, 3, 0)
    pred = np.where((keep == 0) | (truth == ignore), other, truth)
    if case["name"] == "absent_classes":
        truth[np.isin(truth, [16, 17])] = 255
        pred[np.isin(pred, [16, 17])] = 18
    return pred, truth


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_numbers(name: str, kind: type) -> None:
    want = GOLDEN[name]
    matrix = ConfusionMatrix(want["num_classes"], want["ignore"])
    for pred, truth in zip(*arrays(want | {"name": name}), strict=True):
        matrix.update(pred.astype(kind), truth.astype(kind))
    assert matrix.counts.tolist() == want["confusion"]
    scores = matrix.scores()
    iou = [math.nan if v is None else v for v in want["iou"]]
    np.testing.assert_allclose(scores.iou, iou, rtol=1e-9)
    for key in ("mean_iu", "acc", "acc_cls", "fwavacc"):
        assert getattr(scores, key) == pytest.approx(want[key], rel=1e-9), key
    per_image = want["metrics_per_image"]  # false positives and negatives have each other's names there
    assert scores.fn.tolist() == per_image["fp"] and scores.fp.tolist() == per_image["fn"]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_table_with_precision_and_recall_exchanged(name: str) -> None:
    table = GOLDEN[name]["printed_table"]
    assert table["header"] == ["Id", "label", "iU_1.0", "TP", "FP", "FN", "Precision", "Recall"]
    scores = Scores.of(np.array(GOLDEN[name]["confusion"]))
    for number, _, iou, tp, _, _, precision, recall in table["rows"]:
        got = [100 * scores.iou[number], 100 * scores.tp[number] / scores.pixels]
        got += [scores.recall[number], scores.precision[number]]
        want = [math.nan if v is None else v for v in (iou, tp, precision, recall)]
        for g, w in zip(got, want, strict=True):
            assert (math.isnan(g) and (math.isnan(w) or w == 0)) or g == pytest.approx(w, rel=1e-9), (number, got, want)


def test_the_published_scores_of_scene_parsing() -> None:
    """IoU of all classes, absent ones 0; predictions where there is no truth count nowhere."""
    want = np.load(Path(__file__).parents[1] / "golden" / "csail" / "csail_losses.npz")
    matrix, images = ConfusionMatrix(150), zip(want["metric_pred"], want["labels"], strict=True)
    for pred, label in images:
        matrix.update(pred.astype(np.uint8), np.where(label < 0, 255, label).astype(np.uint8))
    scores = matrix.scores()
    assert scores.tp.tolist() == want["metric_intersection"].tolist()
    assert (scores.tp + scores.fn + scores.fp).tolist() == want["metric_union"].tolist()
    np.testing.assert_allclose(np.nan_to_num(scores.iou), want["metric_iou"], rtol=1e-9)
    assert scores.mean_iu_all == pytest.approx(float(want["metric_miou"]), rel=1e-9)
    assert scores.acc == pytest.approx(float(want["metric_acc"]), rel=1e-9) and scores.pixels == want["metric_pix"]
    assert scores.overall == pytest.approx(float(want["metric_miou"] + want["metric_acc"]) / 2, rel=1e-9)


def test_two_means_of_a_class_that_is_absent() -> None:
    scores = counted([[0, 0, 1, 1]], [[0, 0, 1, 0]], k=4).scores()
    assert scores.mean_iu == pytest.approx((2 / 3 + 1 / 2) / 2) and scores.mean_iu_all == pytest.approx(7 / 6 / 4)
    assert scores.overall == pytest.approx((7 / 6 / 4 + 3 / 4) / 2)
    assert scores.summary().keys() >= {"mean_iu", "acc", "mean_iu_all", "overall"}
    table = format_table(scores, ["a", "b", "c", "d"]).splitlines()
    assert table[-2].split("  ")[0] == "mean IoU, absent = 0" and table[-2].split()[-1] == "29.17"
    assert table[-1].startswith("overall score") and "52.08  (mean of pixel accuracy and" in table[-1]
    assert math.isnan(counted([[0]], [[255]]).scores().mean_iu_all)


def test_update_returns_the_image_alone_and_adds() -> None:
    a = ConfusionMatrix(3)
    one = a.update(np.array([[0, 1]], np.uint8), np.array([[0, 2]], np.uint8))
    two = a.update(torch.tensor([[2, 2]], dtype=torch.uint8), torch.tensor([[2, 255]]))
    assert one.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]] and two.tolist() == [[0] * 3, [0] * 3, [0, 0, 1]]
    assert torch.equal(a.counts, one + two)


def test_ranks_are_summed_once() -> None:
    class Double(DistributedContext):
        def sum(self, value: torch.Tensor) -> torch.Tensor:
            return 2 * value

    matrix = counted([[0, 1]], [[0, 0]])
    matrix.reduce(Double())
    assert matrix.counts.tolist() == [[2, 2], [0, 0]]
    with pytest.raises(AssertionError, match="already"):
        matrix.reduce(Double())
    with pytest.raises(AssertionError, match="already"):
        matrix.update(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_large_counts_stay_exact(kind: type) -> None:
    size = (4097, 4097)  # more than 2 ** 24 pixels of one kind: float32 would round
    matrix = counted(np.zeros(size, kind), np.zeros(size, kind), kind=kind)
    assert matrix.counts[0, 0].item() == 4097 * 4097
    matrix._rows[0, 1] = 2**53 + 1
    assert matrix.counts[0, 1].item() == 2**53 + 1


@pytest.mark.parametrize("kind", KINDS)
def test_stray_labels_and_wrong_sizes_are_errors(kind: type) -> None:
    with pytest.raises(ValueError, match="2 pixels with a label that is neither in 0..1 nor"):
        _ = counted([[0, 0, 1]], [[0, 7, 2]], kind=kind).counts
    with pytest.raises(ValueError, match="differ in size"):
        counted([[0, 1]], [[0], [1]], kind=kind)
    assert counted([[0, 1]], [[2, 1]], kind=kind, ignore=2).counts.tolist() == [[0, 0], [0, 1]]


def test_nothing_counted_is_undefined_not_zero() -> None:
    scores = Scores.of(np.zeros((2, 2), np.int64))
    assert all(math.isnan(v) for v in scores.summary().values())
    assert np.isnan(scores.share).all() and np.isnan(scores.normalized()).all()
    absent = Scores.of(
        np.array([[4, 0, 0], [0, 0, 2], [0, 0, 0]])
    )  # class 2 is only predicted: IoU 0, recall undefined
    assert absent.iou.tolist() == [1, 0, 0] and math.isnan(absent.recall[2]) and math.isnan(absent.precision[1])


def test_categories_take_their_classes_as_one() -> None:
    # a, b are of one category: confusing them is no error there.
    scores = Scores.of(np.array([[5, 3, 1], [0, 4, 0], [2, 0, 6]]), ("things", "things", "stuff"))
    assert scores.category_iou == {"things": 12 / 15, "stuff": 6 / 9}
    assert scores.mean_category_iou == pytest.approx((12 / 15 + 6 / 9) / 2)


def test_table_text() -> None:
    text = format_table(Scores.of(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])), ["road", "traffic light", "train"])
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["class", "IoU", "precision", "recall", "share", "TP", "FP", "FN"]
    assert lines[2] == ["road", "75.00", "100.00", "75.00", "66.67", "50.00", "0.00", "16.67"]
    assert lines[3] == ["traffic", "light", "66.67", "66.67", "100.00", "33.33", "33.33", "16.67", "0.00"]
    assert lines[4] == ["train", "-", "-", "-", "0.00", "0.00", "0.00", "0.00"]
    assert ["mean", "IoU", "70.83"] in lines


def test_the_official_cityscapes_evaluation_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Class and category IoU on the same predictions, with void pixels of every kind in the truth."""
    pytest.importorskip("cityscapesscripts", reason="cityscapesscripts is not installed")
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
    from cityscapesscripts.helpers.labels import labels as table
    from cityscapesscripts.helpers.labels import trainId2label

    from utils.files import write_file
    from utils.visualize import encode_png

    to_train = np.full(256, 255, np.uint8)
    for entry in table:
        if entry.id >= 0 and not entry.ignoreInEval:
            to_train[entry.id] = entry.trainId
    to_id = np.array([trainId2label[k].id for k in range(19)], np.uint8)
    categories = tuple(trainId2label[k].category for k in range(19))
    matrix, rng = ConfusionMatrix(19), np.random.default_rng(0)
    truths, predictions = [], []
    for number in range(3):
        ids = rng.integers(0, 34, (20, 40)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        ids[ids == 31] = 26  # no train in the truth: predicted trains alone
        guess = rng.integers(0, 19, (20, 40)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        pred = np.where((rng.random(ids.shape) < 0.6) & (to_train[ids] != 255), to_train[ids], guess)
        matrix.update(pred, to_train[ids])
        stem = f"aachen_{number:06d}_000019"
        truths.append(str(tmp_path / "gt" / f"{stem}_gtFine_labelIds.png"))
        predictions.append(str(tmp_path / "pred" / f"{stem}_leftImg8bit.png"))
        write_file(Path(truths[-1]), encode_png(ids))
        write_file(Path(predictions[-1]), encode_png(to_id[pred]))
    for key, value in {"quiet": True, "JSONOutput": False, "evalInstLevelScore": False}.items():
        monkeypatch.setattr(official.args, key, value)
    want = official.evaluateImgLists(predictions, truths, official.args)
    scores = matrix.scores(categories)
    for k in range(19):
        assert scores.iou[k] == pytest.approx(want["classScores"][trainId2label[k].name], rel=1e-12, nan_ok=True)
    for name, iou in scores.category_iou.items():
        assert iou == pytest.approx(want["categoryScores"][name], rel=1e-12)
    assert scores.mean_iu == pytest.approx(want["averageScoreClasses"], rel=1e-12)
    assert scores.mean_category_iou == pytest.approx(want["averageScoreCategories"], rel=1e-12)


def test_the_host_waits_for_no_image_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """On fake tensors every look at a value of the device is an error; the counts are those of the host."""
    rng = np.random.default_rng(0)
    pred, label = rng.integers(0, 3, (9, 14), np.uint8), rng.choice(np.array([0, 1, 2, 7, 255], np.uint8), (9, 14))
    host = ConfusionMatrix(3)
    host.update(pred, label)
    plain = ConfusionMatrix(3)
    monkeypatch.setattr(plain, "_histogram", plain._scattered)
    plain.update(pred, label)
    assert torch.equal(host._rows, plain._rows)
    with FakeTensorMode(allow_non_fake_inputs=True):
        on_device = ConfusionMatrix(3, device="cuda")
        classes = torch.empty(9, 14, dtype=torch.uint8, device="cuda")
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: values)
        assert on_device.update(classes, torch.empty(9, 14, dtype=torch.uint8)).device.type == "cuda"
