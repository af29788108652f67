"""resolve: look at the metadata of every source. Reads no documents."""

from __future__ import annotations

import hashlib
from pathlib import Path

import attrs

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.metadata import SourceStats, describe, locate
from ocspec.experiment import Experiment
from ocspec.model import PretrainedTokenizer
from ocspec.refinement import Decontaminate
from ocspec.sources import Directory, Instructions, JsonLines, Parquet, Source, WebRecall
from ocspec.testsets import TestSet

SEED = "seed"
TEST_SET = "test-set"
FORMATS: dict[type[Source], str] = {Parquet: "parquet", JsonLines: "jsonl", Directory: "directory"}


def resolve(draft: Draft) -> Draft:
    """Fill in `sources`: files, bytes and digest of each source that lies on a file system, and its `problems`."""
    problems: list[UserError] = []
    stats: dict[str, SourceStats] = {}
    sources: list[Source | TestSet] = [source for dataset in draft.experiment.data for source in dataset.sources]
    for source in (*sources, *draft.experiment.instructions, *benchmarks_of(draft.experiment)):
        try:
            stats |= _look_at(source, draft.base)
        except UserError as error:
            problems.append(UserError(error.what, where=draft.where(source), fix=error.fix))
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


def benchmarks_of(experiment: Experiment) -> list[TestSet]:
    """The test sets of all steps that decontaminate, each once."""
    steps = [step for dataset in experiment.data for step in dataset.steps]
    wanted = (step for step in (*steps, experiment.decontaminate_instructions) if isinstance(step, Decontaminate))
    return list(dict.fromkeys(benchmark for step in wanted for benchmark in step.benchmarks))


def _look_at(source: Source | TestSet, base: Path) -> dict[str, SourceStats]:
    """What can be seen of a source: a crawl's seed pages stand beside it as NAME/seed, test sets as test-set/NAME."""
    parts: dict[str, tuple[str, str]]
    if isinstance(source, TestSet):
        parts = {f"{TEST_SET}/{source.name}": (source.format, source.path)}
    elif isinstance(source, WebRecall):
        parts = {source.name: ("parquet", source.pages), f"{source.name}/{SEED}": ("parquet", source.seed)}
    elif path := getattr(source, "path", None):
        form = source.format if isinstance(source, Instructions) else FORMATS[type(source)]
        parts = {source.name: (form, path)}
    else:
        return {}
    found = {}
    for name, (form, path) in parts.items():
        try:
            found[name] = describe(form, locate(path, base), name=name)
        except UserError:
            if source.declared is None:
                raise
    return found


def content_digest(draft: Draft, source: Source | TestSet, part: str = "") -> str:
    """What tells a source's content from another's: the digest of its files where they can be seen from here.

    Unseen, a source is known by its name and declared revision: two of one revision, or of none, are two.
    `part` is that of a source which has several, such as `SEED`.
    """
    name = f"{source.name}/{part}" if part else source.name
    if isinstance(source, TestSet):
        name = f"{TEST_SET}/{name}"
    stats = draft.sources.get(name)
    revision = source.declared.revision if source.declared else ""
    return stats.digest if stats else f"declared:{name}@{revision}"
