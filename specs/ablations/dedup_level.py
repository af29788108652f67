"""Ablation 6.1 in miniature: deduplicate by file or by repository, all else equal.

    ocspec diff specs/ablations/dedup_level.py:file_level specs/ablations/dedup_level.py:repository_level

The paper found file level clearly better on HumanEval and MBPP. The two arms differ in one field; held-out twins are
dropped by file in both, so that both are measured on text that neither has seen.
"""

from __future__ import annotations

from opencoder_mini import CODE, experiment

from ocspec import Dataset, Deduplicate


def deduplicated_by(dataset: Dataset, granularity: str) -> Dataset:
    """The same data set with another granularity of deduplication."""
    steps = (s.replace(granularity=granularity) if isinstance(s, Deduplicate) else s for s in dataset.steps)
    return dataset.replace(steps=tuple(steps))


file_level = experiment.replace(name="dedup_file_level")
repository_level = experiment.replace(
    name="dedup_repository_level",
    data=tuple(deduplicated_by(d, "repository") if d.name == CODE.name else d for d in experiment.data),
)
