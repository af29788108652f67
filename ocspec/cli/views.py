"""A task as `ocspec status` sees it: its shards put together into one state, a reason, times and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from compiler.plan import Task
from ocspec.cli.output import one_line, plural
from runtime.dispatch.slurm.states import ShardState

ORDER = (
    "finished",
    "running",
    "completing",
    "preempted",
    "requeued",
    "queued",
    "failed",
    "cancelled",
    "missing",
)
SHOWN_FAILURES = 3


@attrs.frozen(kw_only=True)
class TaskView:
    """A task to show. `seconds` are those of its shards, added up, once it is finished; `left_s` is an estimate.

    `retried` are the failed shards that the cluster tries again by itself.
    """

    task: Task
    shards: tuple[ShardState, ...]
    now: float
    seconds: float | None = None
    left_s: float | None = None
    retried: frozenset[int] = frozenset()

    @property
    def kinds(self) -> Counter[str]:
        """How many shards are in each state."""
        return Counter(shard.state for shard in self.shards)

    @property
    def state(self) -> str:
        """The state of the task as a whole; what waits is queued, for whatever reason."""
        kinds = self.kinds
        if kinds["finished"] == len(self.shards):
            return "finished"
        if kinds["running"] or kinds["completing"]:
            return "running"
        if kinds["failed"]:
            return "failed"
        if any(shard.is_live for shard in self.shards):
            return "queued"
        return "cancelled" if kinds["cancelled"] else "missing"

    @property
    def word(self) -> str:
        """The state of its only shard, else its own."""
        return self.shards[0].state if len(self.shards) == 1 else self.state

    @property
    def counts(self) -> str:
        """`12 finished, 3 running`; empty for a single shard and where all are alike."""
        kinds = self.kinds
        if len(kinds) < 2:
            return ""
        return ", ".join(f"{kinds[kind]} {kind}" for kind in ORDER if kinds[kind])

    @property
    def reason(self) -> str:
        """Slurm's most common reason for what waits."""
        reasons = Counter(s.detail for s in self.shards if s.is_live and s.state != "running" and s.detail)
        return reasons.most_common(1)[0][0] if reasons else ""

    @property
    def elapsed_s(self) -> float | None:
        """What it took, once it is finished; how long it has run, or waited for a start."""
        if self.state == "finished":
            return self.seconds
        kind = "running" if self.state == "running" else ""
        times = [s.since for s in self.shards if s.is_live and s.since and (not kind or s.state == kind)]
        return max(0.0, self.now - min(times)) if times else None

    @property
    def jobs(self) -> str:
        """The ids and nodes of its jobs."""
        live = [shard for shard in self.shards if shard.is_live]
        arrays = {shard.job_id if len(live) == 1 else shard.job_id.partition("_")[0] for shard in live}
        nodes = _few(sorted({shard.node for shard in live if shard.node}))
        jobs = _few(sorted(arrays - {""}, key=lambda job: (len(job), job)))
        return " on ".join(filter(None, (jobs, nodes)))

    def failures(self) -> Iterator[str]:
        """What went wrong, a line for each cause and error, the most common first."""
        of: dict[tuple[str, str], list[ShardState]] = {}
        for shard in self.shards:
            if shard.state in {"failed", "cancelled"}:
                of.setdefault((shard.cause or "", shard.detail), []).append(shard)
        ranked = sorted(of.items(), key=lambda item: -len(item[1]))
        for (cause, detail), shards in ranked[:SHOWN_FAILURES]:
            said = detail.strip().removeprefix(f"{self.task.id}: ").split("\n")[0]
            again = "; tried again by the cluster" if shards[0].shard in self.retried else ""
            named = cause not in {"", "parent", "cancelled"}
            yield self._whose(shards) + one_line(f"{cause}: {said}" if named else said) + again
        if len(ranked) > SHOWN_FAILURES:
            yield f"and {plural(len(ranked) - SHOWN_FAILURES, 'other error')}"

    def _whose(self, shards: list[ShardState]) -> str:
        if len(self.shards) == 1:
            return ""
        if len(shards) == 1:
            return f"shard {shards[0].shard + 1} of {len(self.shards)}: "
        return f"{len(shards)} shards: "


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
