"""The lowest and the highest value that a signal can take. Those of single languages stand in `languages`."""

from __future__ import annotations

import math

COUNT = (0.0, math.inf)
SHARE = (0.0, 1.0)

# The signals of every document, with the lowest and the highest value that they can take. A flag is 0 or 1.
GENERAL_RANGES: dict[str, tuple[float, float]] = {
    "size_file_byte": COUNT,
    "num_chars": COUNT,
    "num_lines": COUNT,
    "num_chars_line_max": COUNT,
    "num_chars_line_mean": COUNT,
    "num_words": COUNT,
    "mean_word_length": COUNT,
    "frac_words_unique": SHARE,
    "frac_chars_alphabet": SHARE,
    "frac_chars_digital": SHARE,
    "frac_chars_whitespace": SHARE,
    "frac_chars_replacement_symbols": SHARE,
    "frac_chars_hex_words": SHARE,
    "frac_lines_dupe_lines": SHARE,
    "frac_chars_dupe_lines": SHARE,
    "frac_chars_top_2grams": SHARE,
    "frac_chars_top_3grams": SHARE,
    "frac_chars_top_4grams": SHARE,
    "frac_chars_dupe_5grams": SHARE,
    "frac_chars_dupe_6grams": SHARE,
    "frac_chars_dupe_7grams": SHARE,
    "frac_chars_dupe_8grams": SHARE,
    "frac_chars_dupe_9grams": SHARE,
    "frac_chars_dupe_10grams": SHARE,
    "cate_autogen": SHARE,
    "cate_xml_start": SHARE,
    "cate_encoded_data": SHARE,
    "frac_lines_long_string": SHARE,
    "frac_chars_string_length": SHARE,
    "frac_chars_long_word_length": SHARE,
    "frac_chars_comments": SHARE,
    "frac_lines_prompt_comments": SHARE,
    "frac_lines_assert": SHARE,
    "num_sentences": COUNT,
    "entropy_unigram": (0.0, math.log(2**31)),  # nats; words are numbered in 31 bits
    "frac_lines_end_with_readmore": SHARE,
    "frac_lines_start_with_bullet": SHARE,
    "frac_words_all_caps": SHARE,
    "frac_words_full_bracket": SHARE,
    "frac_chars_hyperlink_html_tag": SHARE,
}
