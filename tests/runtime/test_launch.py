"""Which rank a process is, from torchrun's or Slurm's variables."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from runtime.launch import FIRST_PORT, PORTS, Place, first_host, local_environments, place, rank_environment

# As `srun env` printed it for the third of four tasks on two nodes (Slurm 22.05.8).
STEP = """
SLURM_JOB_ID=3
SLURM_JOB_NODELIST=c[1-2]
SLURM_LAUNCH_NODE_IPADDR=127.0.0.1
SLURM_LOCALID=0
SLURM_NODEID=1
SLURM_NPROCS=4
SLURM_NTASKS=4
SLURM_NTASKS_PER_NODE=2
SLURM_PROCID=2
SLURM_SRUN_COMM_HOST=127.0.0.1
SLURM_SRUN_COMM_PORT=34589
SLURM_STEPID=0
SLURM_STEP_ID=0
SLURM_STEP_LAUNCHER_PORT=34589
SLURM_STEP_NODELIST=c[1-2]
SLURM_STEP_NUM_NODES=2
SLURM_STEP_NUM_TASKS=4
SLURM_STEP_TASKS_PER_NODE=2(x2)
SLURM_TASKS_PER_NODE=2(x2)
"""

# Of the batch script of the same job, which runs once although it has a rank and a number of tasks.
BATCH = """
SLURM_JOB_ID=3
SLURM_JOB_NODELIST=c[1-2]
SLURM_LOCALID=0
SLURM_NODEID=0
SLURM_NTASKS=4
SLURM_NTASKS_PER_NODE=2
SLURM_PROCID=0
SLURM_TASKS_PER_NODE=2(x2)
"""

HOSTS = """
login; login
n1,n2; n1
n[1-2]; n1
n[01-12,20],gpu3; n01
n[07,1-2],gpu[3-4]; n07
gpu3,n[1-2]; gpu3
rack[2,4]n[7-9]; rack2n7
c-1.cluster.example[5-6]; c-1.cluster.example5
"""

ONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0", "NODE_RANK": "0"}


def variables(text: str, **changes: str | None) -> dict[str, str]:
    """NAME=VALUE lines, some changed or left out."""
    given_ = dict(line.split("=", 1) for line in text.split())
    return {name: value for name, value in (given_ | changes).items() if value is not None}


def test_a_step_of_slurm_is_a_group_of_ranks() -> None:
    """With the variables and values that torchrun would set."""
    assert rank_environment(variables(STEP)) == {
        "RANK": "2",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "1",
        "NODE_RANK": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "20003",
    }


@pytest.mark.parametrize("text", [BATCH, "", STEP.replace("NUM_TASKS=4", "NUM_TASKS=1")])
def test_what_is_started_once_is_one_rank(text: str) -> None:
    """A batch script, a process outside Slurm, a step of one task."""
    assert rank_environment(variables(text)) == ONE


def test_torchruns_variables_are_kept() -> None:
    """Also inside a step of Slurm, where torchrun runs once a node."""
    given_ = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8", "GROUP_RANK": "1"}
    meeting = {"MASTER_ADDR": "n1", "MASTER_PORT": "29500"}
    assert rank_environment(variables(STEP) | given_ | meeting) == given_ | meeting | {"NODE_RANK": "1"}
    assert rank_environment({"RANK": "0", "WORLD_SIZE": "1"}) == ONE
    alone = rank_environment({"RANK": "1", "WORLD_SIZE": "2", **meeting})
    assert place(alone) == Place(1, 2, 1, 2)


@pytest.mark.parametrize("line", HOSTS.strip().splitlines())
def test_the_first_of_a_list_of_nodes(line: str) -> None:
    """As Slurm writes them."""
    nodes, first = line.split("; ")
    assert first_host(nodes) == first


def test_rank_0_is_met_on_the_first_node_of_the_step() -> None:
    """By srun's address, if srun runs on that node; by name where the step is on other nodes or srun says nothing."""

    def address(**changes: str | None) -> str:
        return rank_environment(variables(STEP, **changes))["MASTER_ADDR"]

    assert address(SLURM_LAUNCH_NODE_IPADDR="10.0.0.1") == "10.0.0.1"
    assert address(SLURM_LAUNCH_NODE_IPADDR=None, SLURM_SRUN_COMM_HOST="10.0.0.2") == "10.0.0.2"
    assert address(SLURM_LAUNCH_NODE_IPADDR=None, SLURM_SRUN_COMM_HOST=None) == "c1"
    assert address(SLURM_STEP_NODELIST="c[3-4]", SLURM_JOB_NODELIST="c[1-4]") == "c3"


@given(st.integers(1, 2**31), st.integers(0, 20))
def test_every_job_and_every_restart_has_its_own_port(job: int, restarts: int) -> None:
    """Below those that Linux gives to outgoing connections, and not that of the next job or the next attempt."""

    def port(job: int, restarts: int) -> int:
        changes = {"SLURM_JOB_ID": str(job), "SLURM_RESTART_COUNT": str(restarts) if restarts else None}
        return int(rank_environment(variables(STEP, **changes))["MASTER_PORT"])

    ports = [port(job, restarts), port(job + 1, restarts), port(job, restarts + 1)]
    assert len(set(ports)) == 3
    assert all(FIRST_PORT <= number < FIRST_PORT + PORTS < 32_768 for number in ports)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6))
def test_the_ranks_of_a_step_are_numbered_without_gaps(tasks: list[int]) -> None:
    """Every local rank is below the number of tasks on its node, and the nodes' numbers add up."""
    found = []
    for node, on_node in enumerate(tasks):
        for local in range(on_node):
            rank = sum(tasks[:node]) + local
            changes = {"SLURM_STEP_NUM_TASKS": sum(tasks), "SLURM_PROCID": rank, "SLURM_NODEID": node}
            changes |= {"SLURM_LOCALID": local, "SLURM_STEP_TASKS_PER_NODE": ",".join(map(str, tasks))}
            found.append(place(rank_environment(variables(STEP, **{n: str(v) for n, v in changes.items()}))))
    assert [here.rank for here in found] == list(range(sum(tasks)))
    assert all(here.local_rank < here.local_size <= here.size for here in found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3)"}, "node 1 of a step whose tasks do not add up"),
        ({"SLURM_STEP_TASKS_PER_NODE": "two"}, "not a list of tasks per node"),
        ({"SLURM_NODEID": "2"}, "node 2 of a step"),
        ({"SLURM_PROCID": "4"}, "RANK must be below WORLD_SIZE"),
        ({"SLURM_LOCALID": "2"}, "LOCAL_RANK must be below"),
        ({"SLURM_PROCID": ""}, "SLURM_PROCID is no number"),
        ({"SLURM_JOB_ID": None}, "SLURM_JOB_ID is no number"),
        ({"SLURM_STEP_NODELIST": "[", "SLURM_JOB_NODELIST": "["}, "not a list of nodes"),
        ({"RANK": "0"}, "one of RANK and WORLD_SIZE is set without the other"),
        ({"WORLD_SIZE": "2"}, "one of RANK and WORLD_SIZE is set without the other"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "no MASTER_ADDR or MASTER_PORT"),
        ({"RANK": "-1", "WORLD_SIZE": "1"}, "RANK is no number: RANK='-1'"),
        ({"RANK": "1", "WORLD_SIZE": "1"}, "RANK must be below WORLD_SIZE"),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "2"}, "more ranks on this node than in all"),
    ],
)
def test_contradictions_are_refused_with_their_values(changes: dict[str, str | None], message: str) -> None:
    """One message that names the variables."""
    with pytest.raises(UserError, match=message) as caught:
        rank_environment(variables(STEP, **changes))
    assert "srun or torchrun" in caught.value.fix


def test_ranks_on_this_machine_meet_at_a_port_of_it() -> None:
    """One that could be listened at; a single process has no meeting."""
    environments = local_environments(3)
    assert [place(rank_environment(each)) for each in environments] == [Place(n, 3, n, 3) for n in range(3)]
    (port,) = {each["MASTER_PORT"] for each in environments}
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", int(port)))
    assert local_environments(1) == [ONE]
