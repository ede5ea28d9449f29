"""A demo writes over nothing that another command, or somebody else, has left in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.render import _targets, _targets_of_frames
from runtime.taken import check_free
from utils.errors import UserError

ONE, OTHER = "python demo.py --demo-image a.png --snapshot x", "python demo.py --demo-image b.png --snapshot x"
TIME = "2026-11-30 21:00:00"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "pred_mask.png"
    path.write_text("mine")
    return path


def test_a_mask_of_nobody_or_of_another_command_stays(mask: Path) -> None:
    folder, targets = mask.parent, [mask.with_name("overlap.png"), mask]
    check_free(folder / "none", ONE, targets, overwrite=False)
    for log in ("", f"{TIME} {OTHER}\n", f"waiting for {ONE}\n", f"{ONE}.png\n"):
        (folder / "demo.log").write_text(log)
        with pytest.raises(UserError, match=r"pred_mask.png is there already.*another --save-dir, or --overwrite"):
            check_free(folder, ONE, targets, overwrite=False)
    check_free(folder, ONE, targets[:1], overwrite=False)
    check_free(folder, ONE, targets, overwrite=True)


def test_the_same_command_replaces_its_own(mask: Path) -> None:
    log = mask.with_name("demo.log")
    for text in (f"{TIME} {ONE}\n", f"{ONE}\n", f"{ONE} --overwrite\n", f"{OTHER} --overwrite\n{ONE}\n{OTHER}\n"):
        log.write_text(text)
        check_free(mask.parent, ONE, [mask], overwrite=False)
    log.write_text(f"{ONE}\n{OTHER} --overwrite\n")  # whose masks are there now
    with pytest.raises(UserError):
        check_free(mask.parent, ONE, [mask], overwrite=False)


def test_a_legend_is_the_folder_s_but_not_one_of_others(tmp_path: Path) -> None:
    (tmp_path / "legend.png").write_text("mine")
    with pytest.raises(UserError, match="legend.png is there already"):
        check_free(tmp_path, ONE, [], overwrite=False)
    (tmp_path / "demo.log").write_text(f"{OTHER}\n")
    check_free(tmp_path, ONE, [], overwrite=False)


def test_what_a_demo_writes(tmp_path: Path) -> None:
    names = {str(path.relative_to(tmp_path)) for path in _targets(tmp_path, ["", "sub/x"])}
    assert {"pred_mask.png", "overlap.png", "sub/color_mask_x.png", "sub/confidence_x.png"} < names
    for name in ("pred_mask_000007.png", "pred_mask_a.png", "overlap.png"):
        (tmp_path / name).write_text("mine")
    found = {path.name for path in _targets_of_frames(tmp_path) if path.exists()}
    assert found == {"pred_mask_000007.png"}
    assert tmp_path / "overlap.mp4" in {*_targets_of_frames(tmp_path)}
