"""Writing a compiled plan: plan.json, and beside it for people every query, training config and sbatch script.

All is written aside first and renamed when the plan is safe on disk, so a failed compile leaves the last good plan and
what goes with it. What belongs to runs (journal, logs) is kept.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from compiler import plan as plans
from compiler.emit.sbatch import sbatch_script
from compiler.emit.training import training_configs
from compiler.errors import UserError
from compiler.files import write_atomically
from compiler.plan import Plan, Task
from compiler.profile import Profile

GENERATED = ("sql", "training", "sbatch")
LATEST = ".latest"  # no experiment can be called so


def write_plan(
    plan: Plan, out: Path, base: Path, profile: Profile, elsewhere: Mapping[str, Task] | None = None
) -> Path:
    """Write everything below `out`; returns the path of plan.json.

    Tasks that are `elsewhere`, by fingerprint, as they are here are in plan.json and have no files beside it. Raises
    UserError where `out` holds what is somebody else's and would be replaced.
    """
    try:
        _refuse_what_is_not_ours(out)
        out.mkdir(parents=True, exist_ok=True)
        with _aside(out, _generated(plan, profile, elsewhere or {})) as asides:
            file = plans.save(plan, out)
            write_atomically(out / "base", f"{base.resolve()}\n")
            for directory, aside in asides.items():
                _swap(aside, directory)
        return file
    except OSError as error:
        raise UserError(
            f"the plan cannot be written ({error.strerror})", where=str(out), fix="choose another --out"
        ) from None


def _refuse_what_is_not_ours(out: Path) -> None:
    """Directories that would be replaced where no plan ever was."""
    if not (out / plans.PLAN_FILE).exists():
        for kind in GENERATED:
            if (out / kind).exists():
                raise UserError(
                    f"{kind} is there already, of no plan; {', '.join(GENERATED)} of a plan would replace it",
                    where=str(out),
                    fix="choose another --out",
                )


def remember_latest(plan: Path, build: Path) -> None:
    """Note which plan `submit` without arguments takes."""
    try:
        write_atomically(build / LATEST, os.path.relpath(plan, build) + "\n")
    except OSError as error:
        raise UserError(
            f"the last plan cannot be noted ({error.strerror})",
            where=str(build),
            fix=f"name it: `ocspec submit {plan}`",
        ) from None


def latest(build: Path) -> Path:
    """The plan that was compiled last."""
    try:
        return build / (build / LATEST).read_text().strip()
    except OSError:
        raise UserError("nothing is compiled yet", where=str(build), fix="run `ocspec compile SPEC`") from None


def _generated(plan: Plan, profile: Profile, elsewhere: Mapping[str, Task]) -> dict[str, dict[str, str]]:
    """Files tell of how a task is run and of what it follows, too: where neither differs they are the same."""
    files: dict[str, dict[str, str]] = {kind: {} for kind in GENERATED}
    same: set[str] = set()
    for task in plan.tasks:
        if elsewhere.get(task.fingerprint) == task and same.issuperset(task.upstream):
            same.add(task.id)
            continue
        for name, text in task.sql.items():
            files["sql"][f"{task.id}/{name}.sql"] = text + "\n"
        for name, text in training_configs(plan, task).items():
            files["training"][f"{task.id}/{name}"] = text
        files["sbatch"][f"{task.id}.sh"] = sbatch_script(task, profile, plan.experiment)
    return files


@contextmanager
def _aside(out: Path, generated: dict[str, dict[str, str]]) -> Iterator[dict[Path, Path]]:
    """Write directories of generated files aside; yields where, by the directory to replace. Nothing is left over."""
    asides = {out / kind: out / f".{kind}.aside" for kind in generated}
    try:
        for kind, files in generated.items():
            _write_files(asides[out / kind], files)
        yield asides
    finally:
        for aside in asides.values():
            shutil.rmtree(aside, ignore_errors=True)


def _write_files(directory: Path, files: dict[str, str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _swap(aside: Path, directory: Path) -> None:
    old = directory.with_name(f".{directory.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        os.replace(directory, old)
    os.replace(aside, directory)
    shutil.rmtree(old, ignore_errors=True)
