"""Frames and labels of clips: who belongs to whom, what is reached, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import video_clips
from datasets.video_clips import VideoClip
from utils.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def reached(frames: list[int], labels: list[int], reach: int, skip: bool = False) -> tuple[dict[int, int], int]:
    """{frame: label that it is reached from} and the missing steps."""
    paths = {n: Path(f"x_{n}.png") for n in frames}
    clip = VideoClip("train", "ulm", "ulm_000000", paths, {n: Path(f"l_{n}.png") for n in labels})
    chains, missing = video_clips.chains([clip], reach, skip)
    targets = [(number, chain.start) for chain in chains for number in chain.targets()]
    assert len(dict(targets)) == len(targets)  # none is reached twice
    return dict(targets), missing


def test_one_label_reaches_both_ways() -> None:
    assert reached(list(range(30)), [19], 2) == ({17: 19, 18: 19, 20: 19, 21: 19}, 0)


def test_the_nearer_label_has_a_frame_and_the_earlier_of_two() -> None:
    of, missing = reached(list(range(12)), [2, 6, 9], 3, skip=True)
    assert of == {1: 2, 0: 2, 3: 2, 4: 2, 5: 6, 7: 6, 8: 9, 10: 9, 11: 9}
    assert missing == 2  # frames -1 and 12


def test_a_gap_ends_a_chain_or_is_named() -> None:
    frames = [n for n in range(10, 30) if n != 21]
    assert reached(frames, [19], 3, skip=True) == ({18: 19, 17: 19, 16: 19, 20: 19}, 2)
    with pytest.raises(UserError, match=r"has no frame 21, 2 from the labeled 19: .*--propagate 1 or --skip_missing"):
        reached(frames, [19], 3)


def test_a_label_without_its_frame_is_named() -> None:
    with pytest.raises(UserError, match="label without frame: l_19.png"):
        reached([17, 18, 20], [19], 1)
    with pytest.raises(UserError, match="no labeled frame has a frame next to it"):
        reached([17, 18, 20], [19], 1, skip=True)


@pytest.mark.parametrize("nested", ["", "leftImg8bit_sequence_trainvaltest/"])
def test_cityscapes_tree(tmp_path: Path, nested: str) -> None:
    frames = [
        f"{nested}leftImg8bit_sequence/train/ulm/ulm_{s:06d}_{n:06d}_leftImg8bit.png" for s in (0, 1) for n in (18, 19)
    ]
    labels = [f"gtFine/train/ulm/ulm_{s:06d}_000019_gtFine_labelIds.png" for s in (0, 2)]
    touch(tmp_path, *frames, *labels, "gtFine/train/ulm/ulm_000000_000019_gtFine_color.png")
    first, other = video_clips.cityscapes(str(tmp_path))
    assert first.name == "ulm_000000" and sorted(first.frames) == [18, 19] and list(first.labels) == [19]
    assert other.name == "ulm_000002" and not other.frames
    assert first.outputs(18) == (
        "leftImg8bit/train/ulm/ulm_000000_000018_leftImg8bit.png",
        "gtFine/train/ulm/ulm_000000_000018_gtFine_labelIds.png",
        "gtFine/train/ulm/ulm_000000_000018_gtFine_color.png",
    )


def test_plain_folders(tmp_path: Path) -> None:
    """As CamVid calls them; numbers in the middle of a name are no frame numbers."""
    frames = [f"frames/{name}.png" for name in ("0001TP_006690", "0001TP_006691", "Seq05VD_f00000", "still")]
    touch(tmp_path, *frames, "labels/0001TP_006690_L.png", "frames/cam2/0001TP_006690.jpg")
    (clip,) = video_clips.plain(str(tmp_path / "frames"), str(tmp_path / "labels"))
    assert (clip.name, sorted(clip.frames), list(clip.labels)) == ("0001TP", [6690, 6691], [6690])
    assert clip.outputs(6691)[:2] == ("train/images/0001TP_006691.png", "train/labels/0001TP_006691.png")


def test_mistakes(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/still.png", "b/x_1.png", "c/x_1.png", "c/x_01.png", "leftImg8bit_sequence/x", "gtFine/train/ulm/x"
    )
    for frames, labels, message in (
        ("none", "b", "--frames .*none: there is no such folder"),
        ("a", "b", "names end with a number; found there: still.png"),
        ("b", "a", "--labels"),
        ("c", "b", "are the same frame"),
    ):
        with pytest.raises(UserError, match=message):
            video_clips.plain(str(tmp_path / frames), str(tmp_path / labels))
    with pytest.raises(UserError, match="no labels <city>"):
        video_clips.cityscapes(str(tmp_path))
    with pytest.raises(UserError, match="frames of the sequences: looked for"):
        video_clips.cityscapes(str(tmp_path / "a"))


def test_predictions_need_the_frame_behind() -> None:
    clip = VideoClip("train", "ulm", "ulm_000000", {n: Path(f"x_{n}.png") for n in (19, 20, 21)}, {19: Path("l.png")})
    assert video_clips.chains([clip], 2, skip_missing=True)[0][0].targets() == [20, 21]
    with pytest.raises(UserError, match="has no frame 18, from which on motion is predicted past the labeled 19"):
        video_clips.chains([clip], 2, from_behind=True)
