"""resolve: look at the metadata of every source. Reads no documents."""

from __future__ import annotations

import hashlib
from functools import partial
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
    for source in sources_of(draft.experiment):
        try:
            stats |= draft.memo.get("look", (source, draft.pins), partial(_look_at, source, draft), draft.base)
        except UserError as error:
            problems.append(UserError(error.what, where=draft.where(source), fix=error.fix))
    tokenizer = draft.experiment.tokenizer
    digest = ""
    if isinstance(tokenizer, PretrainedTokenizer):
        digest = tokenizer_digest(tokenizer, draft.base, draft.pins.tokenizer)
        if tokenizer.digest and digest != tokenizer.digest:
            what = f"tokenizer {tokenizer.name!r} is {digest}, not {tokenizer.digest}"
            problems.append(draft.error(tokenizer, what, "take the file that was pinned, or correct digest"))
    return attrs.evolve(draft, sources=stats, tokenizer_digest=digest, problems=tuple(problems))


def tokenizer_digest(tokenizer: PretrainedTokenizer, base: Path, pinned: str = "") -> str:
    """SHA-256 of a tokenizer's file where it can be seen from here; else the one it is said to have, or its name.

    `pinned` is what a lock says of it.
    """
    try:
        return hashlib.sha256(Path(locate(tokenizer.path, base)).read_bytes()).hexdigest()
    except (UserError, OSError):
        return tokenizer.digest or pinned or tokenizer.identity_name


def benchmarks_of(experiment: Experiment) -> list[TestSet]:
    """The test sets of all steps that decontaminate, each once."""
    steps = [step for dataset in experiment.data for step in dataset.steps]
    wanted = (step for step in (*steps, experiment.decontaminate_instructions) if isinstance(step, Decontaminate))
    return list(dict.fromkeys(benchmark for step in wanted for benchmark in step.benchmarks))


def sources_of(experiment: Experiment) -> list[Source | TestSet]:
    """All that an experiment reads: of data sets, of instructions, of test sets."""
    sources = [source for dataset in experiment.data for source in dataset.sources]
    return [*sources, *experiment.instructions, *benchmarks_of(experiment)]


def format_of(source: Source | TestSet) -> str:
    """How the files of a source are written; a class that derives from another is read as that one."""
    return next(form for kind, form in FORMATS.items() if isinstance(source, kind))


def source_digests(draft: Draft) -> dict[str, str]:
    """What tells the content of each source that is made of files: see `content_digest`."""
    return {
        _called(source, source.name, part): content_digest(draft, source, part)
        for source in sources_of(draft.experiment)
        for part in _files_of(source)
    }


def _files_of(source: Source | TestSet) -> dict[str, tuple[str, str]]:
    """Format and path of each part: a crawl has its seed pages beside its pages."""
    if isinstance(source, TestSet):
        return {"": (source.format, source.path)}
    if isinstance(source, WebRecall):
        return {"": ("parquet", source.pages), SEED: ("parquet", source.seed)}
    if path := getattr(source, "path", None):
        return {"": (source.format if isinstance(source, Instructions) else format_of(source), path)}
    return {}


def _called(source: Source | TestSet, name: str, part: str) -> str:
    """What a part of a source is called, of which `name` is the present or the lasting name."""
    whole = f"{name}/{part}" if part else name
    return f"{TEST_SET}/{whole}" if isinstance(source, TestSet) else whole


def _look_at(source: Source | TestSet, draft: Draft) -> dict[str, SourceStats]:
    """What can be seen of a source, else what a lock knows of it."""
    found = {}
    for part, (form, path) in _files_of(source).items():
        name = _called(source, source.name, part)
        try:
            found[name] = describe(form, locate(path, draft.base), name=name)
        except UserError:
            if name in draft.pins.sources:
                found[name] = draft.pins.sources[name]
            elif source.declared is None:
                raise
    return found


def content_digest(draft: Draft, source: Source | TestSet, part: str = "") -> str:
    """What tells a source's content from another's: the digest of its files where they can be seen from here.

    Unseen, a source is known by its name and declared revision: two of one revision, or of none, are two.
    `part` is that of a source which has several, such as `SEED`.
    """
    if stats := draft.sources.get(_called(source, source.name, part)):
        return stats.digest
    revision = source.declared.revision if source.declared else ""
    return f"declared:{_called(source, source.identity_name, part)}@{revision}"
