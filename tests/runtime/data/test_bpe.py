"""Byte-level BPE: deterministic training, and one set of ids whichever library encodes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from compiler.errors import UserError
from runtime.data.bpe import CHECK_TEXT, SPECIAL_TOKENS, Encoder, byte_characters, train_bpe

VOCAB_SIZE = 600
SNIPPETS = [
    'def add(first: int, second: int) -> int:\n    """Return the sum."""\n    return first + second\n',
    "for (int i = 0; i < 1024; i++) {\n\tresult[i] = compute(input[i], 3.14159);\n}\n",
    "public static void main(String[] arguments) {\r\n  System.out.println(arguments.length);\r\n}\r\n",
    "It's a test; we'll see. IT'S 2024-01-31, don't panic.\n\n\n",
    "const value = items.filter((item) => item.size > 10).map((item) => item.name);\n",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002 caf\u00e9 na\u00efve \u03bb \U0001f469\u200d\U0001f467\n",
]


def corpus() -> list[str]:
    """Three hundred texts with many words of equal count, so that ties between merges are common."""
    generator = random.Random(5)
    words = ["".join(generator.choices("abcdefgh", k=5)) for _ in range(200)]
    invented = [" ".join(words[i : i + 10]) for i in range(0, 200, 10)] * 10
    return SNIPPETS * 20 + invented


def build(folder: Path, texts: list[str], vocab_size: int = VOCAB_SIZE) -> Path:
    train_bpe(iter(texts), vocab_size, SPECIAL_TOKENS, folder)
    return folder / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("bpe"), corpus())


@pytest.fixture(scope="module")
def encoder(tokenizer_json: Path) -> Encoder:
    return Encoder.load(tokenizer_json)


def test_the_order_of_texts_does_not_change_a_byte(tokenizer_json: Path, tmp_path: Path) -> None:
    """Ties between equally frequent pairs are broken by ids, never by the order in which words came."""
    for seed in range(5):
        texts = corpus()
        random.Random(seed).shuffle(texts)
        assert build(tmp_path / str(seed), texts).read_bytes() == tokenizer_json.read_bytes()


@pytest.mark.parametrize(
    "environment",
    [{"RAYON_NUM_THREADS": "1"}, {"RAYON_NUM_THREADS": "4"}, {"TOKENIZERS_PARALLELISM": "false"}],
)
def test_threads_do_not_change_a_byte(tokenizer_json: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """A fresh process, with its own hash seeds and number of threads, writes the same file."""
    (tmp_path / "texts.json").write_text(json.dumps(corpus()))
    program = (
        "import json, sys; from pathlib import Path; from runtime.data.bpe import SPECIAL_TOKENS, train_bpe;"
        "texts = json.loads(Path(sys.argv[1], 'texts.json').read_text());"
        "train_bpe(iter(texts), int(sys.argv[2]), SPECIAL_TOKENS, Path(sys.argv[1]))"
    )
    root = Path(__file__).parents[3]
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(VOCAB_SIZE)],
        env=os.environ | environment | {"PYTHONPATH": str(root)},
        check=True,
    )
    assert (tmp_path / "tokenizer.json").read_bytes() == tokenizer_json.read_bytes()


def test_special_tokens_come_first_then_bytes_then_merges(encoder: Encoder, tokenizer_json: Path) -> None:
    """Special ids do not move when the vocabulary grows; every byte has an id, so every text has ids."""
    assert [encoder.special(name) for name in SPECIAL_TOKENS] == [0, 1, 2, 3]
    vocabulary = json.loads(tokenizer_json.read_text())["model"]["vocab"]
    assert sorted(vocabulary[character] for character in byte_characters()) == list(range(4, 260))
    assert encoder.vocab_size == VOCAB_SIZE
    assert encoder.engine == "tiktoken"


def test_no_token_crosses_a_border_of_the_split(tmp_path: Path) -> None:
    """However frequent the pair: digits in threes from the left, a blank with the word after it."""
    frequent = "abcde 12345678 'll==\n"
    encoder = Encoder.load(build(tmp_path, [*corpus(), *[frequent] * 500]))
    tokens = [encoder.decode([id_]) for id_ in encoder.encode(frequent)]
    assert tokens == ["abcde", " ", "123", "456", "78", " '", "ll", "==\n"]


def test_tiktoken_and_tokenizers_agree_on_every_character(encoder: Encoder, tokenizer_json: Path) -> None:
    """Both regex engines class every assigned character alike: letter, number, space or other."""
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co")]
    # A letter, a digit, a blank, a line end and an apostrophe on either side show the class of the character.
    texts = [f"a{c} {c}1{c}\n'{c}{c}.{c}" for c in characters]
    encoder.check(["".join(texts[i : i + 500]) for i in range(0, len(texts), 500)])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=200))
def test_decode_inverts_encode(encoder: Encoder, text: str) -> None:
    """Every text that is valid UTF-8 comes back as it was, and both engines give its ids."""
    assert encoder.decode(encoder.encode(text)) == text
    encoder.check([text])


def test_special_tokens_in_a_text_are_ordinary_text(encoder: Encoder) -> None:
    """A file that mentions <|endoftext|> must not end a document."""
    for name in SPECIAL_TOKENS:
        ids = encoder.encode(f"x {name} y")
        assert not set(ids.tolist()) & {0, 1, 2, 3}
        assert encoder.decode(ids) == f"x {name} y"


def test_special_tokens_seen_in_training_are_ordinary_text(tmp_path: Path) -> None:
    """Training texts full of a special token do not make it a token of ordinary text."""
    texts = [*corpus(), *["<|endoftext|>" * 50] * 50]
    encoder = Encoder.load(build(tmp_path, texts))
    assert encoder.special("<|endoftext|>") not in encoder.encode("<|endoftext|>" * 3)


def test_decode_writes_special_tokens_out(encoder: Encoder) -> None:
    """Decoding is for reading: the end of a text is seen."""
    assert encoder.decode([encoder.special("<|im_start|>"), *encoder.encode("hi"), 0]) == "<|im_start|>hi<|endoftext|>"


def test_a_batch_equals_its_texts_one_by_one(encoder: Encoder) -> None:
    """Threads change neither ids nor order."""
    texts = [CHECK_TEXT, "", *SNIPPETS] * 20
    expected = [encoder.encode(text) for text in texts]
    for threads in (1, 4):
        got = encoder.encode_batch(texts, threads)
        assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))
    assert expected[0].dtype == np.uint16
    assert expected[1].shape == (0,)


def test_a_million_blanks_are_encoded(encoder: Encoder, tokenizer_json: Path) -> None:
    """A run of blanks that overflows the fast regex engine's stack goes through the other engine."""
    text = " " * 1_000_000 + "x"
    reference = Tokenizer.from_file(str(tokenizer_json))
    assert encoder.encode(text).tolist() == reference.encode(text, add_special_tokens=False).ids


def test_transformers_loads_the_same_tokenizer(encoder: Encoder, tokenizer_json: Path) -> None:
    """The file is a Hugging Face tokenizer: same ids, same text back, same special tokens."""
    transformers = pytest.importorskip("transformers")
    peer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_json))
    for text in [*SNIPPETS, CHECK_TEXT.split("<|")[0]]:
        ids = peer(text, add_special_tokens=False)["input_ids"]
        assert encoder.encode(text).tolist() == ids
        assert peer.decode(ids, clean_up_tokenization_spaces=False) == text
    assert [peer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS] == [0, 1, 2, 3]
    mention = peer("x <|pad|>", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert encoder.encode("x <|pad|>").tolist() == mention


def test_too_little_text_for_the_vocabulary_says_both_sizes(tmp_path: Path) -> None:
    """A vocabulary smaller than asked would break the shape of the model: refused, with what is possible."""
    with pytest.raises(UserError, match=r"vocabulary of \d+ ids, not of 5000") as raised:
        train_bpe(iter(SNIPPETS), 5000, SPECIAL_TOKENS, tmp_path)
    possible = int(raised.value.what.split("vocabulary of ")[1].split()[0])
    train_bpe(iter(SNIPPETS), possible, SPECIAL_TOKENS, tmp_path)
    assert Encoder.load(tmp_path / "tokenizer.json").vocab_size == possible


@pytest.mark.parametrize(
    ("vocab_size", "special", "message"),
    [
        (260, SPECIAL_TOKENS, "260 ids is too small.*need 261"),
        (400, ("<|a|>", "<|a|>"), "special tokens repeat"),
        (400, ("result",), "also ordinary tokens of the sample: result"),
    ],
)
def test_impossible_vocabularies_are_refused(
    tmp_path: Path, vocab_size: int, special: tuple[str, ...], message: str
) -> None:
    """Each is found before anything is written."""
    with pytest.raises(UserError, match=message):
        train_bpe(iter(["result result\n"] * 50 + corpus()), vocab_size, special, tmp_path)
    assert not list(tmp_path.iterdir())


def rewrite(tokenizer_json: Path, target: Path, **changes: object) -> Path:
    definition = json.loads(tokenizer_json.read_text()) | changes
    target.write_text(json.dumps(definition))
    return target


def test_a_tokenizer_that_tiktoken_cannot_express_uses_the_other_engine(tokenizer_json: Path, tmp_path: Path) -> None:
    """A normalizer changes the text before the split; `tokenizers` does that, tiktoken does not."""
    normalized = Encoder.load(rewrite(tokenizer_json, tmp_path / "nfc.json", normalizer={"type": "NFC"}))
    assert normalized.engine == "tokenizers"
    assert normalized.encode("e\u0301").tolist() == Encoder.load(tokenizer_json).encode("\u00e9").tolist()
    assert normalized.decode(normalized.encode("x <|pad|>")) == "x <|pad|>"


def test_engines_that_disagree_are_refused(tokenizer_json: Path, tmp_path: Path) -> None:
    """`$` is the end of a line to one engine and of the text to the other: the load finds it."""
    pre = json.loads(tokenizer_json.read_text())["pre_tokenizer"]
    pre["pretokenizers"][0]["pattern"]["Regex"] = r"\s+$|[a-z]+|\s|\S"
    with pytest.raises(UserError, match=r"tiktoken and tokenizers disagree at token \d+"):
        Encoder.load(rewrite(tokenizer_json, tmp_path / "odd.json", pre_tokenizer=pre))


def test_files_and_names_that_do_not_exist_are_user_errors(encoder: Encoder, tmp_path: Path) -> None:
    """Neither a missing file, nor another JSON file, nor an unknown special token ends in a traceback."""
    (tmp_path / "other.json").write_text("{}")
    for name in ("missing.json", "other.json"):
        with pytest.raises(UserError, match=r"not a tokenizer\.json"):
            Encoder.load(tmp_path / name)
    with pytest.raises(UserError, match=r"no special token '<\|eot\|>': it has <\|endoftext\|>"):
        encoder.special("<|eot|>")
