"""Experiments to vary: one to change by hand, and a strategy that draws two alike. Not tests."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from ocspec import (
    WSD,
    AdamW,
    Admit,
    Anneal,
    Batches,
    BitsPerByte,
    Cosine,
    Curriculum,
    Dataset,
    Decay,
    Deduplicate,
    Directory,
    Downsample,
    Experiment,
    Filter,
    HoldOut,
    HumanEval,
    JsonLines,
    Mixture,
    Part,
    Pretrain,
    Redact,
    TrainedBPE,
    Transformer,
)

NAMES = ("code", "code.steps", "web", "b")
STEPS = (
    Admit(),
    Deduplicate(),
    Deduplicate(granularity="repository"),
    Redact(pii=False),
    Filter(seed=1),
    Filter(),
    Downsample(caps={"html": 5, "c.h": 6}),
    Downsample(caps={"html": 7}, seed=3),
)
BATCHES = (Batches(steps=10, global_batch=4, sequence_length=64),)


def chosen(*things: Any, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    """Some of them in some order."""
    return st.lists(st.sampled_from(things), unique_by=id, min_size=least).map(tuple)


datasets = st.builds(
    Dataset,
    name=st.sampled_from(NAMES),
    sources=chosen(
        Directory(name="here", path="."), JsonLines(name="here", path="x"), JsonLines(name="lines", path="y")
    ),
    steps=chosen(*STEPS),
    note=st.sampled_from(("", "a remark")),
)
parts = st.builds(
    Part,
    dataset=st.sampled_from(NAMES),
    weight=st.sampled_from((1, 1.0, 2, 0.5, Fraction(1, 3))),
    max_epochs=st.sampled_from((1, 4, 3.5)),
)
mixtures = st.builds(
    Mixture, parts=st.lists(parts, min_size=1, max_size=3, unique_by=lambda part: part.dataset).map(tuple)
)
common = {
    "name": st.sampled_from(("one", "two", "one.mixture")),
    "mixture": mixtures,
    "batches": st.sampled_from((BATCHES, BATCHES * 2, (BATCHES[0].replace(steps=11),))),
    "seed": st.integers(0, 2),
    "optimizer": st.sampled_from((AdamW(), AdamW(beta2=0.99, eps=1e-6))),
}
stages = st.one_of(
    st.builds(
        Pretrain,
        schedule=st.sampled_from(
            (WSD(peak=1e-3, warmup_steps=2), WSD(peak=2e-3, warmup_steps=2), Cosine(peak=1e-3, warmup_steps=2))
        ),
        **common,
    ),
    st.builds(Anneal, schedule=st.just(Decay(end=1e-5)), start_step=st.sampled_from((None, 9)), **common),
)


def distinct(things: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[tuple[Any, ...]]:
    """Some of them, each of another name, in any order."""
    return st.lists(things, min_size=least, max_size=3, unique_by=lambda thing: thing.name).map(tuple)


experiments = st.builds(
    Experiment,
    name=st.sampled_from(("a", "b")),
    data=distinct(datasets),
    tokenizer=st.builds(TrainedBPE, vocab_size=st.sampled_from((300, 301))),
    model=st.builds(
        Transformer,
        num_layers=st.integers(1, 2),
        hidden_size=st.just(64),
        intermediate_size=st.just(128),
        num_heads=st.sampled_from((2, 4)),
        num_kv_heads=st.just(2),
        max_positions=st.just(128),
    ),
    curriculum=st.builds(Curriculum, stages=distinct(stages)),
    hold_out=st.sampled_from((None, HoldOut(repositories=("beta",)), HoldOut(repositories=("b", "c")))),
    evaluations=chosen(BitsPerByte(), HumanEval(), HumanEval(name="again"), BitsPerByte(name="bits", ngram_order=None)),
    shards=st.sampled_from((None, 2)),
)


def whole(**changes: Any) -> Experiment:
    """One experiment to change."""
    kept = Pretrain(
        name="one",
        mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
        batches=BATCHES,
        schedule=WSD(peak=1e-3, warmup_steps=2),
    )
    tuned = kept.replace(name="two", schedule=Cosine(peak=1e-3, warmup_steps=2))
    code = Dataset(name="code", sources=(Directory(name="here", path="."),), steps=STEPS[:4])
    return Experiment(
        **{
            "name": "whole",
            "data": (code,),
            "tokenizer": TrainedBPE(vocab_size=300),
            "model": Transformer(
                num_layers=1, hidden_size=64, intermediate_size=8, num_heads=4, num_kv_heads=2, max_positions=64
            ),
            "curriculum": Curriculum(stages=(kept, tuned)),
            "evaluations": (BitsPerByte(),),
            **changes,
        }
    )
