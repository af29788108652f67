"""What a stage leaves behind is as large as `compiler.cost.walk` has it, the state that another one starts from too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.cost.flow import NO_FLOW
from compiler.cost.interval import UNKNOWN
from compiler.cost.walk import outflow
from compiler.trainjob import TrainJob


@pytest.mark.parametrize("save_at", [None, 5])
def test_bytes_of_a_stage(run_job: Callable[..., Path], tiny_job: TrainJob, save_at: int | None) -> None:
    """Of a model whose parameters are most of it: logs are not counted."""
    model = attrs.evolve(tiny_job.model, hidden_size=128, head_dim=32, intermediate_size=384, num_layers=4)
    job = attrs.evolve(tiny_job, model=model, save_at=save_at)
    out = run_job(job)
    files = (path for path in out.rglob("*") if path.is_file() and out / "log" not in path.parents)
    written = sum(path.stat().st_size for path in files)
    bounds = outflow(ir.TrainTorch(job=job), NO_FLOW, 0, UNKNOWN).written
    assert written in bounds
    assert bounds.low > 0.5 * written
