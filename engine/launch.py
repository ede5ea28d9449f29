"""One command on several GPUs of this machine: a process on each, without another launcher (--device 0-3)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch

from engine.stop import handled
from utils import gpus
from utils.distributed import LAUNCHED
from utils.errors import UserError
from utils.processes import fate
from utils.rendezvous import number

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_PATIENCE = 15.0  # seconds in which the others may end by themselves once one has failed, and again after SIGTERM
_PAUSE = 0.1
_MOST = 64  # processes on the CPU


def on(devices: Sequence[int], command: Sequence[str]) -> int | None:
    """Run `command` (a script and its words) on the GPUs of these numbers; gives the exit code when all have ended.

    None where this process has to do the work: as one of those that were started so, or on a single GPU, which is the
    only one that it sees from then on. To be called before CUDA is used. UserError for GPUs that are not there, and
    where another launcher has started several processes already.
    """
    env = os.environ
    if LAUNCHED in env:
        threading.Thread(target=_end_with, args=(int(env[LAUNCHED]),), daemon=True).start()
        return None
    if "LOCAL_RANK" in env or any(number(env, name, 1) > 1 for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")):
        raise UserError("--device starts its processes itself: leave it out with torchrun or srun")
    names = gpus.visible(gpus.present(devices, torch.cuda.device_count()))
    if len(names) == 1:
        gpus.one(devices)
        return None
    return _processes(names, command)


def as_before(world: int, command: Sequence[str]) -> int | None:
    """Run `command` in as many processes as an earlier run had, on a GPU each or, without one, on the CPU.

    None, as `on`, where this process has to do the work. UserError for fewer GPUs than processes, and for more
    processes than one machine without any is asked to start: their number is a file's.
    """
    env, count = os.environ, torch.cuda.device_count()
    if LAUNCHED not in env and (world == 1 or number(env, "WORLD_SIZE", 1) > 1):
        return None
    if LAUNCHED in env or count >= world:
        return on(range(world), command)
    if count:
        raise UserError(
            f"the run had {world} processes, and here are {count} GPU(s): go where there are as many, or give "
            "CUDA_VISIBLE_DEVICES= before the command, for the CPU, whose bits are others"
        )
    if world > _MOST:
        raise UserError(f"the run had {world} processes: more than {_MOST} are started by torchrun or srun alone")
    return _processes([""] * world, command)


def _processes(names: Sequence[str], command: Sequence[str]) -> int:
    """Run a process for each GPU of these names; gives the exit code when all have ended."""
    env = os.environ
    processes: list[subprocess.Popen[bytes]] = []
    with _signals_passed_on(processes):
        for added in environments(names):
            # In a session of its own: the terminal's signals reach this process alone, which passes them on.
            started = subprocess.Popen([sys.executable, *command], env=env | added, start_new_session=True)
            processes.append(started)
        return supervised(processes)


def _end_with(parent: int) -> None:
    """Ask this process to stop when the one that has started it is gone, which no signal can tell after SIGKILL."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def environments(names: Sequence[str]) -> list[dict[str, str]]:
    """Tell what the process on each GPU finds in its environment: what torch's process group needs, its threads."""
    world = str(len(names))
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // len(names))))
    common = {LAUNCHED: str(os.getpid()), "CUDA_VISIBLE_DEVICES": ",".join(names), "OMP_NUM_THREADS": threads}
    common |= {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(len(names))]


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def supervised(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait for all. The exit code of the first that failed, as shells count; else 0.

    Where one has failed the others end by themselves, or after a while are ended: they would wait for it.
    """
    failed, since, last_words = 0, 0.0, [signal.SIGTERM, signal.SIGKILL]
    while any(process.poll() is None for process in processes):
        time.sleep(_PAUSE)
        if not failed:
            failed, since = _first_failure(processes), time.monotonic()
            dead = [rank for rank, process in enumerate(processes) if (process.poll() or 0) < 0]
            if failed and dead:  # it could not say why itself
                print(f"error: process {dead[0]} has died {fate(processes[dead[0]].poll() or 0)}", file=sys.stderr)
        elif last_words and time.monotonic() - since > _PATIENCE:
            _send(processes, last_words.pop(0))
            since = time.monotonic()
    return failed or _first_failure(processes)


def _first_failure(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    codes = [process.poll() or 0 for process in processes]
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


def _send(processes: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        process.send_signal(number)  # nothing happens where it has ended


def _signals_passed_on(processes: Sequence[subprocess.Popen[bytes]]) -> AbstractContextManager[None]:
    heard = [number for number in _PASSED_ON if signal.getsignal(number) != signal.SIG_IGN]  # nohup: no SIGHUP
    return handled(heard, lambda number, frame: _send(processes, number))
