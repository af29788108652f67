"""Rules for prose alone: documents of type text.

They are the published configurations `en` and `zh`; a document is `zh` if more than half of its letters are Han
ideographs, else `en`. What both have in common with code stands in `general`.
"""

from __future__ import annotations

from compiler.quality_rules.rule import QualityRule, rule

_TEXT = ("text",)
_EN = ("en",)
_ZH = ("zh",)

NATURAL_RULES: tuple[QualityRule, ...] = (
    rule("num_words_min_text", "num_words", "<", 50, _TEXT),
    rule("num_sentences_one_text", "num_sentences", "==", 1, _TEXT),
    rule("mean_word_length_min_text", "mean_word_length", "<", 3, _TEXT, natural_languages=_EN),
    rule("mean_word_length_min_zh", "mean_word_length", "<", 1.3, _TEXT, natural_languages=_ZH),
    rule("entropy_unigram_min_text", "entropy_unigram", "<", 3, _TEXT),
    rule(
        "frac_lines_end_with_readmore_max_text", "frac_lines_end_with_readmore", ">", 0.1, _TEXT, natural_languages=_EN
    ),
    rule("frac_lines_end_with_readmore_max_zh", "frac_lines_end_with_readmore", ">", 0.3, _TEXT, natural_languages=_ZH),
    rule("frac_lines_start_with_bullet_max_text", "frac_lines_start_with_bullet", ">", 0.9, _TEXT),
    rule("frac_words_all_caps_max_text", "frac_words_all_caps", ">", 0.5, _TEXT, natural_languages=_EN),
    rule("frac_words_full_bracket_max_zh", "frac_words_full_bracket", ">", 0.1, _TEXT, natural_languages=_ZH),
    rule("frac_chars_hyperlink_html_tag_max_text", "frac_chars_hyperlink_html_tag", ">", 0.5, _TEXT),
    rule("frac_lines_dupe_lines_max_text", "frac_lines_dupe_lines", ">", 0.6, _TEXT),
    rule("frac_chars_dupe_lines_max_text", "frac_chars_dupe_lines", ">", 0.5, _TEXT),
    rule("frac_chars_dupe_5grams_max_text", "frac_chars_dupe_5grams", ">", 0.6, _TEXT),
    rule("frac_chars_dupe_6grams_max_text", "frac_chars_dupe_6grams", ">", 0.6, _TEXT),
    rule("frac_chars_dupe_7grams_max_text", "frac_chars_dupe_7grams", ">", 0.6, _TEXT),
    rule("frac_chars_dupe_8grams_max_text", "frac_chars_dupe_8grams", ">", 0.6, _TEXT),
    rule("frac_chars_dupe_9grams_max_text", "frac_chars_dupe_9grams", ">", 0.6, _TEXT),
)

_ZH_NOTE = "Published: a language identifier tells Chinese; here the share of Han ideographs among the letters does."

# Where a rule departs from the published code, by the rule's name.
NATURAL_NOTES: dict[str, str] = {
    "mean_word_length_min_zh": _ZH_NOTE + " Words are jieba's, without conversion to simplified characters first.",
    "frac_words_full_bracket_max_zh": _ZH_NOTE,
    "frac_lines_end_with_readmore_max_zh": _ZH_NOTE,
    "frac_lines_end_with_readmore_max_text": 'Here also the English "read more".',
    "frac_lines_dupe_lines_max_text": "Published: stripped lines; here, as for code, white space is taken out, lines of"
    " one character never count, and comments are left out where mark-up has them.",
}
