"""Commands that predict with a trained network and train none: their flags, their folder and log, their exit code."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from yacs.config import CfgNode

from engine.log import RunLog
from engine.runlock import FolderLock
from engine.session import Run
from inference.memory import is_out_of_memory
from utils import amp, distributed
from utils.cli import GOES_ON, exit_code
from utils.contracts import DatasetSpec

Work = Callable[[Namespace, Sequence[str], str], None]


def parser(what: str, others: str) -> ArgumentParser:
    """Make an empty command line; other words go to the options of train.py, of which the help names `others`."""
    epilog = f"Further flags and KEY VALUE pairs as train.py takes them: {others}, ..."
    return ArgumentParser(description=what, epilog=epilog, allow_abbrev=False)


@contextmanager
def opened(
    cfg: CfgNode, spec: DatasetSpec, ranks: distributed.DistributedContext, command: str, log: str
) -> Iterator[Run]:
    """Open a run, alone in its folder, with the log `log` there; both are closed afterwards."""
    folder, lock = Path(cfg.RESULT_DIR), FolderLock()
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, ranks.device)
    note = distributed.from_main(ranks, lambda: lock.take(folder, command))
    run = Run(cfg, spec, ranks, RunLog(folder, ranks.is_main, log), precision, command, lock)
    distributed.on_hang(run.log.note)
    try:
        run.log.line("\n".join(filter(None, [command, note, *cfg.NOTES, precision.note])))
        yield run
    finally:
        run.close()


def main(
    script: str, flags: ArgumentParser, work: Work, folder: str, argv: Sequence[str] | None, stopped: str = GOES_ON
) -> int:
    """Do `work(args, further flags, command)` of a command line: exit code 0, 2 with one line for a user's mistake, 130
    if it was stopped. `folder`: the option that names where it writes; `stopped`: what to tell who stopped it.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    args, rest = flags.parse_known_args(argv)
    command = f"{distributed.launcher()} {script} {shlex.join(argv)}"
    try:
        return exit_code(lambda: work(args, rest, command), getattr(args, folder), stopped, _short_of_memory)
    finally:
        distributed.close()


def _short_of_memory(error: Exception) -> str:
    """Give the line for memory that ran out; "" for another error."""
    if not is_out_of_memory(error):
        return ""
    what = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"out of memory ({what}); free some (other processes?), or take smaller pictures"
