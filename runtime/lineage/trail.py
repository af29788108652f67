"""A data set's steps in order, and who reads what they leave. From the plan alone; it looks at no artefact."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from compiler import ir
from compiler.errors import UserError
from compiler.plan import Plan, Task

COUNTING = (
    ir.Sign,
    ir.DropTwins,
    ir.Cluster,
    ir.Refine,
    ir.Downsample,
    ir.Select,
    ir.Decontaminate,
)
"""Operators that let documents of a data set through or not."""

FETCHING = (ir.FetchPackages, ir.RecallWeb)
"""Operators that make documents, and say which they left out."""

_BEFORE = ("selection", "documents", "kept", "keys")
"""Roles under which a step is given what the step before it let through; the first that it has counts."""


@attrs.frozen(kw_only=True)
class Use:
    """Somebody who reads a data set: `what` is tokens, pairs or tokenizer; `share` is that of the stage's tokens."""

    what: str
    task: str
    stage: str = ""
    share: float | None = None


@attrs.frozen(kw_only=True)
class Trail:
    """The steps that a data set's documents pass, from `sign` to the last selection."""

    dataset: str
    steps: tuple[Task, ...]

    @property
    def sign(self) -> Task:
        """The step that admits documents."""
        return next(task for task in self.steps if isinstance(task.op, ir.Sign))

    @property
    def refine(self) -> Task:
        """The step that writes clean documents."""
        return next(task for task in self.steps if isinstance(task.op, ir.Refine))

    @property
    def selection(self) -> Task | None:
        """The last step that chooses among clean documents, if there is one."""
        last = self.steps[-1]
        return None if isinstance(last.op, ir.Refine) else last


def role_before(task: Task) -> str | None:
    """The role under which a step is given the documents that the step before it kept; None for the first one."""
    roles = {item.role for item in task.inputs} if isinstance(task.op, COUNTING) else set()
    return next((role for role in _BEFORE if role in roles), None)


def step_before(task: Task) -> str | None:
    """The task whose kept documents are what goes into a step; None for the first one."""
    role = role_before(task)
    return next((item.task for item in task.inputs if item.role == role), None)


def trails(plan: Plan) -> tuple[Trail, ...]:
    """The data sets that have steps of their own, in the plan's order."""
    last = {task.id.partition("/")[0]: task for task in plan.tasks if isinstance(task.op, COUNTING)}
    return tuple(Trail(dataset=name, steps=_steps(plan, task)) for name, task in last.items())


def trail_called(plan: Plan, dataset: str) -> Trail:
    """The data set of that name; a UserError with those that there are."""
    found = {trail.dataset: trail for trail in trails(plan)}
    if dataset not in found:
        raise UserError(
            f"no data set of {plan.experiment!r} with steps of its own is called {dataset!r}",
            fix=f"choose one of {', '.join(found)}" if found else "give a data set sources in the spec",
        )
    return found[dataset]


def _steps(plan: Plan, last: Task) -> tuple[Task, ...]:
    steps, before = [last], step_before(last)
    while before is not None:
        steps.append(plan.task(before))
        before = step_before(steps[-1])
    return tuple(reversed(steps))


def fetches(plan: Plan, trail: Trail) -> list[Task]:
    """The tasks that make the documents which the data set reads."""
    return [task for task in map(plan.task, trail.sign.upstream) if isinstance(task.op, FETCHING)]


def uses(plan: Plan, trail: Trail) -> Iterator[Use]:
    """Who reads the data set: stages that train on its tokens or on pairs made of it, and the tokenizer."""
    ends = {"documents": trail.refine.id, "selection": trail.selection.id if trail.selection else None}
    for task in plan.tasks:
        if isinstance(task.op, ir.Encode | ir.MakePairs) and _reads(task, ends):
            what = "tokens" if isinstance(task.op, ir.Encode) else "pairs"
            yield from (_drawn(draw, trail, what) for draw in _draws(plan, task))
        elif isinstance(task.op, ir.TrainBPE):
            names = {item.role.partition(":")[2] for item in task.inputs}
            if any(_reads(task, {f"{role}:{name}": end for role, end in ends.items()}) for name in names):
                yield Use(what="tokenizer", task=task.id)


def _reads(task: Task, ends: dict[str, str | None]) -> bool:
    given = {item.role: item.task for item in task.inputs}
    return all(given.get(role) == end for role, end in ends.items())


def _draws(plan: Plan, task: Task) -> Iterator[Task]:
    """The draws that read what a task makes, directly or through packing and encoding."""
    for reader in plan.downstream(task.id):
        if isinstance(reader.op, ir.Draw | ir.DrawSamples):
            yield reader
        elif isinstance(reader.op, ir.Pack | ir.EncodePairs | ir.DecontaminatePairs):
            yield from _draws(plan, reader)


def _drawn(draw: Task, trail: Trail, what: str) -> Use:
    assert isinstance(draw.op, ir.Draw | ir.DrawSamples)
    shares = draw.op.shares if isinstance(draw.op, ir.Draw) else ()
    share = next((float(s.share) for s in shares if s.dataset == trail.dataset), None)
    return Use(what=what, task=draw.id, stage=draw.op.stage, share=share)
