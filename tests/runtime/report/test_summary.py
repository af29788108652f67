"""The first paragraph says what happened, and says it when the yardstick wins."""

from __future__ import annotations

import attrs
import pytest

from runtime.report.facts import BitsFacts, BitsTotal, ReportData
from runtime.report.gather import gather
from runtime.report.summary import documents, summary, verdict
from tests.runtime.report.small import Run


@pytest.fixture(scope="module")
def data(complete: Run) -> ReportData:
    return gather(complete.directory, complete.store)


def bits(model: float | None, yardstick: float | None, order: int | None = 5) -> BitsFacts:
    totals = [v and {"": BitsTotal(documents=1, num_bytes=8, bits_per_byte=v)} for v in (model, yardstick)]
    return BitsFacts(stage="s", kind="pretrain", order=order, model=totals[0], yardstick=totals[1])


def test_a_complete_run_in_words(data: ReportData):
    """Every number is that of the fixture; the final stage lost, and the base model before it won."""
    state, read, trained, last, base = summary(data)
    assert state == f"The run is complete: all {len(data.tasks)} tasks are finished."
    assert read == "Of 20 documents read, 5 (25.0 %) are kept."
    assert trained == f"The model has {data.parameters:,} parameters and was trained on 3,712 tokens in 3 stages."
    assert last == (
        "After delta, the last stage, the model needs 2.750 bits per byte of held-out documents and a byte"
        " 5-gram, given the same training text, 2.500; the 5-gram wins: the model needs 10.0 % more bits."
    )
    assert base == (
        "Before fine-tuning, after gamma: 2.250 against 2.500; the model wins: the 5-gram needs 11.1 % more bits."
    )


def test_an_empty_run_in_words(run: Run):
    """What is missing is said."""
    sentences = summary(gather(run.directory, run.store))
    assert sentences[0].startswith("The run is not complete: 0 of ")
    assert sentences[1] == "No documents have been read yet."
    assert "0 of 3 stages are trained, 0 of 3,712 tokens." in sentences[2]
    assert sentences[3] == "Bits per byte on held-out documents are not measured yet."


def test_a_partial_run_in_words(run: Run):
    """Kept so far, failures counted, and the last stage measured so far."""
    for task in ("alpha/bits_per_byte", "alpha/bits_per_byte-ngram"):
        run.finish_up_to(task)
    run.journal.write("failed", task="gamma/mix", shard=0, error="x")
    sentences = summary(gather(run.directory, run.store))
    assert sentences[0].endswith(", 1 failed.")
    assert sentences[1] == "Of 20 documents read, 5 (25.0 %) are kept so far."
    assert sentences[3].startswith("After alpha, the last stage measured so far, the model needs 3.000")


@pytest.mark.parametrize(
    ("model", "yardstick", "said"),
    [
        (2.0, 2.5, "the model wins: the 5-gram needs 25.0 % more bits"),
        (2.5, 2.0, "the 5-gram wins: the model needs 25.0 % more bits"),
        (2.0001, 2.0002, "neither wins"),
        (None, 2.0, ""),
        (2.0, None, ""),
    ],
)
def test_the_verdict_names_the_winner(model: float | None, yardstick: float | None, said: str):
    """Whoever it is."""
    assert verdict(bits(model, yardstick)) == said


def test_a_missing_yardstick_is_said(data: ReportData):
    """Not asked for and not yet measured are different things."""
    unasked = summary(attrs.evolve(data, bits=(bits(2.0, None, None),)))
    waiting = summary(attrs.evolve(data, bits=(bits(2.0, None),)))
    assert unasked[3].endswith("the plan has no yardstick to compare it with.")
    assert waiting[3].endswith("the 5-gram yardstick is not measured yet.")


def test_derived_data_sets_do_not_count_twice(data: ReportData):
    """algo selects from code: its documents are code's."""
    assert documents(data) == (20, 5)
    assert documents(attrs.evolve(data, datasets=())) == (None, None)


def test_a_plan_without_stages_is_told(data: ReportData):
    """A plan may only prepare data."""
    sentences = summary(attrs.evolve(data, stages=(), bits=()))
    assert sentences[2].endswith("the plan trains no stage.")
    assert len(sentences) == 3


def test_a_base_model_without_its_yardstick_is_told_briefly(data: ReportData):
    """Only the model's number, and no verdict."""
    final = attrs.evolve(bits(2.0, 2.5), stage="delta", kind="finetune")
    sentences = summary(attrs.evolve(data, bits=(bits(2.25, None), final)))
    assert sentences[4] == "Before fine-tuning, after s: 2.250."
