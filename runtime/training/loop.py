"""The run of a stage, the same for every back end whose loop is ours: steps, records, states, and the end on request.

Not a back end: an `Engine` computes and saves, this asks it when. NeMo has a loop of its own and uses `Recorder` from
its callbacks. While a stage runs, all that must survive a kill lies under `resume`: `step-*/` (the engine's states; the
last two), `saved/` (the state at `job.save_at`), `metrics.jsonl`, `validation.jsonl`, `timings.jsonl`.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import attrs

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption
from runtime.launch import Lost
from runtime.training.data import Batch, Batches
from runtime.training.device import Device
from runtime.training.guard import LossGuard, Verdict
from runtime.training.ranks import Ranks
from runtime.training.request import Request
from runtime.training.schedule import learning_rate
from runtime.training.score import Score
from runtime.training.sealed import step_directory
from runtime.training.steplog import StepLog
from runtime.training.validation import FILE as VALIDATION
from runtime.training.validation import Validation, open_held_out
from runtime.training.watch import Watchers, copy_kept

GO_ON, LEAVE_OUT = 0, 1  # what rank 0 tells the others of a step; 2 and more: end, with an error of its own


@attrs.frozen(kw_only=True)
class Step:
    """What one optimizer step came to, the same on every rank.

    `loss` is in nats per predicted token and `norm` the gradient's before clipping, both before the update. `sources`
    has loss and number of predicted tokens of each data set of the blend that the batch drew from.
    """

    loss: float
    norm: float
    verdict: Verdict = attrs.field(factory=Verdict)
    sources: Mapping[str, tuple[float, int]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, batch: Batch, sums: Sequence[float], norm: float, verdict: Verdict) -> Step:
        """What a batch came to, from the sums of its losses by data set, in the order of the batch's names."""
        counted = batch.tokens_by_source()
        means = {
            name: (total / counted[name], counted[name])
            for name, total in zip(batch.names, sums, strict=True)
            if name in counted
        }
        return cls(loss=sum(sums) / batch.loss_tokens, norm=norm, verdict=verdict, sources=means)


Judge = Callable[[float, float], Verdict]
"""Takes a step's loss and gradient norm, before the update; raises UserError where the job ends here."""


class Engine(Protocol):
    """A model with its optimizer on all ranks. Every rank calls every method; who writes is the engine's affair."""

    def update(self, batch: Batch, rate: float, judge: Judge) -> Step:
        """One optimizer step at a learning rate; the update is left out where `judge` says so."""

    def save_for_resume(self, resume: Path, step: int) -> None:
        """Keep all that the steps after `step` depend on, whole or not at all."""

    def save_for_stage(self, directory: Path, step: int) -> None:
        """Keep the state after `step` steps for a stage that starts there."""


def run_steps(
    engine: Engine,
    job: TrainJob,
    batches: Batches,
    ranks: Ranks,
    recorder: Recorder,
    first: int,
    stop: Callable[[], bool],
) -> float:
    """Train from step `first` (0-based) to the end; the seconds that it took. Interrupted where `stop()` is true."""
    began = time.perf_counter()
    if ranks.any(stop()):
        raise interruption.Interrupted(first)
    with recorder.open(first):
        for step in range(first, job.steps):
            recorder.validate(step)
            rate = learning_rate(job.schedule, step)
            taken = engine.update(batches[step], rate, recorder.judge_of(step, rate, ranks))
            recorder.keep(step, taken, rate)
            done, stopping = step + 1, ranks.any(stop())
            if done == job.save_at:
                engine.save_for_stage(recorder.resume / "saved", done)
            if stopping or is_due(job, done):
                recorder.sync()
                engine.save_for_resume(recorder.resume, done)
            recorder.report(done)
            if stopping:
                ranks.barrier()  # a launcher may end all ranks when one has ended, so none does before the save
                raise interruption.Interrupted(done)
        recorder.validate(job.steps)
    return time.perf_counter() - began


def recorder_of(request: Request, job: TrainJob, device: Device) -> Recorder:
    """What keeps the records of a request whose job has been settled for a device."""
    watchers = Watchers(device.torch, device.precision, request.ranks.here.size)
    return Recorder(job, request.resume, request.ranks.leads, request.progress, watchers)


def environment_of(request: Request, device: Device) -> dict[str, Any]:
    """What every back end tells of where it ran."""
    job = request.job
    how = {"parallelism": attrs.asdict(job.parallelism), "recompute": job.recompute}
    return {**device.describe(), "ranks": request.ranks.here.size, "threads": request.threads, **how}


def validation_of(request: Request, job: TrainJob, score: Score) -> Validation | None:
    """What measures the model that `score` asks, where the job wants that and the request has text for it."""
    if not job.validate_every or request.held_out is None:
        return None
    return Validation(job, open_held_out(job, request.held_out), score, request.ranks)


def tell(request: Request, environment: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """Leave `log/environment.json`, and figures for the manifest."""
    (request.out / "log" / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
    request.stats.update(figures)


def is_due(job: TrainJob, done: int) -> bool:
    """Whether the job wants its state kept after `done` steps."""
    return bool(job.checkpoint_every) and done % job.checkpoint_every == 0


@attrs.define(eq=False)
class Recorder:
    """Metrics, timings and the judgement of steps. Only rank 0 of a job keeps any: for the others, `leads` is False.

    A line of metrics is one optimizer step: `step` (from 1), `loss`, `lr`, `grad_norm`, `tokens` (so far, padding
    included), and `sources` where there are several; `anomaly` and `skipped` where something was wrong. Metrics are the
    same in every run of the job; what depends on the machine is in the timings.
    """

    job: TrainJob
    resume: Path
    leads: bool = True
    progress: Callable[[int, int, str], None] = lambda done, total, unit: None
    watchers: Watchers = attrs.field(factory=Watchers)
    validation: Validation | None = None
    _guard: LossGuard = attrs.field(init=False)
    _metrics: StepLog | None = None
    _timings: StepLog | None = None
    _tokens: int = 0
    _began: float = 0.0

    @_guard.default
    def _new_guard(self) -> LossGuard:
        return LossGuard(self.job)

    @contextmanager
    def open(self, first: int) -> Iterator[None]:
        """Go on with the logs after `first` steps; UserError where they have fewer lines, or a measurement its text."""
        if self.job.validate_every and self.validation is None:
            raise UserError(
                f"stage {self.job.stage} is to be measured every {self.job.validate_every} steps, and has no held-out"
                " text, or a back end that cannot measure while it trains",
                fix="set validate_every to 0",
            )
        self._tokens = sum(tokens_of(self.job, step) for step in range(first))
        with self._own_logs(first), self.validation.open(self.resume, first) if self.validation else nullcontext():
            self._began = time.perf_counter()
            yield

    @contextmanager
    def _own_logs(self, first: int) -> Iterator[None]:
        if not self.leads:
            yield
            return
        self.resume.mkdir(parents=True, exist_ok=True)
        with (
            StepLog(self.resume / "metrics.jsonl", first) as self._metrics,
            StepLog(self.resume / "timings.jsonl", first) as self._timings,
            self.watchers.open(self.job, self.resume, first),
        ):
            self._guard.recall(self._lines())
            yield

    def judge_of(self, step: int, rate: float, ranks: Ranks) -> Judge:
        """The judgement of a step, which rank 0 makes and all follow."""

        def judge(loss: float, norm: float) -> Verdict:
            verdict, error = Verdict(), None
            if self.leads:
                try:
                    verdict = self._guard.judge(step, loss, norm, rate)
                except UserError as found:
                    error = found
            code = ranks.agree(2 if error else LEAVE_OUT if verdict.skip else GO_ON)
            if error:
                raise error
            if code == 2:
                ranks.outlive_first()  # a launcher may end all ranks when one has ended, and rank 0 is still to say why
                raise Lost(f"rank 0 ended the stage at step {step + 1}; its log says why")
            return verdict if self.leads else Verdict(skip=code == LEAVE_OUT)

        return judge

    def keep(self, step: int, taken: Step, rate: float) -> None:
        """Write the lines of step `step` (0-based)."""
        tokens, now = tokens_of(self.job, step), time.perf_counter()
        seconds, self._began = now - self._began, now
        self._tokens += tokens
        if self._metrics is None or self._timings is None:
            return
        line = metrics_line(step, taken, rate, self._tokens)
        timing = {"step": step + 1, **self.watchers.timing(self.job, step, seconds)}
        self._metrics.append(line)
        self._timings.append(timing)
        self.watchers.show(line, timing)

    def validate(self, done: int) -> None:
        """Measure the model on held-out text where `done` steps call for it; no step's time includes it."""
        if self.validation is None or not self.validation.owes(done):
            return
        began = time.perf_counter()
        line = self.validation.line(done)
        if self.leads:
            self.watchers.show_validation(line)
        self._began += time.perf_counter() - began

    def sync(self) -> None:
        """Put all lines on the disk: before a state that counts on them."""
        for log in (self._metrics, self._timings, self.validation):
            if log:
                log.sync()

    def report(self, done: int) -> None:
        """Tell how far the stage is."""
        if self.leads:
            self.progress(done, self.job.steps, "steps")

    def summary(self, first: int, seconds: float) -> dict[str, Any]:
        """Figures of the whole stage for its manifest; `first` and `seconds` are of this attempt."""
        tokens = sum(tokens_of(self.job, step) for step in range(first, self.job.steps))
        return {
            "steps": self.job.steps,
            "parameters": self.job.model.parameters,
            "tokens": self.job.tokens,
            "final_loss": self._lines()[-1]["loss"],
            "resumed_from_step": first,
            "seconds": seconds,
            "tokens_per_second": tokens / max(seconds, 1e-9),
        }

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.resume / "metrics.jsonl").read_text().splitlines()]


def metrics_line(step: int, taken: Step, rate: float, tokens: int) -> dict[str, Any]:
    """A line of metrics. JSON has no NaN: a number that is none is written as null."""
    line: dict[str, Any] = {
        "step": step + 1,
        "loss": _number(taken.loss),
        "lr": rate,
        "grad_norm": _number(taken.norm),
        "tokens": tokens,
    }
    if len(taken.sources) > 1:
        line["sources"] = {name: _number(loss) for name, (loss, _) in taken.sources.items()}
    if taken.verdict.anomaly:
        line["anomaly"] = taken.verdict.anomaly
        line["skipped"] = taken.verdict.skip
    return line


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def tokens_of(job: TrainJob, step: int) -> int:
    """Tokens of one step, padding included."""
    phase = job.batch_phase(step)
    return phase.global_batch * phase.sequence_length


def copy_records(job: TrainJob, resume: Path, out: Path) -> None:
    """Put what was kept under `resume` where a finished stage has it: the logs, and the state at `save_at`."""
    if job.save_at is not None:
        shutil.copytree(resume / "saved", step_directory(out / "state", job.save_at), dirs_exist_ok=True)
    measured = [(VALIDATION, "metrics")] if job.validate_every else []
    for name, output in (("metrics.jsonl", "metrics"), *measured, ("timings.jsonl", "log")):
        (out / output).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(resume / name, out / output / name)
    copy_kept(resume, out / "log")
