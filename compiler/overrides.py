"""overrides: an experiment with some values set from outside, as `--set PATH=VALUE` does, and what that changed.

The only way from a command line into a spec. Paths are those of `ocspec.editing`; values are texts that the type of the
field gives a meaning. What was set is a delta that the plan keeps, so that no run is without a record of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from compiler.errors import UserError, UserErrors
from compiler.literals import fitting, of_type, split
from compiler.plan import Delta
from compiler.problems import as_error
from ocspec.base import Origin, Spec, collect_problems
from ocspec.editing import REMOVED, Parts, Path, at, children, edit, edits, resolve
from ocspec.experiment import Experiment
from ocspec.schema import plain
from ocspec.sweeping import sweep

T = TypeVar("T")


def override(experiment: Experiment, settings: Sequence[str]) -> Experiment:
    """The experiment with settings such as `pretrain.schedule.peak=3e-4`; its objects stay where the spec made them.

    Raises UserErrors with every place that is unknown, ambiguous or set twice, and every value that does not hold.
    """
    changes, problems = _each(settings, "--set", lambda setting: _setting(experiment, setting), {})
    return _checked(problems, lambda: edit(experiment, changes, keep_origins=True))


def arms(experiment: Experiment, sweeps: Sequence[str], settings: Sequence[str] = ()) -> tuple[Experiment, ...]:
    """One experiment for each combination of sweeps such as `pretrain.schedule.peak=1e-4,3e-4` (see `ocspec.sweep`).

    With settings, of the experiment that has these. Raises as `override` does, also for a place that is set and swept.
    """
    changed = override(experiment, settings)
    places = [_place(experiment, setting, "PATH=VALUE")[0] for setting in settings]
    said = [_said("--set", setting) for setting in settings]
    taken = {_moved(experiment, changed, parts): by for parts, by in zip(places, said, strict=True)}
    values, problems = _each(sweeps, "--sweep", lambda setting: _sweep(changed, setting), taken)
    return _checked(problems, lambda: sweep(changed, values, keep_origins=True))


def sizes(sweeps: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The place of each sweep, as it is written, and how many values it gives; nothing is looked up.

    >>> sizes(["pretrain.seed=1,2,3", "data.code.steps=(),(Redact(), Filter())"])
    (('pretrain.seed', 3), ('data.code.steps', 2))
    """
    parts = [sweep.partition("=") for sweep in sweeps]
    return tuple((path.strip(), len(split(text))) for path, _, text in parts)


def delta(before: Experiment, after: Experiment, named: str | None = None) -> tuple[Delta, ...]:
    """What was set, by place. A setting that says what the spec says is none.

    Neither is the name that a sweep gives an arm: `named` is what it was called before.
    """
    changes = edits(before, after) | ({} if named is None else {"name": named})
    return tuple(_delta(before, *change) for change in changes.items() if change != ("name", before.name))


def _delta(experiment: Experiment, path: Path, value: Any) -> Delta:
    parts = path if isinstance(path, tuple) else resolve(experiment, path, value)
    try:
        before = plain(at(experiment, parts))
    except KeyError:  # it is new
        before = None
    return Delta(path=".".join(parts), before=before, after=None if value is REMOVED else plain(value))


# ---------------------------------------------------------------- texts


def _checked(problems: list[UserError], make: Callable[[], T]) -> T:
    """What is made, if nothing is wrong with it and nothing was before."""
    with collect_problems() as refused:
        made = make()
    problems = [*problems, *map(as_error, refused)]
    if problems:
        raise UserErrors(problems)
    return made


def _each(
    settings: Sequence[str], option: str, read: Callable[[str], tuple[Parts, T]], taken: dict[Parts, str]
) -> tuple[dict[Path, T], list[UserError]]:
    """What each setting says, by its place; and what is wrong with those that say nothing.

    `taken` has the places that something else changes, and by which option; it takes those of these settings, too.
    """
    found: dict[Path, T] = {}
    problems: list[UserError] = []
    for setting in settings:
        try:
            parts, value = read(setting)
            _refuse_taken(parts, taken)
            taken[parts] = _said(option, setting)
            found[parts] = value
        except LookupError as error:
            what, _, fix = str(error.args[0]).partition("; fix: ")
            problems.append(UserError(what, where=f"{option} {setting}", fix=fix))
    return found, problems


def _said(option: str, setting: str) -> str:
    """An option without its value, which may be long."""
    return f"{option} {setting.partition('=')[0].strip()}"


def _moved(before: Experiment, after: Experiment, parts: Parts) -> Parts:
    """A place by the keys that it has after settings: a child that has another name stands where it stood."""
    moved: list[str] = []
    old, new = children(before), children(after)
    for part in parts:
        renamed = part in old and part not in new and len(old) == len(new)
        moved.append(list(new)[list(old).index(part)] if renamed else part)
        old, new = children(old.get(part)), children(new.get(moved[-1]))
    return tuple(moved)


def _refuse_taken(parts: Parts, taken: Mapping[Parts, str]) -> None:
    """A place that is changed already, is in such a place, or has one in it: one of the two would be lost."""
    for other, by in taken.items():
        if parts == other:
            raise LookupError(f"it is set twice, by `{by}` too; fix: change it once")
        if parts[: len(other)] == other:
            raise LookupError(f"it is in what `{by}` changes; fix: change either the whole or its parts")
        if other[: len(parts)] == parts:
            raise LookupError(f"`{by}` changes something in it; fix: change either the whole or its parts")


def _setting(experiment: Experiment, setting: str) -> tuple[Parts, Any]:
    parts, text = _place(experiment, setting, "PATH=VALUE")
    return parts, _read(experiment, parts, text)


def _sweep(experiment: Experiment, setting: str) -> tuple[Parts, list[Any]]:
    parts, text = _place(experiment, setting, "PATH=VALUE,VALUE")
    if parts == ("name",):
        fix = "sweep what differs; `--set name=...` names them all"
        raise LookupError(f"cannot be swept: each arm has a name of its own already; fix: {fix}")
    values = [_read(experiment, parts, value) for value in split(text)]
    twice = [value for number, value in enumerate(values) if value in values[:number]]
    if twice:
        raise LookupError(f"{twice[0]!r} stands there twice; fix: give each value once")
    return parts, values


def _place(experiment: Experiment, setting: str, form: str) -> tuple[Parts, str]:
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise LookupError(f"this is not {form}; fix: write it so, as in `pretrain.schedule.peak=3e-4`")
    return resolve(experiment, path.strip()), text


def _read(experiment: Experiment, parts: Parts, text: str) -> Any:
    """The value that a text means at a place: by the type of the field, or of the mapping's entries."""
    holder = at(experiment, parts[:-1])
    if isinstance(holder, Spec):
        value = fitting(text, holder, parts[-1])
        origin = holder.origin
    else:
        above = at(experiment, parts[:-2])
        origin = above.origin
        entries = get_args(type(above).model_fields[parts[-2]].annotation)
        value = of_type(text, entries[-1] if isinstance(holder, dict) else entries[0])
    for made in _specs(value):
        _originate(made, origin)
    return value


def _specs(value: Any) -> Iterator[Spec]:
    if isinstance(value, Spec):
        yield value
        for name in type(value).model_fields:
            yield from _specs(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _specs(item)


def _originate(spec: Spec, origin: Origin | None) -> None:
    """An object that a setting made stands where the one does that holds it."""
    spec._origin = origin
