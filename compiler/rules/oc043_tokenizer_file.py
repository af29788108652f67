"""OC043: a tokenizer made elsewhere has the size and the tokens that the spec says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import fine_tuning, located
from compiler.rules.oc042_special_tokens import TURNS
from ocspec.model import END_OF_TEXT, PretrainedTokenizer

MOST_BYTES = 50_000_000


def find(draft: Draft) -> Iterator[UserError]:
    """Files with more ids than `vocab_size`, and files without the special tokens that are needed here."""
    tokenizer = draft.experiment.tokenizer
    if not isinstance(tokenizer, PretrainedTokenizer):
        return
    ids = _ids(Path(located(draft, tokenizer.path)))
    if not ids:
        return
    size = max(ids.values()) + 1
    if size > tokenizer.vocab_size:
        yield draft.error(
            tokenizer,
            f"tokenizer {tokenizer.name!r} has ids up to {size - 1:,}, and vocab_size is {tokenizer.vocab_size:,}",
            f"raise vocab_size to {-(-size // 64) * 64:,}, a multiple of 64, or take the tokenizer that was meant",
        )
    missing = [token for token in (END_OF_TEXT, *(TURNS if fine_tuning(draft) else ())) if token not in ids]
    if missing:
        yield draft.error(
            tokenizer,
            f"tokenizer {tokenizer.name!r} has no token {', '.join(map(repr, missing))}",
            "add them to the file as special tokens, or take a tokenizer that has them",
        )


def _ids(file: Path) -> dict[str, int]:
    """Tokens and their ids in a tokenizer.json, added tokens included; none where it cannot be read from here."""
    try:
        if file.stat().st_size > MOST_BYTES:
            return {}
        content: Any = json.loads(file.read_bytes())
        vocabulary = content["model"]["vocab"]
        pairs = vocabulary.items() if isinstance(vocabulary, dict) else ((t, n) for n, (t, *_) in enumerate(vocabulary))
        added = ((token["content"], token["id"]) for token in content.get("added_tokens", ()))
        return {**dict(pairs), **dict(added)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


RULE = Rule(
    "OC043",
    "tokenizer file",
    "An id beyond the embedding is an illegal memory access on a GPU, hours into the epoch.",
    find,
    teach="""\
The model's embedding has `vocab_size` rows. A tokenizer with more ids, often one whose special tokens were added
later, indexes beyond it; on a GPU that is an assertion without a line number, when the first such token comes up.
OpenCoder has 96,640 rows, and its begin and end of text are ids 96,540 and 96,539 (config.json of the released
checkpoints); its tokenizer is INF-34B's with tokens added (its repository, issue 3). marin #5149, a begin-of-sequence
token that was dropped unseen, cost two weeks of data, about 63 TB. The file is read here where it can be seen from
here.
""",
)
