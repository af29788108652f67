"""OC024: the benchmarks that are evaluated are searched for in the data."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.resolve import benchmarks_of
from compiler.rules.base import Rule
from ocspec.evaluation import Benchmark


def find(draft: Draft) -> Iterator[UserError]:
    """Benchmarks without a test set of their name in any step that decontaminates: one finding for all."""
    searched = [_plain(test_set.name) for test_set in benchmarks_of(draft.experiment)]
    missing: dict[str, Benchmark] = {}
    for evaluation in draft.experiment.evaluations:
        kind = type(evaluation).__name__.lower()
        if isinstance(evaluation, Benchmark) and not any(name.startswith(kind) for name in searched):
            missing.setdefault(type(evaluation).__name__, evaluation)
    if missing:
        among = f"; searched for: {', '.join(sorted(set(searched)))}" if searched else ""
        yield draft.error(
            next(iter(missing.values())),
            f"evaluated, and no data is searched for it: {', '.join(missing)}{among}",
            "add test sets to Decontaminate(benchmarks=...), or say in the report that overlap was not looked for",
        )


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


RULE = Rule(
    "OC024",
    "decontamination",
    "A score on items that were trained on says nothing, and is believed all the same.",
    find,
    severity="warning",
    teach="""\
OpenCoder drops instruction samples that hold an entry point of HumanEval or MBPP, then those that share ten words in
a row with a test set (arXiv 2411.04905, section 4.4); which other benchmarks were searched for is not said, though
eight are reported. Whoever reproduces the table cannot tell the scores that were protected from those that were not.
A benchmark that is evaluated here and not searched for draws this warning, once for all of them. MultiPL-E is
HumanEval in other languages, and its prompts are other text: it has a test set of its own.
""",
)
