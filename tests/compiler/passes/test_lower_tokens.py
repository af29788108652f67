"""What a tokenizer is known by: its settings, and whose text it reads in which shares."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compiler.plan import Plan

SPEC = """
one = Dataset(name="one", sources=(JsonLines(name="files", path="files.jsonl"),))
two = Dataset(name="two", sources=(JsonLines(name="more", path="files.jsonl"),))
parts = (Part(dataset="one", weight=3), Part(dataset="two", weight=1, max_epochs=2))
experiment = small(pretrain(mixture=Mixture(parts=parts)), data=(one, two))
"""


@pytest.mark.parametrize(("part", "moved"), [("max_epochs=3", False), ("max_epochs=2.5", False), ("weight=2", True)])
def test_how_often_text_may_be_repeated_is_not_the_tokenizers_matter(
    compiled: Callable[[str], Plan], part: str, moved: bool
) -> None:
    """It samples by share; else an epoch more would train it, and encode every data set, anew."""
    name = part.partition("=")[0]
    old = {"max_epochs": "max_epochs=2", "weight": "weight=1"}[name]
    before, after = compiled(SPEC), compiled(SPEC.replace(old, part))
    same = {task: before.task(task).fingerprint == after.task(task).fingerprint for task in ("tokenizer", "two/pack")}
    assert same == {"tokenizer": not moved, "two/pack": not moved}
    assert before.task("base/mix").fingerprint != after.task("base/mix").fingerprint
