"""Many small tasks in several processes, with progress; many files from others, so that a second start goes on."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import cv2

from utils import madefrom
from utils.errors import UserError
from utils.files import write_file
from utils.processes import end_with_parent
from utils.progress import progress

Job = TypeVar("Job")
Result = TypeVar("Result")
_AHEAD = 4  # jobs of a thread that are begun, or done and not yet asked for


def in_threads(task: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """Give `task(job)` of all jobs, in their order; only few of them are ahead of who takes them, so memory is flat."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(task, job))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def in_processes(task: Callable[[Any], None], jobs: Sequence[Any], label: str, workers: int | None = None) -> None:
    """Run `task(job)` for all jobs, in `workers` processes (None: up to 4). `task` is a function of a module."""
    if workers is None:
        workers = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    workers = min(workers, len(jobs))
    if workers <= 1:
        for _ in progress(map(task, jobs), label, len(jobs)):
            pass
        return
    # Not fork: the caller may hold threads of torch.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as pool:
        try:
            futures = [pool.submit(task, job) for job in jobs]
            for future in progress(as_completed(futures), label, len(jobs)):
                future.result()
        except BrokenProcessPool:
            cure = "start fewer of them, or give them more memory"
            raise UserError(f"a process of {label!r} has died: as a rule memory ran out; {cure}") from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _start() -> None:
    cv2.setNumThreads(1)
    end_with_parent()


def convert(
    work: Callable[[Path], bytes], pairs: Sequence[tuple[Path, Path]], label: str, workers: int, folder: Path
) -> tuple[int, int]:
    """Write `work(source)` to each target below `folder` that is not there yet, is damaged, or was made of another
    source; gives how many were written, and how many were there.

    A target appears whole or not at all. `work` is a function of a module; a UserError of its own ends all.
    """
    stale = madefrom.remove_stale(folder, {target: [source] for source, target in pairs}, f".{work.__name__}_made.json")
    if stale:
        print(stale, flush=True)
    left = [pair for pair in pairs if not pair[1].is_file()]
    in_processes(_one, [(work, *pair) for pair in left], label, workers)
    return len(left), len(pairs) - len(left)


def _one(job: tuple[Callable[[Path], bytes], Path, Path]) -> None:
    work, source, target = job
    write_file(target, work(source))
