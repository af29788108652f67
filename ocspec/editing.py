"""edit: a spec with some places changed, each addressed by its keyed path as diffs print it; `edits` is the inverse.

Not a parser of texts: values are Python's and the language's own. An object that holds several of the places is made
anew once, with all of them, so that its checks see the whole.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from ocspec.base import Origin, Problem, Spec, SpecError, _calling_line, _collected, collect_problems, sibling_keys

ORDER = " (order)"
"""Behind the path of keyed children: all their keys, in another order."""

S = TypeVar("S", bound=Spec)
Parts = tuple[str, ...]
Path = str | Parts


class _Removed:
    def __repr__(self) -> str:
        return "REMOVED"


REMOVED: Any = _Removed()
"""In place of a value: the child or entry is left out."""


class _Leaf:
    """A new value, told from a tree of changes below a place."""

    def __init__(self, value: Any) -> None:
        self.value = value


def edit(spec: S, changes: Mapping[str, Any] | Mapping[Path, Any], *, keep_origins: bool = False) -> S:
    """The spec with other values at some places; what holds them is checked again like a new object.

    A path is a diff's, such as `curriculum.stages.pretrain.schedule.peak`, or so much of its end as no other path ends
    with: `pretrain.schedule.peak`; a tuple of its parts where names hold dots. A child or entry that is not there is
    added behind the others, one whose value is REMOVED left out; `PATH (order)` takes the keys of all children in
    their new order. With `keep_origins` changed objects keep their file and line instead of taking the calling one.

    Raises SpecError with every path that is unknown or ambiguous, or every value that does not hold.

    >>> from ocspec.training import Batches
    >>> edit(Batches(steps=10, global_batch=4, sequence_length=64), {"steps": 20}).steps
    20
    """
    origin = _calling_line()
    tree: dict[str, Any] = {}
    problems: list[Problem] = []
    for path, value in changes.items():
        try:
            _graft(tree, resolve(spec, path, value), value)
        except LookupError as error:
            what, _, fix = str(error.args[0]).partition("; fix: ")
            problems.append(Problem(what, origin=origin, path=_dotted(path), fix=fix))
    edited = spec
    if tree and not problems:
        with collect_problems() as problems:
            edited = _apply(spec, tree, (), spec.origin if keep_origins else None)
    refuse(problems)
    return edited


def refuse(problems: list[Problem]) -> None:
    """Note problems where they are collected; elsewhere raise them, if there are any."""
    collected = _collected.get()
    if collected is not None:
        collected.extend(problems)
    elif problems:
        raise SpecError(problems)


def edits(before: Spec, after: Spec) -> dict[Path, Any]:
    """What `edit` takes to make `after` of `before`: one entry for each place that differs, the narrowest.

    `edit(before, edits(before, after)) == after`, whatever the two are.

    >>> from ocspec.training import Batches
    >>> one = Batches(steps=10, global_batch=4, sequence_length=64)
    >>> edits(one, one.replace(steps=20, global_batch=2))
    {'steps': 20, 'global_batch': 2}
    """
    found = dict(_edits(before, after, ()))
    return {_shortest(before, parts, value): value for parts, value in found.items()}


# ---------------------------------------------------------------- places


def children(value: Any) -> dict[str, Any]:
    """What stands below a value, by the part of a path: fields, keyed children or entries; none below a plain value."""
    if isinstance(value, Spec):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if is_keyed(value):
        return dict(zip(sibling_keys(value), value, strict=True))
    return dict(value) if isinstance(value, Mapping) else {}


def is_keyed(value: Any) -> bool:
    """Whether a value is a sequence of specs, known by their keys; an empty one may be."""
    return isinstance(value, tuple) and all(isinstance(item, Spec) for item in value)


def places(value: Any, parts: Parts = ()) -> Iterator[tuple[Parts, Any]]:
    """Every place below a value, with what stands there; a place before those below it."""
    for name, below in children(value).items():
        yield (*parts, name), below
        yield from places(below, (*parts, name))


def at(spec: Spec, parts: Parts) -> Any:
    """What stands at a place."""
    value: Any = spec
    for part in parts:
        value = children(value)[part]
    return value


def resolve(spec: Spec, path: Path, adding: Any = REMOVED) -> Parts:
    """The parts of the path that is meant; one that is not there only where the value `adding` can be added.

    Raises LookupError with what is wrong and, behind `; fix: `, what was meant.
    """
    if isinstance(path, tuple):
        order = path[-1:] == (ORDER,)
        name: Path = path[:-1] if order else path
    else:
        order = path.endswith(ORDER)
        name = path.removesuffix(ORDER)
    parts = _place(spec, name, REMOVED if order else adding)
    if order and not is_keyed(at(spec, parts)):
        raise LookupError("has no children in an order; fix: change what stands there")
    return (*parts, ORDER) if order else parts


def _place(spec: Spec, name: Path, adding: Any) -> Parts:
    """`resolve` without an order."""
    if isinstance(name, tuple):
        if not name or not _leads(spec, name, adding):
            raise LookupError(f"there is no such place; fix: {_hint(spec, _dotted(name))}")
        return name
    parts = _exact(spec, name) or _added(spec, name, adding)
    if parts is None:
        ending = [place for place, _ in places(spec) if _dotted(place).endswith(f".{name}")]
        if len(ending) > 1:
            raise LookupError(f"{len(ending)} places end so; fix: write one of {_few(ending)}")
        if not ending:
            raise LookupError(f"there is no such place; fix: {_hint(spec, name)}")
        parts = ending[0]
    return parts


def _leads(value: Any, parts: Parts, new: Any) -> bool:
    """Whether there is something at the end of the parts, or the new value can be added there."""
    for part in parts[:-1]:
        below = children(value)
        if part not in below:
            return False
        value = below[part]
    return parts[-1] in children(value) or _can_hold(value, parts[-1], new)


def _can_hold(value: Any, name: str, new: Any) -> bool:
    """Whether something new can stand below a value: an entry of a mapping, or a child under its own key."""
    if isinstance(value, Mapping):
        return new is not REMOVED
    return is_keyed(value) and isinstance(new, Spec) and new.key in (name, name.rpartition("#")[0])


def _exact(value: Any, path: str) -> Parts | None:
    """The parts of a whole path. Names may hold dots: the longest that lead to an end are taken."""
    below = children(value)
    for name in sorted((name for name in below if path == name or path.startswith(f"{name}.")), key=len, reverse=True):
        if path == name:
            return (name,)
        rest = _exact(below[name], path[len(name) + 1 :])
        if rest is not None:
            return (name, *rest)
    return None


def _added(value: Any, path: str, new: Any) -> Parts | None:
    """The parts of a path to something new: an entry of a mapping, or a child under its own key."""
    below = children(value)
    for name in sorted((name for name in below if path.startswith(f"{name}.")), key=len, reverse=True):
        rest = _added(below[name], path[len(name) + 1 :], new)
        if rest is not None:
            return (name, *rest)
    return (path,) if _can_hold(value, path, new) else None


def _hint(spec: Spec, path: str) -> str:
    return hint([place for place, _ in places(spec)], path)


def hint(known: list[Parts], path: str) -> str:
    """What a path, or a pattern of one, was meant to be: spelt alike, or with all its parts and more between them."""
    parts = tuple(path.split("."))
    meant = [place for place in known if _within(parts, place)] or _spelt_alike(parts, known)
    if not meant and parts[:-1]:
        meant = [place for place in known if place[-len(parts) : -1] == parts[:-1]]
    if not meant:
        close = difflib.get_close_matches(parts[-1], {place[-1] for place in known}, n=1)
        meant = [place for place in known if place[-1] in close]
    return f"did you mean {_few(meant)}?" if meant else "write a path as `ocspec diff` shows it"


def _spelt_alike(parts: Parts, known: list[Parts], most: int = 3) -> list[Parts]:
    """The places of whose last parts each equals, or looks like, the one written; the likest first."""
    scores = {}
    for place in known:
        pairs = list(zip(parts, place[-len(parts) :], strict=False))
        alike = [_likeness(one, other) for one, other in pairs]
        if len(pairs) == len(parts) and min(alike) > 0.6:
            scores[place] = -sum(alike)
    return sorted(scores, key=lambda place: scores[place])[:most]


def _likeness(written: str, known: str) -> float:
    """From 0 to 1, which is the same, or what a pattern fits."""
    return 1.0 if fnmatchcase(known, written) else difflib.SequenceMatcher(None, written, known).ratio()


def _within(parts: Parts, place: Parts) -> bool:
    rest = iter(place)
    return len(parts) > 1 and place[-1] == parts[-1] and all(part in rest for part in parts)


def _few(found: list[Parts], most: int = 8) -> str:
    names = [_dotted(place) for place in found]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    shown = [*names[:most], *more]
    return " or ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _dotted(path: Path) -> str:
    return path if isinstance(path, str) else ".".join(path).replace(f".{ORDER}", ORDER)


def _shortest(spec: Spec, parts: Parts, value: Any) -> Path:
    """A path as text, where that leads back to the same place."""
    text = _dotted(parts)
    try:
        return text if resolve(spec, text, value) == parts else parts
    except LookupError:
        return parts


# ---------------------------------------------------------------- changing


def _graft(tree: dict[str, Any], parts: Parts, value: Any) -> None:
    *above, last = parts
    node = tree
    for part in above:
        node = node.setdefault(part, {})
        if isinstance(node, _Leaf):
            raise LookupError("what it is in is changed, too; fix: change either the whole or its parts")
    if last in node:
        raise LookupError("it, or something in it, is changed twice; fix: change it once")
    node[last] = _Leaf(value)


def _apply(value: Any, tree: Any, parts: Parts, origin: Origin | None) -> Any:
    """A value with a tree of changes; `origin` is that of what holds it, or None where the calling line counts."""
    if isinstance(tree, _Leaf):
        return tree.value
    if isinstance(value, Spec):
        kept = origin and _written(value.origin, origin)
        changed = {name: _apply(getattr(value, name), below, (*parts, name), kept) for name, below in tree.items()}
        return _replace(value, changed, parts, kept)
    order = tree.pop(ORDER, None)
    below = children(value)
    for name, change in tree.items():
        below[name] = _apply(below.get(name), change, (*parts, name), origin)
    below = {name: item for name, item in below.items() if item is not REMOVED}
    if order is not None:
        below = _in_order(below, order.value, (*parts, ORDER), origin)
    return tuple(below.values()) if isinstance(value, tuple) else below


def _in_order(below: dict[str, Any], order: Any, parts: Parts, origin: Origin | None) -> dict[str, Any]:
    """Children in another order; one that is not of all of them, each once, is a problem."""
    if isinstance(order, list | tuple) and sorted(map(repr, order)) == sorted(map(repr, below)):
        return {name: below[name] for name in order}
    fix = f"give all of {', '.join(below)}"
    what = "does not name each of its children once"
    refuse([Problem(what, origin=origin or _calling_line(), path=_dotted(parts), fix=fix)])
    return below


def _written(own: Origin | None, holder: Origin) -> Origin:
    """Where an object was written: a default stands in no file, but where its holder does."""
    return holder if own is None or own.file.startswith("<") else own


def _replace(spec: Spec, changed: dict[str, Any], parts: Parts, origin: Origin | None) -> Spec:
    """`replace`, with problems that name the place in the whole."""
    problems = _collected.get()
    assert problems is not None, "edit collects"
    before = len(problems)
    made: Spec = spec.replace(**changed)
    if origin:
        made._origin = origin
    problems[before:] = [_placed(problem, parts, made.origin) for problem in problems[before:]]
    return made


def _placed(problem: Problem, parts: Parts, origin: Origin | None) -> Problem:
    kind, *below = problem.path.split(".")
    fix = problem.fix or f"correct it; `ocspec schema` describes {'.'.join([kind, *below[:1]])}"
    return Problem(problem.what, origin=origin, path=".".join([*parts, *below]) or kind, fix=fix)


# ---------------------------------------------------------------- the inverse


def _edits(before: Any, after: Any, parts: Parts) -> Iterator[tuple[Parts, Any]]:
    if isinstance(before, Spec) and type(before) is type(after):
        for name in type(before).model_fields:
            yield from _edits(getattr(before, name), getattr(after, name), (*parts, name))
    elif (is_keyed(before) and is_keyed(after)) or (isinstance(before, dict) and isinstance(after, dict)):
        yield from _keyed(before, after, parts)
    elif type(before) is not type(after) or before != after:
        yield parts, after


def _keyed(before: Any, after: Any, parts: Parts) -> Iterator[tuple[Parts, Any]]:
    old, new = children(before), children(after)
    for name in old:
        if name in new:
            yield from _edits(old[name], new[name], (*parts, name))
        else:
            yield (*parts, name), REMOVED
    added = [name for name in new if name not in old]
    yield from (((*parts, name), new[name]) for name in added)
    if isinstance(after, tuple) and [*(name for name in old if name in new), *added] != list(new):
        yield (*parts, ORDER), tuple(new)
