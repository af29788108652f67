"""OC034: declared bytes and tokens fit one another."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import amount
from ocspec.mixture import Dataset
from ocspec.sources import Source

FEWEST, MOST = 1.5, 12.0
"""Bytes a token. OpenCoder's GitHub code has 3.2, FineWeb's recalled pages 4.8; one byte is the least that a BPE over
bytes can have, and twelve is more than any natural or programming language gives."""


def find(draft: Draft) -> Iterator[UserError]:
    """Declarations with fewer or more bytes a token than any text has."""
    for dataset in draft.experiment.data:
        described: list[Dataset | Source] = [dataset, *dataset.sources]
        for spec in described:
            declared = spec.declared
            if declared is None or not declared.bytes or not declared.tokens:
                continue
            ratio = declared.bytes / declared.tokens
            if not FEWEST <= ratio <= MOST:
                yield draft.error(
                    declared,
                    f"{spec.name!r} declares {amount(declared.bytes)} bytes and {amount(declared.tokens)} tokens:"
                    f" {ratio:.3g} bytes a token",
                    f"code and prose have 3 to 5, none under {FEWEST:g} or over {MOST:g}; check both numbers and their"
                    " units",
                )


RULE = Rule(
    "OC034",
    "bytes a token",
    "A declared size that is off by a thousand budgets a run on data that is not there.",
    find,
    severity="warning",
    teach="""\
Declared sizes stand in for data that cannot be seen from here: budgets, epochs and shards are reckoned from them. GB
for MB, or tokens of one tokenizer beside bytes of another selection, shows in the ratio. OpenCoder's paper has a case
of its own: about 220 GB were recalled from Common Crawl, and table 2 counts 13 B tokens of it (arXiv 2411.04905,
section 2.1), 17 bytes a token, where the pages recalled from FineWeb have 4.8. The two numbers cannot be of the same
pages, and the paper does not say what was dropped between them.
""",
)
