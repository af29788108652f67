"""Values as they are written on a command line: Python literals, words, and objects of the language.

Nothing is evaluated: a text is parsed, and only literals, negative numbers, fractions such as `1/3`, and calls of the
language's own kinds with keywords are taken. `fitting` chooses, by the type of the field, what a text means.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from ocspec.base import Spec, SpecError, former_names
from ocspec.experiment import Experiment
from ocspec.schema import parts

TOKENS = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[\[({]|[\])}]|,"""
STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


def fitting(text: str, holder: Spec, field: str) -> Any:
    """The value that a text means for a field: of all readings the first of the field's type; else the plainest.

    What does not fit is returned all the same, for the object to refuse it in its own words. Raises LookupError for an
    object that does not hold, with what is wrong in it and, behind `; fix: `, what to write.

    >>> from ocspec.training import WSD
    >>> wsd = WSD(peak=1e-3, warmup_steps=2)
    >>> fitting("3e-4", wsd, "peak"), fitting("2e3", wsd, "warmup_steps"), fitting("fast", wsd, "peak")
    (0.0003, 2000, 'fast')
    """
    return of_type(text, _annotation(type(holder), field))


def _annotation(cls: type[Spec], field: str) -> Any:
    info = cls.model_fields[field]
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def of_type(text: str, annotation: Any) -> Any:
    """The first reading of a text that a type takes; the plainest where it takes none. Raises as `fitting` does."""
    adapter = _adapter(annotation)
    refused: LookupError | None = None
    try:
        found = list(readings(text))
    except LookupError as error:
        found, refused = [text], error  # a remark may look like an object
    for value in found:
        try:
            return adapter.validate_python(value)
        except ValidationError:
            continue
    if refused:
        raise refused
    return found[0]


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=STRICT)
    except PydanticUserError:  # a kind of the language, which has settings of its own
        return TypeAdapter(annotation)


def readings(text: str) -> Iterator[Any]:
    """What a text can mean, the plainest first. Raises LookupError for an object that does not hold.

    >>> list(readings("1e3")), list(readings("[1, 2]")), list(readings("bf16"))
    ([1000.0, 1000, '1e3'], [[1, 2], (1, 2), '[1, 2]'], ['bf16'])
    """
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
        yield text
        return
    yield value
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if isinstance(value, list | set):
        yield tuple(value)
    if not isinstance(value, str):
        yield text


def _value(node: ast.expr) -> Any:
    """The value of an expression; ValueError where it is not one of those that are taken."""
    if isinstance(node, ast.Call):
        return _made(node)
    if isinstance(node, ast.Tuple | ast.List):
        made = [_value(item) for item in node.elts]
        return tuple(made) if isinstance(node, ast.Tuple) else made
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return Fraction(ast.literal_eval(node.left)) / Fraction(ast.literal_eval(node.right))
    return ast.literal_eval(node)


def _made(node: ast.Call) -> Spec:
    """An object of the language, such as `WSD(peak=3e-4, warmup_steps=2000)`."""
    kinds = {cls.__name__: cls for cls in parts(Experiment)}
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in kinds or node.args or not all(keyword.arg for keyword in node.keywords):
        raise ValueError(ast.unparse(node))
    values = {str(keyword.arg): _field(kinds[name], keyword) for keyword in node.keywords}
    try:
        return kinds[name](**values)
    except SpecError as error:
        what = "; ".join(f"{problem.path}: {problem.what}" for problem in error.problems)
        fix = "; ".join(problem.fix for problem in error.problems if problem.fix)
        raise LookupError(f"{what}; fix: {fix}" if fix else what) from None


def _field(cls: type[Spec], keyword: ast.keyword) -> Any:
    """The value of a keyword, as the field's type wants it; of one that is no field the plainest."""
    name = former_names(cls).get(str(keyword.arg), str(keyword.arg))
    if name not in cls.model_fields:
        return _value(keyword.value)
    return of_type(ast.unparse(keyword.value), _annotation(cls, name))


def split(text: str) -> list[str]:
    """A list of values at its commas, but for those in brackets or quotes.

    >>> split("1e-4,3e-4"), split('("a", "b"),("c",)'), split("'a,b',c")
    (['1e-4', '3e-4'], ['("a", "b")', '("c",)'], ["'a,b'", 'c'])
    """
    found, depth, begin = [], 0, 0
    for match in re.finditer(TOKENS, text):
        if match[0] in "[({":
            depth += 1
        elif match[0] in "])}":
            depth -= 1
        elif match[0] == "," and depth == 0:
            found.append(text[begin : match.start()])
            begin = match.end()
    return [part.strip() for part in [*found, text[begin:]]]
