"""Whole runs of the three back ends in processes of their own, as workers start them, on the same data.

Not a test and not a worker: `Bench` writes tokens, a draw and a job, and starts `one_rank` for each rank.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np

from compiler.trainjob import BatchPhase, ModelShape, SchedulePhase, TrainJob
from runtime import launch

MODULE = "tests.stacks.one_rank"
ROOT = Path(__file__).parents[2]

SHAPE = ModelShape(
    vocab_size=512,
    hidden_size=64,
    intermediate_size=96,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,
    max_positions=64,
)
STEPS = 50
JOB = TrainJob(
    stage="tiny",
    kind="pretrain",
    model=SHAPE,
    schedule=(
        SchedulePhase(shape="linear", steps=5, start=0.0, end=3e-3),
        SchedulePhase(shape="constant", steps=STEPS - 15, start=3e-3, end=3e-3),
        SchedulePhase(shape="exponential", steps=10, start=3e-3, end=1e-4),
    ),
    # Two lengths in one stage, as the 8B has.
    batches=(
        BatchPhase(steps=30, global_batch=8, sequence_length=32),
        BatchPhase(steps=STEPS - 30, global_batch=8, sequence_length=64),
    ),
    micro_batch=2,
    precision="fp32",
    seed=7,
)


@attrs.frozen(eq=False)
class Ended:
    """A run that has ended: the exit codes of its ranks, and where its files are."""

    codes: list[int]
    out: Path
    resume: Path
    said: str

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics."""
        return [json.loads(line) for line in (self.resume / "metrics.jsonl").read_text().splitlines()]

    @property
    def validation(self) -> list[dict[str, Any]]:
        """What was measured on held-out text while it trained."""
        return [json.loads(line) for line in (self.resume / "validation.jsonl").read_text().splitlines()]

    @property
    def losses(self) -> np.ndarray:
        """The loss of each step."""
        return np.array([line["loss"] for line in self.metrics])

    @property
    def stats(self) -> dict[str, Any]:
        """What the stage leaves in its manifest."""
        return json.loads(self.said.splitlines()[-1])


@attrs.define(eq=False)
class Bench:
    """Runs jobs on two data sets of patterns that a model can learn; the same data for every job of equal batches."""

    root: Path
    _ended: dict[str, Ended] = attrs.field(factory=dict)

    @property
    def tokens(self) -> list[Path]:
        """Two token directories, written when first asked for."""
        return [self._tokens(number) for number in (0, 1)]

    def _tokens(self, number: int) -> Path:
        directory = self.root / f"tokens-{number}"
        if not directory.exists():
            directory.mkdir(parents=True)
            rng, pattern = np.random.default_rng(number), np.arange(64) * (number + 3) % SHAPE.vocab_size
            documents = [np.resize(np.roll(pattern, rng.integers(64)), 400) for _ in range(10)]
            write_tokens(directory, documents)
            np.save(directory / "answer_start.npy", rng.integers(1, 30, len(documents)).astype(np.int32))
        return directory

    def blend(self, job: TrainJob) -> Path:
        """A draw for the job."""
        sizes = [[phase.steps * phase.global_batch, phase.sequence_length] for phase in job.batches]
        directory = self.root / f"blend-{job.kind}-{'-'.join(str(n) for size in sizes for n in size)}"
        if not directory.exists():
            directory.mkdir()
            rng, phases = np.random.default_rng(3), []
            for number, (count, length) in enumerate(sizes):
                places = rng.integers(0, 10 if job.kind == "finetune" else 4000 - length - 1, count)
                np.save(directory / f"order-{number}.npy", np.stack((rng.integers(0, 2, count), places), 1))
                phases.append({"sequence_length": length, "instances": count, "order": f"order-{number}.npy"})
            index = {"format_version": 1, "datasets": [{"name": "a"}, {"name": "b"}], "phases": phases}
            (directory / "blend.json").write_text(json.dumps(index))
        return directory

    def run(self, name: str, job: TrainJob, **more: Any) -> Ended:
        """Start all ranks of a job and wait; a directory of this name that is there is gone on with."""
        directory = self.root / name
        directory.mkdir(exist_ok=True)
        arguments = {
            "job": cattrs.unstructure(job),
            "tokens": [str(path) for path in self.tokens],
            "blend": str(self.blend(job)),
            "out": str(directory / "out"),
            "resume": str(directory / "resume"),
            **more,
        }
        (directory / "out").mkdir(exist_ok=True)
        (directory / "arguments.json").write_text(json.dumps(arguments, default=str))
        processes = [
            self._rank(directory, rank, variables)
            for rank, variables in enumerate(launch.local_environments(job.parallelism.devices))
        ]
        codes = [process.wait(timeout=600) for process in processes]
        for process in processes:  # a rank that was killed leaves the helper of Megatron's writer behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        said = (directory / "0.log").read_text()
        return Ended(codes, directory / "out", directory / "resume", said)

    def trained(self, name: str, job: TrainJob, **more: Any) -> Ended:
        """A run to the end, which has to succeed; the same one for a second test that asks for it."""
        if name not in self._ended:
            ended = self.run(name, job, **more)
            assert set(ended.codes) == {0}, ended.said[-3000:]
            self._ended[name] = ended
        return self._ended[name]

    def _rank(self, directory: Path, rank: int, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", MODULE, str(directory / "arguments.json")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        with (directory / f"{rank}.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )


def write_tokens(directory: Path, documents: list[np.ndarray]) -> None:
    """Token files as the compiler's tasks write them, here by hand: the tests of the writer are elsewhere."""
    lengths = np.array([len(document) for document in documents], "<i4")
    pointers = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64) * 2]).astype("<i8")
    header = b"MMIDIDX\x00\x00" + np.array([1], "<u8").tobytes() + b"\x08"
    counts = np.array([len(lengths), len(lengths) + 1], "<u8").tobytes()
    borders = np.arange(len(lengths) + 1, dtype="<i8").tobytes()
    (directory / "tokens.idx").write_bytes(header + counts + lengths.tobytes() + pointers.tobytes() + borders)
    np.concatenate(documents).astype("<u2").tofile(directory / "tokens.bin")


def write_held_out(directory: Path) -> tuple[Path, list[np.ndarray]]:
    """Five documents of two languages as `text.held_out` leaves them, and their tokens."""
    pattern = np.arange(64) * 3 % SHAPE.vocab_size
    documents = [np.resize(np.roll(pattern, 5 * number), 20 + 7 * number) for number in range(5)]
    if not directory.exists():
        directory.mkdir()
        write_tokens(directory, documents)
        table = {"languages": ["python", "c"] * 2 + ["python"], "bytes": [len(each) * 3 for each in documents]}
        (directory / "languages.json").write_text(json.dumps(table))
    return directory, documents


def largest_difference(losses: np.ndarray, others: np.ndarray) -> float:
    """The largest relative difference of two loss curves of the same length."""
    assert losses.shape == others.shape
    return float(np.max(np.abs(losses - others) / np.abs(losses)))
