"""OC032: files end as the format that is said of them."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.resolve import benchmarks_of
from compiler.rules.base import Rule
from compiler.rules.common import documents_sources
from ocspec.sources import Instructions, JsonLines, Parquet
from ocspec.testsets import TestSet

JSON = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
PARQUET = (".parquet", ".pq")


def find(draft: Draft) -> Iterator[UserError]:
    """JSON Lines read as Parquet, and the other way round."""
    sources = [source for _, source in documents_sources(draft)] + list(draft.experiment.instructions)
    for source in (*sources, *benchmarks_of(draft.experiment)):
        if isinstance(source, Parquet) and source.path.endswith(JSON):
            yield draft.error(source, _what(source.name, "Parquet", source.path), "use JsonLines")
        elif isinstance(source, JsonLines) and source.path.endswith(PARQUET):
            yield draft.error(source, _what(source.name, "JSON Lines", source.path), "use Parquet")
        elif isinstance(source, Instructions | TestSet):
            wrong = JSON if source.format == "parquet" else PARQUET
            if source.path.endswith(wrong):
                other = "jsonl" if source.format == "parquet" else "parquet"
                yield draft.error(source, _what(source.name, source.format, source.path), f'give format="{other}"')


def _what(name: str, form: str, path: str) -> str:
    end = next(end for end in (*JSON, *PARQUET) if path.endswith(end))
    return f"{name!r} is read as {form}, and its path ends in {end!r}"


RULE = Rule(
    "OC032",
    "formats",
    "A format that was left at its default is found out on the node that has the file.",
    find,
    teach="""\
`Instructions` are Parquet unless `format` says otherwise, test sets are JSON Lines. Where a file lies here, its first
bytes tell; where it lies on a cluster, its name is all there is, and the mistake is found when the task runs, for
instructions after pretraining. torchtitan and Megatron-Bridge collect checks of inputs one by one (torchtitan #3723
and #4284; about 300 lines of `ConfigContainer.validate`), and run them when the job starts.
""",
)
