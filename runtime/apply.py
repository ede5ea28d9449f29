"""An exported file applied to pictures of any size. N batch, K classes, H x W picture, h x w tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from runtime.facts import LARGEST, SMALLEST, Facts
from runtime.files import Runner
from runtime.tiles import starts, weights
from utils.errors import MemoryShortageError, UserError
from utils.memory import ran_out

Size = tuple[int, int]


class Found(NamedTuple):
    """`classes` (H, W) uint8; `max_prob` (H, W) float32, their probability, None where nobody asked for it."""

    classes: np.ndarray
    max_prob: np.ndarray | None


@dataclass
class Applied:
    """A file's masks of pictures (H, W, 3) uint8 RGB.

    A picture that is smaller than what the file takes is enlarged until it covers that, its sides in their ratio; one
    that is larger is done in tiles whose scores are blended, of a file for any size with sides of `tile` (0: as large
    as the file takes), and of half of that where memory runs out. Of classes, which cannot be blended, those of the
    tiles that weigh most are taken. `say` is told in a line what is done with pictures of a size. `confident`: with
    their probability, which a file of classes has not.
    """

    run: Runner
    facts: Facts
    say: Callable[[str], None]
    tile: int = 0
    overlap: float = 0.25
    confident: bool = False
    _said: set[str] = field(default_factory=set, init=False)

    def __call__(self, image: np.ndarray) -> Found:
        """(H, W, 3) uint8 RGB -> its classes."""
        size = image.shape[:2]
        least = self.facts.size or (SMALLEST, SMALLEST)
        covering = enlarged(size, least)
        if covering != size:
            self._once(
                size, f"enlarged to {covering[0]}x{covering[1]}, since the file takes {least[0]}x{least[1]} at least"
            )
            image = cv2.resize(image, covering[::-1], interpolation=cv2.INTER_LINEAR)
        classes, max_prob = self._in_memory(image)
        if covering != size:
            classes = cv2.resize(classes, size[::-1], interpolation=cv2.INTER_NEAREST)
            max_prob = None if max_prob is None else cv2.resize(max_prob, size[::-1], interpolation=cv2.INTER_LINEAR)
        return Found(classes, max_prob)

    def _in_memory(self, image: np.ndarray) -> Found:
        """Do it in tiles that fit into the memory there is."""
        while True:
            side = min(self.tile or LARGEST, LARGEST)
            tile = self.facts.size or (side, side)
            try:
                return self._in_tiles(image, tile)
            except Exception as error:  # each runtime has errors of its own
                if not ran_out(error):
                    raise
            side = min(max(tile), max(image.shape[:2]))
            if self.facts.size or side <= SMALLEST:
                raise MemoryShortageError(f"out of memory with {side}x{side} pixels at once: end other processes?")
            self.tile = max(SMALLEST, side // 2 // 32 * 32)
            self.say(f"out of memory: tiles of {self.tile}x{self.tile} from here on")

    def _in_tiles(self, image: np.ndarray, tile: Size) -> Found:
        """(H, W, 3) -> its classes. Rows are decided as soon as no further tile covers them."""
        height, width = image.shape[:2]
        rows, columns = min(tile[0], height), min(tile[1], width)
        if (rows, columns) == (height, width):
            return self._decided(self._scores(image))
        rule = "where they overlap the class of the weightier counts" if self.facts.output == "argmax" else "blended"
        self._once((height, width), f"in tiles of {rows}x{columns}, {rule}")
        tops, lefts = starts(height, rows, self.overlap), starts(width, columns, self.overlap)
        down, across = weights(height, rows, self.overlap), weights(width, columns, self.overlap)
        band = np.zeros((self.facts.spec.num_classes, rows, width), np.float32)
        done: list[Found] = []
        for i, top in enumerate(tops):
            for j, left in enumerate(lefts):
                scores = self._votes(self._scores(image[top : top + rows, left : left + columns]))
                band[:, :, left : left + columns] += scores * (down[i][:, None] * across[j])
            final = (tops[i + 1] if i + 1 < len(tops) else height) - top
            done.append(self._decided(band[:, :final]))
            band[:, : rows - final] = band[:, final:].copy()
            band[:, rows - final :] = 0
        classes, sure = zip(*done, strict=True)
        return Found(np.concatenate(classes), None if sure[0] is None else np.concatenate(sure))

    def _scores(self, image: np.ndarray) -> np.ndarray:
        """(h, w, 3) -> what the file gives of it: scores (K, h, w), or classes (h, w)."""
        found, count = self.run(given(image, self.facts))[0][0], self.facts.spec.num_classes
        classes = self.facts.output == "argmax"
        wanted = image.shape[:2] if classes else (count, *image.shape[:2])
        if found.shape != wanted or (classes and found.max() >= count):
            what = f"class {found.max()}" if found.shape == wanted else f"{found.shape} in place of {wanted}"
            raise UserError(f"the file gives {what}, and says that it has {count} classes: export it anew")
        return found

    def _votes(self, found: np.ndarray) -> np.ndarray:
        """Scores as they are; classes (h, w) -> 1 for each one's own: (K, h, w)."""
        return found if found.ndim == 3 else found == np.arange(self.facts.spec.num_classes)[:, None, None]

    def _decided(self, scores: np.ndarray) -> Found:
        """(K, h, w) scores, or classes (h, w) -> the classes and their probability."""
        if scores.ndim == 2:
            return Found(scores.astype(np.uint8), None)
        classes = scores.argmax(0).astype(np.uint8)
        if not self.confident:
            return Found(classes, None)
        best = scores.max(0)  # (h, w)
        return Found(classes, best if self.facts.output == "softmax" else 1 / np.exp(scores - best).sum(0))

    def _once(self, size: Size, text: str) -> None:
        line = f"pictures of {size[0]}x{size[1]}: {text}"
        if line not in self._said:
            self._said.add(line)
            self.say(line)


def enlarged(size: Size, least: Size) -> Size:
    """Give the size of a picture of `size` (H, W) that covers `least`, the ratio of its sides kept."""
    factor = max(1.0, least[0] / size[0], least[1] / size[1])
    height, width = (max(low, round(side * factor)) for side, low in zip(size, least, strict=True))
    return height, width


def given(image: np.ndarray, facts: Facts) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> what a file takes of it: (1, H, W, 3) uint8, or (1, 3, H, W) normalized float32.

    In the order of operations of `utils.normalization.Normalization`, to the same bits.
    """
    if facts.raw:
        return np.ascontiguousarray(image)[None]
    mean, std = (np.array(values, np.float32) * 255 for values in (facts.mean, facts.std))  # (3,)
    return np.ascontiguousarray(((image.astype(np.float32) - mean) / std).transpose(2, 0, 1))[None]
