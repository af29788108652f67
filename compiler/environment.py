"""The variables that a profile gives to workers: texts, `env:NAME` of the submitting process, `file:PATH` read there.

Not how they reach a worker: `emit/sbatch.py` writes a script's lines, `runtime/dispatch/workers.py` starts a process.
Secrets are among them: a message names variables and files, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from compiler.errors import UserError, UserErrors
from compiler.profile import Settings


def passed_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that workers take from the submitting process, `environ`.

    Raises UserError that lists all that are not set.
    """
    wanted = {
        name: value.removeprefix("env:") for name, value in settings.environment.items() if value.startswith("env:")
    }
    if missing := sorted({source for source in wanted.values() if source not in environ}):
        raise UserError(
            f"the profile takes {', '.join(missing)} from the environment, where {_it_is(missing)} not set",
            fix=f'export {" ".join(missing)}, or give a file: "file:/path"',
        )
    return {name: environ[source] for name, source in wanted.items()}


def environment_here(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """All variables of workers on this machine, files read, as a shell's `$(cat FILE)` reads them.

    Raises UserErrors for variables that are not set and for files that cannot be read or are empty.
    """
    found = {name: value for name, value in settings.environment.items() if not value.startswith(("env:", "file:"))}
    problems: list[UserError] = []
    try:
        found |= passed_environment(settings, environ)
    except UserError as error:
        problems.append(error)
    for name, value in settings.environment.items():
        if value.startswith("file:"):
            try:
                found[name] = _read(name, Path(value.removeprefix("file:")))
            except UserError as error:
                problems.append(error)
    if problems:
        raise UserErrors(problems)
    return found


def _read(name: str, file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"{name}: {file} cannot be read: {said}", fix="put it there, readable by you") from None
    if not text or "\0" in text:
        wrong = "is empty" if not text else "holds a zero byte, which no variable can"
        raise UserError(f"{name}: {file} {wrong}", fix="write the value into it")
    return text


def _it_is(names: Sequence[str]) -> str:
    return "it is" if len(names) == 1 else "they are"
