"""ocspec plan: what would run, without running it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def test_without_a_store_everything_would_run(ocspec, spec: Path) -> None:
    result = ocspec("plan", str(spec), "--exit-code")
    assert result.code == 2
    assert result.out.endswith("\ntiny: 14 tasks, 0 reused, 0 cut off, 14 to run\n")
    assert not Path("build").exists()
    assert not Path(".ocspec").exists()


def test_a_task_waits_for_the_nearest_tasks_only(ocspec, spec: Path) -> None:
    tasks = {task["id"]: task for task in json.loads(ocspec("plan", str(spec), "--json").out)["tasks"]}
    assert tasks["code/sign"]["waits_for"] == []
    assert tasks["code/deduplicate/cluster"]["waits_for"] == ["code/deduplicate/edges"]
    assert tasks["anneal/train"]["waits_for"] == ["anneal/mix", "pretrain/train"]


def test_after_a_run_everything_is_reused(ocspec, built: Path) -> None:
    result = ocspec("plan", "--exit-code")
    assert result == (0, "tiny: 14 tasks, 14 reused, 0 cut off, 0 to run\n", "")
    assert "code/sign  " in ocspec("plan", "--all").out


def test_a_change_of_training_keeps_the_data(ocspec, built: Path) -> None:
    Path("tiny.py").write_text(Path("tiny.py").read_text().replace("peak=1e-3", "peak=2e-3"))
    result = ocspec("plan", "tiny.py", "--json")
    plan = json.loads(result.out)
    assert [task["id"] for task in plan["tasks"] if task["action"] == "to run"] == [
        "pretrain/train",
        "anneal/train",
        "anneal/bits_per_byte",
    ]
    assert plan["counts"] == {"reused": 11, "cut off": 0, "to run": 3}


def test_equal_inputs_under_another_fingerprint_are_cut_off(ocspec, built: Path) -> None:
    """Forgetting the fingerprints leaves the artefacts, which are found again by what they were made from."""
    shutil.rmtree(".ocspec/fingerprints")
    assert "tiny: 14 tasks, 0 reused, 14 cut off, 0 to run" in ocspec("plan").out
    assert ocspec("plan", "--exit-code").code == 0


def test_the_store_is_named_by_option_or_environment(ocspec, built: Path, monkeypatch) -> None:
    Path(".ocspec").rename("moved")
    assert "14 to run" in ocspec("plan").out
    assert "14 reused" in ocspec("plan", "--store", "moved").out
    monkeypatch.setenv("OCSPEC_STORE", "moved")
    assert "14 reused" in ocspec("plan").out
