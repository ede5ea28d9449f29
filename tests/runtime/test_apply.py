"""Pictures of any size through files of one size and of any: whole, in tiles, enlarged; what is said of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from onnxfiles import OneLayer, facts

from inference import Predictor
from inference.rule import PLAIN, EvalRule, normalize
from runtime.apply import Applied, enlarged, given
from runtime.facts import Facts
from runtime.files import Runner
from utils.errors import MemoryShortageError, UserError

PICTURE = np.random.default_rng(0).integers(0, 256, (150, 201, 3), np.uint8)


def runner(says: Facts, seen: list[tuple[int, ...]] | None = None) -> Runner:
    """What the file of `OneLayer` computes, by torch; `seen` takes the shapes of its inputs."""
    net = OneLayer().eval()

    def run(image: np.ndarray) -> list[np.ndarray]:
        if seen is not None:
            seen.append(image.shape)
        x = torch.from_numpy(image)
        x = normalize(x.permute(0, 3, 1, 2), PLAIN) if says.raw else x
        with torch.inference_mode():
            scores = net(x)["pred"]
        if says.output == "argmax":
            return [scores.argmax(1).to(torch.int32).numpy()]
        return [(scores.softmax(1) if says.output == "softmax" else scores).numpy()]

    return run


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.mark.parametrize("tile", [0, 96])
@pytest.mark.parametrize("raw", [True, False])
def test_the_predictors_masks(tile: int, raw: bool, lines: list[str]) -> None:
    (wanted,) = Predictor(OneLayer().eval(), EvalRule(tile=tile))([PICTURE])
    says = facts(raw=raw)
    found = Applied(runner(says), says, lines.append, tile, confident=True)(PICTURE)
    assert len(np.unique(found.classes)) > 3
    assert np.array_equal(found.classes, wanted.classes.numpy())
    assert found.max_prob is not None
    np.testing.assert_allclose(found.max_prob, wanted.max_prob.numpy(), atol=1e-5)
    assert lines == ([f"pictures of 150x201: in tiles of {tile}x{tile}, blended"] if tile else [])


@pytest.mark.parametrize("tile", [0, 96])
def test_probabilities(tile: int, lines: list[str]) -> None:
    (wanted,) = Predictor(OneLayer().eval(), EvalRule(tile=tile, average="probabilities"))([PICTURE])
    says = facts("softmax")
    found = Applied(runner(says), says, lines.append, tile, confident=True)(PICTURE)
    assert np.array_equal(found.classes, wanted.classes.numpy()) and found.max_prob is not None
    np.testing.assert_allclose(found.max_prob, wanted.max_prob.numpy(), atol=1e-5)


def test_classes_of_tiles_are_those_of_the_heavier(lines: list[str]) -> None:
    whole = Applied(runner(facts()), facts(), lines.append)(PICTURE).classes
    found = Applied(runner(facts("argmax")), facts("argmax"), lines.append, 96)(PICTURE)
    assert found.max_prob is None and found.classes.dtype == np.uint8
    differ = found.classes != whole  # where a tile ends, and the layer misses what lies behind
    assert differ.mean() < 0.02
    assert lines == ["pictures of 150x201: in tiles of 96x96, where they overlap the class of the weightier counts"]


def test_a_file_of_one_size(lines: list[str]) -> None:
    """Larger pictures in tiles of that size; smaller ones are enlarged until they cover it; its own size as it is."""
    says, seen = facts(size=(64, 96)), list[tuple[int, ...]]()
    applied = Applied(runner(says, seen), says, lines.append)
    assert applied(PICTURE[:64, :96]).classes.shape == (64, 96) and len(seen) == 1 and lines == []
    assert applied(PICTURE).classes.shape == (150, 201)
    small = applied(PICTURE[:40, :48]).classes
    assert small.shape == (40, 48)
    assert {*seen} == {(1, 64, 96, 3)}
    assert lines == [
        "pictures of 150x201: in tiles of 64x96, blended",
        "pictures of 40x48: enlarged to 80x96, since the file takes 64x96 at least",
        "pictures of 80x96: in tiles of 64x96, blended",
    ]


@pytest.mark.parametrize(
    ("size", "least", "wanted"),
    [
        ((100, 200), (64, 64), (100, 200)),
        ((32, 200), (64, 64), (64, 400)),
        ((375, 1242), (512, 1024), (512, 1696)),
        ((1, 1), (64, 96), (96, 96)),
    ],
)
def test_enlarged_until_it_covers(size: tuple[int, int], least: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert enlarged(size, least) == wanted


def limited(most: int) -> Callable[[Facts], Runner]:
    """A runner that runs out of memory beyond so many pixels, as ONNX Runtime says it."""

    def made(says: Facts) -> Runner:
        run = runner(says)

        def bounded(image: np.ndarray) -> list[np.ndarray]:
            if image.shape[1] * image.shape[2] > most:
                raise RuntimeError("Non-zero status code returned: std::bad_alloc")
            return run(image)

        return bounded

    return made


def test_tiles_where_memory_runs_out(lines: list[str]) -> None:
    says = facts()
    found = Applied(limited(100 * 100)(says), says, lines.append)(PICTURE)
    assert lines[0] == "out of memory: tiles of 96x96 from here on"
    assert np.array_equal(found.classes, Applied(runner(says), says, lines.append, 96)(PICTURE).classes)
    with pytest.raises(MemoryShortageError, match="out of memory with 64x64 pixels"):
        Applied(limited(1000)(says), says, lines.append)(PICTURE)


def test_other_errors_of_a_runtime_stay(lines: list[str]) -> None:
    def broken(image: np.ndarray) -> list[np.ndarray]:
        raise RuntimeError("no such operator")

    with pytest.raises(RuntimeError, match="no such operator"):
        Applied(broken, facts(), lines.append)(PICTURE)


@pytest.mark.parametrize(
    ("output", "shape", "message"),
    [
        (
            "logits",
            (1, 5, 150, 201),
            r"gives \(5, 150, 201\) in place of \(19, 150, 201\), and says that it has 19 classes",
        ),
        ("argmax", (1, 75, 101), r"gives \(75, 101\) in place of \(150, 201\)"),
        ("argmax", (1, 150, 201), "gives class 19, and says that it has 19 classes"),
    ],
)
def test_a_file_that_gives_other_than_it_says(
    output: str, shape: tuple[int, ...], message: str, lines: list[str]
) -> None:
    with pytest.raises(UserError, match=message):
        Applied(lambda image: [np.full(shape, 19)], facts(output), lines.append)(PICTURE)


def test_normalized_as_torch_does() -> None:
    wanted = normalize(torch.from_numpy(PICTURE).permute(2, 0, 1)[None], PLAIN).numpy()
    assert np.array_equal(given(PICTURE, facts(raw=False)), wanted)
    assert np.array_equal(given(PICTURE[:, ::2], facts())[0], PICTURE[:, ::2])
