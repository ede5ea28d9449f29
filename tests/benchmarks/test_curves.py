"""First losses of the recipes: bit for bit on the machine that made them, a table of differences on others."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import curves
from benchmarks.curves import Curve

RECIPES = sorted(path.stem for path in Path(curves.ROOT / "scripts/cfg").glob("*.yaml"))


def test_every_recipe_can_be_narrowed_and_kept_losses_are_finite() -> None:
    assert sorted(curves.NARROWED) == RECIPES
    found = [curve for curve in map(curves.kept, RECIPES) if curve]
    assert found and all(12 <= len(curve.losses) and all(map(math.isfinite, curve.losses)) for curve in found)


def test_a_bit_that_differs_fails_on_the_same_machine_alone() -> None:
    known = Curve("2.14.1", "GenuineIntel AVX512", [1.0, 0.5, 0.25])
    assert curves.compared("a", known, known) == (f"{'a':22} 3 losses equal to the bit", False)
    line, failed = curves.compared("a", known._replace(losses=[1.0, 0.5 + 2**-20]), known)
    assert failed and line.endswith("1 of 2 differ, from step 2 on, by up to 1.91e-06 of it")
    for other in (known._replace(torch="2.15.0"), known._replace(processor="AuthenticAMD AVX2")):
        line, failed = curves.compared("a", other._replace(losses=[2.0]), known)
        assert not failed and "kept of torch 2.14.1, GenuineIntel AVX512; here" in line
    assert curves.compared("a", known._replace(losses=[]), known)[1], "nothing was compared"


def test_losses_are_kept_with_all_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "KEPT", tmp_path / "curves")
    found = Curve("2.14.1", "here", [1 / 3 * i for i in range(20)])
    curves.write("a", found)
    assert curves.kept("a") == found


@pytest.mark.run
def test_first_losses_are_those_that_are_kept(tiny_scenes: Path) -> None:
    """Of two recipes, in a process of its own, which has its instructions before torch is loaded."""
    assert curves.main(["camvid_fast", "camvid_trial", "--steps", "12", "--scenes", str(tiny_scenes)]) == 0


@pytest.mark.slow
def test_all_losses_of_all_recipes(tiny_scenes: Path) -> None:
    assert curves.main(["--scenes", str(tiny_scenes)]) == 0
