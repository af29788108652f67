"""Tiny jobs and data sets that every training test shares."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from compiler.trainjob import BatchPhase, ModelShape, SchedulePhase, TrainJob
from runtime.training.request import Request
from runtime.training.torch_backend import train
from tests.forked import ROOT, Forked

IMPORTS = ("runtime.training.torch_backend", "torch.distributed.tensor", "torch.distributed.fsdp")
TINY = ModelShape(
    vocab_size=64,
    hidden_size=16,
    intermediate_size=24,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=4,
    max_positions=32,
)


@pytest.fixture(scope="session")
def tiny_shape() -> ModelShape:
    """A model of a few thousand parameters, with grouped attention."""
    return TINY


@pytest.fixture(scope="session")
def tiny_job() -> TrainJob:
    """Eight pretraining steps in two phases of batches: warm-up and hold."""
    return TrainJob(
        stage="pretrain",
        kind="pretrain",
        model=TINY,
        schedule=(
            SchedulePhase(shape="linear", steps=2, start=0.0, end=1e-2),
            SchedulePhase(shape="constant", steps=6, start=1e-2, end=1e-2),
        ),
        batches=(
            BatchPhase(steps=5, global_batch=4, sequence_length=8),
            BatchPhase(steps=3, global_batch=2, sequence_length=16),
        ),
        micro_batch=2,
        seed=7,
    )


def write_token_directory(directory: Path, sequences: list[Any], dtype: type = np.uint16) -> Path:
    """Sequences in Megatron's format, one document each."""
    directory.mkdir(parents=True)
    lengths = np.array([len(sequence) for sequence in sequences], "<i4")
    ids = np.concatenate([np.asarray(sequence, dtype) for sequence in sequences])
    ids.tofile(directory / "tokens.bin")
    pointers = np.zeros(len(lengths), "<i8")
    np.cumsum(lengths[:-1] * ids.itemsize, out=pointers[1:])
    code = {np.uint16: 8, np.int32: 4}[dtype]
    header = b"MMIDIDX\x00\x00" + np.array([1], "<u8").tobytes() + bytes([code])
    header += np.array([len(lengths), len(lengths) + 1], "<u8").tobytes()
    body = lengths.tobytes() + pointers.tobytes() + np.arange(len(lengths) + 1, dtype="<i8").tobytes()
    (directory / "tokens.idx").write_bytes(header + body)
    return directory


def write_blend_directory(directory: Path, orders: list[Any], lengths: list[int], datasets: int = 1) -> Path:
    """A blend whose phases read `orders` in sequences of `lengths`."""
    directory.mkdir(parents=True)
    phases = []
    for number, (order, length) in enumerate(zip(orders, lengths, strict=True)):
        np.save(directory / f"order-{number}.npy", np.asarray(order, np.int64))
        phases.append({"sequence_length": length, "instances": len(order), "order": f"order-{number}.npy"})
    names = [{"name": f"set-{number}"} for number in range(datasets)]
    index = {"format_version": 1, "datasets": names, "phases": phases}
    (directory / "blend.json").write_text(json.dumps(index))
    return directory


@pytest.fixture(scope="session")
def write_tokens() -> Callable[..., Path]:
    """Write a token directory."""
    return write_token_directory


@pytest.fixture(scope="session")
def write_blend() -> Callable[..., Path]:
    """Write a blend directory."""
    return write_blend_directory


@attrs.define
class Corpus:
    """Two data sets of random tokens, and a blend for any job over them."""

    root: Path
    tokens: list[Path]

    def blend(self, job: TrainJob) -> Path:
        """Random windows, enough for the job; the same for equal batches."""
        digest = "-".join(str(number) for phase in job.batches for number in attrs.astuple(phase))
        directory = self.root / f"blend-{digest}"
        if not directory.exists():
            rng = np.random.default_rng(3)
            counts = [phase.steps * phase.global_batch for phase in job.batches]
            orders = [np.stack((rng.integers(0, 2, n), rng.integers(0, 180, n)), 1) for n in counts]
            write_blend_directory(directory, orders, [phase.sequence_length for phase in job.batches], datasets=2)
        return directory


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """400 tokens in two data sets."""
    rng = np.random.default_rng(0)
    sets = [[rng.integers(0, 64, 50) for _ in range(4)] for _ in range(2)]
    tokens = [write_token_directory(tmp_path / f"tokens-{n}", sequences) for n, sequences in enumerate(sets)]
    return Corpus(tmp_path, tokens)


@pytest.fixture(scope="session")
def _forked() -> Iterator[Forked]:
    """A process with torch, to fork from."""
    with Forked(IMPORTS) as forked:
        yield forked


@pytest.fixture(scope="session")
def run_script(_forked: Forked) -> Callable[..., str]:
    """Run a script of this directory, which itself forks, in a process of its own; what it printed."""

    def run(name: str, *arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = _forked.run(f"tests.runtime.training.{name}", arguments, ROOT, environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def run_job(corpus: Corpus) -> Callable[..., Path]:
    """Train a job on the corpus with one thread; returns its output directory."""

    def run(job: TrainJob, name: str = "run", **changes: Any) -> Path:
        out = corpus.root / name
        arguments = {
            "tokens": corpus.tokens,
            "blend": corpus.blend(job),
            "out": out,
            "resume": corpus.root / f"{name}-resume",
            "threads": 1,
        }
        train(Request(job=job, **(arguments | changes)))
        return out

    return run


def output_bytes(out: Path) -> dict[str, bytes]:
    """Every file of an output but the logs, by its path."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.relative_to(out).parts[0] != "log"}


@pytest.fixture(scope="session")
def read_output() -> Callable[[Path], dict[str, bytes]]:
    """The bytes of an output."""
    return output_bytes


def metric_lines(out: Path) -> list[dict[str, Any]]:
    """The lines of metrics of an output."""
    return [json.loads(line) for line in (out / "metrics" / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def read_metrics() -> Callable[[Path], list[dict[str, Any]]]:
    """The metrics of an output."""
    return metric_lines
