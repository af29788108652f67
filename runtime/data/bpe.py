"""Byte-level BPE: train a vocabulary with `tokenizers`, encode with `tiktoken`, same ids.

Not a new tokenizer: `tokenizer.json` is the definition and loads in `transformers.PreTrainedTokenizerFast`;
tiktoken only makes the same ids several times faster, and every load compares the two. Nothing here adds
special tokens to a text or packs documents.

Pre-tokenization is the split of Llama 3 (contractions, words with one leading non-letter, digits in groups of
up to three, punctuation, white space), with the contractions spelled out in both cases instead of `(?i:...)`,
which would leave case folding to each regex engine.

Ids: special tokens first, in the order given, so that they stay where they are when the vocabulary grows;
then the 256 bytes; then the merges in the order learnt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from compiler.errors import UserError

TOKENIZER_FILE = "tokenizer.json"
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|im_start|>", "<|im_end|>", "<|pad|>")
MIN_FREQUENCY = 2  # a pair seen once is no evidence for a merge

SPLIT = (
    r"'[sStTmMdD]|'[rR][eE]|'[vV][eE]|'[lL][lL]"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)

# Each line is a way in which two implementations have been seen to part: contractions, digit groups, white
# space before a line end, combining marks, characters beyond the first plane, special tokens written out in a
# text.
CHECK_TEXT = (
    "def f(x: int = 12345) -> str:\n\treturn f\"{x:>08.3f}\"  # it's IT'S we'll WE'LL '\u017f I'd\r\n"
    "\n    \n  \n\n        if a!=b&&c||!d: /* \u00fcn\u00efc\u00f6d\u00e9 \u00df \u1e9e \u0130 \u0131 */"
    "x+=1_000_000;"
    "\u03bb=3.14159e-10\u00a0\u2003\u3000y\n"
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002123\uff14\uff15\uff16 \u00bd \ufdfd"
    " \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001d518\U0001d52b"
    " e\u0301 \u0085 \u2028 \x00\x1f\x7f \ufeff"
    " ///////// ========== aaaaaaaaaaaaaaaaaaa <|endoftext|> <|im_start|>user <|im_end|><|pad|>"
    " http://a.b/c?d=e%20f#g \\n\\t \t \t\t   trailing   "
)


def train_bpe(texts: Iterator[str], vocab_size: int, special_tokens: Sequence[str], out: Path) -> None:
    """Learn a byte-level BPE of exactly `vocab_size` ids, special ones included, into `out/tokenizer.json`.

    The trainer counts words before it merges and breaks ties between pairs by their ids, so the bytes written
    do not depend on the order of `texts` or on the number of threads. Memory is that of the distinct words,
    not of the texts. Special tokens inside a text are ordinary characters. The written tokenizer is checked
    on the first texts (1 MB) against the encoder that will be used.

    Raises UserError where the texts hold too few merges for `vocab_size`, where `vocab_size` leaves no room
    for them, or where a special token is repeated or is also an ordinary token.
    """
    smallest = 256 + len(special_tokens) + 1
    if vocab_size < smallest:
        raise UserError(
            f"a vocabulary of {vocab_size} ids is too small: 256 bytes, {len(special_tokens)} special tokens "
            f"and one merge need {smallest}",
            fix=f"ask for at least {smallest}",
        )
    if len(set(special_tokens)) < len(special_tokens):
        raise UserError(f"special tokens repeat: {', '.join(special_tokens)}", fix="name each once")
    sample: list[str] = []
    tokenizer = _untrained()
    tokenizer.train_from_iterator(_keep_first(texts, 1_000_000, sample), _trainer(vocab_size, special_tokens))
    _check_trained(tokenizer, vocab_size, special_tokens)
    out.mkdir(parents=True, exist_ok=True)
    (out / TOKENIZER_FILE).write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8", newline="\n")
    Encoder.load(out / TOKENIZER_FILE).check(sample)


def _untrained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _trainer(vocab_size: int, special_tokens: Sequence[str]) -> Any:
    return trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _keep_first(texts: Iterator[str], characters: int, kept: list[str]) -> Iterator[str]:
    for text in texts:
        if characters > 0:
            kept.append(text)
            characters -= len(text)
        yield text


def _check_trained(tokenizer: Tokenizer, vocab_size: int, special_tokens: Sequence[str]) -> None:
    learnt = tokenizer.get_vocab_size()
    if learnt < vocab_size:
        raise UserError(
            f"the sample holds pairs for a vocabulary of {learnt} ids, not of {vocab_size}",
            where="tokenizer",
            fix=f"sample more text or ask for at most {learnt} ids",
        )
    merged = {left + right for left, right in json.loads(tokenizer.to_str())["model"]["merges"]}
    ambiguous = sorted(merged.intersection(special_tokens))
    if ambiguous:
        raise UserError(
            f"special tokens are also ordinary tokens of the sample: {', '.join(ambiguous)}",
            where="tokenizer",
            fix="choose strings that no text holds as a word, such as <|name|>",
        )


def byte_characters() -> dict[str, int]:
    """The character that byte-level BPE writes for each byte (Radford et al. 2019), as character -> byte.

    >>> characters = byte_characters()
    >>> len(characters), characters["A"], characters["Ġ"], characters["Ċ"]
    (256, 65, 32, 10)
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _tiktoken_pattern(definition: dict[str, Any]) -> str | None:
    """The split regex where tiktoken can express the tokenizer: byte-level BPE after one regex, else None."""
    model, pre = definition["model"], definition["pre_tokenizer"] or {}
    steps = pre.get("pretokenizers", [])
    expressible = (
        model["type"] == "BPE"
        and not model.get("dropout")
        and not model.get("byte_fallback")
        and definition["normalizer"] is None
        and all(token["special"] for token in definition["added_tokens"])
        and [step["type"] for step in steps] == ["Split", "ByteLevel"]
        and "Regex" in steps[0]["pattern"]
        and steps[0]["behavior"] == "Isolated"
        and not steps[0]["invert"]
        and not steps[1]["add_prefix_space"]
        and not steps[1]["use_regex"]
    )
    return str(steps[0]["pattern"]["Regex"]) if expressible else None


class Encoder:
    """Text -> token ids by a `tokenizer.json`; make one with `Encoder.load`.

    `engine` is "tiktoken" where that can express the tokenizer, as it can for all that `train_bpe` writes,
    else "tokenizers". A special token written out in a text is encoded as the ordinary characters that it is
    made of.
    """

    def __init__(self, tokenizer: Tokenizer, fast: tiktoken.Encoding | None) -> None:
        self._tokenizer = tokenizer
        self._fast = fast
        self.engine = "tiktoken" if fast else "tokenizers"
        self._special = {token.content: id_ for id_, token in tokenizer.get_added_tokens_decoder().items()}
        self.vocab_size = max(tokenizer.get_vocab().values()) + 1
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if self.vocab_size < 65_536 else np.int32)

    @classmethod
    def load(cls, tokenizer_json: Path) -> Encoder:
        """Read a tokenizer and compare both engines on `CHECK_TEXT`.

        Raises UserError where the file is no tokenizer, and where tiktoken gives other ids than `tokenizers`.
        """
        try:
            text = tokenizer_json.read_text(encoding="utf-8")
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # `tokenizers` raises bare Exception for a file that it cannot read
            raise UserError(f"not a tokenizer.json: {error}", where=str(tokenizer_json)) from error
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        pattern = _tiktoken_pattern(json.loads(text))
        encoder = cls(tokenizer, _fast_encoding(tokenizer, pattern) if pattern else None)
        encoder.check([CHECK_TEXT])
        return encoder

    def encode(self, text: str) -> npt.NDArray[Any]:
        """Ids of `text`, without any special token, as `dtype` (uint16 below 65,536 ids, else int32)."""
        if self._fast is None:
            return self._reference(text)
        try:
            ids = self._fast.encode_to_numpy(text, disallowed_special=())
        except BaseException as error:
            # The regex engine overflows its stack on some hundred thousand blanks in a row: a ValueError, in
            # older versions a panic, which is a BaseException of a class that cannot be imported.
            if not isinstance(error, ValueError) and type(error).__name__ != "PanicException":
                raise
            return self._reference(text)
        return ids.astype(self.dtype)

    def encode_batch(self, texts: Sequence[str], threads: int = 1) -> list[npt.NDArray[Any]]:
        """`encode` of each text, in order, on `threads` threads; the engines release Python's lock."""
        if threads <= 1:
            return [self.encode(text) for text in texts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.encode, texts))

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of `ids`, special tokens written out; bytes that are no UTF-8 become U+FFFD."""
        plain: list[int] = np.asarray(ids, dtype=np.int64).tolist()
        if self._fast is not None:
            return self._fast.decode(plain)
        return str(self._tokenizer.decode(plain, skip_special_tokens=False))

    def decode_bytes(self, ids: npt.ArrayLike) -> bytes:
        """The bytes of `ids`; a sequence cut inside a character keeps the part that it has."""
        if self._fast is not None:
            return self._fast.decode_bytes(np.asarray(ids, dtype=np.int64).tolist())
        return self.decode(ids).encode()

    def special(self, name: str) -> int:
        """Id of a special token; UserError with those that exist where there is none of that name."""
        if name not in self._special:
            raise UserError(
                f"the tokenizer has no special token {name!r}: it has {', '.join(self._special) or 'none'}",
                where=TOKENIZER_FILE,
            )
        return self._special[name]

    def check(self, texts: Sequence[str]) -> None:
        """Raise UserError for the first text that the two engines encode differently."""
        for text in texts:
            expected, got = self._reference(text), self.encode(text)
            if not np.array_equal(expected, got):
                shortest = min(len(expected), len(got))
                same = int(np.argmin(np.append(expected[:shortest] == got[:shortest], False)))
                around = self.decode(expected[max(0, same - 5) : same + 5])
                raise UserError(
                    f"tiktoken and tokenizers disagree at token {same} of {len(expected)}, near {around!r}",
                    where=TOKENIZER_FILE,
                    fix="use a tokenizer trained here, or a split regex that both engines read alike",
                )

    def _reference(self, text: str) -> npt.NDArray[Any]:
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=self.dtype)


def _fast_encoding(tokenizer: Tokenizer, pattern: str) -> tiktoken.Encoding:
    """The tokenizer for tiktoken; a token's rank is its id, as merges were numbered in the order learnt."""
    special = {token.content: id_ for id_, token in tokenizer.get_added_tokens_decoder().items()}
    to_byte = byte_characters()
    ranks = {
        bytes(to_byte[character] for character in token): id_
        for token, id_ in tokenizer.get_vocab(with_added_tokens=False).items()
        if token not in special
    }
    return tiktoken.Encoding("ocspec", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
