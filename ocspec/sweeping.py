"""sweep: an experiment with several values at some places, one experiment for each combination.

A function that gives named experiments, and no object of its own: each can be compiled, compared and run like any
other, and what they have in common is built once, because the store knows tasks by what they do and not by whose they
are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any

from ocspec.base import Origin, Problem, Spec, _calling_line, collect_problems
from ocspec.editing import Path, _dotted, edit, refuse, resolve
from ocspec.experiment import Experiment

LONGEST = 80
"""Characters of a name, as `ocspec.sources.Name` has it."""


def sweep(
    experiment: Experiment,
    values: Mapping[str, Sequence[Any]] | Mapping[Path, Sequence[Any]],
    *,
    keep_origins: bool = False,
) -> tuple[Experiment, ...]:
    """The grid: every combination of the values, the last place's changing fastest.

    Places are addressed as by `edit`. An arm is called after the experiment, and the shortest telling end of each
    place with its value: `mini-peak_0.001-seed_1`. Values of a place are distinct.

    Raises SpecError for a place that is not there or is given twice, and for every value that does not hold.

    >>> from ocspec.sweeping import arm_name
    >>> arm_name("mini", {("curriculum", "stages", "pretrain", "schedule", "peak"): 3e-4}, {})
    'mini-peak_0.0003'
    """
    arms = grid(experiment, values)
    with collect_problems() as problems:
        made = tuple(
            edit(experiment, {**changes, ("name",): name}, keep_origins=keep_origins) for name, changes in arms.items()
        )
    if problems:
        refuse(list({str(problem): problem for problem in problems}.values()))
    return made


def grid(experiment: Experiment, values: Mapping[Any, Sequence[Any]]) -> dict[str, dict[Path, Any]]:
    """What each arm changes, by the name of the arm; places are looked up once for all arms.

    Raises SpecError for a place that is given twice, and for the experiment's name.
    """
    paths = [_parts(experiment, path) for path in values]
    refuse(list(_unfit(list(values), paths, _calling_line())))
    labels = short_labels(paths)
    arms: dict[str, dict[Path, Any]] = {}
    for combination in product(*values.values()):
        changes: dict[Path, Any] = dict(zip(paths, combination, strict=True))
        arms[_distinct(arm_name(experiment.name, changes, labels), arms)] = changes
    return arms


def _unfit(given: Sequence[Path], paths: Sequence[Path], origin: Origin | None) -> Iterator[Problem]:
    """What makes no grid: a place in two spellings, one of whose values would be lost; the name, which arms have."""
    first: dict[Path, Path] = {}
    for path, parts in zip(given, paths, strict=True):
        other = first.setdefault(parts, path)
        if parts == ("name",):
            what, fix = "cannot be swept: each arm has a name of its own already", "sweep what differs"
            yield Problem(what, origin=origin, path=_dotted(path), fix=fix)
        elif other != path:
            what, fix = f"is swept twice, as {_dotted(other)} too", "give all its values in one place"
            yield Problem(what, origin=origin, path=_dotted(path), fix=fix)


def _parts(experiment: Experiment, path: Path) -> Path:
    """The place that is meant; where there is none, the path, of which `edit` says what is wrong."""
    try:
        return resolve(experiment, path)
    except LookupError:
        return path


def short_labels(paths: Sequence[Path]) -> dict[Path, str]:
    """Of each path so many of its last parts as tell it from the others.

    >>> list(short_labels([("a", "steps"), ("b", "steps"), ("b", "peak")]).values())
    ['a.steps', 'b.steps', 'peak']
    """
    labels = {}
    for path in paths:
        others = [other for other in paths if other != path]
        telling = (n for n in range(1, len(path)) if all(other[-n:] != path[-n:] for other in others))
        labels[path] = ".".join(path[-next(telling, len(path)) :]) if isinstance(path, tuple) else path
    return labels


def arm_name(base: str, changes: Mapping[Path, Any], labels: Mapping[Path, str]) -> str:
    """A name that files and plans can have: letters, digits, `_`, `.` and `-` only, at most 80 characters."""
    parts = [f"{labels.get(path, path[-1])}_{_text(value)}" for path, value in changes.items()]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join([base, *parts])).rstrip("_")
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256("-".join(parts).encode()).hexdigest()[:8]
    return f"{name[: LONGEST - len(digest) - 1]}-{digest}"


def _text(value: Any) -> str:
    if isinstance(value, Spec):
        fields = [(getattr(value, name), info.default) for name, info in type(value).model_fields.items()]
        return "_".join([type(value).__name__, *(_text(item) for item, default in fields if item != default)])
    if isinstance(value, tuple | list):
        return "_".join(map(_text, value))
    return str(value)


def _distinct(name: str, taken: Mapping[str, Any]) -> str:
    """The name, or with a number where another arm has it."""
    others = (f"{name[: LONGEST - 4]}-{number}" for number in range(2, len(taken) + 2))
    return next(one for one in chain([name], others) if one not in taken)
