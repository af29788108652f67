"""Random mutations of a whole experiment: another value in one field, which the language and its rules take.

Seeded. For comparing what a plan says would be rebuilt with what is different when it has run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from compiler.compile import compile_experiment
from compiler.errors import UserError
from compiler.plan import Plan
from ocspec.base import Spec, SpecError, sibling_keys
from ocspec.experiment import Experiment
from tests.property.specs import other_values


def places(spec: Spec, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Spec, str]]:
    """Every field that holds no other object: the way to its object, the object, and the field's name."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if isinstance(value, Spec):
            yield from places(value, (*path, name))
        elif isinstance(value, tuple) and value and all(isinstance(item, Spec) for item in value):
            for number, item in enumerate(value):
                yield from places(item, (*path, (name, number)))
        else:
            yield path, spec, name


def replaced(spec: Any, path: tuple[Any, ...], name: str, value: Any) -> Any:
    """The whole with another value in a field of one of its objects."""
    if not path:
        return spec.replace(**{name: value})
    step, rest = path[0], path[1:]
    if isinstance(step, tuple):
        items = getattr(spec, step[0])
        inner = replaced(items[step[1]], rest, name, value)
        return spec.replace(**{step[0]: (*items[: step[1]], inner, *items[step[1] + 1 :])})
    return spec.replace(**{step: replaced(getattr(spec, step), rest, name, value)})


def words(spec: Any, path: tuple[Any, ...], name: str) -> str:
    """Where that is, as a diff would say it."""
    said = []
    for step in path:
        if isinstance(step, tuple):
            items = getattr(spec, step[0])
            said += [step[0], sibling_keys(items)[step[1]]]
            spec = items[step[1]]
        else:
            said.append(step)
            spec = getattr(spec, step)
    return ".".join([*said, name])


def mutations(
    experiment: Experiment,
    base: Path,
    number: int,
    seed: int,
    shards: int | None = None,
    keep: Callable[[Spec, Plan], bool] = lambda owner, plan: True,
) -> list[tuple[str, Experiment, Plan]]:
    """So many different ones that compile, each with its plan. `keep` is asked of the mutated object and the plan."""
    random = Random(seed)
    every = list(places(experiment))
    found: dict[str, tuple[str, Experiment, Plan]] = {}
    while len(found) < number:
        path, owner, name = random.choice(every)
        values = list(other_values(owner, name, random))
        if not values or name in {"path", "backend", "precision", "kernels"}:  # other machines than this one
            continue
        what, value = random.choice(values)
        said = f"{words(experiment, path, name)}: {what}"
        try:
            other = replaced(experiment, path, name, value)
            if said in found or other == experiment:
                continue
            plan = compile_experiment(other, base, shards)
            if keep(owner, plan):
                found[said] = said, other, plan
        except (SpecError, UserError):
            continue  # a rule refuses it, so it is never planned
    return list(found.values())
