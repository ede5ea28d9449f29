"""What the processes of a run have to agree on, compared before the first step."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from network.weights import layouts
from utils import digest
from utils.distributed import DistributedContext
from utils.errors import UserError


def compare(ranks: DistributedContext, facts: Callable[[], Mapping[str, str]]) -> None:
    """Raise UserError, the same on all processes, where one of them has another fact than the main one.

    `facts` gives {what: as text or digest}; with a single process it is not called.
    """
    if ranks.world == 1:
        return
    all_facts = ranks.gather((socket.gethostname(), dict(facts())))
    (home, ours), *others = all_facts
    for rank, (host, theirs) in enumerate(others, start=1):
        for what in [*ours, *(key for key in theirs if key not in ours)]:
            if theirs.get(what) != ours.get(what):
                raise UserError(
                    f"process {rank} on {host} has {what} {theirs.get(what, 'unset')}, process 0 on {home} "
                    f"{ours.get(what, 'unset')}: start all processes with the same command, code and files"
                )


def command_facts(options: Mapping[str, Any], code: Path) -> dict[str, str]:
    """Tell what to compare before anything else is done together: the source code below `code`, torch, options.

    A process's own number is left out.
    """
    facts = {"the code of digest": digest.of_code(code), "torch": str(torch.__version__)}
    return facts | _options(options)


def start_facts(options: Mapping[str, Any], start: Path | None, classes: Sequence[object]) -> dict[str, str]:
    """Tell what to compare before a run is opened: options, as completed by then, the checkpoint to start from, classes
    and their label values.
    """
    begin = f"{start} (digest {digest.of_files(layouts.files(start))})" if start else "none"
    return _options(options) | {"the starting point": begin, "the classes of digest": digest.of_names(classes)}


def _options(options: Mapping[str, Any]) -> dict[str, str]:
    return {f"the option {name}": repr(value) for name, value in options.items() if not name.endswith("_rank")}
