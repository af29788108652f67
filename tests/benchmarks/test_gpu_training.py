"""The GPU benchmark, shrunk to what a processor does in seconds: that it is ready when there is a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    *("--layers", "2", "--hidden", "32", "--heads", "2", "--head-dim", "16", "--ffn", "48", "--vocab", "70000"),
    *("--sequence", "32", "--micro-batch", "1", "--global-batch", "2", "--steps", "3", "--warm-up", "1"),
)


@pytest.mark.slow
def test_it_measures_the_torch_back_end_and_says_what_it_could_not(tmp_path: Path) -> None:
    """Two cases; Apex's cannot run on a processor, and no figure is called one of a GPU."""
    command = [sys.executable, "-m", "benchmarks.gpu_training", *SMALL, "--precision", "fp32"]
    done = subprocess.run(
        [*command, "--cases", "torch", "megatron apex"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=6000,
        check=True,
    )
    torch, apex = (json.loads(line) for line in done.stdout.splitlines()[:2])
    assert torch["tokens_per_second"] == pytest.approx(2 * 32 / torch["seconds"])
    assert torch["estimate"]["lasting"] == 16 * torch["parameters"]
    assert torch["losses"][0] == pytest.approx(11.16, abs=0.1), "the logarithm of 70,000: tokens wider than 16 bits"
    assert "not_run" in apex or apex["kernels"]["fused_adam"] == "apex"
    if torch["mfu"] is None:
        assert "no figure of a GPU" in done.stdout


def test_steps_that_all_warm_up_are_refused() -> None:
    """There would be nothing to measure."""
    command = [sys.executable, "-m", "benchmarks.gpu_training", "--steps", "4", "--warm-up", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 2
    assert "4 steps with 4 to warm up leave none to measure" in done.stderr
