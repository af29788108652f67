"""A real Slurm cluster on this one host: munged, slurmctld and one slurmd per node, without systemd.

Not a simulation, and not a way to run a cluster for other people: no cgroups (memory limits are not
enforced), no accounting (`sacct` fails, as on bare clusters), every node is this machine. All state lives in
one directory; an ordinary user can run it. By hand:

    eval "$(python tests/slurm/cluster.py up DIR)"    # starts what is not running, prints the environment
    python tests/slurm/cluster.py down DIR
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
MARK = "SLURM_CLUSTER_NAME"  # set for the daemons here, and by Slurm itself for every job
SOCKET_PATH_ROOM = 60  # a unix socket's path is limited to 107 bytes, and slurmstepd appends about 40

CONFIG = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={munge_socket},cred_expire=5
StateSaveLocation={directory}/state
SlurmdSpoolDir={short}/spool/%n
SlurmctldPidFile={directory}/run/slurmctld.pid
SlurmdPidFile={directory}/run/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
SchedulerParameters=bf_interval=2,sched_interval=5,batch_sched_delay=1
ReturnToService=2
KillWait=1
SlurmdTimeout=15
MessageTimeout=10
DefMemPerCPU=100
"""
MUNGED = """--foreground --force --socket={munge_socket} --key-file={directory}/etc/munge.key
--pid-file={directory}/run/munged.pid --log-file={directory}/log/munged.log
--seed-file={directory}/run/munged.seed
"""


class ClusterError(RuntimeError):
    """The cluster can't start; the message ends with the failing daemon's log."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the cluster pretends to be: CPUs and memory may exceed the machine's, GPUs are only counted."""

    nodes: int = 2
    cpus: int = 8
    memory_mb: int = 16_000
    gpus: int = 2
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of slurm.conf


def missing_programs() -> list[str]:
    """The programs of Slurm and MUNGE that are not installed."""
    return [program for program in PROGRAMS if find_program(program) is None]


def find_program(name: str) -> str | None:
    """Daemons live in sbin directories, which an ordinary user's PATH often lacks."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


class Cluster:
    """The cluster kept in one directory: `with Cluster(directory) as cluster: ... cluster.environment`."""

    def __init__(self, directory: Path, shape: Shape | None = None) -> None:
        self.directory = directory.resolve()
        self.shape = shape or Shape()
        digest = hashlib.sha256(str(self.directory).encode()).hexdigest()[:10]
        self.name = f"ocspec{digest}"
        long = len(str(self.directory)) > SOCKET_PATH_ROOM
        self.short = Path(tempfile.gettempdir()) / f"slurm-{digest}" if long else self.directory
        self.munge_socket = self.short / "munge.sock"
        self.config = self.directory / "etc/slurm.conf"
        self._pids_file = self.directory / "run/pids.json"
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to talk to this cluster and no other."""
        return {"SLURM_CONF": str(self.config), "MUNGE_SOCKET": str(self.munge_socket)}

    @property
    def nodes(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.shape.nodes + 1)]

    # -- up

    def start(self) -> None:
        """Start every daemon that is not running and wait until all nodes are idle; about a second."""
        if missing := missing_programs():
            raise ClusterError(f"not installed: {', '.join(missing)}; run tests/slurm/install.sh")
        if any(letter.isspace() for letter in str(self.directory)):
            raise ClusterError(f"slurm.conf can't name a directory with white space: {self.directory}")
        try:
            self._write_files()
            self._start_munged()
            self._start_controller()
            for node in self.nodes:
                if not self._alive(node):
                    self._spawn("slurmd", "-D", "-N", node, "-f", str(self.config), name=node)
            self._wait("idle nodes", self._all_idle, "slurmctld", *self.nodes)
        except BaseException:
            self.stop()
            raise

    def _write_files(self) -> None:
        for part in ("etc", "run", "log", "state", "dev"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        if self.short != self.directory:
            self.short.mkdir(mode=0o755, exist_ok=True)
            if self.short.stat().st_uid != os.geteuid():
                raise ClusterError(f"{self.short} belongs to someone else")
        for node in self.nodes:
            (self.short / "spool" / node).mkdir(parents=True, exist_ok=True)
        if self.config.exists():
            return
        key = self.directory / "etc/munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        (self.directory / "etc/cgroup.conf").write_text("CgroupAutomount=no\n")
        (self.directory / "etc/gres.conf").write_text(self._gres())
        self.config.write_text(self._slurm_conf())

    def _gres(self) -> str:
        # slurmd wants character devices: a link to /dev/null is one, and needs no privilege.
        devices = [self.directory / f"dev/gpu{number}" for number in range(self.shape.gpus)]
        for device in devices:
            device.unlink(missing_ok=True)
            device.symlink_to("/dev/null")
        return "".join(f"Name=gpu File={device}\n" for device in devices)

    def _slurm_conf(self) -> str:
        host = socket.gethostname().split(".")[0]
        controller_port, *node_ports = free_ports(1 + self.shape.nodes)
        user = pwd.getpwuid(os.geteuid()).pw_name
        text = CONFIG.format(**vars(self), host=host, port=controller_port, user=user)
        settings = {"CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny"} if is_loopback() else {}
        settings |= self.shape.settings
        kept = [line for line in text.splitlines() if line.split("=")[0] not in settings]
        lines = kept + [f"{key}={value}" for key, value in settings.items()]
        gres = f"Gres=gpu:{self.shape.gpus} " if self.shape.gpus else ""
        size = f"CPUs={self.shape.cpus} RealMemory={self.shape.memory_mb} {gres}State=UNKNOWN"
        for node, port in zip(self.nodes, node_ports, strict=True):
            lines.append(f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size}")
        lines.append(f"PartitionName=main Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE")
        return "\n".join(lines) + "\n"

    def _start_munged(self) -> None:
        if not self._alive("munged"):
            self.munge_socket.unlink(missing_ok=True)
            self._spawn("munged", *MUNGED.format(**vars(self)).split())
        probe = ("munge", f"--socket={self.munge_socket}", "--no-input")
        self._wait("munged", lambda: self._ask(*probe).returncode == 0, "munged")

    def _start_controller(self) -> None:
        if not self._alive("slurmctld"):
            self._spawn("slurmctld", "-D", "-f", str(self.config))
        self._wait("slurmctld", lambda: "UP" in self._ask("scontrol", "ping").stdout, "slurmctld")

    def _all_idle(self) -> bool:
        rows = self._ask("sinfo", "--noheader", "--Node", "--format=%N %T").stdout.split("\n")
        states = dict(row.split() for row in rows if row)
        return all(states.get(node) in {"idle", "mixed", "allocated", "completing"} for node in self.nodes)

    def _spawn(self, program: str, *arguments: str, name: str = "") -> None:
        name = name or program
        path = find_program(program)
        assert path is not None  # start() looked for it
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH"))}
        with (self.directory / f"log/{name}.out").open("ab") as output:
            child = subprocess.Popen(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**clean, **self.environment, MARK: self.name},
                cwd=self.directory / "run",
                start_new_session=True,
            )
        self._children[name] = child
        self._record({**self._pids(), name: (child.pid, start_time(child.pid))})

    def _wait(self, what: str, ready: Callable[[], bool], *daemons: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not ready():
            dead = [name for name in daemons if not self._alive(name)]
            if dead or time.monotonic() > end:
                reason = f"{', '.join(dead)} exited" if dead else f"not there after {seconds:.0f} s"
                raise ClusterError(f"waiting for {what}: {reason}\n{self.log_tail(*daemons)}")
            time.sleep(0.05)

    def log_tail(self, *daemons: str, lines: int = 15) -> str:
        """The last lines of what these daemons said, for an error message."""
        texts = [(self.directory / f"log/{name}.out").read_text(errors="replace") for name in daemons]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **self.environment}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=False)

    # -- down

    def stop(self) -> None:
        """End the jobs, the daemons and what they left behind; safe to call twice or on half a cluster."""
        if self._alive("slurmctld"):
            with contextlib.suppress(subprocess.TimeoutExpired):  # a controller that hangs is killed below
                self._cancel_jobs()
        self._end("slurmctld")
        nodes = [name for name in self._pids() if name != "munged"]
        self._end(*nodes, patience_s=0.5)  # a node that still has a job waits ten for the controller
        for pid in self.strays():
            send(pid, signal.SIGKILL)
        self._end("munged")
        for child in self._children.values():
            child.wait(timeout=10)
        self._children.clear()
        if self._pids_file.exists():
            self._record({})
        if self.short != self.directory:
            shutil.rmtree(self.short, ignore_errors=True)

    def _cancel_jobs(self) -> None:
        self._ask("scancel", "--full", f"--user={os.geteuid()}")
        end = time.monotonic() + 3
        while self._ask("squeue", "--noheader").stdout.strip() and time.monotonic() < end:
            time.sleep(0.1)

    def _end(self, *names: str, patience_s: float = 10) -> None:
        for number, seconds in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
            living = [name for name in names if self._alive(name)]
            for name in living:
                send(self._pids()[name][0], number)
            end = time.monotonic() + seconds
            while any(self._alive(name) for name in living) and time.monotonic() < end:
                time.sleep(0.02)

    def strays(self) -> list[int]:
        """Processes that carry this cluster's mark: slurmstepd, jobs, and daemons that were not recorded."""
        found = []
        mark = f"{MARK}={self.name}".encode()
        recorded = {pid for pid, _ in self._pids().values()}
        for entry in Path("/proc").iterdir():
            try:
                marked = entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0")
            except OSError:  # ended meanwhile, or someone else's
                continue
            if marked and int(entry.name) not in {os.getpid(), *recorded}:
                found.append(int(entry.name))
        return found

    # -- the pids that are ours

    def _pids(self) -> dict[str, tuple[int, str | None]]:
        if not self._pids_file.exists():
            return {}
        return {name: (pid, began) for name, (pid, began) in json.loads(self._pids_file.read_text()).items()}

    def _record(self, pids: Mapping[str, tuple[int, str | None]]) -> None:
        aside = self._pids_file.with_suffix(".new")
        aside.write_text(json.dumps(pids))
        aside.replace(self._pids_file)

    def _alive(self, name: str) -> bool:
        pid, began = self._pids().get(name, (0, None))
        return began is not None and start_time(pid) == began


def start_time(pid: int) -> str | None:
    """When the kernel started this process, in clock ticks: tells it from a later one with the same pid."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else rest[18]


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_loopback() -> bool:
    """Whether this host's name leads to the loopback: then the daemons can bind there and nowhere else."""
    name = socket.gethostname()
    try:
        return socket.gethostbyname(name).startswith("127.")
    except OSError:
        raise ClusterError(f"Slurm needs the host name to resolve: add `127.0.0.1 {name}` to /etc/hosts") from None


def free_ports(count: int) -> list[int]:
    """Free loopback ports, below the kernel's range for outgoing connections: none is taken meanwhile."""
    ports: list[int] = []
    for port in random.sample(range(20_000, 32_000), 500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                ports.append(port)
        if len(ports) == count:
            return ports
    raise ClusterError(f"found {len(ports)} free ports of {count} between 20000 and 32000")


def main() -> int:
    """`up DIR` prints export lines; `down DIR` ends the cluster and keeps its logs."""
    parser = argparse.ArgumentParser(description="Start or stop a one-host Slurm cluster.")
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    cluster = Cluster(arguments.directory)
    try:
        cluster.start() if arguments.action == "up" else cluster.stop()
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.action == "up":
        print("\n".join(f"export {key}='{value}'" for key, value in cluster.environment.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
