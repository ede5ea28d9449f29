"""The true motion of the embedded scenes, against pictures, geometry and what is drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import toyworld
from datasets.reading import read_label
from toyworld import ids, parts
from toyworld.motion import motion, trace
from toyworld.scene import Scene, camera_at, photograph
from utils import flowfile

pytestmark = pytest.mark.run

SIZE = (128, 256)


@pytest.fixture(scope="module", params=[0, 3])
def scene(request: pytest.FixtureRequest) -> Scene:
    return parts.scene(0, 0, request.param, "clear")


@pytest.mark.in_make_test("3-*")
@pytest.mark.parametrize("time", [0.0, 2.0])
def test_labels_are_those_of_the_photograph(scene: Scene, time: float) -> None:
    assert np.array_equal(trace(scene, SIZE, time).label, photograph(scene, SIZE, time)[1])


def test_ground_moves_by_its_homography(scene: Scene) -> None:
    """A plane's points go through camera positions and turns; found here with matrices of 3 x 3 alone."""
    surfaces, flow = trace(scene, SIZE), motion(scene, trace(scene, SIZE), 0.0, 3.0)
    plain = np.isin(surfaces.label, (ids.ROAD, ids.SIDEWALK, ids.PARKING)) & (surfaces.owner == 0)
    rows, columns = np.nonzero(plain)
    assert len(rows) > 1000
    here, there = (camera_at(scene, SIZE, t) for t in (0.0, 3.0))

    def onto(camera) -> np.ndarray:  # plane coordinates (X, Z, 1) -> homogeneous canvas pixels
        turn = camera.rotation()
        return camera.intrinsics() @ np.column_stack([turn[:, 0], turn[:, 2], -turn @ camera.position])

    pixels = np.stack([2 * columns + 1.5, 2 * rows + 1.5, np.ones(len(rows))])
    moved = onto(there) @ np.linalg.inv(onto(here)) @ pixels
    expected = (moved[:2] / moved[2] - pixels[:2]).T / 2
    assert np.abs(flow[rows, columns] - expected).max() < 1e-3


@pytest.mark.slow
def test_sky_and_own_hood() -> None:
    """On a straight street the sky stays; the hood stays on any."""
    seen = set()
    for index in (0, 1, 4, 10):
        scene = parts.scene(0, 0, index, "clear")
        surfaces = trace(scene, SIZE)
        flow = motion(scene, surfaces, 0.0, 5.0)
        here, there = (camera_at(scene, SIZE, t) for t in (0.0, 5.0))
        still = {"hood": surfaces.label == ids.EGO, "sky": (surfaces.label == ids.SKY) & (surfaces.near == 0)}
        turned = abs(here.yaw - there.yaw) * here.focal / 2  # pixels of the picture, in its middle
        for name, most in (("hood", 0.0), ("sky", 1.5 * turned + 1e-3)):
            if still[name].any():
                seen.add(name)
                assert np.abs(flow[still[name]]).max() <= most
    assert seen == {"hood", "sky"}


def test_what_drives_along_moves_with_its_own_speed(scene: Scene) -> None:
    """A thing that moves gets another flow than the same surface would have if it stood still."""
    surfaces = trace(scene, SIZE)
    flow = motion(scene, surfaces, 0.0, 4.0)
    moving = [n for n in np.unique(surfaces.owner[surfaces.owner > 0]) if any(scene.world.things[n - 1].speed)]
    assert moving
    for number in moving:
        thing, own = scene.world.things[number - 1], surfaces.owner == number
        speed, thing.speed = thing.speed, (0.0, 0.0)
        parked = motion(scene, surfaces, 0.0, 4.0)
        thing.speed = speed
        assert np.abs(flow - parked)[own].max() > 1e-3
        assert np.nanmax(np.abs(flow - parked)[~own]) == 0


def test_there_and_back_again(scene: Scene) -> None:
    """Where both frames show the same surface, one flow undoes the other to well under a pixel; pictures agree, too."""
    first, later = trace(scene, SIZE), trace(scene, SIZE, 1.0)
    forth, back = motion(scene, first, 0.0, 1.0), motion(scene, later, 1.0, 0.0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    home = cv2.remap(forth, x, y, cv2.INTER_LINEAR)
    inside = (x >= 0) & (x <= SIZE[1] - 1) & (y >= 0) & (y <= SIZE[0] - 1)
    good = inside & (np.abs(home + back).max(-1) < 0.5)
    assert 0.9 < good.mean() < 1
    assert np.median(np.abs(home + back)[good]) < 0.02
    before, after = (photograph(scene, SIZE, t)[0].astype(np.float32) for t in (0.0, 1.0))
    warped = cv2.remap(before, x, y, cv2.INTER_LINEAR)
    assert np.abs(warped - after)[good].mean() < 0.65 * np.abs(before - after)[good].mean()
    moved = first.label[np.rint(y).astype(int).clip(0, SIZE[0] - 1), np.rint(x).astype(int).clip(0, SIZE[1] - 1)]
    assert (moved == later.label)[good].mean() > 0.97 > 0.95 > (first.label == later.label)[good].mean()


def test_behind_the_camera_nothing_is_known(scene: Scene) -> None:
    flow = motion(scene, trace(scene, SIZE), 0.0, 60.0)
    assert 0 < np.isnan(flow).any(-1).mean() < 0.9


@pytest.mark.slow
def test_files(tmp_path: Path) -> None:
    counts = {"train": 1, "val": 1, "sequences": 1, "frames": 3}
    toyworld.write(tmp_path, ("fine", "motion"), counts=counts, size=(64, 128), workers=1)
    made = parts.scene(0, 0, 0, "clear")
    stem = "altheim_000000"
    labels, flows = (tmp_path / f"{tree}_sequence" / "train" / "altheim" for tree in ("gtFine", "flow"))
    read = [read_label(str(labels / f"{stem}_0000{n}_gtFine_labelIds.png")) for n in (18, 19, 20)]
    fine = read_label(str(tmp_path / "gtFine/train/altheim" / f"{stem}_000019_gtFine_labelIds.png"))
    assert np.array_equal(read[1], fine)
    for a, b in ((18, 19), (19, 18), (19, 20), (20, 19)):
        surfaces = trace(made, (64, 128), float(a - 19))
        assert np.array_equal(surfaces.label, read[a - 18])
        stored = flowfile.read(flows / flowfile.name(stem, a, b))
        assert np.abs(stored - motion(made, surfaces, float(a - 19), float(b - 19))).max() <= 1 / 128 + 1e-4
