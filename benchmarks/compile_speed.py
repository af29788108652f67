"""How long it takes to say what would be done: ours beside SQLMesh, Snakemake, DVC and Hydra on graphs of equal size.

python -m benchmarks.compile_speed [--environments DIR] [--nodes N ...] [--arms N] [--runs N]

Whole processes, as a user starts them, imports included: CPU and wall seconds, the least of all runs, for other work on
the machine only adds. Peers are taken from DIR/NAME/bin, one virtual environment each; one that is not there is left
out with a line that says how to make it. Every tool looks at a graph that it has never built, so all nodes are to run.
Hydra has no graph: it composes configurations, and stands beside our arms.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks.harness import ENVIRONMENTS, ROOT, Cost, machine, run
from benchmarks.ours_compile import write_spec
from benchmarks.peers.graphs import PROJECTS

QUIET = {"SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "1", "DVC_NO_ANALYTICS": "1", "CI": "1"}
PACKAGES = {"sqlmesh": "sqlmesh", "snakemake": "snakemake", "dvc": "dvc", "hydra": "hydra-core"}
PLANS = {
    "sqlmesh": ("sqlmesh", "plan", "dev", "--no-prompts", "--skip-tests", "--explain"),
    "snakemake": ("snakemake", "-n", "--quiet"),
    "dvc": ("dvc", "status"),
}
OURS = (sys.executable, "-m", "ocspec.cli")


def main() -> None:
    """Measure row after row; a row is printed as soon as it is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="where the peers' environments are")
    parser.add_argument("--nodes", type=int, nargs="+", default=[138, 1000], help="tasks of the graphs")
    parser.add_argument("--arms", type=int, default=1000, help="arms of the ablation, a multiple of ten")
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the least counts")
    args = parser.parse_args()
    os.environ.update(QUIET)
    there = installed(args.environments)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{date.today()}; {machine()}; Python {sys.version.split()[0]}; load {load}\n")
    print("| what | ours: CPU s, wall s | peer | peer: CPU s, wall s | ratio of CPU | of wall |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        helps(there, args.runs)
        ours = {"eight": (*OURS, "compile", str(ROOT / "specs/opencoder_8b.py"), "--out", "{out}/plan")}
        compare("ocspec compile of OpenCoder 8B", ours["eight"], {}, args.runs)
        for nodes in args.nodes:
            graph(Path(folder), nodes, there, args.runs)
        arms(Path(folder), args.nodes[0], args.arms, there, args.runs)


def installed(environments: Path) -> dict[str, Path]:
    """The directories of the peers' programs; a line for each that is not there."""
    there = {}
    for name, package in PACKAGES.items():
        folder = environments / name
        if (folder / "bin" / "python").is_file():
            there[name] = folder / "bin"
        else:
            print(f"{name} is left out: python -m venv {folder} && {folder}/bin/pip install {package}")
    return there


def helps(there: dict[str, Path], runs: int) -> None:
    """What a command line costs before it does anything."""
    peers = {name: [str(there[name] / name), "--help"] for name in PLANS if name in there}
    compare("--help", (*OURS, "--help"), peers, runs)


def graph(folder: Path, nodes: int, there: dict[str, Path], runs: int) -> None:
    """What would run of a graph of so many nodes, of which nothing is built yet."""
    home = folder / str(nodes)
    peers = {}
    for name, command in PLANS.items():
        if name in there:
            project = home / name
            project.mkdir(parents=True)
            PROJECTS[name](project, nodes)
            peers[name] = within(project, [str(there[name] / command[0]), *command[1:]])
            run(peers[name])  # makes the tool's own database and caches, which later runs find
    home.mkdir(exist_ok=True)
    write_spec(home / "graph.py", nodes)
    plan = (*OURS, "plan", str(home / "graph.py"), "--store", str(home / "store"))
    compare(f"plan of {nodes:,} tasks", plan, peers, runs)


def arms(folder: Path, nodes: int, number: int, there: dict[str, Path], runs: int) -> None:
    """An ablation: compiled by us, composed by Hydra, in one process each."""
    home = folder / "arms"
    home.mkdir()
    write_spec(home / "graph.py", nodes)
    peers = {}
    if "hydra" in there:
        (home / "hydra").mkdir()
        PROJECTS["hydra"](home / "hydra", nodes)
        script = str(ROOT / "benchmarks" / "peers" / "hydra_arms.py")
        peers["hydra"] = [str(there["hydra"] / "python"), script, str(home / "hydra"), str(number)]
    ours = (sys.executable, "-m", "benchmarks.ours_compile", str(home / "graph.py"), str(number))
    compare(f"{number:,} arms of {nodes:,} tasks", ours, peers, min(runs, 2))
    eight = (sys.executable, "-m", "benchmarks.ours_compile", str(ROOT / "specs/opencoder_8b.py"), str(number))
    compare(f"{number:,} arms of OpenCoder 8B", eight, {}, min(runs, 2))


def within(folder: Path, command: Sequence[str]) -> list[str]:
    """The command in a directory of its own choice."""
    return ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]


def compare(what: str, ours: Sequence[str], peers: dict[str, list[str]], runs: int) -> None:
    """Print a row for each peer, or one without; sides take turns."""
    costs: dict[str, list[Cost]] = {}
    for _ in range(runs):
        for name, command in {"": ours, **peers}.items():
            costs.setdefault(name, []).append(run(command)[0])
    least = {name: (min(c.cpu for c in found), min(c.wall for c in found)) for name, found in costs.items()}
    cpu, wall = least.pop("")
    for name, (peer_cpu, peer_wall) in least.items() or [("-", (0.0, 0.0))]:
        peer = f"{peer_cpu:.2f}, {peer_wall:.2f}" if peer_cpu else "-"
        ratios = (f"{peer_cpu / cpu:.1f}", f"{peer_wall / wall:.1f}") if peer_cpu else ("-", "-")
        print(f"| {what} | {cpu:.2f}, {wall:.2f} | {name} | {peer} | {ratios[0]} | {ratios[1]} |", flush=True)


if __name__ == "__main__":
    main()
