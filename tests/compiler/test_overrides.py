"""Settings from outside a spec: what they change, where that is recorded, and what is refused."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from compiler.compile import compile_experiment
from compiler.errors import UserError, UserErrors
from compiler.load import load_arms, load_spec
from compiler.overrides import arms, delta, override
from compiler.plan import Delta, dumps, loads
from ocspec import Cosine

PEAK = "curriculum.stages.base.schedule.peak"
WSD = "WSD(peak=1e-3, warmup_steps=1)"
SPEC = "from ocspec import *; from small import *\nexperiment = small(note='as written')\n"


@pytest.fixture
def spec(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A spec file in the working directory."""
    monkeypatch.chdir(workplace)
    Path("spec.py").write_text(SPEC)
    return "spec.py"


def refused(spec: str, *settings: str) -> list[UserError]:
    with pytest.raises(UserErrors) as error:
        load_spec(spec, settings)
    return error.value.problems


def test_a_setting_changes_the_value_and_leaves_everything_where_it_was(spec: str) -> None:
    """Tasks come from the same lines as without it."""
    plain, base = load_spec(spec)
    experiment, _ = load_spec(spec, ["base.schedule.peak=2e-3", "model.num_layers=3"])
    stage = experiment.curriculum.stages[0]
    assert (stage.schedule.peak, experiment.model.num_layers) == (2e-3, 3)
    plans = [compile_experiment(one, base) for one in (plain, experiment)]
    assert [task.origin for task in plans[0].tasks] == [task.origin for task in plans[1].tasks]


def test_what_was_set_is_a_delta(spec: str) -> None:
    """In the order of the spec, by whole paths, in plain data."""
    before, _ = load_spec(spec)
    after = override(
        before, ["base.schedule=Cosine(peak=1e-3, warmup_steps=2)", "data.code.sources.files.path=x.jsonl"]
    )
    cosine = {"kind": "Cosine", "peak": 1e-3, "warmup_steps": 2, "end": 0.0}
    wsd = {"kind": "WSD", "peak": 1e-3, "warmup_steps": 2}
    assert delta(before, after) == (
        Delta(path="data.code.sources.files.path", before="files.jsonl", after="x.jsonl"),
        Delta(path="curriculum.stages.base.schedule", before=wsd, after=cosine),
    )
    schedule = after.curriculum.stages[0].schedule
    assert isinstance(schedule, Cosine)
    assert schedule.origin == after.curriculum.stages[0].origin


def test_a_setting_that_says_what_the_spec_says_is_none(spec: str) -> None:
    before, _ = load_spec(spec)
    after = override(before, ["base.schedule.peak=1e-3", "note=as written", "shards=None"])
    assert after == before
    assert delta(before, after) == ()


def test_a_child_that_a_setting_leaves_out_is_a_delta(spec: str) -> None:
    """It was something and is nothing, as what is new was nothing; a plan can be written of it."""
    before, base = load_spec(spec)
    after = override(before, ["data.code.steps=(Filter(),)"])
    found = delta(after, override(after, ["data.code.steps=()"]))
    assert [(one.path, one.before["kind"], one.after) for one in found] == [("data.code.steps.filter", "Filter", None)]
    plan = attrs.evolve(compile_experiment(before, base), delta=found)
    assert loads(dumps(plan)).delta == found


def test_a_plan_keeps_its_delta_and_its_fingerprints_do_not_know_it(spec: str) -> None:
    experiment, base = load_spec(spec, ["base.schedule.peak=2e-3"])
    Path("written.py").write_text(SPEC.replace("small(", "small(pretrain(schedule=WSD(peak=2e-3, warmup_steps=2)), "))
    written = compile_experiment(*load_spec("written.py"))
    plan = attrs.evolve(compile_experiment(experiment, base), delta=delta(load_spec(spec)[0], experiment))
    assert loads(dumps(plan)).delta == (Delta(path="curriculum.stages.base.schedule.peak", before=1e-3, after=2e-3),)
    assert [task.fingerprint for task in plan.tasks] == [task.fingerprint for task in written.tasks]
    assert plan.spec == written.spec


def test_every_setting_that_is_wrong_is_listed(spec: str) -> None:
    """Places as they were written, values with the line of the object that holds them."""
    problems = refused(
        spec,
        "base.schedule.peek=1",
        "steps",
        "base.seed=x",
        "base.batches.batches.steps=1e3",
        "name.x=1",
        "model.num_layers=0",
        "base.schedule.warmup_steps=3",
        "curriculum.stages.base.schedule.warmup_steps=4",
    )
    found = [(problem.where, problem.what) for problem in problems]
    assert found[:4] == [
        ("--set base.schedule.peek=1", "there is no such place"),
        ("--set steps", "this is not PATH=VALUE"),
        ("--set name.x=1", "there is no such place"),
        (
            "--set curriculum.stages.base.schedule.warmup_steps=4",
            "it is set twice, by `--set base.schedule.warmup_steps` too",
        ),
    ]
    assert problems[0].fix == "did you mean curriculum.stages.base.schedule.peak?"
    lines = Path("small.py").read_text().splitlines()
    values = {problem.what.partition(":")[0]: problem for problem in problems[4:]}
    assert len(values) == 2
    for problem, what, line in (
        (values["model.num_layers"], "model.num_layers: should be greater than 0 (got 0)", "MODEL = "),
        (
            values["curriculum.stages.base.seed"],
            "curriculum.stages.base.seed: should be a valid integer (got 'x')",
            "return Pretrain(",
        ),
    ):
        assert problem.what == what
        file, _, number = problem.where.partition(":")
        assert (file, line in lines[int(number) - 1]) == ("small.py", True)
    assert "`ocspec schema` describes Transformer.num_layers" in values["model.num_layers"].fix


def test_an_object_that_does_not_hold_says_what_is_wrong_with_it(spec: str) -> None:
    (problem,) = refused(spec, "base.schedule=WSD(peak=1e-3, warmup=2)")
    assert (problem.where, problem.what, problem.fix) == (
        "--set base.schedule=WSD(peak=1e-3, warmup=2)",
        "WSD.warmup: no such field",
        "did you mean 'warmup_steps'?",
    )
    (problem,) = refused(spec, "model.num_layers=1/0")
    assert problem.what == "model.num_layers: should be a valid integer (got '1/0')"


def test_an_end_that_several_places_share_is_refused_with_all_of_them(spec: str) -> None:
    Path("two.py").write_text(
        SPEC.replace("small(", "small(pretrain(), pretrain(name='again', schedule=WSD(peak=1, warmup_steps=2)), ")
    )
    (problem,) = refused("two.py", "schedule.peak=1")
    assert problem.what == "2 places end so"
    assert problem.fix == "write one of curriculum.stages.base.schedule.peak or curriculum.stages.again.schedule.peak"


def test_an_entry_of_a_mapping_and_a_child_as_a_whole(spec: str) -> None:
    Path("capped.py").write_text(SPEC.replace("small(", "small(data=(code(Downsample(caps={'c': 5}), Filter()),), "))
    steps = "data.code.steps"
    after, _ = load_spec(
        "capped.py", [f"{steps}.downsample.caps.c=6", f"{steps}.filter=SelectKeywords(keywords=('x',))"]
    )
    assert after.data[0].steps[0].caps == {"c": 6}
    assert after.data[0].steps[1].key == "selectkeywords"
    (problem,) = refused("capped.py", "caps.d=6")
    assert problem.fix == f"did you mean {steps}.downsample.caps.c?"
    (problem,) = refused("capped.py", "caps.c=many")
    assert problem.what.startswith(f"{steps}.downsample.caps.c: should be a valid integer")


def test_a_sweep_is_one_experiment_for_each_combination(spec: str) -> None:
    base, _ = load_spec(spec, ["shards=2"])
    made = arms(base, ["base.schedule.peak=1e-3,2e-3", "data.code.steps=(),(Redact(), Filter())"])
    assert [arm.name for arm in made] == [
        "small-peak_0.001-steps",
        "small-peak_0.001-steps_Redact_Filter",
        "small-peak_0.002-steps",
        "small-peak_0.002-steps_Redact_Filter",
    ]
    assert delta(base, made[0], base.name) == ()
    assert [change.path for change in delta(base, made[3], base.name)] == [
        "data.code.steps.redact",
        "data.code.steps.filter",
        "curriculum.stages.base.schedule.peak",
    ]


def test_a_sweep_that_is_wrong_in_several_ways(spec: str) -> None:
    base, _ = load_spec(spec)
    with pytest.raises(UserErrors) as error:
        arms(base, ["base.schedule.peak=1,1", "base.sede=1,2", "base.seed=1,x", "base.guard.window=1"])
    found = [(problem.where.partition(":")[0], problem.what) for problem in error.value.problems]
    assert sorted(found) == [
        ("--sweep base.schedule.peak=1,1", "1.0 stands there twice"),
        ("--sweep base.sede=1,2", "there is no such place"),
        ("small.py", "curriculum.stages.base.guard.window: should be greater than or equal to 2 (got 1)"),
        ("small.py", "curriculum.stages.base.seed: should be a valid integer (got 'x')"),
    ]


@pytest.mark.parametrize(
    ("setting", "sweep", "what"),
    [
        (
            "base.schedule.peak=3e-3",
            "base.schedule.peak=1e-3,2e-3",
            "it is set twice, by `--set base.schedule.peak` too",
        ),
        ("schedule.peak=3e-3", f"{PEAK}=1e-3,2e-3", "it is set twice, by `--set schedule.peak` too"),
        (f"{PEAK}=3e-3", "base.schedule.peak=1e-3,2e-3", f"it is set twice, by `--set {PEAK}` too"),
        (f"base.schedule={WSD}", "schedule.peak=1e-3,2e-3", "it is in what `--set base.schedule` changes"),
        ("schedule.peak=3e-3", f"base.schedule={WSD}", "`--set schedule.peak` changes something in it"),
        ("data.code.steps=(Filter(),)", "steps.filter.seed=1,2", "it is in what `--set data.code.steps` changes"),
        ("steps.filter=Redact()", "steps.redact.pii=True,False", "it is in what `--set steps.filter` changes"),
        ("data.code.name=other", "data.other.name=a,b", "it is set twice, by `--set data.code.name` too"),
    ],
)
def test_what_is_set_and_swept_is_refused(spec: str, setting: str, sweep: str, what: str) -> None:
    """One of the two would be lost. However the place is written or called; also where one lies in the other."""
    Path("filtered.py").write_text(SPEC.replace("small(", "small(data=(code(Filter(), Admit()),), "))
    plain, _ = load_spec("filtered.py")
    with pytest.raises(UserErrors) as error:
        arms(plain, [sweep], [setting])
    assert [(one.where, one.what) for one in error.value.problems] == [(f"--sweep {sweep}", what)]
    assert "once" in error.value.problems[0].fix or "either" in error.value.problems[0].fix


@pytest.mark.parametrize("option", ["--set", "--sweep"])
def test_a_place_in_another_that_the_same_option_changes(spec: str, option: str) -> None:
    """The option is at fault, and no line of ocspec's."""
    plain, _ = load_spec(spec)
    inner, whole = "schedule.peak=3e-3", f"base.schedule={WSD}"
    for texts, what in (
        ((whole, inner), f"it is in what `{option} base.schedule` changes"),
        ((inner, whole), f"`{option} schedule.peak` changes something in it"),
    ):
        with pytest.raises(UserErrors) as error:
            override(plain, texts) if option == "--set" else arms(plain, texts)
        assert [(one.where, one.what) for one in error.value.problems] == [(f"{option} {texts[1]}", what)]


def test_the_name_is_no_place_to_sweep(spec: str) -> None:
    """The option is at fault, and no line of ocspec's."""
    plain, _ = load_spec(spec)
    with pytest.raises(UserErrors) as error:
        arms(plain, ["name=a,b", "base.seed=1,2"])
    (problem,) = error.value.problems
    assert (problem.where, problem.fix) == ("--sweep name=a,b", "sweep what differs; `--set name=...` names them all")
    assert problem.what == "cannot be swept: each arm has a name of its own already"


def test_arms_have_what_is_set_beside_what_is_swept(spec: str) -> None:
    """The places of siblings begin alike and are others; so are an order and what is in it."""
    plain, _ = load_spec(spec)
    made = arms(plain, ["base.schedule.peak=1e-3,2e-3"], ["base.schedule.warmup_steps=1", "base.seed=7"])
    found = [(one.curriculum.stages[0].schedule, one.curriculum.stages[0].seed) for one in made]
    assert [(one.peak, one.warmup_steps, seed) for one, seed in found] == [(1e-3, 1, 7), (2e-3, 1, 7)]
    set_ = override(plain, ["base.schedule.warmup_steps=1", "base.seed=7"])
    assert made == arms(set_, ["base.schedule.peak=1e-3,2e-3"])


# ---------------------------------------------------------------- arms of a spec file


def test_a_file_may_define_its_arms(spec: str) -> None:
    """As a tuple, a list or a mapping, by its name or as all that the file defines."""
    for text in (
        "sweep({0}, {{'base.seed': (1, 2)}})",
        "[small(name='x'), small(name='y')]",
        "dict(a=small(), b=small())",
    ):
        Path("arms.py").write_text("from ocspec import *; from small import *\narms = " + text.format("small()") + "\n")
        assert len(load_arms("arms.py:arms")[0]) == len(load_arms("arms.py")[0]) == 2
    with pytest.raises(UserError) as error:
        load_spec("arms.py:arms")
    assert error.value.what == "2 experiments stand there (small, small), and one is asked for"
    Path("arms.py").write_text(SPEC + "arms = [experiment, small()]")
    assert len(load_arms("arms.py")[0]) == 1
    assert len(load_arms("arms.py:arms")[0]) == 2
    with pytest.raises(UserError) as error:
        load_arms("arms.py:arm")
    assert error.value.fix == "did you mean 'arms'?"
