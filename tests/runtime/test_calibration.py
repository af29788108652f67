"""What a store tells of the next run: facts to the byte, rates by operator, and nothing of what cannot be read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from compiler import canonical, ir
from compiler.compile import compile_experiment
from compiler.cost.calibration import Calibration
from compiler.cost.devices import DEVICES
from compiler.cost.estimate import Estimate, estimate
from compiler.cost.flops import training_flops
from compiler.cost.interval import Interval
from compiler.cost.selectivity import judge
from compiler.cost.walk import walk
from compiler.plan import Plan
from ocspec import Batches, BitsPerByte, TrainedBPE
from runtime.calibration import calibration, device_type, operator_of
from runtime.facts import COUNTED, Facts, device_said, known_of
from runtime.reasons import outlook
from runtime.run import Summary
from runtime.store import Store
from tests.runtime.conftest import Workbench, tiny, write_corpus

Finished = tuple[Workbench, Plan, Path, Summary]


def test_built_tasks_are_known_to_the_byte(finished: Finished) -> None:
    """Documents, tokens and bytes are exact; times and peaks within what may differ the next time."""
    bench, plan, _, _ = finished
    found = estimate(plan, None, calibration(bench.store, plan))
    for task in plan.tasks:
        took = known_of(bench.store.find(task.fingerprint).manifest)
        assert found[task.id].bytes_written.is_exact
        assert found[task.id].bytes_written.high == took.bytes_written
        assert took.seconds + 1 in found[task.id].seconds
        assert took.peak_memory_mb in found[task.id].memory_mb
    encode, refine = plan.task("code/encode"), plan.task("code/refine")
    assert found["code/encode"].tokens.high == bench.store.find(encode.fingerprint).manifest["stats"]["tokens"]
    assert found["code/downsample"].documents.high == bench.store.find(refine.fingerprint).manifest["stats"]["kept"]


def test_a_task_that_is_cut_off_is_known(finished: Finished, tmp_path: Path) -> None:
    """Its artefact is there by its key, as where a changed operator before it made the same as the old one."""
    bench, plan, _, _ = finished
    refine, encode = plan.task("code/refine").fingerprint, plan.task("code/encode").fingerprint
    shutil.copytree(bench.store.root / "fingerprints", tmp_path / "fingerprints")
    (tmp_path / "artifacts").symlink_to(bench.store.root / "artifacts")
    for one in (refine, encode):
        (tmp_path / "fingerprints" / f"{one}.json").unlink()
    whole, found = calibration(bench.store, plan).known, calibration(Store(tmp_path), plan).known
    assert found == whole


def test_what_was_measured_lies_within_what_is_supposed(finished: Finished) -> None:
    """Without any past run, by the size of the source alone: bytes, documents and tokens of every task."""
    bench, plan, _, _ = finished
    found = estimate(plan)
    for task in plan.tasks:
        took = known_of(bench.store.find(task.fingerprint).manifest)
        assert took.bytes_written in found[task.id].bytes_written, task.id
        if isinstance(task.op, ir.Encode | ir.Pack | ir.TrainOp):
            assert took.tokens in found[task.id].tokens, task.id


def test_rates_carry_over_to_a_changed_experiment(finished: Finished) -> None:
    """Half as many steps again: the stage is not built, what it takes comes from how fast the others were."""
    bench, _, _, _ = finished
    experiment = tiny(bench.corpus)
    first, *others = experiment.curriculum.stages
    longer = first.replace(batches=(Batches(steps=9, global_batch=4, sequence_length=64),))
    changed = experiment.replace(curriculum=experiment.curriculum.replace(stages=(longer, *others)))
    new, _ = bench.compile(changed)
    learnt = calibration(bench.store, new)
    assert new.task("pretrain/train").fingerprint not in learnt.known
    assert new.task("code/encode").fingerprint in learnt.known
    assert {"data.sign", "data.refine", "text.encode", "mix.draw"} <= set(learnt.rates)
    assert not {"eval.bits_per_byte", "eval.benchmark"} & set(learnt.rates)  # as slow as the model that is measured
    assert not {op for op in learnt.memory if op.startswith("train.")}
    assert estimate(new, None, learnt)["pretrain/train"].tokens.high == 9 * 4 * 64


def test_a_filter_that_judged_other_documents_tells_how_much_it_keeps(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same admission and rules on another corpus: within what is told; another rule, or too few: nothing."""
    bench, plan, _, _ = finished
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_corpus(corpus)
    (corpus / "text" / "more.py").write_text("# one more\n" * 50)
    other = compile_experiment(tiny(corpus), tmp_path, 1)
    assert other.task("code/sign").fingerprint != plan.task("code/sign").fingerprint
    monkeypatch.setattr("runtime.calibration.LEAST_JUDGED", 10**6)
    assert not calibration(bench.store, other).kept  # of so few documents
    monkeypatch.setattr("runtime.calibration.LEAST_JUDGED", 5)
    monkeypatch.setattr("runtime.calibration.LEAST_KEPT", 5)
    learnt = calibration(bench.store, other)
    before = estimate(other, None, attrs.evolve(learnt, kept={}))
    after = estimate(other, None, learnt)
    took = {task.id: known_of(bench.store.find(task.fingerprint).manifest) for task in plan.tasks}
    for task in other.tasks:
        assert after[task.id].bytes_written.high <= before[task.id].bytes_written.high
        assert took[task.id].bytes_written in after[task.id].bytes_written, task.id
    refine = other.task("code/refine").op
    assert isinstance(refine, ir.Refine)
    counts = bench.store.find(plan.task("code/refine").fingerprint).manifest["stats"]
    assert counts["kept"] / counts["in"] in learnt.kept[judge(refine)].documents
    assert judge(attrs.evolve(refine, redact_pii=not refine.redact_pii)) not in learnt.kept


def measured_again(finished: Finished, **changes: object) -> tuple[Plan, dict[str, Estimate], Calibration]:
    """The tiny experiment with another seed of pretraining, and what its store tells of that: no model is the same."""
    bench, _, _, _ = finished
    experiment = tiny(bench.corpus)
    first, *others = experiment.curriculum.stages
    curriculum = experiment.curriculum.replace(stages=(first.replace(seed=5), *others))
    plan = compile_experiment(experiment.replace(curriculum=curriculum, **changes), bench.root)
    learnt = calibration(bench.store, plan)
    return plan, estimate(plan, None, learnt), learnt


def test_evaluations_are_as_long_as_they_were_of_models_alike(finished: Finished) -> None:
    """The same text under models of the same shape: within what is taken to come again, not more; so are n-grams."""
    bench, before, _, _ = finished
    plan, found, learnt = measured_again(finished)
    took = {task.id: known_of(bench.store.find(task.fingerprint).manifest) for task in before.tasks}
    fresh = walk(plan, Calibration())
    measured = [task for task in plan.tasks if isinstance(task.op, ir.BitsPerByte)]
    yardsticks = [task for task in plan.tasks if isinstance(task.op, ir.NGram)]
    longest = max(took[task.id].seconds for task in measured)
    assert len(measured) == len(yardsticks) == 3
    for task in (*measured, *yardsticks):
        assert task.fingerprint not in learnt.known
        assert learnt.samples[task.fingerprint].text_bytes == took[task.id].text_bytes > task.op.max_bytes
        assert took[task.id].text_bytes in fresh[task.id].out.text  # though the last document goes beyond the limit
        assert took[task.id].seconds + 1 in found[task.id].seconds
        assert took[task.id].bytes_written in found[task.id].bytes_written
        assert found[task.id].bytes_written.is_known and found[task.id].cpu_hours.is_known
    for task in measured:
        assert found[task.id].seconds.high == pytest.approx(1 + longest * 1.25)
        assert found[task.id].flops.is_known


def test_evaluations_of_what_is_unlike_tell_nothing(finished: Finished) -> None:
    """Another length of n-grams has no rate, another vocabulary no speed; of the latter the prior of processors holds.

    Text that was never scored is no longer than its limit, or than all that there is.
    """
    _, found, learnt = measured_again(finished, evaluations=(BitsPerByte(ngram_order=3),))
    assert not learnt.samples
    assert found["pretrain/bits_per_byte"].cpu_hours.is_known
    assert found["pretrain/bits_per_byte"].bytes_written.is_known
    for name in ("documents", "bytes_written"):
        one, other = (found[f"pretrain/bits_per_byte{model}"] for model in ("", "-ngram"))
        assert getattr(one, name) == getattr(other, name)  # of the same documents
    assert not found["pretrain/bits_per_byte-ngram"].seconds.is_known
    _, _, of_others = measured_again(finished, tokenizer=TrainedBPE(vocab_size=390, sample_bytes=200_000))
    model = measured_again(finished)[0].task("pretrain/train").op.job.model
    anything = Interval(0, 1)
    assert of_others.scoring("cpu", model, anything, 2.0) == learnt.scoring("cpu", model, anything, 2.0)
    assert learnt.scoring("cpu", model, anything, 2.0) is not None
    assert learnt.scoring("cpu", attrs.evolve(model, vocab_size=390), anything, 2.0) is None
    assert learnt.scoring("H100", model, anything, 2.0) is None


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100 80GB PCIe", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H800", "H800"),
        ("NVIDIA RTX A1000", None),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L40", None),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", None),
    ],
)
def test_a_device_is_known_by_all_of_its_name(tmp_path: Path, name: str, device: str | None) -> None:
    """Another board has another peak, and so has a part of one."""
    (log := tmp_path / "artifacts" / "key" / "log").mkdir(parents=True)
    (log / "environment.json").write_text(json.dumps({"device": "cuda", "device_name": name}))
    assert device_said(Store(tmp_path), "key") == name
    assert device_type(name) == device


def test_a_source_that_has_grown_tells_no_rate(finished: Finished, tmp_path: Path) -> None:
    """Of the same name, and read before: what its files held then is not known, and no rate is made of what they hold.

    What was read of the artefacts behind it was counted when they were built.
    """
    bench, plan, _, _ = finished
    (corpus := tmp_path / "corpus").mkdir()
    (write_corpus(corpus) / "text" / "large.py").write_text("x = 1\n" * 1_000_000)
    grown = compile_experiment(tiny(corpus), tmp_path)
    assert grown.sources[0].name == plan.sources[0].name
    assert grown.sources[0].stored_bytes > 5 * plan.sources[0].stored_bytes
    before, after = calibration(bench.store, plan).rates, calibration(bench.store, grown).rates
    assert "data.sign" in before
    assert "data.sign" not in after
    assert after["text.encode"] == before["text.encode"]


def test_a_source_that_was_renamed_tells_what_it_told(finished: Finished) -> None:
    """Its artefacts stay, and so do the rates of what read it."""
    bench, plan, _, _ = finished
    experiment = tiny(bench.corpus)
    code, *others = experiment.data
    source = code.sources[0].replace(name="renamed", aka=code.sources[0].name)
    renamed, _ = bench.compile(experiment.replace(data=(code.replace(sources=(source,)), *others)))
    assert "data.sign" in calibration(bench.store, plan).rates
    assert calibration(bench.store, renamed) == calibration(bench.store, plan)


def test_bytes_a_token_of_other_text_may_differ(finished: Finished) -> None:
    """By as much as all that is taken to come again, on both sides of what was seen."""
    bench, plan, _, _ = finished
    encode, refine = (bench.store.find(plan.task(name).fingerprint).manifest for name in ("code/encode", "code/refine"))
    seen = sum(refine["stats"]["bytes"].values()) / encode["stats"]["tokens"]
    learnt = calibration(bench.store, plan).bytes_per_token
    assert learnt.low * 1.25 <= seen <= learnt.high / 1.25


def copied(finished: Finished, root: Path, change: Callable[[dict[str, Any]], object]) -> Store:
    """A store that has the manifests of another, each of them changed, and where training says what it ran on."""
    for path in (finished[0].store.root / "artifacts").glob("*/manifest.json"):
        to, said = root / "artifacts" / path.parent.name, path.parent / "log" / "environment.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        (to / "log").mkdir(parents=True)
        (to / "manifest.json").write_text(json.dumps(manifest))
        if said.exists():
            (to / "log" / "environment.json").write_text(said.read_text())
    return Store(root)


def of_a_minute(manifest: dict[str, Any]) -> None:
    for shard in manifest["shards"]:
        shard["seconds"] = 60.0


def test_training_tells_the_share_of_the_peak(finished: Finished, tmp_path: Path) -> None:
    """Of every stage, with how large its model was and how much it did."""
    _, plan, _, _ = finished
    found = calibration(copied(finished, tmp_path, of_a_minute), plan).utilization["cpu/torch"]
    jobs = [task.op.job for task in plan.tasks if isinstance(task.op, ir.TrainOp)]
    assert sorted(run.flops for run in found) == sorted(training_flops(job) for job in jobs)
    assert {run.parameters for run in found} == {plan.parameters}
    cpus = {task.resources.cpus for task in plan.tasks if isinstance(task.op, ir.TrainOp)}
    for run in found:
        assert any(run.flops / (58.0 * DEVICES["cpu"].peak * cpu) in run.share for cpu in cpus)


def test_a_resumed_stage_tells_no_speed(finished: Finished, tmp_path: Path) -> None:
    """Its seconds are those of the last attempt, its tokens those of all."""

    def resumed(manifest: dict[str, Any]) -> None:
        of_a_minute(manifest)
        if "resumed_from_step" in manifest["stats"]:
            manifest["stats"]["resumed_from_step"] = 1

    assert not calibration(copied(finished, tmp_path, resumed), finished[1]).utilization


def test_a_tree_gives_its_operator_back(finished: Finished) -> None:
    """But for labels and how it was run, which are not in it."""
    _, plan, _, _ = finished
    for task in plan.tasks:
        tree = canonical.to_tree(task.op)
        found = operator_of(tree)
        assert type(found) is type(task.op)
        assert canonical.to_tree(found) == tree


@pytest.mark.parametrize(
    "tree", [[], None, ["op"], ["op", "no.such/1", {}], ["op", 3, {}], ["op", "text.encode/1", []]]
)
def test_a_strange_tree_gives_none(tree: list[object]) -> None:
    """As does one of another version."""
    assert operator_of(tree) is None


def test_of_what_was_noted_no_manifest_is_opened_again(finished: Finished, tmp_path: Path) -> None:
    """But of what came since, or was built again; training's own word on its device is noted as well."""
    _, plan, _, _ = finished
    store = copied(finished, tmp_path, of_a_minute)
    first = calibration(store, plan)
    assert first.rates and first.utilization and first.bytes_per_token
    manifests = sorted((tmp_path / "artifacts").glob("*/manifest.json"))
    for path in manifests:  # would tell something else, or nothing
        when = path.stat()
        path.write_text("{")
        os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
        shutil.rmtree(path.parent / "log", ignore_errors=True)
    assert calibration(store, plan) == first
    assert "instruct.make_pairs" in first.rates
    os.utime(
        next(path for path in manifests if "instruct.make_pairs/" in noted(tmp_path, path.parent.name)["operator"])
    )
    assert "instruct.make_pairs" not in calibration(store, plan).rates


def noted(root: Path, key: str) -> dict[str, Any]:
    """What is noted of an artefact, as it is noted."""
    rows = json.loads((root / "facts.json").read_text())["artifacts"]
    return dict(zip(NAMES, rows[key]["facts"], strict=True))


NAMES = (*COUNTED, *(field.name for field in attrs.fields(Facts)[1:]))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("shards", "1"),
        ("documents", "many"),
        ("seconds", -1.0),
        ("operator", None),
        ("operator", "{"),
        ("inputs", {"a": [1]}),
    ],
)
def test_noted_facts_of_other_types_are_read_anew(finished: Finished, tmp_path: Path, name: str, wrong: object) -> None:
    """As if nothing had been noted."""
    _, plan, _, _ = finished
    store = copied(finished, tmp_path, of_a_minute)
    first = calibration(store, plan)
    notes = json.loads((tmp_path / "facts.json").read_text())
    next(iter(notes["artifacts"].values()))["facts"][NAMES.index(name)] = wrong
    (tmp_path / "facts.json").write_text(json.dumps(notes))
    assert calibration(store, plan) == first


@pytest.mark.parametrize(
    "notes", ["{", "[]", '{"format_version": 2, "artifacts": {"x": {"written": 1, "facts": [1]}}}', '{"artifacts": {}}']
)
def test_strange_notes_are_made_anew(finished: Finished, tmp_path: Path, notes: str) -> None:
    """Whatever stands in their file."""
    _, plan, _, _ = finished
    store = copied(finished, tmp_path, of_a_minute)
    first = calibration(store, plan)
    (tmp_path / "facts.json").write_text(notes)
    assert calibration(store, plan) == first


@pytest.mark.parametrize(
    "name", ["key", "fingerprint", "resources", "inputs", "stats", "shards", "outputs", "preimage"]
)
def test_a_manifest_that_lacks_something_tells_nothing(finished: Finished, tmp_path: Path, name: str) -> None:
    """Nor does one with something else in its place; an empty list of shards tells no seconds."""
    _, plan, _, _ = finished
    strange = [lambda manifest: manifest.pop(name), lambda manifest: manifest.update({name: 3})]
    if name == "shards":
        strange.append(lambda manifest: manifest.update(shards=[]))
        strange.append(lambda manifest: manifest["shards"][0].update(seconds=-3.5))  # a clock that was set back
    if name == "preimage":
        strange.append(lambda manifest: manifest.update(preimage=["task", ["op", 3, {}], ["map", []]]))
    for number, change in enumerate(strange):
        store = copied(finished, tmp_path / str(number), change)
        found = calibration(store, plan)
        if name != "preimage" or number < 2:  # else what is built is known all the same
            assert attrs.evolve(found, processors=None) == type(found)()
        estimate(plan, None, found)
        outlook(plan, store)


def test_damaged_manifests_tell_nothing(tmp_path: Path, finished: Finished) -> None:
    """And stop nothing; neither does a store that is not there."""
    _, plan, _, _ = finished
    for name, text in {"a": "{", "b": "[]", "c": '{"key": "c"}'}.items():
        folder = tmp_path / "artifacts" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(text)
    for root in (tmp_path, tmp_path / "absent"):
        found = calibration(Store(root), plan)
        assert attrs.evolve(found, processors=None) == attrs.evolve(type(found)(), processors=None)
