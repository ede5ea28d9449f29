"""What a picture is, by its pixels: a photo, ids, a palette, colors of classes, or a label that was spoilt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets.labelvalues import ids_in
from media.files import read_complete
from utils.errors import UserError

Value = int | tuple[int, int, int]

_FLAT = 0.7  # share of pixels of a label that equal their right neighbor; of photos it is about a tenth
_MOST_COLORS = 256  # of an RGB label
_RARE = 0.002  # share of pixels below which a value is a blurred edge where there are very many
_CUT = 1 << 22  # pixels beyond which every n-th row counts
_LOSSY = ("JPEG", "MPO")


class Look(NamedTuple):
    """One picture. `kind`: "gray", "palette", "rgb", "photo" or "spoilt" (blurred, or saved with loss).

    `values`: pixels of each id or color. `palette`: the color of each index. `flat`: the share of pixels that equal
    their neighbor. `why`: of a spoilt one.
    """

    kind: str
    values: dict[Value, int]
    flat: float
    palette: dict[int, tuple[int, int, int]] = {}  # noqa: RUF012
    why: str = ""
    lossy: bool = False


def look(path: Path) -> Look:
    """Look at a picture. UserError, with its name, for one that cannot be read."""
    data = read_complete(str(path))
    with _opened(path) as image:
        lossy = image.format in _LOSSY
        if image.mode in ("RGBA", "LA") and _in_alpha(np.asarray(image)):
            why = "its transparency (alpha) differs, its colors do not: alpha is not read, save it as gray values"
            return Look("spoilt", {}, 1.0, why=why)
        if image.mode == "P":
            values = ids_in(data, str(path))
            return _of_ids(values, "palette", _palette(image), lossy)
        if image.mode in ("RGB", "RGBA", "CMYK", "YCbCr"):
            colors = np.asarray(image.convert("RGB"))
            if (colors[..., :1] == colors[..., 1:]).all():
                return _of_ids(colors[..., 0], "gray", {}, lossy)
            return _of_colors(colors, lossy)
    return _of_ids(ids_in(data, str(path)), "gray", {}, lossy)


def _in_alpha(values: np.ndarray) -> bool:
    """Say whether a picture, (H, W, C) with alpha as its last channel, holds something there alone."""
    colors, alpha = values[..., :-1], values[..., -1]
    return bool(alpha.min() < alpha.max() and (colors == colors[0, 0]).all())


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _palette(image: Image.Image) -> dict[int, tuple[int, int, int]]:
    flat = image.getpalette("RGB") or []
    return {i: (flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]) for i in range(len(flat) // 3)}


def _thinned(values: np.ndarray) -> np.ndarray:
    """Take every n-th row of a very large picture."""
    return values[:: -(-values.shape[0] * values.shape[1] // _CUT)]


def _flatness(values: np.ndarray) -> float:
    if values.shape[1] < 2:
        return 1.0
    return float((values[:, 1:] == values[:, :-1]).mean())


def _of_ids(values: np.ndarray, kind: str, palette: dict[int, tuple[int, int, int]], lossy: bool) -> Look:
    values = _thinned(values)
    found, pixels = np.unique(values, return_counts=True)
    counts: dict[Value, int] = dict(zip(found.tolist(), pixels.tolist(), strict=True))
    flat = _flatness(values)
    if flat < _FLAT:
        return Look("photo", counts, flat, palette, lossy=lossy)
    if why := _spoilt(pixels / pixels.sum(), lossy):
        return Look("spoilt", counts, flat, palette, why, lossy)
    return Look(kind, counts, flat, {i: palette[i] for i in found.tolist() if i in palette}, lossy=lossy)


def _of_colors(colors: np.ndarray, lossy: bool) -> Look:
    colors = _thinned(colors).astype(np.uint32)
    packed = colors[..., 0] << 16 | colors[..., 1] << 8 | colors[..., 2]
    flat = _flatness(packed)
    found, pixels = np.unique(packed, return_counts=True)
    main = pixels / pixels.sum() >= _RARE
    if flat < _FLAT or main.sum() > _MOST_COLORS:
        return Look("photo", {}, flat, lossy=lossy)
    counts: dict[Value, int] = {
        (color >> 16, color >> 8 & 255, color & 255): count
        for color, count in zip(found.tolist(), pixels.tolist(), strict=True)
        if len(found) <= _MOST_COLORS
    }
    why = _spoilt(pixels / pixels.sum(), lossy)
    return Look("spoilt" if why else "rgb", counts, flat, {}, why, lossy)


def _spoilt(shares: np.ndarray, lossy: bool) -> str:
    """Say why values cannot be classes: many of them, of few pixels each, between the few that most pixels have."""
    rare = int((shares < _RARE).sum())
    few = int((shares >= _RARE).sum())
    if not (rare > 24 and rare > 3 * few):
        return ""
    how = (
        "JPEG changes values at every edge"
        if lossy
        else "they were resized with interpolation, or saved as JPEG before"
    )
    return f"{rare} of {rare + few} values are of single pixels between the others: {how}"


def _colored(one: Look) -> dict[Value, int]:
    """Give the pixels of each color of a label: of an id that of the palette, or gray."""
    found: Counter[Value] = Counter()
    for value, count in one.values.items():
        found[value if isinstance(value, tuple) else one.palette.get(value, (value, value, value))] += count
    return dict(found)


@dataclass
class Looks:
    """What several labels are together. `files`, `pixels`: in how many each value is, and how often."""

    kind: str = ""
    count: int = 0
    files: Counter[Value] = field(default_factory=Counter)
    pixels: Counter[Value] = field(default_factory=Counter)
    palette: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    lossy: str = ""
    spoilt: str = ""
    unreadable: list[str] = field(default_factory=list)
    _seen: list[tuple[Path, Look]] = field(default_factory=list)

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Looks:
        """Look at some labels; one that cannot be read is told of, and no reason to stop."""
        found = cls()
        for path in paths:
            try:
                found._add(look(path), path)
            except UserError as error:
                found.unreadable.append(str(error))
        kinds = [kind for kind, _ in found.kinds.most_common()]
        found.kind = kinds[0] if kinds else ""
        if {"gray", "palette"} == {*kinds}:
            found.kind = "gray"  # it reads the indices of palettes as well
        if "rgb" in kinds or not found._one_palette():
            found._by_color()
        for _, one in found._seen:
            found.files.update(one.values.keys())
            found.pixels.update(one.values)
            found.palette |= one.palette
        return found

    def _one_palette(self) -> bool:
        """Say whether an index has the same color in all palettes; writers that count colors change it by the file."""
        known: dict[int, tuple[int, int, int]] = {}
        return all(known.setdefault(i, color) == color for _, one in self._seen for i, color in one.palette.items())

    def _by_color(self) -> None:
        """Read all labels by their colors: palettes by theirs, one with gray alone as gray among colors.

        Ids beside colors are no labels of one kind: `spoilt` says so.
        """
        seen = [(path, one._replace(values=_colored(one), palette={})) for path, one in self._seen]
        colors = {
            color
            for (_, one), (_, was) in zip(seen, self._seen, strict=True)
            if was.kind != "gray"
            for color in one.values
        }
        odd = next((path for path, one in seen if not {*one.values} <= colors | {(0, 0, 0)}), None)
        if odd is not None:
            other = next(path for path, one in self._seen if one.kind != "gray")
            self.kind, self.spoilt = "spoilt", f"{odd}: it holds ids, {other} colors: export all labels in one way"
            return
        self.kind, self._seen = "rgb", seen

    def _add(self, one: Look, path: Path) -> None:
        self.count += 1
        self.kinds[one.kind] += 1
        if one.lossy:
            self.lossy = self.lossy or str(path)
        if one.kind == "spoilt":
            self.spoilt = self.spoilt or f"{path}: {one.why}"
        if one.kind in ("gray", "palette", "rgb"):
            self._seen.append((path, one))

    @property
    def values(self) -> list[Value]:
        """The values or colors that occur, in order."""
        return sorted(self.files)

    def share(self, value: Value) -> float:
        """Give the share of all pixels that have a value."""
        return self.pixels[value] / max(1, sum(self.pixels.values()))
