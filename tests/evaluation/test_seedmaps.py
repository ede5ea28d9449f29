"""Pictures of seed pixels: arrows where the offsets lead, in the report and among the files, of such networks alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from runs import folder
from torch import Tensor

import train
from evaluation.sinks import EvalItem, Gallery, Images
from evaluation.sinks.seedmaps import NOTABLE, OUTPUTS, arrows, seed_pictures
from utils.contracts import DatasetSpec, Prediction
from utils.positions import in_units_of
from utils.visualize import heat

SPEC = DatasetSpec("test", ("road", "car"), ((128, 64, 128), (0, 0, 142)))
SIZE = 97, 193  # of the picture: 96 and 192 pixels from the first to the last


def maps(offset: tuple[float, float], confidence: float, size: tuple[int, int] = (25, 49)) -> dict[str, Tensor]:
    """A constant offset; the initial scores say road on the left and car on the right, those of the seeds only car."""
    right = (torch.arange(size[1]) >= size[1] // 2).float().expand(*size)
    return {
        "initial": torch.stack([1 - right, right]),
        "seed": torch.stack([torch.zeros(size), torch.ones(size)]),
        "offset": torch.tensor(offset).view(2, 1, 1).expand(2, *size),
        "confidence": torch.full((1, *size), confidence),
    }


def marked(picture: np.ndarray, ground: int = 0) -> np.ndarray:
    return (picture.astype(int) - ground).any(axis=2)


def single(row: int, column: int, offset: tuple[float, float], confidence: float = 0.9) -> np.ndarray:
    """Where something is drawn on black if only the map's pixel (row, column) is trusted."""
    found = maps(offset, 0.0)
    found["confidence"][0, row, column] = confidence
    return marked(arrows(np.zeros((*SIZE, 3), np.uint8), found["offset"], found["confidence"]))


@pytest.mark.parametrize("offset", [(0.25, 0.0), (0.0, -0.5), (-0.25, 0.25)])
def test_a_known_offset_is_an_arrow_from_its_pixel_to_its_seed(offset: tuple[float, float]) -> None:
    """Pixel (8, 24) of the grid is column 2, row 6 of the map; an offset of 1 is half of 192 columns or 96 rows."""
    x, y = 56, 56
    drawn = single(14, 14, offset)
    head = round(x + offset[0] * 96), round(y + offset[1] * 48)
    rows, columns = np.nonzero(drawn)
    assert drawn[y, x] and drawn[head[1], head[0]] and drawn[(y + head[1]) // 2, (x + head[0]) // 2]
    low, high = np.minimum((x, y), head), np.maximum((x, y), head)
    room = 6  # the arrow's tip and width
    assert columns.min() >= low[0] - room and columns.max() <= high[0] + room
    assert rows.min() >= low[1] - room and rows.max() <= high[1] + room
    near_head = drawn[head[1] - 5 : head[1] + 6, head[0] - 5 : head[0] + 6].sum()
    assert near_head > 1.3 * drawn[y - 5 : y + 6, x - 5 : x + 6].sum(), "the tip is at the seed"


def test_a_pixel_that_is_its_own_seed_is_a_dot_and_one_that_is_not_trusted_nothing() -> None:
    rows, columns = np.nonzero(single(14, 14, (0.0, 0.0)))
    assert abs(rows - 56).max() <= 2 and abs(columns - 56).max() <= 2 and len(rows) > 0
    assert not single(14, 14, (0.25, 0.0), NOTABLE - 0.01).any()
    assert single(14, 14, (0.25, 0.0), NOTABLE).any()


def test_a_seed_beyond_the_border_lies_on_it() -> None:
    drawn = single(14, 14, (2.0, 0.0))
    assert drawn[56, -1] and drawn[56, 120]
    assert not drawn[:40].any() and not drawn[72:].any()


def test_arrows_have_the_color_of_the_confidence_over_the_dimmed_image() -> None:
    image = np.full((*SIZE, 3), 200, np.uint8)
    found = maps((0.2, 0.0), 0.75)
    picture = arrows(np.full((450, 900, 3), 200, np.uint8), found["offset"], found["confidence"])
    colors, counts = np.unique(picture[marked(picture, 110)].reshape(-1, 3), axis=0, return_counts=True)
    assert colors[counts.argmax()].tolist() == heat(np.full((1, 1), 0.75))[0, 0].tolist()
    grid = arrows(image, found["offset"] * 0, found["confidence"])
    dots = cv2.connectedComponents(marked(grid, 110).astype(np.uint8))[0] - 1
    assert dots == 12 * 6, "16 pixels apart in a small picture"


def test_classes_before_and_after_and_nothing_of_other_networks() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    found = seed_pictures(image, maps((0.1, 0.0), 0.75), SPEC.palette)
    assert list(found) == ["arrows", "initial", "seed", "seed_confidence"]
    assert all(picture.shape == (*SIZE, 3) for picture in found.values())
    assert found["initial"][50, 10].tolist() == list(SPEC.palette[0])
    assert found["initial"][50, -10].tolist() == list(SPEC.palette[1])
    assert (found["seed"] == SPEC.palette[1]).all()
    assert (found["seed_confidence"] == heat(np.full((1, 1), 0.75))).all()
    assert seed_pictures(image, {"attn_05x": torch.zeros(1, 4, 4)}, SPEC.palette) == {}


def test_offsets_of_a_part_in_units_of_the_whole() -> None:
    """Eight pixels of 33 columns (of 32 between the first and the last) are eight of 129."""
    part = torch.tensor([2 * 8 / 32, 2 * 4 / 16]).view(1, 2, 1, 1).expand(1, 2, 17, 33)
    whole = in_units_of((65, 129), "offset", part)
    torch.testing.assert_close(whole[0, :, 0, 0], torch.tensor([2 * 8 / 128, 2 * 4 / 64]))
    assert in_units_of((65, 129), "confidence", part) is part


def item(extras: dict[str, Tensor]) -> EvalItem:
    classes = torch.zeros(SIZE, dtype=torch.uint8)
    image = np.zeros((*SIZE, 3), np.uint8)
    return EvalItem("a/one.png", image, np.zeros(SIZE, np.uint8), Prediction(classes, classes / 1, None, extras))


def captions(extras: dict[str, Tensor], single: str = "") -> list[str]:
    sink = Gallery(SPEC, extras=(*extras, *OUTPUTS), long_edge=96, single=single)
    sink.add(item(extras))
    (row,) = sink.results().rows
    shapes = {cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape for data in row.seeds.values()}
    assert shapes <= {(48, 96, 3)} and list(row.panels)[:4] == ["image", "truth", "prediction", "error"]
    return list(row.seeds)


def test_captions_say_of_which_scale_they_are() -> None:
    plain = ["arrows to the seeds", "initial", "seeds", "confidence in the seed"]
    found = maps((0.1, 0.0), 0.75)
    assert captions(found) == plain
    assert captions(found, "scale 0.5x") == [f"{caption}, scale 0.5x" for caption in plain]
    attention = {"attn_05x": torch.zeros(1, 4, 4)}
    assert captions(found | attention) == [f"{caption}, scales blended" for caption in plain]
    assert captions(attention) == captions({}) == []


def test_files_have_names_of_their_own(tmp_path: Path) -> None:
    found = maps((0.1, 0.0), 0.75)
    for where, extras in (("with", OUTPUTS), ("without", ())):
        Images(tmp_path / where, SPEC, 1, extras=extras).add(item(found))
    kinds = [{path.stem.removeprefix("a__one_") for path in (tmp_path / w).iterdir()} for w in ("with", "without")]
    assert kinds[0] - kinds[1] == {"arrows", "initial", "seed", "seed_confidence"} and kinds[1] < kinds[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch", [pytest.param("offset.HRNet", marks=pytest.mark.slow), "offset.HRNet_Mscale", "ocrnet.HRNet_Mscale"]
)
def test_the_report_of_a_network_with_offsets_shows_them(
    tiny_words: Callable[[Path, Path], list[str]], tiny_scenes: Path, tmp_path: Path, arch: str
) -> None:
    """Evaluated at two scales and mirrored, in tiles, with all pictures, and the label maps with their colors.

    Slow is what differs by the captions alone.
    """
    twin = ["MODEL.OCR_EXTRA.STAGE4_2.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE4_2.NUM_BLOCKS", "1,1,1,1"]
    words = [*tiny_words(tiny_scenes, tmp_path), "--arch", arch, *twin, "--max_epoch", "1"]
    if arch == "offset.HRNet":  # without attention, whose width this is
        place = words.index("--segattn_bot_ch")
        del words[place : place + 2]
    assert train.main(words) == 0
    seen = re.findall("<figcaption>([^<]*)", (folder(words) / "report.html").read_text())
    own = {"arrows to the seeds", "initial", "seeds", "confidence in the seed"}
    of = ", scales blended" if arch.endswith("_Mscale") else ""
    has = arch.startswith("offset.")
    assert {f"{caption}{of}" for caption in own} <= {*seen} if has else not [c for c in seen if "seed" in c]
    best = next(folder(words).glob("best_checkpoint_ep*.pth"))
    out = ["--eval", "val", "--snapshot", str(best), "--data_root", str(tiny_scenes), "--num_workers", "0"]
    out += ["--result_dir", str(tmp_path / "eval"), "--dump_palette", "--dump_assets", "--tile", "64"]
    assert train.main([*out, "--multi_scale_inference", "--extra_scales", "0.5", "--do_flip"]) == 0
    page = (tmp_path / "eval" / "report.html").read_text()
    assert ("initial, scale 1x" in page) == ("An arrow leads from a pixel to its seed" in page) == has
    names = {path.stem for path in (tmp_path / "eval" / "test_results").iterdir()}
    kinds = {path.stem.removeprefix(n) for n in names for path in (tmp_path / "eval" / "images").glob(f"{n}_*.png")}
    assert len(names) == 4 and ({"_arrows", "_initial", "_seed", "_seed_confidence"} <= kinds) == has
    for name in names:
        with Image.open(tmp_path / "eval" / "test_results" / f"{name}.png") as ids:
            assert ids.mode == "P" and set(np.unique(np.array(ids))) <= {*range(7, 34)}
            colors = np.array(ids.convert("RGB"))
        assert np.array_equal(colors, np.array(Image.open(tmp_path / "eval" / "images" / f"{name}_prediction.png")))
