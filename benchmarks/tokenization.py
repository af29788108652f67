"""Tokenization: MB per second and core of `runtime.data.bpe.Encoder` beside `tokenizers`, same vocabulary.

Not a measure of training a tokenizer, whose time is printed only because it is spent. Both sides encode the
same documents on one thread, in turns, so that a change of the machine's load meets both; the medians over
the rounds and their ratio are printed. Before that, all ids of both are compared.

    python benchmarks/tokenization.py documents.parquet --vocab 2048 32768
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # read by `tokenizers` at first use: one core against one core

import pyarrow.parquet as pq
from tokenizers import Tokenizer

from runtime.data.bpe import SPECIAL_TOKENS, TOKENIZER_FILE, Encoder, train_bpe


def read_texts(path: Path, column: str, megabytes: float) -> list[str]:
    """The first documents of at least `megabytes` of UTF-8 together, or all."""
    texts: list[str] = []
    left = megabytes * 1e6
    for batch in pq.ParquetFile(path).iter_batches(1024, columns=[column]):
        for text in batch.column(0).to_pylist():
            texts.append(text)
            left -= len(text.encode())
            if left <= 0:
                return texts
    return texts


def seconds(work: Callable[[], object]) -> float:
    """Process time: that of other processes on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(texts: list[str], vocab_size: int, rounds: int) -> None:
    """Train once, check that the ids are the same, then measure in turns and print a line."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        training = seconds(lambda: train_bpe(iter(texts), vocab_size, SPECIAL_TOKENS, Path(folder)))
        encoder = Encoder.load(Path(folder) / TOKENIZER_FILE)
        peer = Tokenizer.from_file(str(Path(folder) / TOKENIZER_FILE))
    peer.encode_special_tokens = True
    ours_ids = encoder.encode_batch(texts)
    peer_ids = peer.encode_batch(texts, add_special_tokens=False)
    assert all(ours.tolist() == theirs.ids for ours, theirs in zip(ours_ids, peer_ids, strict=True))
    tokens = sum(len(ids) for ids in ours_ids)
    del ours_ids, peer_ids
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(megabytes / seconds(lambda: encoder.encode_batch(texts)))
        theirs.append(megabytes / seconds(lambda: peer.encode_batch(texts, add_special_tokens=False)))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"vocabulary {vocab_size}: trained on {megabytes:.1f} MB in {training:.1f} s; "
        f"{megabytes * 1e6 / tokens:.2f} bytes a token, identical ids; "
        f"ours {statistics.median(ours):.2f} MB/s/core, tokenizers {statistics.median(theirs):.2f}, "
        f"ratio {ratio:.1f}"
    )


def main() -> None:
    """Read the arguments and compare at each size of vocabulary."""
    parser = argparse.ArgumentParser(description="Encode the same documents with ours and with `tokenizers`.")
    parser.add_argument("path", type=Path, help="a Parquet file with one text per row")
    parser.add_argument("--column", default="content", help="the column of texts")
    parser.add_argument("--vocab", type=int, nargs="+", default=[2048, 32_768], help="vocabulary sizes")
    parser.add_argument("--megabytes", type=float, default=20, help="how much of the file to read")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
    arguments = parser.parse_args()
    texts = read_texts(arguments.path, arguments.column, arguments.megabytes)
    for vocab_size in arguments.vocab:
        compare(texts, vocab_size, arguments.rounds)


if __name__ == "__main__":
    main()
