"""What a user reads when something is wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

from compiler.draft import relative
from compiler.errors import UserError, UserErrors
from ocspec.base import Origin


def test_a_problem_is_what_where_and_how_to_fix_it() -> None:
    """Parts that are not known are left out."""
    assert str(UserError("it broke")) == "it broke"
    assert str(UserError("it broke", where="a.py:3")) == "a.py:3: it broke"
    assert str(UserError("it broke", where="a.py:3", fix="mend it")) == "a.py:3: it broke\n  fix: mend it"


def test_problems_are_listed_and_counted() -> None:
    """One is not several."""
    one, two = UserError("first", fix="a"), UserError("second", where="b.py:1")
    assert str(UserErrors([one, two])) == "first\n  fix: a\nb.py:1: second"
    assert UserErrors([one, two]).what == "2 problems"
    assert UserErrors([one]).what == "1 problem"
    assert isinstance(UserErrors([one]), UserError)


def test_origins_are_relative_to_the_spec() -> None:
    """Below it, above it, or unknown."""
    base = Path("/repo/specs")
    assert relative(Origin("/repo/specs/a.py", 3), base) == "a.py:3"
    assert relative(Origin("/repo/base.py", 3), base) == "../base.py:3"
    assert relative(None, base) == ""


def test_an_error_survives_the_way_between_processes() -> None:
    """A worker's message reaches the one who asked."""
    error = UserError("it broke", where="a.py:3", fix="mend it")
    for problem in (error, UserErrors([error, error])):
        again = pickle.loads(pickle.dumps(problem))
        assert type(again) is type(problem)
        assert str(again) == str(problem)
