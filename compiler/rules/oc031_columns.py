"""OC031: the columns that a spec names are in the files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.metadata import column_names, list_files
from compiler.passes.resolve import TEST_SET, benchmarks_of
from compiler.rules.base import Rule
from compiler.rules.common import documents_sources, located
from compiler.sample import first_rows
from ocspec.sources import Instructions, JsonLines, Parquet, Source
from ocspec.testsets import TestSet

LINES = 100
SHOWN = 8


def find(draft: Draft) -> Iterator[UserError]:
    """Names that the first file of a source does not have: in a Parquet footer, or in the first lines of JSON."""
    sources: list[Source | TestSet] = [source for _, source in documents_sources(draft)]
    for source in (*sources, *draft.experiment.instructions, *benchmarks_of(draft.experiment)):
        wanted = _wanted(source)
        prefix = f"{TEST_SET}/" if isinstance(source, TestSet) else ""
        if not wanted or f"{prefix}{source.name}" not in draft.sources:
            continue
        existing = _existing(source, located(draft, getattr(source, "path", "")))
        missing = {field: name for field, name in wanted.items() if name not in existing}
        if existing and missing:
            close = [near for name in missing.values() for near in difflib.get_close_matches(name, existing, n=1)]
            there_are = f"there are: {', '.join(existing[:SHOWN])}{' ...' * (len(existing) > SHOWN)}"
            yield draft.error(
                source,
                f"the files of {source.name!r} have no column"
                f" {', '.join(f'{name!r} ({field})' for field, name in missing.items())}",
                f"did you mean {' and '.join(map(repr, dict.fromkeys(close)))}? {there_are}" if close else there_are,
            )


def _wanted(source: Source | TestSet) -> dict[str, str]:
    """Names of columns by the field of the spec that gives them."""
    if isinstance(source, Parquet | JsonLines):
        return {f"columns.{field}": name for field, name in source.columns.model_dump().items() if name}
    if isinstance(source, Instructions):
        return {"instruction": source.instruction, "output": source.output}
    if isinstance(source, TestSet):
        fields = ("item", "entry_point", "defined_in", "called_in")
        named = {field: getattr(source, field) for field in fields if getattr(source, field)}
        return {**named, **{f"texts[{number}]": name for number, name in enumerate(source.texts)}}
    return {}


def _existing(source: Source | TestSet, location: str) -> list[str]:
    """Names in the first file; none where that is not known."""
    form = getattr(source, "format", "parquet" if isinstance(source, Parquet) else "jsonl")
    try:
        if form == "parquet":
            return column_names(list_files(form, location, name=source.name)[0])
        rows = islice(first_rows(location, source.name), LINES)
        return list(dict.fromkeys(name for row in rows for name in row))
    except (UserError, OSError, EOFError):
        return []


RULE = Rule(
    "OC031",
    "columns",
    "A column that is misnamed fails in the first worker that reads it.",
    find,
    teach="""\
Tables call the same thing `content`, `text` or `code`, and the name is in the spec. That documents and attributes
have to fit is one of the checks that Dolma makes before its mixer starts (dolma #215). The names of a Parquet file
are in its footer and those of JSON Lines in its first lines, so that they are known when a spec is compiled: a few
kilobytes are read. Only the first file is looked at; a later one that differs is refused by the worker that reads it.
""",
)
