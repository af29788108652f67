"""Slurm's programs: what counts as away, how long that is waited for, and that it is said once."""

from __future__ import annotations

import pytest

from compiler.errors import UserError
from runtime.dispatch.slurm import client
from runtime.dispatch.slurm.client import Patience, QueueUnavailable, Unanswered, ask, scancel

AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a shell script on PATH as one of Slurm's programs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def program(name: str, body: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)

    return program


@pytest.mark.parametrize(
    ("text", "is_passing"),
    [
        (AWAY, True),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True),
        ("slurm_load_jobs error: Zero Bytes were transmitted or received", True),
        ("Slurm temporarily unable to accept job, sleeping and retrying", True),
        ("Resource temporarily unavailable", True),
        ("sbatch: error: invalid partition specified: gpuu", False),
        ("Slurm accounting storage is disabled", False),
        ("squeue: No such file or directory", False),
    ],
)
def test_what_counts_as_away(text, is_passing):
    """What a restart or a busy moment of the controller looks like; a wrong question does not pass."""
    assert QueueUnavailable(text).is_passing == is_passing


def test_ask_returns_what_was_printed_or_raises_what_was_said(program, monkeypatch):
    """Also for a program that is not there, that says nothing, that hangs, and that prints what is no UTF-8."""
    program("squeue", r"printf 'a\377b'")
    assert ask("squeue") == "a\N{REPLACEMENT CHARACTER}b"
    program("squeue", "cat")
    assert ask("squeue", text="x") == "x"
    program("squeue", "echo oops >&2; exit 1")
    for command, message in (("squeue", "oops"), ("not-there", "not-there: No such file")):
        with pytest.raises(QueueUnavailable, match=message):
            ask(command)
    program("squeue", "exit 3")
    with pytest.raises(QueueUnavailable, match="squeue ended with 3"):
        ask("squeue")
    monkeypatch.setattr(client, "COMMAND_TIMEOUT_S", 0.2)
    program("squeue", "exec sleep 5")
    with pytest.raises(QueueUnavailable, match="did not answer") as caught:
        ask("squeue")
    assert caught.value.is_passing


def test_a_controller_that_is_away_is_waited_for_and_said_once():
    """And that it is back."""
    answers = iter([AWAY, AWAY, AWAY, 7])
    said: list[str] = []

    def action() -> int:
        answer = next(answers)
        if isinstance(answer, str):
            raise QueueUnavailable(answer)
        return answer

    assert Patience(30.0, said.append, (0.001, 0.002)).until_answered(action) == 7
    assert [text.partition(" (")[0] for text in said] == ["Slurm does not answer", "Slurm answers again"]


def test_patience_ends_with_one_error():
    """After its time for one that is away, at once for a question that is wrong."""
    calls = []

    def action(text: str) -> None:
        calls.append(text)
        raise QueueUnavailable(text)

    with pytest.raises(Unanswered, match="Unable to contact") as caught:
        Patience(0.05, pauses_s=(0.01,)).until_answered(lambda: action(AWAY))
    assert isinstance(caught.value, UserError)
    assert "run the same command again" in caught.value.fix
    assert len(calls) > 2
    calls.clear()
    with pytest.raises(UserError, match="Invalid user"):
        Patience(30.0).until_answered(lambda: action("Invalid user: x"))
    assert len(calls) == 1


def test_scancel_takes_many_and_does_not_fail(program, tmp_path, monkeypatch):
    """Each once, 500 at a time; a controller that is away or hangs, or no program, raises nothing."""
    program("scancel", f'echo "$@" >> {tmp_path}/calls')
    scancel([*map(str, range(700)), "5"], "--state=PENDING")
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert [len(call) - 2 for call in calls] == [500, 200]
    assert calls[0][:2] == ["--quiet", "--state=PENDING"]
    scancel([])
    assert len((tmp_path / "calls").read_text().splitlines()) == 2
    program("scancel", "exit 8")
    scancel(["7"])
    monkeypatch.setattr(client, "COMMAND_TIMEOUT_S", 0.2)
    program("scancel", "exec sleep 5")
    scancel(["7"])
    (tmp_path / "scancel").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    scancel(["7"])


def test_settings_of_the_cluster(program):
    """As `scontrol show config` aligns them."""
    program("scontrol", "printf 'MaxArraySize            = 1001\\nMaxJobCount = 10\\nEmpty =\\n'")
    assert client.max_array_size() == 1001
    assert (client.setting("MaxJobCount"), client.setting("Empty"), client.setting("Max")) == ("10", "", "")
    program("scontrol", "true")
    assert client.max_array_size() == 1
