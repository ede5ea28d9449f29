"""A real Slurm on this host for the tests: munged, slurmctld, and two nodes of one CPU each.

`Cluster.missing()` says what it needs and does not find; the tests skip with that reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")
CONF = """
ClusterName=streetscale
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool.%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
ReturnToService=2
MpiDefault=none
KillWait=30
InactiveLimit=0
MinJobAge=3000
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
"""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED")


class Cluster:
    """Starts in `root` (a folder of few letters: sockets have short names); `close` ends every daemon."""

    @staticmethod
    def missing() -> str:
        """Why no Slurm can be started here; empty if one can."""
        absent = [name for name in PROGRAMS if not find(name)]
        if absent:
            return f"no {', '.join(absent)} here (apt-get install slurm-wlm munge)"
        return "" if os.geteuid() == 0 else "slurmctld and slurmd are started as root, which this is not"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}
        self._daemons: list[subprocess.Popen] = []
        for name in ("state", "spool.n1", "spool.n2"):
            (root / name).mkdir(parents=True)
        root.chmod(0o755)  # munged refuses a socket in a folder that others cannot enter, or can write to
        key = root / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        (root / "slurm.conf").write_text(CONF.format(root=root, host=socket.gethostname(), ports=free_ports(3)))

    def start(self) -> None:
        """Bring everything up and wait until both nodes are idle."""
        files = ("socket", "pid-file", "log-file", "seed-file")
        munge = [f"--{name}={self.root}/munge.{name.split('-')[0]}" for name in files]
        self._daemon("munged", "--foreground", "--force", f"--key-file={self.root}/munge.key", *munge)
        wait(lambda: (self.root / "munge.socket").exists(), 20, "munged gives no socket")
        self._daemon("slurmctld", "-D", "-i")
        wait(lambda: self._run("scontrol", "ping").stdout.count(" UP") == 1, 30, "slurmctld does not answer")
        self._nodes = {node: self._daemon("slurmd", "-D", "-N", node) for node in ("n1", "n2")}
        wait(
            lambda: self._run("sinfo", "-h", "-N", "-p", "main", "-o", "%t").stdout.split() == ["idle"] * 2,
            60,
            "no idle nodes",
        )

    def close(self) -> None:
        """Cancel what runs and end the daemons."""
        self._run("scancel", "--full", "--signal=KILL", "--user=root")
        self._run("scancel", "--user=root")
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def lose(self, node: str) -> None:
        """Let everything on a node stand still, as where its machine is gone, and say so to Slurm."""
        tasks = [pid for pid in processes() if f"SLURMD_NODENAME={node}".encode() in read(pid, "environ").split(b"\0")]
        steps = [pid for pid in processes() if read(pid, "comm").startswith(b"slurmstepd")]
        above = {int(read(pid, "stat").rpartition(b")")[2].split()[1]) for pid in tasks}
        self._lost = [self._nodes[node].pid, *(pid for pid in steps if pid in above), *tasks]
        for pid in self._lost:
            os.kill(pid, signal.SIGSTOP)
        self._run("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def find_again(self, node: str) -> None:
        """The machine starts anew."""
        for pid in self._lost:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._nodes[node].wait(15)
        self._nodes[node] = self._daemon("slurmd", "-D", "-N", node)
        self._run("scontrol", "update", f"nodename={node}", "state=resume")

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETED, ... of one job or array task."""
        for word in self._run("scontrol", "show", "job", job).stdout.split():
            if word.startswith("JobState="):
                return word.removeprefix("JobState=")
        return "UNKNOWN"

    def wait_for(self, job: str, *states: str, seconds: float) -> str:
        """Until the job is in one of `states` (none given: has ended). Gives the state; fails after `seconds`."""
        wanted = states or ENDED
        wait(lambda: self.state(job) in wanted, seconds, f"job {job} is not {' or '.join(wanted)}")
        return self.state(job)

    def _daemon(self, name: str, *arguments: str) -> subprocess.Popen:
        program = find(name)
        assert program, name
        with open(self.root / f"{name}.out", "ab") as out:
            self._daemons.append(subprocess.Popen([program, *arguments], env=self.env, stdout=out, stderr=out))
        return self._daemons[-1]

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60, check=False)


def processes() -> list[int]:
    """Numbers of what runs on this machine."""
    return [int(place.name) for place in Path("/proc").glob("[0-9]*")]


def read(pid: int, file: str) -> bytes:
    """What the kernel says of a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def find(name: str) -> str | None:
    """Path of a program; daemons stand in sbin, which a user's PATH may lack."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait(ready, seconds: float, otherwise: str) -> None:
    """Until `ready()`; AssertionError with `otherwise` after `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{otherwise} after {seconds} s"
        time.sleep(0.3)
