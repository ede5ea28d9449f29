"""All that is to be measured on a GPU, in the minutes that there are: the most valuable first, without a network.

    python benchmarks/gpu_campaign.py --minutes 8
    python benchmarks/gpu_campaign.py --minutes 8 --data_root /data/CamVid
    python benchmarks/gpu_campaign.py --minutes 2 --device cpu --tiny           the rehearsal
    python benchmarks/render.py logs/gpu_campaign/campaign.json                 its tables, in docs/benchmarks.md

Every CUDA path against the CPU; the training step and evaluation against the published way, and what people would use
instead; an image by small fast networks; the planner's error; a resume; a training on CamVid where --data_root has it;
exported files. Scenes are drawn, weights are random. The time plan is printed and kept: what does not fit into the
minutes that are left is left out with a line. OUT/campaign.json is written after each piece; the same command again
goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measure
from benchmarks.campaign_bench import Bench, Piece
from benchmarks.campaign_stages import STAGES
from scripts import check_gpu
from utils.cli import exit_code, place_to_write, start
from utils.distributed import DistributedContext
from utils.errors import UserError, in_short
from utils.files import write_file

SPARE = 10.0  # seconds kept for the end
TOLD = ("state", "what", "against", "unit", "device", "command")  # of a row, by its name or the headline


class Campaign:
    """What is known so far, as a file: {stage: {piece: row}}, the plan, the machine. `limit`: seconds of this start."""

    def __init__(self, bench: Bench, path: Path, limit: float) -> None:
        self.bench, self.path, self.began, self.limit = bench, path, time.monotonic(), limit
        bench.left = lambda: self.limit - (time.monotonic() - self.began)
        self.pieces = {stage: make(bench) for stage, make in STAGES.items()}
        self.record = self._read()

    def _read(self) -> dict[str, Any]:
        """The record of an earlier start, or a new one. UserError where it is another machine's or size's."""
        new = {
            "campaign": 1, "tiny": self.bench.tiny, "device": self.bench.device.type,
            "started": datetime.now(timezone.utc).isoformat(timespec="minutes"),
            "hardware": measure.hardware(self.bench.device), "machine": machine(self.bench.device), "stages": {},
        }  # fmt: skip
        if not self.path.exists():
            return new
        kept = json.loads(self.path.read_text(encoding="utf-8"))
        for name in ("tiny", "device", "hardware"):
            if kept.get(name) != new[name]:
                raise UserError(f"{self.path} has the figures of another {name}, {kept.get(name)}: give another --out")
        return kept

    def row(self, stage: str, name: str) -> dict[str, Any]:
        """What is known of a piece."""
        return self.record["stages"].get(stage, {}).get(name, {})

    def missing(self) -> list[tuple[str, Piece]]:
        """The pieces without a figure, the most valuable first."""
        every = [(stage, piece) for stage, pieces in self.pieces.items() for piece in pieces]
        return [(stage, piece) for stage, piece in every if self.row(stage, piece.name).get("state") != "done"]

    def plan(self) -> list[dict[str, Any]]:
        """Which of the missing pieces fit, one after another, by the seconds that each is expected to take."""
        planned, left = [], self.limit - SPARE
        for stage, piece in self.missing():
            fits = piece.seconds <= left
            left -= piece.seconds * fits
            planned.append({"stage": stage, "piece": piece.name, "seconds": piece.seconds, "fits": fits})
        return planned

    def run(self) -> int:
        """Do what is missing; gives the exit code, 1 where a piece has failed or is wrong."""
        self.record["plan"] = self.plan()
        print("\n".join(plan_lines(self.record["plan"], self.limit)), flush=True)
        for stage, piece in self.missing():
            if piece.seconds > self.bench.left() - SPARE:
                row = {"state": "left out", "why": f"{self.bench.left():.0f} s are left, it takes {piece.seconds:.0f}"}
            else:
                row = done(piece)
            self.record["stages"].setdefault(stage, {})[piece.name] = row
            write_file(self.path, (json.dumps(self.record, indent=1) + "\n").encode())
            print(line(stage, piece.name, row), flush=True)
        rows = [row for stage in self.record["stages"].values() for row in stage.values()]
        further = "a rehearsal" if self.bench.tiny else f"python benchmarks/render.py {self.path} makes their tables"
        print(f"figures: {self.path}; {further}")
        return int(any(row["state"] == "failed" or row.get("right") is False for row in rows))


def done(piece: Piece) -> dict[str, Any]:
    """Run a piece; an error of it is its row, so that the others still run."""
    began = time.monotonic()
    try:
        row = {"state": "done", **piece.run()}
    except Exception as error:
        row = {"state": "failed", "why": in_short(error)}
    return {**row, "seconds": round(time.monotonic() - began, 1)}


def plan_lines(plan: Sequence[dict[str, Any]], limit: float) -> list[str]:
    """The plan, a line a piece."""
    total = sum(one["seconds"] for one in plan if one["fits"])
    lines = [f"{len(plan)} pieces are missing; those that fit are expected to take {total:.0f} of {limit:.0f} s"]
    for one in plan:
        fits = "" if one["fits"] else ", does not fit"
        lines.append(f"  {one['stage']}: {one['piece']}, {one['seconds']:.0f} s{fits}")
    return lines


def line(stage: str, name: str, row: dict[str, Any]) -> str:
    """What a piece has given, in one line."""
    if row["state"] != "done":
        return f"{stage}: {name}: {row['state']}, {row['why']}"
    shown = {key: value for key, value in row.items() if isinstance(value, (bool, int, float, str)) and key not in TOLD}
    texts = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items())
    return f"{stage}: {name}: {', '.join(texts)}"


def machine(device: torch.device) -> list[str]:
    """What scripts/check_gpu.py tells of it."""
    return [*check_gpu.facts(device), check_gpu.where(DistributedContext(device=device))]


def chosen_device(name: str) -> torch.device:
    """The device of --device; UserError where it is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is at hand: --device cpu --tiny rehearses the campaign without one")
    return torch.device("cuda", 0) if name == "cuda" else torch.device("cpu")


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("--minutes", type=float, required=True, help="time that it may take, for instance 8")
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="where to measure [cuda]")
    p.add_argument("--tiny", action="store_true", help="small networks and images: a rehearsal, no figures to show")
    p.add_argument("--out", type=place_to_write, default=Path("logs/gpu_campaign"), help="folder [logs/gpu_campaign]")
    p.add_argument("--data_root", default="", help="CamVid in the SegNet layout, for a training on it")
    return p


def run(args: argparse.Namespace) -> int:
    """Measure what is missing of a campaign; gives the exit code."""
    if not args.minutes > 0:
        raise UserError(f"--minutes {args.minutes:g}: give a number above 0, for instance 8")
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(chosen_device(args.device), args.tiny, args.out.resolve(), args.data_root)
    return Campaign(bench, args.out / "campaign.json", 60 * args.minutes).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: 0, 1 where a piece failed or is wrong, 2 with one line for a user's mistake."""
    args = parser().parse_args(argv)
    return exit_code(lambda: run(args), args.out)


if __name__ == "__main__":
    sys.exit(start(main))
