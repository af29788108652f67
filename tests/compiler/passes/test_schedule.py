"""The order of the tasks in a plan, and that each has a name of its own."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import pytest

from compiler.draft import Draft
from compiler.errors import UserErrors
from compiler.passes.schedule import schedule
from compiler.plan import Plan
from ocspec import Experiment


def test_each_task_stands_after_what_it_reads(mini: Experiment, mini_plan: Plan, tmp_path) -> None:
    """Whatever order the passes leave behind."""
    shuffled = list(mini_plan.tasks)
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        draft = schedule(Draft(experiment=mini, base=tmp_path, shards=1, tasks=tuple(shuffled)))
        assert {task.id for task in draft.tasks} == {task.id for task in mini_plan.tasks}
        for number, task in enumerate(draft.tasks):
            assert set(task.upstream) <= {earlier.id for earlier in draft.tasks[:number]}


def test_the_order_of_the_recipe_is_kept(mini: Experiment, mini_plan: Plan, tmp_path) -> None:
    """Pretraining is not read after the data of the last stage of tuning."""
    again = schedule(Draft(experiment=mini, base=tmp_path, shards=1, tasks=mini_plan.tasks))
    assert again.tasks == mini_plan.tasks
    ids = [task.id for task in mini_plan.tasks]
    assert ids.index("pretrain/train") < ids.index("anneal/mix") < ids.index("sft1/encode-functions")


def test_tasks_that_wait_for_each_other_are_a_bug(mini: Experiment, mini_plan: Plan, tmp_path) -> None:
    """Not of the spec but of a pass, hence an assertion."""
    first, second = mini_plan.task("code/pack"), mini_plan.task("code/encode")
    turned = attrs.evolve(second, inputs=(attrs.evolve(first.inputs[0], task=first.id),))
    with pytest.raises(AssertionError, match="wait for each other"):
        schedule(Draft(experiment=mini, base=tmp_path, shards=1, tasks=(first, turned)))


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ('experiment = small(evaluations=(HumanEval(name="train"),))', "base/train"),
        ('experiment = small(pretrain(name="code"), evaluations=(MBPP(name="sign"),))', "code/sign"),
        (
            "experiment = small(evaluations=(BitsPerByte(), MBPP(name='bits_per_byte-ngram')),"
            " hold_out=HoldOut(repositories=('beta',)))",
            "base/bits_per_byte-ngram",
        ),
    ],
)
def test_names_that_meet_are_refused(compiled: Callable[[str], Plan], text: str, task: str) -> None:
    """Two tasks of one id would read each other's artefacts."""
    with pytest.raises(UserErrors) as error:
        compiled(text)
    (problem,) = error.value.problems
    assert problem.what.startswith(f"two tasks would be called {task!r}")
    assert problem.where == "spec.py:2"
