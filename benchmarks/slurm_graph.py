"""The graph that `slurm_submit` submits, and whether all of it is in the queue: 40 tasks, 5,000 shards."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from compiler import plan as plans
from tests.slurm.cluster import Cluster
from tests.slurm.graph import make_plan, step

SHARD_SECONDS = 30  # what the plan says of each shard, for packing


def graph() -> list[dict]:
    """Eight branches that meet, then three trainings with an evaluation each; parents first."""
    tasks: list[dict] = []

    def add(name: str, kind: str, shards: int, *after: str) -> str:
        tasks.append({"id": name, "class": kind, "shards": shards, "after": after, "gpus": int(kind == "train")})
        return name

    kept = []
    for branch in range(8):
        read = add(f"read{branch}", "data", 200)
        signed = add(f"sign{branch}", "data", 200, read)
        groups = add(f"group{branch}", "group", 1, signed)
        kept.append(add(f"keep{branch}", "data", 200, read, groups))
    packed = add("pack", "data", 176, add("mix", "group", 1, *kept))
    for model in range(3):
        add(f"eval{model}", "eval", 4, add(f"train{model}", "train", 1, packed))
    return tasks


def write_inputs(folder: Path, tasks: list[dict]) -> None:
    """The graph for the peers, and the same as a plan."""
    (folder / "graph.json").write_text(json.dumps(tasks))
    steps = [
        step(t["id"], t["after"], t["shards"], task_class=t["class"], gpus=t["gpus"], seconds=SHARD_SECONDS)
        for t in tasks
    ]
    (folder / "run").mkdir()
    (folder / "run" / plans.PLAN_FILE).write_text(plans.dumps(make_plan(*steps)))


class Element(NamedTuple):
    """A job or an element of an array in the queue. `waits` are the jobs that must end well before it."""

    job: str
    index: int
    name: str
    waits: frozenset[str]


def check(side: str, tasks: list[dict], folder: Path, cluster: Cluster) -> None:
    """Every shard is queued exactly once, and every array waits for its parents; else the benchmark ends here."""
    found, shards_of = queued(cluster), elements_of(folder)
    shards: Counter[tuple[str, int]] = Counter()
    jobs: dict[str, set[str]] = defaultdict(set)
    for one in found:
        task, submission = one.name.partition(".")[0], one.name.rpartition(".")[2]
        shards.update((task, shard) for shard in shards_of.get(submission, {}).get(one.index, [one.index]))
        jobs[task].add(one.job)
    wanted = Counter({(task["id"], shard): 1 for task in tasks for shard in range(task["shards"])})
    if shards != wanted:
        raise SystemExit(f"{side}: {sum(shards.values())} shards are queued, {sum((wanted - shards).values())} missing")
    waits = {one.job: one.waits for one in found}
    for task in tasks:
        parents = set().union(*(jobs[parent] for parent in task["after"]))
        if any(waits[job] != parents for job in jobs[task["id"]]):
            raise SystemExit(f"{side}: {task['id']} does not wait for exactly {', '.join(task['after'])}")
    print(f"  {side}: {sum(shards.values())} shards queued once, in {len(found)} elements", flush=True)


def queued(cluster: Cluster) -> list[Element]:
    """What waits in the queue, but for jobs that no task asked for: our supervisor, datatrove's merging of statistics.

    The latter carries the name of the task that it waits for.
    """
    form = "ArrayJobID:20,ArrayTaskID:20,Name:120,Dependency:600"
    text = cluster.must("squeue", "--noheader", "--array", "--states=PENDING", f"--Format={form}")
    found = []
    for line in text.splitlines():
        index, waits = line[20:40].strip(), frozenset(re.findall(r"afterok:(\d+)", line[160:]))
        found.append(Element(line[:20].strip(), int(index) if index.isdigit() else 0, line[40:160].strip(), waits))
    names = {one.job: one.name for one in found}
    return [
        one
        for one in found
        if not one.name.startswith("supervisor.") and one.name not in {names.get(parent) for parent in one.waits}
    ]


def elements_of(folder: Path) -> dict[str, dict[int, list[int]]]:
    """The shards of each element of our submissions, by submission."""
    files = (folder / "run" / "slurm" / "submissions").glob("*.json")
    read = [json.loads(path.read_text()) for path in files]
    return {one["id"]: dict(enumerate(one["elements"])) for one in read}
