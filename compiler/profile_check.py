"""What the entries of a profile may be: numbers in range, names of variables, references to secrets, one line each,
and options of sbatch that ocspec neither sets itself nor has a key for.

Not their types and names (`profile.py` structures them), and nothing that only the cluster knows (`ocspec doctor`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from compiler.profile import Container, Profile, Settings

Problem = tuple[str, str]
"""What is wrong, and what to write."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPTION = re.compile(r"[a-z][a-z0-9-]*")
SECRET = re.compile(
    r"(TOKEN|SECRETS?|PASSW(OR)?DS?|PASSPHRASE|API_?KEY)(?![A-Z]|_(PATH|FILE|DIR)\b)"  # not TOKENIZERS_PARALLELISM
    r"|(^|_)(KEY|PAT|PASS|(?<!APPLICATION_)CREDENTIALS?)$",  # GOOGLE_APPLICATION_CREDENTIALS is a path
    re.IGNORECASE,
)
BREAKS = re.compile(r"[\n\r\0]")
LEAST = {
    **dict.fromkeys(("minutes", "cpus", "memory_mb", "gpus_per_node", "max_memory_mb", "memory_growth"), 1),
    **dict.fromkeys(("workers", "max_parallel_shards", "shards_per_job", "controller_patience_s"), 0),
    **dict.fromkeys(("preempted", "node_failed", "timeout", "out_of_memory", "lost"), 0),
}
OURS = (
    *(
        "array",
        "chdir",
        "clusters",
        "comment",
        "dependency",
        "error",
        "job-name",
        "kill-on-invalid-dep",
        "no-requeue",
        "open-mode",
    ),
    *("output", "parsable", "requeue", "signal", "test-only", "wait", "wrap"),
)
KEYS = {
    "minutes": ("time",),
    "memory_mb": ("mem", "mem-per-cpu", "mem-per-gpu"),
    "cpus": ("cpus-per-task", "cpus-per-gpu"),
    "gpus_per_node": ("gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task"),
    **{name: (name,) for name in ("partition", "account", "qos", "constraint")},
}
PLANNED = ("nodes", *(f"ntasks{per}" for per in ("", "-per-core", "-per-gpu", "-per-node", "-per-socket")))
REFUSED = {
    **dict.fromkeys(OURS, "take it out: ocspec sets it, and relies on what it sets"),
    **{option: f"write {key} = ... instead" for key, options in KEYS.items() for option in options},
    **dict.fromkeys(PLANNED, "take it out: the plan says how many"),
}
"""Options of sbatch that are not for a profile, and what to do instead. Slurm would go by them, ocspec by its own."""


def problems(profile: Profile) -> list[Problem]:
    """Everything that is wrong in a profile, in the order of its entries."""
    found = [*_one(profile, ""), *_numbers(profile.retry, "retry.")]
    for task_class, settings in profile.classes.items():
        found += _one(settings, f"classes.{task_class}.")
        found += _exported(profile.settings(task_class), f"classes.{task_class}.")
    return list(dict.fromkeys([*found, *_exported(profile, "")]))


def _one(settings: Settings, place: str) -> Iterator[Problem]:
    yield from _numbers(settings, place)
    yield from _texts(settings, place)
    for name, value in settings.environment.items():
        yield from _variable(name, value, f"{place}environment")
    for name, value in settings.sbatch.items():
        yield from _option(name, value, place)
    for key in ("python", "scratch"):
        if (getattr(settings, key) or "").startswith("~"):
            yield f"{place}{key} starts with ~, which nothing expands", "write the whole path"
    if settings.container:
        yield from _container(settings.container, f"{place}container")


def _numbers(entry: Any, place: str) -> Iterator[Problem]:
    for field in attrs.fields(type(entry)):
        value, least = getattr(entry, field.name), LEAST.get(field.name)
        if least is not None and value is not None and not least <= value < float("inf"):
            finite = "" if abs(value) < float("inf") else ", and finite"
            yield f"{place}{field.name} is {value:g}", f"it is {least} or more{finite}"


def _texts(entry: Any, place: str) -> Iterator[Problem]:
    """Line breaks would start a directive or a command of their own, which only `setup` is meant to."""
    for field in attrs.fields(type(entry)):
        if field.name == "setup":
            continue
        value = getattr(entry, field.name)
        texts = [value] if isinstance(value, str) else value if isinstance(value, tuple) else []
        if field.name == "sbatch":
            texts = [*value, *value.values()]
        if any(isinstance(text, str) and BREAKS.search(text) for text in texts):
            yield f"{place}{field.name} has a line break in a value", "write it on one line"


def _option(name: str, value: str, place: str) -> Iterator[Problem]:
    """One option of sbatch. A name cut short counts for sbatch as the whole, and would get round what is refused."""
    short = name not in REFUSED and any(option.startswith(name) for option in (*REFUSED, "gres") if option != name)
    if short or not OPTION.fullmatch(name):
        yield f"{place}sbatch: {name!r} is no option of sbatch", "write its long name, as in mail-type"
    elif name in REFUSED:
        yield f"{place}sbatch.{name} is not for a profile", REFUSED[name]
    elif name == "gres" and "gpu" in re.split("[:/,]", value):
        yield f"{place}sbatch.gres asks for GPUs", "write gpus_per_node = ... instead, and constraint for a kind of GPU"
    elif name == "export" and "=" in value:  # the value itself is not repeated: it may be a secret
        given = ", ".join(part.partition("=")[0] for part in value.split(",") if "=" in part)
        yield f"{place}sbatch.export gives {given} a value", "write it in environment = {...}, a secret as a reference"


def _variable(name: str, value: str, place: str) -> Iterator[Problem]:
    if not VARIABLE.fullmatch(name):
        yield f"{place}: {name!r} cannot be the name of a variable", "use letters, digits and _, no digit first"
        return
    if BREAKS.search(value):
        yield f"{place}.{name} has a line break in its value", "write it on one line, or as file:PATH"
    kind, colon, rest = value.partition(":")
    if colon and kind == "env":
        if not VARIABLE.fullmatch(rest):
            yield f"{place}.{name}: {rest!r} cannot be the name of a variable", f'write "env:{name}"'
    elif colon and kind == "file":
        if not rest.startswith("/"):
            yield f"{place}.{name}: {rest!r} is not a whole path", 'write it as "file:/home/me/.secret"'
    elif SECRET.search(name):
        yield (
            f"{place}.{name} looks like a secret written in plain",
            f'write "env:{name}" to take it from the environment of `ocspec submit`, or "file:/path" to read it there',
        )


def _exported(settings: Settings, place: str) -> Iterator[Problem]:
    """References to the environment travel by sbatch's own export, which the profile may have narrowed."""
    names = [name for name, value in settings.environment.items() if value.startswith("env:")]
    export = settings.sbatch.get("export")
    if export is None or "=" in export or "ALL" in (passed := export.split(",")):
        return
    if missing := [name for name in names if name not in passed]:
        yield (
            f"{place}sbatch.export keeps {', '.join(missing)} from the job",
            f'write export = "{",".join([*(p for p in passed if p not in {"NONE", "NIL"}), *missing])}"',
        )


def _container(container: Container, place: str) -> Iterator[Problem]:
    yield from _texts(container, f"{place}.")
    if container.kind == "none" and container.image:
        yield f"{place} has an image but no kind", 'write kind = "pyxis" or kind = "apptainer"'
    if container.kind != "none" and not container.image:
        yield f"{place} of kind {container.kind!r} has no image", "add image = ..."
    if container.kind == "pyxis" and any("," in mount for mount in container.mounts):
        yield f"{place}.mounts has a comma, which pyxis takes for two mounts", "mount another path"
