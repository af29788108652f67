"""What a plan asks of a cluster, in words; the cluster's own answers are in tests/slurm/test_doctor.py."""

from __future__ import annotations

import attrs
import pytest

from compiler import ir
from compiler.emit.sbatch import request
from compiler.plan import Plan, Resources, Task
from compiler.profile import TASK_CLASSES, Profile, Settings
from ocspec.cli.cluster_check import advice, as_arguments, in_words, one_line, requests, sbatch_options

SOME = Task(id="t", op=ir.Refine(dataset="code", readers=()))


def task(task_class: str, **asked: int) -> Task:
    """A task of which only the request matters here."""
    return attrs.evolve(SOME, id=f"{task_class}/{len(asked)}", resources=Resources(task_class=task_class, **asked))


def plan(*tasks: Task) -> Plan:
    return Plan(experiment="x", spec={}, tasks=tasks, parameters=0, parameters_without_embeddings=0, stages=())


def test_the_most_that_any_task_of_a_class_asks_for() -> None:
    """Classes that the plan has not are not asked about."""
    asked = requests(
        plan(
            task("data", cpus=1, memory_mb=9000),
            task("data", cpus=4, memory_mb=2000),
            task("train", cpus=8, gpus=8, nodes=2),
            task("train", cpus=2, gpus=1, nodes=1, memory_mb=5),
        ),
        Profile(),
    )
    assert asked == {
        "data": Resources(task_class="data", cpus=4, memory_mb=9000),
        "train": Resources(task_class="train", cpus=8, memory_mb=2048, gpus=8, nodes=2),
    }


def test_without_a_plan_every_class_is_asked_about() -> None:
    """Training with a node's devices, where the profile says how many a node has."""
    asked = requests(None, Profile(classes={"train": Settings(gpus_per_node=4)}))
    assert tuple(asked) == TASK_CLASSES
    assert (asked["train"].gpus, asked["eval"].gpus) == (4, 0)


def test_a_request_in_words() -> None:
    """Options go to sbatch as they are; people read numbers with their units."""
    settings = Settings(minutes=60, sbatch={"exclusive": "", "mail-user": "a b"})
    options = sbatch_options(request(Resources(task_class="train", cpus=16, gpus=4, nodes=2), settings), settings)
    assert in_words(options) == "2 nodes, 4 ranks, 4 CPUs, 4 GPUs, 60 minutes, 2048MB"
    assert as_arguments(options)[-2:] == ["--exclusive", "--mail-user=a b"]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("allocation failure: Invalid feature specification\n", "Invalid feature specification"),
        ("sbatch: error: a: b\nsbatch: error: Batch job submission failed: c\n\nsbatch: error: a: b\n", "a: b; c"),
        ("sbatch: unrecognized option '--x'\n", "unrecognized option '--x'"),
    ],
)
def test_slurms_words_in_one_line(said: str, line: str) -> None:
    assert one_line(said) == line


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("Invalid account or account/partition combination specified", "set account in HERE; `sacctmgr show assoc"),
        ("Invalid qos specification", "set qos in HERE"),
        ("Invalid partition name specified", "set partition in HERE to one of (see `sinfo`)"),
        ("Memory required by task is not available", "lower what is asked in HERE"),
    ],
)
def test_advice_needs_no_cluster(monkeypatch: pytest.MonkeyPatch, said: str, fix: str) -> None:
    """Where sinfo does not answer either, it is named."""
    monkeypatch.setenv("PATH", "")
    assert advice(said, {}, "HERE").startswith(fix)
