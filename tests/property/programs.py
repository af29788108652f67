"""A spec as a program, and the ways in which the same program can be written.

`Program.of(experiment)` is one assignment for each object. `render` writes it down; what may be varied is how.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import attrs

from ocspec.base import Spec
from tests.property.values import word

Spelling = Callable[[Any], str]


@attrs.frozen
class Definition:
    """One object: the name of the local, its class, its fields, and the locals that they need."""

    name: str
    kind: str
    fields: dict[str, Any]
    needs: tuple[str, ...]


@attrs.frozen
class Local:
    """In the place of an object: the name of the local that holds it."""

    name: str


@attrs.frozen
class Program:
    """Definitions, each after what it needs; the last is the experiment. `target` is the local of interest."""

    definitions: tuple[Definition, ...]
    target: str

    @classmethod
    def of(cls, experiment: Spec, target: Spec, *, everything: bool = False) -> Program:
        """The program that makes an experiment; with `everything`, defaults are written out."""
        made: list[tuple[Spec, Definition]] = []

        def define(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(define(item) for item in value)
            if not isinstance(value, Spec):
                return value
            for known, definition in made:
                if known is value or known == value:
                    return Local(definition.name)
            fields = {
                name: define(getattr(value, name))
                for name, info in type(value).model_fields.items()
                if everything or getattr(value, name) != info.default
            }
            definition = Definition(f"v{len(made)}", type(value).__name__, fields, _needs(fields))
            made.append((value, definition))
            return Local(definition.name)

        define(experiment)
        names = [definition.name for value, definition in made if value == target]
        return cls(tuple(definition for _, definition in made), names[0])

    def shuffled(self, random: Random) -> Program:
        """The definitions in another order, each still after what it needs."""
        left, done = list(self.definitions), list[Definition]()
        while left:
            known = {definition.name for definition in done}
            ready = [definition for definition in left if known.issuperset(definition.needs)]
            done.append(random.choice(ready))
            left.remove(done[-1])
        return attrs.evolve(self, definitions=tuple(done))

    def renamed(self, random: Random) -> Program:
        """Other names for the locals."""
        names = {d.name: f"{word(random)}_{number}" for number, d in enumerate(self.definitions)}
        return Program(
            tuple(
                Definition(names[d.name], d.kind, _rename(d.fields, names), tuple(names[n] for n in d.needs))
                for d in self.definitions
            ),
            names[self.target],
        )

    def with_arguments_shuffled(self, random: Random) -> Program:
        """Keywords in another order."""
        return attrs.evolve(
            self,
            definitions=tuple(
                attrs.evolve(d, fields=dict(random.sample(list(d.fields.items()), len(d.fields))))
                for d in self.definitions
            ),
        )


def _needs(value: Any) -> tuple[str, ...]:
    if isinstance(value, Local):
        return (value.name,)
    if isinstance(value, dict | tuple):
        items = value.values() if isinstance(value, dict) else value
        return tuple(dict.fromkeys(name for item in items for name in _needs(item)))
    return ()


def _rename(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, Local):
        return Local(names[value.name])
    if isinstance(value, tuple):
        return tuple(_rename(item, names) for item in value)
    if isinstance(value, dict):
        return {key: _rename(item, names) for key, item in value.items()}
    return value


# ---------------------------------------------------------------- text


def spelled(value: Any, plain: Spelling = repr) -> str:
    """A value as Python text."""
    if isinstance(value, Local):
        return value.name
    if isinstance(value, tuple):
        return f"({''.join(spelled(item, plain) + ', ' for item in value)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {spelled(item, plain)}" for key, item in value.items()) + "}"
    if isinstance(value, Fraction):
        return f"Fraction({value.numerator}, {value.denominator})"
    return plain(value)


def call(definition: Definition, plain: Spelling = repr, join: str = ", ") -> str:
    """The call that makes an object."""
    fields = join.join(f"{name}={spelled(value, plain)}" for name, value in definition.fields.items())
    return f"{definition.kind}({fields})"


HEAD = "from fractions import Fraction\nfrom ocspec import *\nfrom ocspec.base import *\n"


def render(program: Program, plain: Spelling = repr, line: Callable[[Definition], str] | None = None) -> str:
    """The program as text; `line` writes a definition in a way of its own."""
    write = line or (lambda d: f"{d.name} = {call(d, plain)}")
    lines = [write(definition) for definition in program.definitions]
    return HEAD + "\n".join(lines) + f"\nexperiment = {_last(program)}\n"


def _last(program: Program) -> str:
    return next(d.name for d in program.definitions if d.kind == "Experiment")


def ways_to_write(program: Program, full: Program, random: Random) -> dict[str, str]:
    """The same program, written in other ways. `full` has every default written out."""
    at = program.target

    def only(other: Callable[[Definition], str]) -> Callable[[Definition], str]:
        return lambda d: other(d) if d.name == at else f"{d.name} = {call(d)}"

    text = render(program)
    calls = {
        "keywords by a mapping": lambda d: f"{d.name} = {d.kind}(**dict({call(d)[len(d.kind) + 1 : -1]}))",
        "made by a helper": lambda d: f"def helper():\n    'Makes it.'\n    return {call(d)}\n{d.name} = helper()",
        "made by a helper with arguments": lambda d: (
            f"def helper(**given):\n    return {d.kind}(**given)\n{d.name} = helper({call(d)[len(d.kind) + 1 : -1]})"
        ),
        "made in a loop": lambda d: f"for _ in range(3):\n    {d.name} = {call(d)}",
        "made in a comprehension": lambda d: f"{d.name} = [{call(d)} for _ in '12'][1]",
        "made by a lambda": lambda d: f"{d.name} = (lambda: {call(d)})()",
        "behind a condition": lambda d: f"if 1 < 2:\n    {d.name} = {call(d)}\nelse:\n    {d.name} = None",
        "in a class's body": lambda d: f"class Namespace:\n    made = {call(d)}\n{d.name} = Namespace.made",
        "over several lines": lambda d: f"{d.name} = " + call(d, join=",\n    "),
        "with a type annotation": lambda d: f"{d.name}: {d.kind} = {call(d)}",
        "under another name of its class": lambda d: f"Other = {d.kind}\n{d.name} = Other{call(d)[len(d.kind) :]}",
        "with a comment behind": lambda d: f"{d.name} = {call(d)}  # {word(random)}",
        "copied": lambda d: f"import copy\n{d.name} = copy.deepcopy({call(d)})",
        "pickled": lambda d: f"import pickle\n{d.name} = pickle.loads(pickle.dumps({call(d)}))",
        "replaced by itself": lambda d: f"{d.name} = {call(d)}.replace()",
        "copied by pydantic": lambda d: f"{d.name} = {call(d)}.model_copy()",
    }
    return {
        **{what: render(program, line=only(line)) for what, line in calls.items()},
        "comments everywhere": text.replace("\n", f"\n# {word(random)}: x = 3\n"),
        "blank lines": text.replace("\n", "\n\n\n"),
        "white space in calls": text.replace(", ", " ,   ").replace("(", "( "),
        "a docstring": f'"""{word(random)}"""\n{text}',
        "another docstring and a blank end": f"'''{word(random)}'''\n{text}\n\n",
        "in a function": HEAD + "def build():\n" + textwrap.indent(text[len(HEAD) :], "    ")
        + "    return experiment\nexperiment = build()\n",
        "unused names": text.replace(HEAD, f"{HEAD}{word(random)} = Admit(max_bytes=77)\n"),
        **{f"definitions in another order, {k}": render(program.shuffled(random)) for k in range(2)},
        **{f"locals renamed, {k}": render(program.renamed(random)) for k in range(2)},
        **{f"keywords in another order, {k}": render(program.with_arguments_shuffled(random)) for k in range(2)},
        "numbers and texts spelt otherwise": render(program, plain=respelled),
        "every default written out": render(full),
    }  # fmt: skip


def respelled(value: Any) -> str:
    """A number or text in other characters."""
    if isinstance(value, bool) or value is None:
        return f"({value!r})"
    if isinstance(value, int):
        return f"{value:_}" if value > 999 else f"0x{value:x}" if value >= 0 else repr(value)
    if isinstance(value, float):
        text = f"{value:.17e}"
        return f"({text})" if float(text) == value else f"float({value!r})"
    if isinstance(value, str) and value:
        return f"'\\x{ord(value[0]):02x}' {value[1:]!r}"
    return repr(value)
