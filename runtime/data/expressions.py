"""Quality rules that are SQL expressions, evaluated by DuckDB over the signals that they name.

`compiler.rule_expressions` has checked them: they are functions of one row, so that a verdict does not depend on
which documents come in the same batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import attrs
import duckdb
import pyarrow as pa

from compiler.errors import UserError
from compiler.quality_rules import SIGNAL_RANGES
from compiler.quality_rules.expression import ExpressionRule
from compiler.rule_expressions import COLUMNS, columns

_TYPES = {"VARCHAR": pa.string(), "BIGINT": pa.int64()}


@attrs.frozen(kw_only=True)
class Subject:
    """A document that rules judge: its language and type, and every column and signal that an expression names."""

    language: str | None
    doc_type: str
    values: Mapping[str, Any]


class Expressions:
    """The rules, in order, with their DuckDB connection; a context manager.

    >>> rule = ExpressionRule(name="few", where="num_lines < 20 AND stars = 0")
    >>> rows = [{"num_lines": 7.0, "stars": 0}, {"num_lines": 7.0, "stars": 1}, {"num_lines": None, "stars": 0}]
    >>> with Expressions((rule,)) as rules:
    ...     rules.failing([Subject(language="c", doc_type="code", values=row) for row in rows])
    ['few', None, None]
    """

    def __init__(self, rules: Sequence[ExpressionRule]) -> None:
        self._rules = [(rule, columns(rule.where)) for rule in rules]

    def __enter__(self) -> Self:
        self._connection = duckdb.connect()
        self._connection.execute("SET threads = 1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def signals(self, language: str | None, doc_type: str) -> set[str]:
        """The signals that the rules for such a document name."""
        named = (names for rule, names in self._rules if rule.applies(language, doc_type))
        return {name for names in named for name in names if name in SIGNAL_RANGES}

    def failing(self, subjects: Sequence[Subject]) -> list[str | None]:
        """For each document the first rule that drops it, or None."""
        found: list[str | None] = [None] * len(subjects)
        for rule, names in self._rules:
            judged = [
                index
                for index, subject in enumerate(subjects)
                if found[index] is None and rule.applies(subject.language, subject.doc_type)
            ]
            for index, fires in zip(judged, self._verdicts(rule, names, [subjects[i] for i in judged]), strict=True):
                if fires:
                    found[index] = rule.name
        return found

    def _verdicts(self, rule: ExpressionRule, names: tuple[str, ...], subjects: Sequence[Subject]) -> list[bool | None]:
        """The value of the expression for each document."""
        if not subjects:
            return []
        arrays = {
            name: pa.array(
                [subject.values[name] for subject in subjects],
                _TYPES[COLUMNS[name]] if name in COLUMNS else pa.float64(),
            )
            for name in names
        }
        table = pa.table({"row": pa.array(range(len(subjects))), **arrays})
        self._connection.register("subjects", table)
        try:
            query = f"SELECT ({rule.where}\n) FROM subjects ORDER BY row"  # noqa: S608 - checked when compiled
            rows = self._connection.execute(query).fetchall()
        except duckdb.Error as error:
            raise UserError(
                f"the rule {rule.name!r} fails on a document: {str(error).splitlines()[0]}",
                fix="write the expression so that it holds for every text, for example with TRY_CAST",
            ) from None
        return [value for (value,) in rows]
