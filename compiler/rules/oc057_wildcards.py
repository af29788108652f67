"""OC057: wildcards are those of the place where they stand."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import documents_sources
from ocspec.sources import WebRecall


def find(draft: Draft) -> Iterator[UserError]:
    """`*` in patterns of URLs, URLs without a wildcard, `%` in patterns of repositories."""
    for _, source in documents_sources(draft):
        for pattern in source.url_patterns if isinstance(source, WebRecall) else ():
            if "*" in pattern:
                fix = f"write {pattern.replace('*', '%')!r}"
                yield draft.error(
                    source, f"the URL pattern {pattern!r} holds *, and % is what stands for anything", fix
                )
            elif "%" not in pattern:
                what = (
                    f"the URL pattern {pattern!r} has no %: it matches one page, if it is written as the crawl has it"
                )
                yield draft.error(source, what, f"write '%{pattern}%'")
    hold_out = draft.experiment.hold_out
    for pattern in hold_out.repositories if hold_out else ():
        if "%" in pattern and "*" not in pattern:
            assert hold_out is not None
            what = f"the held-out pattern {pattern!r} holds %, and * is what stands for anything"
            yield draft.error(hold_out, what, f"write {pattern.replace('%', '*')!r}")


RULE = Rule(
    "OC057",
    "wildcards",
    "A pattern in the wrong dialect matches nothing, and nothing is what happens.",
    find,
    teach="""\
Patterns of URLs are written as OpenCoder prints them, `%segmentfault.com/q%` with % for anything (arXiv 2411.04905,
table 14); held-out repositories as in a shell, `requests@*`. In the other dialect a pattern is a literal that no URL
and no repository equals: no page joins the seed of the next iteration, no repository is held out. Both are silent,
for an iteration that finds few pages and a hold-out of a rare project look just so.
""",
)
