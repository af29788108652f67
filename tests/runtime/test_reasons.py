"""What a plan would do to a store and why, beside what running it then does: on the tiny experiment, for real."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from compiler.plan import Plan
from ocspec import Admit, Decay, Deduplicate, Downsample, Experiment, Redact
from runtime.inventory import inventory
from runtime.reasons import Cause, Outlook, outlook
from runtime.run import Summary
from runtime.store import Store
from tests.runtime.conftest import Workbench, ancestors, tiny

Finished = tuple[Workbench, Plan, Path, Summary]
Mutation = Callable[[Experiment], Experiment]


@pytest.fixture
def bench(finished: Finished, tmp_path: Path) -> Workbench:
    """A store of one's own that holds the tiny experiment, finished; the corpus may be changed, too."""
    corpus = shutil.copytree(finished[0].corpus, tmp_path / "corpus")
    own = Workbench(tmp_path, corpus)
    shutil.copytree(finished[0].store.root, own.store.root)
    return own


def looked(bench: Workbench, experiment: Experiment | None = None) -> dict[str, Outlook]:
    """The outlook of an experiment by task."""
    return {one.task.id: one for one in outlook(bench.compile(experiment)[0], bench.store)}


def with_step(experiment: Experiment, step: object) -> Experiment:
    """The experiment with the step of that kind in place of its own."""
    code, *others = experiment.data
    steps = tuple(step if type(one) is type(step) else one for one in code.steps)
    return experiment.replace(data=(code.replace(steps=steps), *others))


def with_anneal(experiment: Experiment, **changes: object) -> Experiment:
    """The experiment with another annealing stage."""
    stages = tuple(
        stage.replace(**changes) if stage.name == "anneal" else stage for stage in experiment.curriculum.stages
    )
    return experiment.replace(curriculum=experiment.curriculum.replace(stages=stages))


def by_repository(experiment: Experiment) -> Experiment:
    """Deduplicated by repository."""
    step = next(step for step in experiment.data[0].steps if isinstance(step, Deduplicate))
    return with_step(experiment, step.replace(granularity="repository"))


DATA: dict[str, Mutation] = {
    "nothing": lambda e: e,
    "a cap that caps nothing": lambda e: with_step(e, Downsample(caps={"python": 600_000, "cobol": 1})),
    "admission that admits the same": lambda e: with_step(e, Admit(max_bytes=7_999_999)),
    "by repository": by_repository,
}
WHOLE: dict[str, Mutation] = {
    "no redaction of names": lambda e: with_step(e, Redact(pii=False)),
    "a lower end": lambda e: with_anneal(e, schedule=Decay(end=2e-4)),
    "a shorter measurement": lambda e: e.replace(evaluations=(e.evaluations[0].replace(max_bytes=10_000),)),
}


@pytest.mark.parametrize("mutation", DATA.values(), ids=DATA.keys())
def test_what_is_said_to_run_runs(bench: Workbench, mutation: Mutation) -> None:
    """Up to the cleaned data."""
    said_and_done(bench, mutation, until="code/downsample")


@pytest.mark.slow
@pytest.mark.parametrize("mutation", WHOLE.values(), ids=WHOLE.keys())
def test_what_is_said_to_run_runs_to_the_end(bench: Workbench, mutation: Mutation) -> None:
    """With training and measuring."""
    said_and_done(bench, mutation, until=None)


def said_and_done(bench: Workbench, mutation: Mutation, until: str | None) -> None:
    """Reused is reused, what has to be rebuilt is built, and of what may be cut off each is one or the other."""
    plan, path = bench.compile(mutation(tiny(bench.corpus)))
    wanted = ancestors(plan, until) if until else {task.id for task in plan.tasks}
    plan = attrs.evolve(plan, tasks=tuple(task for task in plan.tasks if task.id in wanted))
    found = outlook(plan, bench.store)
    summary = bench.run(plan, path)
    assert summary.errors == ()

    def said(*actions: str) -> set[str]:
        return {one.task.id for one in found if one.action in actions}

    assert set(summary.reused) == said("reuse")
    assert said("cut off") <= set(summary.cut_off)
    assert said("rebuild", "new") <= set(summary.ran)
    assert set(summary.ran) | set(summary.cut_off) == said("cut off", "rebuild", "new", "may cut off")
    assert {one.action for one in outlook(plan, bench.store)} == {"reuse"}


def test_into_an_empty_store_all_is_new_and_nothing_is_written(bench: Workbench) -> None:
    empty = Store(bench.root / "empty")
    found = outlook(bench.compile()[0], empty)
    assert {(one.action, one.reason.code) for one in found} == {("new", "never_built")}
    assert not empty.root.exists()


def test_a_stage_of_another_name_is_reused(bench: Workbench) -> None:
    """A name is a label: what it made is found by what it is."""
    found = looked(bench, with_anneal(tiny(bench.corpus), name="cool"))
    assert found["cool/train"].action == "reuse"
    assert found["cool/train"].reason.code == "built"


def test_the_reason_is_the_earliest_change(bench: Workbench) -> None:
    """Of the task itself where it has one; `causes` holds all."""
    experiment = with_anneal(with_step(tiny(bench.corpus), Redact(pii=False)), schedule=Decay(end=2e-4))
    found = looked(bench, experiment)
    redaction = Cause("code/refine", (("redact_pii", "true", "false"),))
    assert found["code/sign"].action == "reuse"
    assert (found["code/refine"].action, found["code/refine"].reason.code) == ("rebuild", "operator_changed")
    assert found["code/refine"].reason.causes == (redaction,)
    assert (found["tokenizer"].action, found["tokenizer"].reason.code) == ("may cut off", "input_changed")
    assert found["tokenizer"].cause == redaction
    assert found["pretrain/train"].reason.causes == (redaction,)
    training = found["anneal/train"]
    assert training.reason.causes[0] == redaction
    assert training.cause == Cause("anneal/train", (("job.schedule[0].end", "0.0001", "0.0002"),))
    assert found["sft/train"].cause == redaction


def test_a_source_that_changed_is_the_reason(bench: Workbench) -> None:
    (bench.corpus / "text" / "more.py").write_text("x = 1\n")
    found = looked(bench)
    cause = found["code/hold-out"].cause
    assert cause is not None and cause.task == "code/sign"
    assert [path for path, _, _ in cause.changes] == ["readers[0].digest"]


def test_other_inputs_are_a_reason_of_their_own(bench: Workbench) -> None:
    """Without its selection step a data set's documents come from another task."""
    code, chosen = tiny(bench.corpus).data
    found = looked(bench, tiny(bench.corpus).replace(data=(code.replace(steps=code.steps[:-1]), chosen)))
    encode = found["code/encode"]
    assert encode.reason.code == "inputs_replaced"
    assert encode.cause is not None
    (change,) = [c for c in encode.cause.changes if "code/downsample" in c]
    assert change[0].startswith("inputs.")


def test_an_artefact_that_is_gone_or_damaged(bench: Workbench) -> None:
    plan, _ = bench.compile()
    directories = {}
    for task in ("code/sign", "code/refine"):
        artifact = bench.store.find(plan.task(task).fingerprint)
        assert artifact is not None
        directories[task] = artifact.path
    shutil.rmtree(directories["code/sign"])
    next(file for file in directories["code/refine"].rglob("*.parquet")).unlink()
    found = looked(bench)
    assert (found["code/sign"].action, found["code/sign"].reason.code) == ("rebuild", "artefact_missing")
    assert (found["code/refine"].action, found["code/refine"].reason.code) == ("rebuild", "artefact_damaged")
    assert found["code/hold-out"].action == "reuse"


def test_a_task_that_is_as_it_was_waits_for_an_input_that_is_gone(bench: Workbench) -> None:
    plan, _ = bench.compile()
    sign = bench.store.find(plan.task("code/sign").fingerprint)
    assert sign is not None
    shutil.rmtree(sign.path)
    (bench.store.root / "fingerprints" / f"{plan.task('code/hold-out').fingerprint}.json").unlink()
    one = looked(bench)["code/hold-out"]
    assert (one.action, one.reason.code, one.waits_for) == ("may cut off", "input_missing", ("code/sign",))
    assert one.cause == Cause("code/sign", ())


def test_compared_is_the_nearest_of_what_was_built(bench: Workbench) -> None:
    """Two arms of one store have tasks of the same names: a change is told against one's own past."""
    other = with_step(tiny(bench.corpus), Admit(max_bytes=5_000_000, languages=("python",)))
    plan, path = bench.compile(other)
    bench.run(plan, path, until="code/sign")
    found = looked(bench, with_step(tiny(bench.corpus), Admit(max_bytes=6_000_000)))
    assert [c.changes for c in found["code/sign"].reason.causes] == [(("admit.max_bytes", "8000000", "6000000"),)]


def three(bench: Workbench, apart: int, *, names: tuple[str, ...] = ("apart", "third", "code")) -> Experiment:
    """Three data sets of one corpus: each drops the twins of what the two others hold out, in whatever order."""
    code = tiny(bench.corpus).data[0].replace(steps=(Admit(),))
    sizes = {"apart": apart, "third": 7_000_000, "code": 8_000_000}
    data = tuple(code.replace(name=name, steps=(Admit(max_bytes=sizes[name]),)) for name in names)
    data = tuple(
        one.replace(sources=tuple(source.replace(name=f"{one.name}-files") for source in one.sources)) for one in data
    )
    experiment = tiny(bench.corpus)
    curriculum = experiment.curriculum.replace(stages=experiment.curriculum.stages[:1])
    return experiment.replace(data=data, instructions=(), curriculum=curriculum, evaluations=())


def test_where_inputs_have_no_order_each_is_compared_with_what_it_was(workbench: Workbench) -> None:
    """Pre-images have their fingerprints sorted, manifests what was read in the plan's order."""
    for apart in range(20_000, 20_100):
        plan, path = workbench.compile(three(workbench, apart))
        if plan.task("apart/sign").fingerprint > plan.task("third/sign").fingerprint:
            break
    assert [i.task for i in plan.task("code/hold-out").inputs if i.role == "held"] == ["apart/sign", "third/sign"]
    workbench.run(plan, path, until="code/hold-out")
    other, path = workbench.compile(three(workbench, 60_000))
    workbench.run(other, path, until="apart/sign")
    one = {one.task.id: one for one in outlook(other, workbench.store)}["code/hold-out"]
    assert one.reason.causes == (Cause("apart/sign", (("admit.max_bytes", str(apart), "60000"),)),)


def test_what_has_no_order_may_be_cut_off_in_any(workbench: Workbench) -> None:
    plan, path = workbench.compile(three(workbench, 5_000_000))
    workbench.run(plan, path, until="code/hold-out")
    turned, _ = workbench.compile(three(workbench, 60_000, names=("third", "apart", "code")))
    one = {one.task.id: one for one in outlook(turned, workbench.store)}["code/hold-out"]
    assert (one.action, one.waits_for) == ("may cut off", ("apart/sign",))


# ---------------------------------------------------------------- the inventory


def test_the_inventory_follows_the_store(bench: Workbench) -> None:
    """What came since is noted, what is gone is forgotten; without its file all is the same."""
    first = inventory(bench.store)
    assert {entry.task for entry in first.of("code/sign")} == {"code/sign"}
    gone, *others = first.of("code/refine")
    shutil.rmtree(bench.store.root / "artifacts" / gone.key)
    second = inventory(bench.store)
    assert second.of("code/refine") == tuple(others) and second.of("code/sign") == first.of("code/sign")
    for text in (
        "{",
        "[]",
        '{"format_version": 0}',
        '{"format_version": 2, "artifacts": {"x": {"key": 1}}}',
    ):
        (bench.store.root / "inventory.json").write_text(text)
        assert inventory(bench.store) == second


def test_of_what_is_noted_no_manifest_is_opened_again(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inventory(bench.store)

    def opened(store: Store, key: str) -> None:
        raise AssertionError(key)

    monkeypatch.setattr("runtime.inventory.manifest_of", opened)
    assert inventory(bench.store) == first


@pytest.mark.parametrize(
    "wrong", [{"built": "x"}, {"built": True}, {"task": 1}, {"inputs": []}, {"inputs": {"documents": [1]}}]
)
def test_an_inventory_of_other_types_is_made_anew(bench: Workbench, wrong: dict[str, object]) -> None:
    first = inventory(bench.store)
    file = bench.store.root / "inventory.json"
    noted = json.loads(file.read_text())
    next(iter(noted["artifacts"].values())).update(wrong)
    file.write_text(json.dumps(noted))
    assert inventory(bench.store) == first
    assert not any(wrong.items() <= entry.items() for entry in json.loads(file.read_text())["artifacts"].values())


def test_what_was_built_again_is_looked_at_again(bench: Workbench) -> None:
    """The same key under another name: by its manifest, which is another file."""
    before, *others = inventory(bench.store).of("code/refine")
    manifest = bench.store.root / "artifacts" / before.key / "manifest.json"
    said = json.loads(manifest.read_text())
    manifest.unlink()
    manifest.write_text(json.dumps({**said, "task": "other/refine"}))
    for _ in range(2):
        found = inventory(bench.store)
        assert found.of("code/refine") == tuple(others)
        assert [entry.key for entry in found.of("other/refine")] == [before.key]


def test_what_is_no_artefact_is_passed_over(bench: Workbench) -> None:
    """A stray directory, a manifest of other times."""
    first = inventory(bench.store)
    for name, text in (("stray", None), ("old", json.dumps({"task": "code/sign"})), ("cut", "{")):
        (bench.store.root / "artifacts" / name).mkdir()
        if text is not None:
            (bench.store.root / "artifacts" / name / "manifest.json").write_text(text)
    assert inventory(bench.store) == first
