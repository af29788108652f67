"""A quality rule as a SQL expression, as plain data: `compiler.rule_expressions` checks it."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ExpressionRule:
    """Drop a document for which `where`, a SQL expression over signals and columns, is true; NULL never drops.

    >>> ExpressionRule(name="dense", where="num_lines < 20", languages=("python",)).applies("python", "code")
    True
    """

    name: str
    where: str
    languages: tuple[str, ...] = ()
    doc_types: tuple[str, ...] = ("code",)

    def applies(self, language: str | None, doc_type: str) -> bool:
        """Whether documents of this language and type are judged by this rule."""
        return doc_type in self.doc_types and (not self.languages or language in self.languages)
