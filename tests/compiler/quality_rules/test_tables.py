"""The tables of rules: well formed, complete against the published configurations, and as the reference says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from compiler.quality_rules import DEFAULT_RULES, NOTES, SIGNAL_RANGES
from runtime.data.languages import doc_type, known_languages
from runtime.data.signals import SIGNALS

SCRIPT = Path(__file__).parents[3] / "scripts" / "make_rules_reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The script that writes the reference."""
    loader = importlib.util.spec_from_file_location("make_rules_reference", SCRIPT)
    assert loader is not None and loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(reference: ModuleType) -> None:
    """If this fails, run the script."""
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


@pytest.mark.parametrize("name", ["sql", "shell", "other code, such as kotlin", "data", "text, Chinese"])
def test_as_many_signals_judge_a_document_as_in_the_published_configuration(name: str, reference: ModuleType) -> None:
    """For those without a rule of their own language, where nothing is left out or added."""
    published, language, natural = reference.PUBLISHED[name]
    judged = {rule.signal for rule in DEFAULT_RULES if rule.applies(language, doc_type(language), natural)}
    assert len(judged) == published


def test_rules_are_well_formed() -> None:
    """Names are unique, signals exist, thresholds lie where the signal can cross them, languages are known."""
    assert len({rule.name for rule in DEFAULT_RULES}) == len(DEFAULT_RULES)
    for rule in DEFAULT_RULES:
        low, high = SIGNAL_RANGES[rule.signal]
        assert low <= rule.threshold <= high and 0 < rule.probability <= 1
        assert rule.threshold != {">": high, "<": low}.get(rule.comparison)
        assert {*rule.languages, *rule.except_languages} <= {*known_languages()}
        assert set(rule.doc_types) & set(SIGNALS[rule.signal].doc_types)
        assert all(doc_type(language) in rule.doc_types for language in rule.languages)
    assert NOTES.keys() <= {rule.name for rule in DEFAULT_RULES}


def test_the_compiler_and_the_runtime_know_the_same_signals() -> None:
    """The compiler checks names against ranges, the runtime computes: one list each, never apart."""
    assert SIGNALS.keys() == SIGNAL_RANGES.keys()
    assert all(signal.doc and signal.range == SIGNAL_RANGES[name] for name, signal in SIGNALS.items())
