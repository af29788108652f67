"""A graph of 40 tasks and 5,000 shards on Slurm: what submitting and watching cost, beside submitit and datatrove.

    python -m benchmarks.slurm_submit [--runs 3] [--watch 60] [--sides ocspec,packed,submitit,datatrove]

Needs Slurm's programs (`sh tests/slurm/install.sh`) and starts a cluster of its own on this host, a fresh one for every
measurement, with accounting where the programs for that are there. All jobs are held (`--hold`): what is measured is
the submitting process, never the work. Each side is a fresh process, start-up included. Calls of Slurm's programs are
counted by scripts on PATH that note their name and become the program. After each submission squeue is asked whether
every shard is queued exactly once and every array waits for what its task comes after; else the run ends with an error.

ocspec queues one element per shard, as the peers do; `packed` is ocspec with what it does by itself when a shard takes
30 s, ten shards to an element. Its submission includes the check (`sbatch --test-only` per kind of request), the look
that verifies what was queued, and the supervisor. The first minute of watching is its dearest: pauses grow from 1 s to
30 s. submitit watches with its own `monitor_jobs`; datatrove does not watch.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.harness import ROOT, environment, machine
from benchmarks.peers.marks import CALLS, MARKS
from benchmarks.slurm_graph import check, graph, write_inputs
from compiler.plan import PLAN_FILE
from tests.slurm.cluster import Cluster, Shape, missing_programs

PEERS = Path(__file__).parent / "peers"
PROGRAMS = ("sbatch", "squeue", "sacct", "scontrol", "scancel")
SHIM = """\
#!/bin/sh
case "$*" in *--test-only*) name="{name} --test-only" ;; *) name="{name}" ;; esac
echo "$name" >> {calls}
exec {program} "$@"
"""
FIGURES = {
    "sbatch calls": "{:.0f}",
    "other calls while submitting": "{:.0f}",
    "s to submit": "{:.2f}",
    "CPU s to submit": "{:.2f}",
    "s to look once": "{:.2f}",
    "s to submit again": "{:.2f}",
    "calls per minute, watching": "{:.1f}",
    "CPU s per minute, watching": "{:.2f}",
    "peak MB, submitted": "{:.0f}",
    "peak MB, watched": "{:.0f}",
}


def command(side: str, folder: Path, seconds: int) -> list[str]:
    """What starts a side."""
    peer = [str(folder / "graph.json"), str(folder / "out")]
    plan = [str(folder / "run" / PLAN_FILE), str(seconds)]
    return {
        "ocspec": [sys.executable, "-m", "benchmarks.ours_slurm", *plan],
        "packed": [sys.executable, "-m", "benchmarks.ours_slurm", *plan, "--packed"],
        "submitit": [sys.executable, str(PEERS / "submitit_arrays.py"), *peer, str(seconds)],
        "datatrove": [datatrove() if side == "datatrove" else "", str(PEERS / "datatrove_slurm.py"), *peer],
    }[side]


def datatrove() -> str:
    """The interpreter that has datatrove: the environment that `dedup_pipeline` uses, too."""
    return environment("datatrove", "datatrove[io,processing]", "spacy")


def measure(side: str, tasks: list[dict], seconds: int) -> dict[str, float]:
    """The figures of one side on a cluster of its own."""
    shape = Shape(
        nodes=4,
        cpus=64,
        memory_mb=256_000,
        settings={"MaxArraySize": "1001", "MaxJobCount": "20000"},
        accounting=not missing_programs(accounting=True),
    )
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "cluster", shape) as cluster:
        folder = Path(name)
        write_inputs(folder, tasks)
        environ = {**os.environ, **cluster.environment, **counting(folder), "PYTHONPATH": str(ROOT)}
        start = command(side, folder, seconds)
        began = time.time()
        done = subprocess.run(start, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{side} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
        check(side, tasks, folder, cluster)
        marks = [json.loads(line) for line in (folder / "marks").read_text().splitlines()]
    return figures(marks, began)


def counting(folder: Path) -> dict[str, str]:
    """Environment variables that make calls of Slurm's programs count."""
    (folder / "bin").mkdir()
    (folder / "calls").touch()
    for name in PROGRAMS:
        shim = folder / "bin" / name
        shim.write_text(SHIM.format(name=name, calls=folder / "calls", program=shutil.which(name)))
        shim.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, CALLS: str(folder / "calls"), MARKS: str(folder / "marks")}


def figures(marks: list[dict], began: float) -> dict[str, float]:
    """What the table shows, from the marks of one process."""
    at = {mark["phase"]: mark for mark in marks}
    submitted = at["submit"]
    calls = submitted["calls"]
    sbatch = sum(count for name, count in calls.items() if name.startswith("sbatch"))
    found = {
        "sbatch calls": sbatch,
        "other calls while submitting": sum(calls.values()) - sbatch,
        "s to submit": submitted["time"] - began,
        "CPU s to submit": submitted["cpu"],
        "peak MB, submitted": submitted["rss_mb"],
    }
    if "look" in at:
        found["s to look once"] = at["look"]["time"] - submitted["time"]
    if "watch" in at:
        before = at.get("look", submitted)
        minutes = (at["watch"]["time"] - before["time"]) / 60
        asked = sum(at["watch"]["calls"].values()) - sum(before["calls"].values())
        found["calls per minute, watching"] = asked / minutes
        found["CPU s per minute, watching"] = (at["watch"]["cpu"] - before["cpu"]) / minutes
        found["peak MB, watched"] = at["watch"]["rss_mb"]
    if "again" in at:
        found["s to submit again"] = at["again"]["time"] - at["watch"]["time"]
    return found


def table(found: dict[str, list[dict[str, float]]]) -> None:
    """Medians of all sides, then ocspec's share of each peer's figure."""
    sides = list(found)
    middle = {side: medians(runs) for side, runs in found.items()}
    ratios = [side for side in sides if side not in {"ocspec", "packed"} and "ocspec" in sides]
    print("\n| figure | " + " | ".join(sides + [f"{side} / ocspec" for side in ratios]) + " |")
    print("|---" * (1 + len(sides) + len(ratios)) + "|")
    for figure, form in FIGURES.items():
        cells = [form.format(middle[side][figure]) if figure in middle[side] else "-" for side in sides]
        for side in ratios:
            ours, theirs = middle["ocspec"].get(figure), middle[side].get(figure)
            cells.append(f"{theirs / ours:.2f}" if ours and theirs is not None else "-")
        print(f"| {figure} | " + " | ".join(cells) + " |")


def medians(runs: Iterable[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    runs = list(runs)
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}


def main() -> None:
    """Measure all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--watch", type=int, default=60, help="seconds (default: 60)")
    parser.add_argument("--sides", default="ocspec,packed,submitit,datatrove")
    args = parser.parse_args()
    if missing := missing_programs():
        raise SystemExit(f"not installed: {', '.join(missing)}; run `sh tests/slurm/install.sh` as root")
    tasks, sides = graph(), args.sides.split(",")
    accounting = "without" if missing_programs(accounting=True) else "with"
    print(
        f"{machine()}; {len(tasks)} tasks, {sum(t['shards'] for t in tasks)} shards; a cluster {accounting} accounting"
    )
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(args.runs):
        for side in sides:
            found[side].append(measure(side, tasks, args.watch))
            print(f"    {json.dumps({name: round(value, 2) for name, value in found[side][-1].items()})}", flush=True)
    table(found)


if __name__ == "__main__":
    main()
