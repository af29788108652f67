"""Flow: how many documents, bytes of text and tokens go along the edges of a plan, as bounds. Not what work they make.

A filter's survivors are not known before it ran: at least one, at most all, since a data set of none stops the run.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from compiler.cost.calibration import Known
from compiler.cost.interval import NOTHING, UNKNOWN, Interval, total
from compiler.cost.selectivity import Counted


@attrs.frozen(kw_only=True)
class Flow:
    """What a task hands on: documents, bytes of their text, tokens, and bytes of its artefact."""

    documents: Interval = UNKNOWN
    text: Interval = UNKNOWN
    tokens: Interval = UNKNOWN
    written: Interval = UNKNOWN

    def survivors(self) -> Flow:
        """Some of the documents, with no more text or tokens than all of them."""
        return Flow(
            documents=_part(self.documents), text=_part(self.text), tokens=_part(self.tokens), written=self.written
        )

    def reduced(self, kept: Counted) -> Flow:
        """The same, cut down to shares of it: to at least a document."""
        return attrs.evolve(self, documents=_share(self.documents, kept.documents), text=_share(self.text, kept.text))

    def known(self, facts: Known | None) -> Flow:
        """The same, with what the built artefact says in place of bounds."""
        if facts is None:
            return self
        return Flow(
            documents=_exactly(facts.documents, self.documents),
            text=_exactly(facts.text_bytes, self.text),
            tokens=_exactly(facts.tokens, self.tokens),
            written=_exactly(facts.bytes_written, self.written),
        )


NO_FLOW = Flow(documents=NOTHING, text=NOTHING, tokens=NOTHING, written=NOTHING)


def together(flows: Iterable[Flow]) -> Flow:
    """Several as one; nothing at all of none."""
    flows = list(flows)
    return Flow(
        documents=total(flow.documents for flow in flows),
        text=total(flow.text for flow in flows),
        tokens=total(flow.tokens for flow in flows),
        written=total(flow.written for flow in flows),
    )


def mean_text(kept: Interval, before: Flow) -> Interval:
    """Bytes of text of the documents that are kept, if they are as long as the others, give or take a half.

    Steps that read keys alone do not know it. Where it is not even known how many are kept: anything up to all.
    """
    if not (kept.is_exact and before.documents.is_exact and before.documents.high):
        return _part(before.text)
    return (before.text * (kept.high / before.documents.high) * Interval.about(1, 1.5)).at_most(before.text.high)


def _share(whole: Interval, share: Interval) -> Interval:
    left = whole * share
    return Interval(min(max(1, left.low), whole.high), min(max(1, left.high), whole.high))


def _part(whole: Interval) -> Interval:
    return Interval(min(1, whole.low), whole.high)


def _exactly(fact: int | None, bounds: Interval) -> Interval:
    return bounds if fact is None else Interval.exact(fact)
