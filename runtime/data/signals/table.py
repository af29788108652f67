"""The table of all signals, and their values for one document, each computed at most once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from compiler.errors import UserError
from compiler.quality_rules import QualityRule
from runtime.data.signals import comments, composition, machine, natural, repetition, strings
from runtime.data.signals.document import Document
from runtime.data.signals.languages import LANGUAGE_SIGNALS
from runtime.data.signals.signal import Signal

_CODE_DATA = ("code", "data")
_CODE = ("code",)
_TEXT = ("text",)

_TABLE: tuple[Signal, ...] = (
    Signal(composition.size_file_byte),
    Signal(composition.num_chars),
    Signal(composition.num_lines),
    Signal(composition.num_chars_line_max),
    Signal(composition.num_chars_line_mean),
    Signal(composition.num_words),
    Signal(composition.mean_word_length),
    Signal(composition.frac_words_unique),
    Signal(composition.frac_chars_alphabet),
    Signal(composition.frac_chars_digital),
    Signal(composition.frac_chars_whitespace),
    Signal(composition.frac_chars_replacement_symbols),
    Signal(machine.frac_chars_hex_words),
    Signal(machine.cate_autogen),
    Signal(machine.cate_xml_start),
    Signal(machine.cate_encoded_data),
    Signal(repetition.frac_lines_dupe_lines),
    Signal(repetition.frac_chars_dupe_lines),
    *map(Signal, repetition.TOP_NGRAMS),
    *map(Signal, repetition.DUPLICATE_NGRAMS),
    Signal(strings.frac_lines_long_string, _CODE_DATA),
    Signal(strings.frac_chars_string_length, _CODE_DATA),
    Signal(strings.frac_chars_long_word_length, _CODE_DATA),
    Signal(comments.frac_chars_comments, _CODE_DATA),
    Signal(comments.frac_lines_prompt_comments, _CODE_DATA),
    Signal(comments.frac_lines_assert, _CODE),
    Signal(natural.num_sentences, _TEXT),
    Signal(natural.entropy_unigram, _TEXT),
    Signal(natural.frac_lines_end_with_readmore, _TEXT),
    Signal(natural.frac_lines_start_with_bullet, _TEXT),
    Signal(natural.frac_words_all_caps, _TEXT),
    Signal(natural.frac_words_full_bracket, _TEXT),
    Signal(natural.frac_chars_hyperlink_html_tag, _TEXT),
    *LANGUAGE_SIGNALS,
)

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in _TABLE}


class SignalValues(Mapping[str, float | None]):
    r"""The signals of one document by name, each computed when first looked up.

    What no rule asks for is never computed.

    >>> values = SignalValues("x = 1\n", "python", "code")
    >>> values["num_lines"], values["has_parse_error"]
    (1, 0.0)
    """

    def __init__(self, text: str, language: str | None, doc_type: str, path: str = "") -> None:
        self._document = Document(text, language, path)
        self._doc_type = doc_type
        self._known: dict[str, float | None] = {}

    def __getitem__(self, name: str) -> float | None:
        if name not in self._known:
            signal = SIGNALS[name]
            applies = self._doc_type in signal.doc_types
            self._known[name] = signal.function(self._document) if applies else None
        return self._known[name]

    @property
    def natural_language(self) -> str:
        """`zh` or `en`, as rules for prose tell them apart."""
        return self._document.natural_language

    @property
    def parser_failed(self) -> bool:
        """Whether a signal needed the parser and the parser died of the document: its signals mean nothing then."""
        return self._document.parser_failed

    @property
    def looked_up(self) -> Mapping[str, float | None]:
        """The values that somebody asked for until now."""
        return self._known

    def __iter__(self) -> Iterator[str]:
        return iter(SIGNALS)

    def __len__(self) -> int:
        return len(SIGNALS)


def compute(
    text: str, language: str | None, doc_type: str, names: Collection[str] = tuple(SIGNALS)
) -> dict[str, float | None]:
    r"""The named signals of one document, parsed at most once; raises UserError for a name that is no signal.

    >>> compute("x = 1\n", "python", "code", ["num_chars", "frac_bytes_error"])
    {'num_chars': 6, 'frac_bytes_error': 0.0}
    """
    unknown = sorted(set(names) - SIGNALS.keys())
    if unknown:
        raise UserError(f"no such quality signal: {', '.join(unknown)}", fix=f"use one of {', '.join(sorted(SIGNALS))}")
    values = SignalValues(text, language, doc_type)
    return {name: values[name] for name in names}


def first_failing(
    rules: Sequence[QualityRule],
    values: Mapping[str, float | None],
    language: str | None,
    doc_type: str,
    doc_id: str = "",
    natural_language: str = "en",
) -> tuple[str, float, float] | None:
    """The first rule in the order given that drops the document: (name, value, threshold); None keeps it.

    `doc_id` chooses the documents that rules with a probability drop.
    """
    for rule in rules:
        if rule.applies(language or "", doc_type, natural_language):
            value = values[rule.signal]
            if value is not None and rule.drops(value, doc_id):
                return rule.name, value, rule.threshold
    return None
