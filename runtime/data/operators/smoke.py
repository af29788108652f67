"""Made-up code for a rehearsal: a tokenizer, documents and instruction pairs that a tiny model can learn from.

Not data to measure anything with: every document holds a few functions of one pattern, and says nothing true about
code. The text is a pure function of the data set's name, by words of Philox, which numpy keeps from version to version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice

import numpy as np

from compiler import ir
from runtime.data.bpe import train_bpe
from runtime.data.indexed import IndexedWriter
from runtime.data.operators.instructions import chat_tokens
from runtime.data.operators.tokens import END_OF_TEXT, PREFIX, encoder_of
from runtime.task import TaskContext

OPERATIONS = (("add", "plus", "+"), ("subtract", "minus", "-"), ("multiply", "times", "*"), ("divide", "over", "/"))
NOUNS = (
    "address", "amount", "answer", "average", "balance", "batch", "buffer", "column", "count", "delay", "depth",
    "distance", "element", "energy", "entry", "error", "factor", "figure", "height", "index", "integer", "interval",
    "item", "length", "level", "limit", "margin", "measure", "minute", "number", "offset", "order", "parent",
    "percent", "period", "pixel", "position", "price", "quantity", "radius", "range", "rate", "ratio", "record",
    "result", "sample", "score", "second", "sequence", "signal", "size", "speed", "square", "step", "table",
    "target", "temperature", "total", "value", "vector", "version", "volume", "weight", "width",
)  # fmt: skip
FUNCTIONS_A_DOCUMENT = 3
TOKENIZER_FUNCTIONS = 2000


def functions(seed: str) -> Iterator[tuple[str, str]]:
    """What a function shall do, and the function; without end.

    >>> from itertools import islice
    >>> wanted, code = next(functions("doctest"))
    >>> wanted.startswith("Write "), code.startswith("def ")
    (True, True)
    """
    words = np.random.Philox(key=int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "little"))
    while True:
        for word in words.random_raw(256).tolist():
            verb, name, sign = OPERATIONS[word % 4]
            first, second = NOUNS[word // 4 % len(NOUNS)], NOUNS[word // 1024 % len(NOUNS)]
            head = f"{verb}_{first}({first}, other_{second})"
            lines = f"def {head}:", f'    """Return {first} {name} other_{second}."""'
            code = "\n".join((*lines, f"    return {first} {sign} other_{second}", ""))
            yield f"Write {head}: {first} {name} other_{second}.", code


def documents(seed: str) -> Iterator[str]:
    """Texts of a few functions each; without end."""
    code = (text for _, text in functions(seed))
    while True:
        yield "\n\n".join(islice(code, FUNCTIONS_A_DOCUMENT))


def tokenizer(op: ir.SmokeTokenizer, ctx: TaskContext) -> None:
    """Learn the vocabulary from functions."""
    texts = (code for _, code in islice(functions("tokenizer"), TOKENIZER_FUNCTIONS))
    train_bpe(texts, op.vocab_size, op.special_tokens, ctx.output("tokenizer"))


def data(op: ir.SmokeData, ctx: TaskContext) -> None:
    """Write tokens.bin and tokens.idx and, of pairs, answer_start.npy."""
    if op.num_samples:
        _samples(op, ctx)
    else:
        _documents(op, ctx)


def _documents(op: ir.SmokeData, ctx: TaskContext) -> None:
    encoder, total = encoder_of(ctx), 0
    end = encoder.special(END_OF_TEXT)
    with IndexedWriter(ctx.output("tokens") / PREFIX, encoder.dtype) as writer:
        texts = documents(op.dataset)
        while total < op.num_tokens:
            ids = np.append(encoder.encode(next(texts)), end).astype(encoder.dtype)
            writer.add(ids)
            total += len(ids)
    ctx.stats["tokens"] = total


def _samples(op: ir.SmokeData, ctx: TaskContext) -> None:
    encoder, starts = encoder_of(ctx), []
    with IndexedWriter(ctx.output("tokens") / PREFIX, encoder.dtype) as writer:
        for instruction, code in islice(functions(op.dataset), op.num_samples):
            prompt, answer = chat_tokens(encoder, instruction, code)
            writer.add(np.concatenate([prompt, answer])[: op.max_length])
            starts.append(len(prompt))
    np.save(ctx.output("tokens") / "answer_start.npy", np.array(starts, dtype=np.int32))
    ctx.stats["samples"] = len(starts)
