"""What every comparison needs: peers in environments of their own, and whole processes measured side by side.

Not a profiler: a command is run as its user would run it, start-up and output included, and what counts is the CPU time
of it and all its children, so that other work on the machine matters little. A process that measures must be small:
what it holds counts as the memory of its children, too.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / "build" / "benchmarks" / "environments"


class Cost(NamedTuple):
    """CPU and wall seconds of a process and its children, and the largest resident set of one of them in MB."""

    cpu: float
    wall: float
    rss_mb: float


def environment(name: str, *requirements: str) -> str:
    """The interpreter of a virtual environment with these packages from PyPI; made once."""
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.is_file() or done.read_text() != "\n".join(requirements):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        done.write_text("\n".join(requirements))
    return str(python)


def run(command: Sequence[str], show: bool = False) -> tuple[Cost, str]:
    """Run a command in a new empty directory; its cost, and the last line that it printed."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [part.replace("{out}", folder) for part in command],
            cwd=folder,
            stdout=said,
            stderr=None if show else subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        said.seek(0)
        lines = said.read().strip().splitlines()
        if process.returncode:
            raise SystemExit("\n".join([f"failed: {' '.join(command)}", *lines[-15:]]))
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024), lines[-1] if lines else ""


def compare(commands: dict[str, Sequence[str]], runs: int) -> dict[str, tuple[Cost, str]]:
    """Run the commands in turn, `runs` times; medians of each, and what it printed last."""
    found: dict[str, list[tuple[Cost, str]]] = {name: [] for name in commands}
    for number in range(runs):
        for name, command in commands.items():
            found[name].append(run(command))
            cost, said = found[name][-1]
            print(
                f"  run {number + 1}: {name}: {cost.cpu:.1f} s CPU, {cost.wall:.1f} s, {cost.rss_mb:.0f} MB; {said}",
                flush=True,
            )
    return {
        name: (
            Cost(*(statistics.median(values) for values in zip(*(cost for cost, _ in results), strict=True))),
            results[-1][1],
        )
        for name, results in found.items()
    }


def machine() -> str:
    """The processor and how many of them."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "?")
    return f"{os.cpu_count()} x {model}"
