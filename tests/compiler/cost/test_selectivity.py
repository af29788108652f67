"""What a filter keeps of other documents, and what packages hold: as bounds that are never above all or below one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from compiler import ir
from compiler.cost.calibration import PRIORS, Calibration
from compiler.cost.flow import Flow
from compiler.cost.interval import UNKNOWN, Interval
from compiler.cost.selectivity import Counted, judge
from compiler.cost.walk import outflow

HALF = Counted(Interval(0.4, 0.6), Interval(0.2, 0.3))


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10**12), st.integers(0, 10**12))
def test_what_is_kept_is_a_part(one: float, other: float, documents: int, more: int) -> None:
    """At least a document, at most all; of what is not known, an unknown part."""
    share = Interval(min(one, other), max(one, other))
    into = Flow(documents=Interval(documents, documents + more), text=UNKNOWN)
    kept = into.reduced(Counted(share, share))
    assert 1 <= kept.documents.low <= kept.documents.high <= documents + more
    assert not kept.text.is_known or share.high == 0


def refine(source: str, digest: str = "", **changes: Any) -> ir.Refine:
    """One of a source, with all personal data left in or not."""
    reader = ir.Reader(source=source, format="parquet", digest=digest)
    return ir.Refine(dataset=changes.pop("dataset", "d"), readers=(reader,), **changes)


def test_a_filter_is_known_by_what_it_judges_by_and_the_source() -> None:
    """Not by its label or the files; other keywords, caps and deduplication depend on more."""
    into = Flow(documents=Interval.exact(1000), text=Interval.exact(10**6))
    learnt = Calibration(kept={judge(refine("crawl", "0" * 64)) or "": HALF})
    again = refine("crawl", "1" * 64, dataset="e")
    assert outflow(again, into, 0, UNKNOWN, learnt).documents == Interval(400, 600)
    assert outflow(again, into, 0, UNKNOWN, learnt).text == Interval(200_000, 300_000)
    assert outflow(again, into, 0, UNKNOWN, PRIORS).documents == Interval(1, 1000)
    for other in (refine("wiki"), refine("crawl", redact_pii=True)):
        assert outflow(other, into, 0, UNKNOWN, learnt).documents == Interval(1, 1000)
    assert judge(ir.Cluster(step="a", granularity="file")) is None
    assert judge(ir.Select(step="a", keywords=("leetcode",))) is None


def test_packages_hold_as_much_as_others_did() -> None:
    """By their number; unknown before any was fetched."""
    packages = tuple(ir.PyPIPackage(name="a", version=str(n), sha256="0" * 64) for n in range(3))
    op = ir.FetchPackages(source="s", packages=packages)
    assert not outflow(op, Flow(), 0, UNKNOWN, PRIORS).documents.is_known
    learnt = Calibration(package=Counted(Interval(10, 100), Interval(1_000, 10_000)))
    assert outflow(op, Flow(), 0, UNKNOWN, learnt).documents == Interval(30, 300)
    assert outflow(op, Flow(), 0, UNKNOWN, learnt).text == Interval(3_000, 30_000)
