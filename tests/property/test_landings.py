"""The table of where fields land, and that what it is held against is caught when a field lands elsewhere.

Each defect below moves some fingerprint for every change, which is all that was asked of a compiler once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from compiler import ir
from compiler.draft import Draft
from compiler.passes.fingerprint import fingerprint
from compiler.plan import Task
from ocspec.base import Spec
from ocspec.mixture import Part
from ocspec.refinement import Deduplicate, Rule
from ocspec.sources import Columns
from ocspec.training import Batches, Decay
from tests.property import hosts, specs
from tests.property.hosts import KINDS, written
from tests.property.landings import line_of, table
from tests.property.torture import Judge

Pass = Callable[[Draft], Draft]


def test_every_field_has_a_line_and_every_line_a_field() -> None:
    """A field that is new fits a line of its kind or is asked for; a line of one that is gone is taken out."""
    used = {line_of(kind.__name__, name) for kind in KINDS for name in specs.semantic(written(kind))}
    used |= {line_of(kind.__name__, name) for kind, (_, others) in hosts.FORMS.items() for name in others}
    together = {number for number, (fields, _) in enumerate(table()) if "+" in fields}
    assert [fields for number, (fields, _) in enumerate(table()) if number not in used | together] == []
    with pytest.raises(KeyError, match="say where it lands"):
        line_of("Part", "colour")


def test_every_place_is_one_of_an_operator() -> None:
    """One that is misspelt would ask for nothing."""
    places = {place for _, places in table() for place in places}
    tasks = [Task(id="", op=object.__new__(cls)) for cls in ir.OPERATORS.values()]
    assert [p for p in places if not any(attrs.evolve(p, task="*").holds(task, "") for task in tasks)] == []


# ---------------------------------------------------------------- fields in the wrong operator


def rewritten(**ops: Callable[[dict[str, Any]], Any]) -> Pass:
    """A pass that gives tasks, by the first letters of their ids, another operator, made from those of all."""

    def rewrite(draft: Draft) -> Draft:
        all_ops: dict[str, Any] = {task.id: task.op for task in draft.tasks}
        made = {task: make(all_ops) for name, make in ops.items() if (task := name.replace("__", "/")) in all_ops}
        return attrs.evolve(draft, tasks=tuple(attrs.evolve(t, op=made.get(t.id, t.op)) for t in draft.tasks))

    return rewrite


def forgetful(draft: Draft) -> Draft:
    """Fingerprints without the documents that a task is told to keep."""
    without = [attrs.evolve(t, inputs=tuple(i for i in t.inputs if i.role != "kept")) for t in draft.tasks]
    done = fingerprint(attrs.evolve(draft, tasks=tuple(without))).tasks
    return attrs.evolve(
        draft, tasks=tuple(attrs.evolve(one, inputs=t.inputs) for one, t in zip(done, draft.tasks, strict=True))
    )


def job(op: Any, **changes: Any) -> Any:
    return attrs.evolve(op, job=attrs.evolve(op.job, **changes))


RULES_IN_SIGN = rewritten(
    code__sign=lambda ops: attrs.evolve(ops["code/sign"], hold_out=(repr(ops["code/refine"]),)),
    code__refine=lambda ops: attrs.evolve(ops["code/refine"], rules=(), expressions=()),
)
COLUMNS_IN_SIGN_ALONE = rewritten(
    code__refine=lambda ops: attrs.evolve(
        ops["code/refine"],
        readers=tuple(attrs.evolve(reader, columns=ir.Columns()) for reader in ops["code/refine"].readers),
    )
)
BATCHES_IN_THE_DRAW_ALONE = rewritten(base__train=lambda ops: job(ops["base/train"], batches=(), schedule=()))
DECAY_IN_THE_STAGE_BEFORE = rewritten(
    base__train=lambda ops: job(ops["base/train"], schedule=ops["decay/train"].job.schedule),
    decay__train=lambda ops: job(ops["decay/train"], schedule=()),
)
EPOCHS_IN_THE_TOKENIZER = rewritten(
    tokenizer=lambda ops: attrs.evolve(ops["tokenizer"], shares=ops["base/mix"].shares),
)


@pytest.mark.parametrize(
    ("kind", "defect", "false", "astray"),
    [
        (Rule, RULES_IN_SIGN, "code/refine stayed as it was", "code/sign is another task, too"),
        (Columns, COLUMNS_IN_SIGN_ALONE, "code/refine stayed as it was", ""),
        (Batches, BATCHES_IN_THE_DRAW_ALONE, "base/train stayed as it was", ""),
        (Decay, DECAY_IN_THE_STAGE_BEFORE, "decay/train stayed as it was", "base/train is another task, too"),
        (Part, EPOCHS_IN_THE_TOKENIZER, "", "more/pack moved, too"),
        (Deduplicate, forgetful, "code/refine reads what moved, and stayed", ""),
    ],
    ids=["before", "no longer in both", "after is no excuse", "another stage", "needlessly in two", "an edge"],
)
def test_a_field_in_another_operator_is_found(
    kind: type[Spec], defect: Pass, false: str, astray: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it moves something, and so would seem to be all right."""
    assert judged(kind, base) == ((), (), [])
    monkeypatch.setattr(hosts, "PASSES", (*hosts.PASSES[:-1], defect, *([] if defect is forgetful else [fingerprint])))
    stayed, strayed, same = judged(kind, base)
    assert any(false in what for what in stayed) == bool(stayed) == bool(false)
    assert any(astray in what for what in strayed) == bool(strayed) == bool(astray)
    assert same == []


def judged(kind: type[Spec], base: Path) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """What stays, what strays, and what moves nothing at all when one field of an object says something else."""
    whole = hosts.host(written(kind))
    own = hosts.fingerprints(whole, base)
    judge = Judge(kind.__name__, base)
    found = ((change, judge.compiled(change)) for change in specs.changing(written(kind), 0) if len(change.fields) == 1)
    changes = {change: {task.fingerprint for task in tasks.values()} for change, tasks in found if tasks is not None}
    judge.judge(whole, iter(changes), None)
    assert judge.changing == len(changes) > 0
    same = [change.what for change, moved in changes.items() if moved == own]
    return tuple(judge.false), tuple(judge.astray), same
