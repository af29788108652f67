"""Command lines that cannot be understood: exit code 64, what is wrong and a hint, on stderr."""

from __future__ import annotations

import pytest

import ocspec as language


def test_a_mistyped_verb_is_named_with_the_nearest(ocspec) -> None:
    result = ocspec("complie", "a.py")
    assert (result.code, result.out) == (64, "")
    assert "no verb is called 'complie'" in result.err
    assert "did you mean compile?" in result.err


def test_a_mistyped_option_is_named_with_the_nearest(ocspec) -> None:
    result = ocspec("compile", "a.py", "--shrads", "2")
    assert result.code == 64
    assert "compile does not take --shrads" in result.err
    assert "did you mean --shards?" in result.err


@pytest.mark.parametrize("verb", ["plan", "check", "run", "lock", "submit"])
def test_a_sweep_is_for_the_verbs_that_make_several_plans(ocspec, verb: str) -> None:
    """However it is written and wherever it stands; --set would be another thing."""
    for argv in (("a.py", "--sweep", "b.seed=1,2"), ("a.py", "--sweep=b.seed=1,2"), ("--sweep", "b.seed=1,2", "a.py")):
        result = ocspec(verb, *argv)
        assert (result.code, result.out) == (64, "")
        assert result.err == (
            f"error: {verb} does not take --sweep, which makes one plan for each arm\n"
            "  fix: `ocspec compile SPEC --sweep ...` writes these plans,"
            " `ocspec diff SPEC --sweep ...` compares them\n"
        )


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_shards_are_a_positive_number(ocspec, number: str) -> None:
    result = ocspec("compile", "a.py", f"--shards={number}")
    assert result.code == 64
    assert "positive number" in result.err


def test_a_missing_argument_says_where_help_is(ocspec) -> None:
    result = ocspec("compile")
    assert result.code == 64
    assert "SPEC" in result.err
    assert "ocspec compile --help" in result.err


def test_options_are_not_abbreviated(ocspec) -> None:
    """An abbreviation that is unique today may not be tomorrow."""
    assert ocspec("compile", "a.py", "--js").code == 64


def test_no_verb_prints_the_help_on_stderr(ocspec) -> None:
    result = ocspec()
    assert (result.code, result.out) == (64, "")
    assert "compile" in result.err
    assert "exit codes:" in result.err


@pytest.mark.parametrize("option", ["--foo", "-x", "--sweep=a=1,2"])
def test_an_option_without_a_verb_is_refused(ocspec, option: str) -> None:
    """As any command line that cannot be understood."""
    result = ocspec(option)
    assert result.code == 64
    assert f"there is no {option} without a verb" in result.err


def test_version(ocspec) -> None:
    assert ocspec("--version") == (0, f"ocspec {language.__version__}\n", "")
