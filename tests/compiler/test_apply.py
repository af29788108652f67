"""A difference as a function: applied to the one spec it gives the other."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings

import ocspec
from compiler.apply import as_function, source
from compiler.described import kinds
from compiler.diff import diff_specs
from compiler.errors import UserError
from compiler.load import load_spec
from ocspec import REMOVED, Experiment, HumanEval, SpecError, edit
from ocspec.base import Spec, describe
from tests.compiler.test_diff import EVERYTHING, PARTS
from tests.ocspec.variants import experiments, whole

SPECS = Path(__file__).parents[2] / "specs"
SHIPPED = (
    "opencoder_mini.py",
    "opencoder_1_5b.py",
    "opencoder_8b.py",
    "ablations/dedup_level.py:repository_then_chunk",
)

GOLDEN = '''\
"""From whole to more: what `ocspec diff --as-function` found."""

from __future__ import annotations

from ocspec import REMOVED, Experiment, HumanEval, edit


def more(experiment: Experiment) -> Experiment:
    """From whole to more: 4 changes."""
    return edit(
        experiment,
        {
            "name": "more",  # was 'whole'
            "data.code.steps.redact": REMOVED,
            "tokenizer.vocab_size": 50_000,  # was 300
            "curriculum.stages.one.schedule.peak": 0.002,  # was 0.001
            "evaluations.humaneval": HumanEval(samples=10),
            "evaluations (order)": ("humaneval", "bits_per_byte"),
        },
    )
'''


def function(text: str, name: str) -> Callable[[Experiment], Experiment]:
    """The function of a module's text."""
    namespace: dict[str, Callable[[Experiment], Experiment]] = {}
    exec(compile(text, "arm.py", "exec"), namespace)
    return namespace[name]


def leads(before: Experiment, after: Experiment) -> None:
    assert function(as_function("arm", before, after), "arm")(before) == after


def test_a_function_as_one_would_write_it() -> None:
    before = whole()
    changes = {
        "name": "more",
        "one.schedule.peak": 0.002,
        "tokenizer.vocab_size": 50_000,
        "data.code.steps.redact": REMOVED,
        "evaluations.humaneval": HumanEval(samples=10),
        "evaluations (order)": ("humaneval", "bits_per_byte"),
    }
    assert as_function("more", before, edit(before, changes)) == GOLDEN


@settings(max_examples=40)
@given(experiments, experiments)
def test_it_leads_from_any_experiment_to_any_other(one: Experiment, other: Experiment) -> None:
    leads(one, other)
    leads(other, one)


def counts(before: Experiment, after: Experiment) -> None:
    """The function says of how many changes it is as `diff` does."""
    number = len(list(diff_specs(describe(before), describe(after))))
    said = re.search(r"From .* to .*: (.*) changes?\.", as_function("arm", before, after))
    assert said, "it says"
    assert int(said[1]) == number


@settings(max_examples=40)
@given(experiments, experiments)
def test_it_says_of_how_many_changes_it_is_as_diff_does(one: Experiment, other: Experiment) -> None:
    """The name is none; nor is the order of what comes before others, which `edit` has to be told."""
    counts(one, other)
    counts(one, one.replace(name="another"))


def test_between_the_experiments_that_ship() -> None:
    shipped = [load_spec(str(SPECS / name))[0] for name in SHIPPED]
    for before, after in permutations(shipped, 2):
        leads(before, after)
        counts(before, after)


def test_from_and_to_an_experiment_of_every_part_of_the_language(experiment_of) -> None:
    everything = experiment_of(PARTS + EVERYTHING)
    leads(whole(), everything)
    leads(everything, whole())
    assert {cls.__name__ for cls in kinds().values()} <= set(ocspec.__all__)


def test_no_difference_is_a_function_that_changes_nothing() -> None:
    text = as_function("same", whole(), whole())
    assert "    return experiment\n" in text
    assert "import Experiment\n" in text
    leads(whole(), whole())


def test_applied_to_another_experiment_it_changes_the_same_places() -> None:
    """Or says which of them are not there."""
    faster = function(as_function("faster", whole(), edit(whole(), {"one.schedule.peak": 2e-3})), "faster")
    assert faster(edit(whole(), {"one.seed": 7})).curriculum.stages[0].schedule.peak == 2e-3
    with pytest.raises(SpecError, match="there is no such place"):
        faster(edit(whole(), {"curriculum.stages.one": REMOVED}))


def test_a_kind_of_ones_own_under_an_exported_name_is_not_written_as_ocspecs() -> None:
    """It would be another when the function is read."""
    own = type("HumanEval", (Spec,), {"__module__": __name__})()
    with pytest.raises(UserError, match="a HumanEval stands in the difference, which `ocspec` does not export"):
        source(own, set())


@pytest.mark.parametrize("name", ["", "a b", "class", "1st"])
def test_a_function_needs_a_name(name: str) -> None:
    with pytest.raises(UserError, match="is no name for a function"):
        as_function(name, whole(), whole())


def test_the_text_is_formatted_as_the_house_formats(tmp_path: Path) -> None:
    """Whatever it holds; ruff is told to check and changes nothing."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed here")
    shipped = [load_spec(str(SPECS / name))[0] for name in SHIPPED[:2]]
    for number, (before, after) in enumerate(permutations(shipped, 2)):
        text = as_function("arm", before, after)
        ast.parse(text)
        (tmp_path / f"arm_{number}.py").write_text(text)
    settings = ["--config", "line-length = 120", "--isolated", str(tmp_path)]
    subprocess.run([ruff, "format", "--check", *settings], check=True, capture_output=True)
    subprocess.run([ruff, "check", "--select", "E,F,I,D1", *settings], check=True, capture_output=True)
