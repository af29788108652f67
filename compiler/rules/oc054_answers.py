"""OC054: answers fit the context, and several of them differ."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.evaluation import Benchmark


def find(draft: Draft) -> Iterator[UserError]:
    """Answers as long as the context, samples that are all the same, single samples drawn by chance."""
    context = draft.experiment.model.max_positions
    for evaluation in draft.experiment.evaluations:
        if not isinstance(evaluation, Benchmark):
            continue
        if evaluation.max_new_tokens >= context:
            yield draft.error(
                evaluation,
                f"{evaluation.name!r} allows {evaluation.max_new_tokens:,} new tokens, and prompt and answer share a"
                f" context of {context:,}",
                f"set max_new_tokens to {max(1, context // 2):,} or less",
            )
        if evaluation.samples > 1 and evaluation.temperature == 0:
            yield draft.error(
                evaluation,
                f"{evaluation.name!r} asks for {evaluation.samples} greedy answers to a problem, all of them the same",
                "set samples to 1, or give a temperature",
            )
        elif evaluation.samples == 1 and evaluation.temperature > 0:
            yield draft.error(
                evaluation,
                f"{evaluation.name!r} draws one answer to a problem at temperature {evaluation.temperature:g}: the"
                " score changes from run to run",
                "set temperature to 0, or take several samples",
            )


RULE = Rule(
    "OC054",
    "answers",
    "A score depends on how answers are drawn as much as on the model.",
    find,
    severity="warning",
    teach="""\
OpenCoder measures greedily, one sample a problem, with up to 2,048 new tokens (its repository, issue 7 and evaluation
scripts). In that issue a user with another harness, its temperature set to 0.2 and its sampling off, got 34.1 where
the paper has 54.3. One sample at a temperature above zero is one throw of a die for each of 164 problems: by chance
alone a benchmark of that size moves by several points. Many greedy samples are one answer, many times over. Prompt
and answer share the context; what does not fit is cut, and a cut program does not run.
""",
)
