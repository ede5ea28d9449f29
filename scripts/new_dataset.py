"""Look at a folder of images and labels, and write the YAML file by which it is trained on.

python scripts/new_dataset.py DIR
python scripts/new_dataset.py DIR --out streets.yaml

It finds out how labels are stored, which image has which, the classes, what is left out, and the splits; each guess
stands in the file with its reason (docs/own_data.md). Then it prints the commands that follow.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.collecting import Collected, collecting
from datasets.own import found, schema
from datasets.own.entry import SUFFIXES
from datasets.own.recognize import Draft, Writer, recognize
from utils import files
from utils.cli import check_free, exit_code, place_to_write, start
from utils.errors import UserError
from utils.names import shown
from utils.plural import counted
from utils.progress import progress

ROOT = Path(__file__).resolve().parents[1]
_NAMED = 10  # bad annotations that are named
_FEW = 40  # files that are read at once, without a bar


def parser() -> argparse.ArgumentParser:
    """Make the options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=place_to_write, metavar="DIR", help="the folder with images and labels")
    p.add_argument(
        "--out", type=place_to_write, metavar="FILE", help="what to write; default: <DIR>.yaml beside the folder"
    )
    p.add_argument("--overwrite", action="store_true", help="replace files that are there")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code."""
    args = parser().parse_args(argv)
    return exit_code(
        lambda: describe(args.folder, args.out, args.overwrite), args.folder, stopped="nothing was written"
    )


def describe(folder: Path, out: Path | None, overwrite: bool) -> None:
    """Write the file of a folder and say what follows. UserError before a long look if it could not be written."""
    target = out or _beside(folder)
    if target.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out {target}: --dataset takes files that end in {' or '.join(SUFFIXES)}")
    check_free([target], overwrite)
    with collecting() as gathered:
        draft = recognize(folder, _shown)
    print(f"{folder}: {shown(draft.what)}")
    for note in (*draft.notes, *_bad(gathered)):
        print(f"  {shown(note)}")
    if draft.dataset:
        if out:
            print(f"  {out} is not written: there is nothing to change in it")
        print(commands(draft, folder, draft.dataset, str(folder / draft.root)))
        return
    read = _write(Writer(draft, folder, target), overwrite)
    print(f"wrote {target}: {_counts(draft)}{read}; what is guessed has its reason beside it")
    print(commands(draft, folder, str(target)))


def _bad(gathered: Collected) -> list[str]:
    """Name bad annotations, which are left out here, and at which a training stops."""
    every = dict.fromkeys(f"{bad.file} {bad.what}" for bad in gathered.bad)
    more = [f"and {len(every) - _NAMED} more: check_data.py lists them"] if len(every) > _NAMED else []
    return [*(f"not read: {one}" for one in [*every][:_NAMED]), *more]


def _beside(folder: Path) -> Path:
    """Name the file of a folder: beside it, called as it is."""
    whole = folder.resolve()
    return (
        folder.parent / f"{folder.name}.yaml"
        if folder.name not in ("", "..")
        else whole.with_name(f"{whole.name}.yaml")
    )


def _shown(paths: Sequence[str], what: str) -> Iterable[str]:
    return progress(paths, what, len(paths), shown=len(paths) > _FEW)


def _write(writer: Writer, overwrite: bool) -> str:
    """Write the file and its lists, after it was read as a training reads it; gives the counts of its images."""
    lists, text = writer.lists(), writer.text()
    check_free([*lists, writer.out], overwrite)
    with _taken_back(lists):
        for path, lines in lists.items():
            files.write_file(path, _bytes(lines))
        read = _read_back(text, writer.out)
        files.write_file(writer.out, _bytes(text))
    return read


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@contextmanager
def _taken_back(paths: Iterable[Path]) -> Iterator[None]:
    """Leave files as they were where what follows fails."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            path.unlink(missing_ok=True) if content is None else files.write_file(path, content)
        raise


def _counts(draft: Draft) -> str:
    assert draft.classes is not None
    used = [row.name for row in draft.classes.rows if not row.off]
    names = ", ".join(used[:6]) + (", ..." if len(used) > 6 else "")
    return f"{len(used)} classes ({shown(names)})"


def _read_back(text: str, target: Path) -> str:
    """Read a file before it has its name, as a training does, and count its images; objects are not drawn yet.

    UserError where it does not fit the folder.
    """
    with tempfile.TemporaryDirectory() as place:
        trial = Path(place, target.name)
        trial.write_bytes(_bytes(text))
        try:
            own = schema.read(str(trial))
            assert isinstance(own, schema.OwnSet)
            here = target.resolve()
            with collecting():  # those of before, which are named already
                pairs = found.find(replace(own, file=str(here)), here.parent, draw=False).pairs
        except UserError as error:
            why = str(error).replace(str(trial), str(target))
            raise UserError(
                f"{target} is not written, since what was found out does not fit the folder: {why}"
            ) from None
    return "".join(f", {mode} {counted(len(images), 'image')}" for mode, images in pairs.items())


def commands(draft: Draft, folder: Path, dataset: str, root: str = "") -> str:
    """Write the three commands that follow, for a shell in the folder that this one was started in."""
    home = Path(os.path.relpath(ROOT)) if ROOT.is_relative_to(Path.cwd()) else ROOT
    run = os.path.join("runs", Path(dataset).stem)
    data = ["--dataset", dataset, *(["--data_root", root] if root else [])]
    pictures = folder / draft.pictures
    demo = ["demo_folder.py", "--demo-folder"] if pictures.is_dir() else ["demo.py", "--demo-image"]
    rows = [
        [str(home / "scripts/check_data.py"), *data],
        [str(home / "train.py"), *data, "--auto", "--result_dir", run],
        [str(home / demo[0]), demo[1], str(pictures), "--snapshot", run, "--save-dir", f"{run}/masks"],
    ]
    return "\n".join(["Next:", *(f"  python {shlex.join(row)}" for row in rows)])


if __name__ == "__main__":
    sys.exit(start(main))
