"""The refine pass (redact, signals, rules, write) beside tree-sitter's parsing alone, on the same documents in one run.

    python -m benchmarks.refine_pass CORPUS.parquet [--runs 3] [--documents 4000]

First the whole pass as a process of its own, start-up, sign and output included, in CPU seconds with those of the
parser's process. Then its parts, one after another in this process over every n-th document of a known language, each
alone on all of them: the sum is more than the pass takes, which parses only what cheaper rules left. The peer is the
parser of the `tree-sitter-<language>` wheels, called on the text and nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks.dedup_pipeline import megabytes, ours, table
from benchmarks.harness import compare, machine


class Document(NamedTuple):
    """One document that the pass would judge."""

    text: str
    language: str
    path: str


def admitted(corpus: str, number: int) -> list[Document]:
    """Every n-th document of a known language, `number` in all or a few more."""
    import pyarrow.dataset as ds

    from runtime.data.languages import language_of

    rows = ds.dataset(corpus).to_table(columns=["path", "content"]).to_pylist()
    known = [Document(row["content"], language, row["path"]) for row in rows if (language := language_of(row["path"]))]
    return known[:: max(1, len(known) // number)]


def parts(documents: Sequence[Document]) -> dict[str, Callable[[], Any]]:
    """The parts of the pass over all documents."""
    import tempfile

    import pyarrow as pa

    from compiler.quality_rules import DEFAULT_RULES
    from runtime.data import treesitter
    from runtime.data.languages import doc_type
    from runtime.data.redact import redact
    from runtime.data.signals import SignalValues, first_failing
    from runtime.data.tables import TableWriter, schema_of
    from runtime.data.treesitter.parsing import parser

    parsed = [d for d in documents if d.language in treesitter.GRAMMARS]

    def parse() -> None:
        for document in parsed:
            parser(document.language).parse(document.text.encode())  # type: ignore[union-attr]

    def judge() -> None:
        for d in documents:
            kind = doc_type(d.language)
            first_failing(DEFAULT_RULES, SignalValues(d.text, d.language, kind, d.path), d.language, kind, d.path, "en")

    def write() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            TableWriter(folder, schema_of({"content": pa.large_string()})) as out,
        ):
            for document in documents:
                out.write_rows([{"content": document.text}])

    return {
        "tree-sitter: parse alone": parse,
        "parse and structure": lambda: [treesitter.structure(d.text.encode(), d.language) for d in parsed],
        "redact": lambda: [redact(d.text, d.language, copyright=True, pii=True) for d in documents],
        "signals and rules, parser's process aside": judge,
        "write": write,
    }


def main() -> None:
    """Measure the pass, then its parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--documents", type=int, default=4000)
    args = parser.parse_args()
    print(machine())
    size = megabytes(args.corpus)
    found = compare(
        {"refine, with sign": ours("refine", args.corpus), "sign alone": ours("exact", args.corpus)}, args.runs
    )
    table("whole pass", size, found, "refine, with sign")
    documents = admitted(args.corpus, args.documents)
    taken = sum(len(document.text.encode()) for document in documents) / 1e6
    print(f"\nparts, each over all of {len(documents)} documents, {taken:.1f} MB")
    for name, work in parts(documents).items():
        start = time.process_time()
        work()
        print(f"  {name:44} {taken / (time.process_time() - start):8.1f} MB/s of CPU", flush=True)


if __name__ == "__main__":
    sys.exit(main())
