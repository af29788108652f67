"""What is known of one document's way through a data set, as plain frozen data. No words and no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from runtime.lineage.trail import Use

State = Literal["kept", "shortened", "dropped", "not reached", "not built"]
"""`shortened`: kept, without some of its chunks."""


def plain(number: float) -> str:
    """A value or a threshold in at most six significant digits; whole numbers in all of theirs.

    >>> plain(3_000_000.0), plain(0.8123456), plain(2058)
    ('3,000,000', '0.812346', '2,058')
    """
    return f"{number:,.0f}" if number == number // 1 and abs(number) < 1e15 else f"{number:.6g}"


@attrs.frozen(kw_only=True)
class Drop:
    """A decision against a document. `kept` is the document, chunk or repository that is kept in its stead."""

    rule: str
    value: float | None = None
    threshold: float | None = None
    kept: str | None = None

    def agrees(self, other: Drop) -> bool:
        """Whether another decision has the same rule, value and threshold."""
        return (self.rule, self.value, self.threshold) == (other.rule, other.value, other.threshold)


@attrs.frozen(kw_only=True)
class RuleVerdict:
    """A rule that judges the document, and what it says of it now.

    `condition` is what drops a document (`> 0.35`, or a SQL expression), `values` are those of the signals that it
    names. `drops` says whether it would drop the document if no rule came before, `spared` that the comparison holds
    but the rule drops only a share of such documents; `first` marks the rule that decided.
    """

    rule: str
    condition: str
    values: Mapping[str, float | None]
    drops: bool
    spared: bool = False
    first: bool = False


@attrs.frozen(kw_only=True)
class StepHistory:
    """One step: what it recorded, and what its code says of the document as it is now.

    `drop` is what was recorded; of chunks, `chunks` has a decision for each that was dropped. `stands_for` counts the
    documents (by repository: the files) that were dropped in favour of this one, or, where it was dropped, of the
    same representative. `similarity` is the Jaccard index with the representative. `evaluated` is whether the
    step was decided anew, `mismatch` what is then different.
    """

    task: str
    step: str
    op: str
    state: State
    drop: Drop | None = None
    chunks: Mapping[str, Drop] = attrs.field(factory=dict)
    granularity: Literal["file", "repository", "chunk"] = "file"
    stands_for: int = 0
    similarity: float | None = None
    redactions: Mapping[str, int] = attrs.field(factory=dict)
    rules: tuple[RuleVerdict, ...] = ()
    hits: tuple[Mapping[str, Any], ...] = ()
    evaluated: bool = False
    mismatch: str = ""


@attrs.frozen(kw_only=True)
class History:
    """A document in one data set, step by step. `size` is in bytes as admitted; `uses` is who reads it in the end."""

    dataset: str
    doc_id: str
    position: int | None = None
    source: str = ""
    repo: str | None = None
    path: str | None = None
    language: str | None = None
    doc_type: str | None = None
    size: int | None = None
    held_out: bool = False
    steps: tuple[StepHistory, ...] = ()
    uses: tuple[Use, ...] = ()

    @property
    def dropped_by(self) -> StepHistory | None:
        """The step that dropped it, if one did."""
        return next((step for step in self.steps if step.state == "dropped"), None)

    @property
    def mismatches(self) -> tuple[str, ...]:
        """Everything that was recorded otherwise than it is now decided."""
        return tuple(f"{step.step}: {step.mismatch}" for step in self.steps if step.mismatch)
