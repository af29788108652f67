"""Profiles: what differs between machines. Where to run, never what: a profile does not enter a plan or a fingerprint.

Found in `ocspec.toml` (table `profiles.NAME`) or in `[tool.ocspec.profiles.NAME]` of the nearest pyproject.toml
upward. The profile `local` needs no entry. What a profile may hold is checked in `profile_check.py`; what becomes of it
in a batch script is `emit/sbatch.py`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.v import format_exception

from compiler.cost.devices import DeviceType
from compiler.errors import UserError, UserErrors
from compiler.plan import TaskClass
from compiler.profile_check import problems

TASK_CLASSES: tuple[TaskClass, ...] = get_args(TaskClass)
KEYS = ("profile", "profiles", "rules")
"""What settings hold: the profile without --profile, all of them, and severities (`compiler.rules.settings`)."""


@attrs.frozen(kw_only=True)
class Container:
    """The image that workers run in. `mounts` are PATH or OUTSIDE:INSIDE, `options` go to its program as they are."""

    kind: Literal["none", "pyxis", "apptainer"] = "none"
    image: str = ""
    mounts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Retry:
    """How often a shard is tried again after each cause; an error of its own never is.

    After running out of memory it gets `memory_growth` times as much, up to `max_memory_mb` (MB; None: no limit here).
    """

    preempted: int = 100
    node_failed: int = 10
    timeout: int = 100
    out_of_memory: int = 3
    lost: int = 3
    memory_growth: float = 2.0
    max_memory_mb: int | None = None


def _option_names(options: Mapping[str, str]) -> dict[str, str]:
    """Options of sbatch by their long names, without dashes before them: `mail_type` is `mail-type`."""
    return {name.removeprefix("--").replace("_", "-"): value for name, value in options.items()}


@attrs.frozen(kw_only=True)
class Settings:
    """What can be said for a profile and again for a task class. None: not said, so the plan or the site decides.

    `python` is a name that is looked up in PATH, or a path; `load_profile` makes it a whole one.
    `minutes`, `cpus` and `memory_mb` are of one job and one node. `gpus_per_node` is how many a node has: training on
    more is spread over several. `device` is their type, for estimates alone. `environment` holds values, `env:NAME` of
    the submitting process or `file:PATH` on the node. `max_parallel_shards` is of one array, `shards_per_job` how many
    run one after another in a job; 0: no limit, and chosen from the plan's estimate.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    minutes: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    gpus_per_node: int | None = None
    device: DeviceType | None = None
    python: str | None = None
    modules: tuple[str, ...] | None = None
    setup: tuple[str, ...] | None = None
    container: Container | None = None
    environment: dict[str, str] = attrs.field(factory=dict)
    scratch: str | None = None
    sbatch: dict[str, str] = attrs.field(factory=dict, converter=_option_names)
    max_parallel_shards: int | None = None
    shards_per_job: int | None = None

    def over(self, general: Settings) -> Settings:
        """These settings, and where they say nothing the general ones; tables are merged key by key."""
        names = [field.name for field in attrs.fields(Settings)]
        return Settings(**{name: _merged(getattr(general, name), getattr(self, name)) for name in names})


def _merged(general: Any, special: Any) -> Any:
    if isinstance(general, dict):
        return {**general, **special}
    return general if special is None else special


@attrs.frozen(kw_only=True)
class Profile(Settings):
    """A machine or a cluster. `classes` overrides settings for task classes (fetch, data, group, train, eval).

    `workers` are processes at a time where `dispatch` is local; 0: as many as the memory and processors allow.
    `supervise`: a small job in the cluster submits again what failed for a cause that is retried.
    `controller_patience_s`: how long a controller that does not answer is waited for, in seconds.
    """

    name: str = "local"
    dispatch: Literal["local", "inline", "slurm"] = "local"
    workers: int = 0
    minutes: int | None = 60
    classes: dict[TaskClass, Settings] = attrs.field(factory=dict)
    retry: Retry = Retry()
    supervise: bool = True
    controller_patience_s: float = 300.0

    def settings(self, task_class: TaskClass) -> Settings:
        """What holds for a task class: its own entry first, then the profile's."""
        return self.classes.get(task_class, Settings()).over(self)


def load_profile(name: str, start: Path) -> Profile:
    """The profile of that name, looked up from `start` upward; a UserError names those that exist.

    A relative path of a Python starts where the settings are.
    Raises UserError (UserErrors for several) where an entry is unknown or cannot be used.
    """
    file, table = _settings(start)
    profiles = _table(table.get("profiles", {}), "profiles", file)
    if name not in profiles:
        if name == "local":
            return Profile()
        known = sorted({*profiles, "local"})
        raise UserError(
            f"no profile {name!r}; there are: {', '.join(known)}",
            where=str(file or start),
            fix=f"{_hint(name, known)}add [profiles.{name}] to ocspec.toml",
        )
    given = _table(profiles[name], f"profiles.{name}", file)
    profile = _located(_structured(name, given, str(file)), file.parent if file else start)
    wrong = [UserError(what, where=f"{file}: profile {name!r}", fix=fix) for what, fix in problems(profile)]
    if wrong:
        raise wrong[0] if len(wrong) == 1 else UserErrors(wrong)
    return profile


def _located(profile: Profile, base: Path) -> Profile:
    """The profile with whole paths; links stay, for a virtual environment's Python is one."""
    classes = {name: attrs.evolve(own, python=_whole(own.python, base)) for name, own in profile.classes.items()}
    return attrs.evolve(profile, python=_whole(profile.python, base), classes=classes)


def _whole(python: str | None, base: Path) -> str | None:
    """A name without a slash is for PATH, and ~ is refused with the rest that is wrong."""
    if not python or "/" not in python or python.startswith("~"):
        return python
    return os.path.normpath(base / python)


def default_profile(start: Path) -> str:
    """The profile used when none is asked for: `profile = "..."` in the settings, else local."""
    return str(_settings(start)[1].get("profile", "local"))


def settings_table(start: Path) -> tuple[Path | None, dict[str, Any]]:
    """The nearest settings file from `start` upward, and its table for ocspec; None and nothing where there is none."""
    return _settings(start)


def _structured(name: str, given: dict[str, Any], file: str) -> Profile:
    classes = given.get("classes")
    unknown = [key for key in classes if key not in TASK_CLASSES] if isinstance(classes, dict) else []
    if unknown:
        raise UserError(
            f"profile {name!r}: no task class is called {', '.join(map(repr, unknown))}",
            where=file,
            fix=f"{_hint(unknown[0], TASK_CLASSES)}the classes are {', '.join(TASK_CLASSES)}",
        )
    if "name" in given:
        fix = f"take it out: [profiles.{name}] names the profile"
        raise UserError(f"profile {name!r}: name is no key of a profile", where=file, fix=fix)
    try:
        return _converter().structure({"name": name, **given}, Profile)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        said = "; ".join(cattrs.transform_error(error, format_exception=_in_words))
        fields = ", ".join(field.name for field in attrs.fields(Profile) if field.name != "name")
        raise UserError(f"profile {name!r}: {said}", where=file, fix=f"its keys are {fields}") from None


def _in_words(error: BaseException, type_: Any) -> str:
    """What cattrs says, with what is expected there, and the nearest key for one that does not exist."""
    if not isinstance(error, ForbiddenExtraKeysError):
        return _expected(error, type_) or format_exception(error, type_)
    known = [field.name for field in attrs.fields(error.cl)]
    hints = "".join(_hint(key, known) for key in sorted(error.extra_fields))
    return f"{format_exception(error, type_)}{': ' + hints.strip() if hints else ''}"


def _expected(error: BaseException, type_: Any) -> str:
    """What should stand in place of a value of a wrong kind; empty where cattrs says it as well."""
    parts: tuple[Any, ...] = get_args(type_)
    kind = next(part for part in parts if part is not NoneType) if NoneType in parts else type_
    if get_origin(kind) is Literal:
        value, choices = error.args[0], get_args(kind)
        hint = _hint(value, choices).strip() if isinstance(value, str) else ""
        return f"{value!r} is none of {', '.join(choices)}{': ' + hint if hint else ''}"
    if attrs.has(kind) or get_origin(kind) is dict:
        return "a table is expected"
    return "a list of texts is expected" if get_origin(kind) is tuple else ""


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _converter() -> cattrs.Converter:
    """Takes values as they are: a text is not split into letters, nor "no" taken for true."""
    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(*kinds: type) -> Any:
        def structure(value: Any, target: Any) -> Any:
            if type(value) not in kinds:
                raise ValueError(value)
            return target(value)

        return structure

    def texts(value: Any, _: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(value)
        return tuple(value)

    def choice(value: Any, kind: Any) -> Any:
        if value not in get_args(kind):
            raise ValueError(value)
        return value

    def is_choice(kind: Any) -> bool:
        return get_origin(kind) is Literal

    converter.register_structure_hook_func(is_choice, choice)
    converter.register_structure_hook(int, exactly(int))
    converter.register_structure_hook(bool, exactly(bool))
    converter.register_structure_hook(float, exactly(float, int))
    converter.register_structure_hook(str, exactly(str, int, float))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], texts)
    return converter


def _settings(start: Path) -> tuple[Path | None, dict[str, Any]]:
    """The nearest settings file upward and its ocspec table; UserErrors for all keys of that which nothing reads."""
    start = start.resolve()
    for directory in (start, *start.parents):
        own, project = directory / "ocspec.toml", directory / "pyproject.toml"
        if own.is_file():
            return own, _known(_toml(own), own)
        if project.is_file():
            tool = _table(_toml(project).get("tool", {}), "tool", project)
            if "ocspec" in tool:
                return project, _known(_table(tool["ocspec"], "tool.ocspec", project), project, r"tool\.ocspec\.")
    return None, {}


def _known(table: dict[str, Any], file: Path, prefix: str = "") -> dict[str, Any]:
    """The table, if something reads every key of it; `prefix` is what stands before them in headings, a pattern."""
    wrong = [
        UserError(f"nothing reads {key!r}", where=place_of(file, _entry(key, prefix)), fix=_belongs(key))
        for key in table
        if key not in KEYS
    ]
    if wrong:
        raise wrong[0] if len(wrong) == 1 else UserErrors(wrong)
    return table


def _entry(key: str, prefix: str) -> str:
    """A pattern of the lines that a key begins in: a heading with it or with a part of it, or a value."""
    name = rf"""["']?{re.escape(key)}["']?\s*"""
    return rf"^\s*(\[\[?\s*{prefix}{name}[].]|{name}[=.])"


def _belongs(key: str) -> str:
    """Where a key has its place, or what was meant by it."""
    if key in {field.name for field in attrs.fields(Profile) if field.name != "name"}:
        return "put it below [profiles.NAME]"
    if re.fullmatch(r"OC\d+", key):
        return "put it below [rules]"
    return f"{_hint(key, KEYS)}there are: {', '.join(KEYS)}"


def place_of(file: Path, entry: str) -> str:
    """file:line of the first line with such an entry, a pattern; the file alone where the line cannot be told."""
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    return next((f"{shown}:{number}" for number, line in lines if re.search(entry, line)), shown)


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
