"""OC027: no rule of one's own drops every one of a source's first documents."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import located, root_of
from compiler.sample import COLUMNS, SIGNALS, Document, first_documents
from ocspec import refinement
from ocspec.mixture import Dataset

FEWEST = 20
COMPARE: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt, "==": operator.eq}


def find(draft: Draft) -> Iterator[UserError]:
    """Rules that need nothing but text and names, tried on the first documents of files that lie here."""
    for dataset in draft.experiment.data:
        rules = [rule for step in dataset.steps if isinstance(step, refinement.Filter) for rule in step.rules]
        judged = [rule for rule in rules if _can_judge(rule)]
        if not judged:
            continue
        for name, documents in _samples(draft, dataset):
            for rule in judged:
                if len(documents) >= FEWEST and _dropped(rule, documents) == len(documents):
                    yield draft.error(
                        rule,
                        f"the rule {rule.name!r} drops each of the first {len(documents)} documents of {name!r}",
                        "turn the comparison round, or move the threshold",
                    )


def _samples(draft: Draft, dataset: Dataset) -> Iterator[tuple[str, list[Document]]]:
    root = root_of(draft, dataset.name)
    for source in root.sources if root else ():
        if source.name in draft.sources:
            yield source.name, first_documents(source, located(draft, getattr(source, "path", "")))


def _can_judge(rule: refinement.Rule) -> bool:
    """Whether all that the rule names is told from the text alone."""
    if not rule.where:
        return rule.signal in SIGNALS
    from compiler.rule_expressions import columns, problem

    return problem(rule.where) is None and set(columns(rule.where)) <= {*SIGNALS, *COLUMNS}


def _dropped(rule: refinement.Rule, documents: list[Document]) -> int:
    values = [document.values for document in documents]
    if rule.where:
        from compiler.rule_expressions import count

        return count(rule.where, values)
    assert rule.comparison is not None and rule.threshold is not None
    return sum(COMPARE[rule.comparison](float(value[rule.signal]), rule.threshold) for value in values)


RULE = Rule(
    "OC027",
    "sample",
    "A comparison the wrong way round keeps what it should drop, and drops the rest.",
    find,
    severity="warning",
    teach="""\
Dolma's validator runs filter expressions on a sample before the job (dolma #215), and OpenCoder's own way of setting
a threshold is to look at what each rule alone removes (arXiv 2411.04905, appendix A.1). A rule drops what it is true
of, so `num_lines > 10`, meant to keep longer files, drops them. Here rules that need no more than text and names are
tried on the first documents of every source that lies on this machine, 200 of them or a megabyte. One that drops
every one of them draws a warning: it may be right of a source that is sorted, and hardly is of any other.
""",
)
