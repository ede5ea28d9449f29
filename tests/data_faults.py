"""A drawn dataset in which everything is right, and faults that are planted into it, a file each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from pictures import write_image
from PIL import Image

HEIGHT, WIDTH = 72, 96
COLORS = ((90, 120, 60), (200, 60, 40), (40, 70, 210), (220, 210, 80))
CLASSES = "names: [ground, car, water, lamp]\n"


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) of shapes of three classes on ground, and its label."""
    rng = np.random.default_rng(seed)
    label = np.zeros((height, width), np.uint8)
    for k in (1, 2, 3, 1, 2, 3, int(rng.integers(1, 4))):
        center = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = int(rng.integers(width // 14, width // 5)), int(rng.integers(height // 14, height // 5))
        cv2.ellipse(label, center, axes, float(rng.integers(0, 180)), 0, 360, k, -1)
    for k in (1, 2, 3):  # each is there
        label[3 * k : 3 * k + 6, int(rng.integers(0, width - 8)) :][:, :7] = k
    tint = rng.normal(0, 15, (4, 3))
    image = (np.array(COLORS) + tint)[label] + cv2.resize(rng.normal(0, 25, (6, 8, 3)), (width, height))
    return np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8), label


def draw(root: Path, count: int) -> None:
    """Draw `count` images with labels, four of five for training, as `--dataset folder` takes them."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.yaml").write_text(CLASSES)
    for i in range(count):
        image, label = scene(i)
        write_image(image_of(root, i, count), image)
        write_image(label_of(root, i, count), label)


def split_of(i: int, count: int) -> str:
    return "val" if i >= count * 4 // 5 else "train"


def image_of(root: Path, i: int, count: int) -> Path:
    return root / split_of(i, count) / "images" / f"{i:04d}.png"


def label_of(root: Path, i: int, count: int) -> Path:
    return root / split_of(i, count) / "labels" / f"{i:04d}.png"


Plant = Callable[[Path, Path], Path]


def _on_image(change: Callable[[Path], object]) -> Plant:
    """A fault of an image file."""

    def plant(image: Path, label: Path) -> Path:
        change(image)
        return image

    return plant


def _on_label(change: Callable[[Path], object]) -> Plant:
    """A fault of a label file."""

    def plant(image: Path, label: Path) -> Path:
        change(label)
        return label

    return plant


def _values(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """A label with other values."""

    def write(path: Path) -> None:
        write_image(path, change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return _on_label(write)


def _pixels(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """An image with other pixels."""

    def write(path: Path) -> None:
        assert cv2.imwrite(str(path), change(cv2.imread(str(path))))

    return _on_image(write)


def _other_size(height: int, width: int) -> Plant:
    def plant(image: Path, label: Path) -> Path:
        for path, array in zip((image, label), scene(77_000 + height, height, width), strict=True):
            write_image(path, array)
        return image

    return plant


def _as(suffix: str, name: str = "", mode: str = "", **save: object) -> Callable[[Path], None]:
    """Writes a file anew in another format, under its own name with `suffix`."""

    def write(path: Path) -> None:
        picture = Image.open(path)
        picture.load()
        path.unlink()
        picture = picture.convert(mode or picture.mode)
        picture.save(path.with_suffix(suffix), name or None, **save)  # type: ignore[arg-type]

    return write


def _renamed(plant: Plant, suffix: str) -> Plant:
    return lambda image, label: plant(image, label).with_suffix(suffix)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _link(path: Path) -> None:
    path.unlink()
    os.symlink("nowhere.png", path)


def _unmapped(label: np.ndarray) -> np.ndarray:
    label[20:23, 40:45] = 99
    return label


def _shifted(label: np.ndarray) -> np.ndarray:
    return np.roll(label, (0, 11), (0, 1))


def _no_label(image: Path, label: Path) -> Path:
    label.unlink()
    return image


def _is_image(image: Path, label: Path) -> Path:
    shutil.copy(image, label)
    return label


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    _as(".jpg", exif=exif, quality=95)(path)


def _beside(name: str, source: Callable[[Path, Path], Path]) -> Plant:
    """A further file beside another."""

    def plant(image: Path, label: Path) -> Path:
        path = source(image, label)
        return Path(shutil.copy(path, path.with_name(name)))

    return plant


def _alike(image: Path, label: Path) -> Path:
    """Another scene whose name is that of the first but for case."""
    for path, name in ((image, "Alike.png"), (label, "Alike.png")):
        path.rename(path.with_name(name))
    for path, array in zip((image, label), scene(88_000), strict=True):
        write_image(path.with_name("alike.png"), array)
    return image.with_name("alike.png")


def _gif(image: Path, label: Path) -> Path:
    Image.fromarray(scene(99_000)[0]).save(image.with_name("extra.gif"))
    return image.with_name("extra.gif")


# What is planted: the kind that is to be found, and how; each on an image and label of its own, which are right.
PLANTED: dict[str, tuple[str, Plant]] = {
    "cut image": ("unreadable-image", _on_image(_cut)),
    "empty image": ("unreadable-image", _on_image(lambda path: path.write_bytes(b""))),
    "text for an image": ("unreadable-image", _on_image(lambda path: path.write_text("no picture"))),
    "link to no image": ("broken-link", _on_image(_link)),
    "link to no label": ("broken-link", _on_label(_link)),
    "no label": ("missing-label", _no_label),
    "cut label": ("unreadable-label", _on_label(_cut)),
    "color label": ("color-label", _on_label(lambda path: write_image(path, scene(66_000)[0]))),
    "label of half size": ("size-differs", _values(lambda x: x[::2, ::2].copy())),
    "unmapped value": ("unmapped-value", _values(_unmapped)),
    "jpeg label": ("lossy-label", _renamed(_on_label(_as(".jpg", quality=100)), ".jpg")),
    "label is image": ("label-is-image", _is_image),
    "all ignored": ("ignored-label", _values(lambda x: np.full_like(x, 255))),
    "one class": ("constant-label", _values(lambda x: np.full_like(x, 2))),
    "shifted": ("misplaced-label", _values(_shifted)),
    "mirrored": ("misplaced-label", _values(lambda x: x[:, ::-1].copy())),
    "turned": ("turned-image", _renamed(_on_image(_turned), ".jpg")),
    "names alike": ("alike-names", _alike),
    "label alone": ("label-without-image", _beside("alone.png", lambda image, label: label)),
    "blank": ("blank-image", _pixels(lambda x: np.full_like(x, 40))),
    "gray": ("gray-image", _pixels(lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2GRAY))),
    "tiny": ("tiny-image", _other_size(16, 20)),
    "huge": ("huge-image", _other_size(330, 460)),
    "16 bits": ("deep-image", _pixels(lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2GRAY).astype(np.uint16) * 257)),
    "alpha": ("alpha-image", _pixels(lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2BGRA))),
    "cmyk": ("print-image", _renamed(_on_image(_as(".jpg", mode="CMYK", quality=95)), ".jpg")),
    "jpeg called png": ("other-format", _on_image(_as(".png", "JPEG", quality=95))),
    "gif": ("unread-picture", _gif),
}


def plant_pairs(root: Path, count: int, first: int) -> dict[Path, str]:
    """Plants copies: into validation, as it is, encoded anew, and mirrored; into training; a label of another image."""
    found: dict[Path, str] = {}
    val = count - 1
    for place, change in enumerate((None, "jpeg", "mirror")):
        image, label = cv2.imread(str(image_of(root, first + place, count))), label_of(root, first + place, count)
        values = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        target = image_of(root, val - place, count)
        if change is None:
            shutil.copy(image_of(root, first + place, count), target)
        elif change == "jpeg":
            target.unlink()
            target = target.with_suffix(".jpg")
            cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, 60])
        else:
            cv2.imwrite(str(target), image[:, ::-1])
            values = values[:, ::-1]
        cv2.imwrite(str(label_of(root, val - place, count)), values)
        found[target] = "leak"
    one, two = first + 3, first + 4
    image, label = image_of(root, two, count), label_of(root, two, count)
    shutil.copy(image_of(root, one, count), image)
    shutil.copy(label_of(root, one, count), label)
    found[image] = "duplicate"
    copied = label_of(root, first + 5, count)
    shutil.copy(label_of(root, first + 6, count), copied)
    found[label_of(root, first + 6, count)] = "repeated-label"  # the second of the two
    found[copied] = "misplaced-label"
    return found


def plant_all(root: Path, count: int) -> tuple[dict[Path, str], set[Path]]:
    """Plants everything; gives {file: kind} of what is to be found, and all files that may be named."""
    found: dict[Path, str] = {}
    touched: set[Path] = set()
    for i, (kind, plant) in enumerate(PLANTED.values()):
        image, label = image_of(root, i, count), label_of(root, i, count)
        file = plant(image, label)
        found[file] = kind
        touched |= {file, image, label, image.with_suffix(".jpg"), label.with_suffix(".jpg")}
    pairs = plant_pairs(root, count, len(PLANTED))
    touched |= {*pairs, label_of(root, len(PLANTED) + 4, count)}
    return {**found, **pairs}, touched
