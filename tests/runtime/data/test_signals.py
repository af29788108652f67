"""Quality signals and the default rules: every rule drops one document made for it and keeps a good one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.quality_rules import DEFAULT_RULES, SIGNAL_RANGES, QualityRule
from runtime.data import signals
from runtime.data.languages import doc_type, language_of
from runtime.data.signals import SIGNALS, SignalValues, compute, first_failing

FIXTURES = Path(__file__).parents[2] / "fixtures" / "signals"
# Named RULE.EXTENSION.txt: they are data, not modules to import or lint.
GOOD = sorted(FIXTURES.glob("good.*.txt"))

# Documents too large to be files.
LARGE = {
    "num_chars_max_data": ("json", "[\n" + ",\n".join(f'"word {i * 7919}"' for i in range(400)) + "\n]\n"),
    "size_file_byte_max": ("python", "value = other_value + 1\n" * 130_000),
    "num_lines_max": ("python", "x = yy\n" * 100_001),
}
BAD_FILES = sorted(set(FIXTURES.glob("*.txt")) - set(GOOD))
BAD = [
    *((path.name.split(".")[0], path.stem, path.read_text(encoding="utf-8")) for path in BAD_FILES),
    *((rule, f"generated.{language}", text) for rule, (language, text) in LARGE.items()),
]


def verdict(name: str, text: str):
    """What the default rules say of a file with this name."""
    language = {"generated.python": "python", "generated.json": "json"}.get(name) or language_of(name)
    kind = doc_type(language)
    return first_failing(DEFAULT_RULES, SignalValues(text, language, kind), language, kind)


def value(name: str, text: str, language: str | None = "python", kind: str = "code") -> float | None:
    """One signal."""
    return compute(text, language, kind, [name])[name]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_a_good_document_passes_every_rule(path):
    """One document for each configuration: code, a language of its own, data and text."""
    assert verdict(path.stem, path.read_text(encoding="utf-8")) is None


@pytest.mark.parametrize(("rule", "name", "text"), BAD, ids=[f"{rule}-{name}" for rule, name, _ in BAD])
def test_a_bad_document_is_dropped_by_the_rule_made_for_it(rule, name, text):
    """The first rule in the declared order decides, with the value and the threshold that decided."""
    failing = verdict(name, text)
    assert failing is not None
    by_name = {rule.name: rule for rule in DEFAULT_RULES}
    assert failing[0] == rule
    assert failing[2] == by_name[rule].threshold
    assert by_name[rule].drops(failing[1])


def test_every_default_rule_has_a_document_that_it_drops():
    """A rule without a failing document could be dead, as two of the published ones are."""
    assert {rule for rule, _, _ in BAD} == {rule.name for rule in DEFAULT_RULES}


def test_rules_are_well_formed():
    """Names are unique, signals exist, and thresholds lie where the signal can cross them."""
    assert len({rule.name for rule in DEFAULT_RULES}) == len(DEFAULT_RULES)
    for rule in DEFAULT_RULES:
        low, high = SIGNAL_RANGES[rule.signal]
        assert low <= rule.threshold <= high
        assert set(rule.doc_types) & set(SIGNALS[rule.signal].doc_types)


def test_the_compiler_and_the_runtime_know_the_same_signals():
    """The compiler checks names against ranges, the runtime computes: one list each, never apart."""
    assert SIGNALS.keys() == SIGNAL_RANGES.keys()
    assert all(signal.doc and signal.range == SIGNAL_RANGES[name] for name, signal in SIGNALS.items())


def test_the_order_of_rules_decides_not_the_order_of_values():
    """Two rules that both fail: the first one is reported."""
    rules = [
        QualityRule(name="second", signal="num_lines", comparison="<", threshold=10),
        QualityRule(name="first", signal="num_chars", comparison="<", threshold=50),
    ]
    values = {"num_chars": 1.0, "num_lines": 1.0}
    assert first_failing(rules, values, "python", "code") == ("second", 1.0, 10)
    assert first_failing(rules[::-1], values, "python", "code") == ("first", 1.0, 50)


def test_a_signal_without_a_value_drops_nothing():
    """No grammar for COBOL: rules about functions don't fire, whatever their threshold."""
    rule = QualityRule(name="any", signal="frac_lines_func_ratio", comparison="<", threshold=9.0)
    values = SignalValues("IDENTIFICATION DIVISION.\n", "cobol", "code")
    assert values["frac_lines_func_ratio"] is None
    assert first_failing([rule], values, "cobol", "code") is None


def test_an_unknown_signal_is_a_user_error_with_the_choices():
    """The message names the misspelt signal and lists the real ones."""
    with pytest.raises(UserError, match="num_character") as error:
        compute("", None, "code", ["num_character"])
    assert "num_chars" in error.value.fix


def test_the_text_is_parsed_at_most_once_and_only_when_asked(monkeypatch):
    """Signals of the text alone don't parse; those of the tree share one parse."""
    calls = []
    real = signals.treesitter.structure
    monkeypatch.setattr(signals.treesitter, "structure", lambda *args: calls.append(1) or real(*args))
    values = SignalValues("def f():\n    return 1  # one\n", "python", "code")
    assert values["num_chars"] == 29
    assert calls == []
    assert values["frac_chars_comments"] == pytest.approx(5 / 29)
    assert values["has_parse_error"] == 0.0
    assert calls == [1]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("size_file_byte", "é\n", 3),
        ("num_chars", "é\n", 2),
        ("num_lines", "a\n\nb", 3),
        ("num_lines", "a\n", 1),
        ("num_lines", "", 0),
        ("num_chars_line_max", "ab\nabcd\n", 5),
        ("num_chars_line_max", "abcd", 4),
        ("num_chars_line_mean", "ab\nabcd\n", 4.0),
        ("num_words", "foo_bar(x1)", 3),
        ("mean_word_length", "ab abcd", 3.0),
        ("mean_word_length", "...", None),
        ("frac_words_unique", "a A b", 2 / 3),
        ("frac_chars_alphabet", "ab 12", 0.5),
        ("frac_chars_alphabet", "éé 12", 0.5),
        ("frac_chars_alphabet", "", 0.0),
        ("frac_chars_digital", "ab 12", 0.5),
        ("frac_chars_digital", " ", 1.0),
        ("frac_chars_whitespace", "a \u3000\n", 0.75),
        ("frac_chars_replacement_symbols", "a\ufffd", 0.5),
        ("frac_chars_hex_words", "x=0xFF", 4 / 6),
        ("frac_lines_dupe_lines", "a=1\na = 1\nb=2\n}\n}\n", 2 / 5),
        ("cate_autogen", "# Code generated by protoc. DO NOT EDIT.\n", 1.0),
        ("cate_autogen", "# Generate a report for the board.\n", 0.0),
        ("cate_autogen", "x = 1\n" * 50 + "# do not edit\n", 0.0),
        ("cate_xml_start", '\n<?xml version="1.0"?>', 1.0),
        ("frac_chars_comments", '"""Doc."""\nx=1\n', 10 / 15),
        ("frac_chars_comments", "# é\n", 3 / 4),
        ("frac_lines_prompt_comments", "# todo: x\ny = 1\n", 0.5),
        ("frac_lines_prompt_comments", "# autodoc\ntodo = 1\n", 0.0),
        ("frac_lines_assert", "assert x\n# assert\ny = 1\n", 0.5),
        ("frac_lines_func_ratio", "async def f():\n    pass\n\n# c\n", 0.5),
        ("frac_lines_import", "from a import (\n    b,\n)\nimporter = 1\n", 3 / 4),
        ("has_parse_error", "print 'Python 2'\n", 0.0),
        ("has_parse_error", "def f(:\n", 1.0),
        ("frac_bytes_error", "x = 1\n", 0.0),
    ],
)
def test_the_value_of_a_signal_on_a_small_text(name, text, expected):
    """By hand."""
    assert value(name, text) == (None if expected is None else pytest.approx(expected))


def test_calls_are_not_counted_as_functions():
    """The regular expression of the published filter took `return add(1)` for a function."""
    text = "int main(void) {\n  return add(1);\n}\n"
    assert value("frac_lines_func_ratio", text, "c") == pytest.approx(1 / 3)


def test_modern_javascript_parses():
    """Optional chaining, nullish coalescing, class fields, private names, numeric separators and JSX."""
    text = "class A { #x = 1_000; y = this.#x ?? 2; f() { return <b>{this?.y}</b>; } }\n"
    assert value("has_parse_error", text, "javascript") == 0.0


def test_one_line_comment_does_not_open_a_block():
    """In a language without a grammar, twenty lines of code after one comment are code."""
    text = "// once\n" + "val x = compute()\n" * 20
    assert value("frac_chars_comments", text, "kotlin") == pytest.approx(7 / len(text))


def test_block_comments_without_a_grammar():
    """A block lasts to its closing marker."""
    text = "/* one\n two */\nval x = 1\n"
    assert value("frac_chars_comments", text, "kotlin") == pytest.approx(13 / len(text))


LANGUAGES = sorted(signals.treesitter.GRAMMARS)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.sampled_from([*signals.treesitter.GRAMMARS, "kotlin", "json", "markdown", None]))
def test_signals_never_raise_and_stay_in_range(text, language):
    """Any text in any language; every value lies in the declared range."""
    for kind in ("code", "data", "text"):
        for name, found in compute(text, language, kind).items():
            low, high = SIGNAL_RANGES[name]
            assert found is None or low <= found <= high, name


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=200))
def test_ascii_text_is_counted_like_any_other(text):
    """The quick path for ASCII and the general one agree on the same text with e or é at its end."""
    wider = text + " é"
    for name in ("num_words", "frac_chars_alphabet", "frac_chars_digital", "frac_chars_whitespace"):
        narrow = value(name, text + " e", "python")
        assert value(name, wider, "python") == narrow, name


@pytest.mark.parametrize("text", ["\0" * 20_000, "(" * 100_000, "[" * 100_000, '"' * 100_001, "x" * 2_000_000])
def test_hostile_documents_take_bounded_time(text):
    """NUL bytes, deep nesting and a line of two megabytes."""
    start = time.process_time()
    compute(text, "python", "code")
    assert time.process_time() - start < 10
