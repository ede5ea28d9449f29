"""What does not go together although a file fits a trunk: another network, another depth, images of other colors."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from network.trunk import MEAN, STD, Colors, Trunk, timm_nets
from network.trunk.timm_nets import TimmTrunk
from network.weights.report import LoadReport, shortened
from network.weights.sources import BESIDE
from utils import hub
from utils.errors import UserError
from utils.plural import counted
from utils.textfile import read_json

COUNTER = "num_batches_tracked"
USUAL = Colors(MEAN, STD)


class Told(NamedTuple):
    """What is said of a weight file: the network that timm calls so, the colors of its images, and where it stands."""

    network: str = ""
    colors: Colors | None = None
    where: str = ""


def told(given: str, path: Path) -> Told:
    """Read what stands beside a weight file, or in the name under which the hub has it: `hf:timm/NAME.TAG`."""
    network = ""
    for file in (path.with_name(name) for name in BESIDE):
        content = _read(file)
        found = content.get("architecture")
        network = network or (found if isinstance(found, str) else "")
        if colors := _colors(content):
            return Told(network, colors, file.name)
    owner, _, name = given.removeprefix(hub.START).partition(hub.HASH)[0].partition(":")[0].partition("/")
    colors = timm_nets.published_colors(name) if given.startswith(hub.START) and owner == "timm" else None
    return Told(network or (name.partition(".")[0] if colors else ""), colors, given if colors else BESIDE[0])


def _read(file: Path) -> dict[str, Any]:
    """Read a JSON file that need not be there, nor be what it is called."""
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    published = content.get("pretrained_cfg")
    return content | published if isinstance(published, dict) else content


def _colors(content: Mapping[str, Any]) -> Colors | None:
    found = [content.get(key, content.get(f"image_{key}")) for key in ("mean", "std")]
    if all(isinstance(x, list) and len(x) == 3 and all(isinstance(v, int | float) for v in x) for x in found):
        return Colors(*(tuple(map(float, x)) for x in found))
    return None


def lines(
    trunk: Trunk, report: LoadReport, file: Mapping[str, Tensor], said: Told, normalized: Colors = USUAL
) -> Iterator[str]:
    """Give a warning for each thing in which a file is not that of the trunk.

    `file`: all its entries, by the trunk's names. `normalized`: the colors by which images come to the trunk.
    """
    if isinstance(trunk, TimmTrunk) and said.network and said.network != trunk.name:
        yield f"warning: {said.where} says that these weights are of {said.network}, the trunk is {trunk.name}"
    yield from _depth(trunk, report, file)
    if said.colors and _written(got := _colors_at(trunk, normalized)) != _written(said.colors):
        own = isinstance(trunk, TimmTrunk) and normalized == USUAL
        name = timm_nets.with_colors(str(trunk.name), said.colors) if own else ""
        cure = f"--trunk timm:{name} has them" if name else f"{_options(trunk, said.colors)} give it these"
        know, gets = _written(said.colors), _written(got)
        yield f"warning: these weights know images of {know} ({said.where}), the trunk gets {gets}; {cure}"


def _colors_at(trunk: Trunk, normalized: Colors) -> Colors:
    """Give the colors of what a trunk's weights see of images that come normalized: it may change them inside."""
    std = [x * own / usual for x, own, usual in zip(normalized.std, trunk.colors.std, STD, strict=True)]
    moved = zip(normalized.mean, std, MEAN, *trunk.colors, strict=True)
    return Colors(tuple(x - d * (usual - mean) / own for x, d, usual, mean, own in moved), tuple(std))


def _options(trunk: Trunk, wanted: Colors) -> str:
    """Write the options by which images have to be normalized, so that a trunk's weights see `wanted`."""
    std = [x * usual / own for x, own, usual in zip(wanted.std, trunk.colors.std, STD, strict=True)]
    moved = zip(wanted.mean, wanted.std, MEAN, *trunk.colors, strict=True)
    mean = [x + d * (usual - mean) / own for x, d, usual, mean, own in moved]
    texts = (",".join(f"{x:.6g}" for x in values) for values in (mean, std))
    return "DATASET.MEAN {} DATASET.STD {}".format(*texts)


def _depth(trunk: Trunk, report: LoadReport, file: Mapping[str, Tensor]) -> Iterator[str]:
    """Give a warning for parts that lack, and for parts that are left, of a kind that trunk and file both have."""
    own = [name for name in trunk.pretrained.state_dict() if not name.endswith(COUNTER)]
    taken = {_kind(name) for name in report.matched}
    missing = [name for name in report.missing if _kind(name) in taken]
    left = [name for name in report.unexpected if _kind(name) in taken and name not in trunk.unused]
    left = [name for name in left if not name.endswith(COUNTER)]
    if not missing and not left:
        return
    counts = []
    if missing:
        parts = _whole(missing, own)
        counts.append(
            f"nothing in the file for {counted(len(parts), 'part')} of the trunk, left random ({shortened(parts)})"
        )
    if left:
        parts = _whole(left, [name for name in file if not name.endswith(COUNTER)])
        counts.append(f"no place in the trunk for {counted(len(parts), 'part')} of the file ({shortened(parts)})")
    yield f"warning: {'; '.join(counts)}: it is of another depth, or cut short{likely(trunk, file)}"


def likely(trunk: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Name the network of timm that a file seems to be of, for a message; empty where there is none."""
    name = timm_nets.sibling_of(trunk.name, state) if isinstance(trunk, TimmTrunk) else ""
    return f"; it looks like one of --trunk timm:{name}" if name else ""


def refuse_another(path: Path, trunk: nn.Module, state: Mapping[str, Tensor], least: float) -> None:
    """Raise UserError where a file has less than this share of a trunk's entries."""
    target = trunk.pretrained if isinstance(trunk, Trunk) else trunk
    own = {name: x.shape for name, x in target.state_dict().items() if not name.endswith(COUNTER)}
    fits = sum(name in own and x.shape == own[name] for name, x in state.items())
    if fits < least * len(own):
        raise UserError(
            f"{path}: {fits} of {len(own)} entries fit the trunk: it is a file of another one, cut short, or "
            f"under names that are not known here{likely(trunk, state)}"
        )


def _kind(name: str) -> str:
    """Tell what an entry is in a block of any number."""
    return re.sub(r"\d+", "#", name)


def _whole(lacking: Collection[str], names: Collection[str]) -> list[str]:
    """Name the outermost parts whose entries lack, all of them; entries where a part lacks some."""
    gone = set(lacking)
    kept = {part for name in names if name not in gone for part in _parts(name)}
    return list(dict.fromkeys(next((part for part in _parts(name) if part not in kept), name) for name in lacking))


def _parts(name: str) -> list[str]:
    """ "a.b.c" -> "a", "a.b", the outermost first."""
    words = name.split(".")
    return [".".join(words[:length]) for length in range(1, len(words))]


def _written(colors: Colors) -> str:
    mean, std = (" ".join(f"{x:.3g}" for x in values) for values in colors)
    return f"mean {mean}, deviation {std}"
