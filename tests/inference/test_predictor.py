"""The Predictor: rules, batches of odd sizes, tiles, memory bounds, and what happens when memory runs out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden.fill import fill, image, labels
from torch import Tensor, nn

from evaluation.metrics import ConfusionMatrix
from inference import RULES, Predictor
from inference.memory import PeakTracker
from inference.rule import PLAIN, EvalRule, normalize, prepare
from inference.tiles import weights
from network.families import Family, Maps, Settings
from network.mscale import MultiScale
from runtime.tiles import starts
from utils.contracts import Prediction
from utils.errors import MemoryShortageError, UserError
from utils.progress import pieces_done

GOLDEN = Path(__file__).parents[1] / "golden" / "nvidia"
NVIDIA = RULES["nvidia"]


class Pointwise(nn.Module):
    """Looks at one pixel at a time, so that tiles cannot change anything."""

    def __init__(self, classes: int = 5, limit: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, classes, 1)
        self.limit = limit
        self.seen: list[tuple[int, ...]] = []
        self.kept: list[tuple[str, ...]] = []

    def forward(self, x: Tensor, keep: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        self.seen.append(tuple(x.shape))
        self.kept.append(tuple(keep or ()))
        if self.limit and x.shape[0] * x.shape[2] * x.shape[3] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        out = {"pred": self.conv(x), "attn_05x": x[:, :1].sigmoid(), "aux": x}
        return {k: v for k, v in out.items() if keep is None or k in keep}


class Columns(nn.Module):
    """Class 1 in the left half of the input, class 0 in the right, whatever is in the picture: not symmetric."""

    def forward(self, x: Tensor) -> Tensor:
        left = (torch.arange(x.shape[-1]) < x.shape[-1] // 2).float().expand(x.shape[0], 1, *x.shape[-2:])
        return torch.cat([1 - left, left * 3], 1)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def expected(net: Pointwise, picture: np.ndarray) -> Tensor:
    x = (torch.from_numpy(picture).permute(2, 0, 1) / 255 - torch.tensor(NVIDIA.mean).view(3, 1, 1)) / torch.tensor(
        NVIDIA.std
    ).view(3, 1, 1)
    return net.conv(x[None])[0]


def check(prediction: Prediction, logits: Tensor) -> None:
    assert prediction.classes.dtype == torch.uint8
    assert torch.equal(prediction.classes.long(), logits.argmax(0))
    torch.testing.assert_close(prediction.max_prob, logits.softmax(0).amax(0), rtol=1e-5, atol=1e-6)


def test_odd_sizes_keep_their_order_and_equal_ones_go_together() -> None:
    net = Pointwise()
    pictures = [photo(20, 30, 0), photo(17, 33, 1), photo(20, 30, 2)]
    got = Predictor(net, memory_bytes=1 << 30)(pictures, scores=True)
    for prediction, picture in zip(got, pictures, strict=True):
        logits = expected(net, picture)
        check(prediction, logits)
        assert prediction.scores is not None
        torch.testing.assert_close(prediction.scores, logits, rtol=1e-4, atol=1e-5)
    assert net.seen[1:] == [(2, 3, 20, 30), (1, 3, 17, 33)]  # the first pass is the measuring one
    assert set(net.kept) == {("pred",)}


def test_inputs_of_every_kind_agree() -> None:
    net, picture = Pointwise(), photo(9, 14)
    array = normalize(torch.from_numpy(picture).permute(2, 0, 1)[None], NVIDIA)[0]
    inputs = [picture, torch.from_numpy(picture), array, array.permute(1, 2, 0).numpy()]
    first, *others = Predictor(net)(inputs)
    assert all(torch.equal(first.classes, o.classes) for o in others)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), int)])
def test_wrong_images_are_named(bad: np.ndarray) -> None:
    with pytest.raises(UserError, match="has to be uint8 RGB") as caught:
        Predictor(Pointwise())([bad])
    assert not isinstance(caught.value, MemoryShortageError)  # for which a training leaves its validation out


def test_a_plain_callable_and_plain_tensors_are_enough() -> None:
    (got,) = Predictor(Columns())([photo(6, 8)])
    assert torch.equal(got.classes[0], torch.tensor([1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.uint8))
    (got,) = Predictor(lambda x: x * 2)([photo(6, 8)])
    assert got.classes.shape == (6, 8)


def test_the_mirror_image_is_averaged_after_turning_it_back() -> None:
    plain, flipped = (Predictor(Columns(), replace(NVIDIA, flip=f))([photo(4, 6)], scores=True)[0] for f in (0, 1))
    assert plain.scores is not None and flipped.scores is not None
    assert torch.equal(flipped.scores, (plain.scores + plain.scores.flip(-1)) / 2)
    assert not torch.equal(plain.scores, flipped.scores)


@pytest.mark.parametrize(
    ("flip", "vertical", "axes"),
    [(False, True, [(), (1,)]), (True, True, [(), (2,), (1,), (1, 2)]), (True, False, [(), (2,)])],
)
def test_mirror_images_of_both_axes(flip: bool, vertical: bool, axes: list[tuple[int, ...]]) -> None:
    """Classes go by the column and the row, so that every turn is another map."""

    def net(x: Tensor) -> Tensor:
        down, across = torch.arange(x.shape[2])[:, None] * 3.0, torch.arange(x.shape[3]) * 1.0
        return torch.stack([(down + across).square(), down - across])[None].expand(len(x), -1, -1, -1)

    rule = replace(NVIDIA, flip=flip, flip_vertical=vertical)
    plain, turned = (Predictor(net, r)([photo(4, 6)], scores=True)[0].scores for r in (NVIDIA, rule))
    assert plain is not None and turned is not None
    torch.testing.assert_close(turned, sum(plain.flip(a) for a in axes) / len(axes))


class OneLayer(Family):
    """Logits from each pixel alone; its red is the feature."""

    def maps(self, image: torch.Tensor) -> Maps:
        return Maps({"pred": self.inner(image)}, image[:, :1])


class Scaled(MultiScale):
    """Notes how its inputs are scaled."""

    def __init__(self) -> None:
        super().__init__(OneLayer(nn.Conv2d(3, 2, 1), Settings(2)), nn.Sigmoid(), scales=(0.5, 1.0))
        self.seen: list[bool] = []

    def forward(self, image: Tensor, *more: Any, **names: Any) -> Any:
        self.seen.append(self.use_given_scale_factor)
        return super().forward(image, *more, **names)


def test_the_rule_says_how_a_network_scales_its_input_and_only_while_it_predicts() -> None:
    net = Scaled()
    (exact,), (plain,) = (Predictor(net, RULES[name])([photo(9, 15)], scores=True) for name in ("paddle", "nvidia"))
    assert set(net.seen[: len(net.seen) // 2]) == {True} and set(net.seen[len(net.seen) // 2 :]) == {False}
    assert not net.use_given_scale_factor and net.training
    assert exact.scores is not None and plain.scores is not None and not torch.equal(exact.scores, plain.scores)


@pytest.mark.parametrize("average", ["logits", "probabilities", "exp"])
def test_what_is_averaged(average: str) -> None:
    net, picture = Pointwise(), photo(16, 24)
    rule = replace(NVIDIA, scales=(0.5, 1.0), average=average)
    (got,) = Predictor(net, rule)([picture], scores=True)
    x = normalize(torch.from_numpy(picture).permute(2, 0, 1)[None], NVIDIA)

    def up(y: Tensor) -> Tensor:
        return F.interpolate(y, size=(16, 24), mode="bilinear")

    small, full = net.conv(F.interpolate(x, size=(8, 12), mode="bilinear")), net.conv(x)
    want = {
        "logits": (up(small) + full) / 2,
        "probabilities": (up(small).softmax(1) + full.softmax(1)) / 2,
        "exp": (up(small.exp()) + full.exp()) / 2,
    }[average][0]
    assert got.scores is not None
    torch.testing.assert_close(got.scores, want, rtol=1e-4, atol=1e-5)
    share = want.softmax(0) if average == "logits" else want / want.sum(0)
    torch.testing.assert_close(got.max_prob, share.amax(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("rule", "size"), [("round", (52, 68)), ("floor", (52, 67)), ("half_up", (53, 68))])
def test_size_rules(rule: str, size: tuple[int, int]) -> None:
    assert EvalRule(size_rule=rule).scaled((105, 135), 0.5) == size  # 52.5 rounds to even, 67.5 up


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize("first", [True, False])
def test_host_resizers(backend: str, first: bool) -> None:
    images = torch.from_numpy(photo(20, 30)).permute(2, 0, 1)[None]
    rule = EvalRule(resize=backend, resize_first=first)  # type: ignore[arg-type]
    got = prepare(images, (40, 60), rule, torch.device("cpu"), torch.float32)
    want = prepare(images, (40, 60), NVIDIA, torch.device("cpu"), torch.float32)
    assert got.shape == (1, 3, 40, 60)
    error = (got - want).abs().max().item()  # one gray level is 1 / 255 / 0.225 = 0.017; fixed point rounds twice
    assert error < (0.04 if first else 2e-3)
    assert error > 1e-3 or not first


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "want"),
    [
        (10, 16, 0.25, [0]),
        (16, 16, 0.25, [0]),
        (17, 16, 0.25, [0, 1]),
        (40, 16, 0.25, [0, 12, 24]),
        (9, 4, 0, [0, 4, 5]),
    ],
)
def test_tiles_cover_an_axis_with_weights_that_add_up(length: int, tile: int, overlap: float, want: list[int]) -> None:
    assert starts(length, tile, overlap) == want
    total = torch.zeros(length)
    for start, weight in zip(want, weights(length, tile, overlap), strict=True):
        assert weight.min() > 0
        total[start : start + len(weight)] += weight
    torch.testing.assert_close(total, torch.ones(length))


@pytest.mark.parametrize("size", [(100, 150), (40, 200), (64, 64), (200, 40)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_tiles_equal_the_whole_image_for_a_pointwise_net(size: tuple[int, int], overlap: float) -> None:
    net, picture = Pointwise(), photo(*size)
    rules = (replace(NVIDIA, tile=tile, overlap=overlap) for tile in (0, 64))
    done = pieces_done()
    whole, tiled = (Predictor(net, rule)([picture], True, ["attn_05x"])[0] for rule in rules)
    assert torch.equal(tiled.classes, whole.classes)
    assert tiled.scores is not None and whole.scores is not None
    torch.testing.assert_close(tiled.scores, whole.scores)
    torch.testing.assert_close(tiled.extras["attn_05x"], whole.extras["attn_05x"])
    assert tiled.note == ("" if max(size) <= 64 else "tiles of 64x64")
    assert (pieces_done() > done + 1) == (max(size) > 64)  # who waits sees that this process is at work


class Shifted(nn.Module):
    """Seeds 8 columns to the right and 4 rows up, at a quarter of the resolution."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        small = F.avg_pool2d(x[:, :1], 4)
        offset = torch.tensor([2 * 8 / (x.shape[-1] - 1), -2 * 4 / (x.shape[-2] - 1)])
        return {"pred": x, "offset": offset.view(1, 2, 1, 1).expand(len(x), 2, *small.shape[-2:]), "confidence": small}


@pytest.mark.parametrize("parts", [{"tile": 64}, {"window": 64}, {"piece": (48, 64)}, {"tile": 80, "piece": (48, 64)}])
def test_offsets_from_parts_have_the_units_of_the_image(parts: dict[str, Any]) -> None:
    picture, where = photo(100, 152), ["offset", "confidence"]
    (whole,) = Predictor(Shifted())([picture], extras=where)
    (joined,) = Predictor(Shifted(), replace(NVIDIA, **parts))([picture], extras=where)
    assert whole.extras["offset"].shape == (2, 25, 38) and joined.extras["offset"].shape == (2, 100, 152)
    expected = torch.tensor([2 * 8 / 151, -2 * 4 / 99]).view(2, 1, 1)
    for got in (whole, joined):
        torch.testing.assert_close(got.extras["offset"], expected.expand_as(got.extras["offset"]))
    assert float((joined.extras["confidence"][:, ::4, ::4] - whole.extras["confidence"]).abs().mean()) < 0.5


def test_extras_are_the_asked_ones_and_each_scale() -> None:
    net = Pointwise()
    rule = replace(NVIDIA, scales=(1.0, 0.5), flip=True)
    (got,) = Predictor(net, rule)([photo(16, 24)], extras=["attn_05x", "nothing", "pred_05x"])
    assert got.scores is None
    assert {k: tuple(v.shape) for k, v in got.extras.items()} == {"attn_05x": (1, 16, 24), "pred_05x": (5, 16, 24)}


def test_a_memory_bound_is_held_and_told() -> None:
    lines: list[str] = []
    net, picture = Pointwise(19), photo(300, 500)
    with PeakTracker() as free:
        (whole,) = Predictor(net, replace(NVIDIA, flip=True), memory_bytes=1 << 30)([picture])
    bound = free.peak // 2
    predictor = Predictor(net, replace(NVIDIA, flip=True), memory_bytes=bound, log=lines.append)
    predictor([photo(64, 64)])  # the measuring pass has its own size
    with PeakTracker() as tracker:
        (got,) = predictor([picture])
    assert tracker.peak <= bound, "more was allocated than the bound"
    assert tracker.peak > bound / 8, "the estimate wastes most of the bound"
    assert torch.equal(got.classes, whole.classes) and whole.note == ""
    assert got.note.startswith("tiles of ") and "memory bound" in got.note
    assert lines == [f"images of 300x500: {got.note}"]


def test_a_batch_is_cut_where_memory_ends() -> None:
    net = Pointwise(19)
    with PeakTracker() as one:
        Predictor(net, memory_bytes=1 << 30)([photo(200, 200)])
    net.seen.clear()
    Predictor(net, memory_bytes=3 * one.peak)([photo(200, 200)] * 5)
    sizes = [shape[0] for shape in net.seen[1:]]
    assert sum(sizes) == 5 and 1 <= max(sizes) <= 3


@pytest.mark.parametrize("limit", [150 * 110, 100 * 100, 64 * 64])
def test_out_of_memory_halves_the_tiles_until_it_goes(limit: int) -> None:
    lines: list[str] = []
    net, picture = Pointwise(limit=0), photo(256, 400)
    (want,) = Predictor(net)([picture])
    net.limit = max(limit, 128 * 128 if limit > 100 * 100 else limit)
    predictor = Predictor(net, memory_bytes=1 << 30, log=lines.append)
    predictor._cost = lambda ask: None  # type: ignore[method-assign]  # no estimate: whole images are tried first
    got, again = predictor([picture, picture])
    tile = int(got.note.split("x")[-1].split()[0])
    assert got.note == f"tiles of {tile}x{tile} after out of memory" == again.note
    assert tile * tile <= net.limit < 4 * tile * tile * 4
    assert torch.equal(got.classes, want.classes) and torch.equal(again.classes, want.classes)
    torch.testing.assert_close(got.max_prob, want.max_prob)
    assert lines[0].startswith("out of memory with 2 images") and lines[-1].endswith(got.note)
    tries = len(net.seen)
    predictor([picture])
    assert all(shape[2] <= tile for shape in net.seen[tries:]), "what was learned is not tried again"


def test_a_batch_that_there_is_no_memory_for_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """To lay images together takes memory as well."""
    images, stack = [np.full((16, 16, 3), value, np.uint8) for value in (0, 99)], torch.stack

    def narrow(parts: list[torch.Tensor]) -> torch.Tensor:
        if len(parts) > 1:
            raise MemoryError
        return stack(parts)

    monkeypatch.setattr(torch, "stack", narrow)
    got = Predictor(Pointwise())(images)
    monkeypatch.undo()
    assert [one.classes.tolist() for one in got] == [one.classes.tolist() for one in Predictor(Pointwise())(images)]


def test_out_of_memory_at_the_smallest_tile_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"out of memory on cpu even with 64x64 pixels"):
        predictor = Predictor(Pointwise(limit=1000))
        predictor._cost = lambda ask: None  # type: ignore[method-assign]
        predictor([photo(200, 300)])


def test_other_errors_pass_through() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Predictor(broken)([photo(8, 8)])


def test_training_mode_is_restored_module_by_module() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
    net.train()
    net[0].eval()  # a frozen norm
    before = net[0].running_mean.clone()
    Predictor(net)([photo(8, 8)])
    assert [m.training for m in net.modules()] == [True, False, True]
    assert torch.equal(net[0].running_mean, before)
    assert next(net.parameters()).requires_grad


def test_half_precision_and_channels_last_stay_close() -> None:
    net, picture = Pointwise(), photo(32, 48)
    (want,) = Predictor(net)([picture])
    last = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    (got,) = Predictor(last, autocast=torch.bfloat16)([picture], scores=True)
    assert got.scores is not None and got.scores.dtype == torch.float32 and got.max_prob.dtype == torch.float32
    assert (got.classes == want.classes).float().mean() > 0.97
    (got,) = Predictor(net.to(torch.bfloat16))([picture], scores=True)
    assert got.scores is not None and got.scores.dtype == torch.float32


def golden_net() -> nn.Module:
    """basic.HRNet at full width, without an initialization that would be overwritten."""
    import config
    import network

    with torch.device("meta"):
        net = network.build(config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes"]))
    state = {k: torch.from_numpy(np.array(fill(k, v.shape))) for k, v in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    return net


CASES = {
    "plain": NVIDIA,
    "flip": replace(NVIDIA, flip=True),
    "scales": replace(NVIDIA, scales=(1.0, 0.5, 2.0)),
    "scales_flip": replace(NVIDIA, scales=(1.0, 0.5, 1.5), flip=True),
    "half": replace(NVIDIA, scales=(0.5,)),
}


@pytest.mark.slow
def test_inference_meets_the_golden_file() -> None:
    meta = json.loads((GOLDEN / "inference.json").read_text())
    want = np.load(GOLDEN / "inference.npz")
    net = golden_net()
    x = torch.from_numpy(image(meta["input_name"], meta["input_shape"]))
    label = labels("inference", (1, 104, 136), 19)[0]
    for name, rule in CASES.items():
        (got,) = Predictor(net, rule)([x[0]], scores=True)
        confidence, classes = want[f"{name}.confidence"][0], want[f"{name}.prediction"][0]
        assert np.abs(got.max_prob.numpy() - confidence).max() <= 1e-4 * confidence.max(), name
        assert (got.classes.numpy() == classes).mean() >= 0.999, name
        assert got.scores is not None
        loss = F.cross_entropy(got.scores[None], torch.from_numpy(label)[None], ignore_index=255).item()
        assert loss == pytest.approx(meta["cases"][name]["val_loss"], rel=1e-4), name
        wrong = (got.classes.numpy() != label) & (label != 255)
        packed = np.unpackbits(want[f"{name}.error_mask_packed"])[: wrong.size].reshape(wrong.shape)
        assert (wrong == packed).mean() >= 0.999, name
        confusion = ConfusionMatrix(19)
        confusion.update(got.classes, label)
        assert np.array_equal(confusion.counts.numpy(), want[f"{name}.confusion"]), name


@pytest.mark.parametrize("average", ["logits", "probabilities", "exp"])
def test_a_temperature_divides_averaged_logits_and_leaves_classes(average: str) -> None:
    """Of probabilities the averaged ones' logarithm; 1 changes nothing, not in the last bit."""
    rule = replace(PLAIN, average=average, flip=True, scales=(0.5, 1.0))
    net, image = Pointwise(), photo(20, 30)
    (plain,), (same,), (cooled,) = (
        Predictor(net, rule, temperature=t)([image], scores=True) for t in (1.0, 1.0, 2.5)
    )  # fmt: skip
    assert torch.equal(plain.classes, cooled.classes) and torch.equal(plain.max_prob, same.max_prob)
    assert plain.scores is not None
    logits = plain.scores if average == "logits" else plain.scores.log()
    for found, temperature in ((plain, 1.0), (cooled, 2.5)):
        wanted = (logits / temperature).softmax(0).max(0).values
        assert torch.allclose(found.max_prob, wanted, atol=1e-5)
    assert (cooled.max_prob < plain.max_prob).all()
    (tiled,) = Predictor(net, replace(rule, tile=16), temperature=2.5)([image])
    assert (tiled.max_prob < plain.max_prob.max()).all()
