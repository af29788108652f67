"""Quality signals: numbers about one document, each a small function, all in the table SIGNALS.

Not the rules: `compiler.quality_rules` says which value drops a document, as data. A signal never raises and
never depends on a clock, on other documents or on the order of computation; None means that it does not
apply, and then no rule fires. Names and definitions follow the filter published with OpenCoder (arXiv
2411.04905, Appendix A); departures are said where they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property

import attrs

from compiler.errors import UserError
from compiler.quality_rules import SIGNAL_RANGES, QualityRule
from runtime.data import treesitter
from runtime.data.languages import CommentSyntax, comment_syntax
from runtime.data.treesitter import Span, Structure

# ---------------------------------------------------------------- the document, as signals see it

_ASCII = range(128)
_SPACES = bytes(code for code in _ASCII if chr(code).isspace())
_NOT_LETTERS = bytes(code for code in range(256) if not (code < 128 and chr(code).isalpha()))
_NOT_DIGITS = bytes(code for code in range(256) if not (code < 128 and chr(code).isdigit()))
# Lower case; everything but letters and digits becomes a space.
_WORDS = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
_WORD = re.compile(r"[^\W_]+")
_ASCII_RUN = re.compile(r"[\x00-\x7f]+")


class Document:
    """One document and what several signals share, each computed when first asked for."""

    def __init__(self, text: str, language: str | None) -> None:
        self.text = text
        self.language = language

    @cached_property
    def raw(self) -> bytes:
        """The text in UTF-8."""
        return self.text.encode("utf-8", "replace")

    @cached_property
    def lines(self) -> list[str]:
        """Lines without their newline; a newline at the end opens no further line."""
        lines = self.text.split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    @cached_property
    def not_ascii(self) -> str:
        """The characters beyond ASCII, in order."""
        return "" if self.text.isascii() else _ASCII_RUN.sub("", self.text)

    @cached_property
    def num_visible(self) -> int:
        """Characters that are not white space."""
        ascii_spaces = len(self.raw) - len(self.raw.translate(None, _SPACES))
        return len(self.text) - ascii_spaces - sum(map(str.isspace, self.not_ascii))

    @cached_property
    def words(self) -> Sequence[str] | Sequence[bytes]:
        """Runs of letters and digits, in lower case."""
        if self.not_ascii:
            return _WORD.findall(self.text.lower())
        return self.raw.translate(_WORDS).split()

    @cached_property
    def structure(self) -> Structure | None:
        """What the parser found, or None where the language has no grammar."""
        return treesitter.structure(self.raw, self.language) if self.language else None

    @cached_property
    def comments(self) -> tuple[Span, ...] | None:
        """Comments and docstrings as byte spans, or None where the language's comments are not known."""
        if self.structure is not None:
            return self.structure.comments
        syntax = comment_syntax(self.language)
        return None if syntax is None else tuple(_scan_comments(self.raw, syntax))

    @cached_property
    def code(self) -> bytes:
        """The text without its comments."""
        kept, position = [], 0
        for start, end in self.comments or ():
            kept.append(self.raw[position:start])
            position = end
        return b"".join((*kept, self.raw[position:]))

    @cached_property
    def code_lines(self) -> list[bytes]:
        """Lines of the code that are not blank, all white space taken out."""
        squeezed = self.code.translate(None, _SPACES.replace(b"\n", b""))
        return [line for line in squeezed.split(b"\n") if line]


def _scan_comments(raw: bytes, syntax: CommentSyntax) -> Iterator[Span]:
    """Comments that begin a line, for languages without a grammar; one after code on its line is not seen."""
    line_markers = tuple(marker.encode() for marker in syntax.line)
    position, closing = 0, b""
    for line in raw.split(b"\n"):
        body = line.lstrip()
        if not closing:
            closing = next((end.encode() for start, end in syntax.block if body.startswith(start.encode())), b"")
            comment = bool(closing) or body.startswith(line_markers)
        else:
            comment = True
        if comment:
            yield position, position + len(line)
        if closing and closing in line:
            closing = b""
        position += len(line) + 1


# ---------------------------------------------------------------- size and composition


def size_file_byte(document: Document) -> float:
    """Bytes in UTF-8."""
    return len(document.raw)


def num_chars(document: Document) -> float:
    """Characters."""
    return len(document.text)


def num_lines(document: Document) -> float:
    """Lines."""
    return len(document.lines)


def num_chars_line_max(document: Document) -> float:
    """Characters of the longest line, its newline counted."""
    longest = max(map(len, document.lines), default=0)
    return min(longest + 1, len(document.text))


def num_chars_line_mean(document: Document) -> float | None:
    """Characters a line, newlines counted."""
    return _ratio(len(document.text), len(document.lines))


def num_words(document: Document) -> float:
    """Runs of letters and digits."""
    return len(document.words)


def mean_word_length(document: Document) -> float | None:
    """Characters a word."""
    return _ratio(sum(map(len, document.words)), len(document.words))


def frac_words_unique(document: Document) -> float | None:
    """Different words, in lower case, over all words."""
    return _ratio(len(set(document.words)), len(document.words))


def frac_chars_alphabet(document: Document) -> float:
    """Letters of any script over visible characters; 0 where nothing is visible."""
    letters = len(document.raw.translate(None, _NOT_LETTERS)) + sum(map(str.isalpha, document.not_ascii))
    return _ratio(letters, document.num_visible) or 0.0


def frac_chars_digital(document: Document) -> float:
    """Digits over visible characters; 1 where nothing is visible."""
    digits = len(document.raw.translate(None, _NOT_DIGITS)) + sum(map(str.isdigit, document.not_ascii))
    return 1.0 if document.num_visible == 0 else digits / document.num_visible


def frac_chars_whitespace(document: Document) -> float | None:
    """White space over characters."""
    return _ratio(len(document.text) - document.num_visible, len(document.text))


def frac_chars_replacement_symbols(document: Document) -> float | None:
    """U+FFFD, what a failed decoding leaves, over characters."""
    return _ratio(document.text.count("\ufffd"), len(document.text))


_HEX_WORD = re.compile(rb"\b0[xX][0-9a-fA-F]+\b")


def frac_chars_hex_words(document: Document) -> float | None:
    """Bytes in words such as 0x1f over the bytes of the code."""
    if b"0x" not in document.raw and b"0X" not in document.raw:
        return _ratio(0, len(document.code))
    return _ratio(sum(map(len, _HEX_WORD.findall(document.code))), len(document.code))


def frac_lines_dupe_lines(document: Document) -> float | None:
    """Code lines that occur more than once, all copies, over code lines; `},` never counts."""
    seen = Counter(document.code_lines)
    repeated = sum(n for line, n in seen.items() if n > 1 and len(line) > 1 and line != b"},")
    return _ratio(repeated, len(document.code_lines))


# ---------------------------------------------------------------- files that are no code to learn from

# The published filter also takes the bare word "generate" for a sign of a generated file; that is left out.
_AUTOGEN = re.compile(
    r"auto-?generated|autogen\b|automatically[ -]generated|generated automatically"
    r"|this file (?:is|was) generated|code generated by|@generated\b|do not edit",
    re.IGNORECASE,
)


def cate_autogen(document: Document) -> float:
    """1 if the first 200 characters say that the file was generated."""
    return float(_AUTOGEN.search(document.text, 0, 200) is not None)


def cate_xml_start(document: Document) -> float:
    """1 if an XML declaration stands in the first 100 characters."""
    return float("<?xml" in document.text[:100].lower())


# ---------------------------------------------------------------- comments and asserts


def frac_chars_comments(document: Document) -> float | None:
    """Characters in comments and docstrings over characters."""
    if document.comments is None:
        return None
    chars = len(document.text) - len(document.code.decode("utf-8", "ignore"))
    return _ratio(max(chars, 0), len(document.text))


_PROMPT = re.compile(rb"\b(?:todo|fixme)\b|your code here")


def frac_lines_prompt_comments(document: Document) -> float | None:
    """Comment lines with a word "todo" or "fixme", or with "your code here", over lines."""
    if document.comments is None:
        return None
    lower = document.raw.lower()
    if not any(phrase in lower for phrase in (b"todo", b"fixme", b"your code here")):
        return _ratio(0, len(document.lines))
    lines = (line for start, end in document.comments for line in lower[start:end].split(b"\n"))
    found = sum(_PROMPT.search(line) is not None for line in lines)
    return _ratio(min(found, len(document.lines)), len(document.lines))


def frac_lines_assert(document: Document) -> float | None:
    """Code lines that contain "assert", in any case, over code lines."""
    if b"assert" not in document.code.lower():
        return _ratio(0, len(document.code_lines))
    return _ratio(sum(b"assert" in line.lower() for line in document.code_lines), len(document.code_lines))


# ---------------------------------------------------------------- structure (languages with a grammar)


def frac_lines_func_ratio(document: Document) -> float | None:
    """Functions and methods that have a name and a body over code lines; a minified file can exceed 1."""
    if document.structure is None or not treesitter.GRAMMARS[document.language or ""].functions:
        return None
    return _ratio(document.structure.functions, len(document.code_lines))


def frac_lines_import(document: Document) -> float | None:
    """Lines of import statements over code lines."""
    if document.structure is None or not treesitter.GRAMMARS[document.language or ""].imports:
        return None
    spans = document.structure.imports
    lines = sum(document.raw[start:end].rstrip().count(b"\n") + 1 for start, end in spans)
    return _ratio(min(lines, len(document.code_lines)), len(document.code_lines))


def frac_bytes_error(document: Document) -> float | None:
    """Bytes under nodes that the grammar could not make sense of over bytes."""
    if document.structure is None:
        return None
    return _ratio(document.structure.error_bytes, len(document.raw))


def has_parse_error(document: Document) -> float | None:
    """1 if the grammar found an error anywhere."""
    return None if document.structure is None else float(document.structure.has_error)


def _ratio(part: float, whole: float) -> float | None:
    """Part over whole, None where there is no whole."""
    return part / whole if whole else None


# ---------------------------------------------------------------- the table


@attrs.frozen
class Signal:
    """A signal: its function, and the types of document that it makes sense for."""

    function: Callable[[Document], float | None]
    doc_types: tuple[str, ...] = ("code", "data", "text")

    @property
    def name(self) -> str:
        """What rules call it: the function's name."""
        return self.function.__name__

    @property
    def doc(self) -> str:
        """What it measures, in one line."""
        return self.function.__doc__ or ""

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value that it can take."""
        return SIGNAL_RANGES[self.name]


_CODE_DATA = ("code", "data")
_CODE = ("code",)

SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal(size_file_byte),
        Signal(num_chars),
        Signal(num_lines),
        Signal(num_chars_line_max),
        Signal(num_chars_line_mean),
        Signal(num_words),
        Signal(mean_word_length),
        Signal(frac_words_unique),
        Signal(frac_chars_alphabet),
        Signal(frac_chars_digital),
        Signal(frac_chars_whitespace),
        Signal(frac_chars_replacement_symbols),
        Signal(frac_chars_hex_words),
        Signal(frac_lines_dupe_lines),
        Signal(cate_autogen),
        Signal(cate_xml_start),
        Signal(frac_chars_comments, _CODE_DATA),
        Signal(frac_lines_prompt_comments, _CODE_DATA),
        Signal(frac_lines_assert, _CODE),
        Signal(frac_lines_func_ratio, _CODE),
        Signal(frac_lines_import, _CODE),
        Signal(frac_bytes_error, _CODE),
        Signal(has_parse_error, _CODE),
    )
}


class SignalValues(Mapping[str, float | None]):
    r"""The signals of one document by name, each computed when first looked up.

    What no rule asks for is never computed.

    >>> values = SignalValues("x = 1\n", "python", "code")
    >>> values["num_lines"], values["has_parse_error"]
    (1, 0.0)
    """

    def __init__(self, text: str, language: str | None, doc_type: str) -> None:
        self._document = Document(text, language)
        self._doc_type = doc_type
        self._known: dict[str, float | None] = {}

    def __getitem__(self, name: str) -> float | None:
        if name not in self._known:
            signal = SIGNALS[name]
            applies = self._doc_type in signal.doc_types
            self._known[name] = signal.function(self._document) if applies else None
        return self._known[name]

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
    rules: Sequence[QualityRule], values: Mapping[str, float | None], language: str | None, doc_type: str
) -> tuple[str, float, float] | None:
    """The first rule in the order given that drops the document: (name, value, threshold); None keeps it."""
    for rule in rules:
        if rule.applies(language or "", doc_type):
            value = values[rule.signal]
            if value is not None and rule.drops(value):
                return rule.name, value, rule.threshold
    return None
