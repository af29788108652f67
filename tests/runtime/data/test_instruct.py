"""Instruction pairs: text fixtures `source ===== pairs`, one test per filter, and any text at all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.data.instruct import DOCUMENTED, pairs
from tests.pace import within

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "instruct").glob("*.txt"))

GOOD = '''\
def mean(values):
    """Mean of a list of numbers."""
    total = sum(values)
    return total / len(values)
'''


def shown(found):
    """Pairs as text."""
    return "".join(f"--- {p.name} {p.start_line}\n{p.instruction}\n>>>\n{p.output}\n" for p in found)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_fixture(path):
    """The name of a fixture begins with its language."""
    source, expected = path.read_text(encoding="utf-8").split("=====\n")
    assert shown(pairs(source, path.stem.split("_")[0], "a.x")) == expected


def test_a_pair_says_where_it_is_from():
    """Language, document, name and line make it traceable."""
    (pair,) = pairs("\n\n" + GOOD, "python", "repo/a.py")
    assert (pair.language, pair.doc_id, pair.name, pair.start_line) == ("python", "repo/a.py", "mean", 3)


def test_signature_and_body_make_the_function_again():
    """What is shown plus what is asked for is the function, which parses."""
    (pair,) = pairs("class A:\n" + "".join("\t" + line for line in GOOD.splitlines(True)), "python", "a.py")
    head = pair.instruction.split("```python\n")[1].removesuffix("\n```")
    tree = ast.parse(head + "\n" + pair.output)
    assert [node.name for node in tree.body] == ["mean"]
    assert "Mean of a list" not in pair.output


@pytest.mark.parametrize(
    "source",
    [
        GOOD.replace('    """Mean of a list of numbers."""\n', ""),
        GOOD.replace("Mean of a list of numbers.", "Mean."),
        GOOD.replace("Mean of a list of numbers.", "Mean. " * 200),
        GOOD.replace("    total = sum(values)\n", ""),
        GOOD.replace("    total = sum(values)\n", "    total = sum(values)\n" * 40),
        GOOD.replace("mean", "__call__"),
        GOOD.replace("total = sum(values)", "pass").replace("return total / len(values)", "..."),
        GOOD.replace("total = sum(values)", "# later").replace(
            "return total / len(values)", "raise NotImplementedError"
        ),
        GOOD.replace('"""Mean', 'f"""Mean'),
        GOOD.replace("sum(values)", "sum(values"),
        GOOD.replace('numbers."""\n', 'numbers."""; x = 1\n'),
        'def only():\n    """There is nothing after the docstring."""',
        "",
    ],
    ids=[
        *("no docstring", "docstring too short", "docstring too long", "body too short", "body too long"),
        *("special method", "does nothing", "not implemented", "f-string", "does not parse", "same line"),
        *("docstring only", "empty"),
    ],
)
def test_functions_left_out(source):
    """Each filter has a function that differs from the good one in one thing."""
    assert len(pairs(GOOD, "python", "a.py")) == 1
    assert pairs(source, "python", "a.py") == []


def test_limits_are_parameters():
    """A spec can ask for longer documentation or shorter bodies."""
    assert len(pairs(GOOD, "python", "a.py", min_docstring=26, max_lines=2)) == 1
    assert pairs(GOOD, "python", "a.py", min_docstring=27) == []
    assert pairs(GOOD, "python", "a.py", min_lines=3) == []


def test_pairs_come_in_the_order_of_the_document():
    """So that two runs write the same rows."""
    source = "".join(GOOD.replace("mean", name) for name in ("zeta", "alpha", "mid"))
    assert [pair.name for pair in pairs(source, "python", "a.py")] == ["zeta", "alpha", "mid"]


def test_other_languages_give_none():
    """Not an error: a data set may hold them."""
    assert pairs("x", "cobol", "a") == pairs("p { }", "css", "a") == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=100), st.sampled_from(sorted(DOCUMENTED)), st.integers(0, 110))
def test_any_text_is_survived(noise, language, cut):
    """Noise before, within and after a function."""
    found = pairs(noise + GOOD[:cut] + noise + GOOD[cut:] + noise, language, "a")
    assert all(pair.output and pair.name for pair in found)


@pytest.mark.parametrize("source", ["\0" * 20_000, "(" * 100_000, "def f():\n " * 5_000, "/** */\n" * 20_000])
def test_hostile_documents_take_bounded_time(source):
    """Deep nesting, NUL bytes, comments without functions."""
    with within(10):
        for language in ("python", "java"):
            assert pairs(source, language, "a") == []
