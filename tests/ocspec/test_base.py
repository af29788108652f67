"""Tests of the base class: what a researcher sees when a spec is right, wrong, compared or described."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from ocspec.base import (
    DOC,
    EXECUTION,
    Aka,
    Spec,
    SpecError,
    SpecWarning,
    collect_problems,
    concrete_kinds,
    describe,
    sibling_keys,
)


class Knob(Spec):
    """A part for the tests."""

    name: str = "knob"
    turns: int = Field(default=1, gt=0)
    label: Annotated[str, DOC] = ""
    threads: Annotated[int, EXECUTION] = 1


class Panel(Spec):
    """Some parts."""

    knobs: tuple[Knob, ...]
    main: Knob | None = None
    share: float | Fraction = 0.5
    limits: dict[str, int] = Field(default={})


class Shape(Spec):
    """A base: written only as one of those below."""

    abstract: ClassVar[bool] = True


class Circle(Shape):
    """One of them."""

    width: int


class Square(Shape):
    """The other."""

    width: int


def test_a_misspelt_field_names_the_nearest_one() -> None:
    """turn is close to turns."""
    with pytest.raises(SpecError) as caught:
        Knob(turn=3)
    (problem,) = caught.value.problems
    assert problem.path == "Knob.turn"
    assert problem.what == "no such field"
    assert problem.fix == "did you mean 'turns'?"


def test_a_misspelt_field_is_not_also_missing() -> None:
    """One mistake, one problem."""
    with pytest.raises(SpecError) as caught:
        Circle(widht=3)
    assert [problem.path for problem in caught.value.problems] == ["Circle.widht"]


def test_a_refused_part_is_not_refused_again_by_the_whole() -> None:
    """The whole is checked with the part in it, which fails the part's own check a second time."""
    with collect_problems() as problems:
        whole = Whole(part=Checked(width=1), parts=(Checked(width=2),), extra=3)
    assert [(problem.path, problem.what) for problem in problems] == [
        ("Checked", "odd"),
        ("Checked", "odd"),
        ("Whole.extra", "no such field"),
    ]
    assert whole.part.width == 1


class Checked(Spec):
    """A part that is always refused."""

    width: int

    @model_validator(mode="after")
    def _odd(self) -> Checked:
        raise ValueError("odd; fix: none")


class Whole(Spec):
    """What holds such parts."""

    part: Checked
    parts: tuple[Checked, ...] = ()


def test_a_field_like_no_other_lists_all_fields() -> None:
    """Nothing is near zzzz."""
    with pytest.raises(SpecError, match="its fields are name, turns, label, threads"):
        Knob(zzzz=3)


def test_a_missing_field_says_what_to_give() -> None:
    """Panel needs knobs."""
    with pytest.raises(SpecError, match=r"Panel\.knobs: is missing\n  fix: give knobs="):
        Panel()


def test_problems_carry_file_and_line() -> None:
    """The line is that of the call, not one inside the package."""
    with pytest.raises(SpecError) as caught:
        Knob(turns=0)
    (problem,) = caught.value.problems
    assert problem.origin is not None
    assert problem.origin.file == __file__
    with open(__file__, encoding="utf-8") as source:
        assert "Knob(turns=0)" in source.readlines()[problem.origin.line - 1]
    assert str(problem).startswith(f"{__file__}:{problem.origin.line}: Knob.turns: ")
    assert "got 0" in str(problem)


def test_an_object_knows_where_it_was_made() -> None:
    """Also when it is made inside a call that makes another."""
    panel = Panel(
        knobs=(
            Knob(turns=2),
        ),
    )  # fmt: skip
    assert panel.origin is not None
    assert panel.knobs[0].origin is not None
    assert panel.origin.file == panel.knobs[0].origin.file == __file__
    assert panel.knobs[0].origin.line == panel.origin.line + 2


def test_all_problems_of_an_object_are_listed() -> None:
    """Three mistakes, three problems."""
    with pytest.raises(SpecError) as caught:
        Knob(turn=3, turns=-1, name=7)
    assert sorted(problem.path for problem in caught.value.problems) == [
        "Knob.name",
        "Knob.turn",
        "Knob.turns",
    ]


def test_problems_of_several_objects_are_collected_together() -> None:
    """Nothing is raised inside; the objects stay readable."""
    with collect_problems() as problems:
        panel = Panel(knobs=(Knob(turns=-1), Knob(trns=2)), sharee=0.2)
    assert [problem.path for problem in problems] == ["Knob.turns", "Knob.trns", "Panel.sharee"]
    assert panel.knobs[0].turns == -1
    assert panel.knobs[1].turns == 1
    with pytest.raises(SpecError):
        Knob(turns=-1)


def test_a_check_that_meets_a_refused_part_adds_no_problem_of_its_own() -> None:
    """The check looks at a field that the refused part does not have."""

    with collect_problems() as problems:
        needy = Needy(inner=Circle())
    assert [problem.path for problem in problems] == ["Circle.width"]
    assert needy.origin is not None


class Needy(Spec):
    """Its check needs a field of its part."""

    inner: Circle

    @model_validator(mode="after")
    def _some(self) -> Needy:
        assert self.inner.width > 0
        return self


def test_without_a_collector_such_a_check_is_a_defect_and_shows() -> None:
    """An AttributeError of the language itself is not swallowed."""

    class Broken(Spec):
        @model_validator(mode="after")
        def _defect(self) -> Broken:
            raise AttributeError("a defect")

    with pytest.raises(AttributeError, match="a defect"):
        Broken()


def test_a_base_class_is_refused_and_names_its_kinds() -> None:
    """Shape() means nothing."""
    with pytest.raises(SpecError, match="is only a base class\n  fix: write one of Circle, Square"):
        Shape()
    assert concrete_kinds(Shape) == [Circle, Square]


@pytest.mark.parametrize("bad", ["3", 3.0, True, None, [3]])
def test_types_are_strict(bad: object) -> None:
    """Nothing is turned into an int that is none."""
    with pytest.raises(SpecError, match="integer"):
        Knob(turns=bad)


def test_a_list_is_no_tuple() -> None:
    """Specs hold nothing that can change."""
    with pytest.raises(SpecError, match="tuple"):
        Panel(knobs=[Knob()])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_are_finite(bad: float) -> None:
    """NaN equals nothing, so it has no place in an identity."""
    with pytest.raises(SpecError, match="finite"):
        Panel(knobs=(), share=bad)


def test_a_wrong_type_in_a_union_is_one_problem() -> None:
    """Not one per type of the union."""
    with pytest.raises(SpecError) as caught:
        Panel(knobs=(), share="half")
    (problem,) = caught.value.problems
    assert problem.path == "Panel.share"
    assert problem.what == "should be float or fraction (got 'half')"


def test_a_spec_is_frozen() -> None:
    """replace() is the way."""
    knob = Knob()
    with pytest.raises(ValidationError, match="frozen"):
        knob.turns = 2  # type: ignore[misc]  # the very thing that is refused
    assert knob.turns == 1


def test_equal_objects_are_equal_wherever_they_were_made() -> None:
    """The line is not part of what an object says."""
    here = Panel(knobs=(Knob(turns=2),), limits={"a": 1, "b": 2})
    there = Panel(limits={"b": 2, "a": 1}, knobs=(Knob(turns=2),))
    assert here.origin is not there.origin
    assert here == there
    assert hash(here) == hash(there)
    assert len({here, there}) == 1
    assert Circle(width=1) != Square(width=1), "two classes with equal fields are not the same"


@given(st.integers(min_value=1), st.integers(min_value=1))
@settings(max_examples=30)
def test_equality_is_that_of_the_fields(a: int, b: int) -> None:
    """Whatever the fields are."""
    assert (Knob(turns=a) == Knob(turns=b)) == (a == b)


@given(st.integers(min_value=1), st.text(max_size=5))
@settings(max_examples=30)
def test_replace_changes_what_it_is_told_and_nothing_else(turns: int, label: str) -> None:
    """And replacing with what is there changes nothing."""
    knob = Knob(name="volume", threads=4)
    changed = knob.replace(turns=turns, label=label)
    assert (changed.name, changed.turns, changed.label, changed.threads) == ("volume", turns, label, 4)
    assert changed.replace(turns=knob.turns, label=knob.label) == knob


def test_replace_checks_like_a_new_object() -> None:
    """Wrong values and wrong names."""
    with pytest.raises(SpecError, match=r"Knob\.turns"):
        Knob().replace(turns=0)
    with pytest.raises(SpecError, match="did you mean 'turns'"):
        Knob().replace(turn=1)


def test_replace_keeps_the_origin_of_parts_and_takes_its_own() -> None:
    """So that an error points at the line that made the wrong thing."""
    panel = Panel(knobs=(Knob(),))
    changed = panel.replace(share=0.25)
    assert changed.knobs[0].origin is panel.knobs[0].origin
    assert changed.origin.line == panel.origin.line + 1


def test_describe_gives_kind_class_roles_and_fields() -> None:
    """Semantic fields have no role of their own."""
    assert describe(Knob(turns=2)) == {
        "kind": "Knob",
        "class": "data",
        "roles": {"label": "doc", "threads": "execution"},
        "fields": {"name": "knob", "turns": 2, "label": "", "threads": 1},
    }


def test_describe_keys_siblings_by_name() -> None:
    """So that one inserted in front is one change."""
    before = describe(Panel(knobs=(Knob(name="a"), Knob(name="b"))))["fields"]["knobs"]["keyed"]
    after = describe(Panel(knobs=(Knob(name="new"), Knob(name="a"), Knob(name="b"))))["fields"]["knobs"]["keyed"]
    assert {key: after[key] for key in before} == before
    assert set(after) - set(before) == {"new"}


def test_siblings_with_one_name_are_numbered() -> None:
    """The first keeps the plain key."""
    assert sibling_keys((Knob(name="a"), Knob(name="a"), Circle(width=1), Circle(width=2))) == [
        "a",
        "a#2",
        "circle",
        "circle#2",
    ]


def test_describe_is_plain_data() -> None:
    """Fractions as text, maps in order of their keys, absent parts as None."""
    fields = describe(Panel(knobs=(), share=Fraction(1, 3), limits={"b": 2, "a": 1}))["fields"]
    assert fields == {"knobs": [], "main": None, "share": "1/3", "limits": {"map": {"a": 1, "b": 2}}}
    assert list(fields["limits"]["map"]) == ["a", "b"]


# ---------------------------------------------------------------- names that last


class Renamed(Spec):
    """An object whose field and class have been renamed, and which may be renamed itself."""

    abstract = False
    canonical = "Former"

    name: str = "it"
    aka: str = ""
    size: Annotated[int, Aka("length", "extent")] = 1


@pytest.mark.parametrize("old", ["length", "extent"])
def test_a_former_name_of_a_field_works_and_says_the_new_one(old: str) -> None:
    """One line, at the line of the spec."""
    with pytest.warns(SpecWarning, match=f"Renamed.{old} is called 'size' now") as noted:
        assert Renamed(**{old: 3}) == Renamed(size=3)
    assert [Path(warning.filename).name for warning in noted] == ["test_base.py"]


def test_both_names_of_a_field_at_once_are_refused() -> None:
    """Neither is preferred."""
    with pytest.raises(SpecError, match=r"Renamed.length: is what 'size' was called, .*\n  fix: write size only"):
        Renamed(length=3, size=4)


@pytest.mark.filterwarnings(f"ignore::{SpecWarning.__module__}.SpecWarning")
def test_two_former_names_of_a_field_at_once_are_refused() -> None:
    """Whichever comes first: no value is lost."""
    for values in ({"length": 3, "extent": 4}, {"extent": 4, "length": 3}):
        with pytest.raises(SpecError) as caught:
            Renamed(**values)
        (problem,) = caught.value.problems
        first, second = values
        assert problem.path == f"Renamed.{second}"
        assert problem.what == f"is what 'size' was called, and so is {first!r}, which is given too"
        assert problem.fix == "write size only"


@pytest.mark.filterwarnings(f"ignore::{SpecWarning.__module__}.SpecWarning")
def test_replace_takes_a_former_name_as_a_new_object_does() -> None:
    """What the object has is replaced, and not given too."""
    assert Renamed(size=2).replace(length=3) == Renamed(size=3)
    assert Renamed(size=2).replace(length=3, name="one") == Renamed(size=3, name="one")
    with pytest.raises(SpecError, match=r"Renamed.length: is what 'size' was called, which is given too"):
        Renamed(size=2).replace(length=3, size=4)


def test_a_misspelt_former_name_is_told_the_present_one() -> None:
    """The new name, not the old."""
    with pytest.raises(SpecError, match="did you mean 'size'"):
        Renamed(lenght=3)


def test_a_renamed_class_is_known_by_its_first_name() -> None:
    """In plans, and where an object has no other name; a class that derives from it is not."""

    class Heir(Renamed):
        pass

    assert (Renamed.kind(), Heir.kind(), describe(Renamed())["kind"]) == ("Former", "Heir", "Former")


def test_a_renamed_object_is_known_by_both_names() -> None:
    """People see the new one, files and fingerprints the old one."""
    assert (Renamed(name="new", aka="old").key, Renamed(name="new", aka="old").identity_name) == ("new", "old")
    assert Renamed(name="new").identity_name == "new"
