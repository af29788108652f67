"""OC035: steps leave no more than they were given."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import amount
from ocspec.mixture import Dataset
from ocspec.sources import Declared


def find(draft: Draft) -> Iterator[UserError]:
    """Data sets that declare more documents, bytes or tokens than their base or all of their sources do."""
    known = {dataset.name: dataset for dataset in draft.experiment.data}
    for dataset in draft.experiment.data:
        for unit in ("documents", "bytes", "tokens"):
            ours, given = getattr(dataset.declared, unit, None), _given(known, dataset, unit)
            if ours is not None and given is not None and ours > given:
                yield draft.error(
                    dataset,
                    f"{dataset.name!r} declares {amount(ours)} {unit}, and what it starts from {amount(given)}",
                    f"steps only take away: lower the {unit} of the data set, or correct those of its"
                    f" {'base' if dataset.base else 'sources'}",
                )


def _given(known: dict[str, Dataset], dataset: Dataset, unit: str) -> int | None:
    """What the base, or all sources together, declare; None where one of them does not."""
    froms: list[Declared | None] = [source.declared for source in dataset.sources]
    if dataset.base is not None:
        froms = [known[dataset.base].declared] if dataset.base in known else []
    counts: list[int | None] = [getattr(declared, unit, None) for declared in froms]
    known_counts = [count for count in counts if count is not None]
    return sum(known_counts) if known_counts and len(known_counts) == len(counts) else None


RULE = Rule(
    "OC035",
    "growth",
    "A selection that is larger than what it was selected from is a slip in one of two numbers.",
    find,
    teach="""\
Every step of refinement drops documents or cuts them; none adds any. A data set that declares more than it starts
from promises tokens that cannot come, and the mixture that was budgeted with them ends early or repeats. OpenCoder's
funnel is steep where it is known: of about 37 TB after deduplication the filters leave 3.2 TB (arXiv 2411.04905,
table 16), and its algorithmic corpus is 12.44 B of 960 B tokens. The released instruction sets are a case of numbers
that grew on the way: Package-Instruct is 110 K in the paper and 171 k rows on the hub.
""",
)
