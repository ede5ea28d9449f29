"""What the processes of a run have to agree on, compared before the first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from utils.distributed import Ranks
from utils.errors import UserError

T = TypeVar("T")


def from_main(ranks: Ranks, work: Callable[[], T]) -> T:
    """What `work` gives on the main process, on all of them. Its UserError is raised on all: nobody waits for it."""
    found: T | None = None
    failed = ""
    if ranks.is_main:
        try:
            found = work()
        except UserError as error:
            failed = str(error)
    found, failed = ranks.gather((found, failed))[0]
    if failed:
        raise UserError(failed)
    return found  # type: ignore[return-value]
