"""OC055: a base model is not asked in the manner of a chat."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.evaluation import BigCodeBench, CodeArena, Evaluation
from ocspec.training import FineTune


def find(draft: Draft) -> Iterator[UserError]:
    """Requests that are put to stages before which nothing was tuned on instructions."""
    base: list[str] = []
    for stage in draft.experiment.curriculum.stages:
        if isinstance(stage, FineTune):
            break
        base.append(stage.name)
    for evaluation in draft.experiment.evaluations:
        asked = [name for name in base if not evaluation.stages or name in evaluation.stages]
        if _is_chat(evaluation) and asked:
            fix = 'prompt="complete"' if isinstance(evaluation, BigCodeBench) else "another benchmark"
            yield draft.error(
                evaluation,
                f"{evaluation.name!r} makes requests, and {', '.join(map(repr, asked))} is not tuned on instructions",
                f"give stages=(...) of tuned models only, or use {fix} for base models",
            )


def _is_chat(evaluation: Evaluation) -> bool:
    return isinstance(evaluation, CodeArena) or (
        isinstance(evaluation, BigCodeBench) and evaluation.prompt == "instruct"
    )


RULE = Rule(
    "OC055",
    "prompts",
    "A base model that is asked politely goes on with the question.",
    find,
    severity="warning",
    teach="""\
BigCodeBench has two prompts: a docstring to complete, for base models, and a request, for tuned ones; OpenCoder
reports "complete" for its base models and "instruct" for the others, and CodeArena for the tuned ones only (arXiv
2411.04905, section 5, tables 6 to 8 and 10). A base model was never shown how a request is answered, and an ablation
that compares two such scores compares how well each happens to guess it.
""",
)
