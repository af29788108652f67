"""Selectivity: how much a filter keeps where the very same one judged other documents, and how much a package holds.

Of filters that look at one document at a time, whatever others there are: admission, rules, keywords. What
deduplication or a cap keeps depends on all of them, so that a sample tells nothing of a corpus. A filter that was never
run, or has another threshold, keeps anything from one document to all. Not what is measured: `runtime.calibration`
reads that from a store.
"""

from __future__ import annotations

import attrs

from compiler import ir
from compiler.canonical import encode_operator, operator_digest
from compiler.cost.interval import Interval

AGAIN = 1.5
"""Of other documents of the same kind a filter keeps as much within this factor. A house figure."""

PACKAGE_AGAIN = 4.0
"""Packages hold as much as others in the mean within this factor. A house figure."""

LEAST_JUDGED = 500
"""Documents that tell a share; of fewer, chance is a good part of it."""


@attrs.frozen
class Counted:
    """Of documents and of the bytes of their text: shares that a filter keeps, or how much of them a package holds."""

    documents: Interval
    text: Interval

    def hull(self, other: Counted) -> Counted:
        """One of the two, it is not known which."""
        return Counted(self.documents.hull(other.documents), self.text.hull(other.text))

    def about(self, factor: float) -> Counted:
        """Both within this factor."""
        return Counted(self.documents * Interval.about(1, factor), self.text * Interval.about(1, factor))


def judge(op: ir.Operator) -> str | None:
    """The digest of what judges a document, wherever documents come from; None where that is not all that counts.

    >>> one, other = (ir.Select(step=name, keywords=("def solution",)) for name in ("a", "b"))
    >>> judge(one) == judge(other) != judge(ir.Select(step="a", keywords=("leetcode",)))
    True
    >>> judge(ir.Downsample(step="a", caps=(("html", 10),)))
    """
    if isinstance(op, ir.Sign):
        alone: ir.Operator = ir.Sign(dataset="", readers=(), admit=op.admit)
    elif isinstance(op, ir.Refine):
        alone = ir.Refine(
            dataset="",
            readers=(),
            redact_copyright=op.redact_copyright,
            redact_pii=op.redact_pii,
            rules=op.rules,
            expressions=op.expressions,
        )
    elif isinstance(op, ir.Select):
        alone = ir.Select(step="", keywords=op.keywords)
    else:
        return None
    return operator_digest(encode_operator(alone))
