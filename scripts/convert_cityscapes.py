"""Draw the polygons of Cityscapes as labels of train ids, by the official cityscapesScripts.

python scripts/convert_cityscapes.py --cityscapes_path DIR --num_workers 8

Each <city>_..._gtFine_polygons.json gets its _gtFine_labelTrainIds.png beside it. Training here does not need them (it
reads the _gtFine_labelIds.png that come with the dataset); other programs do. Started again it goes on.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.reading import find_folder
from media.files import is_hidden
from utils.cli import exit_code, start
from utils.errors import UserError
from utils.workers import convert

TREES = ("gtFine_trainvaltest/gtFine", "gtFine")
MOST_PIXELS = 1 << 28
POLYGONS, LABELS = "_polygons.json", "_labelTrainIds.png"


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    p = argparse.ArgumentParser(description="Polygons of Cityscapes -> labels of train ids.", allow_abbrev=False)
    p.add_argument("--cityscapes_path", required=True, help="folder with gtFine in it")
    p.add_argument("--num_workers", type=int, default=os.cpu_count() or 1, help="processes")
    return p


def draw(source: Path) -> bytes:
    """Polygon file -> PNG of train ids, 255 where there is no class."""
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.preparation.json2labelImg import createLabelImage

    annotation, png, said = Annotation(), io.BytesIO(), io.StringIO()
    try:
        annotation.fromJsonText(source.read_text(encoding="utf-8"))
        if not 0 < annotation.imgWidth * annotation.imgHeight <= MOST_PIXELS:
            raise ValueError(f"{annotation.imgWidth}x{annotation.imgHeight} pixels")
        with redirect_stdout(said), redirect_stderr(said):  # of a label that it does not know it prints its own usage
            picture = createLabelImage(annotation, "trainIds")
        assert picture is not None  # it is for unknown encodings
        picture.save(png, "PNG")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, SystemExit) as error:
        reason = next(iter(said.getvalue().strip().splitlines()), f"{type(error).__name__}: {error}")
        raise UserError(f"{source} is no polygon file of Cityscapes ({reason})") from None
    return png.getvalue()


def run(root: str, workers: int) -> str:
    """Write what is missing; gives a line about it."""
    if find_spec("cityscapesscripts") is None:
        raise UserError("this needs cityscapesScripts: pip install cityscapesscripts")
    folder = find_folder(root, TREES, "Cityscapes fine labels")
    sources = [path for path in sorted(folder.rglob("*" + POLYGONS)) if not is_hidden(path.name)]
    if not sources:
        raise UserError(f"no *{POLYGONS} in {folder}")
    pairs = [(source, source.with_name(source.name.removesuffix(POLYGONS) + LABELS)) for source in sources]
    written, before = convert(draw, pairs, "labels", workers, folder)
    return f"{written} labels written, {before} were there before: {len(pairs)} *{LABELS} in {folder}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    args = parser().parse_args(argv)
    return exit_code(lambda: print(run(args.cityscapes_path, args.num_workers)), args.cityscapes_path)


if __name__ == "__main__":
    sys.exit(start(main))
