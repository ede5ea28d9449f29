"""Folders with the results of a run: how they are told from others, and what an older run has left in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.errors import UserError

# Files of which a run of each command leaves all, and nobody else: training and evaluation, demos, pseudo-labels,
# propagated labels.
_RECORDS = (("hparams.json", "train.log"), ("demo.log",), ("autolabels.json",), ("propagation.json",))
# Folders of pictures and labels that runs make in their own.
FOLDERS = (
    "images", "rgb", "pred", "compose", "diff", "result", "added_prediction", "pseudo_color_prediction", "test_results",
    "confidence", "topn", "submit", "autolabelled", "train_extra", "augmented",
)  # fmt: skip


def is_results(folder: Path) -> bool:
    """Say whether a run has written its results into a folder, or has made it for some of them."""
    return _has_records(folder) or (folder.name in FOLDERS and _has_records(folder.parent))


def _has_records(folder: Path) -> bool:
    return any(all((folder / name).is_file() for name in names) for names in _RECORDS)


def check_apart(pictures: str, results: str, flag: str, made: bool = True) -> None:
    """Raise UserError where results would be written among the pictures.

    That is into their folder or, where a run has `made` FOLDERS of its own, into one that they lie in.
    """
    where, target = Path(pictures).resolve(), Path(results).resolve()
    inside = where.relative_to(target).parts[:1] if where.is_relative_to(target) else None
    if inside == () or (made and inside and inside[0] in FOLDERS):
        raise UserError(
            f"{flag} {results} would put results among the pictures in {pictures}: give another one, or one inside it"
        )


class FilesBefore:
    """Files that are in a folder of results before a run writes there: those that `patterns` (of globs) name."""

    def __init__(self, folder: Path, patterns: Sequence[str]) -> None:
        self.folder, self.patterns = folder, patterns
        self._before = self._files()

    def note(self) -> str:
        """Say what the run has not replaced, for its log; empty if nothing is left."""
        now = self._files() if self._before else {}
        left = sorted(path for path, state in self._before.items() if now.get(path) == state)
        if not left:
            return ""
        return (
            f"warning: {self.folder} still holds {len(left)} files of an older run that this one has not replaced "
            f"({left[0]} first): another output folder, or an empty one, keeps them apart"
        )

    def _files(self) -> dict[str, tuple[int, int]]:
        """List {path below the folder: what changes when a file is replaced}."""
        found = (path for pattern in self.patterns for path in self.folder.glob(pattern) if path.is_file())
        return {str(path.relative_to(self.folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}
