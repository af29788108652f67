"""Gathering what is alike: nothing is lost, and there are never many lines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.diff import Cause, Change, TaskDiff
from ocspec.cli.groups import MOST_LINES, change_groups, group_name, place_name, task_groups

names = st.integers(0, 60).map(lambda number: f"part{number}")
steps = st.sampled_from(("sign", "refine", "encode-x", "deduplicate/edges", "train"))
paths = st.builds(lambda name, end: f"data.{name}.steps.{end}", names, st.sampled_from(("redact.pii", "filter.seed")))
tasks = st.builds(
    lambda name, step, action, path, value: TaskDiff(
        id=f"{name}/{step}", action=action, causes=(Cause(task=f"{name}/sign", path=path, before=0, after=value),)
    ),
    names,
    steps,
    st.sampled_from(("rebuild", "new", "may cut off", "removed")),
    paths,
    st.integers(1, 50),
)
changes = st.builds(
    lambda path, value: Change(path=path, kind="changed", change_class="data", before=0, after=value),
    paths,
    st.integers(1, 50),
)


@settings(max_examples=40)
@given(st.lists(tasks, max_size=200, unique_by=lambda task: task.id))
def test_every_task_is_in_one_group_and_groups_are_few(found: list[TaskDiff]) -> None:
    groups = task_groups(found)
    assert sorted(map(id, (task for group in groups for task in group))) == sorted(map(id, found))
    assert len(groups) <= MOST_LINES
    assert all(len({task.action for task in group}) == 1 for group in groups)
    for group in groups:
        assert group_name(group) == group[0].id or group_name(group).endswith(f"({len(group)})")


@settings(max_examples=40)
@given(st.lists(changes, max_size=200, unique_by=lambda change: change.path))
def test_every_change_is_in_one_group_and_groups_are_few(found: list[Change]) -> None:
    groups = change_groups(found, [])
    assert sum(map(len, groups)) == len(found)
    assert len(groups) <= MOST_LINES
    for group in groups:
        assert place_name(group, []) == group[0].path or place_name(group, []).endswith(f"({len(group)})")


def test_a_thousand_tasks_of_a_few_kinds_are_a_few_lines() -> None:
    """Each with its own cause and value; the values are what is given up."""
    found = [
        TaskDiff(
            id=f"part{number}/{step}",
            action="rebuild",
            causes=(Cause(task=f"part{number}/{step}", path=f"data.part{number}.steps.filter.seed", after=number),),
        )
        for number in range(250)
        for step in ("sign", "refine", "encode", "pack")
    ]
    assert [group_name(group) for group in task_groups(found)] == [
        "*/sign (250)",
        "*/refine (250)",
        "*/encode (250)",
        "*/pack (250)",
    ]
