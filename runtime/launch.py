"""Which of several processes this one is: torchrun's variables, from Slurm's where torchrun did not start us.

torch, Megatron and Lightning (NeMo) all read these. Not a launcher: `srun`, torchrun or the local dispatcher start the
processes. Loads the standard library only, beside `UserError`.
"""

from __future__ import annotations

import os
import random
import re
import socket
import sys
from collections.abc import Mapping

import attrs

from compiler.errors import UserError

# Linux hands out ports from 32768 upwards for outgoing connections: these stay free for listening.
FIRST_PORT, PORTS = 20_000, 10_000
LOST_EXIT_CODE = 69  # EX_UNAVAILABLE of sysexits.h: another rank ended first, and that one's log says why


class Lost(UserError):
    """The other ranks of a job cannot be reached: one of them ended, and its own log says why."""


@attrs.frozen
class Place:
    """Rank `rank` of `size`; `local_rank` of `local_size` on this node."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size}"


def place(environ: Mapping[str, str]) -> Place:
    """Where torchrun's variables, as `rank_environment` completes them, put this process."""
    return Place(*(int(environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))


def rank_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that torchrun would set: as they are where it did, from Slurm's step, or of a single process.

    Of Slurm's variables only a step's count: a batch script has SLURM_PROCID and SLURM_NTASKS too, and runs once.
    Raises UserError, with the values, where they contradict one another.
    """
    if "RANK" in environ or "WORLD_SIZE" in environ:
        found = _from_torchrun(environ)
    elif "SLURM_STEP_NUM_TASKS" in environ:
        found = _from_slurm(environ)
    else:
        found = _variables(Place(), 0)
    _check(found)
    return found


def local_environments(size: int) -> list[dict[str, str]]:
    """The variables of `size` processes on this machine, which meet at a port of it that is free now."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())} if size > 1 else {}
    if size > 1 and sys.platform == "linux":
        address["GLOO_SOCKET_IFNAME"] = "lo"  # the machine's name may lead to an address behind a firewall
    return [_variables(Place(rank, size, rank, size), 0) | address for rank in range(size)]


def _from_torchrun(environ: Mapping[str, str]) -> dict[str, str]:
    given = {name: environ[name] for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name in environ}
    if not {"RANK", "WORLD_SIZE"} <= set(given):
        raise _contradiction("one of RANK and WORLD_SIZE is set without the other", given)
    size = _number(given, "WORLD_SIZE")
    if size > 1 and len(given) < 4:
        raise _contradiction("several ranks, and no MASTER_ADDR or MASTER_PORT where they could meet", given)
    local = {"LOCAL_RANK": given["RANK"], "LOCAL_WORLD_SIZE": given["WORLD_SIZE"], "GROUP_RANK": "0"}  # on one node
    found = {**given, **{name: environ.get(name, value) for name, value in local.items()}}
    return {**found, "NODE_RANK": environ.get("NODE_RANK", found["GROUP_RANK"])}


def _from_slurm(environ: Mapping[str, str]) -> dict[str, str]:
    size = _number(environ, "SLURM_STEP_NUM_TASKS")
    if size == 1:
        return _variables(Place(), 0)
    node = _number(environ, "SLURM_NODEID")
    tasks = tasks_per_node(environ.get("SLURM_STEP_TASKS_PER_NODE", ""))
    if sum(tasks) != size or node >= len(tasks):
        shown = {name: environ.get(name, "") for name in ("SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE")}
        raise _contradiction(f"node {node} of a step whose tasks do not add up", shown)
    here = Place(_number(environ, "SLURM_PROCID"), size, _number(environ, "SLURM_LOCALID"), tasks[node])
    return _variables(here, node) | {"MASTER_ADDR": _meeting_host(environ), "MASTER_PORT": str(_meeting_port(environ))}


def tasks_per_node(text: str) -> list[int]:
    """Slurm's list of tasks on each node of a step.

    >>> tasks_per_node("2(x3),1")
    [2, 2, 2, 1]
    """
    parts = [re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part) for part in text.split(",")]
    if not all(parts):
        raise _contradiction("not a list of tasks per node", {"SLURM_STEP_TASKS_PER_NODE": text})
    return [int(part[1]) for part in parts if part for _ in range(int(part[2] or 1))]


def first_host(nodes: str) -> str:
    """The first name of a list of nodes as Slurm writes it; each bracket stands for the numbers in it.

    >>> first_host("n[01-12,20],gpu3"), first_host("rack[2,4]n[7-9]"), first_host("login")
    ('n01', 'rack2n7', 'login')
    """
    found = re.match(r"(?:[^,\[\]]|\[[^\[\]]*\])+", nodes)
    if not found:
        raise _contradiction("not a list of nodes", {"SLURM_STEP_NODELIST": nodes})
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", found[0])


def _meeting_host(environ: Mapping[str, str]) -> str:
    """Where rank 0 is: the first node of the step.

    Where that is the job's first node, the batch script runs there, and with it srun, whose address needs no resolving.
    """
    step = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "")
    first = first_host(step)
    if first != first_host(environ.get("SLURM_JOB_NODELIST") or step):
        return first
    return environ.get("SLURM_LAUNCH_NODE_IPADDR") or environ.get("SLURM_SRUN_COMM_HOST") or first


def _meeting_port(environ: Mapping[str, str]) -> int:
    """Equal in all ranks; another one for other jobs, and after a restart, whose ranks must not meet old ones."""
    job, restarts = _number(environ, "SLURM_JOB_ID"), int(environ.get("SLURM_RESTART_COUNT") or 0)
    return FIRST_PORT + (job + 101 * restarts) % PORTS


def _free_port() -> int:
    """A port of this machine in the range of meeting ports that nobody listens at."""
    for port in random.sample(range(FIRST_PORT, FIRST_PORT + PORTS), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise UserError(f"100 ports tried between {FIRST_PORT} and {FIRST_PORT + PORTS}, none is free", where=os.uname()[1])


def _variables(here: Place, node: int) -> dict[str, str]:
    return {
        "RANK": str(here.rank),
        "WORLD_SIZE": str(here.size),
        "LOCAL_RANK": str(here.local_rank),
        "LOCAL_WORLD_SIZE": str(here.local_size),
        "GROUP_RANK": str(node),
        "NODE_RANK": str(node),
    }


def _check(found: Mapping[str, str]) -> None:
    for rank, size in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        if not _number(found, rank) < _number(found, size):
            raise _contradiction(f"{rank} must be below {size}", found)
    if _number(found, "LOCAL_WORLD_SIZE") > _number(found, "WORLD_SIZE"):
        raise _contradiction("more ranks on this node than in all", found)


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    if not re.fullmatch(r"\d{1,18}", text):
        raise _contradiction(f"{name} is no number", {name: text})
    return int(text)


def _contradiction(what: str, values: Mapping[str, str]) -> UserError:
    shown = " ".join(f"{name}={value!r}" for name, value in values.items())
    return UserError(f"{what}: {shown}", fix="start the ranks with srun or torchrun, or unset these variables")
