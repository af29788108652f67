"""What quality rules dropped, their histograms, and documents by language."""

from __future__ import annotations

import pytest

from runtime.data.histograms import bin_of, edges
from runtime.report.facts import DatasetFacts
from runtime.report.funnel import TOP_LANGUAGES, by_language, datasets
from tests.runtime.report.small import Run


@pytest.fixture(scope="module")
def code(complete: Run) -> DatasetFacts:
    return next(dataset for dataset in datasets(complete.built()) if dataset.name == "code")


def test_rules_that_dropped_something_most_first(code: DatasetFacts) -> None:
    """rule_0 is no rule of the plan's: it has no condition to show and stays among the reasons of the step."""
    assert [(rule.rule, rule.condition, rule.dropped) for rule in code.rules] == [
        ("num_lines_min", "num_lines < 10", 2),
        ("frac_chars_comments_max", "frac_chars_comments > 0.8", 1),
    ]
    assert code.judged == 10


def test_a_histogram_has_the_rules_types_of_document_only(code: DatasetFacts) -> None:
    """The fifty documents of prose are not judged by a rule for code."""
    lines, comments = (rule.histogram for rule in code.rules)
    assert lines is not None and comments is not None
    assert {i: n for i, n in enumerate(lines.measured) if n} == {3: 2, 10: 6}
    assert {i: n for i, n in enumerate(lines.dropped) if n} == {bin_of("num_lines", 4.0): 2}
    assert {i: n for i, n in enumerate(comments.measured) if n} == {2: 5, 38: 1}
    assert {i: n for i, n in enumerate(comments.dropped) if n} == {38: 1}
    assert (lines.threshold, lines.edges) == (10.0, edges("num_lines"))


def test_documents_by_language_after_each_step(code: DatasetFacts) -> None:
    """As they went in, and after sign, hold-out, deduplication, refine and downsampling."""
    assert code.funnel_steps == ("sign", "hold-out", "deduplicate/cluster", "refine", "downsample")
    assert {row.language: (row.seen, row.kept, row.left) for row in code.by_language} == {
        "python": (12, (10, 9, 8, 5, 5), 5),
        "html": (6, (5, 5, 2, 1, 0), 0),
        "(none)": (2, (0, 0, 0, 0, 0), 0),
    }


def test_a_derived_data_set_goes_on_from_its_base(complete: Run) -> None:
    """What went in is what the base's last step kept; its own step has not counted languages."""
    algo = next(dataset for dataset in datasets(complete.built()) if dataset.name == "algo")
    assert [(row.language, row.seen, row.kept, row.left) for row in algo.by_language] == [("python", 5, (None,), 5)]


def test_steps_that_have_not_run_have_no_numbers(run: Run) -> None:
    run.finish_up_to("code/hold-out")
    (code, algo) = datasets(run.built())
    python = next(row for row in code.by_language if row.language == "python")
    assert (python.seen, python.kept, python.left) == (12, (10, 9, None, None, None), 9)
    assert (algo.by_language, code.rules) == ((), ())


def test_rare_languages_stand_together(run: Run) -> None:
    """The columns still add up."""
    run.finish_up_to("code/fetch-pypi")
    counts = {f"l{i:02}": 100 - i for i in range(TOP_LANGUAGES + 3)}
    stats = {"in": 1, "kept": 1, "dropped": {}, "languages": counts, "seen": counts, "bytes": counts}
    run.finish("code/sign", stats)
    tasks = [run.plan.task(name) for name in ("code/sign", "code/hold-out")]
    rows = by_language(tasks, run.built())
    assert [row.language for row in rows[:2]] == ["l00", "l01"]
    assert (rows[-1].language, rows[-1].languages, rows[-1].kept) == ("other", 3, (88 + 87 + 86, None))
    assert sum(row.seen or 0 for row in rows) == sum(counts.values())
