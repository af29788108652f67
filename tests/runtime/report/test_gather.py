"""The numbers of a report, of a run that is complete, half done, failed or not begun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.errors import UserError
from runtime.report.facts import ReportData
from runtime.report.gather import gather
from tests.runtime.report.small import PLAN, STEPS, Run, metrics


@pytest.fixture(scope="module")
def data(complete: Run) -> ReportData:
    return gather(complete.directory, complete.store)


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_complete_run_is_complete(data: ReportData):
    """Every task is done, built by this plan, and has times and a digest."""
    assert data.complete
    assert data.done == len(PLAN.tasks)
    assert not any(task.reused or task.error or task.progress for task in data.tasks)
    assert all(task.digest and task.wall_seconds for task in data.tasks)


def test_times_of_shards_are_combined(data: ReportData):
    """Shards of 1 s from 1000 and of 2 s from 1001: 3 s on the clock, 4 s of processor, the larger memory."""
    sign = next(task for task in data.tasks if task.id == "code/sign")
    assert (sign.shards, sign.wall_seconds, sign.cpu_seconds, sign.peak_memory_mb) == (2, 3.0, 4.0, 101)
    assert sign.hosts == ("node0", "node1")
    assert data.hosts["node0"] == len(PLAN.tasks)


def test_lanes_and_labels_come_from_ids(data: ReportData):
    """The part before the first slash is the lane; a task without one is its own."""
    named = {task.id: (task.lane, task.label) for task in data.tasks}
    assert named["code/deduplicate/cluster"] == ("code", "deduplicate/cluster")
    assert named["tokenizer"] == ("tokenizer", "tokenizer")


def test_the_funnel_adds_up(data: ReportData):
    """In = kept + dropped in every step, and what a step keeps goes into the next."""
    code = next(dataset for dataset in data.datasets if dataset.name == "code")
    steps = [step.step for step in code.steps]
    assert steps == ["sign", "hold-out", "deduplicate/cluster", "refine", "downsample"]
    for step in code.steps:
        assert step.documents == step.kept + step.removed
    for one, following in zip(code.steps, code.steps[1:], strict=False):
        assert one.kept == following.documents
    assert (code.documents, code.kept) == (20, 5)


def test_reasons_are_sorted_by_count(data: ReportData):
    """The commonest reason stands first."""
    assert list(data.datasets[0].steps[0].dropped.items()) == [("too_large", 3), ("empty", 2)]


def test_languages_redactions_and_tokens_of_a_data_set(data: ReportData):
    """Counts by language before and after refining; a derived data set has none of its own."""
    code, algo = data.datasets
    python = code.languages[0]
    assert (python.language, python.admitted_documents, python.clean_documents) == ("python", 10, 5)
    assert (python.admitted_bytes, python.clean_bytes) == (1000, 500)
    assert code.redactions == {"copyright": 2, "email": 7}
    assert (code.training_documents, code.tokens) == (4, 4000)
    assert algo.derived
    assert not code.derived
    assert (algo.languages, algo.redactions, algo.tokens) == ((), None, 900)


def test_instructions_are_counted_from_pairs_to_samples(data: ReportData):
    """Pairs come from the task that made them, samples from the one that encoded them."""
    (row,) = data.instructions
    assert (row.dataset, row.stage, row.pairs, row.too_long, row.samples) == ("functions", "delta", 12, 3, 9)


def test_stages_have_their_curves(data: ReportData):
    """A point for every step, and the results that the stage noted."""
    assert {stage.summary.name: len(stage.lr) for stage in data.stages} == STEPS
    alpha, _, delta = data.stages
    assert alpha.loss[0] == (1, 7.9)
    assert alpha.lr[-1] == pytest.approx((10, 1e-3))
    assert (alpha.loss_tokens, alpha.final_loss, alpha.device["device"]) == (1900, 4.5, "cpu")
    assert delta.answer_only
    assert not alpha.answer_only


def test_a_stage_tells_what_stood_out(data: ReportData):
    """Losses by data set, steps with an anomaly, measurements on held-out text; a loss that is none has no point."""
    alpha, gamma, _ = data.stages
    assert [step for step, _ in gamma.loss] == [1, 3, 4, 5]
    assert gamma.source_loss["algo"] == ((3, 2.0),)
    assert [step for step, _ in gamma.source_loss["code"]] == [1, 2, 3, 4, 5]
    assert [(row.step, row.kind, row.skipped, row.loss) for row in gamma.anomalies] == [
        (2, "not finite", True, None),
        (4, "spike", False, 7.6),
    ]
    assert gamma.validation == {"": ((2, 3.25), (5, 2.5)), "c": ((2, 1.625), (5, 1.25)), "go": ((2, 4.25), (5, 3.5))}
    assert (alpha.source_loss, alpha.anomalies, alpha.validation) == ({}, (), {})


def test_the_planned_rate_follows_the_schedule(data: ReportData):
    """Two steps of warm-up to the peak, which is held; annealing starts from it and ends where it should."""
    alpha, gamma, _ = data.stages
    assert [rate for _, rate in alpha.planned_lr[:3]] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert alpha.planned_lr[-1] == pytest.approx((10, 1e-3))
    assert gamma.planned_lr[-1] == pytest.approx((5, 1e-5))
    assert alpha.peak_lr == pytest.approx(1e-3)


def test_bits_per_byte_stand_beside_the_yardstick(data: ReportData):
    """Model and 5-gram of every stage, in all and by language."""
    found = {row.stage: (row.of_model(), row.of_yardstick()) for row in data.bits}
    assert found == {"alpha": (3.0, 2.5), "gamma": (2.25, 2.5), "delta": (2.75, 2.5)}
    assert data.bits[0].of_model("python") == 3.0
    assert data.bits[0].of_model("cobol") is None
    assert {row.order for row in data.bits} == {5}


def test_deduplication_has_its_curve_and_its_count(data: ReportData):
    """The plan's threshold, and what the verdict dropped by rule."""
    (step,) = data.deduplication
    assert step.summary.threshold == pytest.approx(0.9786, abs=1e-4)
    assert step.dropped == {"exact_duplicate": 3, "near_duplicate": 1}


def test_runs_and_versions_are_told(data: ReportData):
    """One run, its times, and one version of the code for all tasks."""
    assert data.runs == 1
    assert data.first_event <= data.last_event
    ((version, count),) = data.versions
    assert count == len(PLAN.tasks)
    assert version["python"].startswith("3.")
    assert data.spec_files == ("small.py",)


def test_an_empty_store_is_a_report_too(run: Run):
    """Nothing built, nothing known but the plan, and nothing written."""
    before = files(run.root)
    data = gather(run.directory, run.store)
    assert files(run.root) == before
    assert (data.done, data.complete, data.runs, data.versions) == (0, False, 0, ())
    assert {task.status for task in data.tasks} == {"not run"}
    assert all(step.documents is None for dataset in data.datasets for step in dataset.steps)
    assert [stage.loss for stage in data.stages] == [(), (), ()]
    assert all(row.of_model() is None for row in data.bits)
    assert data.deduplication[0].dropped is None
    assert data.mixes[1].parts[0].asked == 0.25


def test_a_partial_run_shows_what_there_is(run: Run):
    """Data up to refine; the rest waits."""
    run.finish_up_to("code/refine")
    data = gather(run.directory, run.store)
    code = data.datasets[0]
    assert [step.status for step in code.steps] == ["done"] * 4 + ["not run"]
    assert code.documents == 20
    assert code.kept is None
    assert code.languages[0].clean_bytes == 500
    assert code.tokens is None


def test_a_failed_task_tells_its_error(run: Run):
    """The last word counts: a task that was started again after it failed is not failed."""
    run.journal.write("started", task="code/sign", shard=0)
    run.journal.write("failed", task="code/sign", shard=0, error="disk full")
    run.journal.write("failed", task="code/fetch-pypi", shard=0, error="no network")
    run.journal.write("started", task="code/fetch-pypi", shard=0)
    tasks = {task.id: task for task in gather(run.directory, run.store).tasks}
    assert (tasks["code/sign"].status, tasks["code/sign"].error) == ("failed", "disk full")
    assert (tasks["code/fetch-pypi"].status, tasks["code/fetch-pypi"].error) == ("started", "")


def test_a_stage_that_is_training_shows_its_curve(run: Run):
    """The metrics of the attempt so far, less a line that is being written; and its progress."""
    task = run.plan.task("alpha/train")
    for upstream in task.upstream:
        run.finish_up_to(upstream)
    assert gather(run.directory, run.store).stages[0].loss == ()
    from runtime import worker

    key, _ = worker.task_key(task, worker.gather(task, run.plan, run.store))
    (run.store.resume_directory(key, 0) / "metrics.jsonl").write_text(metrics(3) + '{"step": 4, "lo')
    (run.directory / "progress").mkdir()
    (run.directory / "progress" / "alpha--train.0.json").write_text('{"done": 3, "total": 10, "unit": "steps"}')
    run.journal.write("started", task="alpha/train", shard=0)
    data = gather(run.directory, run.store)
    assert [step for step, _ in data.stages[0].loss] == [1, 2, 3]
    assert data.stages[0].status == "started"
    assert next(t.progress for t in data.tasks if t.id == "alpha/train") == "3 of 10 steps"


def test_progress_that_cannot_be_read_is_left_out(run: Run):
    """A file that is not what it should be says nothing."""
    (run.directory / "progress").mkdir()
    (run.directory / "progress" / "code--sign.0.json").write_text("{}")
    (run.directory / "progress" / "code--sign.1.json").write_text("no json")
    assert next(t.progress for t in gather(run.directory, run.store).tasks if t.id == "code/sign") == ""


def test_an_artefact_of_another_run_is_reused(run: Run):
    """A plan whose journal does not know of the building found the artefact in the store."""
    run.finish_up_to("code/sign")
    for file in run.journal.directory.glob("*.jsonl"):
        file.unlink()
    run.journal.write("run", tasks=1, missing=0)
    tasks = {task.id: task for task in gather(run.directory, run.store).tasks}
    assert tasks["code/sign"].reused
    assert not tasks["code/refine"].reused


def test_a_damaged_artefact_is_not_done(run: Run):
    """A file that was cut short is noticed."""
    run.finish_up_to("code/sign")
    artifact = run.store.find(run.plan.task("code/sign").fingerprint)
    next(artifact.path.glob("keys/*.parquet")).write_bytes(b"")
    tasks = {task.id: task for task in gather(run.directory, run.store).tasks}
    assert tasks["code/sign"].status != "done"


def test_the_plan_may_be_named_by_its_file(complete: Run, data: ReportData):
    """plan.json and its directory are the same."""
    assert gather(complete.directory / "plan.json", complete.store) == data


def test_what_is_no_plan_is_refused(tmp_path: Path, complete: Run):
    """A clear error, not a traceback."""
    with pytest.raises(UserError, match="cannot be read"):
        gather(tmp_path / "none", complete.store)
    (tmp_path / "plan.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(UserError, match="format_version"):
        gather(tmp_path, complete.store)
