"""train.py in processes that fork from one that has imported it: a start takes milliseconds, not torch's seconds.

They are processes like others: with signals, exit codes, a group of their own and ranks. What they are not is a fresh
interpreter, which `runs.python` starts.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _server() -> multiprocessing.context.ForkServerContext:
    """Where the processes come from: never this one, whose threads of autograd no fork takes along."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warm"])
    return context


_SERVER = _server()


class Process:
    """Calls `target` with `words` in a process; to be used like `subprocess.Popen` with both streams in one pipe."""

    def __init__(self, target: Callable[[list[str]], int], words: Sequence[str], env: Mapping[str, str]) -> None:
        reader, writer = _SERVER.Pipe(duplex=False)
        self._process = _SERVER.Process(target=_run, args=(target, list(words), dict(env), writer))
        paths = {"PYTHONPATH": os.pathsep.join([ROOT, os.path.join(ROOT, "tests")]), "OMP_NUM_THREADS": "1"}
        before = {name: os.environ.get(name) for name in paths}
        os.environ.update(paths)  # for the server, which the first process starts
        try:
            self._process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8", errors="replace")
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """As `kill` does."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float) -> tuple[str, None]:
        """What it has printed since, once it has ended; it is killed where it has not by then."""
        watch = threading.Timer(timeout, self._process.kill)
        watch.start()
        with self.stdout:
            output = self.stdout.read()
        self._process.join()
        watch.cancel()
        self.returncode = self._process.exitcode
        return output, None


def _run(target: Callable[[list[str]], int], words: list[str], env: dict[str, str], output: Connection) -> None:
    """In the new process: streams, environment and end of a command that a shell has started."""
    os.environ.clear()
    os.environ.update(env)
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    output.close()
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, encoding="utf-8", closefd=False) for number in (1, 2))
    sys.argv = ["train.py", *words]
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1"):  # whatever the tests were started with
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = target(words)
    finally:
        atexit._run_exitfuncs()
    sys.exit(code)


def ranks(
    target: Callable[[list[str]], int], words: Sequence[str], world: int = 2, more: Mapping[str, str] | None = None
) -> list[Process]:
    """As many processes, with the environment that torchrun gives to each, and `more`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    places = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]
    return [
        Process(target, words, {**os.environ, "OMP_NUM_THREADS": "1", **meet, **place, **(more or {})})
        for place in places
    ]
