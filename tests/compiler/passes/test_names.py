"""Names that enter fingerprints because they stand in what is written, which `aka` keeps; orders that mean nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compiler.errors import UserErrors
from compiler.plan import Plan

Compiled = Callable[[str], Plan]

SPEC = """
first = Dataset(name="first", sources=(
    JsonLines(name="files", path="files.jsonl"), Directory(name="tree", path="repositories"),
    PyPI(name="pypi", packages=(Package(name="six", version="2", sha256="0" * 64),)),
    WebRecall(name="crawl", pages="gone", seed="gone", declared=Declared(revision="r", tokens=10**6))),
    steps=(Decontaminate(benchmarks=(TestSet.mbpp("items.jsonl"), TestSet.humaneval("items.jsonl"))),))
second = Dataset(name="second", sources=(JsonLines(name="more", path="files.jsonl"),))
experiment = small(
    pretrain(mixture=Mixture(parts=(Part(dataset="first", weight=3), Part(dataset="second", weight=1)))),
    FineTune(name="tune", instructions=("pairs", "made"), steps=5, epochs=1, global_batch=2, max_length=64,
             schedule=Cosine(peak=1e-4, warmup_steps=1)),
    data=(first, second), hold_out=HoldOut(repositories=("beta",)),
    instructions=(Instructions(name="pairs", path="pairs.jsonl", format="jsonl"),
                  FunctionPairs(name="made", dataset="first")),
    evaluations=(BitsPerByte(), HumanEval()),
)
"""


def fingerprints(plan: Plan) -> list[str]:
    return sorted(task.fingerprint for task in plan.tasks)


@pytest.mark.parametrize(
    ("old", "enters"),
    [
        ("files", "doc ids of a source"),
        ("tree", "doc ids of a directory"),
        ("pypi", "doc ids of what is fetched"),
        ("crawl", "doc ids of recalled pages, and the digest of a declared source"),
        ("second", "blend.json and the order of a mixture's parts"),
        ("first", "the same, of a data set that others name"),
        ("pairs", "ids of pairs"),
        ("made", "blend.json of samples"),
        ("mbpp", "the table of hits"),
    ],
)
def test_a_renamed_object_keeps_its_identity_by_aka(compiled: Compiled, old: str, enters: str) -> None:
    """Without it the name moves fingerprints, since it stands in what is written."""
    before = compiled(SPEC)
    if old == "mbpp":
        renamed = [
            SPEC.replace('mbpp("items.jsonl"', f'mbpp("items.jsonl", name="zz"{aka}') for aka in ("", ', aka="mbpp"')
        ]
    else:
        text = SPEC.replace(f'"{old}"', '"zz"')
        renamed = [text, text.replace('name="zz"', f'name="zz", aka="{old}"')]
    assert fingerprints(compiled(renamed[0])) != fingerprints(before), enters
    assert fingerprints(compiled(renamed[1])) == fingerprints(before)


def test_a_renamed_test_set_that_is_not_here_keeps_what_it_is_known_by(compiled: Compiled) -> None:
    """Also where its new name is part of what such names begin with."""
    text = SPEC.replace('mbpp("items.jsonl"', 'mbpp("gone.jsonl", declared=Declared(revision="r1"){more}')
    renamed = compiled(text.replace("{more}", ', name="test", aka="mbpp"'))
    assert fingerprints(renamed) == fingerprints(compiled(text.replace("{more}", "")))


@pytest.mark.parametrize("old", ["base", "tune", "bits_per_byte", "small"])
def test_names_of_stages_and_evaluations_enter_nothing(compiled: Compiled, old: str) -> None:
    """They are for people; no aka is needed."""
    text = SPEC.replace('"tune"', '"zz"') if old == "tune" else SPEC
    text = text.replace("pretrain(", 'pretrain(name="zz", ') if old == "base" else text
    text = text.replace("BitsPerByte()", 'BitsPerByte(name="zz")') if old == "bits_per_byte" else text
    text = text.replace("experiment = small(", 'experiment = small(name="zz", ') if old == "small" else text
    assert text != SPEC
    text = (
        text.replace('small(name="zz", ', "small(", 1) + 'experiment = experiment.replace(name="zz")'
        if old == "small"
        else text
    )
    assert fingerprints(compiled(text)) == fingerprints(compiled(SPEC))


FILES, TREE = 'JsonLines(name="files", path="files.jsonl"),', 'Directory(name="tree", path="repositories"),'
MBPP, EVAL = 'TestSet.mbpp("items.jsonl")', 'TestSet.humaneval("items.jsonl")'
PARTS = 'Part(dataset="first", weight=3), Part(dataset="second", weight=1)'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("data=(first, second)", "data=(second, first)"),
        ('("pairs", "made")', '("made", "pairs")'),
        (PARTS, 'Part(dataset="second", weight=0.5), Part(dataset="first", weight=1.5)'),
        (f"{FILES} {TREE}", f"{TREE} {FILES}"),
        (f"({MBPP}, {EVAL})", f"({EVAL}, {MBPP})"),
        ('("beta",)', '("beta", "beta")'),
        ("(BitsPerByte(), HumanEval())", "(HumanEval(), BitsPerByte())"),
        ("HumanEval()", "HumanEval(shots=0, temperature=0)"),
    ],
)
def test_an_order_that_means_nothing_moves_nothing(compiled: Compiled, one: str, other: str) -> None:
    """Sets are written as sequences in a spec."""
    assert one in SPEC
    assert fingerprints(compiled(SPEC.replace(one, other))) == fingerprints(compiled(SPEC))


def test_the_name_that_another_had_is_refused_where_they_meet(compiled: Compiled) -> None:
    """Two objects of one identity could not be told apart."""
    with pytest.raises(UserErrors, match="two were called second"):
        compiled(SPEC.replace('name="first",', 'name="first", aka="second",'))


def test_a_benchmark_says_all_its_settings_and_is_known_by_those_that_were_changed(compiled: Compiled) -> None:
    """A setting that is new in this version moves no fingerprint; who runs it reads them all."""
    op = compiled(SPEC.replace("HumanEval()", "HumanEval(shots=2)")).task("base/humaneval").op
    assert op.settings == (("shots", "2"),)
    assert dict(op.defaults) == {"max_new_tokens": "512", "samples": "1", "temperature": "0.0"}


def test_the_yardstick_of_a_second_pretraining_does_not_count_the_stages_before(compiled: Compiled) -> None:
    """Only what it saw, in order: an unrelated stage that is inserted before moves nothing of it."""
    changes = "hold_out=HoldOut(repositories=('beta',)), evaluations=(BitsPerByte(),)"
    text = f"experiment = small({{}}pretrain(name='last'), {changes})"
    one, two = compiled(text.format("")), compiled(text.format("pretrain(seed=3), "))
    assert two.task("last/bits_per_byte-ngram").fingerprint == one.task("last/bits_per_byte-ngram").fingerprint
