"""Numbers, tables, colours and streams."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocspec.cli import output

ANSI = re.compile(r"\x1b\[[0-9;]*m")
PREFIX = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


@given(st.integers(0, 10**17))
def test_a_quantity_is_right_to_three_digits(number: int) -> None:
    value, _, prefix = output.quantity(number).partition(" ")
    assert float(value.replace(",", "")) * PREFIX[prefix] == pytest.approx(number, rel=0.0051)
    assert "e" not in value


@given(st.floats(1, 1e30))
def test_scientific_reads_back(number: float) -> None:
    assert float(output.scientific(number)) == pytest.approx(number, rel=0.0051)


def test_durations_carry_over() -> None:
    assert output.duration(59.96) == "60.0 s"
    assert output.duration(119.6) == "2 min 0 s"
    assert output.duration(3600) == "1 h 0 min"


def test_a_table_aligns_and_leaves_no_blanks_at_line_ends(capsys) -> None:
    output.print_table(("name", ">count", "note"), [("a", "1", ""), ("longer", "12", "x")])
    assert capsys.readouterr().out == "name    count  note\na           1\nlonger     12  x\n"


def test_a_table_without_headers_starts_with_its_rows(capsys) -> None:
    output.print_table(("", ""), [("a", "b")])
    assert capsys.readouterr().out == "a  b\n"


def test_only_the_last_column_wraps(capsys) -> None:
    output.print_table(("name", "note"), [("n" * 50, "word " * 20)])
    lines = capsys.readouterr().out.splitlines()
    assert "n" * 50 in lines[1]
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80


def test_square_brackets_are_data_and_not_markup(capsys) -> None:
    output.print_table(("name",), [("[red]x[/red]",)])
    assert "[red]x[/red]" in capsys.readouterr().out


def test_pipes_get_no_colour_and_no_narrow_columns(capsys, monkeypatch) -> None:
    monkeypatch.delenv("COLUMNS")
    output.print_table(("state", "note"), [("failed", "w" * 100)])
    out = capsys.readouterr().out
    assert "w" * 100 in out
    assert not ANSI.search(out)


def test_colour_is_forced_and_forbidden_by_the_environment(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output.print_table(("state",), [("failed",)])
    assert "\x1b[1;31mfailed" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(("state",), [("failed",)])
    assert "\x1b[1;31m" not in capsys.readouterr().out


def test_json_has_a_version_and_a_kind_and_talk_goes_elsewhere(capsys) -> None:
    output.say("hello")
    output.print_json("thing", value=1)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"format_version": 1, "kind": "thing", "value": 1}
    assert captured.err == "hello\n"
