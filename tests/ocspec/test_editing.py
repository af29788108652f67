"""Changing a spec by paths, and finding the changes that lead from one spec to another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocspec import REMOVED, WSD, Dataset, Downsample, Experiment, HumanEval, MinHash, SpecError, edit
from ocspec.base import collect_problems
from ocspec.editing import edits, places, resolve
from tests.ocspec.variants import experiments, whole


def problems_of(changes: Any, spec: Experiment | None = None) -> list[tuple[str, str, str]]:
    with pytest.raises(SpecError) as error:
        edit(spec or whole(), changes)
    return [(problem.path, problem.what, problem.fix) for problem in error.value.problems]


# ---------------------------------------------------------------- there and back


@settings(max_examples=60)
@given(experiments, experiments)
def test_the_edits_between_two_specs_lead_from_one_to_the_other(one: Experiment, other: Experiment) -> None:
    """And back; exactly, types included, and whatever dots their names hold."""
    for before, after in ((one, other), (other, one)):
        made = edit(before, edits(before, after))
        assert made == after
        assert repr(made) == repr(after)


@settings(max_examples=20)
@given(experiments)
def test_a_spec_needs_no_edit_to_be_itself(one: Experiment) -> None:
    assert edits(one, one.replace()) == {}
    assert edit(one, {}) == one


@settings(max_examples=40)
@given(experiments, st.data())
def test_every_place_is_found_by_its_path_and_by_any_end_of_it_that_is_unique(
    one: Experiment, data: st.DataObject
) -> None:
    known = [parts for parts, _ in places(one)]
    dotted = [".".join(parts) for parts in known]
    parts = data.draw(st.sampled_from(known))
    end = ".".join(parts[data.draw(st.integers(0, len(parts) - 1)) :])
    meant = [place for place, text in zip(known, dotted, strict=True) if text == end or text.endswith(f".{end}")]
    try:
        found = resolve(one, end)
    except LookupError as error:
        assert len(meant) > 1
        assert "places end so" in str(error)
    else:
        assert ".".join(found).endswith(end)
        assert dotted.count(end) or len(meant) == 1


# ---------------------------------------------------------------- what can be changed


def test_several_places_of_one_object_change_together() -> None:
    """Neither alone would hold: a threshold replaces bands and rows."""
    near = "data.code.steps.deduplicate.near"
    one = edit(whole(), {near: MinHash(bands=8, rows=4)})
    two = edit(one, {f"{near}.bands": None, f"{near}.rows": None, f"{near}.threshold": 0.8})
    assert two.data[0].steps[1].near == MinHash(threshold=0.8)
    assert len(problems_of({f"{near}.threshold": 0.8}, one)) == 1


def test_children_come_go_and_change_places() -> None:
    spec = edit(whole(), {"evaluations.humaneval": HumanEval(), "data.code.steps.redact": REMOVED})
    assert [evaluation.key for evaluation in spec.evaluations] == ["bits_per_byte", "humaneval"]
    assert [step.key for step in spec.data[0].steps] == ["admit", "deduplicate", "deduplicate"]
    spec = edit(spec, {"evaluations (order)": ("humaneval", "bits_per_byte")})
    assert [evaluation.key for evaluation in spec.evaluations] == ["humaneval", "bits_per_byte"]


def test_an_entry_of_a_mapping() -> None:
    capped = Dataset(name="code", base="b", steps=(Downsample(caps={"html": 1}),))
    spec, caps = whole(data=(capped,)), "data.code.steps.downsample.caps"
    spec = edit(spec, {f"{caps}.html": 2, f"{caps}.c.h": 3})
    assert spec.data[0].steps[0].caps == {"html": 2, "c.h": 3}
    assert edit(spec, {f"{caps}.html": REMOVED}).data[0].steps[0].caps == {"c.h": 3}


def test_changed_objects_stand_where_they_were_changed_or_where_they_were_made() -> None:
    made = whole()
    here, there = edit(made, {"one.seed": 1}), edit(made, {"one.seed": 1}, keep_origins=True)
    lines = [spec.curriculum.stages[0].origin.line for spec in (made, here, there)]
    assert lines[0] == lines[2] != lines[1]


# ---------------------------------------------------------------- what is refused


def test_ambiguous_paths_are_refused_with_what_they_could_be() -> None:
    both = "curriculum.stages.one.schedule.peak or curriculum.stages.two.schedule.peak"
    assert problems_of({"peak": 1}) == [("peak", "2 places end so", f"write one of {both}")]


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("curriculum.stages.one.shedule.peak", "curriculum.stages.one.schedule.peak"),
        ("one.shedule.peak", "curriculum.stages.one.schedule.peak"),
        ("two.peak", "curriculum.stages.two.schedule.peak"),
        ("tokenizer.vocabsize", "tokenizer.vocab_size"),
        ("num_layer", "model.num_layers"),
        ("evaluations.bits_per_bite.seed", "evaluations.bits_per_byte.seed"),
    ],
)
def test_a_misspelt_path_is_answered_with_what_was_meant(path: str, meant: str) -> None:
    """Spelt wrong in some part, or with a part left out."""
    ((where, what, fix),) = problems_of({path: 1})
    assert (where, what) == (path, "there is no such place")
    assert fix.startswith(f"did you mean {meant}")


def test_all_values_that_do_not_hold_are_listed_with_their_places() -> None:
    """By the whole path, whatever was written."""
    found = problems_of({"one.schedule.peak": "fast", "one.schedule.warmup_steps": -1, "two.seed": 0.5})
    assert [(path, what.partition(" (got")[0]) for path, what, _ in found] == [
        ("curriculum.stages.one.schedule.peak", "should be a valid number"),
        ("curriculum.stages.one.schedule.warmup_steps", "should be greater than or equal to 0"),
        ("curriculum.stages.two.seed", "should be a valid integer"),
    ]


def test_what_holds_for_a_part_need_not_hold_for_the_whole() -> None:
    ((path, what, _),) = problems_of({"one.batches.batches.steps": 2})
    assert path == "curriculum.stages.one"
    assert what == "a warm-up of 2 steps leaves nothing of 2 steps"


def test_a_whole_and_its_part_are_not_both_changed() -> None:
    ((_, what, _),) = problems_of({"one.schedule": WSD(peak=1, warmup_steps=1), "one.schedule.peak": 2})
    assert what == "what it is in is changed, too"
    ((_, what, _),) = problems_of({"one.schedule.peak": 2, "one.schedule": WSD(peak=1, warmup_steps=1)})
    assert what == "it, or something in it, is changed twice"
    ((_, what, _),) = problems_of({"one.seed": 2, "curriculum.stages.one.seed": 2})
    assert what == "it, or something in it, is changed twice"


def test_a_child_is_added_under_its_own_key_only() -> None:
    ((_, what, _),) = problems_of({"evaluations.other": HumanEval()})
    assert what == "there is no such place"


@pytest.mark.parametrize(
    ("path", "order", "what"),
    [
        ("evaluations (order)", ("bits_per_byte",), "does not name each of its children once"),
        ("evaluations (order)", ("bits_per_byte", "humaneval", "humaneval"), "does not name each of its children once"),
        ("evaluations (order)", ("bits_per_byte", "human"), "does not name each of its children once"),
        ("evaluations (order)", 3, "does not name each of its children once"),
        ("one.seed (order)", (3,), "has no children in an order"),
        ("one.schedule (order)", ("peak",), "has no children in an order"),
        (("curriculum", "stages", "one", "seed", " (order)"), (3,), "has no children in an order"),
    ],
)
def test_an_order_is_one_of_all_children(path: Any, order: Any, what: str) -> None:
    """None is lost, and nothing else has one."""
    spec = edit(whole(), {"evaluations.humaneval": HumanEval()})
    ((where, found, fix),) = problems_of({path: order}, spec)
    assert where.endswith(" (order)")
    assert found == what
    assert fix == ("give all of bits_per_byte, humaneval" if "each" in what else "change what stands there")


def test_the_order_is_that_of_what_is_left_and_added() -> None:
    """Children that come or go with it count."""
    spec = edit(whole(), {"evaluations.humaneval": HumanEval(), "evaluations (order)": ("humaneval", "bits_per_byte")})
    assert [evaluation.key for evaluation in spec.evaluations] == ["humaneval", "bits_per_byte"]
    spec = edit(spec, {"evaluations.humaneval": REMOVED, "evaluations (order)": ("bits_per_byte",)})
    assert [evaluation.key for evaluation in spec.evaluations] == ["bits_per_byte"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("curriculum", "stages", "one", "shedule", "peak"), 1),
        (("curriculum", "stages", "one", "seed", "more"), 1),
        (("curriculum", "stages", "third", "seed"), 1),
        (("evaluations", "humaneval"), REMOVED),
        (("evaluations", "other"), HumanEval()),
        (("model", "layers"), 1),
        ((), whole()),
    ],
)
def test_a_tuple_of_parts_leads_somewhere_too(path: tuple[str, ...], value: Any) -> None:
    """Nothing is removed where nothing is, and a part that is not there is not made up."""
    ((where, what, _),) = problems_of({path: value})
    assert (where, what) == (".".join(path), "there is no such place")


def test_where_problems_are_collected_they_are_noted() -> None:
    """As a spec file's are: all of them, and not the first."""
    with collect_problems() as problems:
        spec = whole()
        edit(spec, {"one.schedule.peak": "fast"})
        edit(spec, {"peak": 1})
    assert [problem.what.partition(" (")[0] for problem in problems] == ["should be a valid number", "2 places end so"]
