"""OC050: measuring while training costs less than the training."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.cost.size import dataset_sizes
from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import amount, jobs, root_of

BYTES_A_TOKEN = 4
PASSES = 2
"""Windows overlap by half, so that every token is read twice."""

FORWARD = 1 / 3
"""Of the operations of a step, which goes backward, too."""

MOST, WANTED = 0.5, 0.05


def find(draft: Draft) -> Iterator[UserError]:
    """Stages that may spend on held-out text of one language more than half of what they train on between."""
    held = _held_out_bytes(draft)
    for stage, job in jobs(draft):
        if not stage.validate_every or not stage.validate_bytes:
            continue
        measured = min(stage.validate_bytes, held) / BYTES_A_TOKEN if held is not None else 0
        between = stage.validate_every * min(batch.global_batch * batch.sequence_length for batch in job.batches)
        share = PASSES * FORWARD * measured / between
        if share > MOST:
            yield draft.error(
                stage,
                f"{stage.name!r} trains on {amount(between)} tokens between two measurements, each of up to"
                f" {amount(measured)} tokens of a language: {share:.2g} times the operations of that training",
                f"set validate_every to {int(stage.validate_every * share / WANTED) + 1:,} for {WANTED:.0%}, or lower"
                " validate_bytes",
            )


def _held_out_bytes(draft: Draft) -> int | None:
    """No more text than this can be held out; None where the size of the data is not known."""
    if any(root_of(draft, dataset.name) is None for dataset in draft.experiment.data):
        return None
    sizes = list(dataset_sizes(draft).values())
    known = [int(size.bytes) for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


RULE = Rule(
    "OC050",
    "validation cost",
    "A curve that is measured too often is paid for in steps that are not taken.",
    find,
    severity="warning",
    teach="""\
Scoring reads every token of the held-out text twice, forward only, so a token costs two thirds of one that is trained
on. A sample of a megabyte for each language is right for a run of billions of tokens, and in a small one takes longer
than what it watches. Small samples have a price, too: the error of a mean falls with the root of their number
(Miller 2024, arXiv 2411.00640), so that a hundredth of the documents has ten times the error.
""",
)
