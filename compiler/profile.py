"""Profiles: what differs between machines. Where to run, never what: a profile does not enter a plan or a fingerprint.

Found in `ocspec.toml` (table `profiles.NAME`) or in `[tool.ocspec.profiles.NAME]` of the nearest pyproject.toml
upward. The profile `local` needs no entry.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

import attrs
import cattrs

from compiler.errors import UserError


@attrs.frozen(kw_only=True)
class ClassLimits:
    """Limits of one shard of a task class; None takes the plan's figure."""

    partition: str = ""
    minutes: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None


@attrs.frozen(kw_only=True)
class Profile:
    """A machine or a cluster. `classes` overrides limits for task classes (fetch, data, group, train, eval)."""

    name: str = "local"
    dispatch: Literal["local", "inline", "slurm"] = "local"
    workers: int = 0
    memory_mb: int = 2048
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    minutes: int = 60
    max_parallel_shards: int = 0
    python: str = ""
    setup: tuple[str, ...] = ()
    sbatch: dict[str, str] = attrs.field(factory=dict)
    classes: dict[str, ClassLimits] = attrs.field(factory=dict)

    def limits(self, task_class: str) -> ClassLimits:
        """Limits for a task class."""
        return self.classes.get(task_class, ClassLimits())


def load_profile(name: str, start: Path) -> Profile:
    """The profile of that name, looked up from `start` upward; a UserError names those that exist."""
    file, table = _settings(start)
    profiles = _table(table.get("profiles", {}), "profiles", file)
    if name not in profiles:
        if name == "local":
            return Profile()
        close = difflib.get_close_matches(name, [*profiles, "local"], n=1)
        known = ", ".join(sorted({*profiles, "local"}))
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(
            f"no profile {name!r}; there are: {known}",
            where=str(file or start),
            fix=f"{hint}add [profiles.{name}] to ocspec.toml",
        )
    given = _table(profiles[name], f"profiles.{name}", file)
    try:
        return cattrs.Converter(forbid_extra_keys=True).structure({"name": name, **given}, Profile)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        problems = "; ".join(cattrs.transform_error(error)) if isinstance(error, Exception) else str(error)
        fields = ", ".join(field.name for field in attrs.fields(Profile))
        raise UserError(f"profile {name!r}: {problems}", where=str(file), fix=f"its keys are {fields}") from None


def default_profile(start: Path) -> str:
    """The profile used when none is asked for: `profile = "..."` in the settings, else local."""
    return str(_settings(start)[1].get("profile", "local"))


def _settings(start: Path) -> tuple[Path | None, dict[str, Any]]:
    """The nearest settings file upward and its ocspec table."""
    start = start.resolve()
    for directory in (start, *start.parents):
        own, project = directory / "ocspec.toml", directory / "pyproject.toml"
        if own.is_file():
            return own, _toml(own)
        if project.is_file():
            tool = _table(_toml(project).get("tool", {}), "tool", project)
            if "ocspec" in tool:
                return project, _table(tool["ocspec"], "tool.ocspec", project)
    return None, {}


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", where=str(file), fix="correct the file") from None


def _table(value: Any, name: str, file: Path | None) -> dict[str, Any]:
    """A table of the settings; a UserError where something else stands in its place."""
    if not isinstance(value, dict):
        raise UserError(
            f"{name} is {value!r}, not a table", where=str(file), fix=f"write [{name}] and its keys below it"
        )
    return value
