"""What is said of a node's answer: a real answer of this machine, changed in one place at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compiler.profile import Settings
from ocspec.cli.findings import Finding
from ocspec.cli.probe_findings import findings
from ocspec.cli.probe_jobs import Probe, imports
from ocspec.cli.shared_directory import shared_directory
from runtime import probe as on_node

CODE = {"ocspec": "0.1.0", "commit": "abc", "python": "3.11.7"}


@pytest.fixture
def answered(tmp_path: Path) -> Any:
    """A probe that has an answer, of both sides on this machine."""
    with shared_directory(tmp_path / "store" / "doctor-x", "token") as store:
        made = Probe("lab", ("data", "train"), Settings(), 0, tmp_path, {"store": store}, "token")
        made.submitted = time.time()
        request = {"token": "token", "places": {"store": str(store.path)}, "imports": ["json"], "gpus": 0}
        made.answer = on_node.answer(request) | {"code": dict(CODE)}
        made.answered = time.time()
        made.answer["places"]["store"]["free"] = 10**12
        made.answer["limits"] |= {"address_space": None, "files": 4096}
        (tmp_path / "ping").write_text("Slurmctld(primary) at x is UP\n0\n")
        yield made


def said(probe: Probe, needed: tuple[str, ...] = (), **options: bool) -> dict[str, Finding]:
    found = findings(probe, CODE, set(needed), **{"supervise": True, "alone": True, **options})  # type: ignore[arg-type]
    return {finding.what.removeprefix("node: "): finding for finding in found}


def test_a_node_that_works(answered: Probe) -> None:
    """Each thing is said once, and is well."""
    found = said(answered)
    assert {finding.verdict for finding in found.values()} == {"ok"}
    assert list(found) == ["python", "imports", "store", "clock", "limits", "slurm"]
    several = findings(answered, CODE, set(), supervise=True, alone=False)
    assert next(several).what == "node of data/train: python"


def test_what_a_training_node_has_is_said_too(answered: Probe) -> None:
    """Its own words are those of `training_findings`; what limits it is no fault."""
    assert answered.answer is not None
    answered.answer["training"] = on_node.training()
    found = said(answered)
    assert list(found)[-5:-1] == ["torch", "kernels", "megatron-core", "nemo-toolkit"]
    answered.answer["training"] = {"error": "ModuleNotFoundError: No module named 'attrs'"}
    assert said(answered)["kernels"].verdict == "missing"


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(answer: dict[str, Any]) -> None:
        *way, last = path
        for step in way:
            answer = answer[step]
        answer[last] = value

    return change


TORCH = {"torch": "ModuleNotFoundError: No module named 'torch'"}
DUCKDB = {
    "duckdb": "ModuleNotFoundError: No module named 'duckdb'",
    "runtime.data.duck": "ModuleNotFoundError: No module named 'duckdb'",
}


@pytest.mark.parametrize(
    ("change", "needed", "what", "verdict", "words"),
    [
        (put("code", "python", value="3.9.1"), (), "python", "missing", "3.11 or later"),
        (put("code", "ocspec", value="0.0.9"), (), "python", "missing", "its version is 0.0.9, here it is 0.1.0"),
        (put("code", "commit", value="def"), (), "python", "missing", "its commit is def, here it is abc"),
        (put("code", "commit", value=""), (), "python", "ok", "ocspec 0.1.0"),
        (put("imports", value=TORCH), (), "imports", "absent", "ocspec[train]"),
        (put("imports", value=TORCH), ("data",), "imports", "absent", "ocspec[train]"),
        (put("imports", value=TORCH), ("train",), "imports", "missing", "no package 'torch'"),
        (put("imports", value=DUCKDB), (), "imports", "missing", "no package 'duckdb' (for duckdb, runtime.data.duck)"),
        (put("imports", value={"numba": "OSError: GLIBC"}), (), "imports", "missing", "OSError: GLIBC (for numba)"),
        (put("places", "store", "seen", value="No such file"), (), "store", "missing", "not seen on the node"),
        (put("places", "store", "written", value="Read-only"), (), "store", "missing", "cannot write (Read-only)"),
        (put("places", "store", "linked", value="Not permitted"), (), "store", "missing", "hard links fail"),
        (put("places", "store", "renamed", value="Input/output"), (), "store", "missing", "rename or fsync"),
        (put("places", "store", "free", value=10**9), (), "store", "missing", "1.0 GB free"),
        (put("scratch", value={"path": "/s", "written": "", "free": 10**9}), (), "scratch", "missing", "free some"),
        (put("scratch", value={"path": "/s", "written": "", "free": 10**11}), (), "scratch", "ok", "100.0 GB"),
        (put("limits", "address_space", value=8 * 10**9), (), "limits", "absent", "ulimit -v unlimited"),
        (put("limits", "files", value=256), (), "limits", "absent", "ulimit -n 1024"),
        (put("gpus", value={"count": 2, "visible": "0,1", "error": ""}), (), "gpus", "ok", "sees 2"),
        (put("gpus", value={"count": 0, "visible": "0", "error": ""}), (), "gpus", "missing", "DEVICES is '0'"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(
    answered: Probe, change: Callable[..., None], needed: tuple[str, ...], what: str, verdict: str, words: str
) -> None:
    """One thing at a time; nothing else changes its verdict."""
    change(answered.answer)
    found = said(answered, needed)
    assert found[what].verdict == verdict
    assert words in f"{found[what].found}; {found[what].fix}"
    assert {f.verdict for name, f in found.items() if name != what} == {"ok"}


@pytest.mark.parametrize(
    ("host", "files", "verdict", "words"),
    [
        (0.0, 0.0, "ok", "0.0 s"),
        (300.0, 0.0, "missing", "300.0 s ahead of ours"),  # both write to a server with its own clock
        (-30.0, 0.0, "absent", "30.0 s behind ours"),
        (90.0, 90.0, "missing", "ahead of ours"),  # the file system has the node's clock
        (-90.0, -90.0, "missing", "behind ours"),
    ],
)
def test_clocks_are_compared(answered: Probe, host: float, files: float, verdict: str, words: str) -> None:
    """By files that both write, and by the moment at which the node was asked."""
    assert answered.answer is not None
    there = answered.submitted + host  # without what passed in between, which is no skew
    clock = {"host": there, "files": answered.submitted + answered.places["store"].ahead + files}
    answered.answer["places"]["store"]["clock"] = clock
    found = said(answered)["clock"]
    assert found.verdict == verdict
    assert words in found.found


@pytest.mark.parametrize(("supervise", "verdict"), [(True, "missing"), (False, "absent")])
def test_a_node_that_does_not_reach_slurm(answered: Probe, supervise: bool, verdict: str) -> None:
    """Jobs there cannot queue themselves again."""
    for text in ("slurm_load_ctl_conf error\n1\n", "scontrol: command not found\n127\n", ""):
        (answered.directory / "ping").write_text(text)
        found = said(answered, supervise=supervise)["slurm"]
        assert found.verdict == verdict
        assert "supervise = false" in found.fix


def test_what_the_node_writes_must_be_seen_here(answered: Probe) -> None:
    """A directory of the same name on the node's own disk."""
    (answered.places["store"].path / on_node.THERE).write_text("another")
    found = said(answered)["store"]
    assert (found.verdict, "what the node writes is not seen" in found.found) == ("missing", True)


@pytest.mark.parametrize(
    ("log", "fix"),
    [
        ("slurmstepd: error: pyxis: couldn't start container\n", "correct container"),
        ("Lmod has detected the following error: gcc is unknown\n", "correct modules"),
        ("bash: line 4: TMPDIR: parameter null or not set\n", "name a variable in scratch"),
        ("SyntaxError: future feature annotations is not defined\n", "3.11 or later"),
        ("something else\n", "on a node"),
        ("", "the plan's directory"),
    ],
)
def test_a_job_that_ended_without_an_answer(answered: Probe, log: str, fix: str) -> None:
    """Its log is looked at for the reason."""
    answered.answer, answered.ended, answered.job_id = None, 1.0, "7"
    (answered.directory / "log").write_text(log)
    found = said(answered)["probe"]
    assert found.verdict == "missing"
    assert fix in found.fix
    assert "job 7 left no answer" in found.found


@pytest.mark.parametrize(
    ("waited", "verdict"),
    [
        ("PENDING (Priority)", "absent"),
        ("PENDING (Resources)", "absent"),
        ("RUNNING (None)", "absent"),
        ("PENDING (PartitionTimeLimit)", "missing"),
        ("PENDING (JobHeldUser)", "missing"),
    ],
)
def test_a_job_that_has_not_started(answered: Probe, waited: str, verdict: str) -> None:
    """A busy cluster is no fault; a reason that time does not heal is."""
    answered.answer, answered.job_id, answered.waited = None, "7", waited
    assert said(answered)["probe"].verdict == verdict


def test_a_class_imports_what_its_tasks_load() -> None:
    """Data nodes need no torch, and training nodes no DuckDB."""
    data, train = imports(["data"]), imports(["train"])
    assert "duckdb" in data and "runtime.data.operators.sign" in data and "torch" not in data
    assert "torch" in train and "duckdb" not in train
    assert imports(["fetch", "data"]) == data
    assert data[0] == train[0] == "runtime.worker"


def test_the_finding_of_a_refusal_carries_the_label(answered: Probe) -> None:
    """sbatch's words as they are."""
    answered.refused = Finding("probe", "missing", "Invalid account", "set account")
    assert said(answered) == {"probe": Finding("node: probe", "missing", "Invalid account", "set account")}
