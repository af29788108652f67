"""Rules for code and data of every language: size, composition, repetition, strings, comments.

Those that judge prose alike (`_ALL`) stand here too; `natural` holds those for prose alone.
"""

from __future__ import annotations

from compiler.quality_rules.rule import QualityRule, rule

_CODE_DATA = ("code", "data")
_ALL = ("code", "data", "text")

_HTML = ("html",)
_STRINGS_OFF = ("shell", "html")

# Code and data rules are the published configurations `others` and `data`; a rule for one language, or an
# exception, is from that language's configuration. Cheap signals come first.
GENERAL_RULES: tuple[QualityRule, ...] = (
    rule("num_chars_min", "num_chars", "<", 50, _ALL),
    rule("num_chars_max_data", "num_chars", ">", 5_000, ("data",)),
    rule("size_file_byte_max", "size_file_byte", ">", 3e6, _CODE_DATA),
    rule("num_lines_min", "num_lines", "<", 10, _ALL),
    rule("num_lines_max", "num_lines", ">", 100_000, _CODE_DATA),
    rule("num_chars_line_max", "num_chars_line_max", ">", 1_000, _CODE_DATA),
    rule("num_chars_line_mean_min", "num_chars_line_mean", "<", 5, _CODE_DATA),
    rule("num_chars_line_mean_max", "num_chars_line_mean", ">", 100, _CODE_DATA),
    rule("num_words_min", "num_words", "<", 30, _CODE_DATA),
    rule("mean_word_length_min", "mean_word_length", "<", 2, _CODE_DATA),
    rule("mean_word_length_max", "mean_word_length", ">", 10, _ALL),
    rule("frac_words_unique_min_data", "frac_words_unique", "<", 0.4, ("data",)),
    rule("frac_chars_replacement_symbols_max", "frac_chars_replacement_symbols", ">", 0.01, _ALL),
    rule("frac_chars_alphabet_min", "frac_chars_alphabet", "<", 0.5, _ALL),
    rule("frac_chars_digital_max", "frac_chars_digital", ">", 0.2, _ALL, except_languages=("sql",)),
    rule("frac_chars_digital_max_sql", "frac_chars_digital", ">", 0.3, languages=("sql",)),
    rule("frac_chars_whitespace_max", "frac_chars_whitespace", ">", 0.5, _ALL),
    rule("cate_xml_start", "cate_xml_start", "==", 1, _CODE_DATA),
    rule("cate_autogen", "cate_autogen", "==", 1, _CODE_DATA),
    rule("frac_chars_top_2grams_max", "frac_chars_top_2grams", ">", 0.20, _ALL),
    rule("frac_chars_top_3grams_max", "frac_chars_top_3grams", ">", 0.18, _ALL),
    rule("frac_chars_top_4grams_max", "frac_chars_top_4grams", ">", 0.16, _ALL),
    rule("frac_chars_dupe_5grams_max", "frac_chars_dupe_5grams", ">", 0.80, _CODE_DATA, except_languages=_HTML),
    rule("frac_chars_dupe_6grams_max", "frac_chars_dupe_6grams", ">", 0.70, _CODE_DATA, except_languages=_HTML),
    rule("frac_chars_dupe_7grams_max", "frac_chars_dupe_7grams", ">", 0.70, _CODE_DATA, except_languages=_HTML),
    rule("frac_chars_dupe_8grams_max", "frac_chars_dupe_8grams", ">", 0.70, _CODE_DATA, except_languages=_HTML),
    rule("frac_chars_dupe_9grams_max", "frac_chars_dupe_9grams", ">", 0.70, _CODE_DATA, except_languages=_HTML),
    rule("frac_chars_dupe_5grams_max_html", "frac_chars_dupe_5grams", ">", 0.60, languages=_HTML),
    rule("frac_chars_dupe_6grams_max_html", "frac_chars_dupe_6grams", ">", 0.60, languages=_HTML),
    rule("frac_chars_dupe_7grams_max_html", "frac_chars_dupe_7grams", ">", 0.60, languages=_HTML),
    rule("frac_chars_dupe_8grams_max_html", "frac_chars_dupe_8grams", ">", 0.60, languages=_HTML),
    rule("frac_chars_dupe_9grams_max_html", "frac_chars_dupe_9grams", ">", 0.60, languages=_HTML),
    rule("frac_chars_dupe_10grams_max", "frac_chars_dupe_10grams", ">", 0.60, _ALL),
    rule("cate_encoded_data", "cate_encoded_data", "==", 1, _CODE_DATA),
    # From here on the syntax tree is needed, where there is a grammar.
    rule("frac_chars_hex_words_max", "frac_chars_hex_words", ">", 0.4, _ALL),
    rule("frac_lines_dupe_lines_max", "frac_lines_dupe_lines", ">", 0.7, _CODE_DATA),
    rule("frac_lines_long_string_max", "frac_lines_long_string", ">", 0.2, except_languages=_STRINGS_OFF),
    rule("frac_chars_string_length_max", "frac_chars_string_length", ">", 0.6, except_languages=_STRINGS_OFF),
    rule(
        "frac_chars_long_word_length_max", "frac_chars_long_word_length", ">", 0.4, _CODE_DATA, except_languages=_HTML
    ),
    rule("frac_chars_comments_max", "frac_chars_comments", ">", 0.8, _CODE_DATA, except_languages=_HTML),
    rule("frac_lines_prompt_comments_max", "frac_lines_prompt_comments", ">", 0.01, except_languages=_HTML),
    rule("frac_lines_assert_max", "frac_lines_assert", ">", 0.4, except_languages=("shell", "go", "html")),
)

_STRINGS = (
    "Published: string tokens of Pygments; here the grammar's string nodes, docstrings not among them, or, for a"
    " language without a grammar, a scanner for quotes on one line."
)
_COMMENTS = (
    "Published: Pygments, or a scanner in which one line comment could open a block; here the grammar's comments and"
    " docstrings, or, for a language without a grammar, a scanner for comments that begin a line."
)
_TOP = "At most 1 here: overlapping occurrences of one n-gram are counted again."

# Where a rule departs from the published code, by the rule's name.
GENERAL_NOTES: dict[str, str] = {
    "cate_autogen": 'Published: also the bare word "generate" near the top, which drops files that merely mention it.',
    "cate_encoded_data": "Here a run of base64 needs upper case, lower case and a digit, and unprefixed pairs such as"
    " `1f 2e` a letter, so that rulers of slashes and tables of decimal numbers don't count.",
    "frac_chars_top_2grams_max": _TOP,
    "frac_chars_top_3grams_max": _TOP,
    "frac_chars_top_4grams_max": _TOP,
    "frac_lines_long_string_max": _STRINGS,
    "frac_chars_string_length_max": _STRINGS,
    "frac_chars_long_word_length_max": _STRINGS
    + " Published: no value after a second of matching; here always one. Here a host and a path without a scheme, as in"
    " Go's imports, counts as a URL too.",
    "frac_chars_comments_max": _COMMENTS,
    "frac_lines_prompt_comments_max": _COMMENTS + ' Published: counts "todo" inside words too; here it is a word.',
}
