"""The torture suite's verdicts: which mutations moved a fingerprint that should stay, and which did not that should.

`scripts/make_torture_reference.py` writes the whole of it as a table; tests run a part, or all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TypeVar

import attrs

from compiler import ir
from compiler.canonical import fingerprint, task_preimage
from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules import RULES
from ocspec.base import Spec, SpecError
from ocspec.experiment import Experiment
from tests.property import operators, specs
from tests.property.hosts import KINDS, fingerprints, host, written

T = TypeVar("T")
LEAST = 20
MOST_CONTEXTS = 12
RECORDS = {"Generator": "a record: it changes nothing", "Parallelism": "how to run: it changes nothing"}
"""Kinds of which every field is execution or doc."""


@attrs.frozen
class Verdict:
    """What became of the mutations of one operator or kind: how many there were, and the wrong ones in words."""

    name: str
    preserving: int
    changing: int
    needless: tuple[str, ...]
    false: tuple[str, ...]


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
    changing, false = 0, []
    for context in range(MOST_CONTEXTS if kind.__name__ not in RECORDS else 1):
        own = fingerprints(host(part, context), base)
        for what, make in some(specs.changing(part, context), most, kind.__name__):
            if (found := _fingerprints(make, base)) is not None:
                changing += 1
                false += [what] if found == own else []
        if changing >= LEAST:
            break
    return Verdict(kind.__name__, len(same), changing, needless, tuple(false))


def _fingerprints(make: Callable[[], Experiment], base: Path) -> frozenset[str] | None:
    """Those of a mutation's tasks; None where it is refused, by the language or by a rule."""
    try:
        experiment = make()
    except SpecError:
        return None
    try:
        return fingerprints(experiment, base)
    except UserError:
        return None
    except (KeyError, StopIteration):
        if _refused(experiment, base):
            return None
        raise


def _refused(experiment: Experiment, base: Path) -> bool:
    """Whether one of the rules finds something without which no plan can be made, such as a name of nothing."""
    draft = Draft(experiment=experiment, base=base, shards=1)
    return any(True for rule in RULES if rule.fixed for _ in rule.find(draft))


def everything(base: Path, most: int | None = None) -> tuple[list[Verdict], list[Verdict]]:
    """All operators, and all kinds of the language."""
    return [of_operator(cls, most) for cls in ir.OPERATORS.values()], [of_kind(kind, base, most) for kind in KINDS]
