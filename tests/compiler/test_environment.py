"""The variables that a profile gives to workers: where they are taken from, and what is said where they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.environment import environment_here, passed_environment
from compiler.errors import UserError, UserErrors
from compiler.profile import Settings


def test_secrets_come_from_the_environment_of_the_submitting_process() -> None:
    """All that are not set are named, once each; no value is."""
    environment = {"A": "env:ONE", "B": "env:TWO", "C": "env:TWO", "D": "plain", "E": "file:/x"}
    settings = Settings(environment=environment)
    assert passed_environment(settings, {"ONE": "1", "TWO": "2 '"}) == {"A": "1", "B": "2 '", "C": "2 '"}
    with pytest.raises(UserError) as error:
        passed_environment(settings, {"OTHER": "1"})
    assert error.value.what == "the profile takes ONE, TWO from the environment, where they are not set"
    assert "export ONE TWO" in error.value.fix


def test_here_values_variables_and_files_become_variables(tmp_path: Path) -> None:
    """As a batch script's `$(cat FILE)` would: line breaks at the end are not part of a secret."""
    secret = tmp_path / "secret"
    secret.write_text(" s3cret \n\n")
    settings = Settings(environment={"A": "plain: text", "B": "env:ONE", "C": f"file:{secret}"})
    assert environment_here(settings, {"ONE": "1"}) == {"A": "plain: text", "B": "1", "C": " s3cret "}


def test_all_that_cannot_be_taken_is_said_and_no_value_is(tmp_path: Path) -> None:
    """A variable that is not set, files that are not there, empty, no text, or hold what no variable can."""
    texts = {"EMPTY": b"\n", "BYTES": b"\xff\xfe", "ZERO": b"s3cret\0"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    files = {name: f"file:{tmp_path / name}" for name in (*texts, "ABSENT")}
    with pytest.raises(UserErrors) as error:
        environment_here(Settings(environment={"A": "env:GONE", **files}), {"KEPT": "s3cret"})
    assert [problem.what for problem in error.value.problems] == [
        "the profile takes GONE from the environment, where it is not set",
        f"EMPTY: {tmp_path / 'EMPTY'} is empty",
        f"BYTES: {tmp_path / 'BYTES'} cannot be read: it is no text",
        f"ZERO: {tmp_path / 'ZERO'} holds a zero byte, which no variable can",
        f"ABSENT: {tmp_path / 'ABSENT'} cannot be read: No such file or directory",
    ]
    assert "s3cret" not in str(error.value)
