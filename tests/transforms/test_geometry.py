"""Geometry by eye on small arrays, and the coordinate test: cropping before resizing shows the same pixels."""

import random

import numpy as np
import pytest
from PIL import Image

from transforms.geometry import (
    LabelStride,
    RandomFlip,
    RandomScaleCrop,
    Window,
    _Span,
    cut_image,
    cut_label,
    draw_offset,
)
from utils.contracts import Sample

LABEL = np.arange(24, dtype=np.uint8).reshape(4, 6)
IMAGE = np.stack([LABEL, LABEL + 100, 255 - LABEL], -1)


def sample(center: tuple[int, int] | None = None) -> Sample:
    return Sample(IMAGE.copy(), LABEL.copy(), "eye", (4, 6), center)


def test_cut_inside_by_eye() -> None:
    window = Window((4, 6), (1, 2), (2, 3))
    assert cut_label(LABEL, window, 255).tolist() == [[8, 9, 10], [14, 15, 16]]
    assert cut_image(IMAGE, window, (1, 2, 3))[..., 0].tolist() == [[8, 9, 10], [14, 15, 16]]


def test_padding_by_eye() -> None:
    window = Window((4, 6), (-1, 4), (3, 4))
    assert cut_label(LABEL, window, 255).tolist() == [[255] * 4, [4, 5, 255, 255], [10, 11, 255, 255]]
    image = cut_image(IMAGE, window, (1, 2, 3))
    assert image[1:, :2, 0].tolist() == [[4, 5], [10, 11]] and image[0].tolist() == [[1, 2, 3]] * 4
    assert image[2, 3].tolist() == [1, 2, 3]
    assert (cut_image(IMAGE.astype(np.float32), window, (1, 2, 3))[0] == 0).all()


def test_double_and_half_size_labels_by_eye() -> None:
    double = cut_label(LABEL, Window((8, 12), (2, 4), (2, 4)), 255)
    assert double.tolist() == [[8, 8, 9, 9], [8, 8, 9, 9]]
    assert cut_label(LABEL, Window((2, 3), (0, 0), (2, 3)), 255).tolist() == [[7, 9, 11], [19, 21, 23]]


def test_flip_by_eye() -> None:
    flipped = RandomFlip(p=1.0)(sample(), random.Random(0))
    assert flipped.label is not None
    assert flipped.label[0].tolist() == [5, 4, 3, 2, 1, 0] == flipped.image[0, :, 0].tolist()
    assert RandomFlip(p=0.0)(sample(), random.Random(0)).image[0, 0, 0] == 0
    flips = sum(RandomFlip()(sample(), random.Random(i)).image[0, 0, 0] == 5 for i in range(200))
    assert 70 < flips < 130


def test_label_stride_by_eye() -> None:
    strided = LabelStride(2)(sample(), random.Random(0))
    assert strided.label is not None and strided.label.tolist() == [[7, 9, 11], [19, 21, 23]]
    assert strided.image.shape == (4, 6, 3)


def test_offsets_without_a_center_cover_all_positions() -> None:
    seen = {draw_offset(10, 6, None, False, random.Random(i)) for i in range(200)}
    assert seen == {0, 1, 2, 3, 4}
    assert draw_offset(6, 6, None, False, random.Random(0)) == 0


def test_offsets_cover_the_center() -> None:
    for center in (0, 3, 9):
        seen = {draw_offset(10, 6, center, False, random.Random(i)) for i in range(300)}
        assert seen == {min(4, max(0, x)) for x in range(center - 6, center + 1)}


def test_small_images_are_padded_evenly_or_slide() -> None:
    even = {draw_offset(6, 10, None, False, random.Random(i)) for i in range(200)}
    assert even == {-3, -2, -1}  # 4 missing: 3 on both sides, then any of the crops
    assert {draw_offset(6, 10, None, True, random.Random(i)) for i in range(300)} == {-4, -3, -2, -1, 0}


def coordinates(height: int, width: int) -> np.ndarray:
    """An image whose value at each pixel is its own (x, y), a float image so that nothing is rounded."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y, np.zeros_like(x)], -1)


@pytest.mark.parametrize("seed", range(12))
def test_crop_first_agrees_with_resize_first(seed: int) -> None:
    """Against the plain order: resize the whole image by Pillow, pad, crop."""
    rng = random.Random(seed)
    height, width = rng.randint(60, 140), rng.randint(60, 140)
    step = RandomScaleCrop((72, 96), 0.5, 2.0, pre_size=rng.choice((0, 110)), slide=seed % 2 == 1, fill=(9, 8, 7))
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    label = np.random.default_rng(seed).integers(0, 19, (height, width), dtype=np.uint8)
    window = step.draw(Sample(pixels, label, "", (height, width)), rng)

    def resize_first(array: np.ndarray, how: Image.Resampling, fill: float) -> np.ndarray:
        size = (window.whole[1], window.whole[0])
        planes = array if array.ndim == 3 else array[..., None]
        whole = np.stack([np.asarray(Image.fromarray(p).resize(size, how)) for p in planes.transpose(2, 0, 1)], -1)
        margin = 200
        padded = np.pad(whole, ((margin, margin), (margin, margin), (0, 0)), constant_values=fill)
        top, left = window.offset[0] + margin, window.offset[1] + margin
        return padded[top : top + 72, left : left + 96]

    inside = cut_label(np.zeros_like(label), window, 255) == 0
    ours = cut_image(coordinates(height, width), window, (0, 0, 0))
    reference = resize_first(coordinates(height, width), Image.Resampling.BICUBIC, 0)
    assert np.abs(ours - reference)[inside].max() < 0.55  # source pixels
    assert window.whole != (height, width) or (ours == reference)[inside].all()
    smooth = np.asarray(Image.fromarray(pixels[::20, ::20]).resize((width, height), Image.Resampling.BICUBIC))
    theirs = resize_first(smooth, Image.Resampling.BICUBIC, 0).astype(int)
    assert np.abs(cut_image(smooth, window, (0, 0, 0)).astype(int) - theirs)[inside].mean() < 3
    for axis, place in enumerate((coordinates(height, width)[..., 1], coordinates(height, width)[..., 0])):
        nearest = resize_first(place, Image.Resampling.NEAREST, 0)[..., 0]
        found = cut_label(place, window, 0)
        assert np.abs(found - nearest)[inside].max() <= 1, axis
        # The label of a pixel is that of the place which the image shows there.
        assert np.abs(found - ours[..., 1 - axis])[inside].max() < 0.6 + 0.5 * max(1, height / window.whole[0])


def test_labels_are_the_same_whichever_axis_is_cut_first() -> None:
    label = np.arange(50 * 70, dtype=np.uint16).reshape(50, 70)
    for seed in range(40):
        rng = random.Random(seed)
        whole = (rng.randint(20, 120), rng.randint(20, 120))
        window = Window(whole, (rng.randint(-3, whole[0] - 10), rng.randint(-3, whole[1] - 10)), (16, 12))
        rows, columns = (_Span.of(window, label.shape, axis).nearest() for axis in (0, 1))
        place = np.s_[window.place(0), window.place(1)]
        assert np.array_equal(cut_label(label, window, 9)[place], label[np.ix_(rows, columns)])


def test_scales_and_positions_have_the_published_distribution() -> None:
    step = RandomScaleCrop((20, 20), 0.5, 2.0)
    windows = [
        step.draw(Sample(np.zeros((100, 200, 3), np.uint8), None, "", (100, 200)), random.Random(i))
        for i in range(2000)
    ]
    scales = np.array([w.whole[1] / 200 for w in windows])
    assert scales.min() < 0.51 and scales.max() > 1.98 and abs(scales.mean() - 1.25) < 0.03
    assert np.abs(np.histogram(scales, 3, (0.5, 2.0))[0] / 2000 - 1 / 3).max() < 0.04
    relative = np.array([w.offset[1] / (w.whole[1] - 20) for w in windows])
    assert np.abs(np.histogram(relative, 4, (0, 1))[0] / 2000 - 0.25).max() < 0.04


def test_crops_cover_their_center_at_any_scale() -> None:
    label = np.zeros((100, 200), np.uint8)
    label[80:84, 12:16] = 1
    step = RandomScaleCrop((30, 40), 0.5, 2.0)
    for seed in range(100):
        crop = step(Sample(np.zeros((100, 200, 3), np.uint8), label, "", (100, 200), (14, 82)), random.Random(seed))
        assert crop.label is not None and crop.label.shape == (30, 40) and crop.crop_center is None
        # The offset may fall on the center itself or just before it (uniform in [c - crop, c]): then an edge remains.
        assert (crop.label == 1).any()


@pytest.mark.parametrize(("size", "pre", "shape"), [((5, 7), 0, (5, 7)), (None, 0, (4, 6)), (None, 12, (4, 6))])
def test_crop_sizes(size: tuple[int, int] | None, pre: int, shape: tuple[int, int]) -> None:
    crop = RandomScaleCrop(size, pre_size=pre)(sample(), random.Random(0))
    assert crop.image.shape[:2] == shape == (crop.label.shape if crop.label is not None else None)


def test_pre_size_is_the_long_edge() -> None:
    tall = Sample(np.zeros((100, 50, 3), np.uint8), None, "", (100, 50))
    assert RandomScaleCrop((8, 8), pre_size=40).draw(tall, random.Random(0)).whole == (40, 20)


def test_image_and_label_stay_together() -> None:
    """The image is the label in colors; after scale, crop, flip and stride both still say the same."""
    blocks = np.random.default_rng(0).integers(0, 19, (12, 16)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    image = np.repeat((blocks * 13)[..., None], 3, -1)
    agree = total = 0
    for seed in range(20):
        rng = random.Random(seed)
        out = RandomScaleCrop((96, 128), 0.5, 2.0)(Sample(image, blocks, "", blocks.shape), rng)  # type: ignore[arg-type]
        out = RandomFlip()(out, rng)
        assert out.label is not None
        known = out.label != 255
        agree += (np.abs(out.image[..., 0].astype(int) - out.label.astype(int) * 13) < 7)[known].sum()
        total += known.sum()
        strided = LabelStride(2)(out, rng)
        assert strided.label is not None and (strided.label == out.label[1::2, 1::2]).all()
    assert agree / total > 0.85  # bicubic blends along the blocks' edges; a shift by 3 pixels gives 0.72


def test_same_seed_same_crop() -> None:
    step = RandomScaleCrop((3, 3), 0.5, 2.0)
    first, second = (step(sample(), random.Random(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
