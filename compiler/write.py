"""Writing a compiled plan: plan.json, and beside it for people every query, training config and sbatch script.

The directory is written aside and renamed, so a failed compile leaves the last good plan. What belongs to runs
(journal, logs) is kept.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from compiler import plan as plans
from compiler.emit.sbatch import sbatch_script
from compiler.emit.training import training_configs
from compiler.errors import UserError
from compiler.files import write_atomically
from compiler.plan import Plan
from compiler.profile import Profile

GENERATED = ("sql", "training", "sbatch")
LATEST = ".latest"  # no experiment can be called so


def write_plan(plan: Plan, out: Path, base: Path, profile: Profile) -> Path:
    """Write everything below `out`; returns the path of plan.json."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for kind, files in _generated(plan, profile).items():
            _replace(out / kind, files)
        write_atomically(out / "base", f"{base.resolve()}\n")
        return plans.save(plan, out)
    except OSError as error:
        raise UserError(
            f"the plan cannot be written ({error.strerror})", where=str(out), fix="choose another --out"
        ) from None


def remember_latest(plan: Path, build: Path) -> None:
    """Note which plan `submit` without arguments takes."""
    write_atomically(build / LATEST, os.path.relpath(plan, build) + "\n")


def latest(build: Path) -> Path:
    """The plan that was compiled last."""
    try:
        return build / (build / LATEST).read_text().strip()
    except OSError:
        raise UserError("nothing is compiled yet", where=str(build), fix="run `ocspec compile SPEC`") from None


def _generated(plan: Plan, profile: Profile) -> dict[str, dict[str, str]]:
    files: dict[str, dict[str, str]] = {kind: {} for kind in GENERATED}
    for task in plan.tasks:
        for name, text in task.sql.items():
            files["sql"][f"{task.id}/{name}.sql"] = text + "\n"
        for name, text in training_configs(task.op).items():
            files["training"][f"{task.id}/{name}"] = text
        files["sbatch"][f"{task.id}.sh"] = sbatch_script(task, profile, plan.experiment)
    return files


def _replace(directory: Path, files: dict[str, str]) -> None:
    """Swap a directory of generated files for a new one."""
    aside = directory.with_name(f".{directory.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, text in files.items():
        path = aside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    old = directory.with_name(f".{directory.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        os.replace(directory, old)
    os.replace(aside, directory)
    shutil.rmtree(old, ignore_errors=True)
