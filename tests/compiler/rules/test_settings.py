"""Severities out of settings files: what they may say, where each was said, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.errors import UserErrors
from compiler.findings import Change, Severities
from compiler.rules.settings import load_severities


def test_the_settings_file_upward_says_it_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ocspec.toml").write_text('profile = "local"\n\n[rules]\nOC029 = "off"\nOC020 = "error"\n')
    below = tmp_path / "specs"
    below.mkdir()
    monkeypatch.chdir(tmp_path)
    found = load_severities(below)
    first, second = (
        Change("OC020", "warning", "error", "ocspec.toml:5"),
        Change("OC029", "warning", "off", "ocspec.toml:4"),
    )
    assert found == Severities((first, second))
    assert (found.of("OC029", "warning"), found.of("OC020", "warning"), found.of("OC001", "error")) == (
        "off",
        "error",
        "error",
    )
    assert str(second) == "OC029 is off here, by default a warning (ocspec.toml:4)"
    assert str(first) == "OC020 is an error here, by default a warning (ocspec.toml:5)"


def test_a_project_file_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.ocspec.rules]\nOC006 = 'warning'\n")
    assert load_severities(tmp_path).changes == (Change("OC006", "error", "warning", "pyproject.toml:2"),)


def test_what_a_rule_is_anyway_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "ocspec.toml").write_text('[rules]\nOC006 = "error"\nOC029 = "warning"\n')
    assert load_severities(tmp_path) == Severities()


def test_nothing_said_is_nothing_changed(tmp_path: Path) -> None:
    (tmp_path / "ocspec.toml").write_text('profile = "local"\n')
    assert load_severities(tmp_path) == Severities()


def test_everything_wrong_is_listed_with_what_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ['OC29 = "off"', 'collisions = "off"', 'OC029 = "of"', "OC020 = true", 'OC001 = "warning"', 'zzz = "off"']
    (tmp_path / "ocspec.toml").write_text("\n".join(["[rules]", *lines, ""]))
    with pytest.raises(UserErrors) as error:
        load_severities(tmp_path)
    assert str(error.value).splitlines() == [
        "ocspec.toml:2: no rule is called 'OC29'",
        "  fix: did you mean OC029?",
        "ocspec.toml:3: no rule is called 'collisions'",
        "  fix: did you mean OC029?",
        "ocspec.toml:4: the severity of OC029 is 'of'",
        "  fix: did you mean 'off'?",
        "ocspec.toml:5: the severity of OC020 is True",
        "  fix: write one of error, warning, off",
        "ocspec.toml:6: OC001 (names) can only be an error: a spec that breaks it has no plan",
        "  fix: take the line out",
        "ocspec.toml:7: no rule is called 'zzz'",
        "  fix: `ocspec check --list` shows all rules",
    ]


def test_rules_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ocspec.toml").write_text('rules = "off"\n')
    with pytest.raises(Exception, match="not a table"):
        load_severities(tmp_path)
