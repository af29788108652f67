"""resolve: look at the metadata of every source. Reads no documents."""

from __future__ import annotations

import hashlib
from pathlib import Path

import attrs

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.metadata import SourceStats, describe, locate
from ocspec.model import PretrainedTokenizer
from ocspec.sources import Directory, Instructions, JsonLines, Parquet, Source

FORMATS: dict[type[Source], str] = {Parquet: "parquet", JsonLines: "jsonl", Directory: "directory"}


def resolve(draft: Draft) -> Draft:
    """Fill in `sources`: files, bytes and digest of each source that lies on a file system, and its `problems`."""
    problems: list[UserError] = []
    stats: dict[str, SourceStats] = {}
    sources = [source for dataset in draft.experiment.data for source in dataset.sources]
    for source in (*sources, *draft.experiment.instructions):
        try:
            found = _look_at(source, draft.base)
        except UserError as error:
            problems.append(UserError(error.what, where=draft.where(source), fix=error.fix))
            continue
        if found is not None:
            stats[source.name] = found
    tokenizer = draft.experiment.tokenizer
    digest = ""
    if isinstance(tokenizer, PretrainedTokenizer):
        digest = tokenizer_digest(tokenizer, draft.base)
        if tokenizer.digest and digest != tokenizer.digest:
            what = f"tokenizer {tokenizer.name!r} is {digest}, not {tokenizer.digest}"
            problems.append(draft.error(tokenizer, what, "take the file that was pinned, or correct digest"))
    return attrs.evolve(draft, sources=stats, tokenizer_digest=digest, problems=tuple(problems))


def tokenizer_digest(tokenizer: PretrainedTokenizer, base: Path) -> str:
    """SHA-256 of a tokenizer's file where it can be seen from here; else the one it is said to have, or its name."""
    try:
        return hashlib.sha256(Path(locate(tokenizer.path, base)).read_bytes()).hexdigest()
    except (UserError, OSError):
        return tokenizer.digest or tokenizer.name


def _look_at(source: Source, base: Path) -> SourceStats | None:
    path = getattr(source, "path", None)
    if path is None:
        return None
    form = source.format if isinstance(source, Instructions) else FORMATS[type(source)]
    try:
        return describe(form, locate(path, base), name=source.name)
    except UserError:
        if source.declared is None:
            raise
        return None


def content_digest(draft: Draft, source: Source) -> str:
    """What tells a source's content from another's: the digest of its files where they can be seen from here.

    Unseen, a source is known by its name and declared revision: two of one revision, or of none, are two.
    """
    stats = draft.sources.get(source.name)
    revision = source.declared.revision if source.declared else ""
    return stats.digest if stats else f"declared:{source.name}@{revision}"
