"""Rules in SQL, evaluated: NULL never drops, order decides, batches don't matter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.quality_rules import ExpressionRule
from runtime.data.expressions import Expressions, Subject

FEW = ExpressionRule(name="few", where="num_lines < 20 AND (stars = 0 OR path LIKE '%.min.js')")
DENSE = ExpressionRule(name="dense", where="frac_chars_comments > 0.5", languages=("c",), doc_types=("code", "data"))


def subject(lines: float | None, comments: float | None = 0.0, language: str | None = "c", stars: int = 0) -> Subject:
    """A document with all that the rules ask for."""
    values = {"num_lines": lines, "frac_chars_comments": comments, "stars": stars, "path": "a.c"}
    return Subject(language=language, doc_type="code", values=values)


def failing(*subjects: Subject, rules: tuple[ExpressionRule, ...] = (FEW, DENSE)) -> list[str | None]:
    """The verdicts on one batch."""
    with Expressions(rules) as expressions:
        return expressions.failing(subjects)


def test_the_first_rule_that_is_true_drops():
    """In the order of the rules; NULL is not true; a rule for other languages does not judge."""
    found = failing(
        subject(5.0, 0.9), subject(50.0, 0.9), subject(None, None), subject(50.0, 0.9, "go"), subject(5.0, 0.9, None)
    )
    assert found == ["few", "dense", None, None, "few"]
    assert failing(subject(5.0, 0.9), rules=(DENSE, FEW)) == ["dense"]
    assert failing() == []


def test_only_signals_of_rules_that_judge_a_document_are_asked_for():
    """What nobody asks for is never computed; columns are no signals."""
    with Expressions((FEW, DENSE)) as expressions:
        assert expressions.signals("c", "code") == {"num_lines", "frac_chars_comments"}
        assert expressions.signals("go", "code") == {"num_lines"}
        assert expressions.signals("go", "text") == set()


def test_an_expression_that_fails_on_a_document_is_named():
    """A message for the author of the rule, not DuckDB's traceback."""
    rule = ExpressionRule(name="numbered", where="CAST(path AS INTEGER) > 3")
    with pytest.raises(UserError, match="the rule 'numbered' fails on a document: Conversion Error") as error:
        failing(subject(1.0), rules=(rule,))
    assert "TRY_CAST" in error.value.fix


VALUES = st.floats(0, 40) | st.none()
SUBJECTS = st.builds(subject, VALUES, VALUES, st.sampled_from(["c", "go", None]), st.integers(0, 1))


@settings(max_examples=10, deadline=None)
@given(st.lists(SUBJECTS, max_size=20), st.integers(0, 20))
def test_a_verdict_does_not_depend_on_the_batch(subjects, border):
    """Cut anywhere, the same."""
    assert failing(*subjects) == failing(*subjects[:border]) + failing(*subjects[border:])
