"""Whether layers are compiled, why, and that it changes rounding only."""

from __future__ import annotations

import json
import sys

import attrs
import pytest
import torch

from compiler.errors import UserError
from compiler.trainjob import BatchPhase
from runtime.training.compilation import NOT_ON_CPU, choose_compilation, why_no_compiler
from runtime.training.ranks import Ranks

CPU = torch.device("cpu")
KINDS = ("auto", "portable", "fused")
needs_compiler = pytest.mark.skipif(" " in sys.prefix, reason="torch compiles nothing from a path with a space")


@pytest.fixture
def no_compiler():
    """A machine without a C++ compiler, as far as torch can tell."""
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        yield


@needs_compiler
def test_each_choice_has_its_reason(tiny_job, monkeypatch):
    """As the job says, or as measured; `fused` finds the compiler of this machine."""
    chosen = {kind: choose_compilation(attrs.evolve(tiny_job, kernels=kind), CPU, Ranks.one()) for kind in KINDS}
    assert [chosen[kind].layers for kind in KINDS] == [False, False, True]
    assert [chosen[kind].fused_optimizer for kind in KINDS] == [True, False, True]
    assert [chosen[kind].reason for kind in KINDS] == [
        NOT_ON_CPU,
        "portable: as the job says",
        "fused: torch.compile works here",
    ]


def test_without_a_compiler_fused_is_refused_and_auto_says_why(tiny_job, run_job, no_compiler):
    """`auto` on a CPU does not try, so the reason of a failed try is asked for by itself."""
    with pytest.raises(UserError, match=r"wants fused kernels: torch\.compile does not work here") as caught:
        run_job(attrs.evolve(tiny_job, kernels="fused"))
    assert "install a C++ compiler" in caught.value.fix
    assert "no-such-compiler" in why_no_compiler(CPU)
    out = run_job(tiny_job)
    environment = json.loads((out / "log" / "environment.json").read_text())
    assert (environment["kernels"], environment["kernels_reason"]) == ("eager", NOT_ON_CPU)


@needs_compiler
def test_jobs_of_many_shapes_are_not_compiled(tiny_job):
    """Fine-tuning, and pretraining in nine shapes; eight are compiled."""
    nine = tuple(BatchPhase(steps=1, global_batch=4, sequence_length=8 + n) for n in range(9))
    for job, said in (
        (attrs.evolve(tiny_job, kind="finetune"), "too many shapes"),
        (attrs.evolve(tiny_job, batches=nine), "9 shapes of batches"),
        (attrs.evolve(tiny_job, batches=nine[:5], micro_batch=3), "10 shapes of batches"),
    ):
        with pytest.raises(UserError, match=said):
            choose_compilation(attrs.evolve(job, kernels="fused"), CPU, Ranks.one())
    assert choose_compilation(attrs.evolve(tiny_job, kernels="fused", batches=nine[:8]), CPU, Ranks.one()).layers


@needs_compiler
@pytest.mark.slow  # half a minute of compiling
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_compiled_layers_train_alike_and_resume_to_the_bit(tiny_job, run_job, read_metrics, read_output, recompute):
    """Losses within 1e-5 of eager ones; a run that was interrupted ends with the bytes of an unbroken one."""
    job = attrs.evolve(tiny_job, kernels="fused", checkpoint_every=3, recompute=recompute)

    def stop(done, total, unit):
        if done == 7:
            raise KeyboardInterrupt

    unbroken = run_job(job)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, "cut", progress=stop)
    torch._dynamo.reset()
    assert read_output(run_job(job, "cut")) == read_output(unbroken)
    environment = json.loads((unbroken / "log" / "environment.json").read_text())
    assert environment["kernels"] == "compiled layers"
    eager = read_metrics(run_job(attrs.evolve(tiny_job, kernels="portable"), "eager"))
    for line, reference in zip(read_metrics(unbroken), eager, strict=True):
        assert line["loss"] == pytest.approx(reference["loss"], rel=1e-5)
