"""A real Slurm cluster on this one host: munged, slurmctld and one slurmd per node, without systemd.

Not a simulation, and not a way to run a cluster for other people: no cgroups (memory limits are not
enforced), every node is this machine, and `sacct` fails, as on bare clusters, unless accounting is asked for.
All state lives in one directory; an ordinary user can run it. Its daemons and nodes can be killed, paused and
healed. By hand:

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
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.slurm.accounting import PROGRAMS as ACCOUNTING_PROGRAMS
from tests.slurm.accounting import Accounting
from tests.slurm.processes import carrying, kill_at_once, send, start_time

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo")
MARK = "SLURM_CLUSTER_NAME"  # set for the daemons here, and by Slurm itself for every job
PATIENCE_S = 120.0  # of a machine that does other things as well
PORTS = range(20_000, 32_000)  # below the kernel's range for outgoing connections: none is taken meanwhile
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
# `main` is preempted by `urgent`, the two others by both. Without preempt_send_user_signal, the signal that a job
# asked for (--signal) does not come when it is preempted.
PREEMPTION = """\
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
"""
PARTITIONS = {
    "main": "PriorityTier=10 PreemptMode=REQUEUE GraceTime={grace_s}",
    "scavenge": "PriorityTier=1 PreemptMode=REQUEUE GraceTime=0",
    "grace": "PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace_s}",
    "urgent": "PriorityTier=100 PreemptMode=OFF",
}
_claims: list[socket.socket] = []
USABLE = {"idle", "mixed", "allocated", "completing"}
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
    settings: Mapping[str, str | None] = dataclasses.field(default_factory=dict)  # of slurm.conf; None: leave out
    accounting: bool = False
    preemption: bool = False  # the partitions scavenge, grace and urgent beside main
    grace_s: int = 15  # between a preempted job's first signal and its end, in main and grace


def missing_programs(*, accounting: bool = False) -> list[str]:
    """The programs of Slurm and MUNGE that are not installed; with `accounting`, also of MariaDB."""
    wanted = PROGRAMS + (ACCOUNTING_PROGRAMS if accounting else ())
    return [program for program in wanted if find_program(program) is None]


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
        self._accounting = Accounting(self)

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
        """Start every daemon that is not running, let the paused ones go on, and wait until all nodes are usable.

        Less than a second, with accounting 4 s the first time. Raises ClusterError with a failing daemon's log; then
        nothing is left running.
        """
        if missing := missing_programs(accounting=self.shape.accounting):
            raise ClusterError(f"not installed: {', '.join(missing)}; run tests/slurm/install.sh")
        if any(letter.isspace() for letter in str(self.directory)):
            raise ClusterError(f"slurm.conf can't name a directory with white space: {self.directory}")
        try:
            self._write_files()
            self._resume_all()
            self._start_munged()
            if self.shape.accounting:
                self._accounting.start()
            self._start_controller()
            for node in self.nodes:
                if not self.alive(node):
                    more = {"SLURMD_NODENAME": node}  # also for its slurmstepds, so that kill_node finds them
                    self.spawn("slurmd", "-D", "-N", node, "-f", str(self.config), name=node, environment=more)
            self.wait("usable nodes", self._all_usable, "slurmctld", *self.nodes)
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
        controller_port, accounting_port, *node_ports = free_ports(2 + self.shape.nodes)
        user = pwd.getpwuid(os.geteuid()).pw_name
        text = CONFIG.format(**vars(self), host=host, port=controller_port, user=user)
        bind = "CommunicationParameters=NoInAddrAny" if is_loopback() else ""
        text += f"{bind},NoCtldInAddrAny\n" if bind else ""
        text += self._accounting.slurm_settings(accounting_port, bind) if self.shape.accounting else ""
        text += PREEMPTION if self.shape.preemption else ""
        settings = self.shape.settings
        lines = [line for line in text.splitlines() if line.split("=")[0] not in settings]
        lines += [f"{key}={value}" for key, value in settings.items() if value is not None]
        gres = f"Gres=gpu:{self.shape.gpus} " if self.shape.gpus else ""
        size = f"CPUs={self.shape.cpus} RealMemory={self.shape.memory_mb} {gres}State=UNKNOWN"
        for node, port in zip(self.nodes, node_ports, strict=True):
            lines.append(f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size}")
        return "\n".join(lines + self._partitions()) + "\n"

    def _partitions(self) -> list[str]:
        kinds = PARTITIONS if self.shape.preemption else {"main": ""}
        where = f"Nodes={','.join(self.nodes)} MaxTime=INFINITE"
        default = {"main": " Default=YES"}
        return [
            f"PartitionName={name} {where}{default.get(name, '')} {rank.format(grace_s=self.shape.grace_s)}".rstrip()
            for name, rank in kinds.items()
        ]

    def _start_munged(self) -> None:
        if not self.alive("munged"):
            self.munge_socket.unlink(missing_ok=True)
            self.spawn("munged", *MUNGED.format(**vars(self)).split())
        probe = ("munge", f"--socket={self.munge_socket}", "--no-input")
        self.wait("munged", lambda: self._ask(*probe).returncode == 0, "munged")

    def _start_controller(self) -> None:
        if not self.alive("slurmctld"):
            self.spawn("slurmctld", "-D", "-f", str(self.config))
        self.wait("slurmctld", lambda: "UP" in self._ask("scontrol", "ping").stdout, "slurmctld")

    def _all_usable(self) -> bool:
        states = self.states()
        # A node that is "down*" does not answer yet; without the star it waits for someone to resume it.
        lost = [node for node, state in states.items() if state.startswith(("down", "drain")) and state[-1] != "*"]
        if lost:
            self._ask("scontrol", "update", f"NodeName={','.join(lost)}", "State=RESUME")
        return all(states.get(node) in USABLE for node in self.nodes)

    def states(self) -> dict[str, str]:
        """What the controller thinks of each node: `idle`, `mixed`, `down*`, `drained`, ..."""
        rows = self._ask("sinfo", "--noheader", "--Node", "--format=%N %T").stdout.split("\n")
        return dict(row.split() for row in rows if row)

    def _resume_all(self) -> None:
        for name in self._pids():
            if self.alive(name):
                self.resume(name)

    def spawn(
        self, program: str, *arguments: str, name: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a daemon that outlives this process, and record it as this cluster's."""
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
                env={**clean, **self.environment, **(environment or {}), MARK: self.name},
                cwd=self.directory / "run",
                start_new_session=True,
            )
        self._children[name] = child
        self._record({**self._pids(), name: (child.pid, start_time(child.pid))})

    def wait(self, what: str, ready: Callable[[], bool], *daemons: str, seconds: float = PATIENCE_S) -> None:
        """Wait until `ready()`. Raises ClusterError with their logs when one of the daemons ends, or in the end."""
        end = time.monotonic() + seconds
        while not ready():
            dead = [name for name in daemons if not self.alive(name)]
            if dead or time.monotonic() > end:
                reason = f"{', '.join(dead)} exited" if dead else f"not there after {seconds:.0f} s"
                raise ClusterError(f"waiting for {what}: {reason}\n{self.log_tail(*daemons)}")
            time.sleep(0.05)

    def log_tail(self, *daemons: str, lines: int = 15) -> str:
        """The last lines of what these daemons said, for an error message."""
        texts = [(self.directory / f"log/{name}.out").read_text(errors="replace") for name in daemons]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])

    def must(self, *command: str) -> str:
        """Run a command against this cluster and return its output; raises ClusterError when it fails."""
        done = self._ask(*command)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **self.environment}
        path = find_program(command[0]) or command[0]
        return subprocess.run([path, *command[1:]], env=env, capture_output=True, text=True, timeout=60, check=False)

    # -- faults

    def kill(self, daemon: str) -> None:
        """SIGKILL `slurmctld`, `slurmdbd`, `mariadbd`, `munged` or a node's slurmd; the jobs run on."""
        pid = self._pid(daemon)
        kill_at_once(lambda: {pid})

    def kill_node(self, node: str) -> None:
        """End a node as a power cut would: slurmd, its slurmstepds and every process of its jobs, at once."""
        self._pid(node)
        kill_at_once(lambda: carrying(f"{MARK}={self.name}", f"SLURMD_NODENAME={node}"))

    def mark_down(self, node: str) -> None:
        """Tell the controller at once what it takes SlurmdTimeout and more to find out: its jobs are requeued."""
        self.must("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=marked down by a test")

    def pause(self, daemon: str) -> None:
        """Let a daemon hang (SIGSTOP): it accepts connections and answers nothing."""
        send(self._pid(daemon), signal.SIGSTOP)

    def resume(self, daemon: str) -> None:
        """Let a paused daemon go on."""
        send(self._pid(daemon), signal.SIGCONT)

    def drain(self, node: str) -> None:
        """Take a node out of service: its jobs end, no new one starts there until `start()`."""
        self.must("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=drained by a test")

    def settle(self) -> None:
        """Wait until the controller has written to its disk what it knows now: killed, it would forget the rest.

        A job that never starts marks the moment.
        """
        mark = f"settled-{secrets.token_hex(8)}"
        job = self.must("sbatch", "--parsable", "--hold", f"--comment={mark}", "--output=/dev/null", "--wrap=true")
        self.must("scancel", job.strip())
        self.wait("its state on the disk", lambda: mark.encode() in self._saved_jobs(), "slurmctld")

    def _saved_jobs(self) -> bytes:
        try:
            return (self.directory / "state/job_state").read_bytes()
        except FileNotFoundError:  # for a moment, when a newer one takes its place
            return b""

    def cancel_jobs(self, seconds: float = PATIENCE_S) -> None:
        """Cancel every job of this user and wait for the queue to be empty, at most so long."""
        self._ask("scancel", "--full", f"--user={os.geteuid()}")
        end = time.monotonic() + seconds
        while self._ask("squeue", "--noheader").stdout.strip() and time.monotonic() < end:
            time.sleep(0.1)

    def _pid(self, daemon: str) -> int:
        if not self.alive(daemon):
            raise ClusterError(f"{daemon} does not run; there are {', '.join(self._pids())}")
        return self._pids()[daemon][0]

    # -- down

    def stop(self) -> None:
        """End the jobs, the daemons and what they left behind; safe to call twice or on half a cluster."""
        self._resume_all()
        if self.alive("slurmctld"):
            with contextlib.suppress(subprocess.TimeoutExpired):  # a controller that hangs is killed below
                self.cancel_jobs(seconds=3)
        self._end("slurmctld")
        others = ("munged", "mariadbd", "slurmdbd")
        nodes = [name for name in self._pids() if name not in others]
        self._end(*nodes, patience_s=0.5)  # a node that still has a job waits ten for the controller
        kill_at_once(lambda: set(self.strays()))
        for name in reversed(others):
            self._end(name)
        for child in self._children.values():
            child.wait(timeout=PATIENCE_S)
        self._children.clear()
        if self._pids_file.exists():
            self._record({})
        if self.short != self.directory:
            shutil.rmtree(self.short, ignore_errors=True)

    def _end(self, *names: str, patience_s: float = 10) -> None:
        for number, seconds in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
            living = [name for name in names if self.alive(name)]
            for name in living:
                send(self._pids()[name][0], number)
            end = time.monotonic() + seconds
            while any(self.alive(name) for name in living) and time.monotonic() < end:
                time.sleep(0.02)

    def strays(self) -> list[int]:
        """Processes that carry this cluster's mark: slurmstepd, jobs, and daemons that were not recorded."""
        recorded = {pid for pid, _ in self._pids().values()}
        return sorted(carrying(f"{MARK}={self.name}") - recorded - {os.getpid()})

    # -- the pids that are ours

    def _pids(self) -> dict[str, tuple[int, str | None]]:
        if not self._pids_file.exists():
            return {}
        return {name: (pid, began) for name, (pid, began) in json.loads(self._pids_file.read_text()).items()}

    def _record(self, pids: Mapping[str, tuple[int, str | None]]) -> None:
        aside = self._pids_file.with_suffix(".new")
        aside.write_text(json.dumps(pids))
        aside.replace(self._pids_file)

    def alive(self, name: str) -> bool:
        """Whether the daemon that was recorded under this name still runs (perhaps paused)."""
        pid, began = self._pids().get(name, (0, None))
        return began is not None and start_time(pid) == began


def is_loopback() -> bool:
    """Whether this host's name leads to the loopback: then the daemons can bind there and nowhere else."""
    name = socket.gethostname()
    try:
        return socket.gethostbyname(name).startswith("127.")
    except OSError:
        raise ClusterError(f"Slurm needs the host name to resolve: add `127.0.0.1 {name}` to /etc/hosts") from None


def free_ports(count: int) -> list[int]:
    """Free loopback ports that no other process has chosen meanwhile: its daemons may not listen on them yet.

    The number is claimed until this process ends, by a socket of the protocol that Slurm does not use.
    """
    ports: list[int] = []
    for port in random.sample(PORTS, 500):
        claim = socket.socket(type=socket.SOCK_DGRAM)
        if is_free(port, claim):
            ports.append(port)
            _claims.append(claim)
        else:
            claim.close()
        if len(ports) == count:
            return ports
    raise ClusterError(f"found {len(ports)} free ports of {count} between {PORTS.start} and {PORTS.stop}")


def is_free(port: int, claim: socket.socket) -> bool:
    """Whether this claim to a port is the only one, and nobody listens there."""
    with socket.socket() as probe:
        try:
            claim.bind(("127.0.0.1", port))
        except OSError:
            return False
        return probe.connect_ex(("127.0.0.1", port)) != 0


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
