"""Tests of the two full-scale specs: what the paper states or implies comes out of the objects."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from compiler.trainjob import ModelShape
from ocspec import (
    WSD,
    Admit,
    Anneal,
    Deduplicate,
    Downsample,
    Experiment,
    Filter,
    FineTune,
    Instructions,
    Pretrain,
    Redact,
    WebRecall,
)
from ocspec.base import concrete_kinds
from ocspec.evaluation import Benchmark
from ocspec.refinement import exact_share
from ocspec.schema import plain

SPECS = Path(__file__).parents[2] / "specs"
SIZES = ("1_5b", "8b")
BILLION = 1_000_000_000


@pytest.fixture(scope="module")
def experiments() -> Iterator[dict[str, Experiment]]:
    """Both specs, loaded as the command line does: with their own directory first on the path."""
    sys.path.insert(0, str(SPECS))
    try:
        yield {size: run_path(str(SPECS / f"opencoder_{size}.py"))["experiment"] for size in SIZES}
    finally:
        sys.path.remove(str(SPECS))
        sys.modules.pop("opencoder_data", None)


@pytest.fixture
def small(experiments: dict[str, Experiment]) -> Experiment:
    return experiments["1_5b"]


@pytest.fixture
def large(experiments: dict[str, Experiment]) -> Experiment:
    return experiments["8b"]


@pytest.fixture(params=SIZES)
def either(request: pytest.FixtureRequest, experiments: dict[str, Experiment]) -> Experiment:
    return experiments[request.param]


def stages(experiment: Experiment) -> tuple[Pretrain, Anneal, FineTune, FineTune]:
    pretrain, anneal, first, second = experiment.curriculum.stages
    assert isinstance(pretrain, Pretrain)
    assert isinstance(anneal, Anneal)
    assert isinstance(first, FineTune)
    assert isinstance(second, FineTune)
    return pretrain, anneal, first, second


def dataset(experiment: Experiment, name: str) -> Any:
    return next(dataset for dataset in experiment.data if dataset.name == name)


def shape(experiment: Experiment) -> ModelShape:
    model = {name: getattr(experiment.model, name) for name in type(experiment.model).model_fields}
    return ModelShape(vocab_size=experiment.tokenizer.vocab_size, **model)


# ---------------------------------------------------------------- model


def test_parameters_of_the_1_5b(small: Experiment) -> None:
    """1.906 B, 1.473 B of them not embeddings: what the name speaks of."""
    assert shape(small).parameters == 1_905_650_880
    assert shape(small).parameters - shape(small).embedding_parameters == pytest.approx(1.473e9, rel=5e-4)


def test_parameters_of_the_8b(large: Experiment) -> None:
    """7.771 B, 6.980 B without embeddings."""
    assert shape(large).parameters == 7_771_262_976
    assert shape(large).parameters - shape(large).embedding_parameters == pytest.approx(6.980e9, rel=5e-4)


def test_heads_fill_the_width(either: Experiment) -> None:
    """14 x 160 = 2240 and 32 x 128 = 4096."""
    assert either.model.num_heads * (either.model.head_dim or 0) == either.model.hidden_size


def test_no_sequence_is_longer_than_the_context(either: Experiment) -> None:
    """In any stage."""
    pretrain, anneal, first, second = stages(either)
    lengths = [batches.sequence_length for batches in (*pretrain.batches, *anneal.batches)]
    assert max(lengths) == either.model.max_positions
    assert max(first.max_length, second.max_length) <= either.model.max_positions


# ---------------------------------------------------------------- pretraining and annealing


def test_the_1_5b_sees_two_trillion_tokens(small: Experiment) -> None:
    """484,865 steps of 4,194,304 tokens; annealing starts at 1.564 T of them."""
    pretrain, anneal, *_ = stages(small)
    (batches,) = pretrain.batches
    per_step = batches.global_batch * batches.sequence_length
    assert per_step == 4_194_304
    assert batches.tokens == 2_033_671_208_960
    assert anneal.start_step == 373_000
    assert anneal.start_step * per_step == pytest.approx(1.564e12, rel=5e-4)
    assert anneal.start_step < pretrain.num_steps


def test_the_8b_sees_two_and_a_half_trillion_tokens(large: Experiment) -> None:
    """300,000 steps of 8,388,608 tokens in two phases; 1.091 T tokens at length 4096."""
    pretrain, anneal, *_ = stages(large)
    short, long = pretrain.batches
    assert {batches.global_batch * batches.sequence_length for batches in (short, long)} == {8_388_608}
    assert (short.steps, short.global_batch, short.sequence_length) == (130_000, 2048, 4096)
    assert (long.steps, long.global_batch, long.sequence_length) == (170_000, 1024, 8192)
    assert pretrain.num_steps == anneal.start_step == 300_000
    assert short.tokens + long.tokens == pytest.approx(2.517e12, rel=5e-4)
    assert short.tokens == pytest.approx(1.091e12, rel=5e-4)


@pytest.mark.parametrize(("size", "steps"), [("1_5b", 23_841), ("8b", 11_920)])
def test_annealing_is_a_hundred_billion_tokens(experiments: dict[str, Experiment], size: str, steps: int) -> None:
    """To a tenth of a billion, for both."""
    _, anneal, *_ = stages(experiments[size])
    (batches,) = anneal.batches
    assert batches.steps == steps
    assert batches.tokens == pytest.approx(100.0e9, abs=0.05e9)


@pytest.mark.parametrize(("size", "step", "billions"), [("1_5b", 23_000, 96.5), ("8b", 10_000, 83.9)])
def test_tuning_starts_from_the_released_base_model(
    experiments: dict[str, Experiment], size: str, step: int, billions: float
) -> None:
    """Which is not the last step of annealing, but one of which there is a checkpoint."""
    _, anneal, first, _ = stages(experiments[size])
    (batches,) = anneal.batches
    assert first.start_step == step
    assert step < batches.steps
    assert step % anneal.checkpoint_every == 0
    assert step * batches.global_batch * batches.sequence_length / BILLION == pytest.approx(billions, abs=0.05)


@pytest.mark.parametrize(("size", "billions"), [("1_5b", 8.39), ("8b", 16.8)])
def test_the_warm_up_is_eight_billion_tokens_for_one_of_them(
    experiments: dict[str, Experiment], size: str, billions: float
) -> None:
    """2,000 steps are twice as many tokens for the 8B."""
    pretrain, *_ = stages(experiments[size])
    first = pretrain.batches[0]
    tokens = pretrain.schedule.warmup_steps * first.global_batch * first.sequence_length
    assert tokens / BILLION == pytest.approx(billions, abs=0.05)


def test_the_learning_rate_warms_up_holds_and_decays(either: Experiment) -> None:
    """WSD: 3e-4, then exponentially down to 1e-5."""
    pretrain, anneal, *_ = stages(either)
    assert pretrain.schedule == WSD(peak=3e-4, warmup_steps=2_000)
    assert (anneal.schedule.end, anneal.schedule.shape) == (1e-5, "exponential")


@pytest.mark.parametrize(
    ("size", "devices", "micro_batch", "hours", "gpu_hours"),
    [("1_5b", 256, 4, 109.5, 28_032), ("8b", 512, 1, 187.5, 96_000)],
)
def test_gpus_and_gpu_hours(
    experiments: dict[str, Experiment],
    size: str,
    devices: int,
    micro_batch: int,
    hours: float,
    gpu_hours: int,
) -> None:
    """As many devices as the paper, so its GPU-hours in its hours; 256 replicas for both."""
    pretrain, anneal, *_ = stages(experiments[size])
    assert pretrain.parallelism == anneal.parallelism
    assert (pretrain.parallelism.devices, pretrain.parallelism.data) == (devices, 256)
    assert pretrain.micro_batch == micro_batch
    assert pretrain.parallelism.devices * hours == gpu_hours


def test_every_batch_divides_over_replicas_and_micro_batches(either: Experiment) -> None:
    """An uneven one would fail at the first step."""
    for stage in either.curriculum.stages:
        batches = [stage.global_batch] if isinstance(stage, FineTune) else [b.global_batch for b in stage.batches]
        assert all(batch % (stage.micro_batch * stage.parallelism.data) == 0 for batch in batches), stage.name


def test_all_stages_train_in_bf16_on_nemo(either: Experiment) -> None:
    """One tool chain from the first step to the last."""
    assert {(stage.backend, stage.precision) for stage in either.curriculum.stages} == {("nemo", "bf16")}


# ---------------------------------------------------------------- data


def test_refinecode_is_960_billion_tokens(either: Experiment) -> None:
    """Table 2; raw code is 92.3 % of it."""
    pretrain, *_ = stages(either)
    weights = {part.dataset: part.weight for part in pretrain.mixture.parts}
    assert weights == {
        "github_code": 755,
        "jupyter": 11,
        "stack_v2": 120,
        "common_crawl": 13,
        "skypile": 3,
        "fineweb": 55,
        "automathtext": 3,
    }
    assert pretrain.mixture.total == 960
    raw = weights["github_code"] + weights["jupyter"] + weights["stack_v2"]
    assert raw / 960 == pytest.approx(0.923, abs=5e-4)


def test_the_annealing_mix_is_a_hundred_billion_tokens(either: Experiment) -> None:
    """Table 3: 83.94 of RefineCode in its own proportions, and three additions."""
    pretrain, anneal, *_ = stages(either)
    weights = {part.dataset: exact_share(part.weight) for part in anneal.mixture.parts}
    refinecode = {part.dataset: exact_share(part.weight) for part in pretrain.mixture.parts}
    assert anneal.mixture.total == 100
    assert sum(weights[name] for name in refinecode) == Fraction("83.94")
    assert {name: weights[name] / Fraction("83.94") for name in refinecode} == {
        name: weight / 960 for name, weight in refinecode.items()
    }
    assert [weights[name] for name in weights if name not in refinecode] == [
        Fraction("12.44"),
        Fraction("2.71"),
        Fraction("0.91"),
    ]


def test_declared_tokens_are_the_weights(either: Experiment) -> None:
    """So a plan sees each data set used equally often."""
    pretrain, *_ = stages(either)
    for part in pretrain.mixture.parts:
        assert dataset(either, part.dataset).declared.tokens == part.weight * BILLION


@pytest.mark.parametrize(("size", "epochs"), [("1_5b", 4), ("8b", 3.5)])
def test_no_part_is_seen_more_often_than_allowed(experiments: dict[str, Experiment], size: str, epochs: float) -> None:
    """In pretraining as often as the paper says, at most; in annealing once."""
    for stage in stages(experiments[size])[:2]:
        tokens = sum(batches.tokens for batches in stage.batches)
        for part in stage.mixture.parts:
            asked = tokens * exact_share(part.weight) / stage.mixture.total
            assert asked <= dataset(experiments[size], part.dataset).declared.tokens * part.max_epochs, part.dataset
            assert part.max_epochs in {1, epochs}


def test_raw_code_goes_through_the_five_modules_in_order(either: Experiment) -> None:
    """Deduplication before transformation before filtering before sampling (OpenCoder 2.1)."""
    admit, dedup, redact, rules, sample = dataset(either, "github_code").steps
    assert isinstance(admit, Admit)
    assert admit.max_bytes == 8_000_000
    assert isinstance(dedup, Deduplicate)
    assert (dedup.granularity, dedup.exact) == ("file", True)
    assert dedup.near is not None
    assert (dedup.near.bands, dedup.near.rows, dedup.near.ngram) == (16, 128, 5)
    assert isinstance(redact, Redact)
    assert redact.copyright
    assert redact.pii
    assert isinstance(rules, Filter)
    assert rules.catalogue == "opencoder"
    assert isinstance(sample, Downsample)
    assert sample.caps == {"java": 200_000_000_000, "html": 64_000_000_000}
    assert dataset(either, "stack_v2").steps == (admit, dedup, redact, rules)


def test_web_pages_are_recalled_in_three_rounds(either: Experiment) -> None:
    """A domain counts above a tenth; the URL patterns of table 14 are all there."""
    for name in ("common_crawl", "skypile", "fineweb", "automathtext"):
        (source,) = dataset(either, name).sources
        assert isinstance(source, WebRecall)
        assert (source.iterations, source.domain_share) == (3, 0.10)
    (source,) = dataset(either, "common_crawl").sources
    assert len(source.url_patterns) == len(set(source.url_patterns)) == 30


def test_the_algorithmic_corpus_is_chosen_from_the_pretraining_data(either: Experiment) -> None:
    """By three keywords."""
    algorithmic = dataset(either, "algorithmic_corpus")
    assert algorithmic.base == "github_code"
    assert algorithmic.steps[0].keywords == ("leetcode", "def solution", "class solution")


def test_every_data_set_is_used_and_every_name_is_known(either: Experiment) -> None:
    """Nothing is left over and nothing is missing."""
    pretrain, anneal, first, second = stages(either)
    used = {part.dataset for stage in (pretrain, anneal) for part in stage.mixture.parts}
    assert used == {dataset.name for dataset in either.data}
    assert {*first.instructions, *second.instructions} == {source.name for source in either.instructions}
    names = {stage.name for stage in either.curriculum.stages}
    assert all(set(evaluation.stages) <= names for evaluation in either.evaluations)


def test_sources_that_no_other_machine_has_are_declared(either: Experiment) -> None:
    """So that the plan can be made anywhere."""
    sources = [source for dataset in either.data for source in dataset.sources]
    assert all(source.declared is not None for source in (*sources, *either.instructions))


# ---------------------------------------------------------------- fine-tuning and measurement


def test_the_first_stage_of_tuning(either: Experiment) -> None:
    """4.0 M samples once in batches of 4096: about 977 steps."""
    *_, first, _ = stages(either)
    assert (first.samples, first.epochs, first.global_batch, first.max_length) == (4_000_000, 1, 4096, 1216)
    assert (first.schedule.peak, first.schedule.warmup_steps) == (2e-5, 100)
    assert first.num_steps == pytest.approx(977, abs=1)


def test_the_second_stage_of_tuning(either: Experiment) -> None:
    """367 K samples three times in batches of 512: about 2,150 steps."""
    *_, second = stages(either)
    assert (second.samples, second.epochs, second.global_batch, second.max_length) == (367_000, 3, 512, 1500)
    assert (second.schedule.peak, second.schedule.warmup_steps) == (5e-5, 100)
    assert second.num_steps == 2150


def test_samples_are_those_of_the_sources(either: Experiment) -> None:
    """Table 5 adds up to what the stages draw."""
    for stage in stages(either)[2:]:
        sources = [source for source in either.instructions if source.name in stage.instructions]
        assert all(isinstance(source, Instructions) for source in sources)
        assert sum(source.declared.documents or 0 for source in sources if source.declared) == stage.samples


def test_only_instructions_are_decontaminated(either: Experiment) -> None:
    """By entry points and 10-grams (OpenCoder 4.4)."""
    assert either.decontaminate_instructions is not None
    assert either.decontaminate_instructions.ngram == 10
    steps = [type(step).__name__ for dataset in either.data for step in dataset.steps]
    assert "Decontaminate" not in steps


def test_the_8b_is_measured_on_everything_that_the_paper_measures(large: Experiment) -> None:
    """All benchmarks of the language, greedy."""
    assert {type(evaluation) for evaluation in large.evaluations} == set(concrete_kinds(Benchmark))
    assert {(e.temperature, e.samples) for e in large.evaluations if isinstance(e, Benchmark)} == {(0.0, 1)}


# ---------------------------------------------------------------- the files


def test_each_contradiction_of_the_sources_is_decided_at_its_place() -> None:
    """All fourteen are named in the specs, and explained in one table."""
    text = "\n".join(path.read_text() for path in SPECS.glob("opencoder_*.py"))
    named = {int(number) for number in re.findall(r"Conflict (\d+):", text)}
    assert named == set(range(1, 15))
    table = re.findall(r"^\| (\d+) \|", (SPECS / "README.md").read_text(), flags=re.MULTILINE)
    assert [int(number) for number in table] == list(range(1, 15))


def test_both_sizes_share_their_data_and_differ_where_they_should(small: Experiment, large: Experiment) -> None:
    """Same data, tokenizer and instructions; another model and curriculum."""
    same = {name for name in Experiment.model_fields if getattr(small, name) == getattr(large, name)}
    assert same == {
        "data", "tokenizer", "instructions", "decontaminate_instructions", "hold_out", "shards",
        "shard_bytes", "note",
    }  # fmt: skip


def test_both_are_plain_data(either: Experiment) -> None:
    """Nothing in them is a callable or lies outside the language."""
    assert plain(either)["kind"] == "Experiment"
