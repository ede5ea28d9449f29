"""What there is to say of the table of networks: `--help arch` and the page docs/networks.md.

`python -m options.arch_help` writes the page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from options import archs
from options.archs import ARCHS, HEADS, SCALES, TRUNKS, Arch

FREE = "--trunk T --head H [--scales S]"
PAGE = Path(__file__).parents[1] / "docs/networks.md"
_TABLES = (("Trunks", "--trunk", TRUNKS), ("Heads", "--head", HEADS), ("Scales", "--scales", SCALES))
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
again, and `--arch` also takes it. A combination that has a published name goes by that.
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
    lines += ["", "## What does not stand together", "", "For instance:", ""]
    return "\n".join([*lines, *(f"- {line}" for line in _refused()), ""])


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
