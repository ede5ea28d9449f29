"""Where the processes of a run meet: what a launcher's environment says, and waiting for the others, not for ever."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import torch.distributed as dist

from utils.errors import UserError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

PATIENCE = "STREETSCALE_JOIN_SECONDS"  # in the environment: how long the others are waited for
# Seconds. Where a launcher has started all of them, one that comes late still reads its libraries, and one that has
# ended makes the launcher end the others: patience costs nothing there.
ALONE, LAUNCHED = 30, 600
_PAUSE = 0.5


class Place(NamedTuple):
    """This process among `world`; on its machine it is number `local` of `here`."""

    rank: int = 0
    world: int = 1
    local: int = 0
    here: int = 1


def number(env: Mapping[str, str], name: str, otherwise: int, least: int = 0) -> int:
    """Read a whole number of the environment, `otherwise` where it is not set. UserError for anything else."""
    text = env.get(name, "").strip()
    if text and not (text.isdecimal() and int(text) >= least):
        raise UserError(f"{name}={text} in the environment is no whole number from {least} on: correct or unset it")
    return int(text) if text else otherwise


def place(env: Mapping[str, str], local_rank: int = 0) -> Place:
    """Read what torchrun, or srun with an address to meet at, says of this process; alone where nothing does.

    `local_rank`: the old launcher's argument. UserError for variables that leave open who is who.
    """
    world = number(env, "WORLD_SIZE", _tasks(env), least=1)
    if world == 1 and number(env, "SLURM_STEP_NUM_TASKS", 1) > 1:
        raise UserError("srun starts several tasks, but MASTER_ADDR is not set: use srun torchrun ..., or export it")
    name = "RANK" if env.get("RANK", "").strip() else "SLURM_PROCID" if _in_step(env) else ""
    rank = number(env, name, 0)
    if world > 1 and not name:
        raise UserError(f"WORLD_SIZE={world}, but no RANK says which of them this process is: torchrun and srun do")
    if rank >= world and (world > 1 or name == "RANK"):
        raise UserError(f"{name}={rank}, but with WORLD_SIZE={world} ranks end at {world - 1}: torchrun sets both")
    if world == 1:
        return Place()
    local = number(env, "LOCAL_RANK", number(env, "SLURM_LOCALID", local_rank))
    return Place(rank, world, local, number(env, "LOCAL_WORLD_SIZE", 1, least=1))


def _in_step(env: Mapping[str, str]) -> bool:
    """Tell whether srun has started this process; the batch script itself also has SLURM_PROCID=0."""
    return "SLURM_STEP_ID" in env or "SLURM_STEP_NUM_TASKS" in env


def _tasks(env: Mapping[str, str]) -> int:
    """Give the processes that Slurm has started, where they have an address to meet at."""
    if "MASTER_ADDR" not in env or "WORLD_SIZE" in env:
        return 1
    job = number(env, "SLURM_NTASKS", 1)
    tasks = number(env, "SLURM_STEP_NUM_TASKS", job if _in_step(env) else 1)
    if job > 1 and tasks == 1:
        raise UserError(
            f"MASTER_ADDR is set and the job has {job} tasks, but this process is alone, since srun did not start it: "
            "srun python ..., or srun torchrun ...; to have one process on purpose, unset MASTER_ADDR"
        )
    return tasks


def join(rank: int, world: int) -> tuple[Store, str]:
    """Make the store of all processes, once all have come, and give this start a name; UserError where not, and a line
    before a long wait.
    """
    env = os.environ
    launched = "SLURM_STEP_ID" in env or "TORCHELASTIC_RUN_ID" in env
    waiting = Waiting(number(env, PATIENCE, LAUNCHED if launched else ALONE, least=1))
    address, port = _address(env)
    hosts = rank == 0 and env.get("TORCHELASTIC_USE_AGENT_STORE") != "True"  # else torchrun itself listens there
    if not hosts:
        waiting.until(lambda: _answers(address, port), lambda: f"nobody answers at {address}:{port}")
    store = _store(address, port, world, hosts, waiting.left)
    return store, _named(store, rank, world, waiting)


def _named(store: Store, rank: int, world: int, waiting: Waiting) -> str:
    """Wait until all have come; gives a name of this start, the same for all, that no earlier one had.

    torchrun's store keeps what an earlier start has written, and each of its nodes counts starts by itself. So every
    process brings a new word, under which process 0 tells it the name.
    """
    own = secrets.token_hex(8)
    store.set(f"word/{rank}", own)
    if rank:
        waiting.until(lambda: store.check([own]), lambda: "process 0 does not answer")
    name = store.get(own).decode() if rank else own
    keys = [f"{name}/{other}" for other in range(world)]
    store.set(keys[rank], "1")

    def all_here() -> bool:
        for other in range(1, world) if rank == 0 else ():
            if store.check([f"word/{other}"]) and not store.check([keys[other]]):
                store.set(store.get(f"word/{other}").decode(), name)
        return store.check(keys)

    waiting.until(all_here, lambda: _missing(store, keys))
    return name


def second_connection(world: int) -> Store:
    """Connect once more with the store that `join` has given: another thread may wait on that one."""
    return _store(*_address(os.environ), world, hosts=False, seconds=ALONE)


class Waiting:
    """Waits for things, `seconds` for all of them together; says so when it takes long."""

    def __init__(self, seconds: float) -> None:
        self._end, self._word = time.monotonic() + seconds, time.monotonic() + min(seconds, ALONE)

    @property
    def left(self) -> float:
        """Seconds that are left, at least one."""
        return max(1.0, self._end - time.monotonic())

    def until(self, done: Callable[[], bool], why: Callable[[], str]) -> None:
        """Ask `done` until it is; UserError with what `why` says when the time is over."""
        pause = 0.02
        while not done():
            now = time.monotonic()
            if now >= self._end:
                raise UserError(
                    f"the processes of this run do not find each other: {why()}; start all of them with the same "
                    f"MASTER_ADDR and MASTER_PORT, no firewall between ({PATIENCE}=900 waits longer)"
                )
            if now >= self._word:
                self._word = self._end
                print(f"waiting for other processes, {self._end - now:.0f} s at most: {why()}", file=sys.stderr)
            time.sleep(pause)
            pause = min(_PAUSE, 2 * pause)


def _address(env: Mapping[str, str]) -> tuple[str, int]:
    """Tell where process 0 listens. UserError for a host that is not known."""
    lacking = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not env.get(name, "").strip()]
    if lacking:
        raise UserError(f"several processes, but no {' and no '.join(lacking)} says where they meet: torchrun does")
    address, port = env["MASTER_ADDR"].strip(), number(env, "MASTER_PORT", 0, least=1)
    if port > 65535:
        raise UserError(f"MASTER_PORT={port} in the environment: ports end at 65535")
    try:
        socket.getaddrinfo(address, port)
    except (OSError, UnicodeError):
        raise UserError(f"MASTER_ADDR={address} is no host that is known here: give its name or number") from None
    return address, port


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def _store(address: str, port: int, world: int, hosts: bool, seconds: float) -> Store:
    """Opened in a thread: of a stranger that listens there, torch would wait for an answer for ever."""
    found: list[Store | str] = []

    def open_it() -> None:
        span = timedelta(seconds=seconds)
        try:
            make = dist.TCPStore  # type: ignore[attr-defined]
            found.append(make(address, port, world, hosts, span, wait_for_workers=False, multi_tenant=True))
        except RuntimeError as error:
            found.append(" ".join(str(error).split()))

    thread = threading.Thread(target=open_it, daemon=True)
    thread.start()
    thread.join(seconds)
    if found and not isinstance(found[0], str):
        return found[0]
    reason = str(found[0]) if found else "what listens there is no run of ours"
    if hosts and "EADDRINUSE" in reason:
        advice = "give another MASTER_PORT (torchrun: --master_port)"
        raise UserError(f"port {port} of this machine is in use, by another run perhaps: {advice}")
    raise UserError(
        f"the processes of this run cannot meet at {address}:{port}: {reason[:200]}; give another MASTER_PORT"
    )


def _missing(store: Store, keys: list[str]) -> str:
    absent = [key.rsplit("/", 1)[1] for key in keys if not store.check([key])]
    return f"{len(absent)} of {len(keys)} did not come, rank {', '.join(absent[:8])}{' and more' * bool(absent[8:])}"
