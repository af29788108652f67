"""What a run tells while it runs: timings, TensorBoard, Weights & Biases; and that none of it can do harm."""

from __future__ import annotations

import builtins
import json
import resource
import sys
import threading
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from compiler.cost.boards import BOARDS, PEAKS
from compiler.cost.devices import DEVICES
from compiler.cost.flops import training_flops
from runtime import interruption
from runtime.training.watch import WATCHERS, Watchers, copy_kept, tensorboard, wandb
from runtime.training.watch.speed import memory_mb, peak_flops, timing, utilization

CPU = torch.device("cpu")


def timing_lines(out):
    """The lines of timings of a finished stage."""
    return [json.loads(line) for line in (out / "log" / "timings.jsonl").read_text().splitlines()]


def points(directory):
    """What TensorBoard reads from event files: (step, value) by name."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.fixture
def with_tensorboard(monkeypatch):
    """The environment asks for event files."""
    pytest.importorskip("tensorboard")
    monkeypatch.setenv(tensorboard.VARIABLE, "1")


@pytest.fixture
def without_module(monkeypatch):
    """A package that is not installed, whatever is installed here."""

    def hide(name):
        real = builtins.__import__

        def importing(wanted, *rest, **named):
            if wanted.partition(".")[0] == name:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(wanted, *rest, **named)

        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(builtins, "__import__", importing)

    return hide


# ---------------------------------------------------------------- timings


def test_a_step_is_timed_in_tokens_and_memory(tiny_job, run_job):
    """Per device, too; the figures of a step belong together; a CPU's peak is not known, so there is no utilization."""
    lines = timing_lines(run_job(tiny_job))
    assert [line["step"] for line in lines] == list(range(1, 9))
    for line in lines:
        assert set(line) == {"step", "seconds", "tokens_per_second", "tokens_per_second_per_device", "memory_mb"}
        assert line["tokens_per_second"] == pytest.approx(32 / line["seconds"], rel=0.01)
        assert line["tokens_per_second_per_device"] == line["tokens_per_second"]
        assert line["memory_mb"] >= 50  # torch alone takes more


def test_devices_share_the_tokens(tiny_job):
    """32 tokens in two seconds on four devices."""
    line = timing(tiny_job, 0, 2.0, CPU, "fp32", 4)
    assert (line["tokens_per_second"], line["tokens_per_second_per_device"]) == (16.0, 4.0)


def test_utilization_is_counted_with_the_plans_operations(tiny_job):
    """A job that takes just as long as its operations do at the peak has a utilization of 1, phase by phase."""
    peak = 1e6
    for step, phase in ((0, tiny_job.batches[0]), (4, tiny_job.batches[0]), (5, tiny_job.batches[1])):
        alone = attrs.evolve(tiny_job, batches=(attrs.evolve(phase, steps=1),))
        seconds = training_flops(alone) / peak
        rate = alone.tokens / seconds
        assert utilization(tiny_job, step, rate, peak) == pytest.approx(1.0, rel=1e-12)
        assert utilization(tiny_job, step, rate, 4 * peak) == pytest.approx(0.25, rel=1e-12)


def test_only_a_device_in_the_table_has_a_peak(monkeypatch):
    """By the name that CUDA gives; a slice of a device has another name. fp32 counts TF32 only where it is in use."""
    assert peak_flops(CPU, "fp32") is None
    device = torch.device("cuda", 0)
    for name in BOARDS:
        peak = PEAKS[BOARDS[name]]
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=name: name)
        assert peak_flops(device, "bf16") == peak.bf16
        assert peak.bf16 > peak.tf32 > peak.fp32
        assert peak.bf16 == DEVICES[BOARDS[name]].peak
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "highest")
        assert peak_flops(device, "fp32") == peak.fp32
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
        assert peak_flops(device, "fp32") == peak.tf32
    for unknown in ("NVIDIA H200 MIG 1g.18gb", "NVIDIA GeForce RTX 4090"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=unknown: name)
        assert peak_flops(device, "bf16") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_known_cuda_device_has_a_utilization(tiny_job):
    """And its memory is what torch has allocated there."""
    device = torch.device("cuda", 0)
    kept = torch.zeros(1 << 24, device=device)
    assert memory_mb(device) >= kept.nbytes >> 20
    if torch.cuda.get_device_name(device) in BOARDS:
        assert timing(tiny_job, 0, 1e-6, device, "bf16", 1)["mfu"] > 0
    if torch.cuda.get_device_name(device) == "NVIDIA H200":
        assert peak_flops(device, "bf16") == PEAKS["H200"].bf16


# ---------------------------------------------------------------- TensorBoard


def test_tensorboard_shows_what_the_logs_say(tiny_job, run_job, read_metrics, with_tensorboard):
    """Losses in all and by data set, rates and timings, at their steps; the files are in the log when all is done."""
    out = run_job(tiny_job)
    shown, lines = points(out / "log" / "tensorboard"), read_metrics(out)
    for name in ("loss", "lr", "grad_norm", "tokens"):
        expected = [(line["step"], np.float32(line[name])) for line in lines]
        assert shown[f"train/{name}"] == expected
    by_source = {source for line in lines for source in line.get("sources", {})}
    assert {name for name in shown if name.startswith("source/")} == {f"source/{name}" for name in by_source}
    assert [step for step, _ in shown["speed/tokens_per_second"]] == list(range(1, 9))


def test_nothing_is_written_unless_it_is_asked_for(tiny_job, run_job, monkeypatch):
    """No variable, or another value."""
    monkeypatch.setenv(tensorboard.VARIABLE, "0")
    assert not (run_job(tiny_job) / "log" / "tensorboard").exists()


def test_a_resumed_run_doubles_no_step(tiny_job, run_job, with_tensorboard, corpus):
    """Steps that were shown and lost with a killed attempt are void; each step stands there once, with its value."""
    job = attrs.evolve(tiny_job, checkpoint_every=3)
    with pytest.raises(KeyError):  # the attempt shows steps 4 and 5 and keeps the state of step 3

        def die(done, total, unit):
            if done == 5:
                raise KeyError

        run_job(job, progress=die)
    assert [step for step, _ in points(corpus.root / "run-resume" / "tensorboard")["train/loss"]] == [1, 2, 3, 4, 5]
    looks = iter([False, False, True])
    with pytest.raises(interruption.Interrupted):
        run_job(job, stop=lambda: next(looks))
    out = run_job(job)
    assert len(list((out / "log" / "tensorboard").iterdir())) == 3
    shown = points(out / "log" / "tensorboard")
    unbroken = points(run_job(job, "unbroken") / "log" / "tensorboard")
    for name, values in unbroken.items():
        if not name.startswith("speed/"):
            assert shown[name] == values, name
    assert [step for step, _ in shown["speed/seconds"]] == list(range(1, 9))


def test_watching_changes_no_output(tiny_job, run_job, read_output, monkeypatch):
    """All but the log is what an unwatched run leaves."""
    pytest.importorskip("tensorboard")
    plain = read_output(run_job(tiny_job))
    monkeypatch.setenv(tensorboard.VARIABLE, "1")
    assert read_output(run_job(tiny_job, "watched")) == plain


def test_without_the_package_one_line_says_so(tiny_job, run_job, read_metrics, monkeypatch, capfd, without_module):
    """And the stage is trained."""
    monkeypatch.setenv(tensorboard.VARIABLE, "1")
    without_module("tensorboard")
    assert len(read_metrics(run_job(tiny_job))) == 8
    said = capfd.readouterr().err.splitlines()
    assert said == [
        "TensorBoard is off: OCSPEC_TENSORBOARD=1 asks for it, but there is no module tensorboard: "
        "install tensorboard; the training goes on"
    ]


def test_event_files_that_cannot_be_made_do_no_harm(tiny_job, run_job, read_metrics, with_tensorboard, corpus, capfd):
    """A file stands in the place of their directory."""
    resume = corpus.root / "run-resume"
    resume.mkdir()
    (resume / "tensorboard").write_text("")
    assert len(read_metrics(run_job(tiny_job))) == 8
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("TensorBoard is off: FileExistsError: ")


def test_a_full_disk_switches_tensorboard_off_once(tiny_job, tmp_path, with_tensorboard, capfd):
    """A limit on file sizes stands for it; whoever shows the steps never hears of it."""
    watchers = Watchers()
    line = {"step": 1, "loss": 2.0, "lr": 0.1, "grad_norm": 1.0, "tokens": 32}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with watchers.open(tiny_job, tmp_path, 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
        try:
            for step in range(1, 50):
                watchers.show({**line, "step": step}, {"step": step, "seconds": 0.1})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("TensorBoard is off: OSError: [Errno 27] File too large")
    assert 1 < len(points(tmp_path / "tensorboard")["train/loss"]) < 49


def test_files_that_cannot_be_copied_stay_where_they_are(tmp_path, capfd):
    """The stage is finished all the same."""
    (tmp_path / "resume" / "tensorboard").mkdir(parents=True)
    (tmp_path / "resume" / "tensorboard" / "events").write_text("x")
    (tmp_path / "log").write_text("")
    copy_kept(tmp_path / "resume", tmp_path / "log")
    assert capfd.readouterr().err.startswith(f"the TensorBoard files stay in {tmp_path / 'resume'}: ")


# ---------------------------------------------------------------- Weights & Biases


def test_without_a_key_or_the_package_one_line_says_so(
    tiny_job, run_job, read_metrics, monkeypatch, capfd, without_module
):
    """The key is looked for first; the stage is trained in both cases."""
    monkeypatch.delenv(wandb.KEY, raising=False)
    monkeypatch.delenv(wandb.MODE, raising=False)
    monkeypatch.setenv(wandb.PROJECT, "models")
    without_module("wandb")
    assert len(read_metrics(run_job(tiny_job))) == 8
    assert capfd.readouterr().err.splitlines() == [
        "Weights & Biases is off: OCSPEC_WANDB_PROJECT names project models, but WANDB_API_KEY is not set; "
        "a profile can give it by reference; the training goes on"
    ]
    monkeypatch.setenv(wandb.KEY, "0123456789abcdef" * 2)
    assert len(read_metrics(run_job(tiny_job, "again"))) == 8
    assert capfd.readouterr().err.splitlines() == [
        "Weights & Biases is off: OCSPEC_WANDB_PROJECT names project models, but there is no module wandb: "
        "install wandb; the training goes on"
    ]


def test_a_run_goes_on_under_the_same_id(tiny_job):
    """Every attempt at a job in its place in the store; another job, other data or another store is another run."""
    resume = Path("/store/work/0a1b/resume-0")
    first = wandb.run_id(tiny_job, resume)
    assert first == wandb.run_id(attrs.evolve(tiny_job, checkpoint_every=5, micro_batch=1), resume)
    others = {
        wandb.run_id(attrs.evolve(tiny_job, seed=8), resume),
        wandb.run_id(tiny_job, Path("/store/work/2c3d/resume-0")),
    }
    assert len(others | {first}) == 3


def test_a_network_that_is_gone_does_not_hold_up_the_end(tiny_job, tmp_path, monkeypatch, capfd):
    """The client waits for it without end; the stage waits a while, says so, and writes its outputs."""
    gone = threading.Event()

    class Client:
        def log(self, numbers, step):
            pass

        def finish(self):
            gone.wait()

    monkeypatch.setattr(wandb, "PATIENCE_S", 0.05)
    monkeypatch.setitem(WATCHERS, "Weights & Biases", lambda *_: wandb.WandbRun(Client()))
    with Watchers().open(tiny_job, tmp_path, 0):
        pass
    said = "Weights & Biases is off: the last steps were not sent within 0.05 s; the training goes on\n"
    assert capfd.readouterr().err == said
    gone.set()


def test_wandb_takes_in_a_whole_run_offline(tiny_job, run_job, read_metrics, monkeypatch, corpus, capfd):
    """All attempts write to one run, below the resume directory; the key is in none of its files."""
    pytest.importorskip("wandb")
    key = "f00d" * 10
    for name, value in ((wandb.PROJECT, "models"), (wandb.KEY, key), (wandb.MODE, "offline")):
        monkeypatch.setenv(name, value)
    job = attrs.evolve(tiny_job, checkpoint_every=3)
    looks = iter([False] * 5 + [True])
    with pytest.raises(interruption.Interrupted):
        run_job(job, stop=lambda: next(looks))
    assert len(read_metrics(run_job(job))) == 8
    assert "is off" not in capfd.readouterr().err
    resume = corpus.root / "run-resume"
    attempts = list((resume / "wandb").glob("offline-run-*"))
    assert len(attempts) == 2
    assert {path.name.rpartition("-")[2] for path in attempts} == {wandb.run_id(job, resume)}
    files = [path for path in resume.rglob("*") if path.is_file()]
    assert [path for path in files if key.encode() in path.read_bytes()] == []
