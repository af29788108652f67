"""Spec: the base of every object that a researcher writes.

Gives each object four things that pydantic alone does not: a role per field (semantic, execution or doc),
the file:line where it was made, errors that list every problem with a "did you mean", and names that last (`Aka` for a
field, `canonical` for a class, `aka=` for an object). It does no I/O and knows nothing of compiling.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_origin

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

ChangeClass = Literal["data", "train", "eval", "execution", "doc"]


class FieldRole:
    """Marks a field: `Annotated[int, EXECUTION]`. One without a mark is semantic: it enters fingerprints."""

    def __init__(self, name: Literal["execution", "doc"]) -> None:
        self.name: Literal["execution", "doc"] = name


EXECUTION = FieldRole("execution")
DOC = FieldRole("doc")


class Aka:
    """Marks a field that has been renamed, by the names that it had: `Annotated[int, Aka("old", "older")]`.

    A spec that still writes one of them is read, with a SpecWarning that says the new name.
    """

    def __init__(self, *names: str) -> None:
        self.names = names


class SpecWarning(FutureWarning):
    """Something in a spec that works and will not for ever; the command line prints it in one line."""


class Unit:
    """Marks what a number counts: `Annotated[int, Unit("tokens")]`. It documents and changes no meaning."""

    def __init__(self, name: str) -> None:
        self.name = name


Bytes = Annotated[int, Unit("bytes")]
Tokens = Annotated[int, Unit("tokens")]
Steps = Annotated[int, Unit("optimizer steps")]
Sequences = Annotated[int, Unit("sequences")]


class Origin:
    """The file and line at which an object was made."""

    def __init__(self, file: str, line: int) -> None:
        self.file = file
        self.line = line

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Problem:
    """One thing wrong with a spec: where, which field, what, and how to fix it."""

    def __init__(self, what: str, *, origin: Origin | None, path: str, fix: str = "") -> None:
        self.what = what
        self.origin = origin
        self.path = path
        self.fix = fix

    def __str__(self) -> str:
        where = f"{self.origin}: " if self.origin else ""
        fix = f"\n  fix: {self.fix}" if self.fix else ""
        return f"{where}{self.path}: {self.what}{fix}"


class SpecError(ValueError):
    """A spec that does not hold; `problems` lists everything that was found wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


_collected: ContextVar[list[Problem] | None] = ContextVar("collected", default=None)


@contextmanager
def collect_problems() -> Iterator[list[Problem]]:
    """Inside, a bad object is noted instead of raised, so that all problems of a file are found in one go."""
    problems: list[Problem] = []
    token = _collected.set(problems)
    try:
        yield problems
    finally:
        _collected.reset(token)


class Spec(BaseModel):
    """A frozen object of the language. Unknown fields are refused; equal objects compare equal.

    >>> class Knob(Spec):
    ...     turns: int
    >>> Knob(turn=3)
    Traceback (most recent call last):
    ocspec.base.SpecError: ...
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, strict=True, allow_inf_nan=False
    )

    change_class: ClassVar[ChangeClass] = "data"
    abstract: ClassVar[bool] = True
    canonical: ClassVar[str] = ""
    """The name that the class had first, where it has been renamed: plans and fingerprints keep it."""

    _origin: Origin | None = PrivateAttr(default=None)
    _refused: bool = PrivateAttr(default=False)

    def __init__(self, **values: Any) -> None:
        origin = _calling_line()
        values, problems = _by_present_names(type(self), values, origin)
        try:
            super().__init__(**values)
        except ValidationError as error:
            details = _distinct(type(self), _per_field(type(self), error))
            problems += [_problem(type(self), detail, origin) for detail in details]
            _fill_in(self, values)
        except AttributeError:
            # A check of the whole looked at a field that a refused part lacks; that problem is noted already.
            if not _collected.get():
                raise
            _fill_in(self, values)
        if type(self).is_base():
            problems = [_base_problem(type(self), origin)]
        if problems:
            collected = _collected.get()
            if collected is None:
                raise SpecError(problems)
            collected.extend(problems)
            _fill_in(self, values)
        self._origin = origin

    def __eq__(self, other: object) -> bool:
        # Where an object was made is not part of what it says.
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        values = self.__dict__.values()
        return hash((type(self), *(frozenset(v.items()) if isinstance(v, dict) else v for v in values)))

    @classmethod
    def is_base(cls) -> bool:
        """Whether the class only gathers others, such as Step, and is never written itself."""
        return bool(cls.__dict__.get("abstract", False))

    @property
    def origin(self) -> Origin | None:
        """Where the object was made."""
        return self._origin

    @property
    def key(self) -> str:
        """What the object is known by among its siblings: its name, or its kind."""
        name = getattr(self, "name", None)
        return name if isinstance(name, str) else self.kind().lower()

    @classmethod
    def kind(cls) -> str:
        """What the class is called in plans: its name, or the one that it had first (`canonical`)."""
        return str(cls.__dict__.get("canonical") or cls.__name__)

    @property
    def identity_name(self) -> str:
        """The name that enters fingerprints and what is written: `aka` of a renamed object, else its name."""
        return str(getattr(self, "aka", "") or getattr(self, "name", ""))

    def replace(self, **changes: Any) -> Any:
        """A copy with some fields changed, checked again like a new object; former names are taken as there."""
        former = former_names(type(self))
        changed = {former.get(name, name) for name in changes}
        kept = {name: getattr(self, name) for name in type(self).model_fields if name not in changed}
        return type(self)(**kept, **changes)


def former_names(cls: type[Spec]) -> dict[str, str]:
    """The names that fields had, and what they are called now."""
    return {
        old: field
        for field, info in cls.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Aka)
        for old in mark.names
    }


def _by_present_names(
    cls: type[Spec], values: dict[str, Any], origin: Origin | None
) -> tuple[dict[str, Any], list[Problem]]:
    """The values under the names that fields have now. One given under two of its names is a problem."""
    former = former_names(cls)
    present, given = {name: value for name, value in values.items() if name not in former}, dict[str, str]()
    problems = []
    for name in (name for name in values if name in former):
        new, path = former[name], f"{cls.__name__}.{name}"
        other = given.setdefault(new, name)
        if new in values or other != name:
            what = f"is what {new!r} was called" + ("," if new in values else f", and so is {other!r},")
            problems.append(Problem(f"{what} which is given too", origin=origin, path=path, fix=f"write {new} only"))
            continue
        _warn(f"{path} is called {new!r} now; the old name still works", origin)
        present[new] = values[name]
    return present, problems


def _warn(what: str, origin: Origin | None) -> None:
    """Once for each place."""
    place = origin or Origin("<spec>", 0)
    warnings.warn_explicit(what, SpecWarning, place.file, place.line, registry=_warned)


_warned: dict[Any, Any] = {}


def _calling_line() -> Origin | None:
    """The innermost frame that belongs neither to this package nor to pydantic."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.split(".", maxsplit=1)[0] not in {"ocspec", "pydantic"}:
            return Origin(frame.f_code.co_filename, frame.f_lineno)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


def _fill_in(spec: Spec, values: Mapping[str, Any]) -> None:
    """Make a refused object readable, so that the rest of the spec can still be looked at."""
    filled = type(spec).model_construct(**{k: v for k, v in values.items() if k in type(spec).model_fields})
    object.__setattr__(spec, "__dict__", filled.__dict__)
    object.__setattr__(spec, "__pydantic_fields_set__", set(values))
    object.__setattr__(spec, "__pydantic_extra__", None)
    object.__setattr__(spec, "__pydantic_private__", {"_origin": None, "_refused": True})


def concrete_kinds(cls: type[Spec]) -> list[type[Spec]]:
    """The class, if it can be written, and all that derive from it, in the order of their definition."""
    own = [] if cls.is_base() else [cls]
    return own + [kind for sub in cls.__subclasses__() for kind in concrete_kinds(sub)]


def _per_field(cls: type[Spec], error: ValidationError) -> list[dict[str, Any]]:
    """The details of an error. What pydantic repeats for each type of a union is one mistake and not many."""
    details: dict[tuple[Any, ...], dict[str, Any]] = {}
    for detail in error.errors():
        location = detail["loc"]
        if len(location) < 2 or not _is_union(cls, location[0]):
            details[location] = dict(detail)
        elif not detail["type"].endswith(("_type", "_of")):  # of the right type, but out of its range
            details[location[:1]] = {**detail, "loc": location[:1]}
        elif location[:1] not in details:
            details[location[:1]] = {**detail, "loc": location[:1], "msg": f"should be {location[1]}"}
        elif details[location[:1]]["msg"].startswith("should be "):
            details[location[:1]]["msg"] += f" or {location[1]}"
    return list(details.values())


def _distinct(cls: type[Spec], details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what another problem says already.

    A required field that was misspelt is not also missing, and a part that was refused where it was made is not
    refused again as part of the whole.
    """
    meant = {_close(cls, str(d["loc"][-1])) for d in details if d["type"] == "extra_forbidden"}
    return [
        detail
        for detail in details
        if not (detail["type"] == "missing" and detail["loc"][-1] in meant)
        and not (detail["loc"] and isinstance(detail["input"], Spec) and detail["input"]._refused)
    ]


def _close(cls: type[Spec], name: str) -> str | None:
    """The field that a misspelt one stands for."""
    former = former_names(cls)
    close = difflib.get_close_matches(name, [*cls.model_fields, *former], n=1, cutoff=0.5)
    return former.get(close[0], close[0]) if close else None


def _is_union(cls: type[Spec], field: int | str) -> bool:
    info = cls.model_fields.get(str(field))
    return info is not None and get_origin(info.annotation) in {Union, UnionType}


def _base_problem(cls: type[Spec], origin: Origin | None) -> Problem:
    kinds = ", ".join(sorted(kind.__name__ for kind in concrete_kinds(cls)))
    return Problem("is only a base class", origin=origin, path=cls.__name__, fix=f"write one of {kinds}")


def _problem(cls: type[Spec], detail: Mapping[str, Any], origin: Origin | None) -> Problem:
    location = [str(part) for part in detail["loc"]]
    path = ".".join([cls.__name__, *location])
    if detail["type"] == "extra_forbidden":
        close = _close(cls, location[-1])
        fix = f"did you mean {close!r}?" if close else f"its fields are {', '.join(cls.model_fields)}"
        return Problem("no such field", origin=origin, path=path, fix=fix)
    if detail["type"] == "missing":
        return Problem("is missing", origin=origin, path=path, fix=f"give {location[-1]}=...")
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    what, _, fix = message.partition("; fix: ")
    if location:  # else it is the object as a whole, which its line shows
        what = f"{what} (got {_short(detail.get('input'))})"
    return Problem(what, origin=origin, path=path, fix=fix)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def describe(spec: Spec, part: Callable[[Spec], dict[str, Any]] | None = None) -> dict[str, Any]:
    """The spec as plain data for plans and diffs: kind, key, change class, and fields with keyed children.

    A sequence of specs becomes a map by key, so that inserting one element is one change and not many. `part` describes
    the specs in it, where somebody knows them already.
    """
    fields: dict[str, Any] = {}
    roles: dict[str, str] = {}
    for name, info in type(spec).model_fields.items():
        fields[name] = _describe_value(getattr(spec, name), part or describe)
        for mark in info.metadata:
            if isinstance(mark, FieldRole):
                roles[name] = mark.name
    return {"kind": type(spec).kind(), "class": spec.change_class, "roles": roles, "fields": fields}


def _describe_value(value: Any, part: Callable[[Spec], dict[str, Any]]) -> Any:
    if isinstance(value, Spec):
        return part(value)
    if isinstance(value, tuple) and value and all(isinstance(item, Spec) for item in value):
        return {"keyed": dict(zip(sibling_keys(value), map(part, value), strict=True))}
    if isinstance(value, tuple | list):
        return [_describe_value(item, part) for item in value]
    if isinstance(value, Mapping):
        return {"map": {str(k): _describe_value(v, part) for k, v in sorted(value.items())}}
    if isinstance(value, Fraction):
        return str(value)
    return value


def sibling_keys(specs: tuple[Spec, ...]) -> list[str]:
    """Keys of siblings; the second and later of one key get #2, #3."""
    seen: dict[str, int] = {}
    keys = []
    for spec in specs:
        seen[spec.key] = seen.get(spec.key, 0) + 1
        keys.append(spec.key if seen[spec.key] == 1 else f"{spec.key}#{seen[spec.key]}")
    return keys


def distinct_identities(specs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse two named objects that fingerprints could not tell apart, because one has taken the other's old name."""
    names = [spec.identity_name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice and any(spec.aka in twice for spec in specs):
        raise ValueError(f"two were called {', '.join(twice)}; fix: give aka to the one that goes on with the old data")
    return specs
