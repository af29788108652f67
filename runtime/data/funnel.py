"""Counting what a step keeps and drops: in = kept + dropped. Writes the dropped rows, decides nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow.dataset as ds

from runtime.data.tables import DROPPED_SCHEMA, TableWriter

FLUSH_ROWS = 4096
NO_LANGUAGE = "(none)"
"""What documents without a known language are counted under."""


class Tally(Protocol):
    """What is told of every document that a step decides about."""

    def drop(
        self,
        doc_id: str,
        rule: str,
        value: float | None = None,
        threshold: float | None = None,
        kept: str | None = None,
        language: str | None = None,
    ) -> None:
        """A document is dropped."""

    def keep(self, language: str | None, size: int) -> None:
        """A document of `size` bytes is kept."""


class Funnel:
    """Documents that go into a step, those dropped with their reason, and the rest by language."""

    def __init__(self, directory: Path, step: str) -> None:
        self._writer = TableWriter(directory, DROPPED_SCHEMA)
        self._step = step
        self._rows: list[dict[str, Any]] = []
        self._dropped: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._in = 0

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.__exit__(kind, error, trace)

    def drop(
        self,
        doc_id: str,
        rule: str,
        value: float | None = None,
        threshold: float | None = None,
        kept: str | None = None,
        language: str | None = None,
    ) -> None:
        """Count and write one dropped document."""
        self._in += 1
        self._seen[language or NO_LANGUAGE] += 1
        self._dropped[rule] += 1
        self._rows.append(
            {
                "doc_id": doc_id,
                "step": self._step,
                "rule": rule,
                "value": value,
                "threshold": threshold,
                "kept": kept,
            }
        )
        if len(self._rows) >= FLUSH_ROWS:
            self._flush()

    def keep(self, language: str | None, size: int) -> None:
        """Count one kept document of `size` bytes."""
        self._in += 1
        self._seen[language or NO_LANGUAGE] += 1
        self._kept[language or NO_LANGUAGE] += 1
        self._bytes[language or NO_LANGUAGE] += size

    @property
    def seen(self) -> dict[str, int]:
        """Documents that went in, by language; those dropped without one, too."""
        return dict(sorted(self._seen.items()))

    def stats(self) -> dict[str, Any]:
        """The counts as numbers that add up over shards."""
        return {
            "in": self._in,
            "kept": self._in - self._dropped.total(),
            "dropped": dict(self._dropped),
            "languages": dict(self._kept),
            "bytes": dict(self._bytes),
        }

    def _flush(self) -> None:
        self._writer.write_rows(self._rows)
        self._rows.clear()


def table_stats(kept: int, dropped: Path) -> dict[str, Any]:
    """The counts of a step whose dropped rows a query wrote."""
    rules = Counter(ds.dataset(dropped).to_table(columns=["rule"]).column("rule").to_pylist())
    return {"in": kept + rules.total(), "kept": kept, "dropped": dict(sorted(rules.items()))}
