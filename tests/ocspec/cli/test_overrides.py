"""--set and --sweep: what they change is recorded and shown, and no other option reaches a spec."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import compiler.compile
import compiler.rules
from compiler.draft import Draft
from compiler.errors import UserError
from compiler.plan import load as load_plan
from ocspec.base import describe
from ocspec.cli import lock_differences, submit
from ocspec.cli.parser import build_parser, leaves

PEAK = "curriculum.stages.pretrain.schedule.peak"
SET = ("--set", "pretrain.schedule.peak=3e-3")


# ---------------------------------------------------------------- settings


def test_what_is_set_is_compiled_recorded_and_shown(ocspec, spec: Path) -> None:
    """By compile, plan and explain, the places in full; also in the rehearsal."""
    result = ocspec("compile", str(spec), *SET, "--set", "shards=2")
    assert (result.code, result.err.startswith("next: ")) == (0, True)
    assert result.out.splitlines()[1:3] == [f"  set {PEAK}: 0.001 -> 0.003", "  set shards: null -> 2"]
    plan = load_plan(Path("build/tiny"))
    assert [(one.path, one.before, one.after) for one in plan.delta] == [(PEAK, 1e-3, 3e-3), ("shards", None, 2)]
    assert plan.stage("pretrain").last_lr == 3e-3
    assert f"set {PEAK}: 0.001 -> 0.003" in ocspec("plan").out.splitlines()
    assert f"  set {PEAK}: 0.001 -> 0.003" in ocspec("explain", "pretrain/train").out.splitlines()
    assert "set " not in ocspec("explain", "code/sign").out.splitlines()[1]
    assert json.loads(ocspec("plan", str(spec), *SET, "--json").out)["delta"][0]["after"] == 3e-3
    assert json.loads(ocspec("explain", "code/sign", "--json").out)["delta"][1]["path"] == "shards"
    compiled = json.loads(ocspec("compile", str(spec), *SET, "--smoke", "--json").out)
    assert compiled["delta"] == [{"path": PEAK, "before": 1e-3, "after": 3e-3}]


def test_without_settings_there_is_no_delta(ocspec, spec: Path) -> None:
    """Nor with one that says what the spec says; the plan is the same to the byte."""
    ocspec("compile", str(spec), "--out", "one")
    ocspec("compile", str(spec), "--out", "two", "--set", "pretrain.schedule.peak=1e-3")
    assert Path("one/plan.json").read_bytes() == Path("two/plan.json").read_bytes()
    assert load_plan(Path("one")).delta == ()


def test_a_name_that_is_set_is_recorded(ocspec, spec: Path) -> None:
    """The name that an arm has from its values is none that was set."""
    ocspec("compile", str(spec), "--set", "name=other")
    assert [(one.path, one.before, one.after) for one in load_plan(Path("build/other")).delta] == [
        ("name", "tiny", "other")
    ]
    ocspec("compile", str(spec), "--set", "name=other", "--sweep", "pretrain.seed=0,1")
    delta = load_plan(Path("build/other-seed_1")).delta
    assert [(one.path, one.after) for one in delta] == [("name", "other"), ("curriculum.stages.pretrain.seed", 1)]


def test_many_settings_are_counted(ocspec, spec: Path) -> None:
    settings = ("validate_bytes=5", "seed=1", "note=x", "micro_batch=2", "checkpoint_every=1")
    argv = [word for stage in ("pretrain", "anneal") for text in settings for word in ("--set", f"{stage}.{text}")]
    out = ocspec("compile", str(spec), *argv).out
    assert out.count("  set ") == 8
    assert "and 2 more are set; plan.json has all" in out


def test_every_setting_that_is_wrong_is_said_with_its_line(ocspec, spec: Path) -> None:
    for verb in ("compile", "plan", "run", "diff"):
        result = ocspec(verb, str(spec), "--set", "pretrain.peek=1", "--set", "pretrain.seed=x")
        assert (result.code, result.out) == (1, "")
        assert "error: --set pretrain.peek=1: there is no such place" in result.err
        line = 1 + spec.read_text().splitlines().index("            Pretrain(")
        assert (
            f"error: tiny.py:{line}: curriculum.stages.pretrain.seed: should be a valid integer (got 'x')" in result.err
        )
    assert not Path("build").exists()


def test_nothing_can_be_set_of_a_plan(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    for argv in (("plan", "build/tiny", *SET), ("plan", *SET), ("diff", str(spec), "build/tiny", *SET)):
        assert "this is a plan, of which nothing can be set" in ocspec(*argv).err


def test_a_run_has_what_is_set(ocspec, built: Path) -> None:
    """Of a run that is finished nothing but the one stage and what follows from it."""
    result = ocspec("run", "tiny.py", "--inline", "--set", "anneal.schedule.end=2e-5")
    assert result.code == 0, result.err
    assert "2 ran, 12 reused" in result.out
    assert "set curriculum.stages.anneal.schedule.end: 1e-05 -> 2e-05" in result.out


# ---------------------------------------------------------------- arms


def test_a_sweep_is_one_plan_for_each_arm(ocspec, spec: Path) -> None:
    result = ocspec(
        "compile", str(spec), "--sweep", "pretrain.schedule.peak=1e-3,2e-3", "--sweep", "model.num_layers=1,2"
    )
    assert result.code == 0, result.err
    names = [f"tiny-peak_{peak}-num_layers_{layers}" for peak in ("0.001", "0.002") for layers in (1, 2)]
    assert re.findall(r"^tiny\S+", result.out, re.M) == names
    assert result.out.splitlines()[-1] == "4 arms, 56 tasks, of which 23 are different"
    plans = [load_plan(Path("build") / name) for name in names]
    assert [len(plan.delta) for plan in plans] == [0, 1, 1, 2]
    assert len({task.fingerprint for plan in plans for task in plan.tasks}) == 23
    seen: set[str] = set()
    for name, plan in zip(names, plans, strict=True):  # files for people stand beside the first plan with the task
        scripts = {path.relative_to(Path("build", name, "sbatch")) for path in Path("build", name).rglob("*.sh")}
        assert scripts == {Path(f"{task.id}.sh") for task in plan.tasks if task.fingerprint not in seen}
        seen |= {task.fingerprint for task in plan.tasks}


@pytest.mark.parametrize("verb", ["compile", "diff"])
def test_what_is_set_and_swept_is_refused(ocspec, spec: Path, verb: str) -> None:
    """And not set without a trace: every arm has a value of its own there."""
    result = ocspec(verb, str(spec), *SET, "--sweep", f"{PEAK}=1e-3,2e-3")
    assert (result.code, result.out) == (1, "")
    assert f"error: --sweep {PEAK}=1e-3,2e-3: it is set twice, by `--set pretrain.schedule.peak` too" in result.err
    assert not Path("build").exists()


def numbers(count: int) -> str:
    return ",".join(map(str, range(1, count + 1)))


@pytest.mark.parametrize("verb", ["compile", "diff"])
def test_more_arms_than_anybody_meant_are_refused_before_one_is_made(ocspec, spec: Path, verb: str) -> None:
    """With the numbers that make them up; a thousand times a thousand would be compiled for hours."""
    grid = ("--sweep", f"pretrain.seed={numbers(1000)}", "--sweep", f"model.num_layers={numbers(1000)}")
    start = time.perf_counter()
    result = ocspec(verb, str(spec), *grid)
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "error: tiny.py: 1,000,000 arms (1,000 values of pretrain.seed x 1,000 of model.num_layers) are more than the"
        " 10,000 that one command takes\n"
        "  fix: sweep fewer values, or fewer places at once and the others later, with --set for what is found best\n"
    )
    assert time.perf_counter() - start < 10
    assert not Path("build").exists()


def test_experiments_of_a_spec_count_among_the_arms(ocspec, spec: Path) -> None:
    with spec.open("a") as file:
        file.write("\narms = [experiment.replace(name=f'tiny{n}') for n in range(11)]\n")
    result = ocspec("compile", "tiny.py:arms", "--sweep", f"pretrain.seed={numbers(1000)}")
    assert "tiny.py:arms: 11,000 arms (11 experiments x 1,000 values of pretrain.seed) are more than" in result.err
    with spec.open("a") as file:
        file.write("\nmore = [experiment] * 10_001\n")
    assert "tiny.py:more: 10,001 arms (10,001 experiments) are more than" in ocspec("compile", "tiny.py:more").err


@pytest.mark.parametrize("verb", ["compile", "diff"])
def test_how_many_arms_there_are_is_said_at_the_start_where_they_are_many(ocspec, spec: Path, verb: str) -> None:
    """Here none of them compiles: its data is not there. Of few arms the table says it soon enough."""
    Path("repositories").rename("elsewhere")
    grid = ("--sweep", f"pretrain.seed={numbers(20)}", "--sweep", f"model.num_layers={numbers(10)}")
    lines = ocspec(verb, str(spec), *grid).err.splitlines()
    assert lines[0] == "200 arms: 20 values of pretrain.seed x 10 of model.num_layers"
    assert lines[1].startswith("error: ")
    assert ocspec(verb, str(spec), *grid[:2]).err.startswith("error: ")


def test_an_arm_that_is_run_in_another_way_has_files_of_its_own(ocspec, spec: Path) -> None:
    """Its fingerprints are the same, its scripts are not; of what follows from such a stage neither may be."""
    result = ocspec("compile", str(spec), "--sweep", "shards=1,3")
    assert result.code == 0, result.err
    one, other = (load_plan(Path("build") / f"tiny-shards_{shards}") for shards in (1, 3))
    assert {task.fingerprint for task in one.tasks} == {task.fingerprint for task in other.tasks}
    sharded = {task.id for task in other.tasks if task.shards > 1}
    assert sharded
    for task in sharded:
        first, second = (Path("build", f"tiny-shards_{shards}", "sbatch", f"{task}.sh") for shards in (1, 3))
        assert first.is_file() and second.is_file()


def test_arms_of_a_spec_file(ocspec, spec: Path) -> None:
    """A tuple of experiments; --set is of all, --sweep of each, --out holds a directory for each."""
    with spec.open("a") as file:
        file.write("\narms = sweep(experiment, {'pretrain.seed': (1, 2)})\n")
    result = ocspec(
        "compile", "tiny.py:arms", "--set", "shards=3", "--sweep", "anneal.seed=3,4", "--out", "here", "--json"
    )
    arms = json.loads(result.out)["arms"]
    assert [arm["experiment"] for arm in arms] == [f"tiny-seed_{one}-seed_{two}" for one in (1, 2) for two in (3, 4)]
    assert [arm["plan"] for arm in arms] == [f"here/{arm['experiment']}/plan.json" for arm in arms]
    assert [change["path"] for change in arms[0]["delta"]] == ["curriculum.stages.anneal.seed", "shards"]
    result = ocspec("compile", "tiny.py", "--sweep", "seed=1,2")
    assert "5 places end so" in result.err
    with spec.open("a") as file:
        file.write("twice = [experiment, experiment]\n")
    assert "several experiments are called tiny" in ocspec("compile", "tiny.py:twice").err


def test_arms_are_checked_for_the_profile_and_every_warning_is_said_once(ocspec, spec: Path) -> None:
    """As each is alone; those of later arms, too."""
    Path("ocspec.toml").write_text('[profiles.small]\ndispatch = "slurm"\ngpus_per_node = 2\n')
    batches = "pretrain.batches=(Batches(steps=3, global_batch=6, sequence_length=32),)"
    common = ("--profile", "small", "--set", batches)
    alone = ocspec("compile", str(spec), *common, "--set", "pretrain.parallelism.data=3").err
    assert alone.count("[OC060]") == 1
    sweeps = ("--sweep", "pretrain.parallelism.data=1,3", "--sweep", "pretrain.schedule.peak=1e-3,50")
    result = ocspec("compile", str(spec), *common, *sweeps)
    assert result.code == 0, result.err
    assert (result.err.count("[OC060]"), result.err.count("[OC037]")) == (1, 1)


# ---------------------------------------------------------------- no other option reaches a spec

COMPILE: dict[str, tuple[str, ...]] = {
    "compile": ("tiny.py",),
    "run": ("tiny.py",),
    "plan": ("tiny.py",),
    "diff": ("tiny.py", "tiny.py"),
    "check": ("tiny.py",),
    "lock": ("tiny.py",),
}
"""The verbs that compile a spec, with a spec to compile."""

READ: dict[str, tuple[str, ...]] = {
    "submit": ("build/tiny", "--dry-run"),
    "status": ("build/tiny",),
    "usage": ("build/tiny",),
    "logs": ("code/sign", "build/tiny"),
    "cancel": ("build/tiny",),
    "explain": ("code/sign", "build/tiny"),
    "adopt": ("0123", "build/tiny", "--as", "code/sign"),
    "why": ("build/tiny", "--rule", "x"),
    "show": ("code", "build/tiny"),
    "report": ("build/tiny",),
    "schema": (),
}
"""The verbs that read a plan, or nothing."""

NEITHER = {"doctor": "looks at machines"}
REACH = {"--set", "--sweep"}
ALONE = {
    ("diff", "--as-function"): "prints code, of specs that need not compile",
    ("check", "--list"): "prints the rules",
    ("why", "--check"): "is not taken with --rule",
    ("compile", "--smoke"): "rehearses the training alone, as a plan of another name",
    ("run", "--smoke"): "rehearses the training alone, as a plan of another name",
}
VALUES = {
    "--out": "elsewhere",
    "--shards": "3",
    "--profile": "other",
    "--store": "another-store",
    "--ignore": "*.note",
    "--budget": "gpu_h=1000",
    "--task": "code/sign",
    "--as": "code/sign",
    "--shard": "1",
    "--rule": "x",
    "--step": "sign",
    "--check": "3",
    "--limit": "3",
    "--seed": "3",
    "--language": "python",
    "-n": "3",
    "--output": "report.html",
}
"""A value for each option that takes one, and that is not the usual one."""


def verbs() -> dict[str, argparse.ArgumentParser]:
    return {leaf.prog.split()[-1]: leaf for leaf in leaves(build_parser())}


def options(verb: str) -> Iterator[str]:
    """The words of every option of a verb but those that reach a spec or stand alone. A new one needs a value above."""
    for action in verbs()[verb]._actions:
        name = action.option_strings[-1] if action.option_strings else ""
        if name and name not in REACH and name != "--help" and (verb, name) not in ALONE:
            yield name
            if action.nargs != 0:
                yield VALUES[name]


@pytest.fixture
def drafts(monkeypatch: pytest.MonkeyPatch) -> list[Draft]:
    """Every draft that the compiler finishes from now on, and those that are only checked."""
    made: list[Draft] = []
    finish = compiler.compile.draft_of

    def noted(*args: Any, **settings: Any) -> Draft:
        made.append(finish(*args, **settings))
        return made[-1]

    monkeypatch.setattr(compiler.compile, "draft_of", noted)
    monkeypatch.setattr(lock_differences, "draft_of", noted)
    find = compiler.rules.check_all

    def noted_check(draft: Draft) -> Any:  # `check` looks at a spec and lowers nothing
        made.append(draft)
        return find(draft)

    monkeypatch.setattr(compiler.rules, "check_all", noted_check)
    return made


def means(draft: Draft) -> tuple[object, list[tuple[str, str]]]:
    """What a draft says is to be computed."""
    return describe(draft.experiment), [(task.id, task.fingerprint) for task in draft.tasks]


def test_every_verb_is_looked_at() -> None:
    """One that is new has to be added above, and what takes a setting compiles."""
    assert set(verbs()) == {*COMPILE, *READ, *NEITHER}
    taking = {verb for verb, leaf in verbs().items() if any(a.dest in {"settings", "sweeps"} for a in leaf._actions)}
    assert taking < set(COMPILE)


@pytest.mark.parametrize("verb", COMPILE)
def test_no_option_changes_what_a_spec_means(
    ocspec, spec: Path, verb: str, drafts: list[Draft], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All options of a verb at once: the experiment that is compiled and every fingerprint are as without them."""
    monkeypatch.setattr(submit, "submit", nothing_runs)
    Path("ocspec.toml").write_text('[profiles.other]\ndispatch = "inline"\n')
    assert ocspec(verb, *COMPILE[verb]).code in {0, 1}
    plain = [means(draft) for draft in drafts]
    drafts.clear()
    assert plain, "nothing was compiled"
    result = ocspec(verb, *COMPILE[verb], *options(verb))
    assert result.code != 64, result.err
    assert [means(draft) for draft in drafts] == plain
    drafts.clear()
    setting = ("--set", "pretrain.seed=7") if "--set" in verbs()[verb].format_help() else ()
    if setting:
        ocspec(verb, *COMPILE[verb], *setting)
        assert [means(draft) for draft in drafts] != plain


def nothing_runs(*_: object) -> None:
    """In place of running: what is compiled before it is what counts."""
    raise UserError("nothing is run here")


def test_a_rehearsal_describes_the_same_spec(ocspec, spec: Path) -> None:
    """Its tasks are others, under another name."""
    for argv in ((), ("--smoke",)):
        ocspec("compile", str(spec), *argv)
    plan, rehearsal = (load_plan(Path("build") / name) for name in ("tiny", "tiny-smoke"))
    assert rehearsal.spec == plan.spec
    assert rehearsal.delta == ()


def test_what_reads_a_plan_compiles_nothing(ocspec, spec: Path, drafts: list[Draft]) -> None:
    """With every option of every such verb; and the plan stays as it is."""
    ocspec("compile", str(spec))
    drafts.clear()
    before = Path("build/tiny/plan.json").read_bytes()
    Path("ocspec.toml").write_text('[profiles.other]\ndispatch = "inline"\n')
    for verb, words in READ.items():
        prefix = ("data", "show") if verb == "show" else (verb,)
        for argv in ((*prefix, *words), (*prefix, *words, *options(verb))):
            assert ocspec(*argv).code != 64, argv
    assert drafts == []
    assert Path("build/tiny/plan.json").read_bytes() == before
