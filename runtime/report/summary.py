"""The first paragraph: what a run did, in plain words, and who wins. Not the tables."""

from __future__ import annotations

from runtime.report.facts import BitsFacts, ReportData
from runtime.report.text import decimal, integer, percent, plural


def summary(data: ReportData) -> list[str]:
    """Sentences, most important first; what is not there yet is said to be missing."""
    return [_state(data), _documents(data), _training(data), *_measured(data)]


def documents(data: ReportData) -> tuple[int | None, int | None]:
    """Documents read and kept, over the data sets with sources of their own; None before the first step."""
    own = [d for d in data.datasets if not d.derived]
    entered = [d.documents for d in own if d.documents is not None]
    left = [next((s.kept for s in reversed(d.steps) if s.kept is not None), None) for d in own]
    known = [kept for kept in left if kept is not None]
    return (sum(entered) if entered else None), (sum(known) if known else None)


def trained_tokens(data: ReportData) -> int:
    """Tokens of the stages that are finished."""
    return sum(stage.summary.tokens for stage in data.stages if stage.status == "done")


def headline(data: ReportData) -> BitsFacts | None:
    """The last stage whose bits per byte are measured."""
    return next((bits for bits in reversed(data.bits) if bits.of_model() is not None), None)


def verdict(bits: BitsFacts) -> str:
    """Who wins, model or n-gram, as a clause; the empty string where one of them is not measured.

    >>> from runtime.report.facts import BitsTotal
    >>> model, ngram = ({"": BitsTotal(documents=1, num_bytes=8, bits_per_byte=b)} for b in (2.5, 2.0))
    >>> verdict(BitsFacts(stage="anneal", kind="anneal", order=5, model=model, yardstick=ngram))
    'the 5-gram wins: the model needs 25.0 % more bits'
    """
    model, yardstick = bits.of_model(), bits.of_yardstick()
    if not model or not yardstick:
        return ""
    if round(model, 3) == round(yardstick, 3):
        return "neither wins"
    more = percent(max(model, yardstick) / min(model, yardstick) - 1)
    name = f"{bits.order}-gram"
    if model < yardstick:
        return f"the model wins: the {name} needs {more} more bits"
    return f"the {name} wins: the model needs {more} more bits"


def _state(data: ReportData) -> str:
    total = len(data.tasks)
    if data.complete:
        return f"The run is complete: all {plural(total, 'task')} are finished."
    failed = sum(task.status == "failed" for task in data.tasks)
    words = f"The run is not complete: {data.done:,} of {plural(total, 'task')} are finished"
    return f"{words}, {failed:,} failed." if failed else f"{words}."


def _documents(data: ReportData) -> str:
    entered, left = documents(data)
    if not entered or left is None:
        return "No documents have been read yet."
    steps = [step for dataset in data.datasets for step in dataset.steps]
    so_far = "" if all(step.status == "done" for step in steps) else " so far"
    return f"Of {plural(entered, 'document')} read, {left:,} ({percent(left / entered)}) are kept{so_far}."


def _training(data: ReportData) -> str:
    done = [stage for stage in data.stages if stage.status == "done"]
    model = f"The model has {integer(data.parameters)} parameters"
    if not data.stages:
        return f"{model}; the plan trains no stage."
    planned = sum(stage.summary.tokens for stage in data.stages)
    if len(done) == len(data.stages):
        return f"{model} and was trained on {planned:,} tokens in {plural(len(done), 'stage')}."
    return (
        f"{model}; {len(done)} of {plural(len(data.stages), 'stage')} are trained,"
        f" {trained_tokens(data):,} of {planned:,} tokens."
    )


def _measured(data: ReportData) -> list[str]:
    """The final stage, and the last one before fine-tuning if that is another."""
    last = headline(data)
    if last is None:
        return ["Bits per byte on held-out documents are not measured yet."] if data.bits else []
    base = next((b for b in reversed(data.bits) if b.kind != "finetune" and b.of_model() is not None), None)
    which = "the last stage" if last is data.bits[-1] else "the last stage measured so far"
    sentences = [f"After {last.stage}, {which}, {_comparison(last)}"]
    if base is not None and base is not last:
        sentences.append(f"Before fine-tuning, after {base.stage}: {_briefly(base)}.")
    return sentences


def _briefly(bits: BitsFacts) -> str:
    if bits.of_yardstick() is None:
        return decimal(bits.of_model())
    return f"{decimal(bits.of_model())} against {decimal(bits.of_yardstick())}; {verdict(bits)}"


def _comparison(bits: BitsFacts) -> str:
    model = f"the model needs {decimal(bits.of_model())} bits per byte of held-out documents"
    if bits.order is None:
        return f"{model}; the plan has no yardstick to compare it with."
    if bits.of_yardstick() is None:
        return f"{model}; the {bits.order}-gram yardstick is not measured yet."
    yardstick = f"a byte {bits.order}-gram, given the same training text, {decimal(bits.of_yardstick())}"
    return f"{model} and {yardstick}; {verdict(bits)}."
