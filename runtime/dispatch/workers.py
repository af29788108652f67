"""How workers of each task class are started on this machine: with which Python, and with which variables.

What a profile says is settled here, before anything runs: a Python that is not there, lacks what a task needs or runs
other code of ocspec, and settings that only Slurm can follow, are refused. It starts no worker (`local` does), and
says nothing of nodes, which `ocspec doctor` looks at.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from compiler.environment import environment_here
from compiler.errors import UserError, UserErrors
from compiler.plan import Task, TaskClass
from compiler.profile import Container, Profile, Settings
from runtime.code_version import code_version
from runtime.operators import PACKAGES, RUNTIMES

LOOK_SECONDS = 300.0
"""A Python that has not answered by then is given up; loading torch for the first time may take half a minute."""
RECIPE = "docs/how-to/nemo.md"
PACKAGE = Path(__file__).resolve().parents[1]


@attrs.frozen(kw_only=True)
class Worker:
    """How a worker is started: its Python, and variables beside those of the process that starts it."""

    python: str = sys.executable
    environment: dict[str, str] = attrs.field(factory=dict, repr=False)  # may hold secrets


def workers_here(tasks: Sequence[Task], profile: Profile, environ: Mapping[str, str]) -> dict[TaskClass, Worker]:
    """The worker of each class that these tasks are of, as a profile that runs on this machine says.

    Raises UserErrors for everything that would keep one of them from running.
    """
    needed: dict[TaskClass, list[Task]] = {}
    for task in tasks:
        needed.setdefault(task.resources.task_class, []).append(task)
    workers: dict[TaskClass, Worker] = {}
    problems: list[UserError] = []
    for task_class, its in needed.items():
        try:
            workers[task_class] = worker_of(task_class, profile, environ)
        except UserErrors as several:
            problems += several.problems
        else:
            problems += _lacks(workers[task_class], its, f"class {task_class!r} of profile {profile.name!r}")
    if problems:
        raise UserErrors(problems)
    return workers


def worker_of(task_class: TaskClass, profile: Profile, environ: Mapping[str, str]) -> Worker:
    """What a profile says of a task class; UserErrors for what cannot be followed, without a look at its Python."""
    settings, where = profile.settings(task_class), f"class {task_class!r} of profile {profile.name!r}"
    problems = list(_not_here(settings, where))
    python, variables = sys.executable, dict[str, str]()
    try:
        python = _python(settings, where)
        variables = environment_here(settings, environ)
    except UserErrors as several:
        problems += [UserError(one.what, where=where, fix=one.fix) for one in several.problems]
    except UserError as error:
        problems.append(error)
    if profile.dispatch == "inline":
        problems += _not_inline(python, variables, where)
    if problems:
        raise UserErrors(problems)
    return Worker(python=python, environment=variables)


def _not_here(settings: Settings, where: str) -> Iterator[UserError]:
    """What a batch script does before a worker starts, and nothing on this machine does."""
    container = settings.container or Container()
    said = {"container": container.kind != "none", "modules": settings.modules, "setup": settings.setup}
    if names := [name for name, value in said.items() if value]:
        yield UserError(
            f"{' and '.join(names)} can be followed on Slurm only, and this profile runs on this machine",
            where=where,
            fix="use a profile without, and prepare the shell that calls ocspec; python names a virtual environment",
        )


def _not_inline(python: str, variables: Mapping[str, str], where: str) -> Iterator[UserError]:
    """What only a process of its own can have."""
    fix = "leave out --inline, or use a profile that asks for neither python nor environment"
    if python != sys.executable:
        yield UserError(
            f"inline tasks run in this process, whose Python is {sys.executable} and not {python}",
            where=where,
            fix=fix,
        )
    if variables:
        yield UserError(
            f"inline tasks run in this process, which is not given {', '.join(variables)}", where=where, fix=fix
        )


def _python(settings: Settings, where: str) -> str:
    """The interpreter that the settings name, or this one."""
    if not settings.python:
        return sys.executable
    found = shutil.which(settings.python)
    if found is None:
        exists = "cannot be run" if Path(settings.python).exists() else "is not there"
        raise UserError(f"its python, {settings.python}, {exists}", where=where, fix=_make(settings.python))
    return found


def _make(python: str) -> str:
    if ".venv-training/" in python:
        return f"make install-training ({RECIPE})"
    return "correct python in the profile, or make that environment"


def _lacks(worker: Worker, tasks: Iterable[Task], where: str) -> Iterator[UserError]:
    """What the worker's Python has not got of all that these tasks load."""
    operators = {task.op.op_id for task in tasks} & set(RUNTIMES)  # others are refused by name
    packages = sorted({package for operator in operators for package in PACKAGES.get(operator, ())})
    if worker.python == sys.executable:
        failed = {name: "" for name in packages if not _is_here(name)}
    else:
        modules = sorted({RUNTIMES[operator].partition(":")[0] for operator in operators})
        try:
            found = look(worker, ["runtime.worker", *modules, *packages])
        except UserError as error:
            yield UserError(error.what, where=where, fix=error.fix)
            return
        if found["package"] != str(PACKAGE):  # the same files are the same code, even while somebody commits
            yield from _other_code(worker, found["code"], where)
        failed = {name: error for name, error in found["imports"].items() if error}
    if failed:
        yield UserError(
            f"{worker.python} lacks {_said(failed)}; needed by {', '.join(sorted(operators))}",
            where=where,
            fix=f"install it there, or name a python that has it; for NeMo and Megatron: {RECIPE}",
        )


def _is_here(package: str) -> bool:
    """Whether this Python has a package, which is not loaded for it."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


def _said(failed: Mapping[str, str]) -> str:
    """Each missing package once, by the name under which it was looked for; other errors as they are."""
    missing = {re.sub(r".*No module named '([^']+)'.*", r"\1", error) or name for name, error in failed.items()}
    return ", ".join(sorted(missing))


def look(worker: Worker, modules: Sequence[str], *, training: bool = False) -> dict[str, Any]:
    """What `runtime.probe` finds with the worker's Python and variables; `training`: also what it has to train with.

    Raises UserError where that Python cannot be started or has no ocspec.
    """
    with tempfile.TemporaryDirectory(prefix="ocspec-") as directory:
        wanted = {"imports": modules, "places": {}, "gpus": 0, "token": "", "training": training}
        request = Path(directory) / "look.json"
        request.write_text(json.dumps(wanted), encoding="utf-8")
        command = [worker.python, "-W", "ignore", "-m", "runtime.probe", str(request)]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **worker.environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LOOK_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = error.strerror if isinstance(error, OSError) else f"no answer after {LOOK_SECONDS:.0f} s"
            raise UserError(f"{worker.python} cannot be used: {said}", fix=_make(worker.python)) from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            fix = "install ocspec there, as `make install-training` does, or name a python that has it"
            raise UserError(f"{worker.python} cannot run ocspec's workers: {said[:300]}", fix=fix)
        answer: dict[str, Any] = json.loads(request.with_suffix(".answer").read_text(encoding="utf-8"))
        return answer


def _other_code(worker: Worker, there: Mapping[str, str], where: str) -> Iterator[UserError]:
    """Results of other code would be kept under the names of this one's."""
    here = code_version()
    for name in ("ocspec", "commit"):
        if here[name] and there[name] and here[name] != there[name]:
            what = "version" if name == "ocspec" else "commit"
            yield UserError(
                f"{worker.python} runs another ocspec: its {what} is {there[name]}, here it is {here[name]}",
                where=where,
                fix="install the same one there",
            )
