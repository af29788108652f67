"""Rules in SQL: what can be used, and the one message for what can't."""

from __future__ import annotations

import pytest

from compiler.rule_expressions import columns, problem

GOOD = [
    "num_lines < 20",
    "frac_chars_comments > 0.8 AND num_lines < 20",
    "repo LIKE 'a/%' OR language IN ('python', 'c') AND NOT doc_type = 'text'",
    "CASE WHEN stars > 1 THEN bytes > 9 END",
    "stars BETWEEN 1 AND 2 AND path ~ '.*_test.py'",
    "coalesce(frac_chars_comments, 0) / num_lines > 0.01",
    "frac_chars_comments IS NULL",
    "TRY_CAST(path AS INTEGER) > 1",
    "num_lines < 20 -- few",
    "list_contains(['python'], language)",
    "length(path) > 40 AND regexp_matches(path, 'vendor/')",
]

BAD = {
    "num_wrds < 20": "no signal or column is called 'num_wrds'",
    "documents.stars > 1": "no signal or column is called 'documents.stars'",
    "current_date > '2020-01-01'": "no signal or column is called 'current_date'",
    "stars > 1 AND random() < 0.5": "the function random is unknown or no function of its arguments alone",
    "now() IS NULL OR stars > 1": "the function now is unknown",
    "getvariable('shard') > stars": "the function getvariable is unknown",
    "age(CAST(path AS TIMESTAMP)) IS NULL": "the function age is unknown",
    "hash(path) % 2 = 0": "the function hash is unknown",
    "nosuch(stars) > 1": "the function nosuch is unknown",
    "count(*) > 1": "the function count_star is unknown",
    "sum(stars) > 1": "the function sum is unknown",
    "row_number() OVER () > stars": "a window function is not a function of one document",
    "(SELECT 1) > stars": "a subquery is not a function of one document",
    "EXISTS (FROM documents)": "a subquery is not a function of one document",
    "COLUMNS('num_.*') > 1": "a star is not a function of one document",
    "stars > ?": "a parameter is not a function of one document",
    "num_lines + 1": "its type is DOUBLE, not BOOLEAN",
    "path": "its type is VARCHAR, not BOOLEAN",
    "path > 3": "DuckDB refuses it: Binder Error",
    "regexp_matches(path, '[')": "DuckDB refuses it: Invalid Input Error",
    "1 = 1": "it names no signal and no column",
    "": "this is not a SQL expression: exactly one condition is needed",
    "stars > 1, bytes > 2": "this is not a SQL expression: exactly one condition is needed",
    "stars > 1) OR (bytes > 2": "this is not a SQL expression: syntax error",
    "stars > 1; DROP TABLE documents": "this is not a SQL expression: syntax error",
    "stars > 1 GROUP BY stars": "this is not a SQL expression: syntax error",
}


@pytest.mark.parametrize("where", GOOD)
def test_an_expression_that_can_be_used(where):
    """Functions of one row over signals and columns."""
    assert problem(where) is None


@pytest.mark.parametrize("where", BAD)
def test_an_expression_that_cannot_be_used(where):
    """What is wrong, on one line, and how to fix it."""
    found = problem(where)
    assert found is not None
    what, fix = found
    assert what.startswith(BAD[where]) and "\n" not in what and fix


def test_a_misspelt_name_gets_the_closest():
    """Signals and columns alike; where nothing is close, where they are listed."""
    assert problem("frac_char_comment > 0.5")[1] == "did you mean 'frac_chars_comments'?"
    assert problem("star > 5")[1] == "did you mean 'stars'?"
    assert problem("xyzzy > 5")[1] == "docs/reference/quality-rules.md lists the signals"


def test_the_columns_that_an_expression_names():
    """Each once, in lower case, in a fixed order."""
    where = "Stars > 1 AND (num_lines < 2 OR NUM_LINES > 9) AND CASE WHEN path = 'stars' THEN bytes > 3 END"
    assert columns(where) == ("bytes", "num_lines", "path", "stars")
