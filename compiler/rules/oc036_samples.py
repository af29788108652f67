"""OC036: a fine-tuning stage asks for no more samples than its sources have."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import fine_tuning


def find(draft: Draft) -> Iterator[UserError]:
    """Steps x batch above epochs x rows, where all rows are known, or above epochs x samples, where those are given."""
    for stage in fine_tuning(draft):
        wanted = stage.num_steps * stage.global_batch
        rows = [_rows(draft, name) for name in stage.instructions]
        known = sum(row for row in rows if row is not None) if rows and None not in rows else None
        for have, whose in ((known, f"{', '.join(stage.instructions)} hold"), (stage.samples, "samples is")):
            if have is not None and wanted > have * stage.epochs:
                yield draft.error(
                    stage,
                    f"{stage.name!r} takes {stage.num_steps:,} steps of {stage.global_batch:,} = {wanted:,} samples,"
                    f" and {whose} {have:,}, times {stage.epochs} = {have * stage.epochs:,}",
                    f"lower steps to {have * stage.epochs // stage.global_batch:,}, or raise epochs",
                )
                break


def _rows(draft: Draft, name: str) -> int | None:
    """Rows of a source of instructions: of its files where they tell, else as declared."""
    source = next((source for source in draft.experiment.instructions if source.name == name), None)
    if source is None:
        return None
    stats = draft.sources.get(name)
    if stats is not None and stats.rows is not None:
        return stats.rows
    return source.declared.documents if source.declared else None


RULE = Rule(
    "OC036",
    "samples",
    "The stage would be refused after pretraining is paid for, or run into another epoch.",
    find,
    teach="""\
The cosine of a fine-tuning stage ends at its last step, so steps, batch and samples have to agree: OpenCoder's second
stage is 3 x 367,000 samples in batches of 512, 2,150 steps (arXiv 2411.04905, section 4, and its scripts). Counts
drift: its first stage is 4.0 M samples in the paper and 4.22 M as released. More steps than the samples fill are
another epoch, which is what OLMo-core #316 is about, and are refused by the draw here; that task runs when everything
before it has been trained. Decontamination may still take some: leave a little room.
""",
)
