"""Selectivity: how much a filter keeps where the very same one judged other documents, and how much a package holds.

Of filters that look at one document at a time, whatever others there are: admission, and the rules of refining. What
deduplication or a cap keeps depends on all of them, so that a sample tells nothing of a corpus. A filter that was never
run on this source, or has another threshold, keeps anything from one document to all: what it keeps of another source
may be quite another share. Not what is measured: `runtime.calibration` reads that from a store.
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
LEAST_KEPT = 100
LEAST_PACKAGES = 3
"""Documents, and packages, that tell a share: of fewer, chance is a good part of it."""


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
    """The digest of what judges a document, and of the names of the sources; None where that is not all that counts.

    >>> reader = ir.Reader(source="crawl", format="parquet", digest="0" * 64)
    >>> other = ir.Reader(source="crawl", format="parquet", digest="1" * 64, location="elsewhere")
    >>> refine, again = (ir.Refine(dataset="d", readers=(one,), redact_pii=True) for one in (reader, other))
    >>> judge(refine) == judge(again) != judge(ir.Refine(dataset="d", readers=(reader,)))
    True
    >>> judge(ir.Downsample(step="a", caps=(("html", 10),)))
    """
    if not isinstance(op, ir.Sign | ir.Refine):
        return None
    readers = tuple(ir.Reader(source=one.source, format=one.format, columns=one.columns) for one in op.readers)
    if isinstance(op, ir.Sign):
        alone: ir.Operator = ir.Sign(dataset="", readers=readers, admit=op.admit)
    else:
        alone = ir.Refine(
            dataset="",
            readers=readers,
            redact_copyright=op.redact_copyright,
            redact_pii=op.redact_pii,
            rules=op.rules,
            expressions=op.expressions,
        )
    return operator_digest(encode_operator(alone))
