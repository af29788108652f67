"""Quality rules as plain data: which signal, compared how, drops a document.

Not the signals: `runtime.data.signals` computes them. This module names them with their ranges, so that the
compiler can refuse a misspelt signal or a threshold that can never be crossed without loading the runtime.

The thresholds of DEFAULT_RULES are those of the code published with OpenCoder (arXiv 2411.04905, Appendix A;
repository OpenCoder-llm/opc_data_filtering, pipeline/code_filter_config.py), which holds the paper's complete
list. Where a rule departs from the published one, a comment says how.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Literal

import attrs

Comparison = Literal[">", "<", "=="]

_COMPARE: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt, "==": operator.eq}

_COUNT = (0.0, math.inf)
_SHARE = (0.0, 1.0)

# Every signal with the lowest and the highest value that it can take. A flag is 0 or 1.
SIGNAL_RANGES: dict[str, tuple[float, float]] = {
    "size_file_byte": _COUNT,
    "num_chars": _COUNT,
    "num_lines": _COUNT,
    "num_chars_line_max": _COUNT,
    "num_chars_line_mean": _COUNT,
    "num_words": _COUNT,
    "mean_word_length": _COUNT,
    "frac_words_unique": _SHARE,
    "frac_chars_alphabet": _SHARE,
    "frac_chars_digital": _SHARE,
    "frac_chars_whitespace": _SHARE,
    "frac_chars_replacement_symbols": _SHARE,
    "frac_chars_hex_words": _SHARE,
    "frac_lines_dupe_lines": _SHARE,
    "cate_autogen": _SHARE,
    "cate_xml_start": _SHARE,
    "frac_chars_comments": _SHARE,
    "frac_lines_prompt_comments": _SHARE,
    "frac_lines_assert": _SHARE,
    "frac_lines_func_ratio": _COUNT,
    "frac_lines_import": _SHARE,
    "frac_bytes_error": _SHARE,
    "has_parse_error": _SHARE,
}


@attrs.frozen(kw_only=True)
class QualityRule:
    """Drop a document for which `signal comparison threshold` holds.

    `languages` empty means every language but `except_languages`. A signal without a value for a document
    (None: not applicable) never drops it.

    >>> rule = QualityRule(name="short", signal="num_chars", comparison="<", threshold=50)
    >>> rule.drops(49.0), rule.drops(50.0), rule.drops(None)
    (True, False, False)
    >>> rule.applies("python", "code"), rule.applies("json", "data")
    (True, False)
    """

    name: str
    signal: str
    comparison: Comparison
    threshold: float = attrs.field(converter=float)
    languages: tuple[str, ...] = ()
    doc_types: tuple[str, ...] = ("code",)
    except_languages: tuple[str, ...] = ()

    def applies(self, language: str | None, doc_type: str) -> bool:
        """Whether documents of this language and type are judged by this rule."""
        if doc_type not in self.doc_types or language in self.except_languages:
            return False
        return not self.languages or language in self.languages

    def drops(self, value: float | None) -> bool:
        """Whether a document with this value of the signal is dropped."""
        return value is not None and _COMPARE[self.comparison](value, self.threshold)


def _rule(
    name: str,
    signal: str,
    comparison: Comparison,
    threshold: float,
    doc_types: tuple[str, ...] = ("code",),
    **languages: tuple[str, ...],
) -> QualityRule:
    """One row of the table below."""
    return QualityRule(
        name=name, signal=signal, comparison=comparison, threshold=threshold, doc_types=doc_types, **languages
    )


_CODE_DATA = ("code", "data")
_ALL = ("code", "data", "text")
_TEXT = ("text",)
# Languages whose function share the published filter judges, less C#, for which no grammar is installed.
_FUNC_RATIO = ("python", "c", "cpp", "go", "java", "javascript")

# In this order: the first rule that a document fails is the one that is written down for it. Cheap signals
# come first, so that a document dropped by them is never parsed. Code, data and text rules are the published
# configurations `others`, `data` and `en`; a rule for one language is from that language's configuration.
DEFAULT_RULES: tuple[QualityRule, ...] = (
    _rule("num_chars_min", "num_chars", "<", 50, _ALL),
    _rule("num_chars_max_data", "num_chars", ">", 5_000, ("data",)),
    _rule("size_file_byte_max", "size_file_byte", ">", 3e6, _CODE_DATA),
    _rule("num_lines_min", "num_lines", "<", 10, _ALL),
    _rule("num_lines_max", "num_lines", ">", 100_000, _CODE_DATA),
    _rule("num_chars_line_max", "num_chars_line_max", ">", 1_000, _CODE_DATA),
    _rule("num_chars_line_mean_min", "num_chars_line_mean", "<", 5, _CODE_DATA),
    _rule("num_chars_line_mean_max", "num_chars_line_mean", ">", 100, _CODE_DATA),
    _rule("num_words_min", "num_words", "<", 30, _CODE_DATA),
    _rule("num_words_min_text", "num_words", "<", 50, _TEXT),
    _rule("mean_word_length_min", "mean_word_length", "<", 2, _CODE_DATA),
    _rule("mean_word_length_min_text", "mean_word_length", "<", 3, _TEXT),
    _rule("mean_word_length_max", "mean_word_length", ">", 10, _ALL),
    _rule("frac_words_unique_min_data", "frac_words_unique", "<", 0.4, ("data",)),
    _rule("frac_chars_replacement_symbols_max", "frac_chars_replacement_symbols", ">", 0.01, _ALL),
    _rule("frac_chars_alphabet_min", "frac_chars_alphabet", "<", 0.5, _ALL),
    _rule("frac_chars_digital_max", "frac_chars_digital", ">", 0.2, _ALL, except_languages=("sql",)),
    _rule("frac_chars_digital_max_sql", "frac_chars_digital", ">", 0.3, languages=("sql",)),
    _rule("frac_chars_whitespace_max", "frac_chars_whitespace", ">", 0.5, _ALL),
    _rule("cate_xml_start", "cate_xml_start", "==", 1, _CODE_DATA),
    # Published: also the bare word "generate" near the top, which drops files that merely mention it.
    _rule("cate_autogen", "cate_autogen", "==", 1, _CODE_DATA),
    _rule("frac_chars_hex_words_max", "frac_chars_hex_words", ">", 0.4, _ALL),
    _rule("frac_lines_dupe_lines_max", "frac_lines_dupe_lines", ">", 0.7, _CODE_DATA),
    _rule("frac_lines_dupe_lines_max_text", "frac_lines_dupe_lines", ">", 0.6, _TEXT),
    _rule("frac_chars_comments_max", "frac_chars_comments", ">", 0.8, _CODE_DATA, except_languages=("html",)),
    # Published: counts "todo" inside words too; here it is a word of its own.
    _rule("frac_lines_prompt_comments_max", "frac_lines_prompt_comments", ">", 0.01, except_languages=("html",)),
    _rule("frac_lines_assert_max", "frac_lines_assert", ">", 0.4, except_languages=("shell", "go", "html")),
    # Published for C, C++, Go and Java by regular expressions that take calls for functions; here by the
    # grammar.
    _rule("frac_lines_func_ratio_max", "frac_lines_func_ratio", ">", 0.2, languages=_FUNC_RATIO),
    # Published: lines that hold the letters "import"; here import statements.
    _rule("frac_lines_import_max", "frac_lines_import", ">", 0.3, languages=("python",)),
    # Published: the running interpreter's ast (Python) or esprima 4 (JavaScript), which refuse Python 2 and
    # modern JavaScript; here the grammar finds an error. HTML is left out: its grammar is stricter than
    # browsers.
    _rule("has_parse_error", "has_parse_error", "==", 1, languages=("python", "javascript")),
)
