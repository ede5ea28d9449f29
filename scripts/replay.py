"""A step of a training once more, bit for bit: why was its loss no finite number?

python scripts/replay.py RUN --step N                      the command that the log of RUN gives
python scripts/replay.py RUN --step 3:17 --out crops       the step by its epoch and iteration; its crops as pictures

The run goes on from its last checkpoint before that step, else from its start, with the same crops, augmentation and
random numbers, up to that step, and says of it: the loss, its terms, which files and which parts of them, which layer,
output or gradient is not finite first, which operation. Nothing is written into RUN. Several processes are started as
the run had them. Further flags and KEY VALUE pairs as train.py takes them, for data that lie elsewhere now:
--data_root, --num_workers, ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import train
from datasets.loaders import AugmentationDump
from engine import launch, replay
from engine.endings import explain
from utils import distributed
from utils.cli import exit_code, place_to_write, start
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.progress import progress


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("run", type=Path, metavar="RUN", help="folder of the training, its --result_dir")
    p.add_argument("--step", required=True, help="batch of the run, from 1 on, or EPOCH:ITERATION")
    p.add_argument("--rank", type=int, default=-1, help="tell of this process's batch alone [of all]")
    p.add_argument("--out", type=place_to_write, help="folder for the batch's crops and labels as pictures")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for what cannot be done again, 130 if it was stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args, rest = parser().parse_known_args(argv)
    try:
        return exit_code(lambda: work(args, rest, argv), args.run, "nothing was written", explain)
    finally:
        distributed.close()


def work(args: argparse.Namespace, rest: Sequence[str], argv: Sequence[str]) -> int:
    """Do the step again, in as many processes as it had."""
    code = launch.as_before(replay.world_of(args.run), [str(Path(__file__).resolve()), *argv])
    if code is not None:
        return code
    ranks = distributed.init()
    with TemporaryDirectory() as scratch:
        again(args, rest, ranks, Path(scratch))
    return 0


def again(args: argparse.Namespace, rest: Sequence[str], ranks: DistributedContext, scratch: Path) -> None:
    """Do the step again as one of its processes, and tell of it."""
    cfg, plan = replay.plan(args.run, args.step, rest, ranks, scratch)
    if args.rank >= ranks.world:
        raise UserError(f"--rank {args.rank}: the run had {ranks.world} process(es), from 0 to {ranks.world - 1}")
    with replay.opened(cfg, plan, ranks, scratch) as rebuilt:
        if ranks.is_main:
            print("\n".join([*plan.opening(), *rebuilt.changes]), flush=True)
        again_to(rebuilt, plan)
        lines = ranks.gather(rebuilt.told())
        if args.out and rebuilt.watched.batch:
            folder = args.out / f"rank{ranks.rank}" if ranks.world > 1 else args.out
            AugmentationDump(folder, rebuilt.run.spec, cfg.DATASET.MEAN, cfg.DATASET.STD)(rebuilt.watched.batch)
    if ranks.is_main:
        for rank, told in enumerate(lines):
            if args.rank in (-1, rank):
                print("\n".join([f"process {rank}:"] * (ranks.world > 1) + told))


def again_to(again: replay.Replay, plan: replay.Plan) -> None:
    """Train as the run did, up to the end of the step. UserError where the run ended before it."""
    run, trainer = again.run, again.trainer
    count = plan.batches(trainer)
    meter = replay.Counting(again, iter(progress(range(count), "batches", count, shown=run.ranks.is_main)))
    ended = None
    try:
        while again.watched.found is None and train.train_epoch(run, trainer, meter, again):  # type: ignore[arg-type]
            train.close_epoch(run, trainer, meter)
    except UserError as error:  # the run ended so as well
        ended = error
    if again.watched.found is None:
        raise ended or UserError(f"the run has no step {plan.target.epoch}:{plan.target.iteration}: it ended before")


if __name__ == "__main__":
    sys.exit(start(main))
