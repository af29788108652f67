"""The tables of web recall, and how verdicts are found again: in the order in which pages are read.

`words` are ids of BPE tokens in decimal; `position` is where a page stands in the crawl.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.data.tables import open_parquet, schema_of

TEXT = pa.large_string()
_POSITION: dict[str, pa.DataType] = {"position": pa.int64(), "url": pa.string(), "domain": pa.string()}
SAMPLE_SCHEMA = schema_of({"url": pa.string(), "text": TEXT})
NEGATIVE_SCHEMA = schema_of({"url": pa.string(), "words": TEXT})
SEED_SCHEMA = schema_of(
    {"key": pa.string(), "url": pa.string(), "code": pa.bool_(), "held_out": pa.bool_(), "words": TEXT}
)
QUALITY_SCHEMA = schema_of(
    {
        name: pa.int64()
        for name in ("positives", "negatives", "held_code", "held_other", "true_positives", "false_positives")
    }
)
SCORE_SCHEMA = schema_of({**_POSITION, "score": pa.float64()})
CANDIDATE_SCHEMA = schema_of({**_POSITION, "words": TEXT})
DOMAIN_SCHEMA = schema_of(
    {
        "domain": pa.string(),
        "pages": pa.int64(),
        "recalled": pa.int64(),
        "share": pa.float64(),
        "code_related": pa.bool_(),
    }
)
_COUNTS = ("iteration", "positives", "negatives", "pages", "recalled", "domains", "joined", "held_code", "held_other")
_ROUND: dict[str, pa.DataType] = dict.fromkeys(_COUNTS, pa.int64())
ROUND_SCHEMA = schema_of({**_ROUND, "precision": pa.float64(), "recall": pa.float64()})
VERDICT_SCHEMA = schema_of(
    {"position": pa.int64(), "score": pa.float64(), "kept_as": pa.string(), "rule": pa.string(), "kept": pa.string()}
)


class Verdicts:
    """Verdicts in the order of positions, from files in that order; no more than a row group in memory."""

    def __init__(self, files: list[Path]) -> None:
        self._groups = self._read(files)
        self._known: dict[int, dict[str, Any]] = {}

    @staticmethod
    def _read(files: list[Path]) -> Iterator[tuple[int, pq.ParquetFile, int]]:
        for path in files:
            with open_parquet(path) as parquet:
                for group in range(parquet.num_row_groups):
                    metadata = parquet.metadata.row_group(group)
                    if metadata.num_rows:
                        statistics: Any = metadata.column(0).statistics
                        yield statistics.max, parquet, group

    def of(self, positions: list[int]) -> Iterator[dict[str, Any]]:
        """The verdicts on pages whose positions grow from call to call."""
        for position in positions:
            while position not in self._known:
                last, parquet, group = next(self._groups)
                if last >= position:
                    rows = parquet.read_row_group(group).to_pylist()
                    self._known = {row["position"]: row for row in rows}
            yield self._known[position]
