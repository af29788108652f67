"""Arms compiled together: each plan is what it would be alone, and what arms share is worked out once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import metadata
from compiler.compile import compile_all, compile_experiment
from compiler.errors import UserError
from compiler.interning import Interned
from compiler.memo import Memo
from compiler.plan import dumps
from ocspec import Experiment, JsonLines, Mixture, Part, TrainedBPE, sweep

SPECS = Path(__file__).parents[2] / "specs"
PEAK = "curriculum.stages.pretrain.schedule.peak"
ROWS = "data.code.steps.deduplicate.near.rows"

PLACES = {
    PEAK: st.sampled_from([1e-3, 2e-3]),
    ROWS: st.sampled_from([64, 128]),
    "model.num_layers": st.sampled_from([2, 4]),
    "shards": st.sampled_from([None, 1, 3]),
    "tokenizer.vocab_size": st.sampled_from([1024, 2048]),
    "curriculum.stages.sft1.steps": st.sampled_from([20, 30]),
    "curriculum.stages.anneal.mixture.parts.code.weight": st.sampled_from([1, 1.0, 80, 83.94]),
    "data.code.steps.downsample.caps": st.sampled_from([{"html": 1}, {"html": 60_000}]),
    "hold_out.repositories": st.sampled_from([("mkdocs@*",), ("scrapy@*",)]),
    "instructions.functions.min_docstring_chars": st.sampled_from([10, 15]),
    "evaluations.bits_per_byte.max_bytes": st.sampled_from([1000, 400_000]),
    "note": st.sampled_from(["", "a"]),
}


def grid(experiment: Experiment, **sizes: int) -> tuple[Experiment, ...]:
    rows, peaks = range(sizes.get("rows", 2)), range(sizes.get("peaks", 3))
    return sweep(experiment, {PEAK: [1e-3 + 1e-5 * i for i in peaks], ROWS: [100 + i for i in rows]})


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.fixed_dictionaries({}, optional=PLACES), min_size=2, max_size=3))
def test_a_plan_is_the_same_alone_and_among_others(mini: Experiment, changes: list[dict[str, object]]) -> None:
    arms = [sweep(mini, {path: [value] for path, value in change.items()})[0] for change in changes]
    for arm, plan in zip(arms, compile_all(arms, SPECS), strict=True):
        assert dumps(plan) == dumps(compile_experiment(arm, SPECS))


def test_tasks_that_arms_share_are_one_object(mini: Experiment) -> None:
    """Of six arms three share each threshold and two each learning rate."""
    plans = list(compile_all(grid(mini), SPECS))
    assert len({id(plan.task("code/sign")) for plan in plans}) == 2
    assert len({id(plan.task("pretrain/train")) for plan in plans}) == 6
    distinct = {id(task) for plan in plans for task in plan.tasks}
    fingerprints = {task.fingerprint for plan in plans for task in plan.tasks}
    assert len(distinct) == len(fingerprints)


def test_sources_are_looked_at_once(
    workplace: Path, experiment_of: Callable[[str], Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    list_files = metadata.list_files

    def listed(form: str, location: str, *, name: str) -> list[metadata.SourceFile]:
        looked.append(name)
        return list_files(form, location, name=name)

    monkeypatch.setattr(metadata, "list_files", listed)
    arms = sweep(experiment_of("experiment = small()"), {"base.schedule.peak": [1e-3, 2e-3, 3e-3]})
    assert len(list(compile_all(arms, workplace))) == 3
    assert looked == ["files"]


def test_each_call_looks_anew(workplace: Path, experiment_of: Callable[[str], Experiment]) -> None:
    """Nothing is kept for the next: files may have changed by then."""
    experiment = experiment_of("experiment = small()")
    (before,) = compile_all([experiment], workplace)
    (workplace / "files.jsonl").write_text('{"repo": "alpha", "path": "b.py", "content": "y = 2"}\n' * 100)
    (after,) = compile_all([experiment], workplace)
    assert before.task("code/sign").fingerprint != after.task("code/sign").fingerprint


def test_an_arm_that_is_refused_is_refused_in_its_place(workplace: Path, experiment_of) -> None:
    good = experiment_of("experiment = small()")
    bad = good.replace(data=(good.data[0].replace(sources=(JsonLines(name="files", path="nowhere.jsonl"),)),))
    plans = compile_all([good, bad], workplace)
    assert next(plans).experiment == "small"
    with pytest.raises(UserError, match=r"nowhere\.jsonl|no documents"):
        next(plans)


# ---------------------------------------------------------------- what it rests on


def test_a_memo_goes_by_identity_and_keeps_what_it_knows() -> None:
    memo, made = Memo(), list[int]()
    for _ in range(3):
        memo.get("sum", ([1.0],), lambda: made.append(1))  # a list of another life each time
    assert len(made) == 3
    assert memo.get("text", (), lambda: "a", 1) == "a"
    assert memo.get("text", (), lambda: "b", 2) == "b"


def test_equal_numbers_of_other_types_are_kept_apart(mini: Experiment) -> None:
    interned = Interned()
    whole, fraction = (Mixture(parts=(Part(dataset="code", weight=weight),)) for weight in (1, 1.0))
    assert whole == fraction
    assert interned.spec(whole) is not interned.spec(fraction)
    memo = Memo()
    assert memo.first((1,)) is not memo.first((1.0,))


def test_interned_specs_equal_what_was_given_and_share_their_parts(mini: Experiment) -> None:
    interned = Interned()
    arms = grid(mini)
    found = [interned.spec(arm) for arm in arms]
    assert found == list(arms)
    assert [one.origin for one in found] == [one.origin for one in arms]
    assert len({id(arm.data[0]) for arm in arms}) == 6
    assert len({id(one.data[0]) for one in found}) == 2
    assert interned.spec(arms[0]) is found[0]


def test_parts_of_other_lines_are_not_shared() -> None:
    interned = Interned()
    one = TrainedBPE(vocab_size=300)
    other = TrainedBPE(vocab_size=300)
    assert one == other
    assert interned.spec(one) is not interned.spec(other)
