"""Estimates of whole plans: what is known of sources runs through, survivors are bounds, unknown is never zero."""

from __future__ import annotations

import math
from pathlib import Path

import attrs
import pytest

from compiler import ir, plan
from compiler.compile import compile_experiment
from compiler.cost.calibration import Calibration, Known, Rate, Reached
from compiler.cost.devices import DEVICES, GPUS
from compiler.cost.estimate import Estimate, critical_path, estimate, total
from compiler.cost.flops import forward_per_token, training_flops
from compiler.cost.interval import NOTHING, Interval
from compiler.cost.walk import LAST_DOCUMENT
from compiler.plan import Plan
from compiler.profile import Profile, Settings
from ocspec import Declared, Experiment, Parquet, WebRecall


@pytest.fixture(scope="module")
def declared(mini: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The miniature on a source that says its size."""
    source = Parquet(name="big", path="a/*.parquet", declared=Declared(bytes=7 * 10**9, documents=10**6))
    data = (mini.data[0].replace(sources=(source,)), *mini.data[1:])
    return compile_experiment(mini.replace(data=data), tmp_path_factory.mktemp("declared"))


def test_every_task_has_one(declared: Plan, full_scale: dict[str, Plan]) -> None:
    """Of all shipped sizes, whole numbers of documents and bytes."""
    for one in (declared, *full_scale.values()):
        found = estimate(one)
        assert list(found) == [task.id for task in one.tasks]
        for name in ("documents", "bytes_read", "bytes_written", "tokens"):
            assert all(getattr(e, name).low == int(getattr(e, name).low) for e in found.values())


def test_a_declared_source_is_read_whole_and_survivors_are_bounds(declared: Plan) -> None:
    """Sign reads a million documents; of those behind it any number is left, but one."""
    found = estimate(declared)
    assert found["code/sign"].documents == Interval.exact(10**6)
    for name in ("code/hold-out", "code/refine", "code/downsample", "code/encode"):
        assert found[name].documents == Interval(1, 10**6)
    tokens = found["code/encode"].tokens
    assert 7e9 / 4 < tokens.high < 7e9 / 1.5
    assert found["code/pack"].bytes_written.high == 2 * tokens.high + 20 * 10**6 + 42


def test_a_renamed_source_is_estimated_as_before(mini: Experiment, declared: Plan, tmp_path: Path) -> None:
    """Its tasks know it by the name that it had, its size goes with it."""
    source = Parquet(name="new", aka="big", path="a/*.parquet", declared=Declared(bytes=7 * 10**9, documents=10**6))
    data = (mini.data[0].replace(sources=(source,)), *mini.data[1:])
    renamed = compile_experiment(mini.replace(data=data), tmp_path)
    assert [task.fingerprint for task in renamed.tasks] == [task.fingerprint for task in declared.tasks]
    assert estimate(renamed) == estimate(declared)


def test_what_is_not_known_is_not_zero(mini_plan: Plan) -> None:
    """Packages that were not fetched: no bound on what comes of them, yet an exact number of FLOPs to train."""
    found = estimate(mini_plan)
    for name in ("documents", "bytes_written", "seconds"):
        assert not getattr(found["code/sign"], name).is_known
    job = mini_plan.task("pretrain/train").op.job
    assert found["pretrain/train"].flops == Interval.exact(training_flops(job))
    assert found["pretrain/train"].tokens == Interval.exact(job.tokens)
    assert found["pretrain/train"].gpu_hours == NOTHING
    assert found["pretrain/train"].seconds.is_known


def test_the_plans_own_seconds_lie_inside(declared: Plan, full_scale: dict[str, Plan]) -> None:
    """One way to count: what a shard asks for in the plan is within what is estimated of it, rounded up.

    Packing is planned for three bytes a token, and estimated for the tokens that are declared.
    """
    for one in (declared, *full_scale.values()):
        found = estimate(one, Profile(dispatch="slurm", shards_per_job=1))
        for task in one.tasks:
            if task.resources.seconds is not None and not isinstance(task.op, ir.Pack):
                assert found[task.id].seconds.low <= task.resources.seconds
                assert task.resources.seconds <= max(found[task.id].seconds.high, 2) + 1, task.id


def test_a_device_in_the_profile_narrows_hours(full_scale: dict[str, Plan]) -> None:
    """And only they change."""
    task = "pretrain/train"
    anywhere = estimate(full_scale["8b"])[task]
    for name in GPUS:
        profile = Profile(classes={"train": Settings(device=name)})
        here = estimate(full_scale["8b"], profile)[task]
        assert anywhere.gpu_hours.low <= here.gpu_hours.low
        assert here.gpu_hours.high <= anywhere.gpu_hours.high
        assert attrs.evolve(here, gpu_hours=NOTHING, cpu_hours=NOTHING, seconds=NOTHING) == attrs.evolve(
            anywhere, gpu_hours=NOTHING, cpu_hours=NOTHING, seconds=NOTHING
        )
    devices = full_scale["8b"].task(task).op.job.parallelism.devices
    assert anywhere.gpu_hours.high == pytest.approx(anywhere.seconds.high * devices / 3600)


def test_the_memory_of_opencoder_fits_its_devices(full_scale: dict[str, Plan]) -> None:
    """They did train: the lower bound of a rank is within 80 GB, and it is a bound and no more."""
    for one in full_scale.values():
        for name in ("pretrain", "anneal"):
            found = estimate(one)[f"{name}/train"].memory_mb
            assert 8_000 < found.low < DEVICES["H100"].memory_mb
            assert found.high == math.inf


def test_what_was_built_goes_before_what_is_supposed(mini_plan: Plan) -> None:
    """Facts of a manifest are exact, and those after it count from them; times within what may differ."""
    sign, refine = mini_plan.task("code/sign"), mini_plan.task("code/refine")
    facts = Known(documents=4_133, text_bytes=37_000_000, bytes_written=657_898, seconds=8.0, peak_memory_mb=416)
    found = estimate(mini_plan, None, Calibration(known={sign.fingerprint: facts}, processors=2))
    assert found["code/sign"].bytes_written == Interval.exact(657_898)
    assert found["code/hold-out"].documents == Interval.exact(4_133)
    assert found["code/hold-out"].bytes_read == Interval.exact(657_898)
    assert 9 in found["code/sign"].seconds
    assert found["code/sign"].memory_mb.high == pytest.approx(416 * 1.15)
    assert found["code/refine"].documents == Interval(1, 4_133)
    assert found["code/refine"].seconds.is_known
    assert refine.shards == 2


def test_rates_of_past_runs_are_used(declared: Plan) -> None:
    """Half of the prior's seconds for a unit are half of the time, but for the start."""
    rates = (Rate(per_unit=Interval.exact(took), most=10**9, longest=0) for took in (1.0, 0.5))
    ordinary, fast = (estimate(declared, None, Calibration(rates={"data.sign": r}, processors=8)) for r in rates)
    assert fast["code/sign"].seconds.high - 1 == pytest.approx((ordinary["code/sign"].seconds.high - 1) / 2)


def test_held_out_text_is_no_longer_than_its_limit(mini_plan: Plan) -> None:
    """But by the last document, and may be much shorter: hours and operations have the same limit.

    They have no lower bound but the start.
    """
    (task, *_) = (task for task in mini_plan.tasks if isinstance(task.op, ir.BitsPerByte))
    task = attrs.evolve(task, resources=attrs.evolve(task.resources, gpus=1))
    tasks = tuple(task if one.id == task.id else one for one in mini_plan.tasks)
    model = attrs.evolve(mini_plan.task("pretrain/train").op.job.model, num_layers=900)  # large enough for a GPU
    tasks = tuple(
        attrs.evolve(one, op=attrs.evolve(one.op, job=attrs.evolve(one.op.job, model=model)))
        if isinstance(one.op, ir.TrainOp)
        else one
        for one in tasks
    )
    plan = attrs.evolve(mini_plan, tasks=tasks)
    profile = Profile(classes={"eval": Settings(device="H100")})
    found, anywhere = (estimate(plan, one)[task.id] for one in (profile, Profile()))
    most = task.op.max_bytes + LAST_DOCUMENT
    assert found.flops == Interval(0, 2 * most * forward_per_token(model, model.max_positions))
    slowest = DEVICES["H100"].peak * DEVICES["H100"].utilization.low * task.resources.gpus
    assert found.seconds.high == pytest.approx(1 + 2 + found.flops.high / slowest)
    assert found.seconds.low == 1 + 2
    assert found.seconds.high < anywhere.seconds.high
    measured = {"H100/torch": (Reached(share=Interval.exact(0.1), flops=1e30, parameters=model.parameters),)}
    slow = estimate(plan, profile, Calibration(utilization=measured))[task.id]
    assert slow.seconds.high > found.seconds.high


def test_what_evaluations_write_is_bounded(mini_plan: Plan, declared: Plan) -> None:
    """A row for each document that is scored, of which there are as many as bytes, or as there are at all."""
    for one in (mini_plan, declared):
        for task in one.tasks:
            if isinstance(task.op, ir.BitsPerByte | ir.NGram):
                assert estimate(one)[task.id].bytes_written == Interval(0, 300 * 400_000 + 100_000)
    task = declared.task("pretrain/bits_per_byte")
    sample = {task.fingerprint: Known(documents=57, text_bytes=400_876)}
    found = estimate(declared, None, Calibration(samples=sample))[task.id]
    assert found.bytes_written == Interval(0, 300 * 57 + 100_000)
    model = declared.task("pretrain/train").op.job.model
    assert found.flops.high == 2 * 400_876 * forward_per_token(model, model.max_positions)  # the last goes beyond


def test_shards_run_in_waves(declared: Plan) -> None:
    """Two of one processor each at once where there are two, one after the other where they run in one process."""
    at_once = estimate(declared, None, Calibration(processors=2))["code/sign"].seconds
    in_turn = estimate(declared, Profile(dispatch="inline"))["code/sign"].seconds
    assert in_turn == at_once * 2
    assert estimate(declared)["code/sign"].seconds == Interval(at_once.low, in_turn.high)
    limited = Profile(dispatch="slurm", max_parallel_shards=1)
    assert estimate(declared, limited)["code/sign"].seconds == in_turn


def test_short_shards_of_a_cluster_share_jobs(mini: Experiment, tmp_path: Path) -> None:
    """Those of a job run one after another: as many as the submitter packs, or as the profile says."""
    source = Parquet(name="big", path="a/*.parquet", declared=Declared(bytes=7 * 10**9, documents=10**6))
    data = (mini.data[0].replace(sources=(source,)), *mini.data[1:])
    many = compile_experiment(mini.replace(data=data), tmp_path, shards=3_200)
    (seconds,) = {task.resources.seconds for task in many.tasks if task.id == "code/sign"}
    assert 1 <= seconds <= 2
    alone, packed, seven, in_turn = (
        estimate(many, Profile(dispatch="slurm", **settings))["code/sign"].seconds
        for settings in (
            {"shards_per_job": 1},
            {},
            {"shards_per_job": 7},
            {"shards_per_job": 7, "max_parallel_shards": 10},
        )
    )
    assert packed == alone * 100  # 32 jobs, the fewest that so many shards are packed into
    assert seven == alone * 7
    assert in_turn == seven * 46  # 458 jobs, ten at a time


def test_a_cluster_gives_what_its_profile_says(declared: Plan) -> None:
    """In place of what the plan asks for: hours are of what is allocated, and memory is no more than that."""
    asked = declared.task("code/sign").resources
    settings = {"cpus": 3 * asked.cpus, "memory_mb": 5 * asked.memory_mb}
    plain, more, here = (
        estimate(declared, profile)["code/sign"]
        for profile in (Profile(dispatch="slurm"), Profile(dispatch="slurm", **settings), Profile(**settings))
    )
    assert more.cpu_hours.high == pytest.approx(plain.cpu_hours.high * 3)
    assert more.memory_mb == Interval(plain.memory_mb.low, 5 * asked.memory_mb)
    assert (here.cpu_hours, here.memory_mb) == (plain.cpu_hours, plain.memory_mb)


def test_hours_of_nodes_with_other_numbers_of_devices(full_scale: dict[str, Plan]) -> None:
    """The same devices on twice as many nodes, each with the processors that the profile says."""
    task = full_scale["8b"].task("pretrain/train")
    profile = Profile(dispatch="slurm", gpus_per_node=task.resources.gpus // 2, cpus=12)
    plain, spread = (estimate(full_scale["8b"], one)[task.id] for one in (Profile(dispatch="slurm"), profile))
    assert spread.gpu_hours == plain.gpu_hours
    assert spread.seconds == plain.seconds
    assert spread.cpu_hours.high == pytest.approx(spread.seconds.high / 3600 * 2 * task.resources.nodes * 12)


def test_a_crawl_that_says_its_size_bounds_the_steps_of_its_recall(mini: Experiment, tmp_path: Path) -> None:
    """Tables have a row for a page at most; how long the steps take, and how large the seed is, is not known."""

    def recall(pages: int) -> dict[str, Estimate]:
        declared = Declared(bytes=7_000 * pages, documents=pages)
        crawl = WebRecall(name="crawl", pages="a/*.parquet", seed="b.parquet", declared=declared, iterations=2)
        data = (mini.data[0].replace(sources=(crawl,)), *mini.data[1:])
        found = estimate(compile_experiment(mini.replace(data=data), tmp_path))
        prefix = "code/fetch-crawl/"
        return {name.removeprefix(prefix): one for name, one in found.items() if name.startswith(prefix)}

    few, many = recall(10**6), recall(10**7)
    bounded = [f"round-{n}/{step}" for n in (1, 2) for step in ("fit", "score", "expand")] + ["sample", "settle"]
    for name in bounded:
        written = few[name].bytes_written
        assert written.low == 0 and 0 < written.high < math.inf, name
        assert name.endswith("fit") or written.high * 5 < many[name].bytes_written.high < written.high * 11, name
    for name in ("round-1/expand", "round-2/expand", "settle"):
        assert few[name].documents == Interval(1, 10**6)
        assert not few[name].disk_mb.is_known
    assert not few["segment"].bytes_written.is_known
    assert not any(one.seconds.is_known for one in few.values())


def test_totals_and_the_critical_path(declared: Plan) -> None:
    """Sums, greatest peaks; what runs beside something else takes no time of its own."""
    found = estimate(declared)
    everything = total(found.values())
    assert everything.flops.low == sum(e.flops.low for e in found.values())
    assert everything.memory_mb.high == max(e.memory_mb.high for e in found.values())
    path = critical_path(declared, found, found)
    assert path.low <= everything.seconds.low
    trains = [task.id for task in declared.tasks if isinstance(task.op, ir.TrainOp)]
    assert critical_path(declared, found, trains).low == pytest.approx(sum(found[t].seconds.low for t in trains))
    assert critical_path(declared, found, []) == NOTHING
    assert total([]) == Estimate(**{field.name: NOTHING for field in attrs.fields(Estimate)})


def test_estimates_enter_neither_plan_nor_fingerprint(mini: Experiment, declared: Plan, tmp_path: Path) -> None:
    """A source that declares more makes the same tasks; a plan keeps what was known of its sources."""
    source = Parquet(name="big", path="a/*.parquet", declared=Declared(bytes=9 * 10**9, documents=10**6, tokens=10**9))
    data = (mini.data[0].replace(sources=(source,)), *mini.data[1:])
    more = compile_experiment(mini.replace(data=data), tmp_path)
    assert [task.fingerprint for task in more.tasks] == [task.fingerprint for task in declared.tasks]
    (known,) = more.sources
    assert (known.name, known.format, known.documents, known.text_bytes, known.tokens, known.stored_bytes) == (
        "big", "parquet", 10**6, 9 * 10**9, 10**9, None,
    )  # fmt: skip
    assert plan.loads(plan.dumps(more)) == more
    assert estimate(more)["code/encode"].tokens.high <= 10**9 + 10**6  # one ends each document


def test_tokens_that_are_declared_tell_the_bytes(mini: Experiment, tmp_path: Path) -> None:
    """Where nothing else is known."""
    source = Parquet(name="big", path="a/*.parquet", declared=Declared(tokens=10**9))
    data = (mini.data[0].replace(sources=(source,)), *mini.data[1:])
    found = estimate(compile_experiment(mini.replace(data=data), tmp_path))
    assert found["code/sign"].documents.is_known
    encode = found["code/encode"]
    assert encode.tokens.high == 10**9 + encode.documents.high
