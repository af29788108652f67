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
from compiler.trainjob import Guard, Parallelism, TrainJob

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
    """Iterations count on, and the second launch starts from what the first saved."""
    first, second = (yaml.safe_load(text) for text in bridge_configs(pretrain).values())
    assert [c["train"]["train_iters"] for c in (first, second)] == [130_000, 300_000]
    assert [c["train"]["global_batch_size"] for c in (first, second)] == [2048, 1024]
    assert [c["dataset"]["seq_length"] for c in (first, second)] == [4096, 8192]
    assert [c["model"]["seq_length"] for c in (first, second)] == [4096, 8192]
    assert second["checkpoint"]["load"] == first["checkpoint"]["save"]
    assert "Launch 2 of 2" in bridge_configs(pretrain)["bridge-2.yaml"]
    assert "counts a schedule in samples" in bridge_configs(pretrain)["bridge.yaml"]


def test_what_is_written_is_what_is_checked(pretrain: TrainJob, anneal: TrainJob, tune: TrainJob) -> None:
    """Through YAML and back, numbers included."""
    for job in (pretrain, anneal, tune):
        for number, text in enumerate(bridge_configs(job).values()):
            assert yaml.safe_load(text) == bridge_config(job, number)


def test_the_blend_has_the_exact_shares(anneal: TrainJob) -> None:
    """As whole numbers, whose ratios are those of the spec."""
    prefixes, weights = bridge_config(anneal)["dataset"]["blend"]
    assert [prefix.split("/")[1] for prefix in prefixes] == [part.dataset for part in anneal.blend]
    assert all(isinstance(weight, int) for weight in weights)
    assert [Fraction(w, sum(weights)) for w in weights] == [Fraction(part.share) for part in anneal.blend]


def test_warm_up_and_hold(pretrain: TrainJob) -> None:
    """Bridge can say it."""
    scheduler = bridge_config(pretrain)["scheduler"]
    assert (scheduler["lr_warmup_iters"], scheduler["lr_decay_style"]) == (2000, "constant")
    assert scheduler["lr_decay_iters"] == 300_000


def test_a_cosine_with_warm_up(tune: TrainJob) -> None:
    """Bridge can say it, too; the rate ends at the job's last."""
    config = bridge_config(tune)
    assert (config["scheduler"]["lr_warmup_iters"], config["scheduler"]["lr_decay_style"]) == (100, "cosine")
    assert (config["optimizer"]["lr"], config["optimizer"]["min_lr"]) == (2e-5, 0.0)


def test_exponential_decay_is_said_to_be_another_curve(anneal: TrainJob, pretrain: TrainJob) -> None:
    """Where it stands, and nowhere else."""
    assert bridge_config(anneal)["scheduler"]["lr_wsd_decay_style"] == "exponential"
    text = bridge_configs(anneal)["bridge.yaml"]
    assert text.index("NOT THE JOB'S CURVE") < text.index("lr_decay_style: WSD")
    assert "NOT THE JOB'S CURVE" not in "".join(bridge_configs(pretrain).values())
    linear = attrs.evolve(anneal, schedule=(attrs.evolve(anneal.schedule[0], shape="linear"),))
    assert bridge_config(linear)["scheduler"]["lr_decay_style"] == "linear"
    assert "NOT THE JOB'S CURVE" not in bridge_configs(linear)["bridge.yaml"]


def test_annealing_counts_on_from_the_state_that_it_takes(anneal: TrainJob) -> None:
    """Step 300,000 of pretraining and 11,920 more; where the step is not said, the file says what to add."""
    config = bridge_config(anneal)
    assert config["train"]["train_iters"] == config["scheduler"]["lr_decay_iters"] == 311_920
    assert (config["checkpoint"]["load"], config["checkpoint"]["ckpt_step"]) == ("${oc.env:OCSPEC_INIT}", 300_000)
    unsaid = attrs.evolve(anneal, start_step=None)
    assert bridge_config(unsaid)["train"]["train_iters"] == 11_920
    assert "Add the steps" in bridge_configs(unsaid)["bridge.yaml"]


def test_tuning_takes_weights_and_learns_from_answers(tune: TrainJob) -> None:
    """No optimizer state, a count from zero, conversations."""
    config = bridge_config(tune)
    assert config["train"]["train_iters"] == 976
    assert config["checkpoint"]["pretrained_checkpoint"] == "${oc.env:OCSPEC_INIT}"
    assert config["dataset"]["preprocessing"]["loss_mode"] == "assistant"
    assert "blend" not in config["dataset"]


def test_what_cannot_be_said_stands_beside_the_key(pretrain: TrainJob) -> None:
    """The guard's policy, and a state that no interval hits."""
    job = attrs.evolve(pretrain, save_at=123_456, guard=Guard(spike="skip", not_finite="skip"))
    assert "skip what jumps" in bridge_comments(job)["rerun_state_machine"]
    assert not bridge_config(job)["rerun_state_machine"]["check_for_nan_in_loss"]
    assert "123456" in bridge_comments(job)["checkpoint.save_interval"]
    assert "checkpoint.save_interval" not in bridge_comments(attrs.evolve(pretrain, save_at=123_000))


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
