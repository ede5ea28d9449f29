"""From a command line to a page that answers: what is served is looked at before anybody is told an address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from serving import listen, runs
from serving.app import GIVEN, Served, create
from serving.guard import Guard
from serving.networks import Networks
from utils.errors import UserError, nearest
from utils.plural import counted

_PORTS = 1 << 16


class Bounds(NamedTuple):
    """Of a picture: MB of its file, megapixels."""

    megabytes: float = 30
    megapixels: float = 64


def _say(line: str) -> None:
    """Print a line at once, also where the terminal is a file."""
    print(line, flush=True)


def prepared(
    place: str,
    snapshot: str,
    argv: Sequence[str],
    host: str,
    bounds: Bounds,
    say: Callable[[str], None] = _say,
) -> Served:
    """Look for the runs of a folder, load the network that a command line names, and give what is to be served.

    `place`: a run, a folder of runs or a checkpoint, may be empty; `argv`: further flags of train.py. UserError where
    there is nothing to serve, or as loading raises it.
    """
    for flag, value in (("max_upload", bounds.megabytes), ("max_megapixels", bounds.megapixels)):
        if not 0 < value < 1e6:
            raise UserError(f"--{flag} {value:g}: give more than 0, and less than a million")
    if Path(place).is_file() and not snapshot:
        place, snapshot = "", place
    if not (place or snapshot):
        raise UserError("nothing to show: give --snapshot CKPT, a run, or a folder of runs")
    root, sizes = _folder(place) if place else None, (int(bounds.megabytes * 2**20), int(bounds.megapixels * 1e6))
    served = Served(Networks(argv, say), Guard(host.lower()), snapshot, root, *sizes, say=say)
    found = served.listing()
    if root and not found.runs:
        raise UserError(
            f"{root}: no run in it, nor in {counted(runs.DEPTH, 'level')} of folders below: a run has a report.html, a "
            "metrics.csv or a checkpoint"
        )
    for line in ([f"{counted(len(found.runs), 'run')} in {root}"] if root else []) + found.notes:
        say(line)
    _load(served, found)
    return served


def _folder(place: str) -> Path:
    folder = Path(place)
    if not folder.is_dir():
        beside = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise UserError(f"{place}: there is no such folder of runs{nearest(folder.name, beside)}")
    return folder


def _load(served: Served, found: runs.Listing) -> None:
    """Load the network where the command line leaves no choice; else the page's visitor chooses."""
    offered = served.checkpoints(found)
    if GIVEN in offered or len(offered) == 1:
        served.turns.do(lambda: served.networks.of(next(iter(offered)), offered))
    elif not offered:
        served.say("no run has a checkpoint: the page lists the runs, and takes no pictures")


def serve(served: Served, port: int) -> None:
    """Listen, say where, and answer until Ctrl-C. UserError where the port or the address cannot be had."""
    if not 0 <= port < _PORTS:
        raise UserError(f"--port {port}: give 1 to {_PORTS - 1}, or leave it out for one that is free")
    host = served.guard.host
    server = listen.server(create(served), host, port)
    if served.guard.is_open:
        served.say(
            f"warning: --host {host} lets other machines use this page, see the runs and their reports; there is no "
            "password"
        )
    served.say(f"{listen.address(host, server.port)} (Ctrl-C ends)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        served.say("ended")
    finally:
        server.server_close()
        served.turns.close()
