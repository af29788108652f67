"""OC042: the tokenizer has the tokens that documents and chats are written with."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import fine_tuning
from ocspec.model import END_OF_TEXT, TrainedBPE

TURNS = ("<|im_start|>", "<|im_end|>")


def find(draft: Draft) -> Iterator[UserError]:
    """A tokenizer to be trained without the end of text, or without the marks of turns where pairs are learnt."""
    tokenizer = draft.experiment.tokenizer
    if not isinstance(tokenizer, TrainedBPE):
        return
    tuned = [stage.name for stage in fine_tuning(draft)]
    needed = {END_OF_TEXT: "every document ends with it"}
    if tuned:
        needed |= dict.fromkeys(TURNS, f"{', '.join(map(repr, tuned))} writes pairs as ChatML")
    for token, why in needed.items():
        if token not in tokenizer.special_tokens:
            yield draft.error(
                tokenizer,
                f"special_tokens has no {token!r}, and {why}; it has {', '.join(tokenizer.special_tokens) or 'none'}",
                "add it, or leave special_tokens at its default",
            )


RULE = Rule(
    "OC042",
    "special tokens",
    "A token that the vocabulary lacks is found out after the corpus is encoded.",
    find,
    teach="""\
Documents end with `<|endoftext|>`, instruction pairs are ChatML: `<|im_start|>user`, `<|im_end|>`. OpenCoder added
such tokens to INF-34B's tokenizer, and `<|im_end|>` ends its answers (its repository, issue 3 and training scripts).
A token that is missing cannot be added once the model is trained: the vocabulary is the model's width. What a lost
special token costs is told by marin #5149: the begin-of-sequence token was dropped for two weeks, and about 63 TB of
tokenized data had to be found and built again.
""",
)
