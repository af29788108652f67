"""ocspec adopt on a finished run: what it prints, in what it says no, and what `plan` says afterwards."""

from __future__ import annotations

import json
from pathlib import Path


def artefact(store: Path, task: str) -> Path:
    return next(
        path.parent for path in store.glob("artifacts/*/manifest.json") if json.loads(path.read_text())["task"] == task
    )


def test_a_task_adopts_from_another_store(ocspec, built: Path) -> None:
    """Its line is gone from the plan's list of what would run."""
    taken = artefact(Path(".ocspec"), "code/sign")
    assert "code/sign" in ocspec("plan", "--store", "other").out
    result = ocspec("adopt", str(taken), "--as", "code/sign", "--store", "other")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"code/sign: adopted {taken.name[:16]} of data.sign/2 as {taken.name[:16]}\n"
    left = json.loads(ocspec("plan", "--store", "other", "--json").out)["tasks"]
    assert {task["id"]: task["action"] for task in left}["code/sign"] == "reuse"
    again = ocspec("adopt", str(taken), "--as", "code/sign", "--store", "other")
    assert (again.code, again.out) == (0, f"code/sign: built already, as {taken.name[:16]}; nothing was changed\n")
    data = json.loads(ocspec("adopt", taken.name[:9], "--as", "code/sign", "--json").out)
    assert (data["kind"], data["task"], data["was"]) == ("adopt", "code/sign", True)


def test_what_does_not_fit_is_an_error(ocspec, built: Path) -> None:
    """And a task that the plan does not have gets a hint."""
    taken = artefact(Path(".ocspec"), "tokenizer")
    result = ocspec("adopt", str(taken), "--as", "code/sign", "--store", "other")
    assert result.code == 1
    assert "tokenizer cannot be adopted as code/sign: it was made by text.train_bpe/1" in result.err
    assert ocspec("adopt", str(taken), "--as", "code/sing").code == 1
    absent = ocspec("adopt", "zz", "--as", "code/sign")
    assert (absent.code, absent.out) == (1, "")
    assert absent.err.startswith("error: zz: no artefact: ")
    assert ocspec("adopt", str(taken)).code == 64
