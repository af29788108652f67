"""OpenCoder-8B and 1.5B trained by plain Megatron-core in place of NeMo: the same data, models and stages.

    ocspec diff specs/opencoder_8b.py specs/opencoder_megatron.py

Only `backend` differs. It is part of a stage's identity, so what is trained is trained anew; all data, tokens and
mixtures are shared with the experiments that this starts from.
"""

from __future__ import annotations

from opencoder_1_5b import experiment as small
from opencoder_8b import experiment as large

from ocspec import Curriculum, Experiment


def on_megatron(experiment: Experiment) -> Experiment:
    """The same experiment, every stage of which Megatron-core trains."""
    stages = tuple(stage.replace(backend="megatron") for stage in experiment.curriculum.stages)
    return experiment.replace(name=f"{experiment.name}-megatron", curriculum=Curriculum(stages=stages))


opencoder_1_5b = on_megatron(small)
experiment = on_megatron(large)
