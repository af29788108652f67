"""GPU-hours that the cost model predicts for published runs, beside what was reported.

Not a fit: none of these runs is among those that the priors of `compiler/cost/devices.py` come from, and the ratio is
printed as it falls. Shapes are those of the released configurations; tokens are the stated ones, so that a run that
trained on fewer, or whose hours hold more than the run, is off by that. Windows of attention are not modelled: for
Olmo 3, 4,096 tokens in three of four layers (arXiv 2512.13961, section 3.2), 1.5 to 2.5 % of the FLOPs are too many.

    python -m benchmarks.published_runs
"""

from __future__ import annotations

import attrs

from compiler.cost.devices import DeviceType, speed
from compiler.cost.flops import training_flops
from compiler.cost.interval import Interval
from compiler.trainjob import BatchPhase, ModelShape, SchedulePhase, TrainJob

HOUR = 3600.0
LLAMA_2 = "Llama 2 model card, A100-80GB (meta-llama/llama)"
LLAMA_3 = "Llama 3 model card, H100-80GB, 15T+ tokens (meta-llama/llama3)"
OLMO_3 = "Ai2's Olmo 3 team, in muxup.com/2025q4/minipost-olmo3-training-cost; tokens: arXiv 2512.13961, table 35"
OPENCODER = "arXiv 2411.04905, section 3.2"


@attrs.frozen(kw_only=True)
class Run:
    """A published run: (sequence length, tokens) of each part, and the device-hours that were reported."""

    name: str
    device: DeviceType
    shape: ModelShape
    tokens: tuple[tuple[int, float], ...]
    reported: float
    source: str

    @property
    def job(self) -> TrainJob:
        """The run as a job of one sequence a step: how it was batched changes no FLOPs."""
        batches = tuple(
            BatchPhase(steps=round(tokens / length), global_batch=1, sequence_length=length)
            for length, tokens in self.tokens
        )
        steps = sum(batch.steps for batch in batches)
        schedule = (SchedulePhase(shape="constant", steps=steps, start=1e-4, end=1e-4),)
        return TrainJob(stage=self.name, kind="pretrain", model=self.shape, schedule=schedule, batches=batches)

    @property
    def predicted(self) -> Interval:
        """Device-hours."""
        return Interval.exact(training_flops(self.job)) / speed(self.device, self.shape.parameters) / HOUR


def shape(vocab: int, hidden: int, ffn: int, layers: int, heads: int, kv: int = 0, head_dim: int = 0) -> ModelShape:
    """A Llama-style model; without `kv` every head has its own keys."""
    return ModelShape(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv or heads,
        head_dim=head_dim or hidden // heads,
        max_positions=8192,
    )


T = 1e12
RUNS = (
    Run(
        name="OpenCoder 1.5B", device="H800", shape=shape(96_640, 2240, 6144, 24, 14), tokens=((4096, 2 * T),),
        reported=28_034, source=OPENCODER,
    ),
    Run(
        name="OpenCoder 8B", device="H100", shape=shape(96_640, 4096, 14_336, 32, 32, 8),
        tokens=((4096, 1.091 * T), (8192, 1.409 * T)), reported=96_000, source=OPENCODER,
    ),
    Run(
        name="Llama 2 7B", device="A100", shape=shape(32_000, 4096, 11_008, 32, 32), tokens=((4096, 2 * T),),
        reported=184_320, source=LLAMA_2,
    ),
    Run(
        name="Llama 2 13B", device="A100", shape=shape(32_000, 5120, 13_824, 40, 40), tokens=((4096, 2 * T),),
        reported=368_640, source=LLAMA_2,
    ),
    Run(
        name="Llama 2 70B", device="A100", shape=shape(32_000, 8192, 28_672, 80, 64, 8), tokens=((4096, 2 * T),),
        reported=1_720_320, source=LLAMA_2,
    ),
    Run(
        name="Llama 3 8B", device="H100", shape=shape(128_256, 4096, 14_336, 32, 32, 8), tokens=((8192, 15 * T),),
        reported=1_300_000, source=LLAMA_3,
    ),
    Run(
        name="Llama 3 70B", device="H100", shape=shape(128_256, 8192, 28_672, 80, 64, 8), tokens=((8192, 15 * T),),
        reported=6_400_000, source=LLAMA_3,
    ),
    Run(
        name="Olmo 3 7B", device="H100", shape=shape(100_278, 4096, 11_008, 32, 32), tokens=((8192, 5.93 * T),),
        reported=234_000, source=OLMO_3,
    ),
    Run(
        name="Olmo 3 32B", device="H100", shape=shape(100_278, 5120, 27_648, 64, 40, 8, 128), tokens=((8192, 5.5 * T),),
        reported=1_050_000, source=OLMO_3,
    ),
)  # fmt: skip


def table() -> list[str]:
    """The runs as rows of Markdown."""
    rows = [
        "| run | device | FLOPs | reported, h | predicted, h | middle, h | middle / reported | reported MFU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in RUNS:
        flops, hours = training_flops(run.job), run.predicted
        reached = flops / (run.reported * HOUR * speed(run.device, run.shape.parameters, Interval.exact(1)).high)
        rows.append(
            f"| {run.name} | {run.device} | {flops:.3g} | {run.reported:,.0f} | {hours.low:,.0f} to {hours.high:,.0f} "
            f"| {hours.middle:,.0f} | {hours.middle / run.reported:.2f} | {reached:.2f} |"
        )
    return rows


if __name__ == "__main__":
    print("\n".join(table()))
