"""What there is to say of the table of networks: `--help arch` and the page docs/networks.md.

`python -m options.arch_help` writes the page.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from options import archs
from options.archs import ARCHS, Arch
from options.parts import HEADS, PACKAGES, SCALES, TRUNKS

FREE = "--trunk T --head H [--scales S] [--offsets]"
PAGE = Path(__file__).parents[1] / "docs/networks.md"
TRIED = PAGE.with_name("timm_trunks.csv")
_TABLES = (
    ("Trunks", "--trunk", {**TRUNKS, **{f"{name}:NAME": part for name, part in PACKAGES.items()}}),
    ("Heads", "--head", HEADS),
    ("Scales", "--scales", SCALES),
)
# One of each kind of combination that is refused.
_REFUSED = (
    ("hrnet", "deeplab_plus", ""),
    ("hrnet", "ppm_deepsup", ""),
    ("resnet50", "pointwise", ""),
    ("resnet50", "ocr", "fused"),
)
_INTRODUCTION = f"""# Networks

This page is written by `python -m options.arch_help` from the tables in `options/archs.py` and `options/parts.py`.
`python train.py --help arch` prints the same.

`--arch NAME` takes the {len(ARCHS)} published names below. A free network has a trunk, a head and, if asked, a way to
combine scales:

```
python train.py --trunk resnet50 --head ocr --scales hierarchical ...
```

Its name, `resnet50+ocr+hierarchical`, stands in logs and checkpoints, so that `--snapshot` and `--resume` build it
again, and `--arch` also takes it. A combination that has a published name goes by that. `--offsets` adds a head whose
offset vectors lead each pixel to another one, whose scores it may take over (arXiv:2303.14516).
"""

_PACKAGES = """## Trunks of timm

`--trunk timm:NAME` takes any network of the package timm (`pip install timm`) that takes images of any size, under
every head and every way to combine scales. What it gives is measured when it is built; where it takes sides of a
multiple only, images are padded inside. A network whose maps have one stride (a plain vision transformer) gives four by
a simple pyramid. `--neck_channels` and `--neck_stride` say how the one map of a head is made of all.
Classifiers round it start Xavier-uniform (`--init_classifiers`; what that brings: [benchmarks](benchmarks.md)).
`--trunk timm:NAME.TAG` also takes the colors that the published weights of that tag know, where they are others than
those of NAME.

Refused, in one line: networks for images of one size (BEiT, ViTs of relative positions, GC ViT, Hiera, CoAtNet,
Visformer, LeViT, CaiT, VOLO, NesT, CoaT, PiT, EfficientFormer, TNT, MLP-Mixer) and those whose strides are not whole
(Inception, NASNet, PNASNet, CrossViT).

These {count} of {kinds} kinds are tried by a test: a step of training at two scales, an evaluation at three, saved and
read again, exported. Parameters and multiply-adds (512x512) are the trunk's alone, with its pyramid.
`python benchmarks/timm_trunks.py NAME` adds a row.
"""


def text() -> str:
    """The text of `--help arch`."""
    lines = [f"usage: python train.py --arch NAME ... | {FREE} ...", "", "Published names: trunk, head, scales"]
    for name, row in _rows():
        lines.append(f"  {name:<29} {row.trunk:<15} {row.head:<15} {row.scales:<13} {special(row)}".rstrip())
    for title, flag, table in _TABLES:
        lines += ["", f"{title} ({flag})", *(f"  {name:<19} {part.what}" for name, part in table.items())]
    return "\n".join([*lines, "", "What does not stand together, for instance", *(f"  {line}" for line in _refused())])


def page() -> str:
    """The page docs/networks.md."""
    lines = [_INTRODUCTION, "## Published names", "", "| `--arch` | trunk | head | scales | special |"]
    lines += ["|---|---|---|---|---|"]
    lines += [f"| `{name}` | {row.trunk} | {row.head} | {row.scales} | {special(row)} |" for name, row in _rows()]
    for title, flag, table in _TABLES:
        lines += ["", f"## {title}", "", f"| `{flag}` | what it is |", "|---|---|"]
        lines += [f"| `{name}` | {part.what} |" for name, part in table.items()]
    lines += ["", "## What does not stand together", "", "For instance:", "", *(f"- {line}" for line in _refused())]
    return "\n".join([*lines, "", *_tried(), ""])


def _tried() -> Iterator[str]:
    """The table of timm's networks that were tried, one of each kind and some more."""
    with open(TRIED, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = len({row["kind"] for row in rows})
    yield _PACKAGES.format(count=len(rows), kinds=kinds)
    yield from (f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|")
    yield from (f"| `{row['trunk']}` | {' | '.join(list(row.values())[1:])} |" for row in rows)


def special(row: Arch) -> str:
    """What is special about a network beside its trunk, head and scales."""
    facts = ["offset vectors"] * row.offsets + ["aligned corners"] * row.aligned
    return "; ".join(facts + [archs.SPECIAL[name] for name in row.fixed_settings if name in archs.SPECIAL])


def _rows() -> Iterator[tuple[str, Arch]]:
    for name, row in ARCHS.items():
        yield name, row._replace(trunk="--arch_encoder", head="--arch_decoder") if row.trunk == archs.ANY else row


def _refused() -> Iterator[str]:
    for trunk, head, scales in _REFUSED:
        flags = f"--trunk {trunk} --head {head}{f' --scales {scales}' if scales else ''}"
        yield f"{flags}: {archs.refusal(trunk, head, scales)}"


if __name__ == "__main__":
    sys.exit(not PAGE.write_text(page(), encoding="utf-8"))
