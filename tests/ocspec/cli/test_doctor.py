"""ocspec doctor: what is there, what limits, and what must be put right."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import pytest

from ocspec.cli import doctor


def found(ocspec) -> tuple[int, dict[str, dict[str, str]]]:
    result = ocspec("doctor", "--json")
    return result.code, {finding["what"]: finding for finding in json.loads(result.out)["findings"]}


@pytest.fixture(autouse=True)
def _free_disk(monkeypatch, tmp_path: Path) -> None:
    """So much that the machine of the test does not matter."""
    monkeypatch.chdir(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**12))


def test_a_machine_that_runs_the_tests_is_well(ocspec) -> None:
    result = ocspec("doctor")
    assert result.code == 0
    assert result.out.endswith("\nnothing to put right\n")
    _, findings = found(ocspec)
    assert findings["duckdb"]["verdict"] == "ok"
    assert findings["store"]["found"].startswith("1000.0 GB free at ")


def test_packages_of_an_extra_limit_and_others_are_missing(ocspec, monkeypatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in {"submitit", "duckdb"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor, "version", version)
    code, findings = found(ocspec)
    assert code == 1
    assert findings["submitit"]["verdict"] == "absent"
    assert findings["submitit"]["fix"] == "for slurm: pip install 'ocspec[slurm]'"
    assert findings["duckdb"]["verdict"] == "missing"
    assert ocspec("doctor").out.endswith("\n1 thing to put right\n")


def test_too_little_disk_is_to_be_put_right(ocspec, monkeypatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    code, findings = found(ocspec)
    assert code == 1
    assert findings["store"]["verdict"] == "missing"
    assert "--store" in findings["store"]["fix"]


def test_programs_that_are_not_there_say_what_follows(ocspec, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, findings = found(ocspec)
    assert code == 0
    for program in ("git", "sbatch", "nvidia-smi"):
        assert findings[program]["verdict"] == "absent"
        assert findings[program]["fix"]


def test_what_there_is_to_train_with_limits_and_is_no_fault(ocspec) -> None:
    """The torch back end needs none of it."""
    code, findings = found(ocspec)
    assert code == 0
    assert {"kernels", "megatron-core", "nemo-toolkit"} <= set(findings)


def test_a_package_that_merely_is_called_apex_is_named(ocspec, monkeypatch, tmp_path: Path) -> None:
    """It is not imported for that."""
    (tmp_path / "apex").mkdir()
    (tmp_path / "apex" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    code, findings = found(ocspec)
    assert code == 0
    assert findings["apex"]["verdict"] == "absent"
    assert f"at {tmp_path}/apex is not NVIDIA's Apex" in findings["apex"]["found"]


def slurm_profile(**entries: str) -> None:
    lines = [f'{name} = "{value}"' for name, value in entries.items()]
    Path("ocspec.toml").write_text("\n".join(["[profiles.lab]", 'dispatch = "slurm"', *lines, ""]))


def test_a_profile_of_this_machine_changes_nothing(ocspec) -> None:
    Path("ocspec.toml").write_text("[profiles.small]\nworkers = 2\n")
    assert ocspec("doctor", "--profile", "small", "--json") == ocspec("doctor", "--json")


def test_the_python_that_a_local_profile_trains_with_is_asked(ocspec) -> None:
    """Another program than this one, which says what it has; one that is not there is to be put right."""
    Path("ocspec.toml").write_text("[profiles.two.classes.train]\npython = './python'\n")
    missing = ocspec("doctor", "--profile", "two", "--json")
    findings = {finding["what"]: finding for finding in json.loads(missing.out)["findings"]}
    assert (missing.code, findings["training"]["verdict"]) == (1, "missing")
    assert f"its python, {Path.cwd() / 'python'}, is not there" in findings["training"]["found"]
    Path("python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    Path("python").chmod(0o755)
    asked = ocspec("doctor", "--profile", "two", "--json")
    findings = {finding["what"]: finding for finding in json.loads(asked.out)["findings"]}
    assert findings["training"]["verdict"] == "ok", findings["training"]
    assert {"kernels", "megatron-core", "nemo-toolkit"} <= set(findings)
    assert f"asking {Path.cwd() / 'python'}" in asked.err


def test_a_profile_that_is_wrong_is_said_before_anything_is_asked(ocspec) -> None:
    slurm_profile(HF="x")
    result = ocspec("doctor", "--profile", "lab")
    assert (result.code, result.out) == (1, "")
    assert "extra fields found (HF)" in result.err


def test_a_cluster_needs_slurms_programs_and_its_extra(ocspec, monkeypatch) -> None:
    """Without them nothing more is looked at."""
    slurm_profile()
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "submitit":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setenv("PATH", "")
    result = ocspec("doctor", "--profile", "lab", "--json")
    findings = {finding["what"]: finding for finding in json.loads(result.out)["findings"]}
    assert result.code == 1
    assert findings["submitit"]["verdict"] == "missing"
    assert findings["slurm"]["found"].startswith("no sbatch, squeue")
    assert "PATH" in findings["slurm"]["fix"]
    assert list(findings)[-1] == "slurm"
    assert list(Path().iterdir()) == [Path("ocspec.toml")]


def test_a_store_that_is_a_file_is_to_be_put_right(ocspec) -> None:
    Path("store").write_text("")
    result = ocspec("doctor", "--store", "store", "--json")
    findings = {finding["what"]: finding for finding in json.loads(result.out)["findings"]}
    assert result.code == 1
    assert findings["store"]["found"].endswith("/store is no directory")
