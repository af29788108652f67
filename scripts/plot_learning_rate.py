"""Draw the learning rate of OpenCoder's 1.5B over its steps: docs/images/learning-rate.svg.

    python scripts/plot_learning_rate.py

Not a chart of a run (the report has those): what the spec plans, stage by stage, and beside annealing what Megatron's
"exponential" would be in place of the true one.
"""

from __future__ import annotations

from pathlib import Path

from compiler.load import load_spec
from compiler.passes.lower_training import train_job
from compiler.trainjob import TrainJob
from runtime.report.charts.step_curve import StepSeries, step_curve, step_lines
from runtime.training.schedule import learning_rate

ROOT = Path(__file__).parents[1]
SPEC = "specs/opencoder_1_5b.py"
PICTURE = ROOT / "docs" / "images" / "learning-rate.svg"
WIDTH, POINTS = 860, 400
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #444 } .line { fill: none; stroke: #2563eb; stroke-width: 1.6 }
.s1.planned { stroke: #b91c1c; stroke-dasharray: 5 3 } line { stroke: #ddd } .border { stroke: #999 }
</style>"""


def jobs() -> list[TrainJob]:
    """The stages of the spec that follow one schedule: pretraining and annealing."""
    experiment, _ = load_spec(str(ROOT / SPEC))
    found: list[TrainJob] = []
    for stage in experiment.curriculum.stages[:2]:
        before = found[-1] if found else None
        found.append(train_job(experiment.model, experiment.tokenizer.vocab_size, stage, before))
    return found


def steps_of(job: TrainJob) -> list[int]:
    """Steps to draw, from 1: some hundred, the first and the last among them."""
    return sorted({1, *range(1, job.steps, max(1, job.steps // POINTS)), job.steps})


def megatrons(job: TrainJob, step: int) -> float:
    """Megatron-core's "exponential" decay at a step (from 1): min + (2 * 0.5^r - 1) * (max - min)."""
    (phase,) = job.schedule
    return phase.end + (2 * 0.5 ** (step / phase.steps) - 1) * (phase.start - phase.end)


def picture() -> str:
    """Both charts, one above the other."""
    pretrain, anneal = jobs()
    rates = {job.stage: [(s, learning_rate(job.schedule, s - 1)) for s in steps_of(job)] for job in (pretrain, anneal)}
    whole = [StepSeries(name=job.stage, steps=job.steps, points=rates[job.stage]) for job in (pretrain, anneal)]
    other = [(step, megatrons(anneal, step)) for step in steps_of(anneal)]
    decay = [
        StepSeries(name="exponential, as in the job", steps=anneal.steps, points=rates["anneal"]),
        StepSeries(name='Megatron\'s "exponential"', steps=anneal.steps, points=other, style="line planned"),
    ]
    upper = step_curve(whole, "Learning rate", WIDTH, from_zero=True)
    lower = step_lines(decay, "Learning rate of annealing: as in the job, and Megatron's (dashed)", WIDTH)
    height, told = 260, "annealing: as in the job; dashed, what Megatron calls exponential"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {2 * height + 30}" width="{WIDTH}">{STYLE}'
        f"{upper}"
        f'<g transform="translate(0 {height + 30})">{lower}</g>'
        f'<text x="60" y="{height + 26}">{told}</text></svg>\n'
    )


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture())
