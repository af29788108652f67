"""Megatron-Bridge's configuration: the job's figures under its names, and those names against what it publishes."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
import yaml

from compiler.emit.bridge import bridge_comments, bridge_config, bridge_configs
from compiler.plan import Plan
from compiler.trainjob import BatchPhase, Guard, Parallelism, TrainJob

SCRIPT = Path(__file__).parents[3] / "scripts" / "check_bridge_config.py"


def job_of(plan: Plan, stage: str) -> TrainJob:
    job = plan.task(f"{stage}/train").op.job  # type: ignore[attr-defined]
    assert isinstance(job, TrainJob)
    return job


@pytest.fixture
def pretrain(full_scale: dict[str, Plan]) -> TrainJob:
    return job_of(full_scale["8b"], "pretrain")


@pytest.fixture
def anneal(full_scale: dict[str, Plan]) -> TrainJob:
    return job_of(full_scale["8b"], "anneal")


@pytest.fixture
def tune(full_scale: dict[str, Plan]) -> TrainJob:
    return job_of(full_scale["8b"], "sft_1")


@pytest.fixture(scope="module")
def check() -> ModuleType:
    found = importlib.util.spec_from_file_location("check_bridge_config", SCRIPT)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_a_launch_for_each_phase(pretrain: TrainJob) -> None:
    """Iterations and samples count on, and the second launch starts from what the first saved."""
    first, second = (yaml.safe_load(text) for text in bridge_configs(pretrain).values())
    assert [c["train"]["exit_interval"] for c in (first, second)] == [130_000, 300_000]
    assert [c["train"]["train_samples"] for c in (first, second)] == [266_240_000, 440_320_000]
    assert [c["train"]["global_batch_size"] for c in (first, second)] == [2048, 1024]
    assert [c["dataset"]["seq_length"] for c in (first, second)] == [4096, 8192]
    assert [c["model"]["seq_length"] for c in (first, second)] == [4096, 8192]
    assert second["checkpoint"]["load"] == first["checkpoint"]["save"]
    assert "Launch 2 of 2" in bridge_configs(pretrain)["bridge-2.yaml"]
    assert "reads the 174080000 after them" in bridge_configs(pretrain)["bridge-2.yaml"]
    assert "checkpoint has counted" not in bridge_configs(pretrain)["bridge.yaml"]


def test_a_launch_that_goes_on_overrides_the_schedule_that_was_saved(pretrain: TrainJob, tune: TrainJob) -> None:
    """Megatron compares samples of the whole run with the checkpoint's, and those differ from launch to launch."""
    schedulers = [bridge_config(pretrain, number)["scheduler"] for number in (0, 1)]
    assert [s["override_opt_param_scheduler"] for s in schedulers] == [False, True]
    assert len({s["lr_decay_samples"] for s in schedulers}) == 1
    assert not bridge_config(tune, 0, (pretrain,))["scheduler"]["override_opt_param_scheduler"]


@pytest.mark.parametrize(("first", "second"), [(8, 4), (4, 8), (4, 4)])
def test_a_launch_has_its_samples_and_its_steps(pretrain: TrainJob, first: int, second: int) -> None:
    """Whether batches grow or shrink: the data suffice, no step is cut off, and none is added."""
    batches = tuple(BatchPhase(steps=10, global_batch=b, sequence_length=64) for b in (first, second))
    schedule = (attrs.evolve(pretrain.schedule[1], steps=20),)
    train = bridge_config(attrs.evolve(pretrain, batches=batches, schedule=schedule), 1)["train"]
    assert train["exit_interval"] == 20
    assert train["train_samples"] >= 10 * first + 10 * second
    assert train["train_samples"] // second >= 20


def test_a_rate_that_changes_with_the_batch_is_said_to_be_another_curve(pretrain: TrainJob) -> None:
    """Only there: a constant rate is the same however it is counted."""
    warm, rest = pretrain.schedule
    assert "where the batch changes" not in "".join(bridge_configs(pretrain).values())
    long = (attrs.evolve(warm, steps=130_001), attrs.evolve(rest, steps=169_999))
    assert "where the batch changes" in bridge_configs(attrs.evolve(pretrain, schedule=long))["bridge.yaml"]
    exact = (attrs.evolve(warm, steps=130_000), attrs.evolve(rest, steps=170_000))
    assert "where the batch changes" not in bridge_configs(attrs.evolve(pretrain, schedule=exact))["bridge.yaml"]


def test_what_is_written_is_what_is_checked(pretrain: TrainJob, anneal: TrainJob, tune: TrainJob) -> None:
    """Through YAML and back, numbers included."""
    for job, before in ((pretrain, ()), (anneal, (pretrain,)), (tune, (pretrain, anneal))):
        for number, text in enumerate(bridge_configs(job, before).values()):
            assert yaml.safe_load(text) == bridge_config(job, number, before)


def test_the_blend_has_the_exact_shares(anneal: TrainJob, pretrain: TrainJob) -> None:
    """As whole numbers, whose ratios are those of the spec."""
    prefixes, weights = bridge_config(anneal, 0, (pretrain,))["dataset"]["blend"]
    assert [prefix.split("/")[1] for prefix in prefixes] == [part.dataset for part in anneal.blend]
    assert all(isinstance(weight, int) for weight in weights)
    assert [Fraction(w, sum(weights)) for w in weights] == [Fraction(part.share) for part in anneal.blend]


def test_warm_up_and_hold(pretrain: TrainJob) -> None:
    """Bridge can say it."""
    scheduler = bridge_config(pretrain)["scheduler"]
    assert (scheduler["lr_warmup_samples"], scheduler["lr_decay_style"]) == (2000 * 2048, "constant")
    assert scheduler["lr_decay_samples"] == 440_320_000


def test_a_cosine_with_warm_up(tune: TrainJob, pretrain: TrainJob) -> None:
    """Bridge can say it, too; the rate ends at the job's last."""
    config = bridge_config(tune, 0, (pretrain,))
    scheduler = config["scheduler"]
    assert (scheduler["lr_warmup_samples"], scheduler["lr_decay_style"]) == (100 * 4096, "cosine")
    assert scheduler["lr_decay_samples"] == 976 * 4096
    assert (config["optimizer"]["lr"], config["optimizer"]["min_lr"]) == (2e-5, 0.0)


def test_exponential_decay_is_said_to_be_another_curve(anneal: TrainJob, pretrain: TrainJob) -> None:
    """Where it stands, and nowhere else."""
    text = bridge_configs(anneal, (pretrain,))["bridge.yaml"]
    assert text.index("NOT THE JOB'S CURVE") < text.index("lr_decay_style: WSD")
    assert "NOT THE JOB'S CURVE" not in "".join(bridge_configs(pretrain).values())
    linear = attrs.evolve(anneal, schedule=(attrs.evolve(anneal.schedule[0], shape="linear"),))
    assert "NOT THE JOB'S CURVE" not in bridge_configs(linear, (pretrain,))["bridge.yaml"]


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential"])
def test_annealing_decays_over_its_own_steps(anneal: TrainJob, pretrain: TrainJob, shape: Any) -> None:
    """And not over all that were counted before."""
    job = attrs.evolve(anneal, schedule=(attrs.evolve(anneal.schedule[0], shape=shape),))
    scheduler = bridge_config(job, 0, (pretrain,))["scheduler"]
    assert (scheduler["lr_decay_style"], scheduler["lr_wsd_decay_style"]) == ("WSD", shape)
    assert scheduler["lr_wsd_decay_samples"] == 11_920 * 1024
    assert scheduler["lr_decay_samples"] == 440_320_000 + 11_920 * 1024


@pytest.mark.parametrize("start_step", [300_000, None])
def test_annealing_counts_on_from_the_state_that_it_takes(
    anneal: TrainJob, pretrain: TrainJob, start_step: int | None
) -> None:
    """Step 300,000 of pretraining, or its end, which is the same, and 11,920 more."""
    config = bridge_config(attrs.evolve(anneal, start_step=start_step), 0, (pretrain,))
    assert config["train"]["exit_interval"] == 311_920
    assert config["train"]["train_samples"] == config["scheduler"]["lr_decay_samples"] == 452_526_080
    assert config["scheduler"]["override_opt_param_scheduler"]
    directory = "" if start_step is None else "/iter_0300000"
    assert config["checkpoint"]["load"] == "${oc.env:OCSPEC_INIT}" + directory


def test_annealing_from_the_middle_counts_what_was_read_until_then(anneal: TrainJob, pretrain: TrainJob) -> None:
    """In batches of the phase that it falls into."""
    text = bridge_configs(attrs.evolve(anneal, start_step=131_000), (pretrain,))["bridge.yaml"]
    assert f"has counted 131000 iterations and {266_240_000 + 1000 * 1024} samples" in text


def test_tuning_takes_weights_and_learns_from_answers(tune: TrainJob, anneal: TrainJob, pretrain: TrainJob) -> None:
    """No optimizer state, a count from zero, conversations."""
    config = bridge_config(tune, 0, (pretrain, anneal))
    assert (config["train"]["exit_interval"], config["train"]["train_samples"]) == (976, 976 * 4096)
    assert config["dataset"]["preprocessing"]["loss_mode"] == "assistant"
    assert "blend" not in config["dataset"]


def test_a_step_of_annealing_has_the_number_that_bridge_gave_it(
    tune: TrainJob, anneal: TrainJob, pretrain: TrainJob
) -> None:
    """Step 10,000 after 300,000. No `ckpt_step`: Bridge would look for it in the stage's own checkpoints, too."""
    checkpoint = bridge_config(tune, 0, (pretrain, anneal))["checkpoint"]
    assert checkpoint["pretrained_checkpoint"] == "${oc.env:OCSPEC_INIT}/iter_0310000"
    assert checkpoint["load"] == checkpoint["save"] == "${oc.env:OCSPEC_OUT}"
    assert "ckpt_step" not in checkpoint


def test_an_unsettled_precision_is_said_to_be_one(pretrain: TrainJob) -> None:
    """Bridge wants a GPU, so it reads as bf16, in all three places."""
    auto = attrs.evolve(pretrain, precision="auto")
    config = bridge_config(auto)
    assert (config["model"]["bf16"], config["optimizer"]["bf16"]) == (True, True)
    assert config["mixed_precision"] == "bf16_mixed"
    text = bridge_configs(auto)["bridge.yaml"]
    assert text.index("precision is auto") < text.index("mixed_precision: bf16_mixed")
    assert "precision is auto" not in bridge_configs(pretrain)["bridge.yaml"]
    assert bridge_config(attrs.evolve(pretrain, precision="fp32"))["mixed_precision"] is None


def test_what_cannot_be_said_stands_beside_the_key(pretrain: TrainJob) -> None:
    """The guard's policy, and a state that no interval hits."""
    job = attrs.evolve(pretrain, save_at=123_456, guard=Guard(spike="skip", not_finite="skip"))
    assert "skip what jumps" in bridge_comments(job)["rerun_state_machine"]
    assert not bridge_config(job)["rerun_state_machine"]["check_for_nan_in_loss"]
    assert "123456" in bridge_comments(job)["checkpoint.save_interval"]
    assert "checkpoint.save_interval" not in bridge_comments(attrs.evolve(pretrain, save_at=123_000))


def test_a_state_to_keep_is_counted_as_bridge_counts(anneal: TrainJob, pretrain: TrainJob) -> None:
    """Every 7,000 iterations hits 315,000, which is step 15,000 of a stage, and not its step 14,000."""
    batches = (attrs.evolve(anneal.batches[0], steps=20_000),)
    schedule = (attrs.evolve(anneal.schedule[0], steps=20_000),)
    job = attrs.evolve(anneal, batches=batches, schedule=schedule, checkpoint_every=7000)
    for save_at, said in ((15_000, False), (14_000, True)):
        comments = bridge_comments(attrs.evolve(job, save_at=save_at), 0, (pretrain,))
        assert ("checkpoint.save_interval" in comments) is said


def test_a_vocabulary_that_ranks_cannot_share_is_padded_by_bridge(pretrain: TrainJob) -> None:
    """Which is told the vocabulary itself."""
    odd = attrs.evolve(pretrain, model=attrs.evolve(pretrain.model, vocab_size=513), parallelism=Parallelism(tensor=2))
    model = bridge_config(odd)["model"]
    assert (model["vocab_size"], model["should_pad_vocab"]) == (513, True)
    assert not bridge_config(pretrain)["model"]["should_pad_vocab"]


SOURCES = {
    "megatron/__init__.py": "",
    "megatron/base.py": "class Base:\n    inherited: int = 0\n",
    "megatron/package/__init__.py": "from .inner import Inner as Outer\n",
    "megatron/package/inner.py": "from megatron.base import Base as B\nclass Inner(B, Generic[T]):\n    own: int = 0\n",
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"_target_": "megatron.package.Outer", "own": 1, "inherited": 2}, []),
        ({"_target_": "megatron.package.Outer", "owm": 1}, ["owm: megatron.package.Outer has no such field"]),
        ({"a": {"_target_": "megatron.package.Gone"}}, ["a: there is no class megatron.package.Gone"]),
        ({"a": {"_target_": "megatron.gone.Outer"}}, ["a: there is no class megatron.gone.Outer"]),
        ({"a": {"_target_": "torch.nn.functional.silu", "_call_": False}}, []),
    ],
)
def test_the_check_finds_what_is_no_field(
    check: ModuleType, tmp_path: Path, config: dict[str, Any], expected: list[str]
) -> None:
    """Through imports under other names and inherited fields."""
    for name, text in SOURCES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert list(check.problems(config, check.Sources(tmp_path))) == expected


@pytest.mark.network
def test_every_key_is_a_field_of_what_bridge_publishes(check: ModuleType, tmp_path: Path) -> None:
    """megatron-bridge 0.6.2 with megatron-core 0.19.2, read and not imported."""
    sources = check.Sources(check.unpack(tmp_path))
    found = {name: list(check.problems(config, sources)) for name, config in check.configs()}
    assert len(found) == 9
    assert not any(found.values()), found
