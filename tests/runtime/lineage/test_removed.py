"""What rules removed, and samples of what they dropped and kept."""

from __future__ import annotations

import pytest

from compiler.errors import UserError
from runtime.lineage.find import all_records
from runtime.lineage.removed import removed, rules_of
from runtime.lineage.samples import samples
from tests.runtime.lineage.conftest import Looked


def test_counts_are_those_of_the_steps(looked: Looked) -> None:
    """For every rule of every step; languages add up to what was removed."""
    counted = 0
    for task in looked.built.plan.tasks:
        for rule in looked.built.stats(task.id).get("dropped", {}) if task.id in looked.built.artifacts else ():
            (one,) = removed(*looked, rule, step=task.id, limit=100)
            assert one.count == looked.built.stats(task.id)["dropped"][rule] == len(one.examples)
            assert sum(one.languages.values()) == (0 if task.id == "code/sign" else one.count)
            counted += one.count
    assert counted > 10


def test_examples_have_value_threshold_and_text(by_file: Looked) -> None:
    """The text is redacted: this author's name is taken out of it."""
    (one,) = removed(*by_file, "few_lines")
    assert one.count == len(one.examples) > 0
    for example in one.examples:
        assert example.value is not None and example.value < 200 == example.threshold
        assert example.text
    (twin, *_) = removed(*by_file, "held_out_exact")[0].examples
    assert twin.kept == "local/held/textwrap.py"
    assert twin.text is not None and "Greg Ward" not in twin.text


def test_examples_go_by_the_seed(by_file: Looked) -> None:
    def shown(seed: int) -> list[str]:
        return [example.doc_id for example in removed(*by_file, "no_keyword", limit=3, seed=seed)[0].examples]

    assert shown(0) == shown(0) != shown(1)


def test_a_rule_that_removed_nothing_says_so(by_file: Looked) -> None:
    (one,) = removed(*by_file, "num_chars_min")
    assert (one.count, one.examples, one.languages) == (0, (), {})


def test_unknown_rules_and_steps_are_answered(by_file: Looked) -> None:
    with pytest.raises(UserError, match="did you mean few_lines"):
        removed(*by_file, "few_linse")
    with pytest.raises(UserError, match="no step 'fliter'"):
        removed(*by_file, "few_lines", step="fliter")


def test_samples_of_a_rule_stand_beside_what_it_let_through(by_file: Looked) -> None:
    """Dropped ones beyond the threshold, kept ones not."""
    code = all_records(by_file.built)[0]
    (one,) = samples(code, by_file.base, "few_lines", None, 3, 0)
    assert one.condition == "num_lines < 200"
    assert all(example.value < 200 for example in one.dropped if example.value is not None)
    assert len(one.kept) == 3
    assert all(example.value is not None and example.value >= 200 for example in one.kept)


def test_samples_of_duplicates_are_pairs(looked: Looked) -> None:
    """Each dropped one beside its representative; of repositories there is only the name."""
    code = all_records(looked.built)[0]
    for one in samples(code, looked.base, None, None, 2, 0):
        if one.task == "code/deduplicate/cluster":
            assert [example.doc_id for example in one.kept] == [example.kept for example in one.dropped]
            assert all(example.text for example in one.dropped)


def test_samples_cover_every_rule_that_dropped(by_file: Looked) -> None:
    """Of the data set's steps, those that it shares with its base among them."""
    chosen = all_records(by_file.built)[1]
    expected = {
        (task.id, rule)
        for task in chosen.steps
        for rule, count in by_file.built.stats(task.id)["dropped"].items()
        if count
    }
    found = samples(chosen, by_file.base, None, None, 1, 0)
    assert {(one.task, one.rule) for one in found} == expected
    assert all(rule in rules_of(by_file.built.plan.task(task), by_file.built) for task, rule in expected)


def test_samples_of_a_language(by_file: Looked) -> None:
    """There is no Go in the corpus."""
    code = all_records(by_file.built)[0]
    (one,) = samples(code, by_file.base, "few_lines", "go", 3, 0)
    assert (one.dropped, one.kept) == ((), ())
    (one,) = samples(code, by_file.base, "few_lines", "python", 3, 0)
    assert one.dropped and one.kept
