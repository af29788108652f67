"""The torture suite's verdicts: which mutations moved a fingerprint that should stay, and which did not that should.

`scripts/make_torture_reference.py` writes the whole of it as a table; tests run a part, or all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import TypeVar

import attrs

from compiler import ir
from compiler.canonical import fingerprint, task_preimage
from compiler.draft import Draft
from compiler.errors import UserError
from compiler.plan import Task
from compiler.rules import RULES
from ocspec.base import Spec, SpecError
from ocspec.experiment import Experiment
from tests.property import operators, specs
from tests.property.hosts import KINDS, fingerprints, host, tasks, written
from tests.property.landings import Place, places, reached, renamed, stayed, strayed

T = TypeVar("T")
LEAST = 20
MOST_CONTEXTS = 12
RECORDS = {"Generator": "a record: it changes nothing", "Parallelism": "how to run: it changes nothing"}
"""Kinds of which every field is execution or doc."""


@attrs.frozen
class Verdict:
    """What became of the mutations of one operator or kind: how many there were, and the wrong ones in words.

    `needless` moved and should have stayed, `false` stayed and should have moved, `astray` are tasks that moved with
    others that should. `untried` are fields of which no other value was taken; `idle` places where the table says that
    values of a field land, and none did, which some mutations of many need not show.
    """

    name: str
    preserving: int
    changing: int
    needless: tuple[str, ...]
    false: tuple[str, ...]
    astray: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()


def some(mutations: Iterator[T], most: int | None, name: str) -> list[T]:
    """At most so many of them, in their order; all where `most` is None."""
    every = list(mutations)
    if most is None or len(every) <= most:
        return every
    return [every[k] for k in sorted(Random(name).sample(range(len(every)), most))]


def of_operator(cls: type[ir.Operator], most: int | None = None) -> Verdict:
    """An operator's mutations."""
    op, inputs = operators.sample(cls)
    own = fingerprint(task_preimage(op, inputs))
    same = some(operators.preserving(op, inputs), most, cls.op_id)
    other = some(operators.changing(op, inputs), most, cls.op_id)
    return Verdict(
        cls.op_id,
        len(same),
        len(other),
        tuple(what for what, make in same if fingerprint(make()) != own),
        tuple(what for what, make in other if fingerprint(make()) == own),
    )


def of_kind(kind: type[Spec], base: Path, most: int | None = None) -> Verdict:
    """The mutations of an object of the language, in an experiment; in as many contexts as it takes to be LEAST."""
    part = written(kind)
    own = fingerprints(host(part), base)
    same = some(specs.preserving(part), most, kind.__name__)
    needless = tuple(what for what, make in same if fingerprints(make(), base) != own)
    judge = Judge(kind.__name__, base)
    for context in range(MOST_CONTEXTS if kind.__name__ not in RECORDS else 1):
        judge.judge(host(part, context), of_each_field(specs.changing(part, context), kind.__name__), most)
        for whole, changes in specs.in_other_form(kind, context):
            judge.judge(whole, iter(changes), None)
        if judge.changing >= LEAST:
            break
    untried = tuple(name for name in specs.semantic(part) if name not in judge.landed)
    false, astray = tuple(judge.false), tuple(judge.astray)
    return Verdict(kind.__name__, len(same), judge.changing, needless, false, astray, untried, judge.idle())


@attrs.define
class Judge:
    """What was found of a kind's changes, one after the other."""

    kind: str
    base: Path
    changing: int = 0
    false: list[str] = attrs.field(factory=list)
    astray: list[str] = attrs.field(factory=list)
    landed: dict[str, set[Place]] = attrs.field(factory=dict)

    def judge(self, whole: Experiment, changes: Iterator[specs.Change], most: int | None) -> None:
        """Hold the tasks of changed experiments against those of the whole one; so many that are not refused."""
        before = tasks(whole, self.base)
        found = ((change, after) for change in changes if (after := self.compiled(change)) is not None)
        for change, after in islice(found, most):
            landed = places(self.kind, change.fields)
            self.changing += 1
            if len(change.fields) == 1:
                self.landed.setdefault(change.fields[0], set()).update(reached(before, after, landed))
            self.false += [f"{change.what}: {which}" for which in stayed(before, after, landed)]
            self.astray += [f"{change.what}: {which}" for which in strayed(before, after, landed)]

    def idle(self) -> tuple[str, ...]:
        """Where the fields that were tried should land by the table, and never did."""
        return tuple(
            f"{name}: {place.operator}@{place.task}"
            for name, found in self.landed.items()
            for place in places(self.kind, (name,))
            if place not in found
        )

    def compiled(self, change: specs.Change) -> dict[str, Task] | None:
        """The tasks under the ids that they had; None where it is refused, by the language or by a rule."""
        try:
            experiment = change.make()
        except SpecError:
            return None
        try:
            return renamed(tasks(experiment, self.base), change.names)
        except UserError:
            return None
        except (KeyError, StopIteration, AssertionError):
            if _refused(experiment, self.base):
                return None
            raise


def of_each_field(changes: Iterator[specs.Change], name: str) -> Iterator[specs.Change]:
    """Changes in a seeded order in which each field has its first before any has its second, and so on."""
    every = list(changes)
    Random(name).shuffle(every)
    seen: Counter[tuple[str, ...]] = Counter()
    turns = []
    for number, change in enumerate(every):
        turns.append((len(change.fields), seen[change.fields], number))
        seen[change.fields] += 1
    yield from (every[number] for *_, number in sorted(turns))


def _refused(experiment: Experiment, base: Path) -> bool:
    """Whether one of the rules finds something without which no plan can be made, such as a name of nothing."""
    draft = Draft(experiment=experiment, base=base, shards=1)
    return any(True for rule in RULES if rule.fixed for _ in rule.find(draft))


def everything(base: Path, most: int | None = None) -> tuple[list[Verdict], list[Verdict]]:
    """All operators, and all kinds of the language."""
    return [of_operator(cls, most) for cls in ir.OPERATORS.values()], [of_kind(kind, base, most) for kind in KINDS]
