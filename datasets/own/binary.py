"""Labels of one binary mask a class, as <class>/<image>.png, <image>_<class>.png or <image>/<class>.png."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datasets.collecting import OtherSizeError, collected, take
from datasets.own.contract import LabelKind, LabelRules, Picture, Source, Sources
from datasets.own.places import Index, fixed_part
from datasets.own.stored import check_fields, is_pattern, key, label_files
from datasets.reading import read_label
from utils.errors import UserError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
_LAYOUTS = ("{class}/{dir}/{stem}", "{dir}/{stem}_{class}", "{dir}/{stem}/{class}", "{dir}/{class}/{stem}")
_ONE = "{dir}/{stem}"  # where there is one class beside the background


def find(pictures: Sequence[Picture], rules: LabelRules, where: str) -> Sources:
    """Find the masks of each image."""
    index, found, notes = Index(pictures), dict[str, dict[str, str]](), list[str]()
    for path in rules.paths:
        if is_pattern(path):
            check_fields(path, ("stem", "dir", "class"), where)
            if "{class}" not in path and not _only(rules):
                raise UserError(f"{where}: {path!r} has no {{class}}: which mask is which class?")
            home = fixed_part(path)
            layout = Path(path).relative_to(home).with_suffix("").as_posix()
        else:
            home = Path(path)
            layout = _layout(path, index, rules, where)
            notes.append(f"masks in {path} are read as {layout.replace('{dir}/', '')}")
        for file, image, name in _matched(home, layout, index, rules, where, path):
            if image and found.setdefault(image.path, {}).setdefault(name, file) != file:
                both = f"{found[image.path][name]} and {file} are both the mask of {name!r} of {image.path}"
                take(UserError(f"{where}: {both}"), file, image.path)
    bad = left_out.images if (left_out := collected()) else ()
    sources = {image: _source(masks, rules, image) for image, masks in found.items() if image not in bad}
    return Sources(sources, notes=notes)


def _source(masks: dict[str, str], rules: LabelRules, image: str) -> Source:
    """Order an image's masks by their classes, ignored ones last, and two of one class by name."""
    data = sorted((rules.by_name(name, file), name, file) for name, file in masks.items())
    content = json.dumps([train for train, _, _ in data]).encode()
    return Source(content, [(train, file) for train, _, file in data], image, tuple(file for _, _, file in data))


def _only(rules: LabelRules) -> str:
    """Name the class beside the background where there is one alone, so that masks need not say it; else ""."""
    names = [one.name for train, one in enumerate(rules.classes) if train != rules.background]
    return names[0] if len(names) == 1 else ""


def _names(rules: LabelRules) -> list[str]:
    """List what masks may be called, the longest first."""
    names = [*(n for one in rules.classes for n in (one.name, *one.aliases)), *map(str, rules.ignored)]
    return sorted(names, key=len, reverse=True)


def _regex(layout: str, name: str) -> re.Pattern[str]:
    """Make a regular expression of a layout; `name`: that of a class."""
    fields = {"dir": "(?:(?P<dir>.+)/)?", "stem": "(?P<stem>[^/]+)", "class": f"(?P<name>{name})"}
    text = re.escape(layout).replace(re.escape("{dir}/"), fields["dir"])
    for field, pattern in fields.items():
        text = text.replace(re.escape(f"{{{field}}}"), pattern, 1)
    return re.compile(re.sub(re.escape(re.escape("{")) + ".*?" + re.escape(re.escape("}")), ".+", text))


def _image(match: re.Match[str], index: Index, file: Path) -> Picture | None:
    """Find the image of a mask: by folder and name, then by name alone, of several the one with like folders."""
    stem, folder = match["stem"], match.groupdict().get("dir") or ""
    stems = dict.fromkeys((stem, key(stem)))
    ways = [*(f"{folder}/{name}" if folder else name for name in stems), *stems]
    found = next((image for way in ways if (image := index.get(way))), None)
    return found or next((image for name in stems if (image := index.near(name, str(file)))), None)


def _layout(path: str, index: Index, rules: LabelRules, where: str) -> str:
    """Find out how masks lie in a folder: the layout of which most files have a class and an image."""
    home, files = label_files(path, _SUFFIXES, where)
    known = "|".join(map(re.escape, _names(rules)))
    count = {}
    for layout in (*_LAYOUTS, *([_ONE] if _only(rules) else [])):
        regex = _regex(layout, known)
        matches = ((regex.fullmatch(_stem(file, home)), file) for file in files)
        count[layout] = sum(match is not None and _image(match, index, file) is not None for match, file in matches)
    best = max(count, key=lambda layout: count[layout])
    if not count[best]:
        ways = ", ".join(layout.replace("{dir}/", "") + ".png" for layout in _LAYOUTS[:3])
        raise UserError(f"{where}: no file in {path} is a mask of one of the classes and images, as {ways}")
    return best


def _stem(file: Path, home: Path) -> str:
    return file.relative_to(home).with_suffix("").as_posix()


def _matched(
    home: Path, layout: str, index: Index, rules: LabelRules, where: str, path: str
) -> Iterator[tuple[str, Picture | None, str]]:
    """Give (file, its image, its class's name) of the masks; UserError for a mask of an image that is of no class."""
    known, any_name = _regex(layout, "|".join(map(re.escape, _names(rules)))), _regex(layout, "[^/]+")
    for file in label_files(path, _SUFFIXES, where)[1]:
        stem = _stem(file, home)
        match = known.fullmatch(stem)
        if match is not None:
            yield str(file), _image(match, index, file), match.groupdict().get("name") or _only(rules)
        elif (match := any_name.fullmatch(stem)) is not None and (image := _image(match, index, file)):
            try:
                rules.by_name(match["name"], f"{where}: {file}")  # raises, or it is ignored
            except UserError as error:
                take(error, str(file), image.path, "unmapped-value")
                continue
            yield str(file), image, match["name"]


def draw(source: Source, size: tuple[int, int], rules: LabelRules) -> np.ndarray:
    """Draw the masks over each other."""
    masks = []
    for _, file in source.data:
        mask = _mask(file)
        if mask.shape != size:
            raise OtherSizeError(
                f"{file} is {mask.shape[1]}x{mask.shape[0]} pixels, its image {source.where} {size[1]}x{size[0]}"
            )
        masks.append(mask)
    label, ids = rules.blank(size), [train for train, _ in source.data]
    for place in rules.order([int(np.count_nonzero(mask)) for mask in masks], ids):
        label[masks[place]] = ids[place]
    return label


def _mask(file: str) -> np.ndarray:
    """Read where an object is: values above 0; of more than two values, those of the upper half."""
    values = read_label(file)
    low, high = int(values.min()), int(values.max())
    if low == high or np.isin(values, (low, high)).all():
        return values > 0
    return values > np.iinfo(values.dtype).max // 2


KIND = LabelKind("name", _SUFFIXES, find, draw)
