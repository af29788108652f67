"""OC059: a job gets somewhere within the profile's time limit."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import device, jobs, step_seconds


def find(draft: Draft) -> Iterator[UserError]:
    """Stages that are ended before their first checkpoint, or more often than the profile tries again."""
    profile = draft.profile
    minutes = profile.settings("train").minutes if profile else None
    if profile is None or profile.dispatch != "slurm" or not minutes:
        return
    for stage, job in jobs(draft):
        seconds = [(batch, step_seconds(job, batch, device(draft))) for batch in job.batches]
        if any(second is None for _, second in seconds):
            continue
        total = sum(batch.steps * (second or 0) for batch, second in seconds) / 60
        slowest = max(second or 0 for _, second in seconds)
        to_first = min(stage.checkpoint_every or job.steps, job.steps) * slowest / 60
        if total <= minutes:
            continue
        about = f"{stage.name!r} takes {total:,.0f} minutes or more on {job.parallelism.devices} devices"
        where = f"profile {profile.name!r} ends jobs after {minutes:,}"
        if to_first > minutes:
            yield draft.error(
                stage,
                f"{about}, {to_first:,.0f} to its first checkpoint; {where}, so that it starts over for ever",
                f"set checkpoint_every to {max(1, int(minutes * 60 / slowest / 4)):,} or fewer, or raise minutes",
            )
        elif total / minutes > profile.retry.timeout + 1:
            yield draft.error(
                stage,
                f"{about}; {where}, and tries again {profile.retry.timeout} times",
                "raise minutes, or retry.timeout",
            )


RULE = Rule(
    "OC059",
    "time limit",
    "A job that is ended before it has saved anything never ends.",
    find,
    teach="""\
On a cluster with a limit of a day a stage of a week runs as a chain: each job goes on from the last checkpoint of the
one before. Without a checkpoint within the limit every job starts from the beginning, with all devices, until
somebody looks; users of submitit ask why a timeout cannot be told from an error (submitit #1775 and #1776) and why it
is not queued again (#1732). OpenCoder 8B trained 187.5 hours (arXiv 2411.04905, section 3.2). Times are at least what
is said here: they suppose the fastest device that anything was published of.
""",
)
