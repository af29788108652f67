"""Ablation 6.1 and Appendix B in miniature: at what level to deduplicate, all else equal. Five arms.

    ocspec diff specs/ablations/dedup_level.py:file_level specs/ablations/dedup_level.py:repository_level

The paper found file level clearly better than repository level, and than repository level with chunks after it, on
HumanEval and MBPP. An arm differs from `file_level` in the granularity of its step, or by a step by chunk after it, or
both; held-out twins are dropped by file in all, so that all are measured on text that none has seen. The paper's chunks
are sequences of 4096 tokens; these are runs of lines of at most 4096 words. `benchmarks/dedup_levels.py` counts what
each arm keeps.
"""

from __future__ import annotations

from opencoder_mini import CODE, experiment

from ocspec import Dataset, Deduplicate, Experiment
from ocspec.refinement import Step


def deduplicated_by(dataset: Dataset, *granularities: str) -> Dataset:
    """The same data set, deduplicated at other levels, one after the other."""
    steps: list[Step] = []
    for step in dataset.steps:
        steps += [step.replace(granularity=g) for g in granularities] if isinstance(step, Deduplicate) else [step]
    return dataset.replace(steps=tuple(steps))


def arm(*granularities: str) -> Experiment:
    """The experiment with its code deduplicated at these levels."""
    return experiment.replace(
        name=f"dedup_{'_then_'.join(granularities)}_level",
        data=tuple(deduplicated_by(d, *granularities) if d.name == CODE.name else d for d in experiment.data),
    )


file_level = arm("file")
repository_level = arm("repository")
chunk_level = arm("chunk")
file_then_chunk = arm("file", "chunk")
repository_then_chunk = arm("repository", "chunk")
