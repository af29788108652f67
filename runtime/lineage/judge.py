"""Deciding about a document anew, by the very code that the operators run: admission, redaction, rules, keywords.

Verdicts over many documents (duplicates, caps, held-out twins) are not decided again: they need all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pyarrow as pa

from compiler import ir
from compiler.plan import Task
from compiler.quality_rules import QualityRule
from compiler.quality_rules.expression import ExpressionRule
from compiler.rule_expressions import columns
from runtime.data.expressions import Expressions, Subject
from runtime.data.languages import doc_type
from runtime.data.operators.refine import Judge, what_is_left
from runtime.data.operators.sign import admit
from runtime.data.signals import SIGNALS, SignalValues
from runtime.data.texts import digests_of
from runtime.lineage.facts import Drop, RuleVerdict, plain
from runtime.lineage.recorded import connection
from runtime.lineage.reread import Reread


class _Heard:
    """Takes an operator's decisions in place of a funnel."""

    def __init__(self) -> None:
        self.drops: dict[str, Drop] = {}

    def drop(
        self,
        doc_id: str,
        rule: str,
        value: float | None = None,
        threshold: float | None = None,
        kept: str | None = None,
        language: str | None = None,
    ) -> None:
        """Note a drop."""
        self.drops[doc_id] = Drop(rule=rule, value=value, threshold=threshold, kept=kept)

    def keep(self, language: str | None, size: int) -> None:
        """A kept document is told by what the operator returns."""


@attrs.frozen(kw_only=True)
class Admission:
    """What sign decides: dropped, or let in with its language, and the SHA-256 of its text."""

    drop: Drop | None
    language: str | None = None
    held_out: bool = False
    sha256: bytes = b""


def admission(op: ir.Sign, document: Reread) -> Admission:
    """Decide about one document as sign does."""
    if document.batch is None:
        return Admission(drop=document.unreadable)
    heard = _Heard()
    admitted = admit(op, document.batch, heard)
    if not admitted.num_rows:
        return Admission(drop=heard.drops[document.doc_id])
    (sha256,) = digests_of(admitted.column("content").combine_chunks())
    row = admitted.select(["language", "held_out"]).to_pylist()[0]
    return Admission(drop=None, sha256=sha256, **row)


@attrs.frozen(kw_only=True)
class Refinement:
    """What refine makes of a document: its clean text, what was redacted, and the decision."""

    drop: Drop | None
    row: Mapping[str, Any]
    redactions: Mapping[str, int]

    @property
    def text(self) -> str:
        """The clean text."""
        return str(self.row["content"])


class Refiner:
    """Decides as refine does, one document after another; a context manager."""

    def __init__(self, op: ir.Refine) -> None:
        self.op = op
        self._expressions = Expressions(op.expressions)

    def __enter__(self) -> Refiner:
        self._expressions.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._expressions.__exit__(*error)

    def refine(self, document: pa.RecordBatch, admitted: Mapping[str, Any], parts: list[int] | None) -> Refinement:
        """Redact and judge a document with the language and `held_out` that were recorded; `parts` as in `kept`."""
        known = {"language": admitted["language"], "held_out": admitted["held_out"], "parts": parts}
        judge = Judge(self.op)
        ((row, failing),) = judge.batch([what_is_left(document.to_pylist()[0] | known)], self._expressions)
        drop = Drop(rule=failing[0], value=failing[1], threshold=failing[2]) if failing else None
        return Refinement(drop=drop, row=row, redactions=dict(judge.redactions))

    def rules(self, refined: Refinement) -> tuple[RuleVerdict, ...]:
        """Every rule that judges the document, also those that its first failing rule keeps from being asked."""
        row = refined.row
        language, kind = row["language"], type_of(row["language"])
        values = SignalValues(refined.text, language, kind, row["path"])
        natural = values.natural_language if kind == "text" else "en"
        first = refined.drop.rule if refined.drop else ""
        of_signals = (
            _of_signal(rule, values[rule.signal], str(row["doc_id"]), first)
            for rule in self.op.rules
            if rule.applies(language or "", kind, natural)
        )
        of_expressions = (
            _of_expression(rule, {**row, "doc_type": kind}, values, first)
            for rule in self.op.expressions
            if rule.applies(language, kind)
        )
        return (*of_signals, *of_expressions)


def _of_signal(rule: QualityRule, value: float | None, doc_id: str, first: str) -> RuleVerdict:
    return RuleVerdict(
        rule=rule.name,
        condition=f"{rule.comparison} {plain(rule.threshold)}",
        values={rule.signal: value},
        drops=rule.drops(value, doc_id),
        spared=rule.fires(value) and not rule.chooses(doc_id),
        first=rule.name == first,
    )


def _of_expression(rule: ExpressionRule, row: Mapping[str, Any], values: SignalValues, first: str) -> RuleVerdict:
    named = {name: values[name] for name in columns(rule.where) if name in SIGNALS}
    subject = Subject(language=row["language"], doc_type=row["doc_type"], values={**row, **named})
    with Expressions((rule,)) as alone:
        drops = alone.failing([subject])[0] is not None
    return RuleVerdict(rule=rule.name, condition=rule.where, values=named, drops=drops, first=rule.name == first)


def type_of(language: str | None) -> str:
    """The type of document by its language; without one, text."""
    return doc_type(language) if language else "text"


def is_selected(task: Task, doc_id: str, text: str) -> bool:
    """Whether a keyword selection keeps a document with this clean text, by the plan's own SQL."""
    document = {"position": [0], "doc_id": [doc_id], "content": pa.array([text], pa.large_string())}
    with connection() as duck:
        duck.register("documents", pa.table(document))
        duck.execute("CREATE VIEW selection AS SELECT position FROM documents")
        duck.execute(task.sql["matched"])
        return bool(duck.execute(task.sql["selection"]).fetchall())
