"""States that can be trusted, and the log beside them."""

from __future__ import annotations

import json

import pytest
import torch

from compiler.errors import UserError
from runtime.training.sealed import latest, read_sealed, write_latest, write_sealed
from runtime.training.steplog import StepLog

TENSORS = {"b": torch.arange(5.0), "a": torch.zeros(2, 3, dtype=torch.uint8)}


def test_tensors_and_facts_come_back(tmp_path):
    """And equal contents give equal bytes."""
    write_sealed(tmp_path / "x", TENSORS, {"step": 3})
    write_sealed(tmp_path / "y", dict(reversed(TENSORS.items())), {"step": 3})
    tensors, facts = read_sealed(tmp_path / "x")
    assert all(torch.equal(TENSORS[name], tensors[name]) for name in TENSORS)
    assert facts["step"] == 3
    for name in ("state.safetensors", "state.json"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()


def damage_tail(path):
    """Cut the last byte off."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)


def damage_bit(path):
    """Flip a bit of the last byte, which is data."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [damage_tail, damage_bit])
def test_a_damaged_state_is_found_and_the_one_before_is_used(tmp_path, damage):
    """By size or by checksum."""
    for step in (2, 4):
        write_latest(tmp_path, step, TENSORS, {"step": step})
    damage(tmp_path / "step-0000000004" / "state.safetensors")
    with pytest.raises(UserError, match="damaged training state"):
        read_sealed(tmp_path / "step-0000000004")
    _, facts = latest(tmp_path)
    assert facts["step"] == 2


@pytest.mark.parametrize("text", ["", "{}", '{"sha256": "0", "bytes": 1, "format_version": 2}'])
def test_a_damaged_description_is_found(tmp_path, text):
    """Empty, without a checksum, or of another version."""
    write_latest(tmp_path, 1, TENSORS, {})
    (tmp_path / "step-0000000001" / "state.json").write_text(text)
    with pytest.raises(UserError):
        read_sealed(tmp_path / "step-0000000001")
    assert latest(tmp_path) is None


def test_the_last_two_states_are_kept(tmp_path):
    """Newest by number, not by name's length or time."""
    for step in (8, 9, 10, 11):
        write_latest(tmp_path, step, TENSORS, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000000010", "step-0000000011"]
    _, facts = latest(tmp_path)
    assert facts["step"] == 11


def test_a_damaged_state_is_replaced_by_a_whole_one(tmp_path):
    """The run that fell back comes to the same step again."""
    write_latest(tmp_path, 1, TENSORS, {})
    damage_tail(tmp_path / "step-0000000001" / "state.safetensors")
    write_latest(tmp_path, 1, TENSORS, {"step": 1})
    assert latest(tmp_path) is not None


def test_nothing_saved_is_no_state(tmp_path):
    """Not even the left-overs of a write that was killed."""
    write_sealed(tmp_path / "aside", TENSORS, {})
    assert latest(tmp_path) is None


def test_the_log_is_cut_back_to_the_state(tmp_path):
    """Later lines go, also a torn one; new lines follow."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    with StepLog(path, 2) as log:
        log.append({"step": 3, "loss": 0.1})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1},
        {"step": 2},
        {"step": 3, "loss": 0.1},
    ]


@pytest.mark.parametrize("text", ['{"step": 1}\n', '{"step": 1}\n{"step": 2}'])
def test_a_log_behind_the_state_is_refused(tmp_path, text):
    """Lines would be missing for ever."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match="lines where the saved state needs 2"):
        StepLog(path, 2)


def test_the_log_takes_no_nan(tmp_path):
    """It is not JSON."""
    with StepLog(tmp_path / "m.jsonl", 0) as log, pytest.raises(ValueError, match="not JSON compliant"):
        log.append({"loss": float("nan")})
