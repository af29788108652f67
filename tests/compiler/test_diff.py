"""What differs between two plans, which tasks that touches, and because of what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

from compiler.compile import compile_experiment, draft_of, plan_from
from compiler.diff import Change, PlanDiff, diff_plans, diff_specs, places, to_json
from compiler.errors import UserError
from compiler.findings import Change as Setting
from compiler.findings import Severities
from compiler.interning import Interned
from compiler.load import load_spec
from compiler.memo import Memo
from compiler.plan import Plan
from compiler.rules import RULES
from ocspec import Dataset, Experiment, MinHash, Package, Part, SpecError
from ocspec.base import Spec, describe, sibling_keys
from tests.ocspec.variants import experiments

SPECS = Path(__file__).parents[2] / "specs"
AFTER_PRETRAINING = {"anneal/train", "sft1/train", "sft2/train"}
BITS = {f"{stage}/bits_per_byte" for stage in ("pretrain", "anneal", "sft1", "sft2")}
NGRAMS = {f"{name}-ngram" for name in BITS}


def edited(spec: Any, path: str, value: Any) -> Any:
    """A copy of a spec with another value at a place, addressed as in a diff."""
    head, _, rest = path.partition(".")
    if isinstance(spec, tuple):
        keys = sibling_keys(spec)
        return tuple(edited(item, rest, value) if key == head else item for key, item in zip(keys, spec, strict=True))
    if isinstance(spec, dict):
        return {**spec, head: value}
    return spec.replace(**{head: edited(getattr(spec, head), rest, value) if rest else value})


@pytest.fixture(scope="session")
def compare(mini: Experiment, mini_plan: Plan) -> Callable[..., PlanDiff]:
    """The mini as it is against the mini with some places edited; every property of a diff is checked."""

    def run(**places: Any) -> PlanDiff:
        other = mini
        for path, value in places.items():
            other = edited(other, path, value)
        return checked(mini_plan, compile_experiment(other, SPECS))

    return run


def checked(before: Plan, after: Plan) -> PlanDiff:
    """A diff, after checking what holds of any: it agrees with the fingerprints, has causes, and mirrors."""
    diff = diff_plans(before, after)
    old, new = ({task.fingerprint for task in plan.tasks} for plan in (before, after))
    touched = set(diff.ids("rebuild", "may cut off", "new"))
    assert touched == {task.id for task in after.tasks if task.fingerprint not in old}
    assert set(diff.ids("removed")) == {task.id for task in before.tasks if task.fingerprint not in new} - {
        task.id for task in after.tasks
    }
    paths = {change.path for change in diff.changes if change.change_class not in {"doc", "execution"}}
    for task in diff.tasks:
        assert (task.action == "reuse") == (not task.because), task
        assert set(task.because) <= paths
        assert set(task.through) <= touched
    for task in after.tasks:
        if touched.intersection(task.upstream):
            assert task.id in touched
    assert {mirrored(change) for change in map(frozen, diff_plans(after, before).changes)} == set(
        map(frozen, diff.changes)
    )
    return diff


def frozen(change: Change) -> tuple[Any, ...]:
    return change.path, change.kind, change.change_class, repr(change.before), repr(change.after)


def mirrored(change: tuple[Any, ...]) -> tuple[Any, ...]:
    path, kind, change_class, before, after = change
    return path, {"added": "removed", "removed": "added"}.get(kind, kind), change_class, after, before


# ---------------------------------------------------------------- nothing and next to nothing


def test_a_plan_does_not_differ_from_itself(mini_plan: Plan) -> None:
    """No change, every task reused."""
    diff = checked(mini_plan, mini_plan)
    assert not diff.differs
    assert diff.changes == ()
    assert len(diff.ids("reuse")) == len(mini_plan.tasks)


@pytest.mark.parametrize(
    ("path", "value", "change_class"),
    [
        ("note", "a remark", "doc"),
        ("data.code.note", "a remark", "doc"),
        ("data.code.sources.pypi.note", "a remark", "doc"),
        ("curriculum.stages.anneal.note", "a remark", "doc"),
        ("shards", 7, "execution"),
        ("curriculum.stages.pretrain.micro_batch", 8, "execution"),
        ("curriculum.stages.pretrain.kernels", "portable", "execution"),
        ("curriculum.stages.pretrain.checkpoint_every", 7, "execution"),
        ("curriculum.stages.pretrain.parallelism.distributed_optimizer", True, "execution"),
    ],
)
def test_remarks_and_ways_to_run_touch_nothing(compare: Callable, path: str, value: Any, change_class: str) -> None:
    """They are changes all the same, and are shown as what they are."""
    diff = compare(**{path: value})
    assert [(change.path, change.kind, change.change_class) for change in diff.changes] == [
        (path, "changed", change_class)
    ]
    assert diff.differs
    assert diff.ids("rebuild", "may cut off", "new", "removed") == ()


# ---------------------------------------------------------------- one change


@pytest.mark.parametrize(
    ("path", "value", "change_class", "rebuilt"),
    [
        ("data.code.steps.admit.max_bytes", 1000, "data", {"code/sign"}),
        ("data.code.steps.deduplicate.exact", False, "data", {"code/deduplicate/edges"}),
        (
            "data.code.steps.deduplicate.near",
            None,
            "data",
            {"code/deduplicate/edges", "code/deduplicate/cluster"},
        ),
        ("data.code.steps.redact.pii", False, "data", {"code/refine"}),
        ("data.code.steps.downsample.caps.html", 1, "data", {"code/downsample"}),
        ("data.algorithmic.steps.selectkeywords.keywords", ("quicksort",), "data", {"algorithmic/selectkeywords"}),
        ("hold_out.repositories", ("pip@*",), "data", {"code/sign"}),
        ("tokenizer.sample_bytes", 5_000_000, "data", {"tokenizer"}),
        (
            "tokenizer.vocab_size",
            4096,
            "data",
            {"tokenizer", "pretrain/train", *AFTER_PRETRAINING},
        ),
        ("model.num_layers", 5, "train", {"pretrain/train", *AFTER_PRETRAINING}),
        ("curriculum.stages.pretrain.seed", 1, "train", {"pretrain/mix", "pretrain/train"}),
        ("curriculum.stages.pretrain.schedule.warmup_steps", 30, "train", {"pretrain/train"}),
        ("curriculum.stages.pretrain.schedule.peak", 5e-3, "train", {"pretrain/train", "anneal/train"}),
        ("curriculum.stages.anneal.schedule.end", 2e-4, "train", {"anneal/train"}),
        ("curriculum.stages.anneal.optimizer.beta2", 0.99, "train", {"anneal/train"}),
        ("curriculum.stages.anneal.start_step", 100, "train", {"pretrain/train", "anneal/train"}),
        ("curriculum.stages.anneal.mixture.parts.code.weight", 50, "data", {"anneal/mix"}),
        ("curriculum.stages.sft1.max_length", 128, "train", {"sft1/encode-functions", "sft1/mix", "sft1/train"}),
        ("curriculum.stages.sft2.seed", 3, "train", {"sft2/encode-explained", "sft2/mix", "sft2/train"}),
        ("curriculum.stages.sft2.epochs", 4, "train", {"sft2/mix"}),
        ("instructions.explained.min_docstring_chars", 200, "data", {"instructions/explained"}),
        ("evaluations.bits_per_byte.max_bytes", 1000, "eval", BITS | NGRAMS),
        ("evaluations.bits_per_byte.ngram_order", 3, "eval", NGRAMS),
    ],
)
def test_one_change_rebuilds_these_tasks_and_no_others(
    compare: Callable, path: str, value: Any, change_class: str, rebuilt: set[str]
) -> None:
    """It is one change, at its own path; what follows may be cut off; the rest is reused."""
    diff = compare(**{path: value})
    assert [(change.path, change.change_class) for change in diff.changes] == [(path, change_class)]
    assert set(diff.ids("rebuild")) == rebuilt
    assert diff.ids("new", "removed") == ()


def test_file_to_repository_is_one_change(compare: Callable) -> None:
    """And of the tasks, what makes clusters is new and the rest of the way may be cut off."""
    path = "data.code.steps.deduplicate.granularity"
    diff = compare(**{path: "repository"})
    (change,) = diff.changes
    assert change == Change(path=path, kind="changed", change_class="data", before="file", after="repository")
    assert diff.ids("new") == ("code/deduplicate/merge",)
    assert diff.ids("reuse") == ("code/fetch-pypi",)
    assert {"code/sign", "code/deduplicate/edges", "code/deduplicate/cluster"} == set(diff.ids("rebuild"))
    assert all(task.because == (path,) for task in diff.tasks if task.action != "reuse")


def test_the_arms_of_the_ablation_differ_in_their_factor_only() -> None:
    """Their names are no difference."""
    file = str(SPECS / "ablations" / "dedup_level.py")
    one, other = (compile_experiment(*load_spec(f"{file}:{arm}")) for arm in ("file_level", "repository_level"))
    diff = checked(one, other)
    assert [change.path for change in diff.changes] == ["data.code.steps.deduplicate.granularity"]
    assert diff.ids("reuse") == ("code/fetch-pypi",)


def test_the_decay_touches_annealing_and_what_follows(compare: Callable) -> None:
    """Not its mixture, not the yardstick."""
    diff = compare(**{"curriculum.stages.anneal.schedule.end": 2e-4})
    assert set(diff.ids("rebuild", "may cut off")) == AFTER_PRETRAINING | (BITS - {"pretrain/bits_per_byte"})


def test_an_evaluation_touches_evaluations_only(mini_plan: Plan, compare: Callable) -> None:
    """A run of 109 hours is not thrown away for another sample of text to measure on."""
    diff = compare(**{"evaluations.bits_per_byte.seed": 9})
    touched = diff.ids("rebuild", "may cut off", "new", "removed")
    assert {mini_plan.task(name).resources.task_class for name in touched} == {"eval"}


def test_through_names_the_way_that_a_cause_took(compare: Callable) -> None:
    """The tasks upstream that changed; none for the task that the change itself is about."""
    diff = compare(**{"data.code.steps.redact.pii": False})
    by_id = {task.id: task for task in diff.tasks}
    assert by_id["code/refine"].through == ()
    assert by_id["code/downsample"].through == ("code/refine",)
    assert by_id["algorithmic/encode"].through == ("code/refine", "algorithmic/selectkeywords", "tokenizer")


# ---------------------------------------------------------------- things that come and go


def test_a_source_inserted_into_a_mixture_is_one_change(mini: Experiment, compare: Callable) -> None:
    """Wherever it stands; positions of the others do not count."""
    part = Part(dataset="algorithmic", weight=1)
    (code,) = mini.curriculum.stages[0].mixture.parts
    for parts in ((part, code), (code, part)):
        diff = compare(**{"curriculum.stages.pretrain.mixture.parts": parts})
        (change,) = diff.changes
        assert (change.path, change.kind) == ("curriculum.stages.pretrain.mixture.parts.algorithmic", "added")
        assert change.change_class == "data"
        assert change.after["weight"] == 1
        assert {"tokenizer", "pretrain/mix"} <= set(diff.ids("rebuild"))


def test_a_package_more_is_one_change(mini: Experiment, compare: Callable) -> None:
    """Known by its name and version."""
    packages = mini.data[0].sources[0].packages
    six = Package(name="six", version="2", sha256="0" * 64)
    diff = compare(**{"data.code.sources.pypi.packages": (six, *packages)})
    (change,) = diff.changes
    assert (change.path, change.kind) == ("data.code.sources.pypi.packages.six@2", "added")
    assert set(diff.ids("rebuild")) == {"code/fetch-pypi"}


def test_an_instruction_source_more(mini: Experiment, compare: Callable) -> None:
    """Its tasks are new because of the list that names it."""
    diff = compare(**{"curriculum.stages.sft1.instructions": ("functions", "explained")})
    yardsticks = {"sft1/bits_per_byte-ngram", "sft2/bits_per_byte-ngram"}
    assert set(diff.ids("rebuild")) == {"sft1/mix", "sft1/train"} | yardsticks
    assert "sft1/encode-explained" in diff.ids("reuse")
    assert "sft2/train" in diff.ids("may cut off")


def test_a_data_set_that_nothing_used_is_encoded_when_a_mixture_names_it(mini: Experiment) -> None:
    """Its new tasks know why."""
    spare = mini.replace(data=(*mini.data, Dataset(name="spare", base="code", steps=mini.data[1].steps)))
    spare = edited(spare, "data.spare.steps.selectkeywords.keywords", ("sort",))
    parts = (*mini.curriculum.stages[1].mixture.parts, Part(dataset="spare", weight=1))
    used = edited(spare, "curriculum.stages.anneal.mixture.parts", parts)
    diff = checked(*(compile_experiment(experiment, SPECS) for experiment in (spare, used)))
    assert set(diff.ids("new")) == {"spare/encode", "spare/pack"}
    assert {task.because for task in diff.tasks if task.action == "new"} == {
        ("curriculum.stages.anneal.mixture.parts.spare",)
    }


def test_a_stage_less(mini: Experiment, compare: Callable) -> None:
    """Its tasks are removed because of it, the measurements after it included; the stages before are reused."""
    diff = compare(**{"curriculum.stages": mini.curriculum.stages[:-1]})
    (change,) = diff.changes
    assert (change.path, change.kind, change.change_class) == ("curriculum.stages.sft2", "removed", "train")
    assert {"sft2/train", "sft2/mix", "sft2/bits_per_byte", "sft2/bits_per_byte-ngram"} <= set(diff.ids("removed"))
    assert diff.ids("rebuild", "may cut off", "new") == ()
    assert all(task.because == ("curriculum.stages.sft2",) for task in diff.tasks if task.action == "removed")


def test_no_hold_out_and_no_evaluation(compare: Callable) -> None:
    """Two changes; each task knows which of them it is for."""
    diff = compare(hold_out=None, evaluations=())
    assert [(change.path, change.kind, change.change_class) for change in diff.changes] == [
        ("evaluations.bits_per_byte", "removed", "eval"),
        ("hold_out", "changed", "data"),
    ]
    because = {task.id: task.because for task in diff.tasks}
    assert because["code/hold-out"] == because["code/sign"] == ("hold_out",)
    assert because["anneal/train"] == ("hold_out",)
    assert because["sft2/bits_per_byte"] == ("evaluations.bits_per_byte",)


def test_a_renamed_stage_is_trained_already(mini: Experiment, compare: Callable) -> None:
    """A name for people changes no bytes: under its new name every task is reused."""
    stages = (*mini.curriculum.stages[:-1], mini.curriculum.stages[-1].replace(name="chat"))
    diff = compare(**{"curriculum.stages": stages})
    assert {change.path for change in diff.changes} == {"curriculum.stages.sft2", "curriculum.stages.chat"}
    assert diff.ids("rebuild", "may cut off", "new", "removed") == ()
    assert "chat/train" in diff.ids("reuse")


@pytest.mark.parametrize(
    ("path", "change_class"),
    [
        ("data", "data"),
        ("instructions", "data"),
        ("data.code.sources.pypi.packages", "data"),
        ("curriculum.stages.anneal.mixture.parts", "data"),
        ("evaluations", "eval"),
    ],
)
def test_the_order_of_things_that_have_none_touches_nothing(mini: Experiment, path: str, change_class: str) -> None:
    """It is shown as one change, of order."""
    if path == "evaluations":
        mini = edited(mini, path, (*mini.evaluations, mini.evaluations[0].replace(name="again", seed=1)))
    value: Any = mini
    for part in path.split("."):
        keyed = isinstance(value, tuple)
        value = dict(zip(sibling_keys(value), value, strict=True))[part] if keyed else getattr(value, part)
    plans = [compile_experiment(edited(mini, path, order), SPECS) for order in (value, value[::-1])]
    diff = checked(*plans)
    (change,) = diff.changes
    assert (change.path, change.kind, change.change_class) == (f"{path} (order)", "changed", change_class)
    assert diff.ids("rebuild", "may cut off", "new", "removed") == ()


def test_a_task_whose_inputs_are_in_another_order_may_be_cut_off(compiled: Callable[[str], Plan]) -> None:
    """Where the order means nothing, it is the same work on the same inputs."""
    sets = [f"code(Admit(max_bytes={900 + number}), name='{name}')" for number, name in enumerate(("code", "b", "c"))]
    text = "experiment = small(data=({}), hold_out=HoldOut(repositories=('x@*',)), evaluations=(BitsPerByte(),))"
    before = compiled(text.format(", ".join(sets)))
    edits = [*sets[:2], "code(Admit(max_bytes=999), name='c')"]
    straight, turned = (compiled(text.format(", ".join(order))) for order in (edits, edits[::-1]))
    actions = [{task.id: task.action for task in checked(before, after).tasks} for after in (straight, turned)]
    assert actions[0] == actions[1]
    assert (actions[0]["c/sign"], actions[0]["code/hold-out"]) == ("rebuild", "may cut off")


def test_the_order_of_steps_counts(compiled: Callable[[str], Plan]) -> None:
    """Of two selections the second sees what the first left."""
    steps = ["Downsample(caps={'c': 5})", "SelectKeywords(keywords=('quicksort',))"]
    one, other = (compiled(f"experiment = small(data=(code({', '.join(order)}),))") for order in (steps, steps[::-1]))
    diff = checked(one, other)
    assert [change.path for change in diff.changes] == ["data.code.steps (order)"]
    assert set(diff.ids("rebuild")) >= {"code/downsample", "code/selectkeywords"}


def test_another_kind_at_the_same_place_is_one_change(compare: Callable, mini: Experiment) -> None:
    """Not one change for each of its fields."""
    from ocspec import Cosine

    diff = compare(**{"curriculum.stages.pretrain.schedule": Cosine(peak=4e-3, warmup_steps=20, end=1e-3)})
    (change,) = diff.changes
    assert change.path == "curriculum.stages.pretrain.schedule"
    assert (change.before["kind"], change.after["kind"]) == ("WSD", "Cosine")


def test_changes_add_up(compare: Callable) -> None:
    """Two edits are two changes, and a task downstream of both names both."""
    one, other = "data.code.steps.redact.pii", "tokenizer.sample_bytes"
    diff = compare(**{one: False, other: 5_000_000})
    assert {change.path for change in diff.changes} == {one, other}
    assert set(next(task.because for task in diff.tasks if task.id == "code/encode")) == {one, other}


def test_as_json(mini: Experiment, compare: Callable) -> None:
    """Versioned plain data."""
    data = to_json(compare(**{"data.code.steps.downsample.caps.html": 1}))
    assert (data["format_version"], data["kind"]) == (1, "diff")
    assert data["changes"] == [
        {
            "path": "data.code.steps.downsample.caps.html",
            "kind": "changed",
            "change_class": "data",
            "before": mini.data[0].steps[-1].caps["html"],
            "after": 1,
        },
    ]
    assert {task["action"] for task in data["tasks"]} == {"reuse", "rebuild", "may cut off"}
    cause = {"path": "data.code.steps.downsample.caps.html", "kind": "changed", "before": 60_000, "after": 1}
    assert data["causes"] == {"code/downsample": [{**cause, "in_spec": True}]}
    trained = next(task for task in data["tasks"] if task["id"] == "pretrain/train")
    assert (trained["caused_by"], trained["earliest"]) == (["code/downsample"], "code/downsample")


def test_a_source_that_was_edited_is_seen(workplace: Path, compiled: Callable[[str], Plan]) -> None:
    """The specs are equal; the digest of the files is not."""
    before = compiled("experiment = small()")
    (workplace / "files.jsonl").write_text('{"repo": "alpha", "path": "a.py", "content": "x = 2"}\n' * 100)
    diff = diff_plans(before, compiled("experiment = small()"))
    assert diff.changes == ()
    assert set(diff.ids("rebuild")) == {"code/sign", "code/refine"}
    assert diff.differs
    sign, train = (next(task for task in diff.tasks if task.id == name) for name in ("code/sign", "base/train"))
    (cause,) = sign.causes
    assert (cause.task, cause.path, cause.in_spec) == ("code/sign", "readers[0].digest", False)
    assert cause.before.startswith("bytes:") and cause.before != cause.after
    assert sign.because == ()
    assert {cause.task for cause in train.causes} == {"code/sign"}
    assert train.earliest == "code/sign"


def test_the_earliest_task_is_told_from_the_one_that_decides(mini: Experiment, compare: Callable) -> None:
    """What a task is itself comes before what it reads; where all of it began is kept, too."""
    diff = compare(**{"data.code.steps.redact.pii": False, "curriculum.stages.anneal.schedule.end": 1e-5})
    task = next(task for task in diff.tasks if task.id == "anneal/train")
    assert [(cause.task, cause.path) for cause in task.causes] == [
        ("anneal/train", "curriculum.stages.anneal.schedule.end")
    ]
    assert task.earliest == "code/refine"
    assert (task.causes[0].before, task.causes[0].after) == (1e-4, 1e-5)


def test_a_file_that_was_edited_is_a_cause_beside_what_is_inherited(
    workplace: Path, compiled: Callable[[str], Plan]
) -> None:
    """Though the spec tells nothing of it, and a change upstream reaches the task as well."""
    before = compiled("experiment = small(hold_out=HoldOut(repositories=('x@*',)))")
    (workplace / "files.jsonl").write_text('{"repo": "alpha", "path": "a.py", "content": "x = 2"}\n' * 100)
    diff = checked(before, compiled("experiment = small(hold_out=HoldOut(repositories=('y@*',)))"))
    causes = {task.id: [(cause.task, cause.path, cause.in_spec) for cause in task.causes] for task in diff.tasks}
    assert causes["code/refine"] == [
        ("code/refine", "readers[0].digest", False),
        ("code/sign", "hold_out.repositories", True),
    ]


def test_another_path_with_other_files_is_the_cause(workplace: Path, compiled: Callable[[str], Plan]) -> None:
    """A path touches nothing by itself; where what stands there differs it tells why."""
    moved = workplace / "moved" / "files.jsonl"
    moved.parent.mkdir()
    moved.write_bytes((workplace / "files.jsonl").read_bytes())
    text = "experiment = small(data=(code(sources=(FILES.replace(path='%s'),)),))"
    before = compiled(text % "files.jsonl")
    diff = checked(before, compiled(text % "moved/files.jsonl"))
    assert diff.ids("rebuild", "may cut off", "new", "removed") == ()
    moved.write_text('{"repo": "alpha", "path": "a.py", "content": "x = 2"}\n' * 100)
    diff = diff_plans(before, compiled(text % "moved/files.jsonl"))
    because = {task.id: task.because for task in diff.tasks}
    assert because["code/sign"] == because["base/train"] == ("data.code.sources.files.path",)


def test_ignored_changes_are_counted_and_touch_what_they_touch(mini: Experiment, compare: Callable) -> None:
    """A pattern fits a path or an end of it, part by part."""
    notes = {f"curriculum.stages.{stage}.note": "x" for stage in ("pretrain", "anneal")}
    diff = compare(**notes, note="x", **{"data.code.steps.redact.pii": False})
    assert len(diff.changes) == 4
    for patterns, left in (
        (["stages.*.note"], {"note", "data.code.steps.redact.pii"}),
        (["note"], {"data.code.steps.redact.pii"}),
        (["ote", "*.redact"], {change.path for change in diff.changes}),
        (["curriculum.*", "data.*"], {"note"}),
        (["*"], set()),
    ):
        fewer = diff.without(patterns)
        assert {change.path for change in fewer.changes} == left
        assert len(fewer.ignored) == 4 - len(left)
        assert fewer.tasks == diff.tasks
    assert to_json(diff.without(["note"]))["ignored"] == 3


@settings(max_examples=60)
@given(experiments, experiments)
def test_every_change_is_at_a_place_of_one_of_the_two(one: Experiment, other: Experiment) -> None:
    """Whatever they are; so a pattern that fits no place can fit no change."""
    before, after = describe(one), describe(other)
    known = {".".join(parts) for spec in (before, after) for parts in places(spec)}
    assert {change.path for change in diff_specs(before, after)} <= known


def test_many_ignored_changes_are_told_apart_in_one_pass() -> None:
    """Comparing each with all took 20 seconds for as many."""
    changes = tuple(Change(path=f"data.d{number}.note", kind="changed", change_class="doc") for number in range(20_000))
    begin = time.process_time()
    fewer = PlanDiff(changes=changes, tasks=()).without(["note"])
    assert (fewer.changes, len(fewer.ignored)) == ((), 20_000)
    assert time.process_time() - begin < 5


def test_a_task_on_which_many_changes_fall_knows_all_of_them(mini: Experiment, compare: Callable) -> None:
    """At its place, below it and above it; the model's are of every stage."""
    shape = {"model.num_layers": 3, "model.rope_theta": 5000.0, "model.norm_eps": 1e-6}
    diff = compare(**shape, **{"curriculum.stages.sft1.seed": 4})
    because = {task.id: task.because for task in diff.tasks}
    assert set(because["pretrain/train"]) == set(shape)
    assert set(because["sft1/train"]) == {*shape, "curriculum.stages.sft1.seed"}


# ---------------------------------------------------------------- every field of the language

EVERYTHING = """
far = {"declared": Declared(tokens=10**9, revision="r1")}
data = (
    code(Admit(), Deduplicate(), Redact(), Filter(rules=(RULE,)), Downsample(caps={"c": 9}), name="lines"),
    code(Deduplicate(granularity="chunk", near=THRESHOLD), name="tables", sources=(TABLE,)),
    code(SelectKeywords(keywords=("quicksort",)), name="tree", sources=(Directory(name="tree", path="repositories"),)),
    code(CLEAN, name="wheels", sources=(PyPI(name="pypi", packages=(WHEEL,)),)),
    code(name="web", sources=(WebRecall(name="crawl", pages="p", seed="s", **far),)),
)
names = "lines", "tables", "tree", "wheels", "web"
experiment = small(
    pretrain(mixture=mix(*names), validate_every=2),
    Anneal(name="decay", mixture=mix(*names), batches=BATCHES, schedule=Decay(end=1e-5), start_step=9),
    FineTune(name="tune", instructions=("made", "pairs", "gone"), samples=40, epochs=2, global_batch=8, max_length=64,
             schedule=Cosine(peak=1e-4, warmup_steps=1, end=1e-6), start_step=8),
    FineTune(name="last", instructions=("made",), steps=5, epochs=2, global_batch=8, max_length=64,
             schedule=Cosine(peak=1e-4, warmup_steps=1)),
    data=data,
    hold_out=HoldOut(repositories=("beta",)),
    instructions=(
        FunctionPairs(name="made", dataset="lines"),
        Instructions(name="pairs", path="pairs.jsonl", format="jsonl"),
        Instructions(name="gone", path="gone.parquet", declared=Declared(documents=9, revision="r1")),
    ),
    decontaminate_instructions=Decontaminate(benchmarks=(TestSet.mbpp("items.jsonl", name="for_pairs"),)),
    evaluations=(BitsPerByte(), HumanEval(), MBPP(), BigCodeBench(), LiveCodeBench(), MultiPLE(), McEval(), MdEval(),
                 CodeArena()),
)
"""
PARTS = """
RULE = Rule(name="own", signal="num_lines", comparison="<", threshold=3, languages=("c",))
THRESHOLD = MinHash(threshold=0.8, permutations=64)
WHEEL = Package(name="six", version="2", sha256="0" * 64)
CLEAN = Decontaminate(benchmarks=(TestSet.mbpp("items.jsonl"),))
WROTE = Generator(model="m", revision="r", recipe="r", seed_data="s", temperature=0.5, licence="l")
TABLE = Parquet(name="table", path="x/*.parquet", declared=Declared(tokens=10**9, revision="r1"), generator=WROTE)
"""
# Fields that mean something and yet change no task here, each with the reason.
IDLE = {
    "declared.documents": "sizes are for budgets",
    "declared.bytes": "sizes are for budgets",
    "declared.tokens": "sizes are for budgets",
    "data.lines.steps.deduplicate.chunk_tokens": "of no meaning by file",
    "curriculum.stages.last.samples": "of no meaning where steps are given",
    **{f"curriculum.stages.{name}.validate_bytes": "nothing is measured there" for name in ("decay", "tune", "last")},
}
# Fields by which things are known: another value is another thing, not one change.
KEYS = {"name", "version"}
# Fields of which no other plain value makes sense here: names of other parts, absent parts, files, alternatives.
FIXED = {"dataset", "base", "declared", "generator", "path", "format", "steps", "entry_point"}
FIXED |= {"bands", "rows", "permutations"}  # either these or a threshold
FIXED |= {"tensor", "pipeline", "context", "sequence_parallel"}  # torch splits the batch alone
FIXED |= {"where"}  # either this or signal, comparison and threshold


def test_every_field_of_the_language_counts_or_is_marked(workplace: Path, experiment_of: Callable) -> None:
    """Another value of any one field is one change; it touches tasks exactly if the field is semantic."""
    experiment = experiment_of(PARTS + EVERYTHING)
    before = compile_experiment(experiment, workplace)
    places = [(path, value) for path, value in leaves(experiment) if path.rpartition(".")[2] not in KEYS]
    fixed, known = set(), (Memo(), Interned())
    for path, value in places:
        plans = (attempt(experiment, path, other, workplace, *known) for other in others(value) if other != value)
        after = next(filter(None, plans), None)
        if after is None:
            fixed.add(path.rpartition(".")[2])
            continue
        diff = checked(before, after)
        (change,) = diff.changes
        assert change.path == path
        touched = bool(diff.ids("rebuild", "new", "removed"))
        idle = any(path.endswith(end) for end in IDLE)
        assert touched == (change.change_class not in {"doc", "execution"} and not idle), path
    assert fixed == FIXED
    assert len(places) > 250


def leaves(spec: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every place of a spec that holds a plain value."""
    if isinstance(spec, Spec):
        for name in type(spec).model_fields:
            yield from leaves(getattr(spec, name), f"{path}.{name}" if path else name)
    elif isinstance(spec, tuple) and spec and all(isinstance(item, Spec) for item in spec):
        for key, item in zip(sibling_keys(spec), spec, strict=True):
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(spec, dict):
        for key in spec:
            yield f"{path}.{key}", spec[key]
    else:
        yield path, spec


# Values that some field takes, tried in turn.
WORDS = (
    "chunk", "file", "character", "bf16", "nemo", "portable", "none", ">", "linear", "instruct", "num_words", "1" * 64,
    "2401-2409", "mentioned", "skip", "full",
)  # fmt: skip


def others(value: Any) -> list[Any]:
    """Other values to try in the place of one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value * 2, value + 1, value - 1, value // 2, value / 2, value * 0.9]
    if isinstance(value, str):
        return [*WORDS, f"{value}x"]
    if isinstance(value, tuple):
        return [(*value, word) for word in ("python", "data", "pairs", "base", "added") if word not in value] + [
            value[:-1]
        ]
    assert value is None
    return [7, 3.5, 0.5, "python", MinHash(bands=8)]


# Those that say what a field of FIXED goes with.
MEANT = {"OC013"}
# Values are to count, not to make sense: rules that know better, as that a file has no such column, keep quiet.
QUIET = Severities(
    tuple(
        Setting(rule.code, rule.severity, "off", "here") for rule in RULES if not rule.fixed and rule.code not in MEANT
    )
)


def attempt(experiment: Experiment, path: str, value: Any, base: Path, memo: Memo, interned: Interned) -> Plan | None:
    """The plan with that value, or nothing where it is refused; of what its neighbours share, little is done again."""
    try:
        return plan_from(draft_of(interned.spec(edited(experiment, path, value)), base, severities=QUIET, memo=memo))
    except (SpecError, UserError):
        return None


def test_the_edits_of_these_tests_say_where_they_are(mini: Experiment) -> None:
    """`edited` addresses a place as a diff does."""
    other = edited(mini, "data.code.steps.downsample.caps.html", 1)
    assert other.data[0].steps[-1].caps == {**mini.data[0].steps[-1].caps, "html": 1}
    assert attrs.asdict(Change(path="a", kind="added", change_class="data"))["before"] is None
