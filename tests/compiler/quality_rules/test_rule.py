"""One rule: the documents that it judges, and those that it drops by chance."""

from __future__ import annotations

import attrs
import pytest

from compiler.quality_rules.rule import QualityRule

HALF = QualityRule(name="half", signal="num_lines", comparison=">", threshold=1, probability=0.5)
KNOWN = [0, 1, 2, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 19]


def chosen(rule: QualityRule) -> set[int]:
    """Those of ten thousand documents that the rule may drop."""
    return {number for number in range(10_000) if rule.drops(2.0, f"repository/{number}.py")}


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 0.8])
def test_a_rule_with_a_probability_drops_that_share(probability):
    """Within five standard deviations of a fair draw."""
    share = len(chosen(attrs.evolve(HALF, probability=probability))) / 10_000
    assert abs(share - probability) <= 5 * (probability * (1 - probability) / 10_000) ** 0.5


def test_the_choice_depends_on_name_seed_and_document_alone():
    """Known documents, so that no release, machine or order changes them; another seed or name chooses others."""
    assert [n for n in range(20) if HALF.drops(2.0, f"repository/{n}.py")] == KNOWN
    for other in (attrs.evolve(HALF, seed=1), attrs.evolve(HALF, name="other")):
        both = len(chosen(other) & chosen(HALF))
        assert 2_250 < both < 2_750  # independent: a quarter
    assert chosen(attrs.evolve(HALF, threshold=0)) == chosen(HALF)


def test_a_higher_probability_drops_more_of_the_same():
    """What 0.5 drops, 0.8 drops too: lowering a probability only brings documents back."""
    assert chosen(HALF) < chosen(attrs.evolve(HALF, probability=0.8))


def test_chance_drops_only_what_the_comparison_hits():
    """A probability is no reason of its own; without one every hit is dropped, whatever the id."""
    certain = attrs.evolve(HALF, probability=1.0)
    assert not any(HALF.drops(value, str(n)) for n in range(100) for value in (1.0, None))
    assert all(certain.drops(2.0, name) for name in ("", "a", "\udcff"))
    assert not certain.drops(None, "")


@pytest.mark.parametrize(
    ("fields", "language", "natural", "judged"),
    [
        ({}, "python", "en", True),
        ({"languages": ("c",)}, "python", "en", False),
        ({"languages": ("c", "python")}, "python", "en", True),
        ({"except_languages": ("python",)}, "python", "en", False),
        ({"except_languages": ("c",)}, None, "en", True),
        ({"natural_languages": ("zh",)}, "python", "en", False),
        ({"natural_languages": ("zh",)}, "python", "zh", True),
        ({"doc_types": ("text",)}, "python", "en", False),
    ],
)
def test_which_documents_a_rule_judges(fields, language, natural, judged):
    """By language, by natural language and by type."""
    assert attrs.evolve(HALF, **fields).applies(language, "code", natural) is judged
