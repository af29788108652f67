"""The same graph for every peer: node I reads nodes I // 2 and I // 3. Written as a project of its own for each.

It is shallow: Snakemake ends in a RecursionError on a chain of 1,000 rules.

Nothing in it computes anything: what is measured is how long a tool takes to say what it would do. Run by the
benchmark's own Python; the tools are called by their command lines.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path


def parents(node: int) -> list[int]:
    """The nodes that a node reads."""
    return sorted({node // 2, node // 3}) if node else []


def sqlmesh(folder: Path, nodes: int) -> None:
    """A model of each node, DuckDB for data and state."""
    (folder / "models").mkdir()
    (folder / "config.yaml").write_text(
        "gateways:\n  local:\n    connection: {type: duckdb, database: state.db}\n"
        "default_gateway: local\nmodel_defaults: {dialect: duckdb}\ndisable_anonymized_analytics: true\n"
    )
    for node in range(nodes):
        read = [f"bench.m_{parent}" for parent in parents(node)] or ["(SELECT 1 AS a) AS m"]
        query = " UNION ALL ".join(f"SELECT a FROM {source}" for source in read)
        (folder / "models" / f"m_{node}.sql").write_text(f"MODEL (name bench.m_{node}, kind FULL);\n{query}\n")


def snakemake(folder: Path, nodes: int) -> None:
    """A rule of each node, and one that asks for all of them."""
    wanted = ", ".join(f'"m_{node}.txt"' for node in range(nodes))
    rules = [f"rule all:\n    input: {wanted}\n"]
    for node in range(nodes):
        read = ", ".join(f'"m_{parent}.txt"' for parent in parents(node))
        given = f"    input: {read}\n" if read else ""
        rules.append(f'rule m_{node}:\n{given}    output: "m_{node}.txt"\n    shell: "touch {{output}}"\n')
    (folder / "Snakefile").write_text("\n".join(rules))


def dvc(folder: Path, nodes: int) -> None:
    """A stage of each node in a repository of git's and DVC's own."""
    stages = ["stages:"]
    for node in range(nodes):
        stages += [f"  m_{node}:", f"    cmd: touch m_{node}.txt"]
        if read := parents(node):
            stages += ["    deps:", *(f"    - m_{parent}.txt" for parent in read)]
        stages += ["    outs:", f"    - m_{node}.txt"]
    (folder / "dvc.yaml").write_text("\n".join(stages) + "\n")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)


def hydra(folder: Path, nodes: int) -> None:
    """A configuration of about as many values as a spec of so many tasks; its script composes arms of it."""
    groups = max(1, nodes // 6)
    (folder / "config.yaml").write_text(
        "defaults:\n- _self_\n"
        + "".join(f"- data@data_{group}: part\n" for group in range(groups))
        + "train: {lr: 0.0003, steps: 1000}\n"
    )
    (folder / "data").mkdir()
    (folder / "data" / "part.yaml").write_text("rows: 128\nbands: 16\nngram: 5\nlanguages: [python, java]\npath: x\n")


PROJECTS: dict[str, Callable[[Path, int], None]] = {
    "sqlmesh": sqlmesh,
    "snakemake": snakemake,
    "dvc": dvc,
    "hydra": hydra,
}
