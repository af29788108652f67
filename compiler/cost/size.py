"""How large a data set is before anything has run: text bytes and documents of its sources, from metadata alone.

An estimate, for planning shards and disk: it enters no fingerprint, and no step counts on it. What is not known, such
as the size of packages that were not fetched yet, is None, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import attrs

from compiler.cost.interval import UNKNOWN, Interval
from compiler.draft import Draft
from compiler.plan import SourceSummary
from ocspec.sources import Directory, Instructions, JsonLines, Parquet, Source, WebRecall

DOCUMENT_BYTES = 7_100
"""Mean size of a source file: 507,197 files of 63 projects in 41 languages hold 3,617 MB."""

PARQUET_EXPANSION = 6
"""Bytes of source text for a byte of zstd Parquet: 598 MB of the same files lie in 102 MB."""

DOCUMENT_BOUNDS = Interval(1_000, 25_000)
"""Mean sizes of a language's files: from 1.5 kB (HTML with ERB) over 4.5 (Python) to 22.5 (HTML) after deduplication
in OpenCoder's table 16 (arXiv 2411.04905). Of XML (32), Lua (29) and gettext catalogs (47) they are larger: a source
of nothing else lies outside."""

TEXT_OF_A_BYTE = {
    # Zstd: 5.9 (those files), 5.5 (the miniature's packages), 4.2 (what its refine writes), 6.5 at its level 19; snappy
    # 3.0, uncompressed 1.0 (1,790 files of Python's library with their paths). Wide columns beside it make it less.
    "parquet": Interval(0.9, 8),
    "jsonl": Interval(0.5, 10),  # its keys and escapes are no text; compressed it holds several times as much
    "directory": Interval.exact(1),
}
"""Bytes of text for a byte of a source's files, as far as it was seen: text that repeats itself may be more."""


@attrs.frozen
class Size:
    """Documents, and bytes of their text."""

    documents: int
    bytes: int


def source_summaries(draft: Draft) -> tuple[SourceSummary, ...]:
    """What is known of every source of documents or instructions, each once, by the name that readers know it by.

    That is the one that lasts (`aka`), as in fingerprints: past runs and estimates find it after a renaming.
    """
    datasets = (source for dataset in draft.experiment.data for source in dataset.sources)
    instructions = (source for source in draft.experiment.instructions if isinstance(source, Instructions))
    sources = {source.identity_name: source for source in (*datasets, *instructions)}
    return tuple(_summary(draft, source) for source in sources.values())


def _summary(draft: Draft, source: Source) -> SourceSummary:
    declared, stats = source.declared, draft.sources.get(source.name)
    rows = stats.rows if stats else None
    return SourceSummary(
        name=source.identity_name,
        format=_format(source),
        documents=declared.documents if declared and declared.documents is not None else rows,
        text_bytes=declared.bytes if declared else None,
        tokens=declared.tokens if declared else None,
        stored_bytes=stats.bytes if stats else None,
    )


def _format(source: Source) -> str:
    if isinstance(source, Instructions):
        return source.format
    return {Parquet: "parquet", WebRecall: "parquet", JsonLines: "jsonl", Directory: "directory"}.get(type(source), "")


def dataset_sizes(draft: Draft) -> dict[str, Size | None]:
    """The size of every data set as it is read, by name; a data set on a base has that of its base."""
    sizes: dict[str, Size | None] = {}
    by_name = {dataset.name: dataset for dataset in draft.experiment.data}
    for dataset in draft.experiment.data:
        root = dataset
        while root.base is not None:
            root = by_name[root.base]
        sizes[dataset.name] = total_size(_summary(draft, source) for source in root.sources)
    return sizes


def total_size(sources: Iterable[SourceSummary]) -> Size | None:
    """The sources together; None where one of them is not known."""
    parts = [source_size(source) for source in sources]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Size(sum(part.documents for part in known), sum(part.bytes for part in known))


def source_size(source: SourceSummary) -> Size | None:
    """What a source declares, else what its files tell."""
    documents, text = source.documents, source.text_bytes
    if text is None and source.stored_bytes is not None:
        text = source.stored_bytes * (PARQUET_EXPANSION if source.format == "parquet" else 1)
    if text is None and documents is not None:
        text = documents * DOCUMENT_BYTES
    if text is None:
        return None
    return Size(documents if documents is not None else -(-text // DOCUMENT_BYTES), text)


def source_bounds(source: SourceSummary) -> tuple[Interval, Interval]:
    """Documents and bytes of text, as bounds; what is declared, and rows of Parquet, are taken as they are."""
    documents = UNKNOWN if source.documents is None else Interval.exact(source.documents)
    if source.text_bytes is not None:
        text = Interval.exact(source.text_bytes)
    elif source.stored_bytes is not None:
        text = source.stored_bytes * TEXT_OF_A_BYTE[source.format]
    else:
        text = documents * DOCUMENT_BOUNDS
    return documents if documents.is_known else text / DOCUMENT_BOUNDS, text


def planned_shards(size: Size | None, shard_bytes: int) -> int:
    """Shards of about `shard_bytes` of text each; one where the size is not known.

    >>> planned_shards(Size(10, 2_500), 1_000), planned_shards(None, 1_000)
    (3, 1)
    """
    return 1 if size is None else max(1, math.ceil(Fraction(size.bytes, shard_bytes)))
