"""Bytes of text for a token, by language and vocabulary: where the table of compiler/cost/tokens.py comes from.

Not a measure of speed. A tokenizer is trained on three quarters of the repositories and counts the tokens of the rest,
so that it has not seen them. Printed are the mean, and the least and the most of single repositories of 20 kB or more
in that language.

    python benchmarks/bytes_per_token.py corpus/*.parquet --vocab 2048 32768 96640
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from runtime.data.bpe import SPECIAL_TOKENS, TOKENIZER_FILE, Encoder, train_bpe

Document = tuple[str, str, str]
LEAST_BYTES = 20_000


def documents(paths: list[Path]) -> Iterator[Document]:
    """Repository, language and text."""
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(1024, columns=["repo", "language", "content"]):
            yield from zip(*(batch.column(name).to_pylist() for name in ("repo", "language", "content")), strict=True)


def held_out(repository: str) -> bool:
    """One repository in four."""
    return hashlib.sha256(repository.encode()).digest()[0] % 4 == 0


def table(texts: list[Document], vocab_size: int) -> list[str]:
    """A line a language."""
    with tempfile.TemporaryDirectory() as folder:
        train_bpe((text for repo, _, text in texts if not held_out(repo)), vocab_size, SPECIAL_TOKENS, Path(folder))
        encoder = Encoder.load(Path(folder) / TOKENIZER_FILE)
    sums: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for repo, language, text in texts:
        if held_out(repo) and language:
            (ids,) = encoder.encode_batch([text])
            sums[language][repo][0] += len(text.encode())
            sums[language][repo][1] += len(ids)
    return [f"{vocab_size:7,} {line}" for language in sorted(sums) for line in _line(language, sums[language])]


def _line(language: str, repositories: dict[str, list[int]]) -> Iterator[str]:
    size = sum(text for text, _ in repositories.values())
    tokens = sum(count for _, count in repositories.values())
    single = sorted(text / count for text, count in repositories.values() if text >= LEAST_BYTES)
    if single:
        ends = f"{single[0]:5.2f} {single[-1]:5.2f}"
        yield f"{language:12} {size / tokens:5.2f} {ends}  {size / 1e6:6.2f} MB  {len(single)} repositories"


def main() -> None:
    """Print the table of each vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--vocab", nargs="+", type=int, default=[2048, 32_768, 96_640])
    args = parser.parse_args()
    texts = [(repo, language, text) for repo, language, text in documents(args.files) if text]
    print("  vocab language      mean  least  most")
    for vocab_size in args.vocab:
        print("\n".join(table(texts, vocab_size)), flush=True)


if __name__ == "__main__":
    main()
