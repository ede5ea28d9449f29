"""The campaign rehearsed: its plan, what does not fit, what fails, what goes on; and all of it, small, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import campaign_checks as checks
from benchmarks import campaign_stages, gpu_campaign, measure, render
from benchmarks.campaign_bench import Bench, Piece

CPU = torch.device("cpu")


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four pieces that do nothing but say, in this list, that they have run; the third fails the first time."""
    ran: list[str] = []

    def piece(name: str, seconds: float, **figures: Any) -> Piece:
        def run() -> dict[str, Any]:
            ran.append(name)
            if figures.get("fails") and ran.count(name) == 1:
                raise RuntimeError("out of luck")
            return {"worst": 0.5, "right": True}

        return Piece(name, seconds, run)

    stages = {
        "first": lambda bench: [piece("a", 1), piece("long", 1000)],
        "second": lambda bench: [piece("b", 1, fails=True), piece("c", 1)],
    }
    monkeypatch.setattr(gpu_campaign, "STAGES", stages)
    return ran


def words(folder: Path, *more: str) -> list[str]:
    return ["--minutes", "2", "--device", "cpu", "--tiny", "--out", str(folder), *more]


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "campaign.json").read_text())


def test_what_does_not_fit_is_left_out_and_what_failed_is_done_again(
    tmp_path: Path, pieces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_campaign.main(words(tmp_path)) == 1 and pieces == ["a", "b", "c"]
    out = capsys.readouterr().out
    assert "4 pieces are missing; those that fit are expected to take 3 of 120 s" in out
    assert "first: long, 1000 s, does not fit" in out and "second: b: failed, RuntimeError: out of luck" in out
    kept = record(tmp_path)
    assert [one["fits"] for one in kept["plan"]] == [True, False, True, True] and kept["machine"]
    states = {name: row["state"] for rows in kept["stages"].values() for name, row in rows.items()}
    assert states == {"a": "done", "long": "left out", "b": "failed", "c": "done"}
    assert "120 s are left, it takes 1000" in kept["stages"]["first"]["long"]["why"]
    assert gpu_campaign.main(words(tmp_path)) == 0 and pieces == ["a", "b", "c", "b"]
    assert gpu_campaign.main(words(tmp_path, "--minutes", "20")) == 0 and pieces[-1] == "long"


def test_mistakes(tmp_path: Path, pieces: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_campaign.main(words(tmp_path, "--minutes", "0")) == 2
    assert gpu_campaign.main(words(tmp_path)) == 1
    (tmp_path / "campaign.json").write_text(json.dumps(record(tmp_path) | {"tiny": False}))
    assert gpu_campaign.main(words(tmp_path)) == 2
    if not torch.cuda.is_available():
        assert gpu_campaign.main(words(tmp_path, "--device", "cuda")) == 2
    error = capsys.readouterr().err
    assert "give a number above 0" in error and "another tiny, False: give another --out" in error


def test_a_difference_is_found() -> None:
    """Each check compares: a device that answers otherwise would be wrong."""
    assert checks.row({"a": 0.1, "b": float("nan")}, 1.0)["where"] == "b"
    assert checks.row({"a": 0.1, "b": float("nan")}, 1.0)["right"] is False
    assert checks.row({"a": 0.1, "b": 0.2}, 0.2) == {"worst": 0.2, "allowed": 0.2, "right": True, "where": "b"}
    assert checks.apart(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 5.0])) == pytest.approx(0.2)


def test_quick_checks_agree_with_themselves() -> None:
    for check in (checks.losses, checks.counts, checks.resizing):
        found = check(CPU)
        assert found["right"] and found["worst"] == 0


@pytest.mark.run
@pytest.mark.slow
def test_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage on the CPU, as a GPU would be asked; a second start has nothing left to do."""
    monkeypatch.setattr(measure, "GEMM", {"cpu": 32})
    monkeypatch.setattr(measure, "MAPS", {"cpu": (1, 8, 8, 8)})
    assert gpu_campaign.main([*words(tmp_path), "--minutes", "20"]) == 0
    rows = {
        f"{stage}: {name}": row for stage, found in record(tmp_path)["stages"].items() for name, row in found.items()
    }
    assert {stage.split(":")[0] for stage in rows} == set(campaign_stages.STAGES)
    wrong = {name: row for name, row in rows.items() if row["state"] == "failed" or row.get("right") is False}
    assert wrong == {}
    assert rows["resume: stopped and resumed"]["worst"] == 0
    assert rows["speed: train against eager"]["ours"]["share"] > 0
    before = (tmp_path / "campaign.json").stat().st_mtime_ns
    bench = Bench(CPU, True, tmp_path)
    missing = gpu_campaign.Campaign(bench, tmp_path / "campaign.json", 60).missing()
    assert {stage for stage, _ in missing} <= {"CamVid", "runtimes"}
    assert abs(rows["planner: RMI"]["error, %"]) < 10
    assert (tmp_path / "campaign.json").stat().st_mtime_ns == before
    assert "| losses and their gradients |" in render.of_campaign(record(tmp_path))


@pytest.mark.parametrize("data_root", ["", "/data/CamVid"])
def test_the_time_plan_of_eight_minutes(tmp_path: Path, data_root: str) -> None:
    """All of it fits, by what the pieces are expected to take, and CamVid where it is."""
    bench = Bench(CPU, False, tmp_path, data_root)
    pieces = {stage: make(bench) for stage, make in campaign_stages.STAGES.items()}
    seconds = sum(piece.seconds for stage in pieces.values() for piece in stage)
    assert 60 < seconds <= 8 * 60 - gpu_campaign.SPARE
    (camvid,) = pieces["CamVid"]
    assert camvid.seconds > 60 if data_root else camvid.run()["why"] == "give --data_root"
